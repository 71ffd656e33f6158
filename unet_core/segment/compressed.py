"""A compact form of a segmentation: the photo as JPEG, mask and large probabilities compressed with zlib."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from PIL import Image

from unet_core.images.interpolate import resized
from unet_core.segment.segmentation import FULL_PROBABILITIES_PIXELS, Segmentation, SegmentationFacts

_STEPS = 65_535  # probabilities are rounded to this many steps, which keeps them within 1e-5
_COMPRESSED_BYTES = 700_000  # smaller probabilities, as of whole photos, are kept as they are: it saves the time


@dataclass(frozen=True, eq=False, kw_only=True)
class CompressedSegmentation(SegmentationFacts):
    """A compressed `Segmentation`; unpacking restores the mask exactly and the probabilities to within 1e-5.

    Attributes:
        jpeg: the photo.
        mask: compressed with zlib.
        probabilities: in 16 bits, compressed with zlib from `_COMPRESSED_BYTES` on.
        shape: of the probabilities, (h, w, C).
    """

    jpeg: bytes = field(repr=False)
    mask: bytes = field(repr=False)
    probabilities: bytes = field(repr=False)
    shape: tuple[int, ...]

    @classmethod
    def pack(cls, segmentation: Segmentation, *, with_photo: bool = True) -> Self:
        """Compress a segmentation; without its photo, `unpack` needs the pictures."""
        steps = np.rint(segmentation.probabilities * _STEPS).astype(np.uint16)
        return cls(
            **segmentation.facts(),
            jpeg=encode_jpeg(segmentation.image, subsampling="4:2:0") if with_photo else b"",
            mask=zlib.compress(segmentation.mask.tobytes(), 1),
            probabilities=steps.tobytes() if steps.nbytes < _COMPRESSED_BYTES else zlib.compress(steps.tobytes(), 1),
            shape=steps.shape,
        )

    @property
    def bytes_held(self) -> int:
        """Compressed size in bytes."""
        return len(self.jpeg) + len(self.mask) + len(self.probabilities)

    def pictures(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo (H, W, 3) and the mask (H, W), both uint8, without unpacking the probabilities."""
        image = np.array(Image.open(io.BytesIO(self.jpeg)))
        return image, self.mask_of(image)

    def mask_of(self, image: np.ndarray) -> np.ndarray:
        """Return the mask of the photo `image`, (H, W) uint8, without unpacking anything else."""
        return np.frombuffer(zlib.decompress(self.mask), np.uint8).reshape(image.shape[:2])

    def unpack(self, pictures: tuple[np.ndarray, np.ndarray] | None = None) -> Segmentation:
        """Return the segmentation, its probabilities at the mask's size or, for large photos, the network's.

        Args:
            pictures: photo and mask, if they are unpacked already.
        """
        image, mask = pictures or self.pictures()
        held, whole = self.probabilities, 2 * int(np.prod(self.shape))
        steps = held if whole < _COMPRESSED_BYTES else zlib.decompress(held)
        probabilities = np.frombuffer(steps, np.uint16).reshape(self.shape).astype(np.float32)
        probabilities /= probabilities.sum(axis=-1, keepdims=True)
        if probabilities.shape[:2] != mask.shape and mask.size <= FULL_PROBABILITIES_PIXELS:
            probabilities = resized(probabilities, *mask.shape)
        return Segmentation(**self.facts(), image=image, mask=mask, probabilities=probabilities)


def encode_jpeg(picture: np.ndarray, *, subsampling: str = "4:4:4") -> bytes:
    """Encode a picture (H, W, 3) uint8; flat class colours keep sharp edges only without subsampling, "4:4:4"."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, subsampling=subsampling)
    return buffer.getvalue()
