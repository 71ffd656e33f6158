"""Buttons in place of the grid of photos, whose clicks AppTest cannot make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import streamlit as st

from ui.components import photo_grid


def draw(
    *, key: str, data: dict[str, Any], on_picked_change: Callable[[], None], on_removed_change: Callable[[], None]
) -> None:
    """Draw a button for each photo that opens it, and where photos can be removed one more."""

    def press(name: str, photo: str, callback: Callable[[], None]) -> None:
        st.session_state[key] = {name: photo}
        callback()

    for photo in data["photos"]:
        arguments = (photo["id"], on_picked_change)
        if photo["problem"]:
            st.error(photo["problem"])
        else:
            st.button(photo["name"], key=f"open-{key}-{photo['id']}", on_click=press, args=("picked", *arguments))
        if data["removable"]:
            st.button(
                "Remove",
                key=f"remove-{key}-{photo['id']}",
                help=f"Remove {photo['name']}",
                on_click=press,
                args=("removed", photo["id"], on_removed_change),
            )


def install(patch: pytest.MonkeyPatch) -> None:
    """Draw buttons instead of grids from now on."""
    patch.setattr(photo_grid, "_grid", draw)
