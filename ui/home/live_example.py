"""The live example: the sample photo, segmented on this server."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from ui.segment.photos import Photo
from ui.segment.session_results import Choice, Result, overlay_jpeg, segment_photo
from ui.shared.models import Model
from unet_core.images import samples
from unet_core.segment import Failure

EXAMPLE_OPACITY = 0.45


@dataclass(frozen=True)
class Example:
    """The sample photo's segmentation, with the time of the measurement (`time.time()`)."""

    result: Result
    overlay: bytes
    measured_at: float


def live_example(model: Model) -> Example | Failure:
    """Segment the sample photo; the result is kept for ten minutes."""
    return _example(model.key, model)


@st.cache_resource(ttl=600, max_entries=2, show_spinner=False)  # seconds: a string would import pandas, 70 MB
def _example(key: str, _model: Model) -> Example | Failure:
    photo = sample_photo()
    choice = Choice(_model.name)
    segment_photo(photo, choice, _model.segmenter)  # warms the engine up
    result = segment_photo(photo, choice, _model.segmenter)
    if isinstance(result, Failure):
        return result
    return Example(result, overlay_jpeg(result, EXAMPLE_OPACITY, outline=True), time.time())


@st.cache_resource(show_spinner=False)
def sample_photo() -> Photo:
    """Return scikit-image's cat photo as a file."""
    return Photo.of(samples.CAT_NAME, samples.cat_png())
