"""Draw a segmentation: overlay and cut-out."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from unet_core.classes import CLASSES
from unet_core.images.checks import check_same_size
from unet_core.images.preprocess import visible

Colour = tuple[int, int, int]

OUTLINE_COLOUR: Colour = (255, 255, 255)

_LINE_SHARE = 1 / 600  # an outline's width as a share of the photo's longer side
_MAX_STAMPS = 20_000_000  # pixels the pen may touch; a noisy mask gets hairlines, or drawing would take minutes
_STRIP_PIXELS = 500_000
_SPARE_COLOURS: tuple[Colour, ...] = (  # the rest of Okabe and Ito's palette, for models with more classes
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (153, 153, 153),
)


def class_colour(class_id: int) -> Colour:
    """Return a class's colour: pet classes have their own, further classes cycle through the rest of the palette."""
    if class_id < len(CLASSES):
        return CLASSES[class_id].colour
    return _SPARE_COLOURS[(class_id - len(CLASSES)) % len(_SPARE_COLOURS)]


def overlay(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    opacity: float = 0.45,
    outline: bool = True,
    colours: Mapping[int, Colour | None] | Sequence[Colour | None] | None = None,
) -> np.ndarray:
    """Draw the classes' colours over a photo, with outlines between the classes.

    Args:
        image: (H, W, 3) uint8, or any bands, drawn as `visible` shows them.
        mask: (H, W) uint8 class ids.
        opacity: of the colours, 0 (photo) to 1 (colours only).
        outline: draw a line where two classes meet.
        colours: by class id, instead of the default ones; None leaves the photo's pixels unchanged.

    Returns:
        (H, W, 3) uint8, a new array.

    Raises:
        ImageError: photo and mask differ in size.
        ValueError: the opacity is not in 0…1.
    """
    image = visible(image) if image.ndim == 3 else image
    check_same_size(image, mask)
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity: must be 0 to 1. Received: {opacity}")
    palette, alphas = _palette(colours, opacity)
    even = set(alphas) == {round(255 * opacity)}  # the same opacity for all classes allows a plain blend, twice as fast
    result = np.empty_like(image)
    for top, bottom in _strips(mask):
        ids = Image.fromarray(mask[top:bottom])
        photo = Image.fromarray(image[top:bottom])
        alpha = None if even else ids.point(alphas)
        ids.putpalette(palette)
        coloured = ids.convert("RGB")
        mixed = Image.blend(photo, coloured, opacity) if alpha is None else Image.composite(coloured, photo, alpha)
        result[top:bottom] = np.asarray(mixed)
    if outline:
        _draw_outlines(result, mask)
    return result


def overlay_png(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    opacity: float = 0.45,
    outline: bool = True,
    colours: Mapping[int, Colour | None] | Sequence[Colour | None] | None = None,
) -> bytes:
    """Return `overlay` as PNG."""
    drawn = overlay(image, mask, opacity=opacity, outline=outline, colours=colours)
    return png(drawn)


def cutout(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Cut the subject out of a photo: what its outline leaves out becomes transparent black.

    Args:
        image: (H, W, 3) uint8.
        alpha: how opaque each pixel is, (H, W) in 0…1.

    Returns:
        (H, W, 4) uint8, RGB and alpha.

    Raises:
        ImageError: photo and alpha differ in size.
    """
    check_same_size(image, alpha)
    result = np.empty((*alpha.shape, 4), np.uint8)
    result[..., 3] = alpha_levels(alpha)
    visible = (result[..., 3] > 0).view(np.uint8)
    for channel in range(3):
        np.multiply(image[..., channel], visible, out=result[..., channel])
    return result


def cutout_png(image: np.ndarray, alpha: np.ndarray) -> bytes:
    """Return `cutout` as PNG with alpha."""
    return png(cutout(image, alpha))


def alpha_png(alpha: np.ndarray) -> bytes:
    """Return opacities (H, W) in 0…1 as an 8-bit greyscale PNG: 0 is transparent, 255 opaque."""
    return png(alpha_levels(alpha))


def alpha_levels(alpha: np.ndarray) -> np.ndarray:
    """Return opacities 0…1 as 0…255, uint8."""
    levels = alpha * np.float32(255)
    levels += np.float32(0.5)
    return levels.astype(np.uint8)


def _palette(
    colours: Mapping[int, Colour | None] | Sequence[Colour | None] | None, opacity: float
) -> tuple[bytes, list[int]]:
    """Return the 256 colours as a palette, and the opacity 0…255 of each class."""
    chosen: dict[int, Colour | None] = {class_id: class_colour(class_id) for class_id in range(256)}
    if colours is not None:
        chosen.update(colours.items() if isinstance(colours, Mapping) else enumerate(colours))
    palette = bytes(value for class_id in range(256) for value in chosen[class_id] or (0, 0, 0))
    return palette, [0 if chosen[class_id] is None else round(255 * opacity) for class_id in range(256)]


def _strips(mask: np.ndarray) -> list[tuple[int, int]]:
    height, width = mask.shape
    rows = max(1, _STRIP_PIXELS // width)
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def _draw_outlines(picture: np.ndarray, mask: np.ndarray) -> None:
    """Draw, in place, a line of even width wherever neighbouring pixels belong to different classes."""
    height, width = mask.shape
    pen = _pen(max(1.0, max(height, width) * _LINE_SHARE))
    edges = np.zeros((height, width), bool)
    edges[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edges[1:] |= mask[1:] != mask[:-1]
    rows, columns = np.divmod(np.flatnonzero(edges), width)
    if len(rows) * len(pen) > _MAX_STAMPS:
        pen = _pen(1.0)
    for row, column in pen:
        y, x = rows + row, columns + column
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        picture[y[inside], x[inside]] = OUTLINE_COLOUR


def _pen(line_width: float) -> np.ndarray:
    """Return the offsets (row, column) of a round pen's pixels."""
    reach = int(np.ceil(line_width / 2))
    offsets = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    # An edge is half a pixel above or left of the marked pixel; shifting by a quarter both ways suits either.
    return offsets[np.hypot(*(offsets + 0.25).T) <= line_width / 2]


def png(picture: np.ndarray) -> bytes:
    """Return a picture (H, W), (H, W, 3) or (H, W, 4) uint8 as PNG, compressed quickly rather than well."""
    buffer = io.BytesIO()
    strategy = zlib.Z_RLE if picture.ndim == 2 else zlib.Z_DEFAULT_STRATEGY  # planes are long runs: a third smaller
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1, compress_type=strategy)
    return buffer.getvalue()
