"""How a model does on photos like those that people upload: composed ones, with truth, kind by kind."""

from __future__ import annotations

import streamlit as st

from ui.results import charts, options
from ui.results.methods import card
from ui.results.pictures import composed_picture, dataset_ready
from ui.results.subject import Subject
from ui.shared import format as text
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.results.everyday_photos import RECIPE
from unet_core.results.files import Everyday, EverydayKind, Provenance
from unet_core.settings import Settings

ALL = options.KIND.default
WORST, BEST = "worst", "best"
SHOWN = 6


def section(subject: Subject, settings: Settings) -> None:
    """Draw the figures by kind, and composed photos with both masks where the dataset is present."""
    evaluation = subject.evaluation
    if evaluation is None:
        st.info("These figures come with the model's full evaluation.", icon=":material/query_stats:")
        return
    found = evaluation.everyday
    if found is None:
        st.info(
            f"This model's results are from before everyday photos were measured: `{subject.found.command}` adds them.",
            icon=":material/query_stats:",
        )
        return
    _figures(found, evaluation.measured, subject)
    _gallery(found, subject, settings)


def _figures(found: Everyday, measured: Provenance, subject: Subject) -> None:
    with card("Stand-ins for everyday photos", key="everyday", how=_how(found, subject), measured=measured):
        hardest = min(found.kinds, key=lambda kind: kind.photo_iou)
        failed = sum(iou < 0.5 for iou in found.photos.iou) / found.images
        with st.grid(3, min_column_width=150):
            st.metric("IoU of a photo", text.percent(found.photo_iou), help="Of the pet with its border, mean of all")
            st.metric(f"Hardest: {hardest.title.lower()}", text.percent(hardest.photo_iou), help=hardest.description)
            st.metric("Photos below 50 %", text.percent(failed))
        st.altair_chart(charts.everyday(found), alt="Mean IoU of the pet by kind of photo, with every single photo")
        st.caption(
            f"{text.number(found.images)} photos composed of the validation part; each thin line is one of them. "
            "“As photographed” are real ones, only cropped: what the others lose against it is the price of their "
            f"kind. {_loss(hardest)}"
        )


def _loss(kind: EverydayKind) -> str:
    """Say of which sort a kind's mistakes are."""
    if kind.precision is None:
        return ""
    return (
        f"{kind.title}: {text.percent(kind.recall, 0)} of the pet is found, and {text.percent(kind.precision, 0)} of "
        "what is called pet is."
    )


def _how(found: Everyday, subject: Subject) -> str:
    kinds = "\n".join(f"- **{kind.title}** ({kind.images}): {kind.description}" for kind in found.kinds)
    quick = f"`python -m unet_core.results.everyday --model {subject.name}` measures these figures alone."
    return (
        "There are no photos with exact masks from outside the dataset, so validation photos stand in, which training "
        f"never learns from: cut up and put together, {text.number(found.side)} pixels on the longer side, in four "
        "proportions. Which photos and where depends on their names alone, so every model gets the same pictures. Each "
        "goes the way of an upload, and the mask at the photo's own size is held against the pets' true cover, the "
        "annotators' border included, so a thin rim of a pasted pet's old surroundings counts as pet. Backgrounds are "
        "cut where the true mask shows no pet, or the pet in them counts. The figure is the mean of the photos' IoU. "
        f"{_training(subject)}{quick}\n\n{kinds}"
    )


def _training(subject: Subject) -> str:
    """Say whether training pasted pets too, as the model's recipe tells."""
    known = subject.entry.recipe.get("config", {}).get("augmentation") or {}
    if not known.get("enabled") or not known.get("paste"):
        return ""
    return f"Training pasted pets as well, {text.percent(known['paste'], 0)} of its own photos, with hard edges. "


def _gallery(found: Everyday, subject: Subject, settings: Settings) -> None:
    if found.recipe != RECIPE or subject.evaluation.data != OXFORD_PETS:
        return
    if not dataset_ready(subject, settings):
        st.caption("Where the dataset is ready on the Data page, the composed photos are shown here with both masks.")
        return
    how = "The list comes from the model's file; photos are composed and masks computed now."
    with card("See for yourself", key="everyday-gallery", how=how, measured=subject.evaluation.measured):
        with st.container(horizontal=True, vertical_alignment="center"):
            titles = {kind.title: kind for kind in found.kinds}
            title = st.selectbox("Kind", [ALL, *titles], width=190, label_visibility="collapsed", **options.KIND.widget)
            order = st.segmented_control(
                "Order",
                [WORST, BEST],
                default=options.ORDER.default,
                required=True,
                label_visibility="collapsed",
                **options.ORDER.widget,
            )
        kind = titles.get(title)
        words = f"{kind.title}: {kind.description}. " if kind else ""
        st.caption(f"{words}Left the model's mask, right the true one; the border counts as pet in both.")
        with st.grid(3, min_column_width=250):
            for index in chosen(found, kind, best=order == BEST):
                _tile(subject, found, index, settings)


def chosen(found: Everyday, kind: EverydayKind | None, *, best: bool, count: int = SHOWN) -> list[int]:
    """Return the indices of the worst or best photos, of one kind or of all; ties by name."""
    photos = found.photos
    own = [index for index, name in enumerate(photos.kind) if kind is None or name == kind.name]
    sign = -1 if best else 1
    return sorted(own, key=lambda index: (sign * photos.iou[index], photos.name[index]))[:count]


def _tile(subject: Subject, found: Everyday, index: int, settings: Settings) -> None:
    shown = composed_picture(subject, found.photos, index, settings)
    if shown is None:
        return
    with st.container(gap="xxsmall", key=f"pair-everyday-{index}"):
        st.image(shown.jpeg, width="stretch", alt=shown.spoken)
        title = next((kind.title for kind in found.kinds if kind.name == found.photos.kind[index]), "")
        st.caption(f"{shown.caption} · {text.plain(title.lower())}  \nof {text.plain(shown.name)}")
