"""A button that copies a link to the page as it is now."""

from __future__ import annotations

from ui.components import register

_button = register("copy_link")


def copy_link(query: str, *, help: str, key: str) -> None:
    """Show the button "Copy link"; `query` is the link's query string, including the "?"."""
    _button(key=key, data={"label": "Copy link", "help": help, "query": query}, width="content")
