"""Turn a photo into the network's input, as the model's configuration requires."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.errors import UNetError
from unet_core.images.interpolate import Box

# Shrinking first by an integer factor, to at least this many times the target size, halves the time for large photos
# and changes input values by at most a few of 255.
_REDUCING_GAP = 1.5
DEEP = 257  # 65535 / 255: 16-bit values in one 8-bit value
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)  # of ITU-R BT.601, as Pillow's conversion to "L"


class ImageChannelsError(UNetError):
    """A photo whose channels are not those of the network."""


def network_input(image: np.ndarray, config: UNetConfig, output_size: tuple[int, int]) -> tuple[np.ndarray, Box]:
    """Resize and scale a photo for the network.

    A network with valid padding predicts only the centre of its input. To get a prediction for the whole photo, the
    photo is resized to the *output's* size and mirrored at its edges, as in the overlap-tile strategy (Ronneberger et
    al. 2015, figure 2).

    Args:
        image: (H, W, C) uint8 or uint16, in the network's channels; RGB also for a network with one.
        config: the network's configuration.
        output_size: height and width of the network's output.

    Returns:
        The input, (height, width, channels) float32, and the part of the network's output that shows the photo.

    Raises:
        ImageChannelsError: the photo has other channels than the network.
    """
    seen = min(output_size[0], config.height), min(output_size[1], config.width)
    pixels, box = _resized(image, config, seen)
    pixels = _mirrored(pixels, config.height, config.width)
    scaled = scale(pixels, config.preprocessing)
    if seen != output_size:  # the output is larger than the input
        box = _scaled_box(box, output_size[0] / seen[0], output_size[1] / seen[1])
    return scaled, box


def scale(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Map 0…255, or 0…65535 of uint16, to the range the network was trained on, float32."""
    divisor, shift = (np.asarray(each, np.float32) for each in preprocessing.scaling)
    values = pixels.astype(np.float32)
    if pixels.dtype == np.uint16:
        values /= DEEP  # 65535 becomes 255
    if np.any(divisor != 1):
        values /= divisor
    if np.any(shift):
        values -= shift
    return values


def in_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Return a photo in a network's channels: RGB becomes grey values for one channel, grey values RGB for three.

    Args:
        image: (H, W) or (H, W, C), uint8 or uint16.
        channels: of the network.

    Returns:
        (H, W, channels) of the same type.

    Raises:
        ImageChannelsError: the photo has other channels.
    """
    pixels = image if image.ndim == 3 else image[..., None]
    found = pixels.shape[2]
    if found == channels:
        return pixels
    if (found, channels) == (1, 3):
        return np.repeat(pixels, 3, axis=2)
    if (found, channels) != (3, 1):
        raise ImageChannelsError(
            f"The photo has {found} channels and this network takes {channels}: give it photos with {channels}, or "
            "choose another network."
        )
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    return np.rint(pixels @ _LUMA).astype(pixels.dtype)[..., None]


def in_bytes(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels unchanged, and uint16 pixels on the scale of 0…255 as uint8."""
    return pixels if pixels.dtype == np.uint8 else np.rint(pixels / np.float32(DEEP)).astype(np.uint8)


def visible(photo: np.ndarray) -> np.ndarray:
    """Return a photo of any bands as RGB to look at, (H, W, 3) uint8.

    Of more than three bands these are the first three, of two the first as grey. 16-bit values are stretched, so that
    the brightest is white.
    """
    pixels = photo if photo.ndim == 3 else photo[..., None]
    pixels = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    if pixels.dtype == np.uint8:
        return pixels
    return np.rint(pixels * np.float32(255 / max(int(pixels.max()), 1))).astype(np.uint8)


def through_pillow(pixels: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Apply an operation of Pillow to (H, W, C) pixels, uint8 or uint16, of any number of channels.

    Pillow has no images of other channels than 1 or 3, or of several 16-bit channels: these go one by one, 16-bit ones
    as float32.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3):
        changed = np.asarray(change(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)))
        return changed.reshape(*changed.shape[:2], pixels.shape[2])
    kind = np.uint8 if pixels.dtype == np.uint8 else np.float32
    bands = [np.asarray(change(Image.fromarray(band.astype(kind)))) for band in np.moveaxis(pixels, 2, 0)]
    return np.rint(np.stack(bands, axis=-1)).astype(pixels.dtype)  # a mean of its pixels stays in its range


def fitted_box(height: int, width: int, canvas: tuple[int, int]) -> Box:
    """Return the position of a photo on a canvas: its proportions kept, as large as possible, centred."""
    ratio = min(canvas[0] / height, canvas[1] / width)
    fitted = max(1, min(canvas[0], round(height * ratio))), max(1, min(canvas[1], round(width * ratio)))
    return Box((canvas[0] - fitted[0]) // 2, (canvas[1] - fitted[1]) // 2, *fitted)


def _resized(image: np.ndarray, config: UNetConfig, size: tuple[int, int]) -> tuple[np.ndarray, Box]:
    photo = in_channels(image, config.channels)
    height, width = photo.shape[:2]
    pad = config.preprocessing.resize == "pad"
    box = fitted_box(height, width, size) if pad else Box(0, 0, *size)
    # The same factor for both sides is faster than Pillow's `reducing_gap`, which uses two.
    factor = int(min(height / box.height, width / box.width) / _REDUCING_GAP)

    def smaller(band: Image.Image) -> Image.Image:
        band = band.reduce(factor) if factor > 1 else band
        return band.resize((box.width, box.height), Image.Resampling.BILINEAR)

    pixels = through_pillow(photo, smaller)
    if not pad:
        return pixels, box
    canvas = np.zeros((*size, config.channels), pixels.dtype)
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
