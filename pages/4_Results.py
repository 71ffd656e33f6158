"""Results: how accurate the shipped models are, where they fail, what they cost, and how each figure was measured."""

import streamlit as st

from ui.results import classes, compare, everyday, gallery, headline, options, reliability, speed, subject
from ui.shared import format as text
from ui.shared import frame
from ui.shared.sections import chosen_section
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
section = chosen_section(options.SECTION)
if section == options.COMPARE:
    compare.section(shown, shipped, settings)
elif section == options.CLASSES:
    classes.section(shown)
elif section == options.EVERYDAY:
    everyday.section(shown, settings)
elif section == options.RELIABILITY:
    reliability.section(shown)
elif section == options.PICTURES:
    gallery.section(shown, settings)
elif section == options.SPEED:
    speed.section(shipped, settings)
