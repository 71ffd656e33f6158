"""A photo in which a visitor chooses a place, by mouse, touch or keyboard."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import streamlit as st

from ui.components import element_key, frame_ratio, header, register, reserve, served

Place = tuple[float, float]  # from the top and from the left, as shares 0…1

_KINDS = ("JPEG", "PNG", "WEBP")

_picker = register("pixel_picker", parts=("addresses",))


def pixel_picker(
    picture: bytes,
    *,
    place: Place,
    window: tuple[float, float, float, float],
    label: str,
    on_choose: Callable[[Place], None],
    key: str,
) -> None:
    """Show a picture with a mark at `place` and a dashed frame around `window`.

    A click moves the mark; arrow keys move it in steps, with Shift in larger ones. `on_choose` is called with the new
    place before the page is drawn again. `window` is top, left, bottom and right, as shares 0…1. `label` describes the
    picture to screen readers. `key` is unique across all pages.

    Raises:
        ValueError: the picture is not a JPEG, PNG or WebP.
    """
    found = header(picture, _KINDS)
    element = element_key("pixel_picker", key)
    ratio = frame_ratio(*found.size)
    reserve(element, ratio, "1000vh")  # as wide as its column
    _picker(
        key=element,
        data={
            "url": served(picture, found.kind, element),
            "ratio": ratio,
            "label": label,
            "place": list(place),
            "window": list(window),
        },
        on_chosen_change=lambda: _choose(st.session_state[element]["chosen"], on_choose),
    )


def _choose(sent: Any, on_choose: Callable[[Place], None]) -> None:
    """Hand on what the browser sent, if it is a place."""
    if not isinstance(sent, list) or len(sent) != 2:
        return
    if all(isinstance(share, (int, float)) and math.isfinite(share) and 0 <= share <= 1 for share in sent):
        on_choose((float(sent[0]), float(sent[1])))
