"""The U diagram of a trace, in the style of Ronneberger et al. 2015, figure 1: geometry, SVG, PNG."""

from unet_core.explain.diagram.geometry import diagram
from unet_core.explain.diagram.operations import OPERATIONS, Operation
from unet_core.explain.diagram.palette import theme_rules
from unet_core.explain.diagram.parts import Arrow, Box, Detail, Diagram, Label, LegendEntry, Mark, Tile
from unet_core.explain.diagram.svg import bare_svg, to_png, to_svg

__all__ = [
    "OPERATIONS",
    "Arrow",
    "Box",
    "Detail",
    "Diagram",
    "Label",
    "LegendEntry",
    "Mark",
    "Operation",
    "Tile",
    "bare_svg",
    "diagram",
    "theme_rules",
    "to_png",
    "to_svg",
]
