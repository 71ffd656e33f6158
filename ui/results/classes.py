"""Scores per class, per breed, per species and by size of the pet."""

from __future__ import annotations

import numpy as np
import streamlit as st

from ui.data.charts import hexadecimal
from ui.results import charts, options
from ui.results.methods import card
from ui.results.subject import TEST, VALIDATION, Subject
from ui.shared import format as text
from ui.shared.lazy import pd
from unet_core.images.render import class_colour
from unet_core.results.files import PartResult, Provenance


def section(subject: Subject) -> None:
    """Draw the scores by class and by group of photos."""
    evaluation = subject.evaluation
    if evaluation is None:
        st.info("These figures need the model's full evaluation.", icon=":material/query_stats:")
        return
    parts = [name for name in (TEST, VALIDATION) if name in evaluation.parts]
    chosen = parts[0]
    if len(parts) > 1:
        chosen = st.segmented_control(
            "Part of the dataset",
            parts,
            default=parts[0],
            required=True,
            help=" · ".join(f"{text.number(evaluation.parts[name].images)} {name} photos" for name in parts),
            **options.PART.widget,
        )
    part = evaluation.parts.get(chosen or parts[0], evaluation.parts[parts[0]])
    left, right = st.columns(2)
    with left:
        _per_class(part, evaluation.measured)
        _confusion(part, evaluation.measured)
        _species(part, evaluation.measured)
        _sizes(part, evaluation.measured)
    with right:
        _breeds(part, evaluation.measured)
        _histogram(part, evaluation.measured)


def _per_class(part: PartResult, measured: Provenance) -> None:
    how = (
        "Over all pixels of all photos. Precision: the share of the pixels predicted as this class that belong to it. "
        "Recall: the share of the class's pixels that were found. Dice: twice the overlap divided by the sum of both "
        "areas."
    )
    with card("Classes", key="classes", how=how, measured=measured):
        columns = {"IoU": part.iou, "Dice": part.dice, "precision": part.precision, "recall": part.recall}
        table = pd.DataFrame({label: [values.get(name) for name in part.classes] for label, values in columns.items()})
        table.insert(0, "class", list(part.classes))
        mean = {"class": "mean", **{label: table[label].mean() for label in columns}}
        table = pd.concat([table, pd.DataFrame([mean])], ignore_index=True)
        shown = {label: st.column_config.NumberColumn(label, format="percent") for label in columns}
        st.dataframe(table, hide_index=True, width="stretch", column_config=shown, alt="Scores of each class")
        st.caption(_border_sentence(part))


def _border_sentence(part: PartResult) -> str:
    scores = {name: value for name in part.classes if (value := part.iou.get(name)) is not None}
    worst = min(scores, key=scores.__getitem__)
    alone, both = part.iou.get("pet"), (part.pet_iou or {}).get("dataset")
    sentence = f"The hardest class is {worst}."
    if worst == "border" and alone and both:
        sentence += (
            f" It is a rim a few pixels wide that the annotators left unclassified; counting it as pet raises the "
            f"pet's IoU from {text.percent(alone)} to {text.percent(both)}."
        )
    return sentence


def _confusion(part: PartResult, measured: Provenance) -> None:
    how = "Each row shows how a true class's pixels were classified, as shares of the row. The diagonal is the recall."
    with card("Confusion matrix", key="confusion", how=how, measured=measured):
        st.vega_lite_chart(charts.confusion(part.confusion_matrix, part.classes), alt="Confusion matrix")


def _species(part: PartResult, measured: Provenance) -> None:
    if len(part.species) < 2:
        return
    how = "The same scores, over all pixels of each species' photos."
    with card("Cats and dogs", key="species", how=how, measured=measured):
        colours = [hexadecimal(class_colour(number)) for number in range(len(part.classes))]
        st.vega_lite_chart(charts.group_bars(part.species, part.classes, colours), alt="IoU of each class by species")
        st.caption(
            " · ".join(
                f"{text.plain(group.name)}: {text.number(group.photos)} photos, mean IoU {_percent(group.mean_iou)}"
                for group in part.species
            )
        )


def _sizes(part: PartResult, measured: Provenance) -> None:
    if not part.pet_sizes:
        return
    how = "Photos grouped by the true share of pet and border in them; the mean of their IoU, border included."
    with card("Size of the pet", key="sizes", how=how, measured=measured):
        st.vega_lite_chart(charts.sizes(part.pet_sizes), alt="IoU by the share of the photo that the pet covers")
        counts = ", ".join(f"{text.number(group.photos)} {group.name}" for group in part.pet_sizes)
        st.caption(f"Photos: {counts}.")


def _histogram(part: PartResult, measured: Provenance) -> None:
    values = np.asarray(part.photos.iou)
    how = "IoU of the pet, border included, computed for each photo."
    with card("Distribution over photos", key="histogram", how=how, measured=measured):
        st.vega_lite_chart(charts.iou_histogram(part.photos.iou), alt="Histogram of the IoU per photo")
        st.caption(
            f"Half of the photos are above {text.percent(float(np.median(values)))}; "
            f"{text.percent(float((values < 0.5).mean()))} are below 50 %."
        )


def _breeds(part: PartResult, measured: Provenance) -> None:
    if not part.breeds:
        return
    how = (
        "The scores of each breed's photos. The axis does not start at 0. There are few photos per breed, so "
        "differences of a percent or two mean little."
    )
    with card("Breeds", key="breeds", how=how, measured=measured):
        with st.container(horizontal=True):
            order = st.selectbox("Order", options.BREEDS.choices, width=150, **options.BREEDS.widget)
            measure = st.selectbox("Measure", list(charts.BREED_MEASURES), width=180, **options.MEASURE.widget)
        st.vega_lite_chart(charts.breeds(part.breeds, measure, order), alt=f"{measure} of each breed")


def _percent(value: float | None) -> str:
    return "–" if value is None else text.percent(value)
