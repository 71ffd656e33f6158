"""The camera's pictures, segmented one after the other while they are shown."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ui.components import decoded, element_key, register
from unet_core.images.render import Colour

_camera = register("live_camera", parts=("addresses", "base64"))


def live_camera(
    ticket: str,
    *,
    route: str,
    colour: Colour,
    opacity: float = 0.5,
    subject: str,
    most_bytes: int,
    on_photo: Callable[[bytes], None],
    key: str,
) -> None:
    """Show the camera live: cut out or tinted, with its pictures a second, until it is stopped or the page is hidden.

    Args:
        ticket: lets the browser send pictures to `route`, which answers with outlines.
        route: the path below the app's own address, such as "/api/live".
        colour: of the tint.
        opacity: of the tint, 0…1.
        subject: what is looked for, in a word.
        most_bytes: of a photo that a visitor takes.
        on_photo: called with a JPEG at the camera's full size when a visitor takes a picture; it may be anything that
            a browser sends, so it is to be checked as an upload is.
        key: unique across all pages.
    """
    element = element_key("live_camera", key)

    def taken() -> None:
        photo = decoded(st.session_state[element].taken, most_bytes)
        if photo is not None:
            on_photo(photo)

    data = {
        "ticket": ticket,
        "route": route,
        "colour": list(colour),
        "opacity": opacity,
        "subject": subject,
        "bytes": most_bytes,
    }
    _camera(key=element, data=data, on_taken_change=taken)
