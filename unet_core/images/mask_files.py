"""Masks in the codes of their dataset, as arrays and as PNG files."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from unet_core.classes import PET_CLASSES, PixelClasses

_MAX_GREY = 0xFF


def mask_codes(mask: np.ndarray, classes: PixelClasses = PET_CLASSES) -> np.ndarray:
    """Convert class ids (H, W) uint8 to the dataset's codes.

    Returns:
        (H, W) uint8 or uint16 for numbers; (H, W, 3) uint8 if the codes are colours.
    """
    codes = np.zeros(256, np.uint32)
    codes[: len(classes.codes)] = classes.codes
    if classes.has_colour_codes:
        return np.stack([codes >> 16 & 255, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)[mask]
    return codes.astype(np.uint8 if codes.max() <= _MAX_GREY else np.uint16)[mask]


def mask_png(mask: np.ndarray, classes: PixelClasses = PET_CLASSES) -> bytes:
    """Return a mask of class ids (H, W) uint8 as PNG in the dataset's codes: grey of 8 or 16 bits, or RGB colours."""
    buffer = io.BytesIO()
    Image.fromarray(mask_codes(mask, classes)).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def described_codes(classes: PixelClasses, most: int = 8) -> str:
    """Return what a mask file's values mean, such as "1 pet, 2 background, 3 border"."""
    colours = classes.has_colour_codes
    pairs = [f"{f'#{code:06x}' if colours else code} {name}" for code, name in zip(classes.codes, classes.names)]
    more = f" and {len(pairs) - most} more" if len(pairs) > most else ""
    return ", ".join(pairs[:most]) + more


def described_file(classes: PixelClasses) -> str:
    """Return the kind of PNG that `mask_png` writes."""
    if classes.has_colour_codes:
        return "RGB PNG"
    return "8-bit PNG" if max(classes.codes) <= _MAX_GREY else "16-bit PNG"
