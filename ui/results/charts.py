"""Charts of measured figures: one colour per class and species, everything else in the theme's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.data.charts import OTHER_COLOUR, PET_COLOUR, histogram
from ui.shared import format as text
from ui.shared.lazy import alt, pd
from unet_core.results.compared_networks import GROUPS
from unet_core.results.files import Calibration, Curve, Everyday, Group

if TYPE_CHECKING:
    Chart = alt.Chart | alt.LayerChart | alt.FacetChart


GREY = "#8a97a0"
# Okabe and Ito's palette (2008) for things other than classes, dark enough for both themes.
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a97a0")
SHIPPED = "shipped, fully trained"  # kind of the models in the manifest
KINDS = (*GROUPS, SHIPPED)
KIND_COLOURS: dict[str, str] = dict(zip(KINDS, LINES))
KIND_SHAPES = dict(zip(KINDS, ("diamond", "square", "triangle-up", "cross", "circle")))
BAR_STEP = 17  # pixels for each horizontal bar


@dataclass(frozen=True)
class Point:
    """One network of the chart of accuracy against cost."""

    key: str
    title: str
    kind: str
    mean_iou: float
    milliseconds: float
    megabytes: float
    million_macs: float
    setting: str


COSTS = {
    "time": ("milliseconds", "milliseconds per photo, network alone", "milliseconds", ".1f"),
    "file size": ("megabytes", "megabytes of the ONNX file", "megabytes", ".1f"),
    "computing": ("million_macs", "million multiply-accumulates per photo", "million MACs", ",.0f"),
}
POINT = "point"  # name of the chart's selection


def accuracy_against(points: Sequence[Point], cost: str, chosen: str) -> Chart:
    """Return mean IoU against one cost, which has a logarithmic axis; a click selects a point by its `key`."""
    field, title, unit, pattern = COSTS[cost]
    table = pd.DataFrame([vars(point) for point in points])
    table["size"] = np.where(table["key"] == chosen, 260, 120)
    kinds = list(dict.fromkeys(table["kind"]))
    low = float(table["mean_iou"].min())
    return (
        alt.Chart(table)
        .mark_point(filled=True, opacity=0.9, cursor="pointer")
        .encode(
            x=alt.X(f"{field}:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=24)),
            y=alt.Y(
                "mean_iou:Q",
                title="mean IoU",
                axis=_percent(),
                scale=alt.Scale(domain=[max(0.0, low - 0.05), min(1.0, float(table["mean_iou"].max()) + 0.05)]),
            ),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=kinds, range=[KIND_COLOURS[kind] for kind in kinds]),
                legend=None,  # above the chart, where it wraps on a phone
            ),
            shape=alt.Shape(
                "kind:N",
                scale=alt.Scale(domain=kinds, range=[KIND_SHAPES[kind] for kind in kinds]),
                legend=None,
            ),
            size=alt.Size("size:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("title:N", title="network"),
                alt.Tooltip("mean_iou:Q", title="mean IoU", format=".1%"),
                alt.Tooltip(f"{field}:Q", title=unit, format=pattern),
                alt.Tooltip("setting:N"),
            ],
        )
        .add_params(alt.selection_point(name=POINT, fields=["key"], empty=False))
        .properties(height=320)
    )


def budget_bars(rows: Sequence[tuple[str, float, str, str]], groups: Sequence[str]) -> Chart:
    """Return the mean IoU of each run (title, mean IoU, group, what it shows), in order, coloured by group."""
    table = pd.DataFrame(rows, columns=["network", "mean_iou", "group", "lesson"])
    table["label"] = [f"{value:.1%}" for value in table["mean_iou"]]
    most = min(1.0, 1.25 * float(table["mean_iou"].max()))  # room for the labels
    base = alt.Chart(table).encode(
        y=alt.Y("network:N", sort=None, title=None, axis=_names(230, in_lines=True)),
        x=alt.X("mean_iou:Q", title="mean IoU", axis=_percent(), scale=alt.Scale(domain=[0, most])),
    )
    bars = base.mark_bar(height=14).encode(
        color=alt.Color(
            "group:N",
            scale=alt.Scale(domain=list(groups), range=[KIND_COLOURS[group] for group in groups]),
            legend=None,
        ),
        tooltip=["network:N", alt.Tooltip("mean_iou:Q", title="mean IoU", format=".1%"), "lesson:N"],
    )
    labels = base.mark_text(align="left", dx=4, color=GREY).encode(text="label:N")
    return (bars + labels).properties(height=31 * len(table) + 60)


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Chart:
    """Return the confusion matrix, each cell as a share of its true class."""
    counts = np.asarray(matrix, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    table = pd.DataFrame(
        [
            (true, predicted, shares[row, column], counts[row, column], f"{shares[row, column]:.1%}")
            for row, true in enumerate(classes)
            for column, predicted in enumerate(classes)
        ],
        columns=["true", "predicted", "share", "pixels", "label"],
    )
    base = alt.Chart(table).encode(
        x=alt.X(
            "predicted:N",
            sort=list(classes),
            title="predicted",
            axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False),
        ),
        y=alt.Y("true:N", sort=list(classes), title="true", axis=alt.Axis(ticks=False, domain=False)),
    )
    cells = base.mark_rect(cornerRadius=4).encode(
        color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range=["#5b8fb022", "#0072b2"]), legend=None),
        tooltip=[
            "true:N",
            "predicted:N",
            alt.Tooltip("share:Q", title="share of the true class", format=".1%"),
            alt.Tooltip("pixels:Q", format=","),
        ],
    )
    # white on the darkest cells; the others let the page shine through and take its text colour, see assets/style.css
    labels = base.mark_text(fontWeight=600, fontSize=14).encode(
        text="label:N", color=alt.condition("datum.share > 0.88", alt.value("#ffffff"), alt.value(GREY))
    )
    return (cells + labels).properties(height=64 * len(classes) + 40)


BREED_MEASURES = {
    "IoU per photo": ("photo_iou", "IoU of the pet, mean over its photos"),
    "mean IoU": ("mean_iou", "mean IoU over the three classes"),
}


def breeds(groups: Sequence[Group], measure: str, order: str) -> Chart:
    """Return one dot for each breed (the axis starts above 0); `order` is "best first", "worst first" or by name."""
    field, title = BREED_MEASURES[measure]
    table = pd.DataFrame(
        [(text.words(group.name), getattr(group, field), group.species.lower(), group.photos) for group in groups],
        columns=["breed", "value", "species", "photos"],
    ).dropna()
    sort = {"best first": "-x", "worst first": "x"}.get(order, sorted(table["breed"], key=str.lower))
    kinds = sorted(set(table["species"]) - {""})
    colour = (
        alt.Color(
            "species:N",
            scale=alt.Scale(domain=kinds, range=[PET_COLOUR, OTHER_COLOUR][: len(kinds)]),
            legend=alt.Legend(orient="top", title=None, offset=2),
        )
        if 1 <= len(kinds) <= 2
        else alt.value(OTHER_COLOUR)
    )
    domain = [max(0.0, float(table["value"].min()) - 0.03), min(1.0, float(table["value"].max()) + 0.03)]
    return (
        alt.Chart(table)
        .mark_circle(size=90, opacity=1)
        .encode(
            y=alt.Y("breed:N", sort=sort, title=None, axis=_names(190, grid=True)),
            x=alt.X("value:Q", title=title, axis=_percent(), scale=alt.Scale(domain=domain)),
            color=colour,
            tooltip=["breed:N", alt.Tooltip("value:Q", title=title, format=".1%"), "photos:Q"],
        )
        .properties(height=BAR_STEP * len(table) + 50)
    )


def group_bars(groups: Sequence[Group], classes: Sequence[str], colours: Sequence[str]) -> Chart:
    """Return the IoU of each class for each group, as bars side by side."""
    rows = [(group.name, name, group.iou.get(name), group.photos) for group in groups for name in classes]
    table = pd.DataFrame(rows, columns=["group", "class", "iou", "photos"]).dropna()
    return (
        alt.Chart(table)
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X(
                "group:N",
                sort=[group.name for group in groups],
                title=None,
                axis=alt.Axis(labelAngle=0, ticks=False, labelOverlap=False),
            ),
            xOffset=alt.XOffset("class:N", sort=list(classes)),
            y=alt.Y("iou:Q", title="IoU", axis=_percent(), scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "class:N",
                scale=alt.Scale(domain=list(classes), range=list(colours)),
                legend=alt.Legend(orient="top", title=None, offset=2),
            ),
            tooltip=["group:N", "class:N", alt.Tooltip("iou:Q", title="IoU", format=".1%"), "photos:Q"],
        )
        .properties(height=240)
    )


def sizes(groups: Sequence[Group]) -> Chart:
    """Return the mean IoU of the photos by the pet's share of the photo."""
    table = pd.DataFrame(
        [(group.name, group.photo_iou, group.photos) for group in groups], columns=["size", "iou", "photos"]
    )
    table["label"] = [f"{value:.0%}" for value in table["iou"]]
    base = alt.Chart(table).encode(
        y=alt.Y("size:N", sort=list(table["size"]), title="pet share of the photo", axis=_names(120)),
        x=alt.X("iou:Q", title="IoU of the pet, mean over photos", axis=_percent(), scale=alt.Scale(domain=[0, 1])),
        tooltip=[
            alt.Tooltip("size:N"),
            alt.Tooltip("iou:Q", title="IoU", format=".1%"),
            alt.Tooltip("photos:Q", format=","),
        ],
    )
    bars = base.mark_bar(height=14, color=PET_COLOUR)
    labels = base.mark_text(align="right", dx=-5, color="#10181d", fontWeight=600).encode(text="label:N")
    return (bars + labels).properties(height=30 * len(table) + 40)


