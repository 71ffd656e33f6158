"""The U diagram on a page: layers selected by mouse, touch or keyboard, numbers on hover, zoom."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import streamlit as st

from ui.components import element_key, register
from ui.shared.format import TIMES, byte_size, number, receptive_field, shape
from unet_core.architecture.table import Block, block_keys, blocks, counted
from unet_core.architecture.trace import Trace
from unet_core.architecture.tracer import LayerTrace
from unet_core.explain.diagram import Detail, Diagram, bare_svg, diagram, theme_rules

# The smallest scales at which the texts of a picture can be read: 10 pixels, and 9 where no smaller one has the sizes.
_READABLE: dict[Detail, float] = {"full": 1.0, "medium": 0.8, "compact": 0.0, "thumbnail": 0.0}
_LARGEST = 1.4  # times its natural size
_TALLEST = 80  # percent of the window's height

_component = register("u_diagram", css=theme_rules())


def u_diagram(drawn: Diagram, *, selected: str, on_choose: Callable[[str], None], key: str) -> None:
    """Show a diagram in which a visitor can select layers and blocks.

    `selected` is the layer's name or the block's key that is highlighted, "" for none. `on_choose` is called with the
    new selection before the page is drawn again: a click or Enter on a layer or block selects it; on the selected one,
    or with Escape, it deselects and the argument is "". Smaller diagrams replace a full one that would be unreadable.
    `key` is unique across all pages.
    """
    element = element_key("u_diagram", key)
    sizes = _sizes(drawn)
    _reserve(element, sizes)
    _component(
        key=element,
        data={
            "pictures": [_picture(one) for one in sizes],
            "limits": {"largest": _LARGEST, "tallest": _TALLEST / 100},
            "label": f"{drawn.title}. {drawn.description}",
            "selected": selected or None,
            "facts": _facts(drawn.trace),
            "titles": {tile.key: tile.title for tile in drawn.tiles},
        },
        on_chosen_change=lambda: on_choose(str(st.session_state[element]["chosen"] or "")),
    )


@lru_cache(maxsize=64)
def _sizes(drawn: Diagram) -> tuple[Diagram, ...]:
    """Return the diagram and the smaller ones that replace it where it is too large."""
    smaller = ("medium", "compact") if drawn.detail == "full" else ()
    return (drawn, *(diagram(drawn.trace, detail=detail) for detail in smaller))


@lru_cache(maxsize=64)
def _picture(drawn: Diagram) -> dict[str, object]:
    return {
        "svg": bare_svg(drawn),
        "width": round(drawn.width, 1),
        "height": round(drawn.height, 1),
        "readable": _READABLE[drawn.detail],
    }


def _reserve(element: str, pictures: tuple[Diagram, ...]) -> None:
    """Reserve the diagram's space until its style and script are loaded, so that the page below does not jump."""
    place = f".st-key-{element}.stElementContainer"
    rules = [
        f"{place} {{ display: grid; container-type: inline-size; }}",
        f"{place} > *, {place}::before {{ grid-area: 1 / 1; min-width: 0; }}",
        f"{place}::before {{ content: ''; visibility: hidden; }}",
        *_for_every_width(pictures, f"{place}::before"),
    ]
    st.html(f"<style>{' '.join(rules)}</style>")


def _for_every_width(pictures: tuple[Diagram, ...], what: str) -> list[str]:
    """Return rules that give an element the height of the diagram that is shown in a container of any width."""
    rules = [f"{what} {{ height: {_height(pictures[0])}; }}"]
    for larger, smaller in pairwise(pictures):
        limit = f"{_READABLE[larger.detail] * larger.width:.1f}px"
        rules.append(f"@container (max-width: {limit}) {{ {what} {{ height: {_height(smaller)}; }} }}")
    return rules


def _height(drawn: Diagram) -> str:
    """Return the height that u_diagram.js sets: as wide as the container, but not taller than the window."""
    return f"min({100 * drawn.height / drawn.width:.2f}cqw, {_TALLEST}vh, {_LARGEST * drawn.height:.0f}px)"


@lru_cache(maxsize=64)
def _facts(trace: Trace) -> dict[str, list[list[str]]]:
    """Return the (name, value) pairs that each block and layer shows on hover, blocks before their layers."""
    keys, found = block_keys(trace), {}
    for block in blocks(trace):
        found[keys[block.name]] = _block_facts(block)
        found |= {layer.name: _layer_facts(layer) for layer in block.layers}
    return found


def _block_facts(block: Block) -> list[list[str]]:
    shapes = f"{shape(block.input_shape)} → {shape(block.output_shape)}"
    facts = [["", f"block of {counted(len(block.layers), 'layer')}"], ["shape", shapes]]
    return facts + _costs(block, block.layers[-1])


def _layer_facts(layer: LayerTrace) -> list[list[str]]:
    before = " + ".join(map(shape, layer.input_shapes)) or shape(layer.input_shape)
    facts = [["", layer.op.replace("_", " ")], ["shape", f"{before} → {shape(layer.output_shape)}"]]
    if layer.kernel:
        facts.append(["kernel", f"{layer.kernel[0]}{TIMES}{layer.kernel[1]}"])
    return facts + _costs(layer, layer)


def _costs(whole: Block | LayerTrace, last: LayerTrace) -> list[list[str]]:
    facts = [["parameters", number(whole.params)]] if whole.params else []
    facts += [["MACs", number(whole.macs)]] if whole.macs else []
    facts.append(["activations", byte_size(whole.activation_bytes)])
    return [*facts, ["receptive field", receptive_field(last.receptive_field, last.whole_image)]]
