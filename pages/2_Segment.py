"""Segment: bring photos, see which pixels are pet, background and border, take the masks away."""

from functools import partial

import streamlit as st

from ui import desk as desks
from ui import format as text
from ui import frame
from ui.cards import problem_card, result_card
from ui.engine import default_model, sample_photo
from ui.legend import legend
from ui.results import Problem
from unet_core.samples import CAT_CREDIT
from unet_core.weights import WeightsError

settings = frame.page(
    frame.SEGMENT,
    "Segment your photos",
    "Bring photos of cats and dogs and see, pixel by pixel, what is pet, background and border.",
)
try:
    with st.spinner("Loading the model…"):
        model = default_model(settings)
except WeightsError as error:
    st.error(text.plain(str(error)), title="The model cannot be used", icon=":material/heart_broken:")
    st.stop()

desk = desks.open_desk(settings)
desks.uploader(desk, settings)
st.caption(
    f":material/lock: Photos stay in this server's memory, are never written to disk and are gone with the session. "
    f"Up to {settings.max_files} photos of {text.quantity(settings.max_upload_mb, 'MB')} and "
    f"{text.quantity(settings.max_megapixels, 'megapixels')} each: JPEG, PNG, WebP, GIF, BMP or TIFF."
)
for note in desk.tray.notes:
    st.warning(text.plain(note), icon=":material/info:")

if not desk.photos:
    picture, words = st.columns([2, 3], gap="medium", vertical_alignment="center")
    picture.image(sample_photo().data, width="stretch", alt="A ginger tabby cat looking at you")
    with words:
        st.subheader("No photo at hand?", anchor=False)
        st.markdown(
            "Try this cat. Each photo comes back with its classes coloured in, their shares, the measured time, "
            "and the mask and overlay as PNG files of the photo's own size."
        )
        legend()
        st.button("Segment the sample", icon=":material/pets:", type="primary", on_click=desks.add_sample)
        st.caption(CAT_CREDIT)
    st.stop()

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    defaults = frame.SEGMENT.options
    percent = st.slider(
        "Opacity", 0, 100, defaults["opacity"], 5, "%d %%", key="opacity", bind="query-params", width=260
    )
    opacity = percent / 100
    outline = st.toggle("Outline", defaults["outline"], key="outline", bind="query-params")
    if sample_photo().digest not in desk.tray.photos:
        st.button("Add the sample", icon=":material/pets:", on_click=desks.add_sample)
    st.button("Remove all", icon=":material/delete_sweep:", on_click=desks.clear, args=(desk,))

photos = desk.photos
waiting = [photo for photo in photos if not desk.results.has(photo, model.key)]
progress = st.empty()
grid = st.grid(min(len(photos), 3), min_column_width=300)
cells = {photo.digest: grid.cell() for photo in photos}
for photo in photos:
    if len(waiting) > 1 and photo in waiting:
        done = waiting.index(photo)
        progress.progress(done / len(waiting), f"Segmenting {done + 1} of {len(waiting)}: {text.plain(photo.name)}")
    with cells[photo.digest]:
        found = desk.results.get(photo, model.segmenter, model.key)
        if isinstance(found, Problem):
            problem_card(found, photo.digest, on_remove=partial(desks.remove, desk))
        else:
            result_card(
                found,
                desk.results.overlay(found, model.key, opacity, outline),
                opacity=opacity,
                outline=outline,
                settings=settings,
                on_remove=partial(desks.remove, desk),
                alone=len(photos) == 1,
            )
progress.empty()
