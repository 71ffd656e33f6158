"""The upper half of the Architecture page: totals, problems and their fixes, the diagram and what is selected in it."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from ui.architecture import layer, options, state
from ui.architecture.cached import chosen, diagnosed, drawn
from ui.architecture.state import View
from ui.components.u_diagram import u_diagram
from ui.shared import format as text
from ui.shared.sections import section_control
from unet_core.architecture.doctor import Diagnosis, Remedy
from unet_core.architecture.trace import Trace
from unet_core.explain.real_error import not_runnable

DIAGRAM = "architecture-diagram"
SHARES = (5, 3)  # of the width, for the diagram and the panel beside it
REMEDIES = 4  # shown at most; the shape doctor lists all


def totals(view: View, traced: Trace) -> None:
    """Show the totals of the network in one row; of a network that breaks, as lower bounds."""
    until = "" if traced.valid else ", up to the layer that breaks"
    batch = f"a batch of {text.number(view.batch)}, float32"
    figures = (
        ("Output", text.shape(traced.output_shape) if traced.output_shape else "none", _about_output(traced)),
        (
            "Parameters",
            text.number(traced.total_params),
            f"{text.number(traced.trainable_params)} trainable{until}",
        ),
        ("Weights", text.byte_size(traced.weight_bytes), f"As float32{until}; {_binary(traced.weight_bytes)}"),
        ("MACs", text.short(traced.total_macs), f"Multiply-accumulates of the convolutions for one image{until}"),
        (
            "Receptive field",
            text.receptive_field(traced.receptive_field, traced.whole_image),
            f"Side of the largest input window that an output pixel depends on{until}",
        ),
        (
            "Prediction",
            text.byte_size(traced.inference_activation_bytes(view.batch)),
            f"Peak memory of the activations of {batch}, without weights{until}",
        ),
        (
            "Training",
            text.byte_size(traced.training_activation_bytes(view.batch)),
            f"Memory of all activations, for the backward pass of {batch}, without weights and optimizer{until}",
        ),
    )
    with (
        st.container(border=True, key="architecture-totals"),
        st.grid(len(figures), min_column_width=108, gap="small"),
    ):
        for name, value, about in figures:
            partial = traced.problem is not None and name != "Output"
            st.metric(name, f"≥{text.THIN_SPACE}{value}" if partial else value, help=about)
        if traced.problem is not None:
            st.caption(f"Only up to {text.plain(traced.problem.layer)}, where the network breaks.")


def batch_control(view: View) -> None:
    """Show the batch size for the memory figures."""
    key = "architecture-batch"
    if st.session_state.get(key) != view.batch:
        st.session_state[key] = view.batch
    st.number_input(
        "Batch", step=1, key=key, width=72, help="Photos per batch, for the memory of prediction and training",
        on_change=lambda: state.change_batch(st.session_state[key]),
    )  # fmt: skip


def notice() -> None:
    """Show what was invalid in the address or changed with the last change, if anything."""
    found = state.notice()
    if found:
        kind = st.error if found.is_error else st.info
        kind(text.plain(found.text), icon=":material/block:" if found.is_error else ":material/info:")


def findings(view: View) -> None:
    """Show the layer that breaks, and whether the network is too large to run here."""
    diagnosis = diagnosed(view.config)
    if diagnosis.problem:
        _break(diagnosis)
    reason = not_runnable(view.config)
    if reason:
        st.warning(text.plain(reason), title="Traced, but not runnable here", icon=":material/memory:")


def diagram_and_panel(view: View, traced: Trace) -> None:
    """Show the diagram, in which layers and blocks can be selected, and the explanation of what is selected."""
    with st.container(key="architecture-figure"):
        left, right = (st.container(), st.container()) if view.wide else st.columns(SHARES, gap="medium")
        with left:
            _above_the_diagram(view)
            u_diagram(drawn(traced), selected=chosen(traced, view.layer), on_choose=state.choose, key=DIAGRAM)
        with right, st.container(border=True, gap="small", key="architecture-panel"):
            layer.panel(view, traced)


def _above_the_diagram(view: View) -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="architecture-above"
    ):
        st.caption(
            "Select a block, a layer or an arrow",
            width="content",
            help="Click, or press Tab: ← → move by layer, ↑ ↓ by block, Enter selects, Esc deselects",
        )
        st.button(
            "Side by side" if view.wide else "Wide",
            icon=":material/splitscreen_right:" if view.wide else ":material/width_full:",
            type="tertiary",
            key="architecture-wide",
            help="Show the explanation beside the diagram" if view.wide else "Show the diagram in full width",
            on_click=lambda: state.change(state.notice(), wide=not view.wide),
        )


def remedy_button(
    remedy: Remedy, key: str, *, primary: bool = False, width: Literal["content", "stretch"] = "content"
) -> None:
    """Show the button that applies a remedy, with its effect as tooltip."""
    st.button(
        text.plain(remedy.label),
        key=key,
        help=text.plain(remedy.effect),
        icon=":material/healing:",
        type="primary" if primary else "secondary",
        width=width,
        wrap=width == "stretch",
        on_click=_apply,
        args=(remedy,),
    )


def _apply(remedy: Remedy) -> None:
    height, width = remedy.size
    done = state.Notice(f"{remedy.label}: {remedy.effect}", is_error=False)
    state.change(done, config=remedy.config.replace(height=height, width=width), layer="")


def _break(diagnosis: Diagnosis) -> None:
    with st.container(key="architecture-break"):
        st.error(text.plain(diagnosis.sentence), title="This network breaks", icon=":material/broken_image:")
        if not diagnosis.remedies:
            return
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("**How to fix it**", width="content")
            for number, remedy in enumerate(diagnosis.remedies[:REMEDIES]):
                remedy_button(remedy, f"fix-{number}", primary=number == 0)


def _binary(count: int) -> str:
    """Say how the summary of Keras writes the same number of bytes."""
    size = text.quantity(count / 2**20, "MiB", 1)
    return f"the summary of Keras counts {size} and writes MB for it"


def _about_output(traced: Trace) -> str:
    lost = traced.lost_border
    if lost is None:
        return "The network breaks before its output"
    if any(lost):
        return f"Height × width × channels. Valid padding removes {max(lost)} px at the border."
    return "Height × width × channels"


def sections(view: View) -> str:
    """Show the choice of the section below the diagram, and return it."""
    key = "architecture-show"
    if st.session_state.get(key) != view.tab:
        st.session_state[key] = view.tab
    section_control(
        options.SECTIONS,
        key=key,
        on_change=lambda: state.change(state.notice(), tab=st.session_state[key] or view.tab),
    )
    return view.tab
