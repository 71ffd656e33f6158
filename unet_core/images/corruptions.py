"""Corruptions of photos of increasing strength, which show where a model fails. NumPy and Pillow only.

They are for measuring only, never for training. The random ones depend only on the photo's name, so every model and
every run gets exactly the same pictures. Strengths are meant for photos of about 224 pixels on the longer side.
`CORRUPTIONS` are measured on many photos, `SLIDERS` tried on one.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from unet_core.classes import IGNORE_ID

Pair = tuple[np.ndarray, np.ndarray]  # photo (H, W, 3) uint8 and class ids (H, W) uint8
_COVER = 128  # the grey of what occludes

Change = Callable[[np.ndarray, np.ndarray, float, np.random.Generator], Pair]


@dataclass(frozen=True)
class Corruption:
    """One way to corrupt a photo; `shown` writes a strength as text."""

    name: str
    title: str
    description: str
    strengths: tuple[float, ...]
    shown: Callable[[float], str]
    change: Change

    def apply(self, photo: np.ndarray, ids: np.ndarray, strength: float, name: str) -> Pair:
        """Return the corrupted photo and the mask that belongs to it.

        Args:
            photo: (H, W, 3) uint8.
            ids: (H, W) uint8 class ids; they change only if the photo's geometry does.
            strength: as in `strengths`.
            name: the photo's name, which seeds what is random.
        """
        seed = zlib.crc32(f"{self.name} {name}".encode())
        return self.change(photo, ids, strength, np.random.default_rng(seed))


def _noise(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    grain = random.standard_normal(photo.shape, np.float32)  # the same grain at every strength, scaled
    return _rounded(photo + strength * grain), ids


def _blur(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(strength))), ids


def _brightness(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    sign = 1 if random.random() < 0.5 else -1
    return _rounded(photo.astype(np.float32) + sign * strength * 255), ids


def _contrast(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    mean = photo.mean(dtype=np.float64)
    return _rounded(mean + strength * (photo.astype(np.float32) - mean)), ids


def _rotation(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    """Rotate photo and mask about the centre; the corners are filled with the photo mirrored at its edges."""
    angle = strength if random.random() < 0.5 else -strength
    return (
        _rotated(photo, angle, Image.Resampling.BILINEAR),
        _rotated(ids, angle, Image.Resampling.NEAREST),
    )


def _rotated(pixels: np.ndarray, angle: float, filter: Image.Resampling) -> np.ndarray:
    height, width = pixels.shape[:2]
    margin = round(0.5 * max(height, width))  # no corner reaches farther outside than this
    sides = [(margin, margin), (margin, margin), (0, 0)][: pixels.ndim]
    rotated = np.asarray(Image.fromarray(np.pad(pixels, sides, mode="symmetric")).rotate(angle, filter))
    return rotated[margin : margin + height, margin : margin + width]


def _turned(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    return _rotated(photo, -strength, Image.Resampling.BILINEAR), _rotated(ids, -strength, Image.Resampling.NEAREST)


def _darker(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    return _rounded(photo * np.float32(1 - strength)), ids


def _occluded(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    """Cover a rectangle of this share of the photo, around the centre of what is not class 0; it counts no more."""
    if not strength:
        return photo, ids
    height, width = ids.shape
    rows, columns = np.nonzero(ids)
    centre = (rows.mean(), columns.mean()) if len(rows) else (height / 2, width / 2)
    top, bottom = _span(centre[0], height * strength**0.5, height)
    left, right = _span(centre[1], width * strength**0.5, width)
    covered, labels = photo.copy(), ids.copy()
    covered[top:bottom, left:right] = _COVER
    labels[top:bottom, left:right] = IGNORE_ID
    return covered, labels


def _span(middle: float, side: float, whole: int) -> tuple[int, int]:
    """Return start and end of a side around a middle, moved to lie within a whole."""
    start = max(0.0, min(middle - side / 2, whole - side))
    return round(start), round(start + side)


def _smaller(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    """Shrink to this share of the sides, in the middle of a plain ground of the photo's mean colour."""
    if strength >= 1:
        return photo, ids
    height, width = ids.shape
    size = max(1, round(height * strength)), max(1, round(width * strength))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    ground = np.empty_like(photo)
    ground[:] = _rounded(photo.mean(axis=(0, 1)))
    labels = np.zeros_like(ids)
    for whole, pixels, how in ((ground, photo, Image.Resampling.BOX), (labels, ids, Image.Resampling.NEAREST)):
        small = np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), how))
        whole[top : top + size[0], left : left + size[1]] = small
    return ground, labels


