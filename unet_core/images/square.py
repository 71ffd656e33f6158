"""Resize photo and mask to a network's input size: the photo bilinearly, the mask by nearest neighbour."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

from unet_core.images.interpolate import Box
from unet_core.images.preprocess import fitted_box, in_channels, through_pillow

Resize = Literal["stretch", "pad"]


def resized_photo(photo: np.ndarray, size: tuple[int, int], how: Resize = "stretch", channels: int = 3) -> np.ndarray:
    """Resize bilinearly with antialiasing; "pad" keeps the proportions on a black canvas.

    Args:
        photo: (H, W, C) uint8 or uint16, in those channels; RGB also for one.
        size: height and width of the result.
        how: "stretch" or "pad".
        channels: of the result.

    Returns:
        (height, width, channels) of the same type.

    Raises:
        ImageChannelsError: the photo has other channels.
    """
    return _fitted(in_channels(photo, channels), size, how, Image.Resampling.BILINEAR, padding=0)


def resized_mask(mask: np.ndarray, size: tuple[int, int], how: Resize = "stretch", padding: int = 0) -> np.ndarray:
    """Resize by nearest neighbour, so that no new value appears.

    Args:
        mask: (H, W) uint8.
        size: height and width of the result.
        how: "stretch", or "pad" with the value `padding`, exactly where `resized_photo` pads.
        padding: the value outside the photo.

    Returns:
        (height, width) uint8.
    """
    return _fitted(mask[..., None], size, how, Image.Resampling.NEAREST, padding)[..., 0]


def _fitted(
    pixels: np.ndarray, size: tuple[int, int], how: Resize, filter: Image.Resampling, padding: int
) -> np.ndarray:
    box = Box(0, 0, *size) if how == "stretch" else fitted_box(pixels.shape[0], pixels.shape[1], size)
    resized = through_pillow(pixels, lambda image: image.resize((box.width, box.height), filter))
    if how == "stretch":
        return resized
    canvas = np.full((*size, pixels.shape[2]), padding, pixels.dtype)
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = resized
    return canvas
