"""The masks of a dataset as files, and what is asked of images before they are read whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unet_core.data.own.coco import CocoMask
from unet_core.data.sources import DataError
from unet_core.images.decode import ImageError, MaskImage, count_pages, decode_image, decode_mask, photo_facts
from unet_core.settings import Settings

_SAMPLE_SIDE = 96  # of the small picture whose values are counted
_INSIDE = 128  # from this value on a pixel of a soft mask belongs to the object


@dataclass(frozen=True)
class JoinedMask:
    """Several mask files of one photo, drawn over each other: each adds its code where it is not black."""

    paths: tuple[Path, ...]
    codes: tuple[int, ...]
    source: str  # its name in messages

    def draw(self, settings: Settings) -> MaskImage:
        """Join the masks.

        Raises:
            ImageError: a file is not a usable image.
            DataError: the files differ in size.
        """
        joined: np.ndarray | None = None
        for path, code in zip(self.paths, self.codes):
            mask = decode_mask(read_bytes(path, settings), name=path.name, settings=settings)
            if joined is None:
                joined = np.zeros(mask.values.shape, np.uint8)
            if mask.values.shape != joined.shape:
                raise DataError(f"{path.name} and the other masks of {self.source} differ in size: correct it.")
            soft = mask.kind == "grey" and int(mask.values.max(initial=0)) >= 2 * _INSIDE - 1
            joined[mask.values >= (_INSIDE if soft else 1)] = code
        if joined is None:
            raise DataError(f"{self.source} has no mask file.")
        return MaskImage(joined, "grey", "joined", None, lossy=False)


MaskSource = Path | CocoMask | JoinedMask


def read_bytes(path: Path, settings: Settings) -> bytes:
    """Read a file, up to one byte more than a photo may have, so that its decoder refuses larger ones."""
    with open(path, "rb") as file:
        return file.read(int(settings.max_upload_mb * 1e6) + 1)


def read_mask(mask: MaskSource, settings: Settings, page: int | None = None) -> MaskImage:
    """Read a mask's exact values from its file, or draw it.

    Raises:
        ImageError: the file is not a usable image.
        DataError: the shapes or files are not valid.
        OSError: the file cannot be read.
    """
    if isinstance(mask, CocoMask):
        return mask.draw()
    if isinstance(mask, JoinedMask):
        return mask.draw(settings)
    return decode_mask(read_bytes(mask, settings), name=mask.name, page=page, settings=settings)


def about_values(path: Path, settings: Settings) -> int | None:
    """Count the colours of a small version of an image, coarsely: masks have few; None if it cannot be read."""
    try:
        pixels = decode_image(read_bytes(path, settings), name=path.name, page=0, settings=settings)
    except (ImageError, OSError):
        return None
    step = max(1, max(pixels.shape[:2]) // _SAMPLE_SIDE)
    small = pixels[::step, ::step].astype(np.uint32) >> 4
    return len(np.unique(small[..., 0] << 8 | small[..., 1] << 4 | small[..., 2]))


def image_size(path: Path, settings: Settings) -> tuple[int, int] | None:
    """Return an image's width and height once upright, None if it cannot be read."""
    try:
        facts = photo_facts(read_bytes(path, settings), name=path.name, settings=settings)
    except (ImageError, OSError):
        return None
    return facts.width, facts.height


def pages_of(path: Path, settings: Settings) -> int:
    """Return how many pages a TIFF file has, 1 for all other files and for those that cannot be read."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return 1
    try:
        return count_pages(read_bytes(path, settings))
    except OSError:
        return 1
