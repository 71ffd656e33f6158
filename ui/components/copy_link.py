"""A button that copies a link to the page as it is now."""

from __future__ import annotations

from ui.components import register

_button = register("copy_link")


def copy_link(query: str, *, help: str, key: str) -> None:
    """Draw the button "Copy link"; `query` is what the link carries after the page's address, from the "?" on."""
    _button(key=key, data={"label": "Copy link", "help": help, "query": query}, width="content")
