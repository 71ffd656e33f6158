"""Check that arrays are a photo and its mask."""

from __future__ import annotations

import numpy as np

from unet_core.errors import UNetError


class ImageError(UNetError):
    """A photo or mask that cannot be used; the message is one sentence that names the file and says what to do."""


def check_same_size(photo: np.ndarray, mask: np.ndarray) -> None:
    """Check that a mask (H, W) belongs to a photo (H, W, 3).

    Raises:
        ImageError: their height or width differs.
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.shape[:2] != mask.shape:
        raise ImageError(f"The photo {photo.shape} and its mask {mask.shape} must have the same height and width.")
