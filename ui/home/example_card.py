"""The live example: a photo, its segmentation on this machine, and the times."""

from __future__ import annotations

import time

import streamlit as st

from ui.home.live_example import Example
from ui.shared import format as text
from ui.shared import frame
from ui.shared.legend import legend
from unet_core.images.samples import CAT_CREDIT


def example_card(example: Example) -> None:
    """Show photo and overlay side by side with legend, shares, time and device, and a link to the Segment page."""
    result = example.result
    with st.container(border=True, key="example"):
        grid = st.grid(3, min_column_width=250, gap="medium", vertical_alignment="center")
        grid.image(result.shown_jpeg, width="stretch", alt="A ginger tabby cat looking at the camera")
        grid.image(example.overlay, width="stretch", alt="The same cat with pet, background and border coloured")
        with grid.cell():
            st.markdown(
                f"Segmented in **{text.milliseconds(result.timings['total'])}** on {text.plain(result.device)} "
                f"with {text.plain(result.engine)}"
            )
            legend(result.shares, column=True)
            st.caption(f"{text.stages(result.timings)}, measured here {text.ago(time.time() - example.measured_at)}.")
            frame.go_button(frame.SEGMENT, "Segment your own photos")
        st.caption(CAT_CREDIT)