def iou_histogram(values: Sequence[float]) -> Chart:
    """Return the number of photos by IoU, in bins of 5 %."""
    counts, edges = np.histogram(values, bins=20, range=(0, 1))
    return histogram(counts, edges, "IoU of the pet, per photo")


def reliability(found: Calibration) -> Chart:
    """Return accuracy against confidence, with the line of perfect calibration."""
    bars = (
        alt.Chart(_bins(found))
        .mark_bar(color=OTHER_COLOUR, binSpacing=1)
        .encode(
            x=_confidence(None),
            x2="high:Q",
            y=alt.Y("accuracy:Q", title="accuracy", axis=_percent(), scale=alt.Scale(domain=[0, 1])),
            tooltip=_BIN_TOOLTIP,
        )
    )
    diagonal = (
        alt.Chart(pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]}))
        .mark_line(strokeDash=[5, 4], color=GREY, strokeWidth=1.5)
        .encode(x="x:Q", y="y:Q")
    )
    return (bars + diagonal).properties(height=250)


def confidence(found: Calibration) -> Chart:
    """Return each bin's share of the pixels, to be drawn below `reliability`."""
    return (
        alt.Chart(_bins(found))
        .mark_bar(color=GREY, binSpacing=1)
        .encode(
            x=_confidence("confidence of the network"),
            x2="high:Q",
            y=alt.Y("share:Q", title="pixels", axis=_percent(), scale=alt.Scale(domain=[0, 1])),
            tooltip=_BIN_TOOLTIP,
        )
        .properties(height=130)
    )


