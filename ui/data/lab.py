"""The augmentation lab: one photo, every switch of the training's augmentation, and eight draws of what it does."""

from __future__ import annotations

import io
import shlex
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
from PIL import Image

from ui.data import subject as subjects
from ui.data.catalogue import Opened, jpeg
from ui.data.sets import Dataset
from ui.shared import background
from ui.shared import format as text
from ui.shared.fields import Range, explained, offered
from ui.train import augmentation_choice
from ui.train.fields import BY_PATH
from unet_core.data.augmentation import FLIPS_ONLY, OFF, AugmentationConfig
from unet_core.data.preview import Draws, preview_draws
from unet_core.errors import UNetError
from unet_core.images import render
from unet_core.images.square import resized_mask, resized_photo

DRAWS = 8
SIDE = 256  # pixels; training resizes to a square first and varies that, and so does the lab
SLOT, SHOWN, ROUND = "lab-work", "lab-shown", "lab-round"
STRONG = AugmentationConfig(
    flip_vertical=False, rotation=45, zoom=(0.5, 2), stretch=1.4, shear=15, translation=0.25, brightness=0.3,
    contrast=0.5, saturation=0.6, hue=25,
)  # fmt: skip
PRESETS = {"usual": AugmentationConfig(), "flips only": FLIPS_ONLY, "strong": STRONG, "off": OFF}


class Dial(NamedTuple):
    """One slider of the lab."""

    field: str
    label: str
    format: str
    help: str

    @property
    def range(self) -> Range:
        """What the slider offers: the same as the Train page."""
        return offered(AugmentationConfig, self.field)

    @property
    def step(self) -> float:
        """The Train page's step."""
        return float(BY_PATH[f"augmentation.{self.field}"].step)


MOVES = (
    Dial("rotation", "Rotation", "%g°", "to either side"),
    Dial("zoom", "Size of the pet", "%.2f ×", "drawn between the two"),
    Dial("stretch", "Stretch", "%.2f ×", "largest change of width against height"),
    Dial("shear", "Shear", "%g°", "to either side"),
    Dial("translation", "Shift", "percent", "share of the side, in every direction"),
)
COLOURS = (
    Dial("brightness", "Brightness", "percent", "share of the full range, darker or lighter"),
    Dial("contrast", "Contrast", "percent", "less or more"),
    Dial("saturation", "Saturation", "percent", "paler or more colourful"),
    Dial("hue", "Hue", "%g°", "around the colour circle, to either side"),
    Dial("grey", "Grey", "percent", "share of photos that lose their colour"),
    Dial("blur", "Blur", "percent", "share of photos that are softened, each by another amount"),
    Dial("noise", "Noise", "percent", "strongest grain, as a share of the range from black to white"),
)
PAIRS = (
    Dial("paste", "Cut and paste", "percent",
         "share of photos onto which what another photo shows is pasted; here that is another draw of this one"),
)  # fmt: skip
DIALS = (*MOVES, *COLOURS, *PAIRS)


@st.fragment
def section(opened: Opened) -> None:
    """Draw the photo's draws, the switches beside them, and what the choice means for training."""
    _seed_widgets()
    pictures, switches = st.columns([5, 3], gap="large")
    with switches:
        config = _switches(augmentation_choice.background_class(opened.dataset))
    with pictures:
        entry = subjects.subject(opened, help="The name of any photo of the dataset, or a part of one")
        _draws(opened, entry.name, config)
    _training(opened.dataset, config)


def _draws(opened: Opened, name: str, config: AugmentationConfig) -> None:
    """Show the photo as it is and eight draws; while a draw takes long, what was shown before stays."""
    photo, mask = _square(*opened.catalogue.example(name))
    round_ = st.session_state.get(ROUND, 0)
    key = opened.key, name, config.to_json(None), round_
    work = background.ask(SLOT, key, preview_draws, photo, mask, config, DRAWS, round_)
    if not background.done(work):
        _grid(opened, name, photo, mask, st.session_state.get(SHOWN, []))
        background.await_quietly(work, "Starting the process that draws; the first time takes a few seconds.")
        return
    try:
        st.session_state[SHOWN] = draws = work.result()
    except UNetError as error:
        st.warning(text.plain(str(error)), icon=":material/error:")
        st.button("Try again", key="lab-retry", on_click=background.forget, args=(SLOT,))
        return
    _grid(opened, name, photo, mask, draws)
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Draw again", icon=":material/casino:", key="lab-again", on_click=_draw_again)


