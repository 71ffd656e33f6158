"""Charts of training: a table and a specification for each, so that new rows only extend a curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import streamlit as st

from ui.shared.lazy import pd
from ui.shared.vega import Spec, colour, legend_above, nominal, quantitative
from unet_core.jobs.tables import Row
from unet_core.train.curves import Curves, smoothed, thinned
from unet_core.train.run_directory import best_epoch

Axis = Literal["epochs", "steps", "minutes"]
FieldAxis = Literal["linear", "log", "named"]
AXES: tuple[Axis, ...] = ("epochs", "steps", "minutes")
SCORES = {"mean IoU": "mean_iou", "mean Dice": "mean_dice", "pixel accuracy": "pixel_accuracy"}
METRICS = {"loss": "loss", **{name: title for title, name in SCORES.items()}}
TRAINING, VALIDATION, BEST = "training", "validation", "best epoch"
COLOURS = {TRAINING: "#3b8bc9", VALIDATION: "#d9702b"}  # distinct with every colour vision deficiency, on both themes
RUN_COLOURS = ("#3b8bc9", "#d9702b", "#1f9e77", "#b061a8", "#c9a227", "#7a7f86", "#5566c4", "#c0504d")
HEIGHT, LIVE_HEIGHT = 270, 200  # pixels; two live charts and the pictures beside them fit a laptop's screen
LEGEND_ROW = 24  # pixels of a further row of the legend, which the height includes
SHOWN_AHEAD = 16  # epochs
_LOG_SPAN = 20  # how many times the smallest value the largest is, at which an axis is logarithmic
COLUMNS = ("x", "series", "value", "raw", "kind", "where")


def curve_table(curves: Curves, name: str, axis: Axis, smoothing: float, steps: int) -> pd.DataFrame:
    """Return what `curve_spec` draws: training by step (smoothed and raw), both parts by epoch.

    Args:
        curves: the run's tables so far.
        name: "loss" or another column of the tables.
        axis: what x counts.
        smoothing: weight of the past in the step-by-step curve, 0 to below 1.
        steps: in an epoch.
    """
    rows = [row for row in curves.steps if math.isfinite(row.get(name, math.nan))]
    averages = smoothed([row[name] for row in rows], smoothing)
    points = [
        (_x(row, axis, steps), TRAINING, average, row[name], "step", _where(row))
        for row, average in thinned(list(zip(rows, averages, strict=True)))
    ]
    best = best_epoch(curves.epochs)
    for column, series in ((name, TRAINING), (f"val_{name}", VALIDATION)):
        found = [row for row in curves.epochs if math.isfinite(row.get(column, math.nan))]
        for row in thinned(found):
            kind = "best" if row["epoch"] == best and series == VALIDATION else "epoch"
            where = _where(row) + (" (the best)" if kind == "best" else "")
            points.append((_x(row, axis, steps), series, row[column], row[column], kind, where))
    return pd.DataFrame(points, columns=COLUMNS).astype({"x": float, "value": float, "raw": float})


def horizon(done: int, epochs: int) -> int:
    """Return the last epoch on a running run's axis: the run's last, or, far from it, a power of two."""
    return min(epochs, max(SHOWN_AHEAD, 2 ** (done + 1).bit_length()))


def _where(row: Row) -> str:
    if "step" in row:
        return f"epoch {row['epoch'] + 1:.0f}, step {row['step']:.0f}"
    return f"after epoch {row['epoch'] + 1:.0f}"


def _x(row: Row, axis: Axis, steps: int) -> float:
    if axis == "minutes":
        return row.get("elapsed", math.nan) / 60
    whole = row["epoch"] + (row["step"] / max(1, steps) if "step" in row else 1)
    return whole if axis == "epochs" else whole * steps


@st.cache_data(max_entries=100, show_spinner=False)
def curve_spec(name: str, axis: Axis, log: bool = False, end: float | None = None) -> Spec:
    """Return the chart of one quantity over `axis` for `curve_table`, as Vega-Lite; x reaches to `end` if given."""
    x_scale = {"domain": [0, end], "nice": False} if end else {"nice": False, "zero": axis != "minutes"}
    x_axis = {"tickMinStep": 1 if axis != "minutes" else 0.1, "grid": False}
    y_scale = {"type": "log"} if log else {"zero": False}
    raw = quantitative("raw", title=None, scale=y_scale)
    value = quantitative("value", title=None, scale=y_scale, axis={"tickCount": 5})
    line = {"type": "line", "strokeWidth": 2}
    of_step, of_epoch, of_validation = "datum.kind == 'step'", "datum.kind != 'step'", f"datum.series == '{VALIDATION}'"
    return {
        "height": LIVE_HEIGHT,
        "transform": [{"filter": "datum.value > 0 && datum.raw > 0"}] if log else [],
        "encoding": {"x": quantitative("x", title=axis, scale=x_scale, axis=x_axis)},
        "layer": [
            _layer({"type": "line", "opacity": 0.25, "strokeWidth": 1}, raw, of_step),
            _layer(line, value, of_step),
            _layer(line, value, of_epoch, of_validation),
            _layer({"type": "circle", "size": 34, "opacity": 1}, value, of_epoch),
            _layer({"type": "point", "size": 160, "strokeWidth": 2, "shape": "diamond"}, value, "datum.kind == 'best'"),
            _nearest(value, METRICS.get(name, name)),
        ],
    }


def _layer(mark: Spec, y: Spec, *filters: str) -> Spec:
    """Return a layer of `curve_spec`. The colour is not the chart's, where Streamlit would give its legend a title."""
    legend = legend_above(offset=0, symbolType="circle", symbolOpacity=1, symbolSize=70)
    by_series = colour("series", list(COLOURS), list(COLOURS.values()), legend)
    return {"transform": [{"filter": one} for one in filters], "mark": mark, "encoding": {"y": y, "color": by_series}}


