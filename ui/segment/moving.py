"""An animation among the photos: its first frame is shown, and all of them are cut out when asked for."""

from __future__ import annotations

import streamlit as st
from PIL import ImageColor

from ui.components import image
from ui.segment import options
from ui.segment.session_results import Result
from ui.shared import attention, download, models
from ui.shared import format as text
from unet_core.errors import UNetError
from unet_core.images.decode import Animation
from unet_core.images.render import Colour
from unet_core.segment.moving import MOST_SECONDS, MovingCutOut, MovingForm, cut_out_moving, moving
from unet_core.segment.turns import concurrency_limit
from unet_core.settings import Settings

FOUND = "moving"  # session key: what is known of the opened photo's animation, and its cut-out
FORMS: dict[MovingForm, str] = {"webp": "Animated WebP", "gif": "Animated GIF"}


def moving_section(result: Result, settings: Settings) -> None:
    """Draw an animation's line: how long it is, and the button that cuts it out; nothing for a still photo."""
    held = _held(result, settings)
    if not isinstance(held, Animation):
        return
    with st.container(border=True, key="moving"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f":material/animation: **An animation of {held.frames} frames.** The first one is shown; up to "
                f"{MOST_SECONDS:.0f} seconds can be cut out.",
                width="stretch",
            )
            asked = st.button("Cut out all frames", icon=":material/content_cut:", key="cut-out-moving")
        if asked:
            _work(result, settings)
        files: dict[str, bytes] | str | None = st.session_state[FOUND].get(result.choice.key)
        if isinstance(files, str):
            st.error(text.plain(files), icon=":material/broken_image:")
        elif files:
            _files(result, files)


def _held(result: Result, settings: Settings) -> Animation | None:
    """Return what the header of the opened photo says, read once."""
    known = st.session_state.get(FOUND)
    if known is None or known["digest"] != result.photo.digest:
        segmenter = models.load(result.choice.model, result.choice.engine, settings).segmenter
        try:
            found = moving(result.photo.data, result.name, segmenter)
        except UNetError:
            found = None  # the first frame is shown nevertheless
        known = st.session_state[FOUND] = {"digest": result.photo.digest, "animation": found}
    return known["animation"]


def _work(result: Result, settings: Settings) -> None:
    """Cut all frames out, taking turns with other visitors after each, and keep the files or why there are none."""
    bar = st.progress(0.0, "Cutting out…")
    segmenter = models.load(result.choice.model, result.choice.engine, settings).segmenter

    def waiting(before: int) -> None:
        attention.stop_if_gone()

    try:
        with concurrency_limit(settings).slot(waiting, owner=attention.visitor_key()) as turn:

            def step(done: int, total: int) -> None:
                attention.stop_if_gone()
                bar.progress(done / total, f"Cutting out frame {min(done + 1, total)} of {total}")
                turn.give_way()

            found = cut_out_moving(segmenter, result.photo.data, result.name, progress=step)
        st.session_state[FOUND][result.choice.key] = _encoded(found)
    except UNetError as error:
        st.session_state[FOUND][result.choice.key] = str(error)
    bar.empty()


def _encoded(found: MovingCutOut) -> dict[str, bytes]:
    return {form: found.encoded(form, _colour()) for form in FORMS}


def _colour() -> Colour | None:
    """Return the colour that was last chosen behind cut-outs, None for a transparent background."""
    backdrop = st.session_state.get(options.BACKDROP.name, options.BACKDROP.default)
    if backdrop == "colour":
        red, green, blue = ImageColor.getrgb(st.session_state.get("backdrop-colour", "#ffffff"))[:3]
        return red, green, blue
    return (255, 255, 255) if backdrop == "white" else None


def _files(result: Result, files: dict[str, bytes]) -> None:
    image(files["webp"], "image/webp", alt=f"{result.name}, every frame cut out")
    with st.container(horizontal=True):
        for form, label in FORMS.items():
            download.button(
                f"{label} ({text.byte_size(len(files[form]))})",
                files[form],
                result.file_name("cutout", form),
                f"image/{form}",
                key=f"take-moving-{form}",
            )
