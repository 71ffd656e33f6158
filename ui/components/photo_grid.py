"""A grid of small photos that open on click, in one element, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from ui.components import element_key, register, served

_grid = register("photo_grid", parts=("addresses",))


@dataclass(frozen=True)
class Tile:
    """One photo of a grid.

    Attributes:
        id: what the callbacks are called with.
        name: below the picture.
        picture: encoded, empty for a photo that has none yet.
        kind: the picture's MIME type.
        note: a second line.
        alt: describes the picture for screen readers; by default the button's name says enough.
        flag: a word or two on the picture.
        problem: a sentence in place of the picture; the photo does not open then.
    """

    id: str
    name: str
    picture: bytes = field(default=b"", repr=False)
    kind: str = "image/jpeg"
    note: str = ""
    alt: str = ""
    flag: str = ""
    problem: str = ""


def photo_grid(
    tiles: Sequence[Tile],
    *,
    label: str,
    key: str,
    on_pick: Callable[[str], None],
    on_remove: Callable[[str], None] | None = None,
    least: int = 110,
    clear: bool = False,
) -> None:
    """Show the photos; `on_pick` and `on_remove` are called with a photo's id.

    `least` is the least width of a photo in pixels; `clear` puts a checker behind transparent pictures. `key` is unique
    across all pages.
    """
    element = element_key("photo_grid", key)

    def called(name: str, callback: Callable[[str], None]) -> Callable[[], None]:
        return lambda: callback(str(st.session_state[element][name]))

    _grid(
        key=element,
        data={
            "label": label,
            "least": least,
            "clear": clear,
            "removable": on_remove is not None,
            "photos": [_entry(tile, key) for tile in tiles],
        },
        on_picked_change=called("picked", on_pick),
        on_removed_change=called("removed", on_remove or (lambda _: None)),
    )


def _entry(tile: Tile, key: str) -> dict[str, Any]:
    entry = {name: getattr(tile, name) for name in ("id", "name", "note", "alt", "flag", "problem")}
    return entry | {"url": served(tile.picture, tile.kind, f"{key}-{tile.id}") if tile.picture else ""}
