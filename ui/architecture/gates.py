"""Switch it off: a trained network's skip connections and blocks, on, halved, off or noise, and what is left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from ui.architecture import state as page
from ui.architecture.experiment_subject import Chosen, drawn, turns
from ui.architecture.options import GATE_STATES as STATES
from ui.shared import format as text
from ui.shared import frame
from unet_core.architecture.table import block_title
from unet_core.explain.gates import GatedPhoto, Setting, State, agreement, gated_photo, outline_moved
from unet_core.explain.probe import Gate
from unet_core.results.files import ResultsError, read_comparison
from unet_core.segment.compressed import encode_jpeg
from unet_core.settings import Settings

BLOCK, CHANNELS = "gate-block", "gate-channels"
WITH_SKIPS, WITHOUT_SKIPS = "plain", "plain_no_skips"  # runs of the comparison under one budget
UNCHANGED_LINE = (240, 228, 66)  # yellow of Okabe and Ito's palette, which no class of pets has
_STATES: dict[str, State] = dict(zip(STATES, ("on", "half", "off", "noise"), strict=True))
_STATES_HELP = (
    "Half multiplies the values by ½, off by 0. Noise replaces them by random numbers with the same mean and standard "
    "deviation in each channel: the strength stays, the picture is lost."
)


@dataclass(frozen=True, eq=False)
class _Outcome:
    """A mask at the photo's size, the subject at the network's, and the milliseconds that the network took."""

    mask: np.ndarray
    small: np.ndarray
    milliseconds: float = 0.0


def experiment(chosen: Chosen) -> None:
    """Show the switches, and the photo's mask with and without what they change.

    Raises:
        WeightsError: the network's ONNX file has no layer names.
    """
    with turns(chosen)():
        found = _gated(chosen.key, chosen)

    @st.fragment
    def switches() -> None:
        pictures, controls = st.columns([7, 5], gap="medium")
        with controls:
            settings = _controls(found)
        with pictures, st.container(key="experiment-pictures"):
            milliseconds = _pictures(chosen, found, settings)
        _notes(chosen, milliseconds)
        _trained_without(chosen.settings)

    switches()


@st.cache_resource(max_entries=8, show_spinner=False)
def _gated(key: str, _chosen: Chosen) -> GatedPhoto:
    return gated_photo(_chosen.entry, _chosen.photo, _chosen.settings)


# --- the switches -----------------------------------------------------------------------------------------------------


def _controls(found: GatedPhoto) -> dict[str, Setting]:
    """Show the switches and return what they change, by gate."""
    skips = [gate for gate in found.gates if gate.is_skip]
    blocks = [gate for gate in found.gates if not gate.is_skip]
    if skips:
        _together(skips)
    else:
        st.caption("This network was built without skip connections: only its blocks can be switched.")
    settings = {}
    for gate in skips:
        state = _state(gate, f"Skip {gate.name.removeprefix('skip')} · {text.shape(gate.shape)}", skips)
        if state != "on":
            settings[gate.name] = Setting(state)
    return settings | _block(blocks)


def _together(skips: list[Gate]) -> None:
    """Show the buttons that set all skip connections at a time."""
    names = [gate.name for gate in skips]
    choices = {"All on": [], "Finest off": names[:1], "Deepest off": names[-1:], "All off": names}
    with st.container(horizontal=True, gap="xsmall"):
        for label, off in choices.items():
            st.button(label, key=f"gates-{label}", on_click=partial(_set, names, off))


def _set(names: list[str], off: list[str]) -> None:
    for name in names:
        st.session_state[_key(name)] = "Off" if name in off else "On"
    st.session_state[BLOCK] = ""
    _keep(names)


def _keep(names: list[str]) -> None:
    """Put what is changed into the address; skip connections that this network does not have are dropped."""
    states = {name: st.session_state[_key(name)] or STATES[0] for name in names}
    page.change(switched=".".join(f"{name}-{state}" for name, state in states.items() if state != STATES[0]))


def _key(gate: str) -> str:
    return f"gate-{gate}"


def _state(gate: Gate, label: str, skips: list[Gate]) -> State:
    key, shown = _key(gate.name), page.current().switches.get(gate.name, STATES[0])
    if st.session_state.get(key) != shown:
        st.session_state[key] = shown
    names = [each.name for each in skips]
    ends = {names[0]: ", the finest", names[-1]: ", the deepest"} if len(names) > 1 else {}
    st.segmented_control(
        label + ends.get(gate.name, ""),
        STATES,
        required=True,
        key=key,
        help=f"From `{gate.layer}` to {block_title(gate.target)}. {_STATES_HELP}",
        on_change=partial(_keep, names),
    )
    return _STATES[shown]


def _block(blocks: list[Gate]) -> dict[str, Setting]:
    """Show the choice of a block, its state and its channels."""
    gates = {gate.name: gate for gate in blocks}
    if st.session_state.get(BLOCK) not in gates:
        st.session_state[BLOCK] = ""
    name = st.selectbox(
        "A block too", ["", *gates], format_func=lambda name: block_title(name) if name else "None", key=BLOCK,
        help="Everything that a block gives on, also on its skip connection.",
    )  # fmt: skip
    if not name:
        return {}
    gate = gates[name]
    state = st.segmented_control(
        f"{block_title(name)} · {text.shape(gate.shape)}", STATES[1:], default="Off", required=True,
        key=_key(name), persist_state="session", help=_STATES_HELP,
    )  # fmt: skip
    channels = gate.shape[2]
    if channels < 2:
        return {name: Setting(_STATES[state])}
    first, last = st.slider(
        "Its channels, the strongest on this photo first", 1, channels, (1, channels), key=f"{CHANNELS}-{name}",
        help="Channels by their mean value on this photo",
    )  # fmt: skip
    return {name: Setting(_STATES[state], (first - 1, last))}


# --- what is left -----------------------------------------------------------------------------------------------------


def _pictures(chosen: Chosen, found: GatedPhoto, settings: dict[str, Setting]) -> float | None:
    """Show both masks and the figures; return the milliseconds that the changed network took."""
    before = _outcome(chosen, found.probabilities)
    after, milliseconds = before, None
    if settings:
        with turns(chosen)():
            started = time.perf_counter()
            probabilities = found.changed(settings)
        milliseconds = 1000 * (time.perf_counter() - started)
        after = _outcome(chosen, probabilities)
    changed = drawn(chosen, chosen.photo, after.mask)
    if settings:
        changed = _with_line(changed, chosen.inside(before.mask))
    what = _said(settings) or "Nothing is changed yet"
    with st.grid(2, min_column_width=140, gap="small"):
        unchanged = encode_jpeg(drawn(chosen, chosen.photo, before.mask))
        st.image(unchanged, "Unchanged", width="stretch", alt="The unchanged network's mask")
        st.image(encode_jpeg(changed), what, width="stretch", alt=f"The changed network's mask: {what}")
    _figures(chosen, before, after)
    return milliseconds


def _notes(chosen: Chosen, milliseconds: float | None) -> None:
    """Say what the pictures and figures show."""
    notes = [] if milliseconds is None else ["The yellow line is the unchanged outline."]
    if chosen.truth is None:
        notes.append("Agreement is the IoU with the unchanged mask: nobody knows the true one of this photo.")
    if chosen.entry.second_look:
        notes.append("One pass over the whole photo; the Segment page adds a zoomed second one.")
    if milliseconds is not None:
        notes.append(f"The changed network took {text.milliseconds(milliseconds)}.")
    st.caption(" ".join(notes))


def _outcome(chosen: Chosen, probabilities: np.ndarray, milliseconds: float = 0.0) -> _Outcome:
    small = chosen.inside(probabilities.argmax(axis=-1))
    return _Outcome(chosen.mask(probabilities), small, milliseconds)


def _figures(chosen: Chosen, before: _Outcome, after: _Outcome) -> None:
    """Show how good the mask still is, how much of the unchanged one is left, and how far the outline moved."""
    inside = chosen.inside(after.mask), chosen.inside(before.mask)
    moved = outline_moved(before.small, after.small)
    with st.grid(3, min_column_width=100, gap="small"):
        if chosen.truth is not None:
            now, unchanged = (agreement(chosen.truth, mask) for mask in inside)
            difference = 100 * (now - unchanged)
            st.metric(
                "IoU",
                text.percent(now),
                f"{difference:+.1f} points" if abs(difference) >= 0.05 else None,
                help="With the true mask; pet and border together",
            )
        st.metric(
            "Agreement",
            text.percent(agreement(*inside)),
            help="IoU with the unchanged mask, not with the true one",
        )
        st.metric(
            "Outline",
            "gone" if moved is None else text.percent(moved),
            help="How far it moved: the mean distance between the two outlines, in percent of the photo's longer side",
        )


def _said(settings: dict[str, Setting]) -> str:
    """Return what is changed, in words."""
    parts = []
    for name, setting in settings.items():
        title = f"Skip {name.removeprefix('skip')}" if name.startswith("skip") else block_title(name)
        parts.append(f"{title} {setting.state}")
    return ", ".join(parts)


def _trained_without(settings: Settings) -> None:
    """Show what a network reached that was trained without skip connections, if that was measured."""
    try:
        comparison = read_comparison(settings)
    except ResultsError:
        return
    runs = {run.name: run for run in comparison.runs}
    with_skips, without = (runs[name].mean_iou if name in runs else None for name in (WITH_SKIPS, WITHOUT_SKIPS))
    if with_skips is None or without is None:
        return
    budget = comparison.budget
    with st.container(border=True, key="experiment-without"):
        st.markdown(
            "**Trained without skip connections is another matter.** A network that never had them learns to do "
            f"without: the plain U-Net of the comparison reached a mean IoU of {text.percent(with_skips)} with skip "
            f"connections and {text.percent(without)} without ({text.number(budget.epochs)} epochs on "
            f"{text.number(budget.photos)} photos of {budget.side}{text.TIMES}{budget.side} pixels each, measured on "
            f"{text.number(budget.test_photos)} test photos). Switching them off in a network that relies on them, as "
            "here, shows what travels through them, not how well U-Nets do without."
        )
        frame.link_to(frame.RESULTS, "The comparison", {})


# --- pictures ---------------------------------------------------------------------------------------------------------


def _with_line(picture: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Draw the outline of a mask (H, W) bool as a line of two pixels."""
    edge = np.zeros(inside.shape, bool)
    across, down = inside[:, 1:] != inside[:, :-1], inside[1:] != inside[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    picture[edge] = UNCHANGED_LINE
    return picture
