"""The augmentation lab: one photo, all settings of data augmentation, and eight random draws."""

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
SIDE = 256  # pixels; like training, the lab first resizes to a square and then augments
SLOT, SHOWN, ROUND = "lab-work", "lab-shown", "lab-round"
STRONG = AugmentationConfig(
    flip_vertical=False, rotation=45, zoom=(0.5, 2), stretch=1.4, shear=15, translation=0.25, brightness=0.3,
    contrast=0.5, saturation=0.6, hue=25,
)  # fmt: skip
PRESETS = {"default": AugmentationConfig(), "flips only": FLIPS_ONLY, "strong": STRONG, "off": OFF}


class Dial(NamedTuple):
    """One slider of the lab."""

    field: str
    label: str
    format: str
    help: str

    @property
    def range(self) -> Range:
        """The slider's range, as on the Train page."""
        return offered(AugmentationConfig, self.field)

    @property
    def step(self) -> float:
        """The slider's step, as on the Train page."""
        step = BY_PATH[f"augmentation.{self.field}"].step
        assert step is not None  # every number of the form has one
        return float(step)


MOVES = (
    Dial("rotation", "Rotation", "%g°", "Largest angle, in either direction"),
    Dial("zoom", "Size of the object", "%.2f ×", "Random factor between the two values"),
    Dial("stretch", "Stretch", "%.2f ×", "Largest change of the aspect ratio"),
    Dial("shear", "Shear", "%g°", "Largest angle, in either direction"),
    Dial("translation", "Shift", "percent", "Largest shift in any direction, as a share of the side"),
)
COLOURS = (
    Dial("brightness", "Brightness", "percent", "Largest change, darker or lighter, as a share of the full range"),
    Dial("contrast", "Contrast", "percent", "Largest change, lower or higher"),
    Dial("saturation", "Saturation", "percent", "Largest change, paler or more colourful"),
    Dial("hue", "Hue", "%g°", "Largest rotation of the colour circle, in either direction"),
    Dial("grey", "Grey", "percent", "Share of photos converted to greyscale"),
    Dial("blur", "Blur", "percent", "Share of photos that are blurred, each by a random amount"),
    Dial("noise", "Noise", "percent", "Largest standard deviation, as a share of the full range"),
)
PAIRS = (
    Dial("paste", "Cut and paste", "percent",
         "Share of photos onto which the objects of another photo are pasted; here, of another draw"),
)  # fmt: skip
DIALS = (*MOVES, *COLOURS, *PAIRS)


@st.fragment
def section(opened: Opened) -> None:
    """Show the photo's draws, the settings beside them, and how to use them in training."""
    _seed_widgets()
    pictures, switches = st.columns([5, 3], gap="large")
    with switches:
        config = _switches(augmentation_choice.background_class(opened.dataset))
    with pictures:
        entry = subjects.subject(opened, help="Name of a photo of the dataset, or part of it")
        _draws(opened, entry.name, config)
    _training(opened.dataset, config)


def _draws(opened: Opened, name: str, config: AugmentationConfig) -> None:
    """Show the original photo and eight draws; the previous draws stay until the new ones are ready."""
    photo, mask = _square(*opened.catalogue.example(name))
    round_ = st.session_state.get(ROUND, 0)
    key = opened.key, name, config.to_json(None), round_
    work = background.ask(SLOT, key, preview_draws, photo, mask, config, DRAWS, round_)
    if not background.done(work):
        _grid(opened, name, photo, mask, st.session_state.get(SHOWN, []))
        background.await_quietly(work, "Starting the preview process; the first time takes a few seconds.")
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
            _outlined(photo, mask, opened), text.plain(name), width="stretch", alt=f"{name}, original, with its mask"
        )
        for number in range(1, DRAWS + 1):
            picture = _outlined(*draws[number - 1], opened) if draws else _blank()
            st.image(picture, f"draw {number}", width="stretch", alt=f"Draw {number} with its mask's outline")


def _outlined(photo: np.ndarray, mask: np.ndarray, opened: Opened) -> bytes:
    return jpeg(render.overlay(photo, mask, opacity=0.15, colours=opened.colours))


def _blank() -> bytes:
    """Return a pale square as a placeholder for a draw, as PNG."""
    buffer = io.BytesIO()
    Image.new("LA", (SIDE, SIDE), (128, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def _square(photo: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return resized_photo(photo, (SIDE, SIDE)), resized_mask(mask, (SIDE, SIDE))


def _draw_again() -> None:
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1


# --- the settings -----------------------------------------------------------------------------------------------------


def _key(field: str) -> str:
    return f"lab-{field}"


def _seed_widgets() -> None:
    """Initialize the widgets with the augmentation applied to training, else with the defaults."""
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
    enabled = st.toggle("Data augmentation", key=_key("enabled"), persist_state="session")
    values: dict[str, Any] = {"enabled": enabled}
    with st.container(horizontal=True):
        for field, label in (("flip_horizontal", "Horizontal flip"), ("flip_vertical", "Vertical flip")):
            values[field] = st.toggle(label, key=_key(field), disabled=not enabled, persist_state="session")
    groups = {"Photo and mask": MOVES, "Photo only": COLOURS, "Two photos of a batch": PAIRS}
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


# --- use in training ------------------------------------------------------------------------------------------------


def _training(dataset: Dataset, config: AugmentationConfig) -> None:
    applied = augmentation_choice.training_augmentation() == config
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown("**Use it in training**", width="content")
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
    options = ["python -m unet_core train --preset pets_fast", f"--data {shlex.quote(dataset.argument)}", "--epochs 10"]
    return " ".join([*options, *augmentation_choice.command_options(config)])
