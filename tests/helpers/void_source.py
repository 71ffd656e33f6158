"""A dataset of two classes with pixels that have no label, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unet_core.classes import IGNORE_ID, PixelClasses
from unet_core.data.sources import SplitName

SIDE = 16
COUNTS = {"train": 12, "validation": 4, "test": 4}


@dataclass(frozen=True)
class VoidExample:
    """A bright square on dark ground; the photo's last rows have no label and show noise."""

    name: str
    seed: int
    stray: int | None = None  # one pixel has this id

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(self.seed)
        ids = np.zeros((SIDE, SIDE), np.uint8)
        top, left = random.integers(1, 5, 2)
        ids[top : top + 6, left : left + 6] = 1
        photo = np.where(ids[..., None] == 1, 200, 40) + random.integers(0, 30, (SIDE, SIDE, 3))
        photo[12:] = random.integers(0, 256, (4, SIDE, 3))
        ids[12:] = IGNORE_ID
        if self.stray is not None:
            ids[0, 0] = self.stray
        return photo.astype(np.uint8), ids


@dataclass(frozen=True)
class VoidSource:
    """Squares, in three splits; every mask has ignored pixels."""

    stray: int | None = None

    description = "squares"
    class_names = ("ground", "square")
    foreground: tuple[int, ...] | None = (1,)
    background = 0
    classes = PixelClasses(
        names=class_names, colours=((0, 0, 0), (255, 0, 0)), codes=(0, 1), background=0, ignored=("void",)
    )

    def names(self, part: SplitName) -> tuple[str, ...]:
        return tuple(example.name for example in self.examples(part))

    def examples(self, part: SplitName) -> Iterator[VoidExample]:
        first = {"train": 0, "validation": 100, "test": 200}[part]
        for seed in range(first, first + COUNTS[part]):
            yield VoidExample(f"{part}{seed}", seed, self.stray)
