"""The U diagram on a page: layers chosen by mouse, finger or keyboard, numbers on hover, zoom."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import streamlit as st

from ui.format import TIMES, byte_size, number, quantity
from unet_core.diagram import Diagram, bare_svg, diagram, theme_rules
from unet_core.trace import LayerTrace, Trace

_ASSETS = Path(__file__).parent / "assets" / "u_diagram"

_READABLE = 0.76  # smallest scale at which a picture's texts can be read
_LARGEST = 1.4  # times its natural size
_TALLEST = 80  # percent of the window's height

_component = st.components.v2.component(
    "u_diagram",
    html=(_ASSETS / "diagram.html").read_text(encoding="utf-8"),
    css=theme_rules() + (_ASSETS / "diagram.css").read_text(encoding="utf-8"),
    js=(_ASSETS / "diagram.js").read_text(encoding="utf-8"),
)


def u_diagram(drawn: Diagram, *, selected: str | None = None, key: str) -> str | None:
    """Show a diagram in which a visitor can choose; return the name of the layer or block that is chosen.

    `selected` is what the page holds as chosen and is highlighted. It is also the answer, but for the one run in which
    the visitor chooses something else in the diagram: a click or Enter on a layer chooses it, on the chosen one, or
    Escape, gives it up. The page keeps the answer and hands it in again. A full diagram gives way to smaller ones where
    it could not be read. `key` is the diagram's own, on all pages.
    """
    element = _element_key(key)
    event = f"{element}-chosen"
    if event in st.session_state:
        selected = st.session_state.pop(event)
    sizes = _sizes(drawn)
    _reserve(element, sizes)
    _component(
        key=element,
        data={
            "pictures": [_picture(one) for one in sizes],
            "limits": {"readable": _READABLE, "largest": _LARGEST, "tallest": _TALLEST / 100},
            "label": f"{drawn.title}. {drawn.description}",
            "selected": selected,
            "facts": _facts(drawn.trace),
        },
        on_chosen_change=lambda: st.session_state.update({event: st.session_state[element]["chosen"] or None}),
    )
    return selected


@lru_cache(maxsize=64)
def _sizes(drawn: Diagram) -> tuple[Diagram, ...]:
    """Return the diagram and those that take its place where it is too large."""
    smaller = ("medium", "compact") if drawn.detail == "full" else ()
    return (drawn, *(diagram(drawn.trace, detail=detail) for detail in smaller))


def _element_key(key: str) -> str:
    """Return a key that is a CSS class as it stands, whatever `key` holds."""
    return f"u-diagram-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


@lru_cache(maxsize=64)
def _picture(drawn: Diagram) -> dict[str, object]:
    return {"svg": bare_svg(drawn), "width": round(drawn.width, 1), "height": round(drawn.height, 1)}


def _reserve(element: str, pictures: tuple[Diagram, ...]) -> None:
    """Keep the diagram's place free until its own style and script are there, so that nothing below it jumps."""
    place = f".st-key-{element}.stElementContainer"
    rules = [
        f"{place} {{ display: grid; container-type: inline-size; }}",
        f"{place} > *, {place}::before {{ grid-area: 1 / 1; min-width: 0; }}",
        f"{place}::before {{ content: ''; visibility: hidden; {_height(pictures[0])} }}",
    ]
    for larger, smaller in pairwise(pictures):
        rules.append(
            f"@container (max-width: {_READABLE * larger.width:.1f}px) {{ {place}::before {{ {_height(smaller)} }} }}"
        )
    st.html(f"<style>{' '.join(rules)}</style>")


def _height(drawn: Diagram) -> str:
    """Write the height that diagram.js gives the picture: as wide as the page, but never taller than the window."""
    return f"height: min({100 * drawn.height / drawn.width:.2f}cqw, {_TALLEST}vh, {_LARGEST * drawn.height:.0f}px);"


@lru_cache(maxsize=64)
def _facts(trace: Trace) -> dict[str, list[list[str]]]:
    """Return the numbers that each layer shows on hover, as (what, how much)."""
    return {layer.name: _layer_facts(layer) for layer in trace.layers}


def _layer_facts(layer: LayerTrace) -> list[list[str]]:
    facts = [["", layer.op.replace("_", " ")], ["shape", f"{_shape(layer.input_shape)} → {_shape(layer.output_shape)}"]]
    if layer.kernel:
        facts.append(["kernel", f"{layer.kernel[0]}{TIMES}{layer.kernel[1]}"])
    if layer.params:
        facts.append(["parameters", number(layer.params)])
    if layer.macs:
        facts.append(["MACs", number(layer.macs)])
    facts.append(["activations", byte_size(layer.activation_bytes)])
    if layer.receptive_field:
        facts.append(["receptive field", quantity(layer.receptive_field, "px")])
    return facts


def _shape(shape: tuple[int, int, int]) -> str:
    return TIMES.join(map(str, shape))
