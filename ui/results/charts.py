"""Charts of measured figures, each with its data: one colour per class and species, the theme's own for the rest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ui.data.charts import OTHER_COLOUR, PET_COLOUR, histogram
from ui.shared import format as text
from ui.shared.lazy import pd
from ui.shared.vega import Spec, colour, data, legend_above, name_axis, nominal, percent_axis, quantitative
from unet_core.results.compared_networks import GROUPS
from unet_core.results.files import Calibration, Curve, Everyday, Group

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


def accuracy_against(points: Sequence[Point], cost: str, chosen: str) -> Spec:
    """Return mean IoU against one cost, which has a logarithmic axis; a click selects a point by its `key`."""
    field, title, unit, pattern = COSTS[cost]
    table = pd.DataFrame([vars(point) for point in points])
    table["size"] = np.where(table["key"] == chosen, 260, 120)
    kinds = list(dict.fromkeys(table["kind"]))
    low, high = float(table["mean_iou"].min()), float(table["mean_iou"].max())
    return {
        **data(table),
        "height": 320,
        "params": [{"name": POINT, "select": {"type": "point", "fields": ["key"]}}],
        "mark": {"type": "point", "filled": True, "opacity": 0.9, "cursor": "pointer"},
        "encoding": {
            "x": quantitative(field, title=title, scale={"type": "log", "nice": False, "padding": 24}),
            "y": quantitative(
                "mean_iou",
                title="mean IoU",
                axis=percent_axis(),
                scale={"domain": [max(0.0, low - 0.05), min(1.0, high + 0.05)]},
            ),
            # the legend is above the chart, where it wraps on a phone
            "color": colour("kind", kinds, [KIND_COLOURS[kind] for kind in kinds]),
            "shape": nominal(
                "kind", scale={"domain": kinds, "range": [KIND_SHAPES[kind] for kind in kinds]}, legend=None
            ),
            "size": quantitative("size", scale=None, legend=None),
            "tooltip": [
                nominal("title", title="network"),
                quantitative("mean_iou", title="mean IoU", format=".1%"),
                quantitative(field, title=unit, format=pattern),
                nominal("setting"),
            ],
        },
    }


def budget_bars(rows: Sequence[tuple[str, float, str, str]], groups: Sequence[str]) -> Spec:
    """Return the mean IoU of each run (title, mean IoU, group, what it shows), in order, coloured by group."""
    table = pd.DataFrame(rows, columns=["network", "mean_iou", "group", "lesson"])
    table["label"] = [f"{value:.1%}" for value in table["mean_iou"]]
    most = min(1.0, 1.25 * float(table["mean_iou"].max()))  # room for the labels
    in_lines = "length(datum.label) > 25 ? split(datum.label, ', ') : datum.label"
    bars = {
        "mark": {"type": "bar", "height": 14},
        "encoding": {
            "color": colour("group", groups, [KIND_COLOURS[group] for group in groups]),
            "tooltip": [
                nominal("network"),
                quantitative("mean_iou", title="mean IoU", format=".1%"),
                nominal("lesson"),
            ],
        },
    }
    labels = {
        "mark": {"type": "text", "align": "left", "dx": 4, "color": GREY},
        "encoding": {"text": nominal("label")},
    }
    return {
        **data(table),
        "height": 31 * len(table) + 60,
        "encoding": {
            "y": nominal("network", sort=None, title=None, axis=name_axis(230, labelExpr=in_lines)),
            "x": quantitative("mean_iou", title="mean IoU", axis=percent_axis(), scale={"domain": [0, most]}),
        },
        "layer": [bars, labels],
    }


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Spec:
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
    bare = {"ticks": False, "domain": False}
    cells = {
        "mark": {"type": "rect", "cornerRadius": 4},
        "encoding": {
            "color": quantitative("share", scale={"domain": [0, 1], "range": ["#5b8fb022", "#0072b2"]}, legend=None),
            "tooltip": [
                nominal("true"),
                nominal("predicted"),
                quantitative("share", title="share of the true class", format=".1%"),
                quantitative("pixels", format=","),
            ],
        },
    }
    # white on the darkest cells; the others let the page shine through and take its text colour, see assets/style.css
    white = {"test": "datum.share > 0.88", "value": "#ffffff"}
    labels = {
        "mark": {"type": "text", "fontWeight": 600, "fontSize": 14},
        "encoding": {"text": nominal("label"), "color": {"condition": white, "value": GREY}},
    }
    return {
        **data(table),
        "height": 64 * len(classes) + 40,
        "encoding": {
            "x": nominal(
                "predicted", sort=list(classes), title="predicted", axis={"orient": "top", "labelAngle": 0, **bare}
            ),
            "y": nominal("true", sort=list(classes), title="true", axis=bare),
        },
        "layer": [cells, labels],
    }


BREED_MEASURES = {
    "IoU per photo": ("photo_iou", "mean IoU of the pet"),
    "mean IoU": ("mean_iou", "mean IoU of the classes"),
}


def breeds(groups: Sequence[Group], measure: str, order: str) -> Spec:
    """Return one dot for each breed (the axis starts above 0); `order` is "best first", "worst first" or by name."""
    field, title = BREED_MEASURES[measure]
    table = pd.DataFrame(
        [(text.words(group.name), getattr(group, field), group.species.lower(), group.photos) for group in groups],
        columns=["breed", "value", "species", "photos"],
    ).dropna()
    sort = {"best first": "-x", "worst first": "x"}.get(order, sorted(table["breed"], key=str.lower))
    kinds = sorted(set(table["species"]) - {""})
    by_species = 1 <= len(kinds) <= 2
    domain = [max(0.0, float(table["value"].min()) - 0.03), min(1.0, float(table["value"].max()) + 0.03)]
    return {
        **data(table),
        "height": BAR_STEP * len(table) + 50,
        "mark": {"type": "circle", "size": 90, "opacity": 1},
        "encoding": {
            "y": nominal("breed", sort=sort, title=None, axis=name_axis(190, grid=True)),
            "x": quantitative("value", title=title, axis=percent_axis(), scale={"domain": domain}),
            "color": colour("species", kinds, [PET_COLOUR, OTHER_COLOUR][: len(kinds)], legend_above())
            if by_species
            else {"value": OTHER_COLOUR},
            "tooltip": [
                nominal("breed"),
                quantitative("value", title=title, format=".1%"),
                quantitative("photos"),
            ],
        },
    }


def group_bars(groups: Sequence[Group], classes: Sequence[str], colours: Sequence[str]) -> Spec:
    """Return the IoU of each class for each group, as bars side by side."""
    rows = [(group.name, name, group.iou.get(name), group.photos) for group in groups for name in classes]
    table = pd.DataFrame(rows, columns=["group", "class", "iou", "photos"]).dropna()
    return {
        **data(table),
        "height": 240,
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "x": nominal(
                "group",
                sort=[group.name for group in groups],
                title=None,
                axis={"labelAngle": 0, "ticks": False, "labelOverlap": False},
            ),
            "xOffset": nominal("class", sort=list(classes)),
            "y": quantitative("iou", title="IoU", axis=percent_axis(), scale={"domain": [0, 1]}),
            "color": colour("class", classes, colours, legend_above()),
            "tooltip": [
                nominal("group"),
                nominal("class"),
                quantitative("iou", title="IoU", format=".1%"),
                quantitative("photos"),
            ],
        },
    }


def sizes(groups: Sequence[Group]) -> Spec:
    """Return the mean IoU of the photos by the pet's share of the photo."""
    table = pd.DataFrame(
        [(group.name, group.photo_iou, group.photos) for group in groups], columns=["size", "iou", "photos"]
    )
    table["label"] = [f"{value:.0%}" for value in table["iou"]]
    bars = {"mark": {"type": "bar", "height": 14, "color": PET_COLOUR}}
    labels = {
        "mark": {"type": "text", "align": "right", "dx": -5, "color": "#10181d", "fontWeight": 600},
        "encoding": {"text": nominal("label")},
    }
    return {
        **data(table),
        "height": 30 * len(table) + 40,
        "encoding": {
            "y": nominal("size", sort=list(table["size"]), title="pet share of the photo", axis=name_axis(120)),
            "x": _pet_iou(),
            "tooltip": [
                nominal("size"),
                quantitative("iou", title="IoU", format=".1%"),
                quantitative("photos", format=","),
            ],
        },
        "layer": [bars, labels],
    }


