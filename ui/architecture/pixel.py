"""Why this pixel? What a network's answer at one pixel can depend on, and what it does depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from ui.architecture.experiment_subject import Abandoned, Chosen, turns
from ui.components.pixel_picker import Place, pixel_picker
from ui.shared import background, polling
from ui.shared import format as text
from unet_core.explain.occlusion import GRID, Occlusion, occlusion
from unet_core.explain.probe import subject_of
from unet_core.images.interpolate import resized
from unet_core.segment.compressed import encode_jpeg

WORK, PROGRESS, PLACE = "pixel-work", "pixel-progress", "pixel-place"
SIDE = 320  # pixels of the photo's longer side
FOR, AGAINST = (230, 130, 0), (0, 114, 178)  # orange and blue, told apart with any colour vision
_STRONGEST = 0.8  # opacity of the largest change


@dataclass
class _Progress:
    """How many runs of the network are done, written by the thread that runs it, and whether anybody waits for them."""

    done: int = 0
    total: int = GRID * GRID
    abandoned: bool = False

    def report(self, done: int, total: int) -> None:
        if self.abandoned:
            raise Abandoned("The visitor has chosen another photo or network.")
        self.done, self.total = done, total


def experiment(chosen: Chosen) -> None:
    """Show what matters at the chosen pixel, and what matters for the subject as a whole."""
    held = st.session_state.get(WORK)
    if held is None or held[0] != chosen.key:
        if PROGRESS in st.session_state:
            st.session_state[PROGRESS].abandoned = True
        st.session_state[PROGRESS] = _Progress()
    progress: _Progress = st.session_state[PROGRESS]
    work = background.ask(WORK, chosen.key, _occlusion, chosen.key, chosen, turns(chosen), progress, is_long=True)
    if not background.done(work):
        _await(work, progress)
        return
    found = work.result()

    @st.fragment
    def choose() -> None:
        place = _place(chosen, found)
        left, right = st.columns(2, gap="medium")
        with left:
            _why_here(chosen, found, place)
        with right:
            _why_subject(chosen, found)

    choose()


@st.cache_resource(max_entries=4, show_spinner=False)
def _occlusion(key: str, _chosen: Chosen, _turn: Any, _progress: _Progress) -> Occlusion:
    return occlusion(_chosen.entry, _small(_chosen), _chosen.settings, turn=_turn, progress=_progress.report)


def _await(work: Any, progress: _Progress) -> None:
    def show() -> None:
        words = f"Hiding one of {progress.total} parts of the photo after the other, and running the network each time"
        st.progress(progress.done / progress.total, f"{words}: {progress.done} done")

    polling.poll(show, ended=work.done, every=polling.SOON)


def _small(chosen: Chosen) -> np.ndarray:
    image = Image.fromarray(chosen.photo)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    if min(image.size) < GRID:  # a very long and thin photo
        image = image.resize((max(GRID, image.width), max(GRID, image.height)))
    return np.asarray(image)


def _place(chosen: Chosen, found: Occlusion) -> Place:
    """Return the chosen place, at first the pixel of the subject nearest to its middle."""
    key, place = st.session_state.get(PLACE, ("", None))
    if key == chosen.key and place is not None:
        return place
    rows, columns = np.nonzero(found.subject)
    if not len(rows):
        return 0.5, 0.5
    nearest = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
    height, width = found.subject.shape
    return (float(rows[nearest]) + 0.5) / height, (float(columns[nearest]) + 0.5) / width


def _why_here(chosen: Chosen, found: Occlusion, place: Place) -> None:
    changes, window = found.at(*place), found.window(*place)
    what = _subject(chosen)
    st.markdown(f"**Why is this pixel {what}, or not?** Choose another one by a click or with the arrow keys.")

    def choose(new: Place) -> None:
        st.session_state[PLACE] = chosen.key, new

    pixel_picker(
        encode_jpeg(_heat(chosen.photo, changes)),
        place=place,
        window=window,
        label=f"What matters at the chosen pixel for {what}",
        on_choose=choose,
        key="why-this-pixel",
    )
    height, width = (window[2] - window[0]), (window[3] - window[1])
    with st.grid(3, min_column_width=100, gap="small"):
        st.metric(
            "Can matter", text.percent(height * width, 0),
            help="Share of the photo within the theoretical window of this pixel, the dashed frame: exact, from the "
            "kernels and strides. Nothing outside it can change the answer here.",
        )  # fmt: skip
        for share, name in ((0.5, "Half within"), (0.9, "90 % within")):
            reach = found.reach(*place, share)
            st.metric(
                name, text.percent(reach, 0),
                help="Of all that matters here, measured by hiding parts: the distance from the pixel within which it "
                "lies, in sides of the photo. This is the effective receptive field.",
            )  # fmt: skip
    st.caption(
        f"Orange: where that part is hidden, the odds of {what} fall at the chosen pixel. Blue: they rise. "
        f"{GRID}{text.TIMES}{GRID} parts, each hidden behind the photo's mean colour."
    )


def _why_subject(chosen: Chosen, found: Occlusion) -> None:
    what = _subject(chosen)
    st.markdown(f"**What makes it {what} at all?** The same, averaged over all its pixels.")
    if not found.subject.any():
        st.info(f"The network finds no {what} in this photo.")
        return
    st.image(
        encode_jpeg(_heat(chosen.photo, found.of_subject())), width="stretch",
        alt=f"What matters for {what} on average over all its pixels",
    )  # fmt: skip


def _subject(chosen: Chosen) -> str:
    """Return what the network looks for, in a word: the first class that is not the background."""
    return text.plain(chosen.entry.class_names[subject_of(chosen.entry)[0]])


def _heat(photo: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Draw changes (rows, columns) over a photo in grey, the largest as opaque as it gets: (H, W, 3) uint8."""
    height, width = photo.shape[:2]
    most = float(np.abs(changes).max()) or 1.0
    strength = resized((changes / most)[..., None], height, width)
    opacity = _STRONGEST * np.abs(strength).clip(0, 1)
    colours = np.where(strength > 0, np.asarray(FOR, np.float32), np.asarray(AGAINST, np.float32))
    grey = np.repeat(photo.mean(axis=2, keepdims=True, dtype=np.float32), 3, axis=2)
    return np.rint(grey * (1 - opacity) + colours * opacity).astype(np.uint8)
