"""Segment: add photos and see which pixels are pet, background and border, and how confident the model is."""

import streamlit as st
from streamlit import runtime

from ui.segment import batch, gallery, options
from ui.segment.inference import choose, named
from ui.segment.session_results import ENGINES
from ui.segment.speed import device_badge
from ui.segment.workspace import clear, intake, open_workspace
from ui.shared import format as text
from ui.shared import frame, url
from ui.shared.legend import choose_colours
from ui.shared.models import load, model_choices, ready
from unet_core.segment.engine import keep_tensorflow_out_of_process
from unet_core.zoo.manifest import WeightsError

LEAD = (
    "Add photos of cats and dogs and see, pixel by pixel, what is pet, background and border, and how confident the "
    "model is."
)
LEAD_OF_RUN = "Add photos and see, pixel by pixel, what your model {title} finds in them, and how confident it is."
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
except WeightsError as error:
    st.error(text.plain(str(error)), title="The model cannot be used", icon=":material/heart_broken:")
    st.stop()

lead = st.empty()
if not workspace.photos:
    own = next((each for each in models if each.kind == "run" and each.name == url.asked(options.MODEL)), None)
    lead.markdown(LEAD_OF_RUN.format(title=f"**{text.plain(own.title)}**") if own else LEAD)
with st.container(key="intake"):  # in the same place with and without photos: moved, an uploader forgets its errors
    intake(workspace, settings)
    privacy = ":material/lock: Photos stay in this server's memory, never on disk, and are deleted with your session."
    limits = (
        f"Up to {settings.max_files} photos of {text.quantity(settings.max_upload_mb, 'MB')} and "
        f"{text.quantity(settings.max_megapixels, 'megapixels')} each: JPEG, PNG, WebP, GIF, BMP or TIFF."
    )
    if workspace.photos:
        st.caption(privacy, help=f"{limits} {KEPT}")
    else:
        st.caption(f"{privacy} {limits}")
for note in workspace.store.notes:
    st.warning(text.plain(note), icon=":material/info:")
photo = batch.opened_photo(workspace)
if not workspace.photos:
    st.stop()

with st.container(horizontal=True, vertical_alignment="center", gap="small", key="with-what"):
    with st.popover("Model and inference mode", icon=":material/tune:", key="model-and-mode"):
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
    st.markdown(text.plain(named(choice, models)), width="content")
    device_badge(model.segmenter.device, ENGINES[model.segmenter.engine])
    st.space("stretch")
    st.button("Remove all", icon=":material/delete_sweep:", type="tertiary", on_click=clear, args=(workspace,))

shown = [photo] if photo else workspace.photos
if model.entry.origin.note and not all(gallery.is_drawn(each) for each in shown):
    st.caption(f":material/info: {model.entry.origin.note}")
if photo:
    batch.one_photo(photo, workspace, choice, models, colours, settings)
else:
    batch.all_photos(workspace, choice, colours, settings)
