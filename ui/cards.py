"""Cards: one segmented photo with its facts and downloads, or the sentence that says why there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui import format as text
from ui.legend import legend
from ui.results import Problem, Result, overlay_png
from unet_core.settings import Settings

ALONE_HEIGHT, GRID_HEIGHT = 600, 260  # pixels on the page that a tall photo may take


def result_card(
    result: Result,
    overlay: bytes,
    *,
    opacity: float,
    outline: bool,
    settings: Settings,
    on_remove: Callable[[str], None],
    alone: bool,
) -> None:
    """Show one result; `alone` on the page it shows the photo too, and uses the width that it has to itself."""
    with st.container(border=True, key=f"card-{result.photo.digest[:16]}"):
        _head(result.name, result.photo.digest, on_remove)
        if alone and result.width >= result.height:
            pictures = st.columns(2)
            words = st.container()
        elif alone:  # an upright photo leaves room beside it
            *pictures, words = st.columns(3)
        else:
            pictures = [st.container()]
            words = st.container()
        if alone:
            _picture(pictures[0], result, result.shown_jpeg, f"The photo {result.name}", ALONE_HEIGHT)
        _picture(pictures[-1], result, overlay, _spoken(result), ALONE_HEIGHT if alone else GRID_HEIGHT)
        with words:
            legend(result.shares)
            st.caption(facts(result))
            _downloads(result, opacity, outline, settings)


def _downloads(result: Result, opacity: float, outline: bool, settings: Settings) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        st.download_button(
            "Mask",
            result.mask_png,
            result.file_name("mask"),
            "image/png",
            key=f"mask-{result.photo.digest[:16]}",
            icon=":material/download:",
            on_click="ignore",
            help="8-bit PNG at the photo's size: 1 pet, 2 background, 3 border",
        )
        st.download_button(
            "Overlay",
            partial(overlay_png, result, opacity, outline, settings),
            result.file_name("overlay"),
            "image/png",
            key=f"overlay-{result.photo.digest[:16]}",
            icon=":material/download:",
            on_click="ignore",
            help="PNG at the photo's size, with the opacity and outline chosen here",
        )


def problem_card(problem: Problem, digest: str, *, on_remove: Callable[[str], None]) -> None:
    """Show why a photo has no result."""
    with st.container(border=True, key=f"card-{digest[:16]}"):
        _head(problem.name, digest, on_remove)
        st.error(text.plain(problem.message), icon=":material/broken_image:")


def facts(result: Result) -> str:
    """Return size, time, device and engine of a result as Markdown; the time is what was measured, by stage."""
    return (
        f"{text.pixels(result.width, result.height)} · **{text.milliseconds(result.timings['total'])}** on "
        f"{text.plain(result.device)} with {text.plain(result.engine)}  \n{text.stages(result.timings)}"
    )


def _head(name: str, digest: str, on_remove: Callable[[str], None]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        st.markdown(f"**{text.plain(name)}**", width="stretch", wrap=False)
        st.button(
            "Remove",
            key=f"remove-{digest[:16]}",
            icon=":material/close:",
            type="tertiary",
            help=f"Remove {text.plain(name)}",
            on_click=on_remove,
            args=(digest,),
        )


def _picture(place: DeltaGenerator, result: Result, picture: bytes, spoken: str, height: int) -> None:
    """Show a picture as wide as its place, a tall one only as wide as keeps it within `height`, centred."""
    typical = 4 / 3 * height  # width of the place, as far as is known before the browser lays it out
    upright = result.height * typical > height * result.width * 1.15
    with place.container(horizontal_alignment="center"):
        width = max(1, round(height * result.width / result.height)) if upright else "stretch"
        st.image(picture, width=width, alt=spoken)


def _spoken(result: Result) -> str:
    shares = ", ".join(f"{name} {text.percent(share)}" for name, share in result.shares.items())
    return f"{result.name} with its classes coloured in: {shares}"
