"""How confident the model is about a photo: probabilities, uncertainty, and a threshold on the subject."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import streamlit as st

from ui.segment import options
from ui.segment.pictures import big_picture, encoded, take_button
from ui.segment.session_results import Result
from ui.segment.subject import choose_subject
from ui.shared import format as text
from ui.shared import frame, url
from ui.shared.lazy import pd
from ui.shared.legend import MOST_LISTED
from ui.shared.vega import Spec, percent_axis, quantitative
from unet_core.classes import PET
from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.segment import Segmentation, analysis
from unet_core.settings import Settings

CLASSES, UNCERTAINTY, THRESHOLD = MAPS = options.MAP.choices
ACCENT, NEUTRAL = "#14857a", "#8a98a0"  # chart colours, readable on light and dark


@dataclass(frozen=True)
class MapOptions:
    """Everything that determines how a map is drawn.

    Attributes:
        map: one of `MAPS`.
        colours: by class id, of the threshold's overlay.
        class_id: the class whose probability is shown.
        threshold, border: the least probability of the subject, and whether the border of pets belongs to it.
        subject: the class ids that the threshold counts; None are all but the background.
    """

    map: str
    colours: tuple[Colour | None, ...]
    class_id: int = 0
    threshold: float = 0.5
    border: bool = True
    subject: tuple[int, ...] | None = None


def confidence_section(result: Result, colours: tuple[Colour | None, ...], settings: Settings) -> None:
    """Draw the choice of maps and the chosen one, as a fragment."""

    @st.fragment
    def section() -> None:
        url.remember(frame.SEGMENT.name, options.OPTIONS)
        name = st.segmented_control(
            "Map", MAPS, default=options.MAP.default, required=True, label_visibility="collapsed", **options.MAP.widget
        )
        picture, details = st.columns([7, 3], gap="medium")
        shown = result.shown()
        with details:
            chosen = _controls(shown, MapOptions(name, colours))
        with picture, st.container(key="stage"):
            full = partial(_full_map, result, chosen, settings)
            big_picture(draw_map(shown, chosen), described_map(result, chosen), full)
        with details:
            take_button(result, name, full)

    section()


def draw_map(shown: Segmentation, chosen: MapOptions) -> np.ndarray:
    """Draw a map of a photo at the size of `shown`: (h, w, 3) uint8."""
    size = shown.size
    if chosen.map == CLASSES:
        return analysis.heat_map(shown, chosen.class_id, size=size)
    if chosen.map == UNCERTAINTY:
        return analysis.uncertainty(shown, size=size).picture()
    inside = analysis.threshold_mask(shown, chosen.threshold, border=chosen.border, subject=chosen.subject, size=size)
    mask = np.where(inside, np.uint8(0), np.uint8(1))
    first = (chosen.subject or analysis.subject_ids(shown.pixel_classes))[0]
    colours = chosen.colours[first] or shown.pixel_classes.colours[first], None
    return render.overlay(shown.image, mask, colours=colours)


def described_map(result: Result, chosen: MapOptions) -> str:
    """Describe a map for screen readers."""
    what = {
        CLASSES: f"as the probability of {result.classes[chosen.class_id]}",
        UNCERTAINTY: "as a map of the model's uncertainty",
        THRESHOLD: f"with the {analysis.subject_name(result.pixel_classes)} at a threshold of {chosen.threshold:.2f}",
    }
    return f"{result.name} {what[chosen.map]}"


def _full_map(result: Result, chosen: MapOptions, settings: Settings) -> np.ndarray:
    return draw_map(result.full(settings), chosen)


# --- what stands beside the picture ----------------------------------------------------------------------------------


def _controls(shown: Segmentation, chosen: MapOptions) -> MapOptions:
    """Draw the controls and figures of a map; return its options as chosen."""
    if chosen.map == CLASSES:
        return replace(chosen, class_id=_class(shown))
    if chosen.map == THRESHOLD:
        return _threshold(shown, chosen)
    _uncertainty(shown)
    return chosen


def _class(shown: Segmentation) -> int:
    classes = shown.classes
    if len(classes) > MOST_LISTED:
        name = st.selectbox("Probability of", classes, key="of-class")
    else:
        name = st.segmented_control(
            "Probability of", classes, default=classes[0], required=True, key="of-class", wrap=True
        )
    number = classes.index(name) if name in classes else 0
    share = analysis.probability(shown, [number]).mean()
    st.metric("Mean probability", text.percent(float(share)))
    _scale_bar("0", "1")
    return number


def _uncertainty(shown: Segmentation) -> None:
    found = analysis.uncertainty(shown)
    st.metric(
        "Uncertain pixels",
        text.percent(found.share),
        help=f"Pixels whose entropy exceeds {text.percent(found.limit, 0)} of the maximum",
    )
    _scale_bar("certain", "all classes equally likely")
    st.caption(f"Entropy of the class probabilities; on average {text.percent(found.mean)} of the maximum.")


def _threshold(shown: Segmentation, chosen: MapOptions) -> MapOptions:
    threshold = st.slider("Threshold", 0.0, 1.0, options.THRESHOLD.default, 0.01, "%.2f", **options.THRESHOLD.widget)
    border, subject, classes = True, None, shown.pixel_classes
    if PET.name not in classes.names:
        subject = choose_subject(classes)
    elif len(classes.subject) > 1:
        border = st.toggle("Count border as pet", options.WITH_BORDER.default, **options.WITH_BORDER.widget)
    curve = analysis.coverage_curve(shown, border=border, subject=subject)
    name = analysis.subject_name(classes) if subject in (None, classes.subject) else "subject"
    st.metric(f"{text.plain(name).capitalize()} share of the photo", text.percent(curve.at(threshold)))
    st.vega_lite_chart(_coverage_chart(curve, threshold), alt="Coverage by threshold")
    st.caption(text.plain(curve.sentence(threshold)))
    return replace(chosen, threshold=threshold, border=border, subject=subject)


def _coverage_chart(curve: analysis.CoverageCurve, threshold: float) -> Spec:
    area = {
        "data": {"name": "curve"},
        "mark": {"type": "area", "line": {"color": ACCENT}, "color": ACCENT, "opacity": 0.25},
        "encoding": {
            "x": quantitative("threshold", title=None, axis={"tickCount": 5, "grid": False}),
            "y": quantitative("coverage", title=None, axis=percent_axis(3)),
            "tooltip": [quantitative("threshold", format=".2f"), quantitative("coverage", format=".1%")],
        },
    }
    rule = {
        "data": {"name": "chosen"},
        "mark": {"type": "rule", "strokeWidth": 2, "color": NEUTRAL},
        "encoding": {"x": quantitative("threshold")},
    }
    return {
        "datasets": {
            "curve": pd.DataFrame({"threshold": curve.thresholds, "coverage": curve.coverage}),
            "chosen": pd.DataFrame({"threshold": [threshold]}),
        },
        "height": 130,
        "layer": [area, rule],
    }


def _scale_bar(low: str, high: str) -> None:
    st.image(encoded(analysis.colour_bar(), lossless=True), width="stretch", alt=f"Scale from {low} to {high}")
    st.html(f'<div class="scale-ends"><span>{low}</span><span>{high}</span></div>')
