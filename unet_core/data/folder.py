"""A folder of photos and masks: `images/` and `masks/`, paired by file name without its ending."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from unet_core.classes import BACKGROUND, CLASS_NAMES
from unet_core.data.sources import (
    PET_AND_BORDER,
    TRIMAP_CODES,
    DataError,
    LabelError,
    Part,
    check_ids,
    stable_fraction,
    trimap_to_ids,
    values_in,
)
from unet_core.segment.decode import decode_image

PHOTO_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
MASK_ENDINGS = frozenset({".png"})
TEST_FRACTION = 0.1

MaskCoding = Literal["trimap", "ids"]


@dataclass(frozen=True)
class FolderExample:
    """One photo and its mask as files."""

    name: str
    photo: Path
    mask: Path
    coding: MaskCoding
    classes: int

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo, (H, W, 3) uint8, and its class ids, (H, W) uint8.

        Raises:
            DataError: photo and mask differ in size, or one cannot be read.
            LabelError: the mask holds values that are no class.
        """
        photo = decode_image(self.photo.read_bytes(), name=self.photo.name)
        mask = read_mask(self.mask)
        if photo.shape[:2] != mask.shape:
            sizes = f"{photo.shape[1]}×{photo.shape[0]} and {mask.shape[1]}×{mask.shape[0]} pixels"
            raise DataError(
                f"{self.photo.name} and its mask {self.mask.name} differ in size ({sizes}): "
                "a mask must have exactly the size of its photo."
            )
        if self.coding == "trimap":
            return photo, trimap_to_ids(mask, self.mask.name)
        return photo, check_ids(mask, self.classes, self.mask.name)


@dataclass(frozen=True)
class ImageFolder:
    """Photos and masks of a folder, split by a stable hash of their names: a tenth is test.

    The masks' coding is decided over the whole folder: only values 1, 2, 3 are trimap codes, else they are class ids
    counted from 0. `classes`, where given, is how many class ids there may be.

    Raises:
        DataError: the folder, a photo or a mask is missing or cannot be used; the text names it.
        LabelError: a mask holds values that are no class.
    """

    path: Path
    validation_fraction: float = 0.1
    classes: int | None = None

    def __post_init__(self) -> None:
        if len(self._pairs) < 3:
            raise DataError(f"{self.path} holds {len(self._pairs)} photos with masks; three parts need at least 3.")
        _ = self._mask_values  # read now: wrong masks must not surface in the middle of a training run

    @property
    def description(self) -> str:
        """One line on the data and how their masks were read."""
        kind = "trimap codes 1 to 3" if self.coding == "trimap" else f"class ids 0 to {len(self.class_names) - 1}"
        return f"{self.path.name}: {len(self._pairs)} photos, masks read as {kind}"

    @property
    def coding(self) -> MaskCoding:
        """How the masks' numbers are read, decided over all masks of the folder."""
        return "trimap" if self._mask_values <= set(TRIMAP_CODES) else "ids"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id; a folder of plain ids has none of its own."""
        if self.coding == "trimap":
            return CLASS_NAMES
        count = max(max(self._mask_values) + 1, 2)
        return ("background", "object") if count == 2 else tuple(f"class {index}" for index in range(count))

    @property
    def foreground(self) -> tuple[int, ...] | None:
        """Class ids that count as the object in a two-sided answer, None for three or more plain classes."""
        if self.coding == "trimap":
            return PET_AND_BORDER
        return (1,) if len(self.class_names) == 2 else None

    @property
    def background(self) -> int:
        """Class id of what lies outside a photo."""
        return BACKGROUND.id if self.coding == "trimap" else 0

    def names(self, part: Part) -> tuple[str, ...]:
        """Return the names of a part's pairs (their files' stems)."""
        return self._split[part]

    def examples(self, part: Part) -> Iterator[FolderExample]:
        """Yield a part's pairs in the order of their names."""
        for name in self._split[part]:
            yield FolderExample(name, *self._pairs[name], self.coding, len(self.class_names))

    @cached_property
    def _pairs(self) -> dict[str, tuple[Path, Path]]:
        photos = _files_by_stem(self.path, "images", PHOTO_ENDINGS)
        masks = _files_by_stem(self.path, "masks", MASK_ENDINGS)
        _check_pairs(photos, masks)
        return {stem: (photos[stem], masks[stem]) for stem in sorted(photos)}

    @cached_property
    def _split(self) -> dict[Part, tuple[str, ...]]:
        ranked = sorted(self._pairs, key=stable_fraction)
        tests = max(1, round(TEST_FRACTION * len(ranked)))
        validations = max(1, round(self.validation_fraction * (len(ranked) - tests)))
        return {
            "test": tuple(sorted(ranked[:tests])),
            "validation": tuple(sorted(ranked[tests : tests + validations])),
            "train": tuple(sorted(ranked[tests + validations :])),
        }

    @cached_property
    def _mask_values(self) -> frozenset[int]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = dict(zip(self._pairs, pool.map(self._checked_values, self._pairs)))
        values = reduce(or_, found.values(), frozenset())
        if self.classes is not None and not values <= set(TRIMAP_CODES):
            self._check_below(found, max(self.classes, 2))
        return values

    def _checked_values(self, name: str) -> frozenset[int]:
        return frozenset(values_in(read_mask(self._pairs[name][1])))

    def _check_below(self, found: dict[str, frozenset[int]], classes: int) -> None:
        for name, values in found.items():
            outside = sorted(value for value in values if value >= classes)
            if outside:
                raise LabelError(
                    f"{self._pairs[name][1].name} holds the values {outside}; masks hold trimap codes 1 to 3, or "
                    f"class ids counted from 0, here 0 to {classes - 1}. A black-and-white mask needs 0 and 1."
                )


def read_mask(path: Path) -> np.ndarray:
    """Read a mask's numbers, (H, W) uint8: grey values, palette indices, or 0 and 1 of a one-bit image.

    Raises:
        DataError: the file is no readable image, or a colour image.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P", "1"):
                raise DataError(
                    f"{path.name} is a mask in mode {image.mode}; save it as an 8-bit PNG with class numbers."
                )
            return np.asarray(image).astype(np.uint8)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise DataError(f"{path.name} cannot be read as a mask: save it again as an 8-bit PNG.") from error


def _files_by_stem(root: Path, folder: str, endings: frozenset[str]) -> dict[str, Path]:
    directory = root / folder
    if not directory.is_dir():
        raise DataError(f"{root} holds no folder {folder}/: put photos into images/ and their masks into masks/.")
    files: dict[str, Path] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() not in endings or path.name.startswith("."):
            continue
        if path.stem in files:
            raise DataError(f"{directory} holds both {files[path.stem].name} and {path.name}: keep one of them.")
        files[path.stem] = path
    if not files:
        raise DataError(f"{directory} holds no {', '.join(sorted(endings))} file.")
    return files


def _check_pairs(photos: dict[str, Path], masks: dict[str, Path]) -> None:
    for have, lack, what in ((photos, masks, "mask in masks/"), (masks, photos, "photo in images/")):
        alone = sorted(set(have) - set(lack))
        if alone:
            others = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
            raise DataError(f"{have[alone[0]].name}{others}: no {what} of the same name.")
