"""Resize photo and mask to a network's input size: the photo bilinearly, the mask by nearest neighbour."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

from unet_core.images.preprocess import fitted_box

Resize = Literal["stretch", "pad"]


def resized_photo(photo: np.ndarray, size: tuple[int, int], how: Resize = "stretch", channels: int = 3) -> np.ndarray:
    """Resize bilinearly with antialiasing; "pad" keeps the proportions on a black canvas.

    Args:
        photo: (H, W, 3) uint8.
        size: height and width of the result.
        how: "stretch" or "pad".
        channels: 3, or 1 for grey values.

    Returns:
        (height, width, channels) uint8.
    """
    image = Image.fromarray(photo)
    if channels == 1:
        image = image.convert("L")
    resized = _fitted(image, size, how, Image.Resampling.BILINEAR, padding=0)
    return resized.reshape(*size, channels)


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
    return _fitted(Image.fromarray(mask), size, how, Image.Resampling.NEAREST, padding)


def _fitted(
    image: Image.Image, size: tuple[int, int], how: Resize, filter: Image.Resampling, padding: int
) -> np.ndarray:
    if how == "stretch":
        return np.asarray(image.resize((size[1], size[0]), filter))
    box = fitted_box(image.height, image.width, size)
    pixels = np.asarray(image.resize((box.width, box.height), filter))
    canvas = np.full((*size, *pixels.shape[2:]), padding, np.uint8)
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = pixels
    return canvas
