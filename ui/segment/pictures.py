"""Pictures of the Segment page: encoded for the browser, wiped between two, and opened at the original size."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import streamlit as st
from PIL import Image

from ui.components import served
from ui.components.compare_slider import compare_slider
from ui.segment.session_results import Result
from ui.shared import download
from ui.shared import format as text
from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.segment.segmentation import SegmentedPhoto

LONGEST = 12  # aspect ratio; longer pictures are displayed wider than they are, to be visible at all


def mask_picture(mask: np.ndarray, colours: tuple[Colour | None, ...]) -> np.ndarray:
    """Draw class ids (h, w) in their colours, including classes that overlays do not colour: (h, w, 3) uint8."""
    known = np.full((256, 3), 128, np.uint8)  # grey where a true mask has no class
    known[: len(colours)] = solid(colours)
    return known[mask]


def encoded(picture: np.ndarray, *, lossless: bool = False) -> bytes:
    """Encode a picture for the browser; a very long and thin one is widened first by repeating pixels."""
    image = Image.fromarray(picture)
    least = -(-max(image.size) // LONGEST)
    if min(image.size) < least:
        image = image.resize((max(image.width, least), max(image.height, least)), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    if lossless or image.mode == "RGBA":
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def wipe(
    shown: SegmentedPhoto,
    after: np.ndarray,
    name: str,
    label: str,
    key: str,
    before: tuple[np.ndarray, str] | None = None,
) -> None:
    """Draw a slider between the photo, or the picture `before` with its name, and the picture `after`."""
    first, first_name = before or (shown.image, "photo")
    compare_slider(
        encoded(first),
        encoded(after),
        label=label,
        before_name=first_name,
        after_name=name,
        key=key,
    )


def big_picture(picture: np.ndarray, alt_text: str, full: Callable[[], np.ndarray]) -> None:
    """Show a picture that on click opens at the original size, which `full` draws."""
    kind = "clear" if picture.shape[-1] == 4 else "solid"
    with st.container(key=f"zoom-{kind}"):
        st.image(encoded(picture), width="stretch", alt=alt_text)
        if st.button("Full size", key="full-size", icon=":material/zoom_in:", type="tertiary"):
            full_size(full, alt_text)


def is_thin(result: Result) -> bool:
    """Return whether a photo is so long and thin that it is displayed wider than it is."""
    return max(result.width, result.height) > LONGEST * min(result.width, result.height)


def take_button(
    result: Result, kind: str, full: Callable[[], np.ndarray], data: Callable[[], bytes] | None = None
) -> None:
    """Draw the button that downloads what is shown at the original size, which `full` draws, or a file's own `data`."""
    download.button(
        "Download this view",
        data or partial(_png, full),
        result.file_name(kind),
        "image/png",
        key="take-view",
        type="primary",
        width="stretch",
        help=f"PNG of {text.pixels(result.width, result.height)}, created when you click",
    )


def _png(draw: Callable[[], np.ndarray]) -> bytes:
    return render.png(draw())


@st.dialog("Full size", width="large", icon=":material/zoom_in:")
def full_size(full: Callable[[], np.ndarray], alt_text: str) -> None:
    """Show a picture at the original size: fitted here, and 1:1 in a new tab."""
    with st.spinner("Drawing at the original size…"):
        picture = full()
        data = encoded(picture)
    st.image(data, width="stretch", alt=f"{alt_text}, full size")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(text.pixels(picture.shape[1], picture.shape[0]))
        if address := served(data, "image/png" if picture.shape[-1] == 4 else "image/jpeg", "full-size"):
            st.link_button("Open at 1:1", address, icon=":material/open_in_new:", type="tertiary")


def solid(colours: Sequence[Colour | None]) -> list[Colour]:
    """Return the colours with that of each class in place of None."""
    return [colour or render.class_colour(class_id) for class_id, colour in enumerate(colours)]
