"""Galleries: a model's best, worst, median and most uncertain photos."""

from __future__ import annotations

import streamlit as st

from ui.data.catalogue import opened
from ui.data.sets import OXFORD, Dataset
from ui.results import options
from ui.results.methods import card
from ui.results.pictures import dataset_ready, part_to_show, picture
from ui.results.subject import DRAWN, TEST, Subject
from ui.shared import format as text
from ui.shared.legend import legend
from unet_core.data.oxford import oxford_pets
from unet_core.results.files import Evaluation, Photos
from unet_core.settings import Settings

BEST, MEDIAN, WORST, UNSURE = "best", "median", "worst", "most uncertain"
KINDS = (WORST, UNSURE, MEDIAN, BEST)
SHOWN = 9

_WORDS = {
    BEST: "The photos with the most accurate masks.",
    MEDIAN: "Typical photos: half of all photos score better than these, half worse.",
    WORST: "Where the model fails. Some of these ground-truth masks are themselves wrong or debatable.",
    UNSURE: "Where the model is least certain: the highest mean entropy of its probabilities.",
}


def section(subject: Subject, settings: Settings) -> None:
    """Draw the chosen gallery: of test photos, or, for a model of drawings, of synthetic pets."""
    evaluation = subject.evaluation
    if evaluation is None:
        st.info("The galleries need the model's full evaluation.", icon=":material/query_stats:")
        return
    _index_if_needed(subject, evaluation, settings)
    found = part_to_show(subject, settings)
    if found is None:
        st.info(
            "The galleries show the dataset's photos, which are not installed. The Data page downloads them.",
            icon=":material/photo_library:",
        )
        return
    name, part = found
    how = (
        "All photos of the part, ordered by their IoU of the pet, border included; uncertainty is the mean entropy of "
        "the pixels' probabilities. The list comes from the model's result file, the masks are computed now."
    )
    with card("Galleries", key="gallery", how=how, measured=evaluation.measured):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            kind = st.segmented_control(
                "Gallery",
                KINDS,
                default=options.GALLERY.default,
                required=True,
                label_visibility="collapsed",
                wrap=True,
                **options.GALLERY.widget,
            )
            legend()
        kind = kind if kind in KINDS else WORST
        words = "Drawn by this program, with exact masks." if name == DRAWN else _WORDS[kind]
        st.caption(f"{words} Left: the model's mask, right: the ground truth.")
        with st.grid(3, min_column_width=250):
            for index in chosen(part.photos, kind):
                _tile(subject, name, part.photos, index, kind, settings)


def chosen(photos: Photos, kind: str, count: int = SHOWN) -> list[int]:
    """Return the indices of the photos in a gallery, the most extreme first."""
    if kind == UNSURE:
        return photos.ranked("uncertainty", largest=True)[:count]
    if kind == MEDIAN:
        ranked = photos.ranked()
        start = max(0, (len(ranked) - count) // 2)
        return ranked[start : start + count]
    return photos.ranked(largest=kind == BEST)[:count]


def _index_if_needed(subject: Subject, evaluation: Evaluation, settings: Settings) -> None:
    """If the photos are installed but not indexed yet, start that and show progress."""
    own = evaluation.data == oxford_pets.NAME
    present = own and TEST in evaluation.parts and oxford_pets.status(settings.data_dir).present
    if present and not dataset_ready(subject, settings):
        opened(Dataset(OXFORD, oxford_pets.NAME, "photos"), settings)


def _tile(subject: Subject, part_name: str, photos: Photos, index: int, kind: str, settings: Settings) -> None:
    shown = picture(subject, part_name, index, settings)
    if shown is None:
        return
    with st.container(gap="xxsmall", key=f"pair-{kind}-{index}"):
        st.image(shown.jpeg, width="stretch", alt=shown.spoken)
        unsure = ""
        if kind == UNSURE:
            unsure = f" · uncertainty {text.percent(photos.uncertainty[index])}"
        st.caption(f"{shown.caption}{unsure}  \n{text.plain(shown.name)}")
