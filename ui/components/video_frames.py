"""A video file, of which only small pictures are sent: the browser has the decoders that a server would need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import streamlit as st

from ui.components import decoded, element_key, register

_frames = register("video_frames", parts=("base64",))
_LONGEST_NAME = 200  # characters


@dataclass(frozen=True)
class Pictures:
    """Pictures of a video as a browser sent them: files, anything but JPEG for all that is known, evenly spaced.

    Attributes:
        name: the video's file name.
        files: the pictures in their order.
        milliseconds: how long each is shown.
    """

    name: str
    files: list[bytes] = field(repr=False)
    milliseconds: int


def video_frames(
    *, seconds: float, most: int, most_bytes: int, on_pictures: Callable[[Pictures], None], key: str
) -> None:
    """Let a visitor choose a video file, and take pictures out of it in the browser.

    Args:
        seconds: of the video that are used; the rest is left out, which is said.
        most: the number of pictures.
        most_bytes: of all pictures together.
        on_pictures: called with what the browser sent.
        key: unique across all pages.
    """
    element = element_key("video_frames", key)

    def taken() -> None:
        found = _checked(st.session_state[element].taken, most, most_bytes)
        if found is not None:
            on_pictures(found)

    _frames(key=element, data={"seconds": seconds, "most": most, "bytes": most_bytes}, on_taken_change=taken)


def _checked(sent: object, most: int, most_bytes: int) -> Pictures | None:
    """Return what a browser sent, None if it has another form or is too much."""
    if not isinstance(sent, dict):
        return None
    name, texts, milliseconds = sent.get("name"), sent.get("pictures"), sent.get("milliseconds")
    if not isinstance(name, str) or not isinstance(texts, list) or not 2 <= len(texts) <= most:
        return None
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool) or milliseconds < 1:
        return None
    files: list[bytes] = []
    for text in texts:
        file = decoded(text, most_bytes)
        if file is None:
            return None
        most_bytes -= len(file)
        files.append(file)
    return Pictures(name[:_LONGEST_NAME], files, milliseconds)
