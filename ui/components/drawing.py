"""A drawing on a page: SVG in the colours of the U diagram, which scrolls sideways where it is too wide."""

from __future__ import annotations

from ui.components import element_key, register
from unet_core.explain.diagram import theme_rules

_component = register("drawing", css=theme_rules())


def drawing(svg: str, *, key: str) -> None:
    """Show an SVG that was made here; what it contains of others must be escaped. `key` is unique across all pages."""
    _component(key=element_key("drawing", key), data={"svg": svg})
