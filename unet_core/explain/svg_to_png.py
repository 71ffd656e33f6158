"""The figures of this package as PNG: their SVG, painted by matplotlib with its own font, the same on every machine.

It supports what these SVGs contain: rectangles, circles, polygons, paths of straight lines with absolute coordinates,
texts of one line, and a stylesheet whose selectors are elements and classes. It does not read other SVGs.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

MAX_PIXELS = 40_000_000
_FONT, _SHRUNK = "DejaVu Sans", 0.92  # it is wider than the fonts that the texts are placed for
_STYLE = (
    "fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray", "stroke-linecap",
    "font-size", "font-weight", "text-anchor", "paint-order",
)  # fmt: skip
_ANCHORS = {"start": "left", "middle": "center", "end": "right"}
Element = ElementTree.Element
Style = dict[str, str]
Step = tuple[str, set[str]]  # of a selector: an element, "" for any, and its classes


def svg_to_png(svg: str, scale: float = 2.0) -> bytes:
    """Return an SVG of this package as PNG of `scale` pixels per unit.

    Raises:
        ValueError: the scale is not positive, or the picture would have more than 40 million pixels.
    """
    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    if not (scale > 0 and width * height * scale**2 <= MAX_PIXELS):
        raise ValueError(f"scale must be above 0 and give at most {MAX_PIXELS} pixels. Received: {scale}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=72 * scale)  # one unit is one point
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for order, (element, style) in enumerate(_styled((root,), _rules(root.findtext("{*}style", "")), {})):
        _paint(axes, element, style, order)
    buffer = io.BytesIO()
    metadata = {"Title": root.findtext("{*}title", ""), "Description": root.findtext("{*}desc", "")}
    FigureCanvasAgg(figure).print_png(buffer, metadata=metadata)
    return buffer.getvalue()


# --- styles -----------------------------------------------------------------------------------------------------------


def _tag(element: Element) -> str:
    return element.tag.partition("}")[2]


def _rules(stylesheet: str) -> list[tuple[list[Step], Style]]:
    """Return the rules by precedence, the highest last: by classes, then elements, then position."""
    found = []
    for selectors, block in re.findall(r"([^{}]+){([^{}]*)}", stylesheet):
        style = dict(pair.split(":") for pair in block.split(";") if pair)
        for selector in selectors.split(","):
            steps = [(tag, set(classes)) for tag, *classes in (step.split(".") for step in selector.split())]
            found.append((steps, style))
    return sorted(found, key=lambda rule: (sum(len(own) for _, own in rule[0]), sum(bool(tag) for tag, _ in rule[0])))


def _applies(steps: list[Step], path: tuple[Element, ...]) -> bool:
    """Return whether a selector matches the last element of a path from the root."""

    def matches(step: Step, element: Element) -> bool:
        return step[0] in ("", _tag(element)) and step[1] <= set(element.get("class", "").split())

    above = iter(path[:-1])
    return matches(steps[-1], path[-1]) and all(any(matches(step, one) for one in above) for step in steps[:-1])


def _styled(
    path: tuple[Element, ...], rules: list[tuple[list[Step], Style]], inherited: Style
) -> Iterator[tuple[Element, Style]]:
    """Yield the last element of a path and all its descendants, in painting order, each with its style."""
    style = inherited | {name: value for name, value in path[-1].items() if name in _STYLE}
    for steps, own in rules:
        if _applies(steps, path):
            style |= own
    yield path[-1], style
    for child in path[-1]:
        yield from _styled((*path, child), rules, style)


def _value(style: Style, name: str, default: str) -> str:
    value = style.get(name, default)
    while value.startswith("var("):
        value = style[value[4:-1]]
    return value


def _number(style: Style, name: str, default: float) -> float:
    return float(_value(style, name, str(default)).removesuffix("px"))


# --- painting ---------------------------------------------------------------------------------------------------------


def _paint(axes: Axes, element: Element, style: Style, order: int) -> None:
    if _tag(element) == "rect" and "x" not in element.attrib:
        axes.figure.set_facecolor(_value(style, "fill", "none"))
    elif _tag(element) == "text":
        _write(axes, element, style, order)
    elif shape := _shape(element):
        shape.set(zorder=order, **_strokes(style))
        axes.add_patch(shape)


def _shape(element: Element) -> Patch | None:
    from matplotlib import patches
    from matplotlib.path import Path

    x, y, width, height, radius = (float(element.get(name, 0)) for name in ("x", "y", "width", "height", "rx"))
    match _tag(element):
        case "rect":
            return patches.FancyBboxPatch((x, y), width, height, f"round,pad=0,rounding_size={radius}")
        case "circle":
            return patches.Circle(
                (float(element.attrib["cx"]), float(element.attrib["cy"])), float(element.attrib["r"])
            )
        case "polygon":
            return patches.Polygon(_points(element.attrib["points"]))
        case "path":
            lines = element.attrib["d"].split("M")[1:]
            return patches.PathPatch(Path.make_compound_path(*(Path(_points(line)) for line in lines)))
    return None


def _points(text: str) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", text)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _strokes(style: Style) -> dict[str, Any]:
    from matplotlib.colors import to_rgba

    width = _number(style, "stroke-width", 1)
    dashes = [float(part) / width for part in _value(style, "stroke-dasharray", "").split()]  # in widths of the line
    return {
        "facecolor": to_rgba(_value(style, "fill", "black"), _number(style, "fill-opacity", 1)),
        "edgecolor": to_rgba(_value(style, "stroke", "none"), _number(style, "stroke-opacity", 1)),
        "linewidth": width,
        "linestyle": (0, dashes) if dashes else "solid",
        "capstyle": _value(style, "stroke-linecap", "butt"),
        "joinstyle": "miter",
    }


def _write(axes: Axes, element: Element, style: Style, order: int) -> None:
    """Paint a text, and the tspans that continue it."""
    from matplotlib.patheffects import withStroke

    look = {
        "color": _value(style, "fill", "black"), "fontsize": _number(style, "font-size", 12) * _SHRUNK,
        "fontfamily": _FONT, "parse_math": False, "zorder": order,
    }  # fmt: skip
    written = axes.text(
        float(element.attrib["x"]), float(element.attrib["y"]), element.text or "", **look,
        fontweight=_weight(_value(style, "font-weight", "400")), ha=_ANCHORS[_value(style, "text-anchor", "start")],
        va="baseline", rotation=90 if "transform" in element.attrib else 0, rotation_mode="anchor",
    )  # fmt: skip
    if "paint-order" in style:
        width, colour = _number(style, "stroke-width", 1), _value(style, "stroke", "none")
        written.set_path_effects([withStroke(linewidth=width, foreground=colour)])
    for part in element:
        weight = _weight(part.get("font-weight", "400"))
        written = axes.annotate(
            part.text or "", (1, 0), xycoords=written, annotation_clip=False, va="bottom", fontweight=weight, **look
        )


def _weight(value: str) -> str:
    return "bold" if int(value) >= 600 else "normal"  # the font has no other weights