def _pet_iou() -> Spec:
    title = "mean IoU of the pet"
    return quantitative("iou", title=title, axis=percent_axis(), scale={"domain": [0, 1]})


def iou_histogram(values: Sequence[float]) -> Spec:
    """Return the number of photos by IoU, in bins of 5 %."""
    counts, edges = np.histogram(values, bins=20, range=(0, 1))
    return histogram(counts, edges, "IoU of the pet, per photo")


def reliability(found: Calibration) -> Spec:
    """Return accuracy against confidence, with the line of perfect calibration."""
    bars = {
        "data": {"name": "bins"},
        "mark": {"type": "bar", "color": OTHER_COLOUR, "binSpacing": 1},
        "encoding": {
            "x": _confidence(None),
            "x2": {"field": "high"},
            "y": quantitative("accuracy", title="accuracy", axis=percent_axis(), scale={"domain": [0, 1]}),
            "tooltip": _bin_tooltip(),
        },
    }
    diagonal = {
        "data": {"name": "diagonal"},
        "mark": {"type": "line", "strokeDash": [5, 4], "color": GREY, "strokeWidth": 1.5},
        "encoding": {"x": quantitative("x"), "y": quantitative("y")},
    }
    return {
        "datasets": {"bins": _bins(found), "diagonal": pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})},
        "height": 250,
        "layer": [bars, diagonal],
    }


