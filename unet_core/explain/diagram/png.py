"""A U diagram as PNG, painted by matplotlib, which brings its own font: the picture is the same on every machine."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from unet_core.explain.diagram.palette import COLOURS, Theme
from unet_core.explain.diagram.parts import MEASURES, Arrow, Box, Diagram, Label, Tile
from unet_core.explain.diagram.svg import head_points, inner_lines, is_selected

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_PIXELS = 40_000_000
_STROKES = {
    "full": (2.0, 4.0, 1.0),
    "medium": (1.7, 3.2, 0.9),
    "compact": (1.4, 2.4, 0.8),
    "thumbnail": (1.0, 1.4, 0.6),
}
_ANCHORS = {"start": "left", "middle": "center", "end": "right"}


def to_png(diagram: Diagram, theme: Theme = "light", scale: float = 2.0) -> bytes:
    """Return the picture as PNG of `scale` pixels per unit of the diagram.

    Raises:
        ValueError: the scale is not positive, or the picture would have more than 40 million pixels.
    """
    if not (scale > 0 and diagram.width * diagram.height * scale**2 <= _MAX_PIXELS):
        raise ValueError(f"scale must be above 0 and give at most {_MAX_PIXELS} pixels. Received: {scale}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(diagram.width / 72, diagram.height / 72), dpi=72 * scale)  # one unit is one point
    figure.patch.set_facecolor(COLOURS[theme]["ground"])
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, diagram.width)
    axes.set_ylim(diagram.height, 0)
    _Painter(axes, diagram, COLOURS[theme]).paint()
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Title": diagram.title, "Description": diagram.description})
    return buffer.getvalue()


class _Painter:
    """Puts one diagram's parts on the axes, in the order in which the SVG has them."""

    def __init__(self, axes: Axes, diagram: Diagram, colours: dict[str, str]) -> None:
        self.axes, self.diagram, self.colours = axes, diagram, colours
        self.thin, self.thick, self.edge = _STROKES[diagram.detail]
        self.head = MEASURES[diagram.detail].head

    def paint(self) -> None:
        for tile in self.diagram.tiles:
            self._tile(tile)
        for arrow in self.diagram.arrows:
            self._arrow(arrow)
        for box in self.diagram.boxes:
            self._box(box)
        for caption in self.diagram.captions:
            self._text(caption)
        for entry in self.diagram.legend:
            self._shaft((entry.x, entry.y), (entry.text.x - 6, entry.y), entry.operation, self.colours[entry.operation])
            self._text(entry.text)
        self._mark()

    def _tile(self, tile: Tile) -> None:
        from matplotlib.colors import to_rgba
        from matplotlib.patches import FancyBboxPatch

        selected, accent = self.diagram.selected == tile.key, self.colours["accent"]
        if selected:
            shape = f"round,pad=0,rounding_size={min(6, tile.w / 3)}"
            face, edge = to_rgba(accent, 0.13), to_rgba(accent, 0.55)
            self.axes.add_patch(FancyBboxPatch((tile.x, tile.y), tile.w, tile.h, shape, fc=face, ec=edge, lw=1))
        if tile.heading:
            self._text(tile.heading, "accent" if selected else None)

    def _arrow(self, arrow: Arrow) -> None:
        colour = self.colours[arrow.operation if arrow.state == "done" else "pending"]
        self._shaft(arrow.start, arrow.end, arrow.operation, colour, 1.8 * is_selected(arrow, self.diagram))
        if arrow.note:
            self._text(arrow.note)

    def _shaft(
        self, start: tuple[float, float], end: tuple[float, float], operation: str, colour: str, more: float = 0.0
    ) -> None:
        tip = head_points(start, end, self.head)
        base = ((tip[1][0] + tip[2][0]) / 2, (tip[1][1] + tip[2][1]) / 2)
        width = (self.thick if operation == "skip" else self.thin) + more
        self.axes.plot(*zip(start, base), color=colour, linewidth=width, solid_capstyle="butt")
        self.axes.fill(*zip(*tip), color=colour, linewidth=0)

    def _box(self, box: Box) -> None:
        from matplotlib.patches import FancyBboxPatch

        face = self.colours[{"input": "end", "output": "end"}.get(box.kind, box.kind)]
        edge, width, style = self.colours["edge"], self.edge, "solid"
        if box.state == "pending":
            face, edge, style = "none", self.colours["pending"], (0, (3, 3))
        elif box.state == "failed":
            face, edge, width = self.colours["wrong-fill"], self.colours["wrong"], 1.6
        elif is_selected(box, self.diagram):
            edge, width = self.colours["accent"], 2.6
        shape = f"round,pad=0,rounding_size={min(2, box.w / 3)}"
        self.axes.add_patch(FancyBboxPatch((box.x, box.y), box.w, box.h, shape, fc=face, ec=edge, lw=width, ls=style))
        if box.inner:
            for y in inner_lines(box):
                self.axes.plot((box.x, box.right), (y, y), color=self.colours["crop"], lw=1.1, dashes=(3, 2))
        for label in (box.label, box.size):
            if label:
                self._text(label)

    def _text(self, label: Label, colour: str | None = None) -> None:
        from matplotlib.patheffects import withStroke

        colour = colour or {"channels": "ink", "legend": "ink", "mark": "wrong"}.get(label.role, "quiet")
        text = self.axes.text(
            label.x, label.y, label.text, color=self.colours[colour], fontsize=label.size * 0.92,
            ha=_ANCHORS[label.anchor], va="baseline", fontfamily="DejaVu Sans", parse_math=False,
            fontweight="bold" if label.role in ("channels", "mark") else "normal",
        )  # fmt: skip
        if label.vertical:
            text.set(rotation=90, ha="right", va="bottom")
        if label.role == "mark":
            text.set_path_effects([withStroke(linewidth=4, foreground=self.colours["ground"])])

    def _mark(self) -> None:
        mark = self.diagram.mark
        if not mark:
            return
        from matplotlib.patches import Circle

        radius = {"full": 8, "medium": 7, "compact": 6, "thumbnail": 4}[self.diagram.detail]
        arm, ground = radius * 0.45, self.colours["ground"]
        self.axes.add_patch(Circle((mark.x, mark.y), radius, fc=self.colours["wrong"], ec=ground, lw=1.5, zorder=4))
        for way in (1, -1):
            ends = (mark.x - arm, mark.x + arm), (mark.y - way * arm, mark.y + way * arm)
            self.axes.plot(*ends, color=ground, lw=2, solid_capstyle="round", zorder=5)
        if mark.text:
            self._text(mark.text)
