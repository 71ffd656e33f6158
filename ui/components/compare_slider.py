"""A divider that wipes between two pictures of the same size, moved by mouse, touch or keyboard."""

from __future__ import annotations

import io

import streamlit as st
from PIL import Image
from streamlit import runtime

from ui.components import element_key, register

_KINDS = ("JPEG", "PNG", "WEBP", "GIF")  # supported by every browser
_NARROWEST, _WIDEST = 0.2, 6.0  # width by height; other pictures get bars, so that the grip fits

_slider = register("compare_slider")


def compare_slider(
    before: bytes,
    after: bytes,
    *,
    label: str,
    before_name: str,
    after_name: str,
    key: str,
    position: int = 50,
) -> None:
    """Show `before` left and `after` right of a divider, which a visitor can move without a rerun.

    Both are encoded pictures (JPEG, PNG, WebP or GIF) of the same size in pixels, made by the app; the browser fetches
    each content once. `label` describes the comparison to screen readers. The divider starts at `position`, in percent
    from the left, and stays where the visitor moves it until `position` changes. `key` is unique across all pages.

    Raises:
        ValueError: the pictures differ in size or have another format, or the position is out of range.
    """
    if not 0 <= position <= 100:
        raise ValueError(f"position must be from 0 to 100 percent. Received: {position}")
    kinds, sizes = zip(*(_kind_and_size(picture) for picture in (before, after)), strict=True)
    if sizes[0] != sizes[1]:
        raise ValueError(f"Both pictures must have the same size in pixels. Received: {sizes[0]} and {sizes[1]}")
    ratio = round(min(_WIDEST, max(_NARROWEST, sizes[0][0] / sizes[0][1])), 6)
    _reserve(key, ratio)
    _slider(
        key=element_key("compare_slider", key),
        data={
            "key": key,
            "label": label,
            "position": position,
            "ratio": ratio,
            "before": {"name": before_name, "url": _served(before, kinds[0], f"{key}-before")},
            "after": {"name": after_name, "url": _served(after, kinds[1], f"{key}-after")},
        },
    )


def _reserve(key: str, ratio: float) -> None:
    """Reserve the slider's space until its style and script are loaded, so that the page below does not jump."""
    place = f".st-key-{element_key('compare_slider', key)}.stElementContainer"
    st.html(
        f"<style>{place} {{ display: grid; }} {place} > *, {place}::before {{ grid-area: 1 / 1; min-width: 0; }} "
        f"{place}::before {{ content: ''; justify-self: center; visibility: hidden; aspect-ratio: {ratio}; "
        f"width: min(100%, 85vh * {ratio}); }}</style>"
    )


def _kind_and_size(picture: bytes) -> tuple[str, tuple[int, int]]:
    """Return MIME type and (width, height) from the header alone."""
    try:
        with Image.open(io.BytesIO(picture), formats=_KINDS) as image:
            return Image.MIME[image.format or ""], image.size
    except OSError as error:
        raise ValueError(f"A picture to compare must be one of {', '.join(_KINDS)}") from error


def _served(picture: bytes, kind: str, place: str) -> str:
    """Add a picture to Streamlit's media files, as st.image does, and return its address.

    A rerun then sends two short addresses instead of the pictures; pictures that no session shows are dropped.
    """
    if not runtime.exists():  # the script runs without a server
        return ""
    return runtime.get_instance().media_file_mgr.add(picture, kind, f"compare-slider-{place}")