def confidence(found: Calibration) -> Spec:
    """Return each bin's share of the pixels, to be drawn below `reliability`."""
    return {
        **data(_bins(found)),
        "height": 130,
        "mark": {"type": "bar", "color": GREY, "binSpacing": 1},
        "encoding": {
            "x": _confidence("confidence of the network"),
            "x2": {"field": "high"},
            "y": quantitative("share", title="pixels", axis=percent_axis(), scale={"domain": [0, 1]}),
            "tooltip": _bin_tooltip(),
        },
    }


def _bin_tooltip() -> list[Spec]:
    return [
        quantitative("confidence", title="mean confidence", format=".1%"),
        quantitative("accuracy", title="accuracy", format=".1%"),
        quantitative("share", title="share of the pixels", format=".1%"),
    ]


def _confidence(title: str | None) -> Spec:
    return quantitative("low", bin="binned", title=title, axis=percent_axis(), scale={"domain": [0, 1]})


def _bins(found: Calibration) -> pd.DataFrame:
    count, total = len(found.pixels), max(1, sum(found.pixels))
    rows = [
        (index / count, (index + 1) / count, sure, right, pixels / total)
        for index, (sure, right, pixels) in enumerate(zip(found.confidence, found.accuracy, found.pixels, strict=True))
        if sure is not None
    ]
    return pd.DataFrame(rows, columns=["low", "high", "confidence", "accuracy", "share"])


