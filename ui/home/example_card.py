"""The live example: a photo, its segmentation on this machine, and the times."""

from __future__ import annotations

import time

import streamlit as st

from ui.components.photo_stage import photo_stage
from ui.home.live_example import Example
from ui.shared import format as text
from ui.shared import frame
from ui.shared.legend import legend


def example_card(example: Example) -> None:
    """Show the photo and its cut-out with legend, shares, time and device, and a link to the Segment page."""
    result = example.result
    with st.container(border=True, key="example"):
        picture, facts = st.columns([2, 1], gap="medium", vertical_alignment="center")
        with picture:
            photo_stage(
                result.shown_jpeg,
                example.outline(),
                example.mask(),
                colours=result.pixel_classes.colours,
                view="slider",
                label=f"{example.sample.alt}, and the same pet cut out",
                file_name=result.file_name("cutout"),
                key="example",
            )
        with facts:
            st.markdown(
                f"Segmented in **{text.milliseconds(result.timings['total'])}** on {text.plain(result.device)} "
                f"with {text.plain(result.engine)}"
            )
            legend(result.shares, column=True)
            st.caption(f"{text.stages(result.timings)}, measured here {text.ago(time.time() - example.measured_at)}.")
            frame.go_button(frame.SEGMENT, "Segment your own photos")
        st.caption(example.sample.credit)
