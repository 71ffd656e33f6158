"""Measured speed: the stages of this photo, and on demand all engines of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from ui.segment.session_results import Result
from ui.shared import background
from ui.shared import format as text
from ui.shared.lazy import pd
from ui.shared.vega import Spec, colour, data, nominal, quantitative
from unet_core.segment.measure import EngineTime, MeasureError, measure_here
from unet_core.settings import Settings

ASKED = "measure-here"  # session key: the model whose engines to measure
BAR_HEIGHT = 40  # pixels
NEUTRAL = "#8a98a0"  # readable on light and dark
STAGE_COLOURS = ("#009e73", "#f0e442", "#0072b2", "#d55e00")  # from Okabe and Ito's palette, but no class's colour


@dataclass(frozen=True)
class Measurement:
    """All engines' times for one model, and when they were measured (`time.time()`)."""

    engines: list[EngineTime]
    measured_at: float


@st.cache_resource(show_spinner=False)
def _one_at_a_time() -> threading.Lock:
    return threading.Lock()


# A resource, because nothing is pickled: pickling fails if a module was reloaded during the measurement.
@st.cache_resource(ttl=1800, max_entries=8, show_spinner=False)  # in seconds: a string would import pandas
def _measurement(model: str, _settings: Settings) -> Measurement:
    with _one_at_a_time():
        return Measurement(measure_here(model, _settings), time.time())


def device_badge(device: str, engine: str) -> None:
    """Draw the device and the engine, green for a GPU."""
    gpu = device.startswith("GPU")
    st.badge(
        f"{text.plain(device)} · {text.plain(engine)}",
        icon=":material/bolt:" if gpu else ":material/memory:",
        color="green" if gpu else "gray",
    )


def speed_section(result: Result, is_shipped: bool, settings: Settings) -> None:
    """Draw this photo's stages and the measurement of all engines."""
    stages, engines = st.columns(2, gap="medium")
    with stages, st.container(border=True, height="stretch"):
        st.markdown(f"**This photo: {text.milliseconds(result.timings['total'])} from file to mask**")
        st.vega_lite_chart(_stage_chart(result), alt=text.stages(result.timings))
        device_badge(result.device, result.engine)
        runs = f"{result.runs} runs of the network" if result.runs > 1 else "one run of the network"
        st.caption(
            f"{text.pixels(result.width, result.height)}, {text.byte_size(len(result.photo.data))}; {runs} with "
            f"{text.plain(result.model)}. Large JPEGs are decoded at display size; full-size files are "
            "created when you download them."
        )
    with engines, st.container(border=True, height="stretch"):
        st.markdown("**All engines on this machine**")
        if is_shipped:
            _engines(result.choice.model, settings)
        else:
            st.caption("Only shipped models can be measured here; a training run's page shows its speed.")


def _engines(model: str, settings: Settings) -> None:
    if st.session_state.get(ASKED) != model:
        st.caption(
            "Runs the network on one photo with ONNX Runtime, with TensorFlow (one compiled function) and with "
            "`model.predict`, alternately and in a separate process. Takes about ten seconds."
        )
        st.button("Measure here", icon=":material/timer:", key="measure", on_click=_ask, args=(model,))
        return
    work = background.ask(
        "measuring", (model, st.session_state.get("measured-again", 0)), _measurement, model, settings
    )
    if not background.done(work):
        background.await_quietly(work, "Measuring: TensorFlow is loading, then the engines run alternately…")
        return
    try:
        found = work.result()
    except MeasureError as error:
        st.warning(text.plain(str(error)), icon=":material/timer_off:")
        st.button("Try again", icon=":material/refresh:", key="measure", on_click=_ask, args=(model, True))
        return
    st.vega_lite_chart(_engine_chart(found.engines), alt="Milliseconds by engine")
    for engine in found.engines:
        if engine.problem:
            st.caption(f":material/block: {engine.name}: {text.plain(engine.problem)}")
    when, where = text.ago(time.time() - found.measured_at), text.plain(found.engines[0].device or "this machine")
    st.caption(f"Median milliseconds of the network for one photo, measured {when} on {where}.")


def _ask(model: str, again: bool = False) -> None:
    st.session_state[ASKED] = model
    if again:
        st.session_state["measured-again"] = st.session_state.get("measured-again", 0) + 1


def _stage_chart(result: Result) -> Spec:
    rows = [
        {"stage": label, "ms": result.timings[key], "label": text.milliseconds(result.timings[key])}
        for key, label in text.STAGES.items()
        if key in result.timings
    ]
    names = [row["stage"] for row in rows]
    return _bars(pd.DataFrame(rows), "stage", names, STAGE_COLOURS[: len(names)])


def _engine_chart(engines: Sequence[EngineTime]) -> Spec:
    times = {engine.name: engine.milliseconds for engine in engines if engine.milliseconds is not None}
    rows = [{"engine": name, "ms": time_, "label": text.milliseconds(time_)} for name, time_ in times.items()]
    fastest = min(times.values())
    colours = ["#009e73" if time_ == fastest else NEUTRAL for time_ in times.values()]
    return _bars(pd.DataFrame(rows), "engine", list(times), colours)


def _bars(table: pd.DataFrame, name: str, order: Sequence[str], colours: Sequence[str]) -> Spec:
    axis = {"ticks": False, "domain": False, "labelLimit": 180}
    bars = {
        "mark": {"type": "bar", "height": 18, "cornerRadiusEnd": 3},
        "encoding": {
            "color": colour(name, order, colours),
            "tooltip": [nominal(name), quantitative("ms", format=".2f", title="milliseconds")],
        },
    }
    labels = {
        "mark": {"type": "text", "align": "left", "dx": 6, "color": NEUTRAL},
        "encoding": {"text": nominal("label")},
    }
    return {
        **data(table),
        "height": BAR_HEIGHT * len(order),
        "encoding": {
            "y": nominal(name, sort=list(order), title=None, axis=axis),
            "x": quantitative("ms", axis=None, scale={"domain": [0, 1.25 * float(table["ms"].max())]}),
        },
        "layer": [bars, labels],
    }
