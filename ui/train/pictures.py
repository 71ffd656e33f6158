"""Predictions for the same few photos after each epoch: photo, true mask and prediction side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st
from PIL import Image

from ui.shared import download
from ui.shared import format as text
from ui.shared.legend import legend
from unet_core.classes import IGNORE_ID
from unet_core.errors import UNetError
from unet_core.images.render import overlay
from unet_core.scores import confusion_matrix, scores_from_confusion
from unet_core.train import previews
from unet_core.train.previews import AnimationFormat, Sample
from unet_core.train.run_directory import RunDirectory
from unet_core.train.tested_photos import mask_colours

EPOCH, FOLLOWED = "train-epoch", "train-epoch-followed"
SIDE, GAP = previews.SIDE, 6  # pixels of a picture in a strip, and between two
OPACITY = 0.5
ANIMATIONS: dict[AnimationFormat, str] = {"gif": "GIF", "webp": "WebP"}
SHOWN = "Photo · true mask · prediction"
WAITING_FOR = "The pictures appear here as soon as the photos have been read."


def pictures(run: RunDirectory, *, live: bool) -> None:
    """Draw all samples after the chosen epoch; the newest one is shown until another is chosen."""
    samples, epochs = previews.samples(run), previews.epochs(run)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Predictions", anchor=False, width="content")
        epoch = _choose(run, epochs)
    if not samples or epoch is None:
        _waiting(run, live=live)
        return
    ordered = sorted(samples, key=lambda sample: sample.kind != "photo")  # the user's own photo first
    with st.container(gap="xsmall"):
        for sample in ordered:
            _sample(run, sample, epoch)
    known = run.classes()
    legend(names=samples[0].score_classes, colours=None if known is None else known.colours)
    _animations(run, epochs)


def _choose(run: RunDirectory, epochs: Sequence[int]) -> int | None:
    """Draw the slider for the epochs; until it is moved, it follows the newest one."""
    if len(epochs) < 2:  # its place is kept, so that nothing moves when there is a choice
        st.select_slider(
            "Epoch", ("before", "after"), disabled=True, key=f"{EPOCH}-none", label_visibility="collapsed", width=240
        )
        return epochs[-1] if epochs else None
    followed = st.session_state.get(FOLLOWED)
    if followed is None or followed[0] != run.id or st.session_state.get(EPOCH) in (None, followed[1]):
        st.session_state[EPOCH] = epochs[-1]
    st.session_state[FOLLOWED] = run.id, epochs[-1]
    return st.select_slider(
        "Epoch", list(epochs), key=EPOCH, format_func=_after, label_visibility="collapsed", width=240
    )


def _after(epoch: int) -> str:
    if not epoch:
        return "before training"
    return f"after {epoch} epoch{'s' if epoch > 1 else ''}"


def _waiting(run: RunDirectory, *, live: bool) -> None:
    """Keep the place of pictures that are not ready."""
    if not live:
        st.caption("This run has saved no pictures.")
        return
    with st.container(gap="xsmall"):
        for _ in range(max(1, run.config().previews + run.photo.exists())):
            with st.container(gap="xxsmall"):
                st.image(_blank(_ground()), width="stretch", alt="")
                st.caption(SHOWN)
    st.caption(WAITING_FOR)


def _sample(run: RunDirectory, sample: Sample, epoch: int) -> None:
    try:
        strip, overlap = _strip(*_key(run, sample, epoch), _ground(), run)
    except (UNetError, OSError):
        st.caption(f":material/broken_image: A picture of {text.plain(sample.name)} is missing or damaged.")
        return
    own = sample.kind == "photo"
    words = "Your photo · prediction" if own else SHOWN
    found = "" if overlap is None else f" · **IoU {overlap:.2f}**"
    with st.container(gap="xxsmall"):
        st.image(strip, width="stretch", alt=f"{sample.name} {_after(epoch)}")
        st.caption(words + found)


def _key(run: RunDirectory, sample: Sample, epoch: int) -> tuple[str, int, int, int]:
    """Return a strip's cache key, which changes when the epoch is trained again."""
    path = run.path / "previews" / f"{epoch:05d}_{sample.index}.png"
    return str(run.path), sample.index, epoch, path.stat().st_mtime_ns


@st.cache_data(max_entries=400, show_spinner=False)
def _strip(
    path: str, index: int, epoch: int, changed: int, ground: str, _run: RunDirectory
) -> tuple[bytes, float | None]:
    """Return a sample's pictures in a row as JPEG, and the mean IoU of the prediction if there is a true mask."""
    photo, truth, mask = previews.picture(_run, index), previews.truth(_run, index), previews.mask(_run, epoch, index)
    colours = mask_colours(_run.classes())
    drawn = [overlay(photo, ids, opacity=OPACITY, colours=colours) for ids in (truth, mask) if ids is not None]
    strip = _in_a_row([photo, *drawn], ground)
    if truth is None:
        return strip, None
    classes = int(max(truth.max(initial=0, where=truth != IGNORE_ID), mask.max())) + 1
    return strip, scores_from_confusion(confusion_matrix(truth, mask, classes)).mean_iou


def _in_a_row(shown: Sequence[np.ndarray], ground: str) -> bytes:
    """Return pictures side by side as JPEG, each in the middle of a square of its own, always three squares wide."""
    canvas = _canvas(ground)
    for place, pixels in enumerate(shown):
        picture = Image.fromarray(pixels)
        scale = SIDE / max(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
        left, top = (SIDE - picture.width) // 2, (SIDE - picture.height) // 2
        canvas.paste(picture, (place * (SIDE + GAP) + left, top))
    return _jpeg(canvas)


@st.cache_data(show_spinner=False)
def _blank(ground: str) -> bytes:
    canvas = _canvas(ground)
    shade = Image.blend(canvas, Image.new("RGB", canvas.size, "#809098"), 0.15)
    for place in range(3):
        canvas.paste(shade.crop((0, 0, SIDE, SIDE)), (place * (SIDE + GAP), 0))
    return _jpeg(canvas)


def _ground() -> str:
    """Return the page's own background: a picture with transparent parts would be ten times as large."""
    return st.get_option(f"theme.{st.context.theme.type or 'light'}.backgroundColor") or "#ffffff"


def _canvas(ground: str) -> Image.Image:
    return Image.new("RGB", (3 * SIDE + 2 * GAP, SIDE), ground)


def _jpeg(canvas: Image.Image) -> bytes:
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=88, subsampling=0)
    return buffer.getvalue()


def _animations(run: RunDirectory, epochs: Sequence[int]) -> None:
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        st.caption("Animation", width="content")
        for format, label in ANIMATIONS.items():
            download.button(
                label,
                partial(previews.animation, run, format),
                f"{run.id}.{format}",
                f"image/{format}",
                key=f"train-animation-{format}",
                icon=":material/movie:",
                disabled=len(epochs) < 2,
                help="One frame for each epoch",
            )
