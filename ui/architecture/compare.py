"""Two configurations side by side: small diagrams to the same scale, and a table of the differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import streamlit as st

from ui.architecture import state
from ui.architecture.cached import small
from ui.architecture.controls import described
from ui.architecture.state import View
from ui.components.u_diagram import u_diagram
from ui.shared import format as text
from ui.shared.lazy import pd
from unet_core.architecture.presets import PRESETS
from unet_core.architecture.query import Address, differences, differences_between
from unet_core.architecture.table import counted
from unet_core.architecture.trace import Trace, trace

CHOICE = "architecture-against"
KEPT = "kept"  # a choice of its own, beside the presets


class Measure(NamedTuple):
    """One row of the table: its name, its value, and how it is written."""

    name: str
    value: Callable[[Trace], float | None]
    written: Callable[[Trace], str]


MEASURES = (
    Measure("Output", lambda _: None, lambda found: text.shape(found.output_shape) if found.valid else "breaks"),
    Measure("Parameters", lambda found: found.total_params, lambda found: text.number(found.total_params)),
    Measure("Weights", lambda found: found.weight_bytes, lambda found: text.byte_size(found.weight_bytes)),
    Measure("MACs, one image", lambda found: found.total_macs, lambda found: text.short(found.total_macs)),
    Measure(
        "Memory, prediction",
        lambda found: found.inference_activation_bytes(),
        lambda found: text.byte_size(found.inference_activation_bytes()),
    ),
    Measure(
        "Memory, training",
        lambda found: found.training_activation_bytes(),
        lambda found: text.byte_size(found.training_activation_bytes()),
    ),
    Measure(
        "Receptive field",
        lambda found: None if found.whole_image else found.receptive_field,
        lambda found: text.receptive_field(found.receptive_field, found.whole_image),
    ),
    Measure("Layers", lambda found: len(found.layers), lambda found: str(len(found.layers))),
)


def section(view: View) -> None:
    """Show the choice of the second configuration, both diagrams, and the differences."""
    other = state.second(view.against)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _choice(view, other)
        st.button(
            "Keep for comparison",
            icon=":material/keep:",
            key="architecture-keep",
            help="Keeps the network above as the second one, so that you can change the first",
            on_click=lambda: state.change(against=state.written(view.config, view.preset)),
        )
        st.button(
            "Swap",
            icon=":material/swap_horiz:",
            key="architecture-swap",
            on_click=lambda: state.change(
                config=other.config,
                preset=other.preset,
                against=state.written(view.config, view.preset),
                layer="",
            ),
        )
    one, two = trace(view.config), trace(other.config)
    larger = max((one, two), key=lambda found: found.input_shape[0])
    for place, found, title, key in zip(
        st.columns(2, gap="large"),
        (one, two),
        (_title(Address(view.preset, view.config)), _title(other)),
        ("mine", "other"),
        strict=True,
    ):
        with place:
            st.markdown(f"**{text.plain(title)}**")
            u_diagram(
                small(found, larger), selected=view.layer, on_choose=state.choose, key=f"architecture-compare-{key}"
            )
    _table(one, two)
    changed = differences_between(view.config, other.config)
    if changed:
        st.caption("From left to right: " + " · ".join(text.plain(described(found)) for found in changed))
    else:
        st.caption("Both networks are the same.")


def _choice(view: View, other: Address) -> None:
    own = bool(differences(other.config, other.preset))
    options = [*PRESETS, *([KEPT] if own else [])]
    chosen = KEPT if own else other.preset
    if st.session_state.get(CHOICE) != chosen:
        st.session_state[CHOICE] = chosen
    st.selectbox(
        "Compare with",
        options,
        key=CHOICE,
        format_func=lambda name: _title(other) if name == KEPT else PRESETS[name].title,
        on_change=_compare_with_preset,
        width=320,
    )


def _compare_with_preset() -> None:
    name = st.session_state[CHOICE]
    if name in PRESETS:
        state.change(against=state.written(PRESETS[name].config, name))


def _title(address: Address) -> str:
    changes = len(differences(address.config, address.preset))
    title = PRESETS[address.preset].title
    return f"{title}, {counted(changes, 'change')}" if changes else title


def _table(one: Trace, two: Trace) -> None:
    rows = [
        {
            "": measure.name,
            "Left": _written(measure, one),
            "Right": _written(measure, two),
            "Right is": _ratio(measure, one, two),
        }
        for measure in MEASURES
    ]
    st.table(pd.DataFrame(rows).set_index(""), alt="Figures of both networks")
    if not (one.valid and two.valid):
        st.caption(":material/broken_image: Figures of a network that breaks include only the layers before the break.")


def _written(measure: Measure, found: Trace) -> str:
    """Write a figure; of a network that breaks, as a lower bound."""
    written = measure.written(found)
    return written if found.valid or measure.value(found) is None else f"≥{text.THIN_SPACE}{written}"


def _ratio(measure: Measure, one: Trace, two: Trace) -> str:
    left, right = measure.value(one), measure.value(two)
    if not (left and right and one.valid and two.valid):
        return ""
    ratio = max(left, right) / min(left, right)
    if left == right:
        return "same"
    factor = f"{text.number(ratio, 2 if ratio < 10 else 0)}{text.THIN_SPACE}{text.TIMES}"
    return f"{factor} {'larger' if right > left else 'smaller'}"
