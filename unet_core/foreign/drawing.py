"""A network that was read, drawn as a U: a box for each block, an arrow for each skip connection."""

from __future__ import annotations

from html import escape

from unet_core.explain.diagram.palette import FONT
from unet_core.foreign.mismatch import Dims, written
from unet_core.foreign.network import ReadNetwork
from unet_core.foreign.u_shape import UShape, find_u

WIDTH, HEIGHT, GAP, RISE = 92, 46, 26, 96  # of a box, between boxes, between levels; pixels
MARGIN = 16
MAX_BLOCKS = 60


def draw(network: ReadNetwork) -> str:
    """Return the network as SVG without colours of its own: `explain.diagram.theme_rules` has the rules.

    A network of more blocks than can be told apart is not drawn: "".
    """
    shape = find_u(network)
    if not shape.blocks or len(shape.blocks) > MAX_BLOCKS:
        return ""
    places = [
        (MARGIN + number * (WIDTH + GAP), MARGIN + 18 + block.level * RISE) for number, block in enumerate(shape.blocks)
    ]
    more = 1 if network.failure else 0
    width = 2 * MARGIN + (len(places) + more) * (WIDTH + GAP) - GAP
    height = 2 * MARGIN + 18 + (shape.depth - 1) * RISE + HEIGHT + 30
    parts = [_skips(shape, places), _path(shape, places), _boxes(shape, places), _failed(network, shape, places)]
    count = sum(len(block.layers) for block in shape.blocks)
    title = escape(f"{network.title}: {count} layers in {len(shape.blocks)} blocks")
    return (
        f'<svg class="u-diagram" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{title}" xmlns="http://www.w3.org/2000/svg" '
        f'font-family="{escape(FONT)}" font-size="12">{"".join(parts)}</svg>'
    )


def _boxes(shape: UShape, places: list[tuple[int, int]]) -> str:
    found = []
    for block, (x, y) in zip(shape.blocks, places):
        size = written(block.output_shape) if block.output_shape else "not known"
        kind = "input" if block.part == "input" else "map"
        names = ", ".join(layer.name for layer in block.layers[:12])
        found.append(
            f'<g class="box"><title>{escape(f"{block.title}: {names}")}</title>'
            f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="3"/>'
            f'<text class="channels" x="{x + WIDTH / 2}" y="{y + 20}" text-anchor="middle">{escape(block.title)}</text>'
            f'<text x="{x + WIDTH / 2}" y="{y + 36}" text-anchor="middle" font-size="11">{escape(size)}</text></g>'
        )
    return "".join(found)


def _path(shape: UShape, places: list[tuple[int, int]]) -> str:
    """Draw the arrows between blocks that follow each other."""
    found = []
    for number in range(1, len(places)):
        (x1, y1), (x2, y2) = places[number - 1], places[number]
        down = shape.blocks[number].level - shape.blocks[number - 1].level
        kind = "pool" if down > 0 else "up" if down < 0 else "conv"
        found.append(_arrow(kind, x1 + WIDTH, y1 + HEIGHT / 2, x2, y2 + HEIGHT / 2))
    return "".join(found)


def _skips(shape: UShape, places: list[tuple[int, int]]) -> str:
    return "".join(_across(skip.merge, places[skip.source], places[skip.target]) for skip in shape.skips)


def _across(name: str, source: tuple[int, int], target: tuple[int, int]) -> str:
    """Draw a skip connection over the boxes between two others."""
    (x1, y1), (x2, y2) = source, target
    path = f"M{x1 + WIDTH / 2},{y1} V{min(y1, y2) - 8} H{x2 + WIDTH / 2} V{y2 - 7}"
    return (
        f'<g class="arrow skip"><title>{escape(name)}</title><path class="shaft" d="{path}"/>'
        f"{_head(x2 + WIDTH / 2, y2, 0, 1)}</g>"
    )


def _size(shape: Dims) -> str:
    """Write height and width in short: "75²"."""
    return f"{shape[0]}²" if len(shape) >= 2 and shape[0] == shape[1] else written(shape[:2])


def _arrow(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1.0)
    across, down = (x2 - x1) / length, (y2 - y1) / length
    end = f"{x2 - 6 * across:.1f},{y2 - 6 * down:.1f}"
    return f'<g class="arrow {kind}"><path class="shaft" d="M{x1},{y1} L{end}"/>{_head(x2, y2, across, down)}</g>'


def _head(x: float, y: float, across: float, down: float) -> str:
    back = (x - 8 * across, y - 8 * down)
    left = f"{back[0] - 4 * down:.1f},{back[1] + 4 * across:.1f}"
    right = f"{back[0] + 4 * down:.1f},{back[1] - 4 * across:.1f}"
    return f'<path class="head" d="M{x:.1f},{y:.1f} L{left} L{right} Z"/>'


def _failed(network: ReadNetwork, shape: UShape, places: list[tuple[int, int]]) -> str:
    """Draw the layer that breaks after the last block."""
    failure = network.failure
    if failure is None:
        return ""
    x, y = places[-1][0] + WIDTH + GAP, places[-1][1]
    sizes = " ≠ ".join(_size(shape) for shape in failure.shapes)
    sources = [
        number for number, block in enumerate(shape.blocks) if {one.name for one in block.layers} & {*failure.inputs}
    ]
    arrows = [
        _arrow("conv", places[source][0] + WIDTH, places[source][1] + HEIGHT / 2, x, y + HEIGHT / 2)
        if source == len(places) - 1
        else _across(failure.layer, places[source], (x, y))
        for source in sources
    ]
    middle = x + WIDTH / 2
    return "".join(arrows) + (
        f'<g class="box failed"><title>{escape(failure.layer)}</title>'
        f'<rect class="map" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="3"/></g>'
        f'<text class="mark" x="{middle}" y="{y + 20}" text-anchor="middle">{escape(failure.layer[:14])}</text>'
        f'<text class="mark" x="{middle}" y="{y + 36}" text-anchor="middle" font-size="11">{escape(sizes)}</text>'
    )
