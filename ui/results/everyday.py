"""Scores on everyday photos: whole ones, and composed ones with exact masks, by kind."""

from __future__ import annotations

import streamlit as st

from ui.results import charts, options, whole_photos
from ui.results.methods import card
from ui.results.pictures import composed_picture, dataset_ready
from ui.results.subject import Subject
from ui.shared import format as text
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.results.everyday_photos import COMPOSITION
from unet_core.results.files import Evaluation, Everyday, EverydayKind, Provenance
from unet_core.settings import Settings

ALL = options.KIND.default
WORST, BEST = "worst", "best"
SHOWN = 6


def section(subject: Subject, settings: Settings) -> None:
    """Draw the figures on whole photos, the scores by kind and, if the dataset is ready, composed photos."""
    whole_photos.section(subject, settings)
    evaluation = subject.evaluation
    if evaluation is None:
        st.info("These figures need the model's full evaluation.", icon=":material/query_stats:")
        return
    found = evaluation.everyday
    if found is None:
        st.info(
            f"This model's result file does not have everyday photos yet: `{subject.found.command}` adds them.",
            icon=":material/query_stats:",
        )
        return
    _figures(found, evaluation.measured, subject)
    _gallery(found, evaluation, subject, settings)


def _figures(found: Everyday, measured: Provenance, subject: Subject) -> None:
    with card("Stand-ins for everyday photos", key="everyday", how=_how(found, subject), measured=measured):
        hardest = min(found.kinds, key=lambda kind: kind.photo_iou)
        failed = sum(iou < 0.5 for iou in found.photos.iou) / found.images
        with st.grid(3, min_column_width=150):
            st.metric("IoU per photo", text.percent(found.photo_iou), help="Pet with its border, mean over all photos")
            st.metric(f"Hardest: {hardest.title.lower()}", text.percent(hardest.photo_iou), help=hardest.description)
            st.metric("Photos below 50 %", text.percent(failed))
        st.vega_lite_chart(charts.everyday(found), alt="Mean IoU of the pet by kind of photo, and of each photo")
        st.caption(
            f"{text.number(found.images)} photos composed from the validation part; each thin line is one of them. "
            "“As photographed” are real photos, only cropped: compare the other kinds with it. "
            f"{_precision_and_recall(hardest)}"
        )


def _precision_and_recall(kind: EverydayKind) -> str:
    if kind.precision is None:
        return ""
    return (
        f"{kind.title}: {text.percent(kind.recall, 0)} of the pet is found, and {text.percent(kind.precision, 0)} of "
        "the predicted pet is correct."
    )


def _how(found: Everyday, subject: Subject) -> str:
    kinds = "\n".join(f"- **{kind.title}** ({kind.images}): {kind.description}" for kind in found.kinds)
    quick = f"`python -m unet_core.results.everyday --model {subject.name}` measures only these figures."
    return (
        "There are no photos with exact masks from outside the dataset, so validation photos, never trained on, "
        f"stand in: cut up and combined, {text.number(found.side)} pixels on the longer side, in four aspect ratios. "
        "The choice depends only on the photos' names, so every model gets the same pictures. Each is segmented as an "
        "upload is, and its mask is compared at the original size with the pets' exact masks, border included, so a "
        "thin rim of a pasted pet's old background counts as pet. Backgrounds are cut where the ground truth has no "
        "pet, or the pet in them counts too. The score is the mean IoU over the photos. "
        f"{_training(subject)}{quick}\n\n{kinds}"
    )


def _training(subject: Subject) -> str:
    """Say whether training pasted pets too, according to the model's recipe."""
    known = subject.entry.recipe.get("config", {}).get("augmentation") or {}
    if not known.get("enabled") or not known.get("paste"):
        return ""
    return f"Training pasted pets too, onto {text.percent(known['paste'], 0)} of the training photos, with hard edges. "


def _gallery(found: Everyday, evaluation: Evaluation, subject: Subject, settings: Settings) -> None:
    if found.recipe != COMPOSITION or evaluation.data != OXFORD_PETS:
        return
    if not dataset_ready(subject, settings):
        st.caption("Once the dataset is ready on the Data page, the composed photos are shown here with both masks.")
        return
    how = "The list comes from the model's result file; photos are composed and masks computed now."
    with card("Composed photos", key="everyday-gallery", how=how, measured=evaluation.measured):
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
        st.caption(f"{words}Left: the model's mask, right: the ground truth; the border counts as pet in both.")
        with st.grid(3, min_column_width=250):
            for index in chosen(found, kind, best=order == BEST):
                _tile(subject, found, index, settings)


def chosen(found: Everyday, kind: EverydayKind | None, *, best: bool, count: int = SHOWN) -> list[int]:
    """Return the indices of the worst or best photos, of one kind or of all kinds; ties by name."""
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
        st.caption(f"{shown.caption} · {text.plain(title.lower())}  \nfrom {text.plain(shown.name)}")
