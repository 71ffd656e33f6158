"""A dataset of five bands in 16 bits, in memory: only the fifth band shows the object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from unet_core.classes import PixelClasses
from unet_core.data.sources import SplitName

SIDE, BANDS = 16, 5
COUNTS = {"train": 24, "validation": 4, "test": 4}


@dataclass(frozen=True)
class BandExample:
    """A square that is bright in the last band; the others are noise."""

    name: str
    seed: int

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(self.seed)
        ids = np.zeros((SIDE, SIDE), np.uint8)
        top, left = random.integers(1, 7, 2)
        ids[top : top + 8, left : left + 8] = 1
        photo = random.integers(0, 65_536, (SIDE, SIDE, BANDS)).astype(np.uint16)
        photo[..., -1] = np.where(ids, 60_000, 5_000)
        return photo, ids


@dataclass(frozen=True)
class BandSource:
    """Squares, in three splits."""

    description = "bands"
    channels = BANDS
    class_names = ("ground", "square")
    foreground: tuple[int, ...] | None = (1,)
    background = 0
    classes = PixelClasses(names=class_names, colours=((0, 0, 0), (255, 0, 0)), codes=(0, 1), background=0)

    def names(self, part: SplitName) -> tuple[str, ...]:
        return tuple(example.name for example in self.examples(part))

    def examples(self, part: SplitName) -> Iterator[BandExample]:
        first = {"train": 0, "validation": 100, "test": 200}[part]
        for seed in range(first, first + COUNTS[part]):
            yield BandExample(f"{part}{seed}", seed)


def write_folder(root: Path, kind: str, *, count: int = 24) -> Path:
    """Write examples as images/NAME.npy or .tif and masks/NAME.png; `kind` is "npy" or "tif"."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for seed in range(count):
        photo, ids = BandExample("", seed).decode()
        if kind == "npy":
            np.save(root / "images" / f"{seed}.npy", photo)
        else:
            tifffile.imwrite(root / "images" / f"{seed}.tif", photo, photometric="minisblack", planarconfig="contig")
        Image.fromarray(ids).save(root / "masks" / f"{seed}.png")
    return root
