"""Calibration and robustness: does the model know when it is wrong, and what makes it fail?"""

from __future__ import annotations

import streamlit as st

from ui.results import charts, options
from ui.results.methods import card
from ui.results.subject import TEST, Subject
from ui.shared import format as text
from unet_core.results.files import Calibration, Curve, Provenance, Robustness

ALL = options.CORRUPTION.default


def section(subject: Subject) -> None:
    """Draw calibration and robustness."""
    evaluation, part = subject.evaluation, subject.part(TEST)
    if evaluation is None or part is None:
        st.info("These figures need the model's full evaluation.", icon=":material/query_stats:")
        return
    left, right = st.columns([2, 3])
    with left:
        _calibration(part.calibration, part.images, evaluation.measured)
    with right:
        if evaluation.robustness is not None:
            _robustness(evaluation.robustness, evaluation.measured, subject)


def _calibration(found: Calibration, images: int, measured: Provenance) -> None:
    how = (
        f"All pixels of {text.number(images)} test photos, in {len(found.pixels)} bins by the probability of the "
        "predicted class (the confidence). The expected calibration error is the mean, over all pixels, of the "
        "difference between a bin's mean confidence and its accuracy (Guo et al., ICML 2017). The probabilities are "
        "the model's own, not recalibrated."
    )
    with card("Does it know when it is unsure?", key="calibration", how=how, measured=measured):
        with st.grid(2, min_column_width=130):
            st.metric("Calibration error", text.percent(found.error), help="Expected calibration error")
            direction = "Overconfident by" if found.overconfidence >= 0 else "Underconfident by"
            st.metric(direction, text.percent(abs(found.overconfidence)), help="Mean confidence minus accuracy")
        st.vega_lite_chart(charts.reliability(found), alt="Reliability diagram: accuracy against confidence")
        st.vega_lite_chart(charts.confidence(found), alt="Share of the pixels by confidence")
        st.caption(f"On the dashed line, pixels with 80 % confidence are right four times in five. {_mass(found)}")


def _mass(found: Calibration) -> str:
    share = found.pixels[-1] / max(1, sum(found.pixels))
    return f"{text.percent(share, 0)} of the pixels are in the last bin."


def _robustness(found: Robustness, measured: Provenance, subject: Subject) -> None:
    corruptions = "\n".join(
        f"- **{curve.title}**: {curve.description}: {', '.join(curve.strengths)}" for curve in found.curves
    )
    how = (
        f"{text.number(found.images)} test photos ({found.chosen}), reduced to at most {found.side} pixels and then "
        "corrupted; random corruptions are seeded by the photo's name, so every model gets the same pictures. None of "
        f"this code is used in training.{_trained_on(subject)}\n\n{corruptions}"
    )
    with card("What makes it fail?", key="robustness", how=how, measured=measured):
        titles = [curve.title for curve in found.curves]
        chosen = st.segmented_control(
            "Corruption",
            [ALL, *titles],
            default=ALL,
            required=True,
            label_visibility="collapsed",
            wrap=True,
            **options.CORRUPTION.widget,
        )
        highlighted = chosen if chosen in titles else None
        chart = charts.robustness(found.curves, highlighted)
        st.vega_lite_chart(chart, alt="Mean IoU under corruptions of increasing strength")
        curve = next((curve for curve in found.curves if curve.title == highlighted), None)
        st.caption(_overall(found) if curve is None else _one(curve))


def _trained_on(subject: Subject) -> str:
    """Say which of these corruptions training used too, in milder form, according to the model's recipe."""
    known = subject.entry.recipe.get("config", {}).get("augmentation") or {}
    if not known.get("enabled"):
        return ""
    words = [
        f"{label} (±{known[key]:{form}}{unit})"
        for key, label, form, unit in (
            ("rotation", "rotation", "g", "°"),
            ("brightness", "brightness", ".0%", ""),
            ("contrast", "contrast", ".0%", ""),
        )
        if known.get(key)
    ]
    return f" Its augmentation varied {', '.join(words)}, milder than most strengths here." if words else ""


def _overall(found: Robustness) -> str:
    clean = found.curves[0].mean_iou[0]
    lost = {curve.title: clean - curve.mean_iou[3] for curve in found.curves if len(curve.mean_iou) > 3}
    if not lost:
        return ""
    worst, best = max(lost, key=lost.__getitem__), min(lost, key=lost.__getitem__)
    return (
        f"Unchanged, these photos score {text.percent(clean)}. At the third strength, {worst.lower()} costs most "
        f"({_points(lost[worst])}), {best.lower()} least ({_points(lost[best])})."
    )


def _one(curve: Curve) -> str:
    strong = zip(curve.strengths, curve.mean_iou[1:])
    steps = ", ".join(f"{strength}: {text.percent(value)}" for strength, value in strong)
    return f"{curve.description}. Unchanged: {text.percent(curve.mean_iou[0])}; {steps}."


def _points(lost: float) -> str:
    return text.quantity(100 * lost, "points", 1)
