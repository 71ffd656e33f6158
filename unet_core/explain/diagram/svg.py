"""A U diagram as SVG: self-contained, as PNG, or bare for a page that styles it by class names."""

from __future__ import annotations

from html import escape

from unet_core.explain.diagram.palette import FONT, Theme, stylesheet
from unet_core.explain.diagram.parts import MEASURES, Arrow, Box, Diagram, Label, LegendEntry, Mark, Point, Tile
from unet_core.explain.svg_to_png import svg_to_png

_REACH = 12  # width of an arrow for a pointer


def to_svg(diagram: Diagram, theme: Theme = "light") -> str:
    """Return a complete SVG document with colours, background, title and description."""
    return _document(diagram, stylesheet(theme), ground=True)


def to_png(diagram: Diagram, theme: Theme = "light", scale: float = 2.0) -> bytes:
    """Return the same picture as PNG of `scale` pixels per unit of the diagram.

    Raises:
        ValueError: the scale is not positive, or the picture would have more than 40 million pixels.
    """
    return svg_to_png(to_svg(diagram, theme), scale)


def bare_svg(diagram: Diagram) -> str:
    """Return the SVG without colours, for a page whose stylesheet has the class names; keys are in `data-key`."""
    return _document(diagram, "", ground=False)


def _document(diagram: Diagram, style: str, ground: bool) -> str:
    width, height = _n(diagram.width), _n(diagram.height)
    head = MEASURES[diagram.detail].head
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'class="u-diagram {diagram.detail}" font-family="{escape(FONT, quote=True)}" role="img">',
        f"<title>{escape(diagram.title)}</title>",
        f"<desc>{escape(diagram.description)}</desc>",
    ]
    if style:
        parts.append(f"<style>{style}</style>")
    if ground:
        parts.append(f'<rect class="ground" width="{width}" height="{height}"/>')
    parts += [_tile(tile, diagram) for tile in diagram.tiles]
    parts += [_arrow(arrow, diagram, head) for arrow in diagram.arrows]
    parts += [_box(box, diagram) for box in diagram.boxes]
    parts += [_label(caption) for caption in diagram.captions]
    parts += [_legend(entry, head) for entry in diagram.legend]
    if diagram.mark:
        parts.append(_mark(diagram.mark, diagram.detail))
    return "".join([*parts, "</svg>"])


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _is_selected(item: Box | Arrow, diagram: Diagram) -> bool:
    """Return whether the item belongs to the selected layer or block."""
    return diagram.selected is not None and diagram.selected in (*item.layers, diagram.keys.get(item.block))


def _group(kind: str, item: Box | Arrow, diagram: Diagram, inside: str) -> str:
    classes = [kind, item.state]
    if _is_selected(item, diagram):
        classes.append("selected")
    if item.state != "done":
        return f'<g class="{" ".join(classes)}">{inside}</g>'
    block = diagram.keys.get(item.block, item.block)
    return _named(classes, item.key, block, " ".join(item.layers), item.key, inside)


def _named(classes: list[str], key: str, block: str, layers: str, title: str, inside: str) -> str:
    """Return a group that is selected by its `key` and belongs to the block that is selected by `block`."""
    key, block, layers, title = (escape(text, quote=True) for text in (key, block, layers, title))
    return (
        f'<g class="{" ".join(classes)}" data-key="{key}" data-block="{block}" data-layers="{layers}">'
        f"<title>{title}</title>{inside}</g>"
    )


def _tile(tile: Tile, diagram: Diagram) -> str:
    x, y, w, h = map(_n, (tile.x, tile.y, tile.w, tile.h))
    inside = f'<rect class="block" x="{x}" y="{y}" width="{w}" height="{h}" rx="{_n(min(6, tile.w / 3))}"/>'
    inside += _label(tile.heading) if tile.heading else ""
    classes = ["tile", "selected"] if diagram.selected == tile.key else ["tile"]
    return _named(classes, tile.key, tile.key, "", tile.title, inside)


def _box(box: Box, diagram: Diagram) -> str:
    x, y, w, h = map(_n, (box.x, box.y, box.w, box.h))
    radius = _n(min(2, box.w / 3))
    inside = f'<rect class="{box.kind}" x="{x}" y="{y}" width="{w}" height="{h}" rx="{radius}"/>'
    if box.inner:
        right, (top, bottom) = _n(box.right), _inner_lines(box, box.inner)
        inside += f'<path class="crop" d="M{x} {_n(top)}L{right} {_n(top)}M{x} {_n(bottom)}L{right} {_n(bottom)}"/>'
    inside += "".join(_label(label) for label in (box.label, box.size) if label)
    return _group("box", box, diagram, inside)


