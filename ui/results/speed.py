"""Measure here: the time per photo of each model and engine on this machine, beside the stored figures."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

import streamlit as st

from ui.results.methods import card
from ui.results.subject import Subject
from ui.shared import background
from ui.shared import format as text
from ui.shared.lazy import pd
from unet_core.segment.measure import ONNX, EngineTime, MeasureError, measure_here
from unet_core.settings import Settings

SLOT = "results-speed"
WANTED = "results-speed-wanted"  # session key: how often this visitor has asked

_HOW = (
    "In a separate process that ends with the measurement, so that the web server stays free of TensorFlow. Only the "
    "network is timed, on one photo's input, after warm-up runs. The engines alternate, so that other programs slow "
    "them all down alike; the figure is the median. Stored: the manifest's figure, measured when the model was "
    "published, with the machine it was measured on."
)


@st.cache_resource(show_spinner=False)
def _one_at_a_time() -> threading.Lock:
    return threading.Lock()


def section(shipped: Mapping[str, Subject], settings: Settings) -> None:
    """Draw the button, the progress and the table of the measured times."""
    with card("Measure here", key="speed", how=_HOW):
        st.markdown("The time per photo of each model and engine, on the machine that runs this page.")
        st.button("Measure", icon=":material/timer:", type="primary", key="measure", on_click=_ask_again)
        asked = st.session_state.get(WANTED, 0)
        if not asked:
            st.caption("About ten seconds per model on an idle machine. Stored with the models:")
            _stored(shipped)
            return
        work: Future = background.ask(SLOT, (asked, *shipped), _measure_all, tuple(shipped), settings, _one_at_a_time())
        if not background.done(work):
            background.await_quietly(work, "Measuring: loading TensorFlow, then timing the engines in turn…")
            _stored(shipped)
            return
        found = work.result()
        for name, times in found.items():
            if isinstance(times, str):
                st.warning(f"{text.plain(name)}: {text.plain(times)}", icon=":material/timer_off:")
        _table({name: times for name, times in found.items() if not isinstance(times, str)}, shipped)


def _ask_again() -> None:
    st.session_state[WANTED] = st.session_state.get(WANTED, 0) + 1


def _measure_all(names: Sequence[str], settings: Settings, alone: threading.Lock) -> dict[str, list[EngineTime] | str]:
    """Return each model's times, or a sentence that says why there are none; one visitor at a time."""
    found: dict[str, list[EngineTime] | str] = {}
    for name in names:
        try:
            with alone:
                found[name] = measure_here(name, settings)
        except (MeasureError, OSError) as error:
            found[name] = str(error)
    return found


def _stored(shipped: Mapping[str, Subject]) -> None:
    lines = []
    for subject in shipped.values():
        latency = subject.entry.latency
        if latency.get("milliseconds"):
            lines.append(
                f"- {text.plain(subject.title)}: **{text.milliseconds(latency['milliseconds'])}**, "
                f"{text.plain(latency.get('what', 'network alone'))}, {text.plain(latency.get('machine', ''))}"
            )
    st.markdown("\n".join(lines) or "No model has a stored time.")


def _table(found: Mapping[str, Sequence[EngineTime]], shipped: Mapping[str, Subject]) -> None:
    rows = []
    for name, times in found.items():
        stored = shipped[name].entry.latency.get("milliseconds")
        for engine in times:
            if engine.milliseconds is None:
                st.caption(
                    f":material/block: {text.plain(shipped[name].title)}, {engine.name}: {text.plain(engine.problem)}"
                )
                continue
            rows.append(
                {
                    "model": shipped[name].title,
                    "engine": engine.name,
                    "measured here": text.milliseconds(engine.milliseconds),
                    "stored": text.milliseconds(stored) if stored and engine.name == ONNX else "–",
                    "device": engine.device,
                }
            )
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", alt="Times per photo, measured here")
        machines = {subject.entry.latency.get("machine", "") for subject in shipped.values()} - {""}
        st.caption(f"Stored: ONNX Runtime on {text.plain('; '.join(sorted(machines)) or 'an unnamed machine')}.")
