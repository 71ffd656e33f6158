"""The blocks of a U diagram: the background of each one's boxes, and its heading where there is room."""

from __future__ import annotations

from itertools import chain
from math import inf
from typing import NamedTuple

from unet_core.architecture.table import block_number, block_title
from unet_core.explain.diagram.parts import LETTER, WRITTEN, Arrow, Box, Diagram, Label, Measures, Point, Tile, overlap

_ENDS = {"input": "input", "head": "output"}  # the blocks labelled as the ends of the diagram

_SLACK = 1.5  # of the bounds around letters


def read_tiles(drawn: Diagram, measures: Measures) -> tuple[Tile, ...]:
    """Return a tile around the boxes of every block that the trace reached, in order, within one row.

    The result of pooling starts the next row, outside the tile; of a head in two rows, the last one counts.
    """
    reached = dict.fromkeys(layer.block for layer in drawn.trace.layers)
    rows = {block: _Row.of(block, drawn) for block in reached}
    headings = _uncovered(_headings(rows, drawn, measures), drawn) if measures.small else {}
    return tuple(_tile(drawn.keys[block], block, row, headings.get(block), measures) for block, row in rows.items())


class _Row(NamedTuple):
    """The boxes of one block in one row, and the vertical arrows above and below them."""

    boxes: tuple[Box, ...]
    from_above: Arrow | None
    to_above: Arrow | None  # from anywhere in the row, which may contain other blocks
    below: Arrow | None
    beside: Box | None  # of another block, next to it on the right

    @classmethod
    def of(cls, block: str, drawn: Diagram) -> _Row:
        """Find a block's row in the diagram."""
        own = [box for box in drawn.boxes if box.block == block and box.state != "pending"]
        first = own[-1 if block == "head" else 0]
        row = [box for box in drawn.boxes if _level(box, first)]
        boxes = sorted((box for box in own if _level(box, first)), key=lambda box: box.x)
        down = [arrow for arrow in drawn.arrows if arrow.end[1] > arrow.start[1]]
        up = [arrow for arrow in drawn.arrows if arrow.end[1] < arrow.start[1]]
        return cls(
            tuple(boxes),
            next((arrow for arrow in down if _meets(arrow.end, boxes[:1])), None),
            next((arrow for arrow in up if _meets(arrow.start, row)), None),
            next(
                chain(
                    (arrow for arrow in down if _meets(arrow.start, boxes)),
                    (arrow for arrow in up if _meets(arrow.end, boxes)),
                ),
                None,
            ),
            min(
                (box for box in row if box.block != block and box.x > boxes[-1].x),
                key=lambda box: box.x,
                default=None,
            ),
        )

    @property
    def limit(self) -> float:
        """The largest x of the block's background."""
        if self.beside is None:
            return inf
        return (self.beside.size.bounds[0] if self.beside.size else self.beside.x) - 2.5

    @property
    def left(self) -> float:
        return self.boxes[0].x

    @property
    def right(self) -> float:
        return self.boxes[-1].right

    @property
    def last_letter(self) -> float:
        """The largest x of what is written at the boxes."""
        return max((label.bounds[2] for label in self.labels), default=-inf)

    @property
    def labels(self) -> list[Label]:
        return [label for box in self.boxes for label in (box.label, box.size) if label]

    @property
    def top(self) -> float:
        return min(box.y for box in self.boxes)

    @property
    def bottom(self) -> float:
        return max(box.bottom for box in self.boxes)


def _level(one: Box, other: Box) -> bool:
    """Return whether two boxes are in the same row."""
    return abs(one.y + one.h / 2 - other.y - other.h / 2) < 1


def _meets(point: Point, boxes: list[Box]) -> bool:
    """Return whether an end of a vertical arrow is at one of the boxes."""
    x, y = point
    return any(box.x <= x <= box.right and box.y - 4 <= y <= box.bottom + 4 for box in boxes)


# --- headings ---------------------------------------------------------------------------------------------------------