def _inner_lines(box: Box, shares: tuple[float, float]) -> tuple[float, float]:
    """Return the y of the dashed lines within a box, each at least two pixels from its edge."""
    above, below = (max(2.0, share * box.h) if share else 0.0 for share in shares)
    return box.y + above, box.bottom - below


def _arrow(arrow: Arrow, diagram: Diagram, head: float) -> str:
    (x1, y1), (x2, y2) = arrow.start, arrow.end
    wide, high = (_REACH, y2 - y1) if x1 == x2 else (x2 - x1, _REACH)
    reach = (min(x1, x2) - _REACH / 2 * (x1 == x2), min(y1, y2) - _REACH / 2 * (y1 == y2), abs(wide), abs(high))
    x, y, w, h = map(_n, reach)
    inside = f'<rect class="reach" x="{x}" y="{y}" width="{w}" height="{h}"/>'
    inside += _arrow_shape(arrow.start, arrow.end, head)
    if arrow.note:
        inside += _label(arrow.note)
    return _group(f"arrow {arrow.operation}", arrow, diagram, inside)


def _head_points(start: Point, end: Point, head: float) -> tuple[Point, Point, Point]:
    """Return the tip and the two other corners of the head of a straight arrow along one axis."""
    (x1, y1), (x2, y2) = start, end
    length = max(abs(x2 - x1), abs(y2 - y1)) or 1
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    head = min(head, length)
    x, y, half = x2 - dx * head, y2 - dy * head, head * 0.62
    return (x2, y2), (x - dy * half, y + dx * half), (x + dy * half, y - dx * half)


def _arrow_shape(start: Point, end: Point, head: float) -> str:
    tip, *corners = _head_points(start, end, head)
    x, y = ((a + b) / 2 for a, b in zip(*corners))
    points = " ".join(f"{_n(px)},{_n(py)}" for px, py in (tip, *corners))
    shaft = f"M{_n(start[0])} {_n(start[1])}L{_n(x)} {_n(y)}"
    return f'<path class="shaft" d="{shaft}"/><polygon class="head" points="{points}"/>'


def _label(label: Label) -> str:
    x, y = _n(label.x), _n(label.y)
    turned = f' transform="rotate(-90 {x} {y})"' if label.vertical else ""
    anchor = "" if label.anchor == "start" else f' text-anchor="{label.anchor}"'
    return (
        f'<text class="{label.role}" x="{x}" y="{y}" font-size="{_n(label.size)}"{anchor}{turned}>'
        f"{escape(label.text)}</text>"
    )


def _legend(entry: LegendEntry, head: float) -> str:
    end = entry.text.x - 6
    if entry.operation in ("copy", "inner"):
        return f'<g class="box legend-entry">{_sign(entry, end)}{_label(entry.text)}</g>'
    shape = _arrow_shape((entry.x, entry.y), (end, entry.y), head)
    return f'<g class="arrow {entry.operation} legend-entry">{shape}{_label(entry.text)}</g>'


def _sign(entry: LegendEntry, end: float) -> str:
    """Draw a small box at the end of the space for a sign: with a copied half, or with dashed lines."""
    high, wide = entry.text.size * 1.1, entry.text.size * 0.5
    y, middle = _n(entry.y - high / 2), end - wide
    if entry.operation == "copy":
        size = f'y="{y}" width="{_n(wide)}" height="{_n(high)}"'
        return f'<rect class="copy" x="{_n(middle - wide)}" {size}/><rect class="map" x="{_n(middle)}" {size}/>'
    lines = "".join(
        f"M{_n(middle - wide)} {_n(entry.y + share * high)}L{_n(end)} {_n(entry.y + share * high)}"
        for share in (-0.25, 0.25)
    )
    box = f'<rect class="map" x="{_n(middle - wide)}" y="{y}" width="{_n(2 * wide)}" height="{_n(high)}"/>'
    return f'{box}<path class="crop" d="{lines}"/>'


def _mark(mark: Mark, detail: str) -> str:
    radius = {"full": 8, "medium": 7, "compact": 6, "thumbnail": 4}[detail]
    x, y, arm = mark.x, mark.y, radius * 0.45
    cross = "".join(f"M{_n(x - arm)} {_n(y - way * arm)}L{_n(x + arm)} {_n(y + way * arm)}" for way in (1, -1))
    text = _label(mark.text) if mark.text else ""
    return (
        f'<g class="mark"><title>{escape(mark.message)}</title><circle cx="{_n(x)}" cy="{_n(y)}" r="{radius}"/>'
        f'<path d="{cross}"/>{text}</g>'
    )
