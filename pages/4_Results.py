"""Results: how good the shipped models are, where they fail, what they cost, and how each figure was measured."""

import streamlit as st

from ui import format as text
from ui import frame
from ui.results import classes as figures_classes
from ui.results import compare as figures_compare
from ui.results import everyday as figures_everyday
from ui.results import gallery as figures_gallery
from ui.results import headline
from ui.results import reliability as figures_reliability
from ui.results import speed as figures_speed
from ui.results import subject as figures_subject
from unet_core.weights import WeightsError, load_manifest

settings = frame.page(
    frame.RESULTS,
    "Results",
    "How good the models are, measured on photos that they never learnt from; where they fail, and what they cost. "
    "Every figure comes from a file that one command makes again.",
)
try:
    shipped = figures_subject.subjects(load_manifest(settings), settings)
except WeightsError as error:
    st.error(text.plain(str(error)), title="The models cannot be used", icon=":material/heart_broken:")
    figures_compare.section(None, {}, settings)
    st.stop()

subject = figures_subject.picker(shipped)
figures_subject.problem_note(subject)
headline.headline(subject, settings)
compare, classes, everyday, reliability, gallery, speed = st.tabs(
    ["Compare", "Classes and breeds", "Everyday photos", "Reliability", "Gallery", "Measure here"],
    key="section",
    bind="query-params",
)
if compare.open:
    with compare:
        figures_compare.section(subject, shipped, settings)
elif classes.open:
    with classes:
        figures_classes.section(subject)
elif everyday.open:
    with everyday:
        figures_everyday.section(subject, settings)
elif reliability.open:
    with reliability:
        figures_reliability.section(subject)
elif gallery.open:
    with gallery:
        figures_gallery.section(subject, settings)
elif speed.open:
    with speed:
        figures_speed.section(shipped, settings)
