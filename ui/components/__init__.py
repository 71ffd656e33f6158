"""The app's own Streamlit components (v2): each is a Python file with HTML, CSS and JavaScript files of its name.

CSS and JavaScript files without a Python file are parts that several components share.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st
from PIL import Image
from streamlit import runtime
from streamlit.components.v2 import component

_FOLDER = Path(__file__).parent
_NARROWEST, _WIDEST = 0.2, 6.0  # width by height; other pictures get bars, so that grips and buttons fit


class Header(NamedTuple):
    """What an encoded picture says of itself: MIME type, Pillow's mode, and (width, height)."""

    kind: str
    mode: str
    size: tuple[int, int]


def register(name: str, *, css: str = "", parts: Sequence[str] = ()) -> Any:
    """Register the component `name` from its files in this folder; `css` and shared `parts` are put before its own."""
    rules = css + "".join(_text(part, "css") for part in (*parts, name))
    script = "".join(_text(part, "js") for part in (*parts, name))
    return component(name, html=_text(name, "html"), css=rules, js=script)


def element_key(name: str, key: str) -> str:
    """Return a key that is also a valid CSS class, whatever `key` contains."""
    return f"{name.replace('_', '-')}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def frame_ratio(width: int, height: int) -> float:
    """Return a picture's width by its height, within what the frame of a picture can have."""
    return round(min(_WIDEST, max(_NARROWEST, width / height)), 6)


def reserve(element: str, ratio: float, height: str) -> None:
    """Reserve a framed picture's space until its style and script are loaded, so that the page below does not jump.

    `element` is the component's key, `height` the tallest that its frame may be, in CSS.
    """
    place = f".st-key-{element}.stElementContainer"
    st.html(
        f"<style>{place} {{ display: grid; }} {place} > *, {place}::before {{ grid-area: 1 / 1; min-width: 0; }} "
        f"{place}::before {{ content: ''; justify-self: center; visibility: hidden; aspect-ratio: {ratio}; "
        f"width: min(100%, {height} * {ratio}); }}</style>"
    )


def served(picture: bytes, kind: str, place: str) -> str:
    """Add a picture of MIME type `kind` to Streamlit's media files, as st.image does, and return its address.

    A rerun then sends short addresses instead of the pictures; pictures that no session shows are dropped.
    """
    if not runtime.exists():  # the script runs without a server
        return ""
    return runtime.get_instance().media_file_mgr.add(picture, kind, place)


def image(picture: bytes, kind: str, **options: Any) -> None:
    """Draw an encoded picture of MIME type `kind` as it is, with the options of `st.image`.

    At every run `st.image` itself decodes a picture that is wider than drawn, or neither JPEG nor PNG, and encodes it
    again; of an animation it keeps the first frame.
    """
    st.image(f"data:{kind};base64,{base64.b64encode(picture).decode()}", **options)


def header(picture: bytes, kinds: tuple[str, ...]) -> Header:
    """Return what an encoded picture says of itself, from its header alone.

    Raises:
        ValueError: it has none of the formats `kinds`, in Pillow's words.
    """
    try:
        with Image.open(io.BytesIO(picture), formats=kinds) as image:
            return Header(Image.MIME[image.format or ""], image.mode, image.size)
    except OSError as error:
        raise ValueError(f"A picture must be one of {', '.join(kinds)}") from error


def _text(name: str, kind: str) -> str:
    path = _FOLDER / f"{name}.{kind}"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def decoded(text: object, most_bytes: int) -> bytes | None:
    """Return what the browser sent as base64; None if it is anything else, or too long."""
    if not isinstance(text, str) or len(text) > 4 * (most_bytes // 3 + 1):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