_BIN_TOOLTIP = [
    alt.Tooltip("confidence:Q", title="mean confidence", format=".1%"),
    alt.Tooltip("accuracy:Q", title="accuracy", format=".1%"),
    alt.Tooltip("share:Q", title="share of the pixels", format=".1%"),
]


def _confidence(title: str | None) -> alt.X:
    axis = alt.Axis(format="%", tickCount=5)
    return alt.X("low:Q", bin="binned", title=title, axis=axis, scale=alt.Scale(domain=[0, 1]))


def _bins(found: Calibration) -> pd.DataFrame:
    count, total = len(found.pixels), max(1, sum(found.pixels))
    rows = [
        (index / count, (index + 1) / count, sure, right, pixels / total)
        for index, (sure, right, pixels) in enumerate(zip(found.confidence, found.accuracy, found.pixels, strict=True))
        if sure is not None
    ]
    return pd.DataFrame(rows, columns=["low", "high", "confidence", "accuracy", "share"])


def robustness(curves: Sequence[Curve], highlighted: str | None) -> Chart:
    """Return the mean IoU under each corruption at increasing strength; one curve may be highlighted."""
    rows = [
        (curve.title, step, value, "unchanged" if not step else curve.strengths[step - 1])
        for curve in curves
        for step, value in enumerate(curve.mean_iou)
    ]
    table = pd.DataFrame(rows, columns=["corruption", "step", "mean_iou", "strength"])
    titles = [curve.title for curve in curves]
    highest = min(1.0, round(float(table["mean_iou"].max()), 1) + 0.1)
    faded = alt.value(1.0) if highlighted is None else alt.condition(
        alt.datum.corruption == highlighted, alt.value(1.0), alt.value(0.18)
    )  # fmt: skip
    return (
        alt.Chart(table)
        .mark_line(point=alt.OverlayMarkDef(filled=True, size=45), strokeWidth=2.2)
        .encode(
            x=alt.X(
                "step:O",
                title="strength",
                axis=alt.Axis(labelAngle=0, labelExpr="datum.value == 0 ? 'unchanged' : datum.value", ticks=False),
            ),
            y=alt.Y("mean_iou:Q", title="mean IoU", axis=_percent(), scale=alt.Scale(domain=[0, highest])),
            color=alt.Color(
                "corruption:N",
                scale=alt.Scale(domain=titles, range=list(LINES[: len(titles)])),
                legend=alt.Legend(orient="top", title=None, columns=3, offset=2),
            ),
            opacity=faded,
            tooltip=["corruption:N", "strength:N", alt.Tooltip("mean_iou:Q", title="mean IoU", format=".1%")],
        )
        .properties(height=380)
    )


