"""What experiments are made with: a trained network, and a photo with its true mask where that is known."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import streamlit as st
from PIL import Image

from ui.home.live_example import sample_photo
from ui.segment.gallery import Exhibit, open_gallery
from ui.segment.photos import Photo
from ui.shared import attention, models
from ui.shared import format as text
from ui.shared.uploads import own_photo
from unet_core.classes import BACKGROUND, CLASS_NAMES
from unet_core.errors import UNetError
from unet_core.explain.probe import subject_of
from unet_core.images import render
from unet_core.images.decode import decode_image
from unet_core.images.interpolate import class_map
from unet_core.images.samples import SAMPLES
from unet_core.images.square import resized_mask
from unet_core.segment.turns import concurrency_limit
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry

MODEL, PHOTO, UPLOAD = "experiment-model", "experiment-photo", "experiment-upload"
SIDE = 640  # pixels of the photo's longer side, which is enough to look at
WITH_TRUTH = 3  # photos on offer whose true mask is known


class Abandoned(UNetError):
    """Work that nobody waits for any more."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """A network and a photo.

    Attributes:
        model, title: the model's name and what it is called.
        entry, settings: of the model, for `unet_core`.
        photo: (H, W, 3) uint8.
        truth: (H, W) bool, where the subject really is; None if nobody knows.
        key: stands for model and photo together, in caches.
    """

    model: str
    title: str
    entry: ModelEntry
    settings: Settings
    photo: np.ndarray = field(repr=False)
    truth: np.ndarray | None = field(repr=False)
    key: str

    def mask(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the class ids of probabilities (h, w, classes) at the photo's size, (H, W) uint8."""
        return class_map(probabilities, *self.photo.shape[:2])

    def inside(self, mask: np.ndarray) -> np.ndarray:
        """Return where a mask of class ids shows the subject, bool of the same shape."""
        return np.isin(mask, subject_of(self.entry))


def choose(settings: Settings) -> Chosen | None:
    """Show the choice of model and photo, and return it; None while a run's model is being exported.

    Raises:
        WeightsError: there is no such model, or its file is missing.
        ImageError: the photo cannot be used.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="experiment-choices"):
        choices = {choice.name: choice for choice in models.model_choices(settings)}
        model = st.selectbox(
            "Trained network", list(choices), format_func=lambda name: choices[name].title, key=MODEL, width=260,
            persist_state="session",
        )  # fmt: skip
        photo, credit = _photo(settings)
    st.caption(credit)
    if not models.ready(model, "onnx", settings):
        return None
    entry, found_in = models.onnx_entry(model, settings)
    pixels = decode_image(photo.data, name=photo.name, max_side=SIDE, settings=settings)
    key = f"{model}-{entry.files['onnx'].sha256}-{photo.digest}"
    return Chosen(model, choices[model].title, entry, found_in, pixels, _truth(photo, entry, pixels), key)


def turns(chosen: Chosen) -> Callable[[], AbstractContextManager[object]]:
    """Return what to enter for each run of the network, on any thread: all that run one in this process take turns.

    It raises `Abandoned` once the visitor's tab is closed.
    """
    limit, owner, session = concurrency_limit(chosen.settings), attention.visitor_key(), attention.session_id()

    def check(_: int) -> None:
        if attention.is_gone(session):
            raise Abandoned("The visitor has gone.")

    def turn() -> AbstractContextManager[object]:
        check(0)
        return limit.slot(check, owner=owner)

    return turn


def drawn(chosen: Chosen, photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw the classes' colours over a photo, the background left as it is: (H, W, 3) uint8, a new array."""
    classes = chosen.entry.classes
    colours = [None if number == classes.background else colour for number, colour in enumerate(classes.colours)]
    return render.overlay(photo, mask, colours=colours)


def _photo(settings: Settings) -> tuple[Photo, str]:
    """Show the choice of photo, and return it with whose it is."""
    gallery = open_gallery(settings)
    with_truth = {exhibit.key: exhibit for exhibit in gallery.page(1)[:WITH_TRUTH]}
    name = st.selectbox(
        "Photo", [*SAMPLES, *with_truth], format_func=lambda name: _title(name, with_truth), key=PHOTO, width=260,
        persist_state="session",
    )  # fmt: skip
    upload = own_photo(UPLOAD, settings)
    if upload is not None:
        return Photo.of(upload.name, upload.getvalue()), f"{text.plain(upload.name)}, your own photo: no true mask"
    if name in with_truth:
        return gallery.photo(with_truth[name]), gallery.credit(1)
    return sample_photo(name), f"{SAMPLES[name].credit} Nobody has drawn its true mask."


def _title(name: str, with_truth: dict[str, Exhibit]) -> str:
    return f"{with_truth[name].title}, true mask known" if name in with_truth else SAMPLES[name].title


def _truth(photo: Photo, entry: ModelEntry, pixels: np.ndarray) -> np.ndarray | None:
    """Return where the pet is, if that is known and the network looks for pets."""
    if photo.truth is None or not set(entry.class_names) <= set(CLASS_NAMES):
        return None
    codes = np.asarray(Image.open(io.BytesIO(photo.truth)))
    return resized_mask(codes, pixels.shape[:2]) != BACKGROUND.code
