"""A run in progress: status, figures, curves and pictures, drawn again once a second while it goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence

import streamlit as st

from ui.shared import format as text
from ui.shared import polling, visitor
from ui.shared.run_status import phase
from ui.train import charts, options
from ui.train.pictures import pictures
from unet_core.jobs.disclosure import without_paths
from unet_core.jobs.tables import Row
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.config import TrainConfig
from unet_core.train.curves import Curves, column, thinned
from unet_core.train.find_model import recipe_of
from unet_core.train.never_predicted import is_known, recorded, sentence
from unet_core.train.run_directory import RunDirectory, Status, best_epoch, remaining_seconds
from unet_core.train.silent_depth import recorded_silent_layer
from unet_core.train.silent_depth import sentence as silent_sentence

CURVES = "train-curves"  # session key: the run that is shown and its tables so far
SPARKS = 60  # points of a small curve
ADVICE = "If that stays so: more epochs, class weights, or a loss with Dice."


def watch(run: RunDirectory, config: TrainConfig, settings: Settings) -> None:
    """Draw the run; once a second while it is trained or waits, and the whole page once when that ends."""
    pending = queue.is_pending(run, settings)
    state = run.status().state

    def changed() -> bool:
        """Return whether the rest of the page has to be drawn again."""
        queue.advance(settings)
        return run.status().state != state or not run.exists(run.path)

    def show() -> None:
        status, curves = run.status(), read(run)
        with st.container(key="train-live"):
            _progress(run, status, curves, settings)
            _figures(status, config, curves)
            _silent(run, status, config)
            left, right = st.columns(2, gap="medium")
            with left:
                pictures(run, live=pending)
                _lost(run, status)
            with right:
                _curves(status, config, curves)
            _log(run, open_=status.state == "failed")

    polling.poll(show, ended=changed, every=polling.STEADY if pending else None)


def read(run: RunDirectory) -> Curves:
    """Return the run's tables, of which only new rows are read."""
    held: tuple[str, Curves] | None = st.session_state.get(CURVES)
    if held is None or held[0] != run.id:
        held = st.session_state[CURVES] = run.id, Curves()
    held[1].refresh(run)
    return held[1]


def _progress(run: RunDirectory, status: Status, curves: Curves, settings: Settings) -> None:
    if status.state == "queued":
        position = queue.position(run, settings)
        st.progress(status.share, f":material/hourglass_top: {_waiting(position, settings)}")
        return
    words = [phase(status)] if status.active else [f"{_epochs(status)} in {_elapsed(status, curves)}"]
    training = status.state == "running" and status.phase in ("training", "validating")
    if training and (left := remaining_seconds(run, status) or 0.0) >= 1:
        words.append(f"about {text.duration(left)} left")
    sentence = " · ".join(words)
    st.progress(status.share, sentence[:1].upper() + sentence[1:])


def _waiting(position: int | None, settings: Settings) -> str:
    if position is None:  # the process that was to queue it was killed
        return "It is no longer in the queue: resume it"
    if not settings.starts_runs:
        return "Waiting: this server is set up to start no runs (UNET_WORKERS=0)"
    if position == 1:
        return "Next in the queue: it starts when a run ends"
    ahead = position - 1
    return f"Position {position} in the queue: {ahead} run{'s are' if ahead > 1 else ' is'} ahead of it"


def _epochs(status: Status) -> str:
    return f"{status.epoch} of {status.epochs} epoch{'s' if status.epochs > 1 else ''}"


# --- figures ----------------------------------------------------------------------------------------------------------


def _figures(status: Status, config: TrainConfig, curves: Curves) -> None:
    best = best_epoch(curves.epochs)
    best_row = next((row for row in curves.epochs if row["epoch"] == best), {})
    latest: Row = curves.steps[-1] if curves.steps else {}
    losses, found = column(curves.steps, "loss"), column(curves.epochs, "val_mean_iou")
    learning_rates = column(curves.steps, "learning_rate")
    with st.grid(6, min_column_width=140, gap="small"):
        epoch = min(status.epoch + status.active, status.epochs)
        _metric("Epoch", f"{epoch} / {status.epochs}", _elapsed(status, curves))
        _metric("Validation IoU", _number(best_row.get("val_mean_iou")), _found_in(best), found)
        _metric("Training loss", _number(latest.get("loss")), "of the last steps", losses)
        _metric(
            "Learning rate",
            f"{learning_rates[-1]:.2g}" if learning_rates else "–",
            config.schedule,
            learning_rates,
        )
        changes = column(curves.steps, "weight_change")
        shown = text.percent(changes[-1], 2) if changes else "–"
        _metric("Weight change", shown, "in half a second", changes)
        rates = column(curves.steps, "images_per_second")
        memory = (
            text.byte_size(round(1e6 * curves.system[-1]["memory_mb"])) + " memory" if curves.system else "in training"
        )
        _metric("Photos per second", _speed(status, curves), memory, rates)


def _silent(run: RunDirectory, status: Status, config: TrainConfig) -> None:
    """Say at the end of a run that the deepest layer has fallen silent, if it has."""
    if not status.active and (layer := recorded_silent_layer(run)):
        st.caption(f":orange[:material/warning: {text.plain(silent_sentence(layer, config.model))}.]")