def _nearest(y: Spec, title: str) -> Spec:
    """Return the layer of the point next to the pointer, with its tooltip."""
    layer = _layer({"type": "circle", "size": 90}, y)
    layer["params"] = [
        {"name": "near", "select": {"type": "point", "nearest": True, "on": "pointermove", "clear": "pointerout"}}
    ]
    layer["encoding"] |= {
        "opacity": {"condition": {"param": "near", "empty": False, "value": 0.9}, "value": 0},
        "tooltip": [
            nominal("where", title=" "),
            nominal("series"),
            quantitative("value", title=title, format=".4g"),
        ],
    }
    return layer


def overlay_table(runs: Mapping[str, Sequence[Row]], name: str, axis: Axis) -> pd.DataFrame:
    """Return the epochs of several runs, by name, for `overlay_spec`."""
    points = [
        (row["epoch"] + 1 if axis == "epochs" else row.get("elapsed", math.nan) / 60, run, row[name], row["epoch"] + 1)
        for run, rows in runs.items()
        for row in thinned([row for row in rows if math.isfinite(row.get(name, math.nan))])
    ]
    return pd.DataFrame(points, columns=["x", "run", "value", "epoch"]).astype({"x": float, "value": float})


@st.cache_data(max_entries=100, show_spinner=False)
def overlay_spec(runs: tuple[str, ...], title: str, axis: Axis) -> Spec:
    """Return the chart of one curve for each run, in the colours of their order, as Vega-Lite."""
    colours = [RUN_COLOURS[index % len(RUN_COLOURS)] for index in range(len(runs))]
    legend = legend_above(columns=2, labelLimit=240, offset=0, symbolOpacity=1)
    return {
        "height": HEIGHT + LEGEND_ROW * ((len(runs) - 1) // 2),
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 34}},
        "encoding": {
            "x": quantitative("x", title=axis, axis={"tickMinStep": 1, "grid": False}, scale={"nice": False}),
            "y": quantitative("value", title=title, scale={"zero": False}, axis={"tickCount": 5}),
            "color": colour("run", runs, colours, legend),
            "tooltip": [
                nominal("run"),
                quantitative("epoch"),
                quantitative("value", title=title, format=".4g"),
            ],
        },
    }


