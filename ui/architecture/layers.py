"""All layers: the table of the blocks with their layers, and each block's share of the network's cost."""

from __future__ import annotations

import streamlit as st

from ui.architecture import state
from ui.architecture.cached import block_of, chosen
from ui.architecture.state import View
from ui.components.layer_table import layer_table
from ui.shared import format as text
from ui.shared.lazy import pd
from ui.shared.vega import Spec, name_axis, nominal, quantitative
from unet_core.architecture.table import Block, blocks
from unet_core.architecture.trace import Trace

TABLE_HEIGHT = 420  # pixels
BAR_STEP = 19  # pixels for each bar
ACCENT, GREY = "#14857a", "#808d95"  # both readable on light and dark
COSTS = {"params": "Parameters", "macs": "MACs", "activation_bytes": "Activation memory, one image"}


def section(view: View, traced: Trace) -> None:
    """Show the table, in which layers and blocks can be selected too, and the charts of the costs."""
    layer_table(traced, selected=chosen(traced, view.layer), height=TABLE_HEIGHT, on_pick=state.choose)
    _costs(blocks(traced)[1:], block_of(traced, view.layer))  # the input costs nothing


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


def _bars(title: str, order: list[str]) -> Spec:
    """Return the chart of `_shares`.

    `order` are the blocks' titles: a drawn chart that gets other data would list new blocks last.
    """
    bars = {
        "mark": {"type": "bar", "height": 11, "cornerRadiusEnd": 2, "color": ACCENT},
        "encoding": {"opacity": {"condition": {"test": "datum.faint", "value": 0.35}, "value": 1}},
    }
    labels = {
        "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 11, "color": GREY, "clip": False},
        "encoding": {"text": nominal("label")},
    }
    return {
        "title": {"text": title, "fontSize": 12, "offset": 6},
        "height": {"step": BAR_STEP},
        "encoding": {
            "y": nominal("block", sort=order, title=None, axis=name_axis(90, labelPadding=6)),
            "x": quantitative("share", axis=None, scale={"domainMin": 0}),
            "tooltip": [nominal("block"), nominal("written", title=title), quantitative("share", format=".1%")],
        },
        "layer": [bars, labels],
    }
