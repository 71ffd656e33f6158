"""One layer or block: what it does, its arithmetic, its receptive field, and its share of the network's cost."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import streamlit as st

from ui.architecture.cached import block_of, chosen
from ui.architecture.receptive_field import field_png
from ui.architecture.state import View
from ui.shared import format as text
from ui.shared.lazy import pd
from unet_core.architecture.table import Block, block_keys, blocks, counted
from unet_core.architecture.trace import Problem, Trace
from unet_core.architecture.tracer import LayerTrace
from unet_core.explain.block import explain_block, layer_steps
from unet_core.explain.layer import explain
from unet_core.images.samples import CAT_CREDIT

BAR_STEP = 19  # pixels for each bar
MAX_LIST_HEIGHT = 320  # pixels, of a block's layers
ACCENT, GREY = "#14857a", "#808d95"  # both readable on light and dark
COSTS = {"params": "Parameters", "macs": "MACs", "activation_bytes": "Activation memory, one image"}


def section(view: View, traced: Trace) -> None:
    """Show the selected layer or block, and the charts of the costs."""
    found, keys, selected = blocks(traced), block_keys(traced), chosen(traced, view.layer)
    if view.layer and view.layer != selected:
        st.caption(f":material/info: This network has no layer {text.plain(view.layer)}.")
    block = next((block for block in found if keys[block.name] == selected), None)
    layer = next((layer for layer in traced.layers if layer.name == selected), None)
    if block is not None:
        _block(block, traced)
    elif layer is not None:
        _layer(view, traced, layer)
    elif traced.problem is not None:
        _broken(view, traced, traced.problem)
    _costs(found[1:], block_of(traced, selected))  # the input costs nothing


def _layer(view: View, traced: Trace, layer: LayerTrace) -> None:
    words, picture = st.columns([5, 2], gap="large")
    explanation = explain(view.config, traced, layer.name)
    with words:
        st.markdown(f"#### {text.plain(layer.name)}")
        st.markdown(text.plain(explanation.sentence))
        st.code(explanation.formula, language=None, wrap_lines=True)
        rows = (("Size", explanation.size), ("Parameters", explanation.parameters), ("MACs", explanation.macs))
        st.markdown("  \n".join(f"**{name}** {text.plain(line)}" for name, line in rows if line))
        st.code(explanation.keras_line, language="python", wrap_lines=True)
        if explanation.note:
            st.caption(text.plain(explanation.note))
    with picture:
        _field(traced, layer)


def _broken(view: View, traced: Trace, problem: Problem) -> None:
    explanation = explain(view.config, traced, problem.layer)
    st.markdown(f"#### {text.plain(problem.layer)} breaks")  # the explanation is above the diagram
    st.code(explanation.formula, language=None, wrap_lines=True)
    st.code(explanation.keras_line, language="python", wrap_lines=True)


def _block(block: Block, traced: Trace) -> None:
    words, picture = st.columns([5, 2], gap="large")
    last = block.layers[-1]
    with words:
        st.markdown(f"#### {block.title}")
        st.markdown(text.plain(explain_block(traced, block)))
        st.code(_listed(traced, block), language=None, height=MAX_LIST_HEIGHT if len(block.layers) > 12 else "content")
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
    with picture:
        _field(traced, last)


@lru_cache(maxsize=64)
def _listed(traced: Trace, block: Block) -> str:
    """Write the block's input and output shapes, and below them each layer's operation."""
    count = counted(len(block.layers), "layer")
    steps = layer_steps(traced, block)
    longest = max(len(name) for name, _ in steps)
    lines = [f"{name:{longest}}  {formula}" for name, formula in steps]
    return "\n".join([f"{text.shape(block.input_shape)} → {count} → {text.shape(block.output_shape)}", "", *lines])


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
    st.image(
        field_png(height, width, shown, layer.stride), width="stretch", alt=f"{sentence}, drawn on the sample photo"
    )
    st.caption(f"{sentence}{beyond}{moves}.", help=CAT_CREDIT)


# --- costs ------------------------------------------------------------------------------------------------------------


def _costs(found: tuple[Block, ...], chosen: str) -> None:
    st.markdown("**Parameters, computation and memory by block**")
    with st.grid(3, min_column_width=250, gap="small"):
        for field, title in COSTS.items():
            st.vega_lite_chart(
                _shares(found, field, chosen),
                _bars(title, [block.title for block in found]),
                alt=f"{title} of each block",
                key=f"architecture-cost-{field}",
            )


def _shares(found: tuple[Block, ...], field: str, chosen: str) -> pd.DataFrame:
    """Return one row per block, in the network's order, with its share of the total."""
    values = [getattr(block, field) for block in found]
    total = sum(values) or 1
    return pd.DataFrame(
        {
            "block": [block.title for block in found],
            "share": [value / total for value in values],
            "label": [_rounded(value / total) for value in values],
            "written": [
                text.byte_size(value) if field == "activation_bytes" else text.short(value) for value in values
            ],
            "faint": [chosen not in ("", block.name) for block in found],
        }
    )


def _rounded(share: float) -> str:
    """Write a share in whole percent, one that rounds to 0 as "<1 %"."""
    return f"<{text.percent(0.01, 0)}" if 0 < share < 0.005 else text.percent(share, 0)


def _bars(title: str, order: list[str]) -> dict[str, Any]:
    """Return the Vega-Lite chart of `_shares`, as a dictionary because Altair takes 100 ms to validate it.

    `order` are the blocks' titles: a drawn chart that gets other data would list new blocks last.
    """
    return {
        "title": {"text": title, "fontSize": 12, "offset": 6},
        "height": {"step": BAR_STEP},
        "encoding": {
            "y": {
                "field": "block",
                "type": "nominal",
                "sort": order,
                "title": None,
                "axis": {
                    "domain": False,
                    "ticks": False,
                    "labelLimit": 90,
                    "labelOverlap": False,
                    "labelPadding": 6,
                    "labelFlush": False,
                    "labelBound": False,
                },
            },
            "x": {"field": "share", "type": "quantitative", "axis": None, "scale": {"domainMin": 0}},
            "tooltip": [
                {"field": "block", "type": "nominal"},
                {"field": "written", "type": "nominal", "title": title},
                {"field": "share", "type": "quantitative", "format": ".1%"},
            ],
        },
        "layer": [
            {
                "mark": {"type": "bar", "height": 11, "cornerRadiusEnd": 2, "color": ACCENT},
                "encoding": {"opacity": {"condition": {"test": "datum.faint", "value": 0.35}, "value": 1}},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 11, "color": GREY, "clip": False},
                "encoding": {"text": {"field": "label", "type": "nominal"}},
            },
        ],
    }
