"""Data: what a segmentation model learns from, how to vary it, what goes wrong with it, and how to bring your own."""

import streamlit as st

from ui.data import browse, lab, options, own, pitfalls, sets, statistics
from ui.data.catalogue import opened
from ui.shared import frame
from ui.train import augmentation_choice

settings = frame.page(
    frame.DATA,
    "Data",
    "A U-Net learns from photos and masks. See both, vary them as training does, and catch the mistakes that spoil "
    "most trainings before they cost you one.",
    options=options.OPTIONS,
)
augmentation_choice.training_augmentation()  # what the address says about it must not wait for the lab
dataset = sets.picker(settings, on_change=browse.forget_choices)
browse_tab, statistics_tab, lab_tab, pitfalls_tab, own_tab = st.tabs(
    ["Browse", "Statistics", "Augmentation", "Pitfalls", "Bring your own"], **options.SECTION.widget
)
if browse_tab.open:
    with browse_tab:
        if catalogue := opened(dataset, settings):
            browse.section(catalogue)
elif statistics_tab.open:
    with statistics_tab:
        if catalogue := opened(dataset, settings):
            statistics.section(catalogue)
elif lab_tab.open:
    with lab_tab:
        if catalogue := opened(dataset, settings):
            lab.section(catalogue)
elif pitfalls_tab.open:
    with pitfalls_tab:
        if catalogue := opened(dataset, settings):
            pitfalls.section(catalogue, settings)
elif own_tab.open:
    with own_tab:
        own.section(dataset, settings)
