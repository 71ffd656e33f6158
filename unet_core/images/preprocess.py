"""Turn a photo into the network's input, as the model's configuration requires."""

from __future__ import annotations

import numpy as np
from PIL import Image

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.images.interpolate import Box

# Shrinking first by an integer factor, to at least this many times the target size, halves the time for large photos
# and changes input values by at most a few of 255.
_REDUCING_GAP = 1.5


def network_input(image: np.ndarray, config: UNetConfig, output_size: tuple[int, int]) -> tuple[np.ndarray, Box]:
    """Resize and scale a photo for the network.

    A network with valid padding predicts only the centre of its input. To get a prediction for the whole photo, the
    photo is resized to the *output's* size and mirrored at its edges, as in the overlap-tile strategy (Ronneberger et
    al. 2015, figure 2).

    Args:
        image: (H, W, 3) uint8.
        config: the network's configuration.
        output_size: height and width of the network's output.

    Returns:
        The input, (height, width, channels) float32, and the part of the network's output that shows the photo.
    """
    seen = min(output_size[0], config.height), min(output_size[1], config.width)
    pixels, box = _resized(image, config, seen)
    pixels = _mirrored(pixels, config.height, config.width)
    scaled = scale(pixels, config.preprocessing)
    if seen != output_size:  # the output is larger than the input
        box = _scaled_box(box, output_size[0] / seen[0], output_size[1] / seen[1])
    return scaled, box


def scale(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Map 0…255 to the range the network was trained on, float32."""
    divisor, shift = preprocessing.scaling
    values = pixels.astype(np.float32)
    if divisor != 1:
        values /= divisor
    if shift:
        values -= shift
    return values


def fitted_box(height: int, width: int, canvas: tuple[int, int]) -> Box:
    """Return the position of a photo on a canvas: its proportions kept, as large as possible, centred."""
    ratio = min(canvas[0] / height, canvas[1] / width)
    fitted = max(1, min(canvas[0], round(height * ratio))), max(1, min(canvas[1], round(width * ratio)))
    return Box((canvas[0] - fitted[0]) // 2, (canvas[1] - fitted[1]) // 2, *fitted)


def _resized(image: np.ndarray, config: UNetConfig, size: tuple[int, int]) -> tuple[np.ndarray, Box]:
    photo = Image.fromarray(image)
    if config.channels == 1:
        photo = photo.convert("L")
    pad = config.preprocessing.resize == "pad"
    box = fitted_box(photo.height, photo.width, size) if pad else Box(0, 0, *size)
    # The same factor for both sides is faster than Pillow's `reducing_gap`, which uses two.
    factor = int(min(photo.height / box.height, photo.width / box.width) / _REDUCING_GAP)
    photo = photo.reduce(factor) if factor > 1 else photo
    photo = photo.resize((box.width, box.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(photo).reshape(box.height, box.width, config.channels)
    if not pad:
        return pixels, box
    canvas = np.zeros((*size, config.channels), np.uint8)
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = pixels
    return canvas, box


def _mirrored(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Extend to height × width by mirroring at the edges, the photo in the centre."""
    rows, columns = height - pixels.shape[0], width - pixels.shape[1]
    if not rows and not columns:
        return pixels
    margins = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0))
    return np.pad(pixels, margins, mode="reflect")


def _scaled_box(box: Box, vertical: float, horizontal: float) -> Box:
    return Box(
        round(box.top * vertical),
        round(box.left * horizontal),
        max(1, round(box.height * vertical)),
        max(1, round(box.width * horizontal)),
    )
