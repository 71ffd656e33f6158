"""Experiments with a trained network on a photo: what a change does to its mask, at once."""

from __future__ import annotations

import streamlit as st

from ui.architecture import experiment_subject, gates
from ui.shared import format as text
from unet_core.images.decode import ImageError
from unet_core.settings import Settings
from unet_core.zoo.manifest import WeightsError


def section(settings: Settings) -> None:
    """Show the choice of model and photo, and the experiment."""
    try:
        chosen = experiment_subject.choose(settings)
        if chosen is not None:
            gates.experiment(chosen)
    except (WeightsError, ImageError) as error:
        st.error(text.plain(str(error)), icon=":material/broken_image:")
