"""Results: how accurate the shipped models are, where they fail, what they cost, and how each figure was measured."""

import streamlit as st

from ui.results import classes, compare, everyday, gallery, headline, options, reliability, speed, subject
from ui.shared import format as text
from ui.shared import frame
from unet_core.zoo.manifest import WeightsError, load_manifest

settings = frame.page(
    frame.RESULTS,
    "Results",
    "How accurate the models are on photos they were not trained on, where they fail, and what they cost. "
    "Every figure comes from a file that one command reproduces.",
    options=options.OPTIONS,
)
try:
    shipped = subject.subjects(load_manifest(settings), settings)
except WeightsError as error:
    st.error(text.plain(str(error)), title="The models cannot be used", icon=":material/heart_broken:")
    compare.section(None, {}, settings)
    st.stop()

shown = subject.picker(shipped)
subject.problem_note(shown)
headline.headline(shown, settings)
compare_tab, classes_tab, everyday_tab, reliability_tab, gallery_tab, speed_tab = st.tabs(
    ["Compare", "Classes and breeds", "Everyday photos", "Reliability", "Gallery", "Measure here"],
    **options.SECTION.widget,
)
if compare_tab.open:
    with compare_tab:
        compare.section(shown, shipped, settings)
elif classes_tab.open:
    with classes_tab:
        classes.section(shown)
elif everyday_tab.open:
    with everyday_tab:
        everyday.section(shown, settings)
elif reliability_tab.open:
    with reliability_tab:
        reliability.section(shown)
elif gallery_tab.open:
    with gallery_tab:
        gallery.section(shown, settings)
elif speed_tab.open:
    with speed_tab:
        speed.section(shipped, settings)
