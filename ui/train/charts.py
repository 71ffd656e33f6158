"""Charts of training: a table and a specification for each, so that new rows only extend a curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import streamlit as st

from ui.shared.lazy import alt, pd
from unet_core.jobs.tables import Row
from unet_core.train.curves import Curves, smoothed, thinned
from unet_core.train.run_directory import best_epoch

Axis = Literal["epochs", "steps", "minutes"]
AXES: tuple[Axis, ...] = ("epochs", "steps", "minutes")
SCORES = {"mean IoU": "mean_iou", "mean Dice": "mean_dice", "pixel accuracy": "pixel_accuracy"}
METRICS = {"loss": "loss", **{name: title for title, name in SCORES.items()}}
TRAINING, VALIDATION, BEST = "training", "validation", "best epoch"
COLOURS = {TRAINING: "#3b8bc9", VALIDATION: "#d9702b"}  # distinct with every colour vision deficiency, on both themes
RUN_COLOURS = ("#3b8bc9", "#d9702b", "#1f9e77", "#b061a8", "#c9a227", "#7a7f86", "#5566c4", "#c0504d")
HEIGHT, LIVE_HEIGHT = 270, 200  # pixels; two live charts and the pictures beside them fit a laptop's screen
SHOWN_AHEAD = 16  # epochs
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
def curve_spec(name: str, axis: Axis, log: bool = False, end: float | None = None) -> dict[str, Any]:
    """Return the chart of one quantity over `axis` for `curve_table`, as Vega-Lite; x reaches to `end` if given."""
    x_scale = alt.Scale(domain=[0, end], nice=False) if end else alt.Scale(nice=False, zero=axis != "minutes")
    x = alt.X("x:Q", title=axis, scale=x_scale, axis=alt.Axis(tickMinStep=1 if axis != "minutes" else 0.1, grid=False))
    y_scale = alt.Scale(type="log") if log else alt.Scale(zero=False)
    y = alt.Y("value:Q", title=None, scale=y_scale, axis=alt.Axis(tickCount=5))
    colour = alt.Color(
        "series:N",
        scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
        legend=alt.Legend(orient="top", title=None, offset=0, symbolType="circle", symbolOpacity=1, symbolSize=70),
    )
    base = alt.Chart(_points()).encode(x=x, color=colour)
    if log:
        base = base.transform_filter("datum.value > 0 && datum.raw > 0")
    steps = base.transform_filter("datum.kind == 'step'")
    epochs = base.transform_filter("datum.kind != 'step'")
    validation = epochs.transform_filter(f"datum.series == '{VALIDATION}'")
    best = base.transform_filter("datum.kind == 'best'")
    near = alt.selection_point(nearest=True, on="pointermove", clear="pointerout", empty=False)
    tooltip = [
        alt.Tooltip("where:N", title=" "),
        alt.Tooltip("series:N"),
        alt.Tooltip("value:Q", title=METRICS.get(name, name), format=".4g"),
    ]
    chart = alt.layer(
        steps.mark_line(opacity=0.25, strokeWidth=1).encode(y=alt.Y("raw:Q", title=None, scale=y_scale)),
        steps.mark_line(strokeWidth=2).encode(y=y),
        validation.mark_line(strokeWidth=2).encode(y=y),
        epochs.mark_circle(size=34, opacity=1).encode(y=y),
        best.mark_point(size=160, strokeWidth=2, shape="diamond").encode(y=y),
        base.mark_circle(size=90)
        .encode(y=y, opacity=alt.condition(near, alt.value(0.9), alt.value(0)), tooltip=tooltip)
        .add_params(near),
    )
    return _without_data(chart.properties(height=LIVE_HEIGHT))


def _points() -> alt.NamedData:
    """Stands for the data, which is sent beside the chart."""
    return alt.NamedData(name="points")


def _without_data(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart as Vega-Lite without its data, which alone changes from one rerun to the next."""
    spec = chart.to_dict()
    del spec["data"]
    return spec


def overlay_table(runs: Mapping[str, Sequence[Row]], name: str, axis: Axis) -> pd.DataFrame:
    """Return the epochs of several runs, by name, for `overlay_spec`."""
    points = [
        (row["epoch"] + 1 if axis == "epochs" else row.get("elapsed", math.nan) / 60, run, row[name], row["epoch"] + 1)
        for run, rows in runs.items()
        for row in thinned([row for row in rows if math.isfinite(row.get(name, math.nan))])
    ]
    return pd.DataFrame(points, columns=["x", "run", "value", "epoch"]).astype({"x": float, "value": float})


@st.cache_data(max_entries=100, show_spinner=False)
def overlay_spec(runs: tuple[str, ...], title: str, axis: Axis) -> dict[str, Any]:
    """Return the chart of one curve for each run, in the colours of their order, as Vega-Lite."""
    colours = [RUN_COLOURS[index % len(RUN_COLOURS)] for index in range(len(runs))]
    legend = alt.Legend(orient="top", title=None, columns=2, labelLimit=320, offset=0, symbolOpacity=1)
    return _without_data(
        alt.Chart(_points())
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=34))
        .encode(
            x=alt.X("x:Q", title=axis, axis=alt.Axis(tickMinStep=1, grid=False), scale=alt.Scale(nice=False)),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
            color=alt.Color("run:N", scale=alt.Scale(domain=list(runs), range=colours), legend=legend),
            tooltip=[
                alt.Tooltip("run:N"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("value:Q", title=title, format=".4g"),
            ],
        )
        .properties(height=HEIGHT)
    )


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
def confusion_spec(classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the chart for `confusion_table`, as Vega-Lite."""
    names = alt.Axis(labelAngle=0, ticks=False, domain=False, labelLimit=110)
    base = alt.Chart(_points()).encode(
        x=alt.X("predicted:N", sort=list(classes), axis=names),
        y=alt.Y("true:N", sort=list(classes), axis=names),
    )
    cells = base.mark_rect(cornerRadius=4).encode(
        color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range=["#dcebf4", "#0b4f7d"]), legend=None),
        tooltip=[
            alt.Tooltip("true:N"),
            alt.Tooltip("predicted:N"),
            alt.Tooltip("share:Q", format=".1%"),
            alt.Tooltip("pixels:Q", format=","),
        ],
    )
    labels = base.mark_text(fontWeight=600).encode(
        text=alt.Text("share:Q", format=".0%"),
        color=alt.condition("datum.share > 0.7", alt.value("#ffffff"), alt.value("#0b161c")),
    )
    return _without_data((cells + labels).properties(height=max(150, 60 * len(classes) + 60)))
