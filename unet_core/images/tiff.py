"""What Pillow does not say or cannot read of TIFF files: their pages, planes of 16 bits, and floating-point colours."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np

from unet_core.images.checks import ImageError

MAX_PAGES = 1_000
_MAX_ENTRIES = 200  # of one page's directory
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _SAMPLES, _PLANAR, _FORMAT = 254, 256, 257, 258, 277, 284, 339
_SIZES = {1: 1, 3: 2, 4: 4}  # bytes of the field types that these tags have


@dataclass(frozen=True)
class TiffPage:
    """One page: its place among the file's directories, its size in pixels, and how its samples are stored."""

    frame: int
    width: int
    height: int
    bits: int
    samples: int
    planar: bool
    floating: bool

    @property
    def needs_tifffile(self) -> bool:
        """Whether Pillow garbles or refuses the page: 16-bit planes, floating-point colours, or many bands."""
        return self.samples > 1 and ((self.planar and self.bits == 16) or self.floating or self.samples > 4)


def tiff_pages(data: bytes) -> list[TiffPage]:
    """Return the pages of a TIFF file that show a picture of their own, the first thousand; none if it is no TIFF.

    Smaller versions of a page, as pyramids and thumbnails have them, are passed over.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return []
    pages: list[TiffPage] = []
    offset, seen, frame = struct.unpack(order + "I", data[4:8])[0], set[int](), 0
    while offset and offset not in seen and len(seen) < MAX_PAGES:
        seen.add(offset)
        found = _directory(data, offset, order)
        if found is None:
            break
        tags, offset = found
        page = TiffPage(
            frame,
            tags.get(_WIDTH, 0),
            tags.get(_HEIGHT, 0),
            tags.get(_BITS, 1),
            tags.get(_SAMPLES, 1),
            tags.get(_PLANAR, 1) == 2,
            tags.get(_FORMAT, 1) == 3,
        )
        if not pages or not tags.get(_SUBFILE, 0) & 1:
            pages.append(page)
        frame += 1
    return [page for page in pages if (page.width, page.height) == (pages[0].width, pages[0].height)]


def _directory(data: bytes, offset: int, order: str) -> tuple[dict[int, int], int] | None:
    """Return the first value of each field of a directory, and where the next directory is."""
    if offset + 2 > len(data):
        return None
    count = struct.unpack_from(order + "H", data, offset)[0]
    end = offset + 2 + 12 * count
    if count > _MAX_ENTRIES or end + 4 > len(data):
        return None
    tags: dict[int, int] = {}
    for place in range(offset + 2, end, 12):
        tag, kind, values, inline = struct.unpack_from(order + "HHII", data, place)
        size = _SIZES.get(kind)
        if size is None or not values:
            continue
        where = place + 8 if size * values <= 4 else inline
        if where + size <= len(data):
            tags[tag] = struct.unpack_from(order + {1: "B", 2: "H", 4: "I"}[size], data, where)[0]
    return tags, struct.unpack_from(order + "I", data, end)[0]


def read_samples(data: bytes, page: TiffPage, name: str) -> np.ndarray:
    """Read a page's samples with tifffile: (H, W, bands), in the type in which they are stored.

    Raises:
        ImageError: the file is damaged or compressed in a way that cannot be read.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            found = file.pages[page.frame].asarray()
    except Exception as error:  # tifffile raises almost anything on damaged bytes
        what = "floating-point" if page.floating else f"{page.bits}-bit"
        how = "planar" if page.planar else "interleaved"
        reason = "its compression is not supported" if "imagecodecs" in str(error) else "it is damaged"
        raise ImageError(
            f"{name} is a TIFF with {page.samples} {how} {what} bands that cannot be read ({reason}): save it as an "
            "uncompressed TIFF or as 8-bit PNG."
        ) from None
    if found.shape == (page.samples, page.height, page.width):
        found = np.moveaxis(found, 0, -1)
    if found.shape != (page.height, page.width, page.samples):
        raise ImageError(f"{name} is a TIFF whose bands cannot be read: save it as 8-bit PNG.")
    return found
