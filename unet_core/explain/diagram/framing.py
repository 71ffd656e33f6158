"""The frame around a U diagram: its margins, and the legend in a free corner or below."""

from __future__ import annotations

from dataclasses import replace

from unet_core.explain.diagram.parts import (
    LETTER,
    WRITTEN,
    Arrow,
    Bounds,
    Box,
    Diagram,
    Label,
    LegendEntry,
    Measures,
    Point,
    Tile,
    overlap,
)
from unet_core.explain.diagram.texts import legend_entries


def _extents(drawn: Diagram) -> list[Bounds]:
    """Return left, top, right and bottom of everything drawn."""
    extents = [part.bounds for part in (*drawn.boxes, *drawn.tiles)]
    extents += [label.bounds for label in drawn.labels]
    for arrow in drawn.arrows:
        (x1, y1), (x2, y2) = arrow.start, arrow.end
        extents.append((min(x1, x2) - 4, min(y1, y2) - 4, max(x1, x2) + 4, max(y1, y2) + 4))
    return extents


def framed(drawn: Diagram, margin: float) -> Diagram:
    """Move everything so that it starts at `margin`, and set width and height."""
    extents = _extents(drawn)
    left, top = min(e[0] for e in extents) - margin, min(e[1] for e in extents) - margin
    right, bottom = max(e[2] for e in extents) + margin, max(e[3] for e in extents) + margin
    return replace(_moved(drawn, -left, -top), width=right - left, height=bottom - top)


def _moved(drawn: Diagram, dx: float, dy: float) -> Diagram:
    """Move blocks, boxes, arrows, captions and mark."""

    def moved(one: Label) -> Label:
        return replace(one, x=one.x + dx, y=one.y + dy)

    def label(one: Label | None) -> Label | None:
        return None if one is None else moved(one)

    def box(one: Box) -> Box:
        return replace(one, x=one.x + dx, y=one.y + dy, label=label(one.label), size=label(one.size))

    def tile(one: Tile) -> Tile:
        return replace(one, x=one.x + dx, y=one.y + dy, heading=label(one.heading))

    def arrow(one: Arrow) -> Arrow:
        (x1, y1), (x2, y2) = one.start, one.end
        return replace(one, start=(x1 + dx, y1 + dy), end=(x2 + dx, y2 + dy), note=label(one.note))

    mark = drawn.mark
    return replace(
        drawn,
        tiles=tuple(map(tile, drawn.tiles)),
        boxes=tuple(map(box, drawn.boxes)),
        arrows=tuple(map(arrow, drawn.arrows)),
        captions=tuple(map(moved, drawn.captions)),
        mark=mark and replace(mark, x=mark.x + dx, y=mark.y + dy, text=label(mark.text)),
    )


def with_legend(drawn: Diagram, measures: Measures) -> Diagram:
    """Add the legend in a lower corner, as in the paper, or below if neither corner is free."""
    if not measures.small:
        return drawn
    signs = {arrow.operation for arrow in drawn.arrows}
    signs |= {"copy" for box in drawn.boxes if box.kind == "copy" and box.state == "done"}
    signs |= {"inner" for box in drawn.boxes if box.inner}
    entries = legend_entries(drawn.trace, signs)
    size, line = measures.small, measures.small * 1.7
    lead = 30 if drawn.detail in WRITTEN else 20
    widest = lead + LETTER * size * max(len(words) for _, words in entries)
    height = line * len(entries)
    top = drawn.height - measures.margin - height
    for left in (drawn.width - measures.margin - widest, measures.margin):
        corner = (left - 16, top - 10, left + widest + 16, drawn.height)
        if left >= measures.margin and not any(overlap(corner, extent) for extent in _extents(drawn)):
            return replace(drawn, legend=_listed(entries, [(left, top + line * i) for i in range(9)], lead, size))
    return _legend_below(drawn, entries, measures, lead)


def _legend_below(drawn: Diagram, entries: list[tuple[str, str]], measures: Measures, lead: float) -> Diagram:
    """Add the legend below the picture, in as few rows as possible, with about as many entries in each."""
    margin, between = measures.margin, 18
    lengths = [lead + LETTER * measures.small * len(words) for _, words in entries]
    width = max(drawn.width, 2 * margin + max(lengths))

    def fits(columns: int) -> bool:
        sums = (sum(lengths[at : at + columns]) for at in range(0, len(lengths), columns))
        return max(sums) + between * (columns - 1) <= width - 2 * margin

    candidates = (-(-len(entries) // rows) for rows in range(1, len(entries) + 1))
    columns = next((count for count in candidates if fits(count)), 1)
    rows = -(-len(entries) // columns)
    line, top = measures.small * 1.7, drawn.height + 4
    places = []
    for index in range(len(entries)):
        before = lengths[index - index % columns : index]
        places.append((margin + sum(before) + between * len(before), top + line * (index // columns)))
    legend = _listed(entries, places, lead, measures.small)
    moved = _moved(drawn, (width - drawn.width) / 2, 0)
    return replace(moved, width=width, height=top + line * rows + margin / 2, legend=legend)


def _listed(entries: list[tuple[str, str]], places: list[Point], lead: float, size: float) -> tuple[LegendEntry, ...]:
    return tuple(
        LegendEntry(operation, x, y + size * 0.8, Label(words, x + lead, y + size * 1.15, size, "start", role="legend"))
        for (operation, words), (x, y) in zip(entries, places)
    )
