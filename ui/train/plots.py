"""The plots of a run's test photos, and its model's plot and summary, to look at and to download."""

from __future__ import annotations

from functools import partial

import streamlit as st

from ui.shared import download
from unet_core.train.model_files import plots_zip
from unet_core.train.run_directory import RunDirectory
from unet_core.train.tested_photos import PANELS, panel_files


def plots(run: RunDirectory) -> None:
    """Draw photo, true mask, prediction and overlay of a few test photos, closed at first, with a download."""
    panels = panel_files(run)
    with st.expander("Test photos, model plot and summary", icon=":material/view_column:", key="train-plots"):
        for number, panel in enumerate(panels, start=1):
            st.image(panel, alt=f"Test photo {number}: {', '.join(PANELS)}")
        if not panels:
            st.caption("Test photos are plotted when they are evaluated, at the end of a complete run.")
        download.button(
            "Plots and summary",
            partial(plots_zip, run),
            f"{run.id}-plots.zip",
            "application/zip",
            key="train-download-plots",
            help="Test photos as PNG, the model's plot as SVG, and the text of model.summary()",
        )
