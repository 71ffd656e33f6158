"""Play: the forward pass of a photo, its real feature maps inside the boxes of the U diagram."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import streamlit as st
from PIL import Image

from ui.architecture.cached import drawn as diagram_of
from ui.architecture.experiment_subject import Chosen, drawn, turns
from ui.architecture.maps import coloured
from ui.components.play_diagram import Sheet, Shown, play_diagram
from ui.shared import format as text
from unet_core.architecture.table import block_title, counted
from unet_core.architecture.trace import trace
from unet_core.explain.diagram.steps import Step
from unet_core.explain.forward_pass import ForwardPass, forward_pass
from unet_core.images import render
from unet_core.segment.compressed import encode_jpeg

CELL = 112  # pixels of each picture
COLUMNS = 8
_TEXTS = {
    "input": "What the network receives: {shape} numbers.",
    "conv": "Convolutions look for patterns in what comes before. Shown is the mean of {channels}, from dark (low) to "
    "light (high).",
    "pool": "Half the height and width: each value now stands for a larger part of the photo.",
    "up": "Twice the height and width, as coarse as before: where exactly the outline runs is not known here.",
    "skip": "The skip connection carries over what the encoder saw at this size: edges and texture, put beside the "
    "upsampled map.",
    "one": "One number for each class and pixel. Shown is their mean.",
}
_OUTPUT = "The class with the highest score at every pixel: the mask."


@dataclass(frozen=True, eq=False)
class _Played:
    """Everything that the player shows of a photo."""

    steps: tuple[Shown, ...]
    sheet: Sheet
    photo: bytes = field(repr=False)
    mask: bytes = field(repr=False)
    missing: int


def experiment(chosen: Chosen) -> None:
    """Show the player."""
    with turns(chosen)():
        played = _played(chosen.key, chosen)
    play_diagram(
        diagram_of(trace(chosen.entry.config)), played.steps, played.sheet, photo=played.photo, mask=played.mask,
        label=f"The photo on its way through {chosen.title}. Space plays and pauses, arrow keys step.", key=chosen.key,
    )  # fmt: skip
    notes = [f"Real values of {text.plain(chosen.title)} for this photo, each picture stretched to its own range."]
    if played.missing:
        notes.append(
            f"{counted(played.missing, 'box')} without a picture: the exported file holds these values only merged "
            "with others."
        )
    st.caption(" ".join(notes))


@st.cache_resource(max_entries=6, show_spinner="Running the network…")
def _played(key: str, _chosen: Chosen) -> _Played:
    found = forward_pass(_chosen.entry, _chosen.photo, _chosen.settings)
    mask = _chosen.mask(found.probabilities)
    return _Played(
        steps=tuple(_shown(found, number) for number in range(len(found.steps))),
        sheet=_sheet(_chosen, found, mask),
        photo=encode_jpeg(_square(_chosen.photo, 2 * CELL)),
        mask=_mask_png(_chosen, mask),
        missing=len(found.missing),
    )


# --- words ------------------------------------------------------------------------------------------------------------


def _shown(found: ForwardPass, number: int) -> Shown:
    step = found.steps[number]
    last = number == len(found.steps) - 1
    words = _OUTPUT if last else _TEXTS.get(step.operation, _TEXTS["conv"])
    return Shown(
        key=step.key,
        source=_source(found.steps, number),
        travels=step.operation == "skip",
        known=last or number == 0 or step.key in found.means,
        title=_title(step, last),
        shape=text.shape(step.shape),
        text=words.format(shape=text.shape(step.shape), channels=counted(step.shape[2], "channel")),
    )


def _title(step: Step, last: bool) -> str:
    if last:
        return "Mask"
    if step.operation == "input":
        return "Photo"
    what = {"skip": "skip connection", "up": "upsampled", "pool": "at half the size"}.get(step.operation, step.key)
    return f"{block_title(step.block)}: {what}"


def _source(steps: tuple[Step, ...], number: int) -> str:
    """Return the key of the box that a step's picture comes from: the one before, or a skip connection's start."""
    step = steps[number]
    if step.skip is not None:
        return next((each.key for each in steps if step.skip.source in each.layers), steps[0].key)
    before = [each for each in steps[:number] if each.operation != "skip"]
    return before[-1].key if before else step.key


# --- pictures ---------------------------------------------------------------------------------------------------------


def _sheet(chosen: Chosen, found: ForwardPass, mask: np.ndarray) -> Sheet:
    """Put the pictures of all steps into one; those without a picture are left black."""
    rows = math.ceil(len(found.steps) / COLUMNS)
    sheet = np.zeros((rows * CELL, COLUMNS * CELL, 3), np.uint8)
    for number, step in enumerate(found.steps):
        if number == 0:
            picture = _square(chosen.photo, CELL)
        elif number == len(found.steps) - 1:
            picture = _square(drawn(chosen, chosen.photo, mask), CELL)
        elif step.key in found.means:
            picture = _square(coloured(found.means[step.key]), CELL)
        else:
            continue
        top, left = number // COLUMNS * CELL, number % COLUMNS * CELL
        sheet[top : top + CELL, left : left + CELL] = picture
    return Sheet(encode_jpeg(sheet), COLUMNS, rows)


def _square(picture: np.ndarray, side: int) -> np.ndarray:
    """Stretch a picture to a square, as the network's input is; a small one without smoothing."""
    how = Image.Resampling.NEAREST if max(picture.shape[:2]) < side else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize((side, side), how))


def _mask_png(chosen: Chosen, mask: np.ndarray) -> bytes:
    """Return the mask as a square PNG in the classes' colours, the background transparent."""
    classes = chosen.entry.classes
    colours = np.zeros((256, 4), np.uint8)
    for number, colour in enumerate(classes.colours):
        colours[number] = (*colour, 0 if number == classes.background else 190)
    square = np.asarray(Image.fromarray(mask).resize((2 * CELL, 2 * CELL), Image.Resampling.NEAREST))
    return render.png(colours[square])
