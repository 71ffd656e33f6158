"""What every dataset provides to the pipeline, and the checks that keep wrong labels out. NumPy only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np

from unet_core.classes import BACKGROUND, BORDER, CLASS_NAMES, CLASSES, PET, PET_CLASSES, PixelClasses
from unet_core.errors import UNetError

SplitName = Literal["train", "validation", "test"]
PARTS: tuple[SplitName, ...] = ("train", "validation", "test")

# The border is fur that annotators could not separate from its surroundings, so a binary mask counts it as pet.
PET_AND_BORDER: tuple[int, ...] = (PET.id, BORDER.id)
TRIMAP_CODES: tuple[int, ...] = tuple(pixel_class.code for pixel_class in CLASSES)


class DataError(UNetError):
    """A dataset that cannot be used as it is; the text says what is wrong, where, and how to fix it."""


class LabelError(DataError):
    """A mask with values that are not classes; the text names the mask and the values."""


class Example(Protocol):
    """One photo with its mask, decoded on demand."""

    @property
    def name(self) -> str:
        """Unique in its dataset."""
        ...

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo and its class ids, (H, W) uint8, `IGNORE_ID` where there is no class.

        The photo is (H, W, C), uint8 or uint16: RGB, or the bands that `photo_channels` counts.
        """
        ...


class Labelled(Protocol):
    """Anything with named classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by id."""
        ...


class Source(Labelled, Protocol):
    """A dataset in three splits that share no example."""

    @property
    def description(self) -> str:
        """One line on the data."""
        ...

    @property
    def classes(self) -> PixelClasses:
        """What the class ids mean."""
        ...

    @property
    def foreground(self) -> tuple[int, ...] | None:
        """Class ids that count as the object in a binary mask; None if there is no such reading."""
        ...

    @property
    def background(self) -> int:
        """Class id of the padding around a photo."""
        ...

    def names(self, part: SplitName) -> tuple[str, ...]:
        """Return the names of a split's examples, in the order of `examples`."""
        ...

    def examples(self, part: SplitName) -> Iterator[Example]:
        """Yield a split's examples, always in the same order."""
        ...


class TrimapSource:
    """Base of the datasets whose masks are trimaps of pets."""

    classes = PET_CLASSES
    class_names = CLASS_NAMES
    foreground: tuple[int, ...] | None = PET_AND_BORDER
    background = BACKGROUND.id


def photo_channels(source: Labelled) -> int:
    """Return the channels of a dataset's photos: its `channels`, or 3 (RGB) if it has no such attribute."""
    return getattr(source, "channels", 3)


def trimap_to_ids(trimap: np.ndarray, name: str) -> np.ndarray:
    """Turn trimap codes 1, 2, 3 into class ids 0, 1, 2.

    Raises:
        LabelError: the mask of `name` has other values; the text lists them.
    """
    found = values_in(trimap)
    if not set(found) <= set(TRIMAP_CODES):
        codes = ", ".join(f"{pixel_class.code} {pixel_class.name}" for pixel_class in CLASSES)
        raise LabelError(f"{name}: the mask has the values {list(found)}; a trimap may only have {codes}.")
    return trimap - np.uint8(1)


def values_in(mask: np.ndarray) -> tuple[int, ...]:
    """Return the distinct values of a uint8 mask in order."""
    return tuple(np.flatnonzero(np.bincount(mask.reshape(-1), minlength=256)).tolist())


def stable_fraction(name: str) -> float:
    """Map a name to a number in 0…1 that depends on the name only: the same on every machine, in any order."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2.0**64