def _grid(opened: Opened, name: str, photo: np.ndarray, mask: np.ndarray, draws: Draws) -> None:
    with st.grid(3, min_column_width=100, gap="small"):
        st.image(
            _outlined(photo, mask, opened), text.plain(name), width="stretch", alt=f"{name} as it is, with its mask"
        )
        for number in range(1, DRAWS + 1):
            picture = _outlined(*draws[number - 1], opened) if draws else _blank()
            st.image(picture, f"draw {number}", width="stretch", alt=f"Draw {number} with its mask's outline")


def _outlined(photo: np.ndarray, mask: np.ndarray, opened: Opened) -> bytes:
    return jpeg(render.overlay(photo, mask, opacity=0.15, colours=opened.colours))


def _blank() -> bytes:
    """Return a pale square that keeps a draw's place, as PNG."""
    buffer = io.BytesIO()
    Image.new("LA", (SIDE, SIDE), (128, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def _square(photo: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return resized_photo(photo, (SIDE, SIDE)), resized_mask(mask, (SIDE, SIDE))


def _draw_again() -> None:
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1


# --- the switches -----------------------------------------------------------------------------------------------------


def _key(field: str) -> str:
    return f"lab-{field}"


def _seed_widgets() -> None:
    """Give the switches their first values: what was applied before, else the usual ones."""
    if _key("enabled") not in st.session_state:
        _set(augmentation_choice.training_augmentation() or AugmentationConfig())


def _set(config: AugmentationConfig) -> None:
    for field in AugmentationConfig.model_fields:
        value = getattr(config, field)
        dial = next((dial for dial in DIALS if dial.field == field), None)
        st.session_state[_key(field)] = value if dial is None else _within(value, dial)


def _within(value: Any, dial: Dial) -> Any:
    if isinstance(value, tuple):
        return tuple(_within(part, dial) for part in value)
    return float(min(max(value, dial.range.low), dial.range.high))


def _switches(background: int) -> AugmentationConfig:
    with st.container(horizontal=True, gap="xsmall"):
        for name, preset in PRESETS.items():
            st.button(name, key=f"lab-preset-{name}", on_click=_set, args=(preset,))
    enabled = st.toggle("Vary the photos", key=_key("enabled"), persist_state="session")
    values: dict[str, Any] = {"enabled": enabled}
    with st.container(horizontal=True):
        for field, label in (("flip_horizontal", "Flip left to right"), ("flip_vertical", "Flip upside down")):
            values[field] = st.toggle(label, key=_key(field), disabled=not enabled, persist_state="session")
    groups = {"Photo and mask together": MOVES, "The photo only": COLOURS, "Two photos of a batch": PAIRS}
    for heading, dials in groups.items():
        st.caption(heading)
        with st.grid(2, min_column_width=150, gap="small"):
            for dial in dials:
                values[dial.field] = _dial(dial, disabled=not enabled)
    return AugmentationConfig(**values, paste_background=background)


def _dial(dial: Dial, disabled: bool) -> Any:
    return st.slider(
        dial.label,
        *map(float, dial.range),
        step=dial.step,
        format=dial.format,
        help=explained(AugmentationConfig, dial.field, dial.help),
        key=_key(dial.field),
        disabled=disabled,
        persist_state="session",
    )


# --- what it means for training ---------------------------------------------------------------------------------------


def _training(dataset: Dataset, config: AugmentationConfig) -> None:
    applied = augmentation_choice.training_augmentation() == config
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown("**Take it to training**", width="content")
            st.button(
                "Applied" if applied else "Apply to training",
                icon=":material/check:" if applied else ":material/model_training:",
                type="secondary" if applied else "primary",
                key="lab-apply",
                disabled=applied,
                on_click=augmentation_choice.apply_augmentation,
                args=(config,),
            )
        st.code(train_command(dataset, config), language="bash", wrap_lines=True)
        with st.expander("As JSON, for a training configuration", icon=":material/data_object:"):
            st.code(config.to_json(), language="json")


def train_command(dataset: Dataset, config: AugmentationConfig) -> str:
    """Return the command that trains on the dataset with this augmentation."""
    options = ["python -m unet_core train --preset pets_fast", f"--data {shlex.quote(dataset.data)}", "--epochs 10"]
    return " ".join([*options, *augmentation_choice.command_options(config)])
