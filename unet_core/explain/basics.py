"""What a convolution and a pooling do to a real photo, as plain arithmetic, for people who have never seen one."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType

import numpy as np

from unet_core.images.decode import decode_image
from unet_core.images.samples import SAMPLES

SIDE = 256  # pixels of the example's longer side
WINDOW = 3

# Each finds another pattern; the names say which.
KERNELS = MappingProxyType(
    {
        "Edges from left to right": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
        "Edges from top to bottom": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
        "Fine points and lines": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
        "Rising diagonals": ((2, -1, -1), (-1, 2, -1), (-1, -1, 2)),
    }
)


@lru_cache(maxsize=1)
def example() -> np.ndarray:
    """Return the first sample photo in shades of grey: (height, width), 0 to 255."""
    sample = next(iter(SAMPLES.values()))
    colours = decode_image(sample.read(), name=sample.name, max_side=SIDE)
    return (colours @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)


def convolved(values: np.ndarray, kernel: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Return each 3×3 window's sum of products with the kernel, as Conv2D computes it: (height − 2, width − 2)."""
    windows = np.lib.stride_tricks.sliding_window_view(values.astype(np.int64), (WINDOW, WINDOW))
    return np.einsum("hwij,ij->hw", windows, np.array(kernel))


def pooled(values: np.ndarray) -> np.ndarray:
    """Return the largest of every 2×2 values; an odd last row or column is dropped."""
    height, width = values.shape[0] // 2 * 2, values.shape[1] // 2 * 2
    return values[:height, :width].reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))


def doubled(values: np.ndarray, times: int = 1) -> np.ndarray:
    """Return the values with height and width doubled, each repeated."""
    return values.repeat(2**times, axis=0).repeat(2**times, axis=1)


def strength(values: np.ndarray) -> np.ndarray:
    """Return absolute values as shades from white (0) to black, the largest percent cut off: uint8."""
    size = np.abs(values)
    limit = max(float(np.percentile(size, 99)), 1.0)
    return (255 - 255 * np.clip(size / limit, 0, 1)).astype(np.uint8)


@lru_cache(maxsize=1)
def edges() -> np.ndarray:
    """Return how strong the edges of the example are, in any direction."""
    across, down, *_ = KERNELS.values()
    return np.hypot(convolved(example(), across), convolved(example(), down))


def clearest_window() -> tuple[int, int]:
    """Return the top left corner of the window of the example with the strongest edge from left to right."""
    found = convolved(example(), next(iter(KERNELS.values())))
    row, column = np.unravel_index(int(np.abs(found).argmax()), found.shape)
    return int(row), int(column)
