"""Home: introduction, a live example, links to the pages, and the status of model, dataset and machine."""

from __future__ import annotations

import streamlit as st

from ui.home import introduction
from ui.home.example_card import example_card
from ui.home.live_example import live_example
from ui.shared import format as text
from ui.shared import frame, status, tour
from ui.shared.models import default_model
from unet_core.segment import Failure
from unet_core.zoo.manifest import WeightsError


def draw() -> None:
    """Draw the page."""
    settings = frame.page(
        frame.HOME,
        frame.PRODUCT,
        "A U-Net is a neural network that assigns a class to every pixel of a photo. Try one on photos of cats and "
        "dogs, including your own, with a model that was trained in this project and runs on this machine.",
        figure=introduction.figure,
    )

    _ways_in()
    status.training_line(settings)
    example_slot = st.container()

    st.subheader("What you can do here", anchor=False)
    pages = frame.PAGES[1:]
    with st.grid(min(3, len(pages)), min_column_width=260):
        for entry in pages:
            with st.container(border=True, key=f"way-{entry.name.lower()}"):
                frame.link(entry)
                st.caption(entry.summary)

    st.subheader("Status", anchor=False)
    with st.grid(3, min_column_width=260):
        model_slot = st.container(border=True, height="stretch")
        with st.container(border=True, height="stretch"):
            status.dataset_card(settings)
        with st.container(border=True, height="stretch"):
            status.machine_card()

    try:
        with example_slot, st.spinner("Segmenting a photo on this machine…"):
            model = default_model(settings)
            example = live_example(model)
    except WeightsError as error:
        with model_slot:
            status.missing_model_card(str(error))
        example_slot.warning(
            "The live example needs the model, which cannot be used: see its card below.", icon=":material/image:"
        )
    else:
        with model_slot:
            status.model_card(model)
        with example_slot:
            if isinstance(example, Failure):
                st.error(text.plain(example.message))
            else:
                example_card(example)


def _ways_in() -> None:
    """Offer the tour and the introduction."""
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Show me", icon=":material/tour:", key="start-show", type="primary", on_click=tour.start, args=("show",),
            help="A guided tour of three minutes; Page Down goes on, and you can leave it at any time",
        )  # fmt: skip
        st.button(
            "What is a convolution?", icon=":material/school:", key="start-basics", on_click=tour.start,
            args=("basics",), help="An introduction of two minutes for people who have never seen a neural network",
        )  # fmt: skip
