"""The headline: a model, its scores with their setting, and three photos from the middle of its ranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui.results.methods import how_button
from ui.results.pictures import part_to_show, picture, sample_picture, typical
from ui.results.subject import DRAWN, TEST, VALIDATION, Subject
from ui.shared import format as text
from unet_core.architecture.trace import trace
from unet_core.images.samples import SAMPLES
from unet_core.settings import Settings

# How each photo was segmented: in a sentence, and in a few words.
SINGLE = ("in a single pass", "single pass")
FLIPPED = ("with horizontal-flip averaging", "horizontal-flip averaging")
ZOOMED = ("with a zoomed second pass on the part where the pets are", "zoomed second pass")


def headline(subject: Subject, settings: Settings) -> None:
    """Draw the model's title, its scores and three photos."""
    figures = _figures(subject)
    with st.container(border=True, key="figure-headline"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.subheader(text.plain(subject.title), anchor=False, width="content")
            if subject.evaluation is not None:
                how_button(_how(subject), subject.evaluation.measured, key="headline")
        st.caption(_setting(subject, figures))
        if figures:
            _metrics(subject, figures)
        _three(subject, settings)


def _figures(subject: Subject) -> Mapping[str, Any]:
    """Return the scores on the test photos: from the result file if it is up to date, else from the manifest."""
    part = subject.part(TEST)
    if part is not None and not subject.found.stale:
        return part.model_dump(mode="json", exclude={"photos"})
    return subject.entry.metrics.get(TEST, {})


def _how(subject: Subject) -> str:
    passes, _ = _passes(subject)
    return (
        f"Each photo was segmented {passes}, as on the Segment page; the probabilities were resized to the size of the "
        "comparison, and the most probable class of each pixel was compared with the ground truth. IoU of a class: the "
        "pixels that both masks give it, divided by those that at least one does, over all photos. The test part is "
        "the dataset's official one; training and the choice of its best epoch use other photos."
    )


def _passes(subject: Subject) -> tuple[str, str]:
    """Return how the photos of `_figures` were segmented: in a sentence, and in a few words."""
    found = subject.evaluation
    if found is None or subject.found.stale:
        return ZOOMED if subject.entry.second_look else SINGLE
    return ZOOMED if found.second_look else FLIPPED if found.flip else SINGLE


def _setting(subject: Subject, figures: Mapping[str, Any]) -> str:
    config = subject.entry.config
    parts = []
    if figures.get("images"):
        height, width = figures["image_size"]
        parts.append(
            f"{text.number(figures['images'])} official test photos of the Oxford-IIIT Pet dataset, compared at "
            f"{text.pixels(width, height)}, {len(figures['classes'])} classes, {_passes(subject)[1]}"
        )
    else:
        parts.append("not measured on test photos")
    traced = trace(config)
    parts.append(f"{text.number(traced.total_params)} parameters")
    macs = text.number(traced.total_macs * subject.entry.passes / 1e6)
    parts.append("at least " * subject.entry.second_look + f"{macs} million multiply-accumulates per photo")
    return " · ".join(parts)


def _metrics(subject: Subject, figures: Mapping[str, Any]) -> None:
    validation = subject.part(VALIDATION)
    pet = figures.get("pet_iou") or {}
    with st.grid(6, min_column_width=130):
        _share("Pixel accuracy", figures.get("pixel_accuracy"), validation and validation.pixel_accuracy)
        _share("Mean IoU", figures.get("mean_iou"), validation and validation.mean_iou)
        _share("Pet and border", pet.get("dataset"), validation and (validation.pet_iou or {}).get("dataset"), _PET)
        _share("Pet alone", figures.get("iou", {}).get("pet"), validation and validation.iou.get("pet"))
        latency = subject.entry.latency
        if latency.get("milliseconds"):
            machine = f"{latency.get('what', 'network alone')}; {latency.get('machine', '')}"
            st.metric("Time per photo", text.milliseconds(latency["milliseconds"]), help=machine)
        if "onnx" in subject.entry.files:
            st.metric("ONNX file", text.byte_size(subject.entry.files["onnx"].bytes))


_PET = "IoU with the border counted as pet, over all pixels."


def _share(label: str, value: float | None, validation: float | None, note: str = "") -> None:
    if value is None:
        return
    beside = f"On the validation photos: {text.percent(validation)}." if validation else ""
    st.metric(label, text.percent(value), help=" ".join(filter(None, (note, beside))) or None)


def _three(subject: Subject, settings: Settings) -> None:
    found = part_to_show(subject, settings)
    if found is None:
        _samples(subject, settings)
        return
    name, part = found
    with st.grid(3, min_column_width=240):
        for index, share in zip(typical(part), ("a quarter", "half", "three quarters"), strict=True):
            shown = picture(subject, name, index, settings)
            if shown is None:
                continue
            with st.container(gap="xxsmall", key=f"pair-{index}"):
                st.image(shown.jpeg, width="stretch", alt=shown.spoken)
                st.caption(f"{shown.caption} · better than {share} of the photos")
    if name == DRAWN:
        st.caption(
            "Left: the model's mask, right: the ground truth. These are synthetic pets with exact masks; the model is "
            "made for photos. Once the dataset is ready on the Data page, its test photos are shown instead."
        )
    else:
        st.caption("Left: the model's mask, right: the ground truth. Test photos, which the model was not trained on.")


def _samples(subject: Subject, settings: Settings) -> None:
    """Draw the sample photos with the model's mask, where the photos that the figures belong to are not installed."""
    with st.grid(3, min_column_width=240):
        for key, sample in SAMPLES.items():
            shown = sample_picture(subject, sample, settings)
            if shown is None:
                continue
            with st.container(gap="xxsmall", key=f"sample-{key}"):
                st.image(shown, width="stretch", alt=f"{sample.alt}, with the model's mask")
                st.caption(sample.credit)
    st.caption(
        "Photos from elsewhere, so without a score: the test photos that the figures belong to appear here once the "
        "dataset is ready on the Data page."
    )