def _lost(run: RunDirectory, status: Status) -> None:
    """Draw which classes are never predicted; the line is there from the first epoch on, so that nothing moves."""
    if not is_known(run):
        st.caption("Which classes are predicted is known after the first epoch." if status.active else " ")
        return
    lost = recorded(run, "last" if status.active else "best")
    if lost:
        st.caption(f":orange[:material/warning: {text.plain(sentence(lost))}.] {text.plain(ADVICE)}")
    else:
        st.caption(":material/check: Every class of the validation photos is predicted somewhere.")


def _metric(label: str, value: str, below: str, curve: Sequence[float] | None = None) -> None:
    """Draw a figure, with a small curve if it has one, whose place is kept while it is empty."""
    points = None
    if curve is not None:
        points = thinned(curve, SPARKS) if len(curve) > 1 else [0.0, 0.0]
    st.metric(
        label,
        value,
        delta=below,
        delta_color="off",
        delta_arrow="off",
        chart_data=points,
        border=True,
        height="stretch",
    )


def _speed(status: Status, curves: Curves) -> str:
    training = status.active and status.phase == "training" and curves.steps
    rates = column(curves.steps if training else curves.epochs, "images_per_second")
    return text.number(rates[-1]) if rates else "–"


def _elapsed(status: Status, curves: Curves) -> str:
    """Return how long the run has worked since its last start, or, once it has ended, how long all epochs took."""
    if status.active:
        return f"{text.duration(status.seconds)} so far"
    return text.duration(sum(row.get("seconds", 0.0) for row in curves.epochs))


def _found_in(best: int | None) -> str:
    return "on validation" if best is None else f"epoch {best + 1}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


# --- curves -----------------------------------------------------------------------------------------------------------


def _curves(status: Status, config: TrainConfig, curves: Curves) -> None:
    charts_place = st.container(gap="xxsmall")
    with st.container(horizontal=True, vertical_alignment="bottom", key="train-curve-choice"):
        axis = st.segmented_control(
            "Horizontal axis",
            charts.AXES,
            default=options.OVER.default,
            required=True,
            width=240,
            **options.OVER.widget,
        )
        metric = st.selectbox("Second chart", list(charts.SCORES), width=150, **options.METRIC.widget)
        smoothing = st.slider(
            "Smoothing", 0.0, 0.95, options.SMOOTHING.default, 0.05, width=150, **options.SMOOTHING.widget
        )
        log = st.toggle("Log scale", help="For the loss", **options.LOG.widget)
    with charts_place:
        for name in ("loss", charts.SCORES[metric]):
            title = charts.METRICS[name]
            st.markdown(f"**{title[:1].upper()}{title[1:]}**")
            _chart(name, axis or "epochs", smoothing, log and name == "loss", status, config, curves)


def _chart(
    name: str, axis: charts.Axis, smoothing: float, log: bool, status: Status, config: TrainConfig, curves: Curves
) -> None:
    steps = status.steps or 1
    table = charts.curve_table(curves, name, axis, smoothing, steps)
    # While a run goes on, the axis reaches ahead of it.
    going_on = status.state in ("queued", "running", "stopping") and axis != "minutes"
    end = charts.horizon(len(curves.epochs), config.epochs) * (steps if axis == "steps" else 1) if going_on else None
    spec = charts.curve_spec(name, axis, log, end)
    place = "loss" if name == "loss" else "metric"
    st.vega_lite_chart(table, spec, key=f"train-chart-{place}", alt=_spoken(name, curves))


def _spoken(name: str, curves: Curves) -> str:
    found = [row[f"val_{name}"] for row in curves.epochs if f"val_{name}" in row]
    title = charts.METRICS[name]
    if not found:
        return f"Curve of the {title} in training; no epoch has ended yet"
    return f"Curves of the {title}: validation from {found[0]:.3f} to {found[-1]:.3f} in {len(found)} epochs"


def _log(run: RunDirectory, *, open_: bool) -> None:
    with st.expander("Log", icon=":material/terminal:", expanded=open_, key="train-log"):
        lines = run.log_tail(40)
        st.code(_logged(lines) if lines else "The log is empty.", language=None, height=220)


def _logged(lines: Sequence[str]) -> str:
    logged = "\n".join(lines)
    return logged if visitor.is_local() else without_paths(logged)


def about(run: RunDirectory, config: TrainConfig) -> None:
    """Draw the run's settings, versions, machine and folder."""
    with st.expander("Settings and machine", icon=":material/description:", key="train-about"):
        left, right = st.columns(2, gap="medium")
        with left:
            st.code(written(run, config), language="json", height=300)
        with right:
            found = {name: value for name, value in run.environment().items() if value}
            packages = found.pop("packages", {})
            found.pop("command", None)
            rows = {**found, **{f"{name} version": version for name, version in packages.items()}, "folder": run.id}
            st.table({text.plain(text.words(name)): _cell(value) for name, value in rows.items()}, border="horizontal")


def written(run: RunDirectory, config: TrainConfig) -> str:
    """Return a run's configuration as JSON; paths stand in it only on the server's own machine."""
    return config.to_json() if visitor.is_local() else json.dumps(recipe_of(run), indent=2)


def _cell(value: object) -> str:
    return text.plain(", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
