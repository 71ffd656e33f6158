"""The U diagram on a page: layers chosen by mouse, finger or keyboard, numbers on hover, zoom."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import streamlit as st

from ui.components import element_key, register
from ui.shared.format import TIMES, byte_size, number, quantity, shape
from unet_core.architecture.table import Block, block_keys, blocks
from unet_core.architecture.trace import Trace
from unet_core.architecture.tracer import LayerTrace
from unet_core.explain.diagram import Diagram, bare_svg, diagram, theme_rules

_READABLE = 0.76  # smallest scale at which a picture's texts can be read
_LARGEST = 1.4  # times its natural size
_TALLEST = 80  # percent of the window's height

_component = register("u_diagram", css=theme_rules())


def u_diagram(drawn: Diagram, *, selected: str, on_choose: Callable[[str], None], key: str) -> None:
    """Show a diagram in which a visitor can choose layers and blocks.

    `selected` is the layer's name or the block's key that is highlighted, "" for none. `on_choose` is called with what
    the visitor chooses before the page is drawn again: a click or Enter on a layer or a block chooses it, on the chosen
    one, or Escape, gives it up: then it is "". A full diagram gives way to smaller ones where it could not be read.
    `key` is the diagram's own, on all pages.
    """
    element = element_key("u_diagram", key)
    sizes = _sizes(drawn)
    _reserve(element, sizes)
    _component(
        key=element,
        data={
            "pictures": [_picture(one) for one in sizes],
            "limits": {"readable": _READABLE, "largest": _LARGEST, "tallest": _TALLEST / 100},
            "label": f"{drawn.title}. {drawn.description}",
            "selected": selected or None,
            "facts": _facts(drawn.trace),
            "titles": {tile.key: tile.title for tile in drawn.tiles},
        },
        on_chosen_change=lambda: on_choose(str(st.session_state[element]["chosen"] or "")),
    )


def lend_height(drawn: Diagram, element: str, share: float) -> None:
    """Tell what is shown beside a diagram, `share` as wide, how high that is: in its CSS property --beside.

    `element` is its key; a component inherits the property.
    """
    place = f".st-key-{element}.stElementContainer"
    rules = [f"{place} {{ container-type: inline-size; }}"]
    rules += _for_every_width(_sizes(drawn), f"{place} > *", "--beside", share)
    st.html(f"<style>{' '.join(rules)}</style>")


@lru_cache(maxsize=64)
def _sizes(drawn: Diagram) -> tuple[Diagram, ...]:
    """Return the diagram and those that take its place where it is too large."""
    smaller = ("medium", "compact") if drawn.detail == "full" else ()
    return (drawn, *(diagram(drawn.trace, detail=detail) for detail in smaller))


@lru_cache(maxsize=64)
def _picture(drawn: Diagram) -> dict[str, object]:
    return {"svg": bare_svg(drawn), "width": round(drawn.width, 1), "height": round(drawn.height, 1)}


def _reserve(element: str, pictures: tuple[Diagram, ...]) -> None:
    """Keep the diagram's place free until its own style and script are there, so that nothing below it jumps."""
    place = f".st-key-{element}.stElementContainer"
    rules = [
        f"{place} {{ display: grid; container-type: inline-size; }}",
        f"{place} > *, {place}::before {{ grid-area: 1 / 1; min-width: 0; }}",
        f"{place}::before {{ content: ''; visibility: hidden; }}",
        *_for_every_width(pictures, f"{place}::before", "height"),
    ]
    st.html(f"<style>{' '.join(rules)}</style>")


def _for_every_width(pictures: tuple[Diagram, ...], what: str, field: str, share: float = 1.0) -> list[str]:
    """Write rules that set a CSS property to the height of the picture that is shown in a container of any width.

    `share` is the container's part of the picture's width.
    """
    rules = [f"{what} {{ {field}: {_height(pictures[0], share)}; }}"]
    for larger, smaller in pairwise(pictures):
        limit = f"{_READABLE * larger.width * share:.1f}px"
        rules.append(f"@container (max-width: {limit}) {{ {what} {{ {field}: {_height(smaller, share)}; }} }}")
    return rules


def _height(drawn: Diagram, share: float) -> str:
    """Write the height that diagram.js gives the picture: as wide as the page, but never taller than the window."""
    return f"min({100 * drawn.height / drawn.width / share:.2f}cqw, {_TALLEST}vh, {_LARGEST * drawn.height:.0f}px)"


@lru_cache(maxsize=64)
def _facts(trace: Trace) -> dict[str, list[list[str]]]:
    """Return the numbers that each block and layer shows on hover, as (what, how much), blocks before their layers."""
    keys, found = block_keys(trace), {}
    for block in blocks(trace):
        found[keys[block.name]] = _block_facts(block)
        found |= {layer.name: _layer_facts(layer) for layer in block.layers}
    return found


def _block_facts(block: Block) -> list[list[str]]:
    count = len(block.layers)
    shapes = f"{shape(block.input_shape)} → {shape(block.output_shape)}"
    facts = [["", f"block of {count} layer{'s' * (count != 1)}"], ["shape", shapes]]
    return facts + _costs(block.params, block.macs, block.activation_bytes, block.layers[-1].receptive_field)


def _layer_facts(layer: LayerTrace) -> list[list[str]]:
    facts = [["", layer.op.replace("_", " ")], ["shape", f"{shape(layer.input_shape)} → {shape(layer.output_shape)}"]]
    if layer.kernel:
        facts.append(["kernel", f"{layer.kernel[0]}{TIMES}{layer.kernel[1]}"])
    return facts + _costs(layer.params, layer.macs, layer.activation_bytes, layer.receptive_field)


def _costs(params: int, macs: int, activation_bytes: int, field: int) -> list[list[str]]:
    facts = [["parameters", number(params)]] if params else []
    facts += [["MACs", number(macs)]] if macs else []
    facts.append(["activations", byte_size(activation_bytes)])
    return [*facts, ["receptive field", quantity(field, "px")]] if field else facts