def everyday(found: Everyday) -> Chart:
    """Return the mean IoU of each kind of composed photo as a bar, and each photo as a tick."""
    means = pd.DataFrame(
        [
            (kind.title, kind.photo_iou, kind.worst, kind.recall, kind.precision, kind.images, kind.description)
            for kind in found.kinds
        ],
        columns=["kind", "iou", "worst", "recall", "precision", "photos", "description"],
    )
    means["label"] = [f"{value:.0%}" for value in means["iou"]]
    titles = {kind.name: kind.title for kind in found.kinds}
    photos = found.photos
    single = pd.DataFrame({"kind": [titles[name] for name in photos.kind], "iou": photos.iou, "photo": photos.name})
    y = alt.Y("kind:N", sort=list(means["kind"]), title=None, axis=_names(120))
    x = alt.X("iou:Q", title="IoU of the pet, mean over photos", axis=_percent(), scale=alt.Scale(domain=[0, 1]))
    bars = (
        alt.Chart(means)
        .mark_bar(height=16, color=PET_COLOUR)
        .encode(
            y=y,
            x=x,
            tooltip=[
                "kind:N",
                alt.Tooltip("iou:Q", title="mean IoU", format=".1%"),
                alt.Tooltip("worst:Q", title="worst photo", format=".1%"),
                alt.Tooltip("recall:Q", title="recall", format=".1%"),
                alt.Tooltip("precision:Q", title="precision", format=".1%"),
                "photos:Q",
                "description:N",
            ],
        )
    )
    ticks = (
        alt.Chart(single)
        .mark_tick(color=GREY, opacity=0.75, height=24, thickness=1.2)
        .encode(y=y, x=x, tooltip=["photo:N", alt.Tooltip("iou:Q", title="IoU", format=".1%")])
    )
    labels = alt.Chart(means).mark_text(align="left", dx=6, color="#10181d", fontWeight=600)
    labels = labels.encode(y=y, x=alt.datum(0), text="label:N")
    return (bars + ticks + labels).properties(height=32 * len(means) + 40)


def presence(points: Sequence[tuple[float, float, float]], name: str, limits: dict[str, float]) -> Chart:
    """Return the photos found falsely and missed by threshold on the probability, with the thresholds in use."""
    falsely, missed = f"found, but no {name}", f"{name} missed"
    rows = [
        (limit, value, kind) for limit, *both in points for kind, value in zip((falsely, missed), both, strict=True)
    ]
    x = alt.X("threshold:Q", title="threshold on the probability", axis=_percent(), scale=alt.Scale(domain=[0, 1]))
    lines = (
        alt.Chart(pd.DataFrame(rows, columns=["threshold", "share", "kind"]))
        .mark_line(strokeWidth=2.2)
        .encode(
            x=x,
            y=alt.Y("share:Q", title="share of the photos", axis=_percent(), scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=[falsely, missed], range=list(LINES[:2])),
                legend=alt.Legend(orient="top", title=None, offset=2),
            ),
            tooltip=[
                "kind:N",
                alt.Tooltip("threshold:Q", format=".0%"),
                alt.Tooltip("share:Q", title="photos", format=".1%"),
            ],
        )
    )
    rules = (
        alt.Chart(pd.DataFrame({"threshold": list(limits.values())}))
        .mark_rule(strokeDash=[5, 4], color=GREY, strokeWidth=1.5)
        .encode(x=x)
    )
    return (lines + rules).properties(height=250)


def _percent() -> alt.Axis:
    return alt.Axis(format="%", tickCount=5)


def _names(limit: int, grid: bool = False, in_lines: bool = False) -> alt.Axis:
    """Return an axis of names; `in_lines` breaks long ones after a comma."""
    lines: dict[str, Any] = {}
    if in_lines:
        lines["labelExpr"] = "length(datum.label) > 25 ? split(datum.label, ', ') : datum.label"
    return alt.Axis(
        **lines,
        ticks=False,
        domain=False,
        grid=grid,
        labelLimit=limit,
        labelOverlap=False,
        labelBound=False,
        labelFlush=False,
    )
