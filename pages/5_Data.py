"""Data: what a segmentation model learns from, how to vary it, what goes wrong with it, and how to bring your own."""

import streamlit as st

from ui import frame, training_choice
from ui.data import browse as data_browse
from ui.data import lab as data_lab
from ui.data import own as data_own
from ui.data import pitfalls as data_pitfalls
from ui.data import sets
from ui.data import statistics as data_statistics
from ui.data.catalogue import opened

settings = frame.page(
    frame.DATA,
    "Data",
    "A U-Net learns from photos and masks. See both, vary them as training does, and catch the mistakes that spoil "
    "most trainings before they cost you one.",
)
training_choice.training_augmentation()  # what the address says about it must not wait for the lab
dataset = sets.picker(settings, on_change=data_browse.forget_choices)
browse, statistics, lab, pitfalls, own = st.tabs(
    ["Browse", "Statistics", "Augmentation", "Pitfalls", "Bring your own"], key="section", bind="query-params"
)
if browse.open:
    with browse:
        if catalogue := opened(dataset, settings):
            data_browse.section(catalogue)
elif statistics.open:
    with statistics:
        if catalogue := opened(dataset, settings):
            data_statistics.section(catalogue)
elif lab.open:
    with lab:
        if catalogue := opened(dataset, settings):
            data_lab.section(catalogue)
elif pitfalls.open:
    with pitfalls:
        if catalogue := opened(dataset, settings):
            data_pitfalls.section(catalogue, settings)
elif own.open:
    with own:
        data_own.section(dataset, settings)