def field_axis(values: Sequence[Any]) -> FieldAxis:
    """Return how the values of a field are drawn: evenly, by their logarithm if they span it, or by name."""
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return "named"
    return "log" if min(numbers) > 0 and max(numbers) >= _LOG_SPAN * min(numbers) else "linear"


def field_domain(values: Sequence[float], axis: FieldAxis) -> tuple[float, float] | None:
    """Return the ends of a field's axis, a twentieth beyond its values; None for an axis of names."""
    if axis == "named":
        return None
    low, high = (math.log(end) if axis == "log" else end for end in (min(values), max(values)))
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    ends = low - room, high + room
    return (math.exp(ends[0]), math.exp(ends[1])) if axis == "log" else ends


@st.cache_data(max_entries=50, show_spinner=False)
def field_spec(field: str, axis: FieldAxis, domain: tuple[float, float] | None = None) -> Spec:
    """Return the chart of a sweep's trials as Vega-Lite: columns x, score, trial, epochs, and whether it is `whole`.

    Args:
        field: the title of x.
        axis: of `field_axis`.
        domain: the lowest and highest value of a numeric axis, with some room beside the points.
    """
    if domain is None or axis == "named":
        x = nominal("x", title=field, axis={"labelAngle": 0, "grid": False, "labelLimit": 110})
    else:
        scale = {"type": axis, "domain": list(domain), "nice": False}
        x = quantitative("x", title=field, scale=scale, axis={"grid": False, "labelOverlap": True})
    return {
        "height": HEIGHT,
        "mark": {"type": "point", "size": 90, "strokeWidth": 2, "color": RUN_COLOURS[0], "fill": RUN_COLOURS[0]},
        "encoding": {
            "x": x,
            "y": quantitative("score", title="Validation IoU", scale={"zero": False}, axis={"tickCount": 5}),
            "fillOpacity": {"condition": {"test": "datum.whole", "value": 0.85}, "value": 0},
            "tooltip": [
                nominal("trial", title=" "),
                quantitative("score", title="Validation IoU", format=".4f"),
                nominal("epochs"),
            ],
        },
    }


def confusion_table(confusion: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Return the confusion matrix, (C, C) pixels with true rows, with shares of each true class."""
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return pd.DataFrame(
        [
            {"true": true, "predicted": predicted, "share": shares[row, column], "pixels": int(confusion[row, column])}
            for row, true in enumerate(classes)
            for column, predicted in enumerate(classes)
        ]
    )


@st.cache_data(max_entries=20, show_spinner=False)
def confusion_spec(classes: tuple[str, ...]) -> Spec:
    """Return the chart for `confusion_table`, as Vega-Lite."""
    names = {"labelAngle": 0, "ticks": False, "domain": False, "labelLimit": 110}
    cells = {
        "mark": {"type": "rect", "cornerRadius": 4},
        "encoding": {
            "color": quantitative("share", scale={"domain": [0, 1], "range": ["#dcebf4", "#0b4f7d"]}, legend=None),
            "tooltip": [
                nominal("true"),
                nominal("predicted"),
                quantitative("share", format=".1%"),
                quantitative("pixels", format=","),
            ],
        },
    }
    white = {"test": "datum.share > 0.7", "value": "#ffffff"}
    labels = {
        "mark": {"type": "text", "fontWeight": 600},
        "encoding": {
            "text": quantitative("share", format=".0%"),
            "color": {"condition": white, "value": "#0b161c"},
        },
    }
    return {
        "height": max(150, 60 * len(classes) + 60),
        "encoding": {
            "x": nominal("predicted", sort=list(classes), axis=names),
            "y": nominal("true", sort=list(classes), axis=names),
        },
        "layer": [cells, labels],
    }
