"""The engine that all sessions share, and what can be said about the model behind it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from ui.results import Problem, Result, overlay_jpeg, segment_photo
from ui.tray import Photo
from unet_core import samples
from unet_core.segment import Segmenter
from unet_core.settings import Settings
from unet_core.weights import ModelEntry


@dataclass(frozen=True)
class Model:
    """A model that is ready to use: its name, its manifest entry, the shared engine and a key for caches."""

    name: str
    entry: ModelEntry
    segmenter: Segmenter
    key: str


def default_model(settings: Settings) -> Model:
    """Return the default model; its file is verified every time and its engine loaded once for all sessions.

    Raises:
        WeightsError: there is no manifest, no such file, or its hash differs; the text says what to do.
    """
    segmenter = Segmenter(settings=settings)
    files = "-".join(file.sha256[:16] for file in segmenter.entry.files.values())
    return Model(segmenter.model, segmenter.entry, segmenter, f"{segmenter.model}-{segmenter.engine}-{files}")


EXAMPLE_OPACITY = 0.45


@dataclass(frozen=True)
class Example:
    """The sample photo, segmented on this server, with the time of the measurement (`time.time()`)."""

    result: Result
    overlay: bytes
    measured_at: float


def live_example(model: Model) -> Example | Problem:
    """Segment the sample photo here and now; measured again after ten minutes."""
    return _example(model.key, model)


@st.cache_data(ttl="10m", max_entries=2, show_spinner=False)
def _example(key: str, _model: Model) -> Example | Problem:
    photo = sample_photo()
    segment_photo(photo, _model.segmenter)  # the first run of an engine also prepares it
    result = segment_photo(photo, _model.segmenter)
    if isinstance(result, Problem):
        return result
    return Example(result, overlay_jpeg(result, EXAMPLE_OPACITY, outline=True), time.time())


@st.cache_resource(show_spinner=False)
def sample_photo() -> Photo:
    """Return the cat that comes with scikit-image, as a file."""
    return Photo.of(samples.CAT_NAME, samples.cat_png())
