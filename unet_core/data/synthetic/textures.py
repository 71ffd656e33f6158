"""Grey textures, generated once and then cropped: fur, blotches and grain."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from unet_core.data.synthetic.chance import Chance

_SIDE = 512


@lru_cache
def fur() -> Image.Image:
    """Short strands, mostly upright, swaying a little; (512, 512)."""
    strands = _smoothed(_noise(1), 0.5, 1.7)
    sway = np.rint(_smoothed(_noise(2), 24, 9) * 5).astype(int)
    rows, columns = np.indices(strands.shape)
    return _as_image(strands[rows, (columns + sway) % _SIDE])


@lru_cache
def blotches() -> Image.Image:
    """Soft lumps of all sizes; (512, 512)."""
    octaves = [weight * _smoothed(_noise(3 + radius), radius, radius) for radius, weight in _OCTAVES]
    return _as_image(sum(octaves, np.zeros((_SIDE, _SIDE))))


@lru_cache
def lumps() -> Image.Image:
    """Soft lumps of one size; (512, 512)."""
    return _as_image(_smoothed(_noise(90), 9, 9))


@lru_cache
def grain() -> Image.Image:
    """Noise of single pixels; (512, 512)."""
    return _as_image(_noise(91))


_OCTAVES = ((32, 1.0), (16, 0.7), (8, 0.5), (4, 0.35), (2, 0.22), (1, 0.12))


def cut(texture: Image.Image, chance: Chance, size: tuple[int, int], span: float) -> np.ndarray:
    """Crop a random piece, (H, W) float32 around 0 with standard deviation about 1.

    `span` is how much of the texture the longer side shows, 0…1; the piece is the same at every size.
    """
    height, width = size
    wide, high = (_SIDE * span * side / max(size) for side in (width, height))
    left, top = chance.between(0, _SIDE - wide), chance.between(0, _SIDE - high)
    piece = texture.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, left + wide, top + high))
    values = np.asarray(piece, np.float32)
    values -= 127.5
    values *= 1 / 42
    return values


def _noise(seed: int) -> np.ndarray:
    # The legacy generator, because its numbers are guaranteed never to change.
    return np.random.RandomState(seed).standard_normal((_SIDE, _SIDE))


def _smoothed(noise: np.ndarray, across: float, down: float) -> np.ndarray:
    """Blur with a Gaussian of the given radii, wrapping at the edges, and scale to standard deviation 1."""
    rows, columns = np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None, :]
    kept = np.exp(-2 * np.pi**2 * ((columns * across) ** 2 + (rows * down) ** 2))
    kept[0, 0] = 0
    smooth = np.fft.irfft2(np.fft.rfft2(noise) * kept, noise.shape)
    return smooth / smooth.std()


def _as_image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(values / values.std() * 42 + 127.5, 0, 255).astype(np.uint8))
