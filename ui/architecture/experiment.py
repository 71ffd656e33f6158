"""Experiments with a trained network on a photo: what a change does to its mask, at once."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ui.architecture import arithmetic, experiment_subject, failing, gates, options, pixel, play, state
from ui.architecture.state import View
from ui.shared import format as text
from unet_core.images.decode import ImageError
from unet_core.settings import Settings
from unet_core.zoo.manifest import WeightsError

KIND = "experiment-kind"
EXPERIMENTS = {
    options.PLAY: play.experiment,
    options.SWITCH: gates.experiment,
    options.FAIL: failing.experiment,
    options.PIXEL: pixel.experiment,
    options.ARITHMETIC: arithmetic.experiment,
}


def section(view: View, settings: Settings) -> None:
    """Show the choice of model and photo, and the experiment."""
    make = _kind(view)
    try:
        chosen = experiment_subject.choose(settings)
        if chosen is not None:
            make(chosen)
    except (WeightsError, ImageError) as error:
        st.error(text.plain(str(error)), icon=":material/broken_image:")


def _kind(view: View) -> Callable[[experiment_subject.Chosen], None]:
    """Show the choice of the experiment, and return what shows it."""
    if st.session_state.get(KIND) != view.experiment:
        st.session_state[KIND] = view.experiment
    st.segmented_control(
        "Experiment", list(EXPERIMENTS), required=True, key=KIND, label_visibility="collapsed", wrap=True,
        on_change=lambda: state.change(experiment=st.session_state[KIND] or view.experiment),
    )  # fmt: skip
    return EXPERIMENTS[view.experiment]
