"""A figure in the style of `keras.utils.plot_model`, made from the trace without Keras and Graphviz."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape

from unet_core.architecture.trace import Trace
from unet_core.explain.summary import keras_shape, layer_class
from unet_core.explain.svg_to_png import MAX_PIXELS, svg_to_png

HEIGHT, GAP, MARGIN, LANE, INSET = 46, 22, 16, 18, 10  # of a box, between boxes, around all, of a lane, of the texts
SIZE, SMALL, LETTER = 12, 11, 0.58  # fonts, and a letter's width in font sizes, of the widest common fonts
TIP = 8  # length of an arrow's head
MAX_SIDE = 60_000  # pixels of a PNG; matplotlib draws up to 65 535
COLOURS = {"light": ("#ffffff", "#1f2933", "#f3f5f7", "#8a94a0"), "dark": ("#0e1117", "#e6e9ee", "#1c222b", "#7a8593")}
Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class PlottedLayer:
    """A box: the layer's name, its Keras class, its shapes, and the box's upper edge."""

    name: str
    kind: str
    shapes: str
    top: float


@dataclass(frozen=True)
class ModelPlot:
    """The laid out figure; units are pixels, y points down. Each line's last point is an arrow's tip."""

    title: str
    box_width: float
    width: float
    height: float
    layers: tuple[PlottedLayer, ...]
    lines: tuple[Line, ...]

    @cached_property
    def scale(self) -> float:
        """Pixels per unit of a PNG: 2, or less if the PNG would be too large."""
        return min(2.0, (MAX_PIXELS / (self.width * self.height)) ** 0.5, MAX_SIDE / self.height)


def model_plot(trace: Trace) -> ModelPlot:
    """Arrange the layers in a column; connections that skip layers run in lanes at the right."""
    shapes = {row.name: keras_shape(row) for row in trace.layers}
    layers = []
    for index, row in enumerate(trace.layers):
        before = ", ".join(shapes[name] for name in row.inputs)
        words = f"{before} → {shapes[row.name]}" if before else shapes[row.name]
        layers.append(PlottedLayer(row.name, layer_class(row), words, MARGIN + index * (HEIGHT + GAP)))
    longest = max(max(SIZE * (len(one.name) + len(one.kind) + 3), SMALL * len(one.shapes)) for one in layers)
    box_width = round(2 * INSET + LETTER * longest)
    lanes = _lanes(trace)
    return ModelPlot(
        f"U-Net, {len(layers)} layers, {trace.total_params:,} parameters",
        box_width,
        2 * MARGIN + box_width + LANE * (1 + max(lanes.values(), default=-1)) + LANE * bool(lanes),
        2 * MARGIN + len(layers) * (HEIGHT + GAP) - GAP,
        tuple(layers),
        tuple(_lines(trace, {one.name: one.top for one in layers}, lanes, box_width)),
    )


def model_plot_svg(trace: Trace, theme: str = "light") -> str:
    """Return the figure as a self-contained SVG.

    Raises:
        ValueError: the theme is neither "light" nor "dark".
    """
    plot, (paper, ink, box, stroke) = model_plot(trace), _colours(theme)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {plot.width} {plot.height}" width="{plot.width}" '
        f'height="{plot.height}" font-family="system-ui, sans-serif" font-size="{SIZE}" role="img">',
        f"<title>{escape(plot.title)}</title>",
        f'<rect width="{plot.width}" height="{plot.height}" fill="{paper}"/>',
        f'<g fill="none" stroke="{stroke}" stroke-width="1.4">',
        *(
            f'<path d="M{_points(line)}"/><polygon points="{_points(_tip(line))}" fill="{stroke}" stroke="none"/>'
            for line in plot.lines
        ),
        "</g>",
    ]
    for one in plot.layers:
        x, y = MARGIN + INSET, one.top
        parts.append(
            f'<rect x="{MARGIN}" y="{y}" width="{plot.box_width}" height="{HEIGHT}" rx="4" fill="{box}" '
            f'stroke="{stroke}"/><text x="{x}" y="{y + 19}" fill="{ink}" font-weight="600">{escape(one.name)}'
            f'<tspan font-weight="400"> ({escape(one.kind)})</tspan></text>'
            f'<text x="{x}" y="{y + 36}" fill="{ink}" font-size="{SMALL}">{escape(one.shapes)}</text>'
        )
    return "\n".join([*parts, "</svg>"])


def model_plot_png(trace: Trace, theme: str = "light") -> bytes:
    """Return the figure as PNG of at most two pixels per unit, 40 million pixels and 60 000 pixels on a side.

    Raises:
        ValueError: the theme is neither "light" nor "dark".
    """
    return svg_to_png(model_plot_svg(trace, theme), model_plot(trace).scale)


def _colours(theme: str) -> tuple[str, str, str, str]:
    if theme not in COLOURS:
        raise ValueError(f"theme: must be one of {', '.join(COLOURS)}. Received: {theme!r}")
    return COLOURS[theme]


def _points(line: Line) -> str:
    return " ".join(f"{x},{y}" for x, y in line)


def _tip(line: Line) -> Line:
    """Return the triangle at a line's end."""
    (x1, y1), (x2, y2) = line[-2:]
    length = abs(x2 - x1) + abs(y2 - y1)
    dx, dy = (x2 - x1) / length * TIP, (y2 - y1) / length * TIP
    return (x2, y2), (x2 - dx - dy / 2, y2 - dy + dx / 2), (x2 - dx + dy / 2, y2 - dy - dx / 2)


# --- lines ------------------------------------------------------------------------------------------------------------


def _lanes(trace: Trace) -> dict[tuple[str, str], int]:
    """Assign each connection that skips layers a lane at the right; lanes are reused where they are free."""
    order = {row.name: index for index, row in enumerate(trace.layers)}
    links = [
        (order[name], order[row.name], (name, row.name))
        for row in trace.layers
        for name in row.inputs
        if order[row.name] - order[name] > 1
    ]
    taken: list[list[tuple[int, int]]] = []  # by lane, the layers that its connections skip
    lanes = {}
    for start, end, link in sorted(links, key=lambda found: found[1] - found[0]):  # short ones in the inner lanes
        free = (index for index, spans in enumerate(taken) if all(end <= a or b <= start for a, b in spans))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((start, end))
        lanes[link] = lane
    return lanes


def _lines(trace: Trace, tops: dict[str, float], lanes: dict[tuple[str, str], int], box_width: float) -> list[Line]:
    middle, right = MARGIN + box_width // 2, MARGIN + box_width
    return [
        _line(tops[name] + HEIGHT, tops[row.name], middle, right, lanes.get((name, row.name)))
        for row in trace.layers
        for name in row.inputs
    ]


def _line(start: float, end: float, middle: float, right: float, lane: int | None) -> Line:
    """Return the line from a box's lower edge to another's upper edge: straight down, or through a lane."""
    if lane is None:
        return (middle, start), (middle, end)
    out, back, far = start - HEIGHT // 3, end + HEIGHT // 3, right + LANE * (lane + 1)
    return (right, out), (far, out), (far, back), (right, back)
