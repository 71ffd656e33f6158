"""Experiments with a trained network on a photo: what a change does to its mask, at once."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ui.architecture import arithmetic, experiment_subject, failing, gates, pixel, play
from ui.shared import format as text
from unet_core.images.decode import ImageError
from unet_core.settings import Settings
from unet_core.zoo.manifest import WeightsError

KIND = "experiment-kind"
EXPERIMENTS = {
    "Play": play.experiment,
    "Switch it off": gates.experiment,
    "Make it fail": failing.experiment,
    "Why this pixel?": pixel.experiment,
    "A layer on real pixels": arithmetic.experiment,
}


def section(settings: Settings) -> None:
    """Show the choice of model and photo, and the experiment."""
    make = _kind()
    try:
        chosen = experiment_subject.choose(settings)
        if chosen is not None:
            make(chosen)
    except (WeightsError, ImageError) as error:
        st.error(text.plain(str(error)), icon=":material/broken_image:")


def _kind() -> Callable[[experiment_subject.Chosen], None]:
    name = st.segmented_control(
        "Experiment", list(EXPERIMENTS), default=next(iter(EXPERIMENTS)), required=True, key=KIND,
        persist_state="session", label_visibility="collapsed", wrap=True,
    )  # fmt: skip
    return EXPERIMENTS[name]