def _jpeg(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=int(strength))
    return np.asarray(Image.open(buffer).convert("RGB")), ids


def _downscale(photo: np.ndarray, ids: np.ndarray, strength: float, random: np.random.Generator) -> Pair:
    """Shrink to `strength` pixels on the longer side, then enlarge again."""
    image = Image.fromarray(photo)
    ratio = strength / max(image.size)
    if ratio >= 1:
        return photo, ids
    small = image.resize([max(1, round(side * ratio)) for side in image.size], Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.BILINEAR)), ids


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _whole(unit: str) -> Callable[[float], str]:
    return lambda strength: f"{strength:g} {unit}".strip()


CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption(
        "noise",
        "Noise",
        "Gaussian noise in each colour channel, standard deviation out of 255",
        (8, 16, 24, 40, 60),
        _whole("of 255"),
        _noise,
    ),
    Corruption(
        "blur", "Blur", "Gaussian blur, standard deviation in pixels", (0.75, 1.5, 2.5, 4, 6), _whole("px"), _blur
    ),
    Corruption(
        "brightness",
        "Brightness",
        "Half of the photos brighter, half darker, by a share of the full range",
        (0.1, 0.2, 0.3, 0.4, 0.5),
        lambda strength: f"±{100 * strength:.0f} %",
        _brightness,
    ),
    Corruption(
        "contrast",
        "Contrast",
        "Distance from the photo's mean scaled to this share",
        (0.7, 0.5, 0.35, 0.2, 0.1),
        lambda strength: f"{100 * strength:.0f} %",
        _contrast,
    ),
    Corruption(
        "rotation",
        "Rotation",
        "Photo and mask rotated about the centre, half of them counterclockwise",
        (15, 30, 45, 90, 180),
        lambda strength: f"{strength:g}°",
        _rotation,
    ),
    Corruption(
        "jpeg",
        "JPEG",
        "Compressed with Pillow at a low quality setting",
        (40, 20, 12, 7, 3),
        lambda strength: f"quality {strength:g}",
        _jpeg,
    ),
    Corruption(
        "downscale",
        "Downscale",
        "Shrunk to this many pixels on the longer side, then enlarged again",
        (112, 72, 48, 32, 20),
        _whole("px"),
        _downscale,
    ),
)

# From the unchanged photo to one that no model can be expected to master.
SLIDERS: tuple[Corruption, ...] = (
    Corruption(
        "noise",
        "Noise",
        "Gaussian noise in each colour channel, standard deviation out of 255",
        (0, 8, 16, 24, 32, 48, 64, 80, 100, 128),
        _whole("of 255"),
        _noise,
    ),
    Corruption(
        "blur",
        "Blur",
        "Gaussian blur, standard deviation in pixels",
        (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12),
        _whole("px"),
        _blur,
    ),
    Corruption(
        "dark",
        "Dark",
        "All values multiplied by the same factor",
        (0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98),
        lambda strength: f"\u2212{100 * strength:.0f} %",
        _darker,
    ),
    Corruption(
        "occlude",
        "Occlude",
        "A grey rectangle over the middle of the subject, as a share of the photo; what it covers is not scored",
        (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6),
        lambda strength: f"{100 * strength:.0f} %",
        _occluded,
    ),
    Corruption(
        "shrink",
        "Shrink",
        "The photo smaller, in the middle of a plain ground: each side as a share of the original",
        (1, 0.8, 0.65, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1),
        lambda strength: f"{100 * strength:.0f} %",
        _smaller,
    ),
    Corruption(
        "turn",
        "Turn",
        "The photo turned clockwise, its corners mirrored",
        (0, 15, 30, 45, 60, 90, 120, 150, 180, 270),
        lambda strength: f"{strength:g}\u00b0",
        _turned,
    ),
)
