"""The layers as a table with collapsible blocks and bars in the numeric columns, linked with the diagram."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import streamlit as st

from ui.components import register
from ui.shared import format as text
from unet_core.architecture.table import Block, block_keys, blocks, counted, operation_of
from unet_core.architecture.trace import Problem, Trace
from unet_core.architecture.tracer import LayerTrace
from unet_core.explain.diagram.operations import OPERATIONS
from unet_core.explain.diagram.texts import problem_words

KEY = "layer-table"
NOTHING = "–"
COLUMNS = (
    {"name": "Layer", "text": True},
    {"name": "Output", "help": "Height × width × channels"},
    {"name": "Parameters"},
    {"name": "MACs", "help": "Multiply-accumulates of the convolutions for one image"},
    {"name": "Memory", "help": "The output of one image as float32"},
    {"name": "Receptive field", "help": "Side of the largest input window that an output pixel depends on, in pixels"},
    {"name": "Stride", "help": "Distance between neighbouring output pixels, in input pixels"},
    {"name": "Kernel"},
    {"name": "Input", "help": "Height × width × channels"},
    {"name": "Operation", "text": True},
)

_table = register("layer_table")


def layer_table(traced: Trace, *, selected: str, height: int, on_pick: Callable[[str], None]) -> None:
    """Show the layers of a network by block.

    `on_pick` is called with the name of the layer or the key of the block that a visitor selects, "" for none.
    `selected` is the name or key of the row that is highlighted and scrolled into view, `height` the table's height in
    pixels.
    """
    _table(
        key=KEY,
        data={
            **_content(traced),
            "colours": {key: [operation.light, operation.dark] for key, operation in OPERATIONS.items()},
            "columns": COLUMNS,
            "selected": selected,
            "height": height,
        },
        on_picked_change=lambda: on_pick(str(st.session_state[KEY]["picked"])),
    )


@lru_cache(maxsize=64)
def _content(traced: Trace) -> dict[str, Any]:
    """Return the texts and shares that the browser shows; the same object for the same trace."""
    found = blocks(traced)
    peaks = [max((getattr(layer, name) for layer in traced.layers), default=0) for name in _BARS]
    sums = [max((getattr(block, name) for block in found), default=0) for name in _BARS]
    keys = block_keys(traced)
    entries = [
        _block(keys[block.name], block, sums) | {"rows": [_layer(layer, peaks) for layer in block.layers]}
        for block in found
    ]
    if traced.problem:
        entries[-1]["rows"].append(_broken(traced.problem))
    return {
        "network": f"{hash(traced.config)}-{traced.input_shape}",
        "label": "Layers of the network",
        "count": f"{counted(len(traced.layers), 'layer')} in {counted(len(found), 'block')}",
        "blocks": entries,
    }


_BARS = ("params", "macs", "activation_bytes")


def _cells(
    title: str, whole: Block | LayerTrace, last: LayerTrace, kernel: str, inputs: str, operation: str
) -> list[str]:
    """Write a row: the costs of a block or layer as a whole, and the rest of its last layer."""
    return [
        title,
        text.shape(last.output_shape),
        text.number(whole.params) if whole.params else NOTHING,
        text.short(whole.macs) if whole.macs else NOTHING,
        text.byte_size(whole.activation_bytes),
        "whole image" if last.whole_image else text.number(last.receptive_field),
        str(last.stride),
        kernel,
        inputs,
        operation,
    ]


def _shares(values: tuple[int, int, int], largest: list[int]) -> list[float]:
    shares = [round(value / most, 4) if most else 0.0 for value, most in zip(values, largest, strict=True)]
    return [0.0, 0.0, *shares, *[0.0] * 5]


def _block(key: str, block: Block, largest: list[int]) -> dict[str, Any]:
    count = counted(len(block.layers), "layer")
    numbers = (block.params, block.macs, block.activation_bytes)
    return {
        "name": key,
        "cells": _cells(block.title, block, block.layers[-1], "", text.shape(block.input_shape), count),
        "shares": _shares(numbers, largest),
    }


def _layer(layer: LayerTrace, largest: list[int]) -> dict[str, Any]:
    kernel = text.TIMES.join(map(str, layer.kernel)) if layer.kernel else ""
    numbers = (layer.params, layer.macs, layer.activation_bytes)
    return {
        "name": layer.name,
        "operation": operation_of(layer),
        "title": layer.name,
        "cells": _cells(
            layer.name.removeprefix(f"{layer.block}_"),
            layer,
            layer,
            kernel,
            " + ".join(map(text.shape, layer.input_shapes)) or text.shape(layer.input_shape),
            layer.op.replace("_", " "),
        ),
        "shares": _shares(numbers, largest),
    }


def _broken(problem: Problem) -> dict[str, Any]:
    cells = [problem.layer, problem_words(problem), *[NOTHING] * 7, "breaks here"]
    return {"name": problem.layer, "operation": None, "problem": True, "cells": cells, "shares": [0.0] * len(cells)}
