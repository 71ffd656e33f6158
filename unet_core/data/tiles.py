"""Training on crops: pieces of photos in the network's size, at the photos' own scale, instead of resized photos.

Training takes random pieces, others in every epoch. Validation, test and previews take a fixed grid in which every
pixel counts once. What lies outside the photo is black and has no label.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.classes import IGNORE_ID, PixelClasses
from unet_core.data.sources import DataError, Example, Source, SplitName

MOST_TILES = 16  # of one photo in an epoch, so that a few huge photos do not fill it
_KEPT_PHOTOS = 4  # decoded, while their tiles are read one after the other

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class TileSize:
    """The pixels that a network takes, and those in their centre that it predicts; each is (height, width)."""

    taken: Size
    predicted: Size

    @classmethod
    def of(cls, model: UNetConfig, output_size: Size | None = None) -> Self:
        """Return the tiles of a network; its output's height and width are traced if they are not given.

        Raises:
            DataError: the network does not work at its size.
        """
        if output_size is None:
            shape = trace(model).output_shape
            if shape is None:
                raise DataError(f"This network cannot be built at {model.height}×{model.width}.")
            output_size = shape[0], shape[1]
        # Padded skip connections can make the output larger than the input.
        predicted = min(output_size[0], model.height), min(output_size[1], model.width)
        return cls((model.height, model.width), predicted)

    @property
    def margins(self) -> Size:
        """Rows and columns that are taken but not predicted, on each side."""
        return (self.taken[0] - self.predicted[0]) // 2, (self.taken[1] - self.predicted[1]) // 2

    def number(self, size: Size) -> int:
        """Return how many tiles a photo of this size gives in an epoch."""
        rows, columns = (-(-length // predicted) for length, predicted in zip(size, self.predicted, strict=True))
        return min(MOST_TILES, rows * columns)

    def random_corner(self, size: Size, random: np.random.Generator) -> tuple[int, int]:
        """Return top and left of a random tile that predicts no more of the outside than it must."""
        corner = []
        for length, taken, margin in zip(size, self.taken, self.margins, strict=True):
            lowest, highest = -margin, length - taken + margin
            corner.append(int(random.integers(lowest, highest + 1)) if highest >= lowest else (length - taken) // 2)
        return corner[0], corner[1]

    def grid(self, size: Size) -> list[tuple[slice, slice]]:
        """Return the rows and columns of a photo for which each tile of the grid counts."""
        rows, columns = (_spans(length, predicted) for length, predicted in zip(size, self.predicted, strict=True))
        tiles = [(row, column) for row in rows for column in columns]
        chosen = np.linspace(0, len(tiles) - 1, min(MOST_TILES, len(tiles))).round().astype(int)
        return [tiles[index] for index in chosen]

    def corner_of(self, counted: tuple[slice, slice], size: Size) -> tuple[int, int]:
        """Return top and left of the tile of the grid that counts for these rows and columns."""
        corner = []
        for span, length, predicted, margin in zip(counted, size, self.predicted, self.margins, strict=True):
            first = span.stop - predicted if length >= predicted else (length - predicted) // 2
            corner.append(first - margin)
        return corner[0], corner[1]


def _spans(length: int, predicted: int) -> list[slice]:
    """Split `length` pixels into as few pieces as tiles of `predicted` pixels can cover, each ending with its tile."""
    if length <= predicted:
        return [slice(0, length)]
    ends = np.linspace(predicted, length, -(-length // predicted)).round().astype(int).tolist()
    return [slice(first, end) for first, end in zip([0, *ends], ends)]


def cut(photo: np.ndarray, ids: np.ndarray, corner: tuple[int, int], size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return a piece of a photo, (h, w, C), and of its mask, (h, w); black and without a label outside the photo."""
    piece = np.zeros((*size, *photo.shape[2:]), photo.dtype)
    labels = np.full(size, IGNORE_ID, ids.dtype)
    inside, target = [], []
    for first, wanted, length in zip(corner, size, ids.shape, strict=True):
        start, stop = max(first, 0), min(first + wanted, length)
        inside.append(slice(start, max(stop, start)))
        target.append(slice(start - first, max(stop, start) - first))
    piece[target[0], target[1]] = photo[inside[0], inside[1]]
    labels[target[0], target[1]] = ids[inside[0], inside[1]]
    return piece, labels


@dataclass(frozen=True)
class Tile:
    """One tile of the grid over a photo; only the pixels for which it counts have a label."""

    name: str
    photos: _Photos
    example: Example
    counted: tuple[slice, slice]
    size: TileSize

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the tile, (h, w, C), and its class ids, (h, w) uint8."""
        photo, ids = self.photos.decoded(self.example)
        labels = np.full_like(ids, IGNORE_ID)
        labels[self.counted] = ids[self.counted]
        return cut(photo, labels, self.size.corner_of(self.counted, ids.shape), self.size.taken)


class _Photos:
    """Decodes photos, and keeps the last few."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def decoded(self, example: Example) -> tuple[np.ndarray, np.ndarray]:
        """Return a photo and its class ids."""
        found = self._kept.get(example.name)
        if found is None:
            found = self._kept[example.name] = example.decode()
            while len(self._kept) > _KEPT_PHOTOS:
                self._kept.popitem(last=False)
        return found


@dataclass(frozen=True)
class TiledSource:
    """A dataset whose examples are the tiles of its photos, in a fixed grid.

    Args:
        source: the dataset; each photo is decoded once to know its size.
        size: of the tiles.
        limit: photos of each part.
    """

    source: Source
    size: TileSize
    limit: int | None = None
    _tiles: dict[SplitName, tuple[Tile, ...]] = field(default_factory=dict, compare=False)

    @property
    def description(self) -> str:
        """One line on the data."""
        height, width = self.size.taken
        return f"{self.source.description}, in tiles of {height}×{width}"

    @property
    def classes(self) -> PixelClasses:
        """What the class ids mean."""
        return self.source.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by id."""
        return self.source.class_names

    @property
    def foreground(self) -> tuple[int, ...] | None:
        """Class ids that count as the object in a binary mask."""
        return self.source.foreground

    @property
    def background(self) -> int:
        """Class id of the background."""
        return self.source.background

    def names(self, part: SplitName) -> tuple[str, ...]:
        """Return the names of a part's tiles."""
        return tuple(tile.name for tile in self._of(part))

    def examples(self, part: SplitName) -> Iterator[Tile]:
        """Yield a part's tiles, photo by photo."""
        yield from self._of(part)

    def _of(self, part: SplitName) -> Sequence[Tile]:
        if part not in self._tiles:
            photos, tiles = _Photos(), []
            wanted = len(self.source.names(part)[: self.limit])
            for example, _ in zip(self.source.examples(part), range(wanted)):
                spans = self.size.grid(photos.decoded(example)[1].shape)
                named = [f"{example.name}, tile {number}" for number in range(1, len(spans) + 1)]
                tiles += [Tile(name, photos, example, span, self.size) for name, span in zip(named, spans, strict=True)]
            self._tiles[part] = tuple(tiles)
        return self._tiles[part]
