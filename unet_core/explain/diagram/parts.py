"""The parts of a U diagram: boxes, arrows, texts, a legend, a mark. Units are pixels, y points down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from unet_core.architecture.table import block_keys
from unet_core.architecture.trace import Trace
from unet_core.architecture.tracer import SkipTrace

Detail = Literal["full", "medium", "compact", "thumbnail"]
Point = tuple[float, float]
Bounds = tuple[float, float, float, float]  # left, top, right, bottom
LETTER, BOLD = (
    0.6,
    0.7,
)  # a letter's width in font sizes: a digit of DejaVu Sans, the widest common font
WRITTEN = ("full", "medium")  # sizes and channels on every box


@dataclass(frozen=True)
class Label:
    """A text that starts, is centred or ends ("start", "middle", "end") at x, on the baseline y.

    `vertical` text runs upwards from (x, y).
    """

    text: str
    x: float
    y: float
    size: float
    anchor: str = "middle"
    vertical: bool = False
    role: str = "channels"

    @property
    def bounds(self) -> Bounds:
        """Left, top, right and bottom of the most space it can take."""
        length = (BOLD if self.role in ("channels", "mark") else LETTER) * self.size * len(self.text)
        if self.vertical:
            return self.x - self.size, self.y - length, self.x, self.y
        left = self.x - length * {"start": 0, "middle": 0.5, "end": 1}[self.anchor]
        return left, self.y - self.size, left + length, self.y


def overlap(one: Bounds, other: Bounds) -> bool:
    """Return whether two rectangles share more than an edge."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


class Placed:
    """The edges of an item with an upper left corner (x, y), a width and a height."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        """Right edge."""
        return self.x + self.w

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y + self.h

    @property
    def bounds(self) -> Bounds:
        """Left, top, right and bottom."""
        return self.x, self.y, self.right, self.bottom


@dataclass(frozen=True)
class Box(Placed):
    """A feature map: its height follows the spatial size, its width the channels.

    `key` names the layer it represents, `layers` all that contribute to it. `kind` is "input", "map", "copy" (from a
    skip connection) or "output". `inner` are the shares of the height above and below the dashed lines, which mark
    what cropping keeps, or the size before padding. `state` is "done", "failed" or "pending".
    """

    key: str
    block: str
    kind: str
    layers: tuple[str, ...]
    shape: tuple[int, int, int]
    x: float
    y: float
    w: float
    h: float
    label: Label | None = None
    size: Label | None = None
    inner: tuple[float, float] | None = None
    state: str = "done"

    @property
    def centre(self) -> float:
        """The middle between left and right."""
        return self.x + self.w / 2


@dataclass(frozen=True)
class Arrow:
    """An operation from one box to the next, or a skip connection: from `start` to `end`, straight.

    `operation` is a key of `OPERATIONS`; `skip` has a skip connection's margins, `note` describes them.
    """

    key: str
    block: str
    operation: str
    layers: tuple[str, ...]
    start: Point
    end: Point
    note: Label | None = None
    skip: SkipTrace | None = None
    state: str = "done"


@dataclass(frozen=True)
class Tile(Placed):
    """A block: the background of its boxes in one row, with its heading.

    `key` is the name that selects the block, `title` its name in words.
    """

    key: str
    block: str
    title: str
    x: float
    y: float
    w: float
    h: float
    heading: Label | None = None


@dataclass(frozen=True)
class LegendEntry:
    """One line of the legend: a sign from (x, y) to the right, then the text.

    The sign is an arrow of the operation, or for "copy" a box with a copied half, for "inner" one with dashed lines.
    """

    operation: str
    x: float
    y: float
    text: Label


@dataclass(frozen=True)
class Mark:
    """The place where the network breaks: a cross at (x, y) with a short text, and the full message."""

    layer: str
    x: float
    y: float
    text: Label | None
    message: str


@dataclass(frozen=True)
class Diagram:
    """A laid out trace, for `to_svg` and `to_png`. `selected` names a layer or a block."""

    trace: Trace
    detail: Detail
    width: float
    height: float
    tiles: tuple[Tile, ...]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    legend: tuple[LegendEntry, ...]
    captions: tuple[Label, ...]
    mark: Mark | None
    title: str
    description: str
    selected: str | None = None

    @cached_property
    def keys(self) -> dict[str, str]:
        """The names that select blocks, by block."""
        return block_keys(self.trace)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """All texts."""
        found = [label for box in self.boxes for label in (box.label, box.size)]
        found += [tile.heading for tile in self.tiles]
        found += [arrow.note for arrow in self.arrows] + [entry.text for entry in self.legend]
        found += [*self.captions, self.mark.text if self.mark else None]
        return tuple(label for label in found if label)


@dataclass(frozen=True)
class Measures:
    """The distances at one level of detail."""

    gap: float  # between boxes
    sized_gap: float  # between boxes, with a size beside the box
    rise: float  # between levels
    skip: float  # shortest skip connection
    widths: tuple[float, float]  # of boxes: fewest channels, most
    heights: tuple[float, float]  # of boxes: smallest map, largest
    font: float
    small: float
    margin: float
    head: float  # length of an arrow's head
    clear: float  # between an arrow and its boxes
    ground: float  # of a block's background around its boxes


MEASURES: dict[str, Measures] = {
    "full": Measures(21, 30, 45, 60, (6, 62), (32, 122), 11.5, 10, 10, 6.5, 2.5, 5),
    "medium": Measures(10.5, 18.2, 40, 42, (4, 34), (30, 104), 12, 11, 6, 5, 1.5, 2.5),
    "compact": Measures(6, 6, 24, 34, (3, 22), (12, 74), 12, 11, 6, 4.5, 1, 2),
    "thumbnail": Measures(2.5, 2.5, 9, 12, (2, 9), (5, 30), 0, 0, 3, 3.5, 1, 1),
}
