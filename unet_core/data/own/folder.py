"""A custom dataset as a source of examples: a folder of photos and masks in any supported layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from unet_core.architecture.table import counted
from unet_core.classes import CLASS_NAMES, PixelClasses
from unet_core.data.own.coding import MaskCoding
from unet_core.data.own.layouts import Pair, find_layout
from unet_core.data.own.mask_files import JoinedMask, MaskSource, read_bytes, read_mask
from unet_core.data.own.options import DEFAULT_OPTIONS, ReadOptions
from unet_core.data.own.report import DatasetReport, channels_of, current_report
from unet_core.data.sources import PET_AND_BORDER, DataError, LabelError, SplitName
from unet_core.data.splits import VALIDATION_FRACTION, SplitScheme
from unet_core.images.decode import decode_bands, decode_image
from unet_core.settings import Settings, get_settings

_LABEL_PROBLEMS = frozenset({"values_out_of_range", "mixed_codings", "too_many_values", "too_many_colours"})


@dataclass(frozen=True)
class FolderExample:
    """One photo and its mask as files, or as COCO shapes."""

    name: str
    photo: Path
    mask: MaskSource
    coding: MaskCoding
    settings: Settings
    options: ReadOptions = DEFAULT_OPTIONS
    page: int | None = None
    channels: int = 3

    @property
    def files(self) -> tuple[Path, ...]:
        """The photo and the masks that are files."""
        if isinstance(self.mask, Path):
            return self.photo, self.mask
        return self.photo, *(self.mask.paths if isinstance(self.mask, JoinedMask) else ())

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo and its class ids, (H, W) uint8, `IGNORE_ID` where nothing is labelled.

        The photo is RGB, (H, W, 3) uint8, or for other `channels` (H, W, channels) uint8 or uint16.

        Raises:
            DataError: photo and mask differ in size, or shapes are not valid.
            LabelError: the mask has values without a class.
            ImageError: a file is not a usable image.
        """
        decode = decode_image if self.channels == 3 else partial(decode_bands, channels=self.channels)
        photo = decode(
            read_bytes(self.photo, self.settings),
            name=self.photo.name,
            page=self.page,
            upright=self.options.orientation == "upright",
            settings=self.settings,
        )
        ids = self.coding.ids(read_mask(self.mask, self.settings, self.page), self.name)
        if photo.shape[:2] != ids.shape:
            if not self.options.resize_masks:
                raise DataError(f"{self.photo.name} and its mask differ in size: inspect the dataset again.")
            ids = _resized(ids, photo.shape[:2])
        return photo, ids


def _resized(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize class ids (H, W) by nearest neighbour, comparing the centres of pixels."""
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, ids.shape))
    return ids[np.ix_(rows, columns)]


@dataclass(frozen=True)
class ImageFolder:
    """Photos and masks of a folder, read as its report says, in splits that share no picture.

    The report comes from `dataset.json` in the folder if no file has changed since, else from a new inspection.

    Raises:
        DataError: the report has errors; the text is that of the first one.
        LabelError: the first error is about the values of masks.
    """

    path: Path
    validation_fraction: float = VALIDATION_FRACTION
    settings: Settings = field(default_factory=get_settings)
    split_scheme: SplitScheme = "official"
    asked_channels: int = 3  # 4 keeps the fourth band of photos that have one, which otherwise counts as opacity

    def __post_init__(self) -> None:
        if self.report.errors:  # fail here rather than in the middle of a run
            first, *others = self.report.errors
            more = f" ({len(others)} more: see the report on the Data page.)" if others else ""
            kind = LabelError if first.code in _LABEL_PROBLEMS else DataError
            raise kind(f"{self.path.name}: {first.message}{more}")

    @cached_property
    def report(self) -> DatasetReport:
        """What an inspection of the folder found."""
        return current_report(self.path, settings=self.settings)

    @property
    def coding(self) -> MaskCoding:
        """How the masks are read."""
        if self.report.coding is None:
            raise DataError(f"{self.path.name}: its masks cannot be read.")
        return self.report.coding

    @property
    def channels(self) -> int:
        """Channels of the photos: 3 for RGB and grey values, else the number of their bands."""
        return channels_of(self.report.bands, self.asked_channels)

    @property
    def description(self) -> str:
        """One line on the data and how their masks are read."""
        return f"{self.path.name}: {counted(len(self.report.pairs), 'photo')}, {self.coding.sentence}"

    @property
    def classes(self) -> PixelClasses:
        """What the class ids mean, as the user named them."""
        entries = self.coding.by_id
        return PixelClasses(
            names=tuple(entry.name for entry in entries),
            colours=tuple(entry.colour for entry in entries),
            codes=tuple(entry.code for entry in entries),
            background=self.background,
            ignored=self.coding.ignored_names,
            in_colours=self.coding.kind == "colours",
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by id, as the user gave them."""
        return self.coding.names

    @property
    def foreground(self) -> tuple[int, ...] | None:
        """Class ids that count as the object in a binary mask; None for three or more classes other than the pets'."""
        if self.class_names == CLASS_NAMES:
            return PET_AND_BORDER
        return (1 - self.background,) if len(self.class_names) == 2 else None

    @property
    def background(self) -> int:
        """Class id of the padding around a photo."""
        return self.report.background

    def names(self, part: SplitName) -> tuple[str, ...]:
        """Return the names of a split's pairs."""
        return self._parts[part]

    def examples(self, part: SplitName) -> Iterator[FolderExample]:
        """Yield a split's pairs in the order of their names."""
        for name in self._parts[part]:
            pair = self._pairs[name]
            options = self.report.options
            yield FolderExample(
                name, pair.photo, pair.mask, self.coding, self.settings, options, pair.page, self.channels
            )

    @cached_property
    def _parts(self) -> dict[SplitName, tuple[str, ...]]:
        return self.report.parts(self.validation_fraction, self.split_scheme)

    @cached_property
    def _pairs(self) -> dict[str, Pair]:
        return {pair.name: pair for pair in find_layout(self.path, self.settings, self.report.options).pairs}