def robustness(curves: Sequence[Curve], highlighted: str | None) -> Spec:
    """Return the mean IoU under each corruption at increasing strength; one curve may be highlighted."""
    rows = [
        (curve.title, step, value, "unchanged" if not step else curve.strengths[step - 1])
        for curve in curves
        for step, value in enumerate(curve.mean_iou)
    ]
    table = pd.DataFrame(rows, columns=["corruption", "step", "mean_iou", "strength"])
    titles = [curve.title for curve in curves]
    highest = min(1.0, round(float(table["mean_iou"].max()), 1) + 0.1)
    opaque: Spec = {"value": 1.0}
    if highlighted is not None:
        here = f"datum.corruption === {json.dumps(highlighted)}"
        opaque = {"condition": {"test": here, "value": 1.0}, "value": 0.18}
    return {
        **data(table),
        "height": 380,
        "mark": {"type": "line", "point": {"filled": True, "size": 45}, "strokeWidth": 2.2},
        "encoding": {
            "x": {
                "field": "step",
                "type": "ordinal",
                "title": "strength",
                "axis": {
                    "labelAngle": 0,
                    "labelExpr": "datum.value == 0 ? 'unchanged' : datum.value",
                    "ticks": False,
                },
            },
            "y": quantitative("mean_iou", title="mean IoU", axis=percent_axis(), scale={"domain": [0, highest]}),
            "color": colour("corruption", titles, LINES[: len(titles)], legend_above(columns=3)),
            "opacity": opaque,
            "tooltip": [
                nominal("corruption"),
                nominal("strength"),
                quantitative("mean_iou", title="mean IoU", format=".1%"),
            ],
        },
    }


def everyday(found: Everyday) -> Spec:
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
    bars = {
        "data": {"name": "means"},
        "mark": {"type": "bar", "height": 16, "color": PET_COLOUR},
        "encoding": {
            "x": _pet_iou(),
            "tooltip": [
                nominal("kind"),
                quantitative("iou", title="mean IoU", format=".1%"),
                quantitative("worst", title="worst photo", format=".1%"),
                quantitative("recall", title="recall", format=".1%"),
                quantitative("precision", title="precision", format=".1%"),
                quantitative("photos"),
                nominal("description"),
            ],
        },
    }
    ticks = {
        "data": {"name": "single"},
        "mark": {"type": "tick", "color": GREY, "opacity": 0.75, "height": 24, "thickness": 1.2},
        "encoding": {"x": _pet_iou(), "tooltip": [nominal("photo"), quantitative("iou", title="IoU", format=".1%")]},
    }
    labels = {
        "data": {"name": "means"},
        "mark": {"type": "text", "align": "left", "dx": 6, "color": "#10181d", "fontWeight": 600},
        "encoding": {"x": {"datum": 0}, "text": nominal("label")},
    }
    return {
        "datasets": {"means": means, "single": single},
        "height": 32 * len(means) + 40,
        "encoding": {
            "y": nominal("kind", sort=list(means["kind"]), title=None, axis=name_axis(120)),
        },
        "layer": [bars, ticks, labels],
    }


def presence(points: Sequence[tuple[float, float, float]], name: str, limits: dict[str, float]) -> Spec:
    """Return the photos found falsely and missed by threshold on the probability, with the thresholds in use."""
    falsely, missed = f"found, but no {name}", f"{name} missed"
    rows = [
        (limit, value, kind) for limit, *both in points for kind, value in zip((falsely, missed), both, strict=True)
    ]
    curves = {
        "data": {"name": "curves"},
        "mark": {"type": "line", "strokeWidth": 2.2},
        "encoding": {
            "y": quantitative("share", title="share of the photos", axis=percent_axis(), scale={"domain": [0, 1]}),
            "color": colour("kind", [falsely, missed], LINES[:2], legend_above()),
            "tooltip": [
                nominal("kind"),
                quantitative("threshold", format=".0%"),
                quantitative("share", title="photos", format=".1%"),
            ],
        },
    }
    rules = {
        "data": {"name": "limits"},
        "mark": {"type": "rule", "strokeDash": [5, 4], "color": GREY, "strokeWidth": 1.5},
    }
    title = "threshold on the probability"
    return {
        "datasets": {
            "curves": pd.DataFrame(rows, columns=["threshold", "share", "kind"]),
            "limits": pd.DataFrame({"threshold": list(limits.values())}),
        },
        "height": 250,
        "encoding": {"x": quantitative("threshold", title=title, axis=percent_axis(), scale={"domain": [0, 1]})},
        "layer": [curves, rules],
    }
