"""The live example: a sample photo, segmented on this server."""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st

from ui.segment.photos import Photo
from ui.segment.session_results import Choice, Result, segment_photo
from ui.shared.models import Model
from unet_core.images.samples import SAMPLES, Sample
from unet_core.segment import Failure
from unet_core.segment.shown import MaskPicture, OutlinePicture, Stage


@dataclass(frozen=True)
class Example:
    """A sample photo's segmentation, with the time of the measurement (`time.time()`)."""

    sample: Sample
    result: Result
    measured_at: float

    def outline(self) -> bytes:
        """Return the pet's opacity as an 8-bit PNG of the size of the photo that is displayed."""
        return self.result.picture(OutlinePicture())

    def mask(self) -> bytes:
        """Return the class ids as an 8-bit PNG of the same size."""
        return self.result.picture(MaskPicture())


def live_example(model: Model) -> Example | Failure:
    """Segment the first of the samples; the result is kept for ten minutes."""
    return _example(model.key, model)


@st.cache_resource(ttl=600, max_entries=2, show_spinner=False)  # seconds: a string would import pandas, 70 MB
def _example(key: str, _model: Model) -> Example | Failure:
    name = next(iter(SAMPLES))
    photo = sample_photo(name)
    choice = Choice(_model.name)
    segment_photo(photo, choice, _model.segmenter)  # warms the engine up
    result = segment_photo(photo, choice, _model.segmenter, [Stage()])
    if isinstance(result, Failure):
        return result
    return Example(SAMPLES[name], result, time.time())


@st.cache_resource(show_spinner=False)
def sample_photo(name: str) -> Photo:
    """Return one of the sample photos by its name in addresses."""
    return Photo.of(SAMPLES[name].name, SAMPLES[name].read())