def _headings(rows: dict[str, _Row], drawn: Diagram, measures: Measures) -> dict[str, Label]:
    """Return each block's heading: its full name, or a short one if the two sides of a level would meet."""
    if drawn.detail not in WRITTEN:
        return {block: _below(block, row, measures) for block, row in rows.items() if block not in _ENDS}
    found = {block: _written(block, row, measures) for block, row in rows.items()}
    for block, row in rows.items():
        other = block.replace("decoder", "encoder")
        begin = min(found[block].bounds[0], row.left - measures.small - 7)
        if other != block and other in found and max(found[other].bounds[2] + 6, rows[other].last_letter + 4) > begin:
            found |= {name: _written(name, rows[name], measures, short=True) for name in (block, other)}
    return found


def _uncovered(headings: dict[str, Label], drawn: Diagram) -> dict[str, Label]:
    """Leave out headings that would cover something, as in the smallest diagrams of tiny broken networks."""
    taken = [label.bounds for label in drawn.labels]
    taken += [box.bounds for box in drawn.boxes]
    kept = {}
    for block, heading in headings.items():
        left, top, right, bottom = heading.bounds
        left, top, right, bottom = left + _SLACK, top + _SLACK, right - _SLACK, bottom - _SLACK
        if not any(overlap((left, top, right, bottom), bounds) for bounds in taken):
            kept[block] = heading
            taken.append(heading.bounds)
    return kept


def _written(block: str, row: _Row, measures: Measures, *, short: bool = False) -> Label:
    """Write a block's name above its channels; the bottleneck's and the ends' below."""
    size = measures.small
    if block in _ENDS:
        box = row.boxes[-1]
        if row.below:  # the arrow takes the place below
            return Label(_ENDS[block], box.right + 5, box.bottom, size, "start", role="heading")
        return Label(_ENDS[block], box.centre, box.bottom + size + 3, size, role="heading")
    words = short_title(block) if short else block_title(block)
    if block == "bottleneck":
        return Label(words, (row.left + row.right) / 2, row.bottom + size + 3, size, role="heading")
    y = row.top - measures.font - 7
    left = row.from_above.end[0] + 6 if row.from_above else row.left
    limit = row.limit - 3
    if row.to_above and block.startswith("decoder"):
        limit = min(limit, row.to_above.start[0] - 6)
    if left + LETTER * size * len(words) <= limit:
        return Label(words, left, y, size, "start", role="heading")
    return Label(words, limit, y, size, "end", role="heading")


def _below(block: str, row: _Row, measures: Measures) -> Label:
    """Place a block's short name below its boxes, beside the arrow there."""
    y = row.bottom + measures.small + 2
    if block == "bottleneck":
        return Label(block_title(block), (row.left + row.right) / 2, y, measures.small, role="heading")
    if not row.below:
        return Label(short_title(block), row.left, y, measures.small, "start", role="heading")
    left = block.startswith("encoder")
    x = row.below.start[0] + (-4 if left else 4)
    return Label(short_title(block), x, y, measures.small, "end" if left else "start", role="heading")


def short_title(block: str) -> str:
    """Return a block's name in a letter and its number: "encoder2" becomes "E2"."""
    return f"{block[0].upper()}{block_number(block)}"


# --- the background ---------------------------------------------------------------------------------------------------


def _tile(key: str, block: str, row: _Row, heading: Label | None, measures: Measures) -> Tile:
    """Return a tile around the boxes, their labels, and a heading above them."""
    pad = measures.ground
    left, top, right, bottom = row.left - pad, row.top - pad, row.right + pad, row.bottom + pad
    written = [*row.labels, heading] if heading and heading.y < row.top else row.labels
    for label in written:
        x1, y1, x2, y2 = label.bounds
        top, right, bottom = min(top, y1 - 1), max(right, x2 + 2), max(bottom, y2 + 3)
        if label.vertical or label.anchor == "end":
            left = min(left, x1 - 2)
    right = min(right, row.limit)
    return Tile(key, block, block_title(block), left, top, right - left, bottom - top, heading)
