"""The panel beside the diagram: one layer or block, what it does, its arithmetic and its receptive field."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from ui.architecture import state
from ui.architecture.cached import chosen
from ui.architecture.receptive_field import field_picture
from ui.architecture.state import View
from ui.components import image
from ui.shared import format as text
from unet_core.architecture.table import Block, block_keys, blocks, counted
from unet_core.architecture.trace import Problem, Trace
from unet_core.architecture.tracer import LayerTrace
from unet_core.explain.block import explain_block, layer_steps
from unet_core.explain.layer import explain
from unet_core.images.samples import CAT_CREDIT

MOST_LISTED = 12  # layers of a block; a longer list has to be opened
FIELD_WIDTH = 132  # pixels, of the receptive field's picture


def panel(view: View, traced: Trace) -> None:
    """Show the selected layer or block, the layer that breaks, or the first block."""
    found, keys, selected = blocks(traced), block_keys(traced), chosen(traced, view.layer)
    if view.layer and view.layer != selected:
        st.caption(f":material/info: This network has no layer {text.plain(view.layer)}.")
    block = next((block for block in found if keys[block.name] == selected), None)
    layer = next((layer for layer in traced.layers if layer.name == selected), None)
    if block is not None:
        _heading(traced, selected, block.title)
        _block(block, traced)
    elif layer is not None:
        _heading(traced, selected, text.plain(layer.name))
        _layer(view, traced, layer)
    elif traced.problem is not None:
        _broken(view, traced, traced.problem)


def _heading(traced: Trace, selected: str, title: str) -> None:
    """Show the title between the buttons that step through blocks and layers."""
    order = _in_order(traced)
    at = order.index(selected)
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="xsmall", wrap=False
    ):
        st.markdown(f"#### {title}", width="stretch")
        for label, step in (("Previous", -1), ("Next", 1)):
            st.button(
                label,
                icon=":material/chevron_left:" if step < 0 else ":material/chevron_right:",
                type="tertiary",
                key=f"architecture-{label.lower()}",
                help=f"{label} block or layer",
                disabled=not 0 <= at + step < len(order),
                on_click=state.choose,
                args=(order[min(max(at + step, 0), len(order) - 1)],),
            )


@lru_cache(maxsize=64)
def _in_order(traced: Trace) -> tuple[str, ...]:
    """Return the names of each block followed by those of its layers."""
    keys = block_keys(traced)
    return tuple(name for block in blocks(traced) for name in (keys[block.name], *(row.name for row in block.layers)))


def _layer(view: View, traced: Trace, layer: LayerTrace) -> None:
    explanation = explain(view.config, traced, layer.name)
    st.markdown(text.plain(explanation.sentence))
    st.code(explanation.formula, language=None, wrap_lines=True)
    rows = (("Size", explanation.size), ("Parameters", explanation.parameters), ("MACs", explanation.macs))
    st.markdown("  \n".join(f"**{name}** {text.plain(line)}" for name, line in rows if line))
    st.code(explanation.keras_line, language="python", wrap_lines=True)
    if explanation.note:
        st.caption(text.plain(explanation.note))
    _field(traced, layer)


def _broken(view: View, traced: Trace, problem: Problem) -> None:
    explanation = explain(view.config, traced, problem.layer)
    st.markdown(f"#### {text.plain(problem.layer)} breaks")  # the explanation is above the diagram
    st.code(explanation.formula, language=None, wrap_lines=True)
    st.code(explanation.keras_line, language="python", wrap_lines=True)


def _block(block: Block, traced: Trace) -> None:
    last = block.layers[-1]
    st.markdown(text.plain(explain_block(traced, block)))
    count = counted(len(block.layers), "layer")
    st.code(f"{text.shape(block.input_shape)} → {count} → {text.shape(block.output_shape)}", language=None)
    many = len(block.layers) > MOST_LISTED
    with (
        st.container(key="architecture-listed"),
        st.expander(f"The {count}", key="architecture-all-layers") if many else st.container(),
    ):
        st.markdown(_listed(traced, block))
    shares = (
        ("parameters", text.number(block.params), block.params, traced.total_params),
        ("MACs", text.short(block.macs), block.macs, traced.total_macs),
        ("activation memory", text.byte_size(block.activation_bytes), block.activation_bytes,
         traced.training_activation_bytes()),
    )  # fmt: skip
    st.markdown(
        "  \n".join(
            f"**{value}** {name}, {text.percent(part / whole)} of the network"
            for name, value, part, whole in shares
            if part
        )
    )
    _field(traced, last)


@lru_cache(maxsize=64)
def _listed(traced: Trace, block: Block) -> str:
    """List each layer of the block with its operation, in Markdown."""
    return "\n".join(f"- **{text.plain(name)}** {text.plain(step)}" for name, step in layer_steps(traced, block))


def _field(traced: Trace, layer: LayerTrace) -> None:
    height, width, _ = traced.input_shape
    field, side = layer.receptive_field, text.quantity(layer.receptive_field, "px")
    least, most = layer.window_moves
    if layer.whole_image:
        sentence, beyond, moves = "Each output pixel depends on the whole image", "", ""
    else:
        sentence = f"An output pixel depends on up to {text.number(field)}{text.TIMES}{side} of the input"
        beyond = ", more than the whole photo" if field > max(height, width) else ""
        apart = text.quantity(most, "px") if least == most else f"{least} to {text.quantity(most, 'px')}"
        moves = f"; windows of neighbouring pixels are {apart} apart"
    shown = max(height, width) if layer.whole_image else field
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        image(
            field_picture(height, width, shown, layer.stride),
            "image/webp",
            width=FIELD_WIDTH,
            alt=f"{sentence}, drawn on the sample photo",
        )
        st.caption(f"{sentence}{beyond}{moves}.", help=CAT_CREDIT)
