"""Data: a segmentation dataset, its augmentation, classic mistakes with it, and custom datasets."""

import streamlit as st

from ui.data import browse, lab, options, own, pitfalls, sets, statistics
from ui.data.catalogue import opened
from ui.shared import frame
from ui.train import augmentation_choice

settings = frame.page(
    frame.DATA,
    "Data",
    "A U-Net trains on photos and masks. Browse both, preview data augmentation, see the classic mistakes, and check "
    "a dataset of your own before training on it.",
    options=options.OPTIONS,
)
augmentation_choice.training_augmentation()  # read the URL parameter even if the Augmentation tab is closed
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
