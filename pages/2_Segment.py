"""Segment: add photos and see which pixels are pet, background and border, and how confident the model is."""

import streamlit as st
from streamlit import runtime

from ui.segment import batch, gallery, options
from ui.segment.cluster import cluster_section
from ui.segment.inference import choose, named
from ui.segment.session_results import ENGINES
from ui.segment.workspace import intake, limits, open_workspace
from ui.shared import format as text
from ui.shared import frame, url
from ui.shared.legend import choose_colours
from ui.shared.models import load, model_choices, ready
from unet_core.segment.engine import keep_tensorflow_out_of_process
from unet_core.segment.photo_process import wake
from unet_core.zoo.manifest import WeightsError

LEAD = (
    "Add photos of cats and dogs and see, pixel by pixel, what is pet, background and border, and how confident the "
    "model is."
)
LEAD_OF_RUN = "Add photos and see, pixel by pixel, what your model {title} finds in them, and how confident it is."
PRIVACY = (
    ":material/lock: Photos stay in this server's memory, on disk only if you train on them, and are deleted with your "
    "session."
)
KEPT = (
    "A session ends about two minutes after its page was closed; until then, the same browser finds its photos again, "
    "as after a reload."
)

settings = frame.page(frame.SEGMENT, "Segment your photos", options=options.OPTIONS)
if runtime.exists():  # not in a test, whose process may have imported TensorFlow already
    keep_tensorflow_out_of_process()
workspace = open_workspace(settings)
try:
    models = model_choices(settings, linked=[url.asked(option) for option in (options.MODEL, options.MODEL2)])
    if not workspace.photos:
        load(None, "auto", settings)  # reports an unusable model before any photo is added
        wake()
except WeightsError as error:
    st.error(text.plain(str(error)), title="The model cannot be used", icon=":material/heart_broken:")
    st.stop()

lead = st.empty()
if not workspace.photos:
    own = next((each for each in models if each.kind == "run" and each.name == url.asked(options.MODEL)), None)
    lead.markdown(LEAD_OF_RUN.format(title=f"**{text.plain(own.title)}**") if own else LEAD)
line = intake(workspace, settings)  # in the same place with and without photos: moved, an uploader forgets its errors
for note in workspace.store.notes:
    st.warning(text.plain(note), icon=":material/info:")
photo = batch.opened_photo(workspace)
if not workspace.photos:
    st.caption(f"{PRIVACY} {limits(settings)} {KEPT}")
    cluster_section(None, models, settings)
    st.stop()

with line:
    with st.popover("Model", icon=":material/tune:", key="model-and-mode"):
        choice = choose(models)
    try:
        if not ready(choice.model, choice.engine, settings):
            st.stop()
        with st.spinner("Loading the model…"):
            model = load(choice.model, choice.engine, settings)
    except WeightsError as error:
        st.error(text.plain(str(error)), title="This model cannot be used", icon=":material/heart_broken:")
        st.stop()
    with st.popover("Colours", icon=":material/palette:", key="colours"):
        colours = choose_colours(model.segmenter.pixel_classes, options.PALETTE, options.GROUND)
    st.caption(
        f"{text.plain(named(choice, models))} · {text.plain(ENGINES[model.segmenter.engine])}",
        help=f"Runs on {text.plain(model.segmenter.device)}",
        width="content",
    )

cluster_section(choice, models, settings)
shown = [photo] if photo else workspace.photos
if model.entry.origin.note and not all(gallery.is_drawn(each) for each in shown):
    st.caption(f":material/info: {model.entry.origin.note}")
if photo:
    batch.one_photo(photo, workspace, choice, models, colours, settings)
else:
    batch.all_photos(workspace, choice, colours, settings)
st.caption(PRIVACY, help=f"{limits(settings)} {KEPT}")
