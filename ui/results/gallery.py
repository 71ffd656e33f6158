"""Galleries: the photos that a model masks best, worst, like most others, and where it is least sure."""

from __future__ import annotations

import streamlit as st

from ui.data.catalogue import opened
from ui.data.sets import OXFORD, Dataset
from ui.results import options
from ui.results.methods import card
from ui.results.pictures import dataset_ready, picture
from ui.results.subject import DRAWN, TEST, Subject
from ui.shared import format as text
from ui.shared.legend import legend
from unet_core.data.oxford import oxford_pets
from unet_core.results.files import Photos
from unet_core.settings import Settings

BEST, MEDIAN, WORST, UNSURE = "best", "median", "worst", "most uncertain"
KINDS = (WORST, UNSURE, MEDIAN, BEST)
SHOWN = 9

_WORDS = {
    BEST: "The photos whose masks it gets most nearly right.",
    MEDIAN: "What most photos look like: half of all photos are better than these, half are worse.",
    WORST: "Where it fails. Some of these true masks are wrong or debatable, too: judge for yourself.",
    UNSURE: "Where the model itself says that it does not know: the highest mean entropy of its probabilities.",
}


def section(subject: Subject, settings: Settings) -> None:
    """Draw the chosen gallery, of test photos or of drawn pets."""
    if subject.evaluation is None:
        st.info("The galleries come with the model's full evaluation.", icon=":material/query_stats:")
        return
    name = _which_part(subject, settings)
    part = subject.part(name)
    if part is None:
        st.info(
            "The galleries show the dataset's photos, which are not here. The Data page downloads them.",
            icon=":material/photo_library:",
        )
        return
    how = (
        "All photos of the part in the order of their own IoU of the pet, border included; uncertainty is the mean "
        "entropy of the pixels' probabilities. The list comes from the model's file, the masks are computed now."
    )
    with card("Galleries", key="gallery", how=how, measured=subject.evaluation.measured):
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
        words = "Drawn by this program, exact masks." if name == DRAWN else _WORDS[kind]
        st.caption(f"{words} Left the model's mask, right the true one.")
        with st.grid(3, min_column_width=250):
            for index in chosen(part.photos, kind):
                _tile(subject, name, index, kind, settings)


def chosen(photos: Photos, kind: str, count: int = SHOWN) -> list[int]:
    """Return the indices of the photos in a gallery, the most telling one first."""
    if kind == UNSURE:
        return photos.ranked("uncertainty", largest=True)[:count]
    if kind == MEDIAN:
        ranked = photos.ranked()
        start = max(0, (len(ranked) - count) // 2)
        return ranked[start : start + count]
    return photos.ranked(largest=kind == BEST)[:count]


def _which_part(subject: Subject, settings: Settings) -> str:
    """Return the part to show; where the photos are here but not yet browsable, have that done and show progress."""
    own = subject.evaluation.data == oxford_pets.NAME
    here = own and TEST in subject.evaluation.parts and oxford_pets.status(settings.data_dir).present
    if here and not dataset_ready(subject, settings):
        opened(Dataset(OXFORD, oxford_pets.NAME, "photos"), settings)
    return TEST if dataset_ready(subject, settings) else DRAWN


def _tile(subject: Subject, part_name: str, index: int, kind: str, settings: Settings) -> None:
    shown = picture(subject, part_name, index, settings)
    if shown is None:
        return
    with st.container(gap="xxsmall", key=f"pair-{kind}-{index}"):
        st.image(shown.jpeg, width="stretch", alt=shown.spoken)
        unsure = ""
        if kind == UNSURE:
            value = subject.part(part_name).photos.uncertainty[index]
            unsure = f" · uncertainty {text.percent(value)}"
        st.caption(f"{shown.caption}{unsure}  \n{text.plain(shown.name)}")
