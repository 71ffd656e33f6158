"""From sketches to pixels: outlines are drawn enlarged and downsampled, given volume and fur, and composited."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from unet_core.data.synthetic import textures
from unet_core.data.synthetic.chance import Chance
from unet_core.data.synthetic.coats import Coat, marked
from unet_core.data.synthetic.shapes import Point, Sketch, turning

_OVERSAMPLING = 2  # outlines are drawn larger and downsampled: smooth edges in the photo, exact ones in the mask
_TEXELS = 128  # points of the textures across the shorter side of a photo
_ROUGHNESS = 0.025  # how strongly the grain of cloth, wood and leaves shows
_NEUTRAL = 128  # of relief: neither lit nor in shadow


@dataclass(frozen=True)
class Placement:
    """Where a sketch goes, in units of the photo's shorter side: rotated, mirrored, scaled and moved."""

    x: float
    y: float
    scale: float
    angle: float = 0.0
    mirrored: bool = False

    def place(self, points: np.ndarray) -> np.ndarray:
        """Map points, (N, 2), of the sketch to the photo."""
        matrix = turning(self.angle) * self.scale
        if self.mirrored:
            matrix = np.array([[-1.0, 0.0], [0.0, 1.0]]) @ matrix
        return points @ matrix + (self.x, self.y)


@dataclass(frozen=True)
class _Layer:
    """One painted sketch: its window in the photo, colours (3, h, w) and how much of each pixel it covers (h, w)."""

    window: tuple[slice, slice]
    colours: np.ndarray
    coverage: np.ndarray


class Painter:
    """Paints sketches on top of each other onto a photo, and tracks where pets are visible.

    `photo` is (3, H, W) float32 of 0…255, red, green and blue apart because NumPy is ten times faster that way;
    `visible` is (H, W) float32, how much of each pixel is pet.
    """

    def __init__(self, photo: np.ndarray, light: Point) -> None:
        self.photo = photo
        self.visible = np.zeros(photo.shape[1:], np.float32)
        self.unit = min(photo.shape[1:])
        self._light = np.array(light)

    def pet(self, sketch: Sketch, place: Placement, coat: Coat, chance: Chance) -> None:
        """Paint an animal in front of everything so far."""
        layer = self._painted(sketch, place, coat, chance)
        if layer is not None:
            self._lay(layer)
            seen = self.visible[layer.window]
            np.maximum(seen, layer.coverage, out=seen)

    def thing(self, sketch: Sketch, place: Placement, chance: Chance) -> None:
        """Paint a thing in front of everything so far; pets behind it are no longer visible."""
        layer = self._painted(sketch, place, None, chance)
        if layer is not None:
            self._lay(layer)
            self.visible[layer.window] *= 1 - layer.coverage

    def shadow(self, x: float, y: float, across: float, down: float, darkness: float) -> None:
        """Darken the ground around a point: a soft ellipse."""
        height, width = self.photo.shape[1:]
        rows = (np.arange(height, dtype=np.float32) / self.unit - y) / down
        columns = (np.arange(width, dtype=np.float32) / self.unit - x) / across
        distance = (rows * rows)[:, None] + (columns * columns)[None, :]
        self.photo *= 1 - darkness * np.clip(1.15 - distance, 0, 1)

    def _lay(self, layer: _Layer) -> None:
        below = self.photo[:, *layer.window]
        below += (layer.colours - below) * layer.coverage

    def _painted(self, sketch: Sketch, place: Placement, coat: Coat | None, chance: Chance) -> _Layer | None:
        points = place.place(np.concatenate(sketch.outlines)) * self.unit
        ends = np.cumsum([len(outline) for outline in sketch.outlines])
        window = self._window(points)
        if window is None:
            return None
        rows, columns = window
        points -= (columns.start, rows.start)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        colours, ink, shape = _filled(sketch, points, ends, size)
        relief = _relief(sketch, points, ends, size, self._light, place.scale * self.unit)
        span = min(1.0, max(size) / self.unit * _TEXELS / 512)
        strands = textures.cut(textures.fur(), chance, size, span)
        if coat is not None:
            self._mark(colours, ink, place, window, coat, chance)
        relief *= 1 + (coat.roughness if coat else _ROUGHNESS) * strands
        colours *= relief
        return _Layer(window, colours, _frayed(shape, strands, coat.fluff if coat else 0.0, self.unit))

    def _window(self, points: np.ndarray) -> tuple[slice, slice] | None:
        """Return the rows and columns that the points cover in the photo, None if they are outside it."""
        height, width = self.photo.shape[1:]
        margin = 2 + self.unit // 64
        (left, top), (right, bottom) = points.min(0) - margin, points.max(0) + margin
        rows = slice(max(0, int(top)), min(height, int(bottom) + 1))
        columns = slice(max(0, int(left)), min(width, int(right) + 1))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def _mark(
        self,
        colours: np.ndarray,
        ink: np.ndarray,
        place: Placement,
        window: tuple[slice, slice],
        coat: Coat,
        chance: Chance,
    ) -> None:
        if coat.pattern == "plain":
            return
        rows = (np.arange(window[0].start, window[0].stop, dtype=np.float32) / self.unit - place.y) / place.scale
        columns = (np.arange(window[1].start, window[1].stop, dtype=np.float32) / self.unit - place.x) / place.scale
        texture, span = (textures.lumps(), 0.4) if coat.pattern == "spots" else (textures.blotches(), 0.25)
        noise = textures.cut(texture, chance, ink.shape, span)
        marked(colours, ink, coat, columns[None, :], rows[:, None], noise)


def _filled(
    sketch: Sketch, points: np.ndarray, ends: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, Image.Image]:
    """Return colours (3, h, w) and ink (h, w), float32, and the silhouette as a grey image of that size."""
    enlarged = (size[1] * _OVERSAMPLING, size[0] * _OVERSAMPLING)
    # X is the ink: as alpha, Pillow would weigh the colours by it. The canvas starts in the first part's colour, so
    # that downsampled edges mix fur with fur and not with black.
    fills = _packed(sketch.colours, sketch.inks)
    canvas = Image.new("RGBX", enlarged, fills[0])
    shape = Image.new("L", enlarged, 0)
    on_canvas, on_shape = ImageDraw.Draw(canvas), ImageDraw.Draw(shape)
    corners = (points * _OVERSAMPLING - 0.5).ravel().tolist()
    start = 0
    for end, fill, solid in zip((2 * ends).tolist(), fills, sketch.solids):
        outline = corners[start:end]
        on_canvas.polygon(outline, fill=fill)
        if solid:
            on_shape.polygon(outline, fill=255)
        start = end
    painted = planes(canvas.reduce(_OVERSAMPLING))
    return painted[:3], painted[3] * np.float32(1 / 255), shape.reduce(_OVERSAMPLING)


def planes(image: Image.Image) -> np.ndarray:
    """Return an image's bands one after the other, (bands, H, W) float32."""
    apart = np.empty((len(image.getbands()), image.height, image.width), np.float32)
    for plane, band in zip(apart, image.split()):
        plane[:] = np.asarray(band)
    return apart


def _packed(colours: list[tuple[float, float, float]], inks: list[float]) -> list[int]:
    """Return red, green, blue and ink packed into one number, as Pillow does: all at once is many times faster."""
    bands = np.empty((len(colours), 4), np.uint8)
    bands[:, :3] = np.clip(np.array(colours), 0, 255)
    bands[:, 3] = np.array(inks) * 255
    return bands.view("<u4")[:, 0].tolist()


def _relief(
    sketch: Sketch, points: np.ndarray, ends: np.ndarray, size: tuple[int, int], light: np.ndarray, scale: float
) -> np.ndarray:
    """Return the brightness of each pixel, (h, w) float32 around 1: lit on one side, shaded where parts meet.

    Each part first throws a shadow on those behind it, then shows its own tone and a highlight towards the light.
    """
    half = (-(-size[1] // 2), -(-size[0] // 2))  # it is blurred anyway
    image = Image.new("L", half, _NEUTRAL)
    draw = ImageDraw.Draw(image)
    points, scale = points / 2, scale / 2
    starts = ends - np.diff(ends, prepend=0)
    counts = (ends - starts)[:, None]
    centres = np.repeat(np.add.reduceat(points, starts) / counts, counts[:, 0], axis=0)
    shadows = (points - light * (0.06 * scale)).ravel().tolist()
    lit = ((points - centres) * 0.66 + centres + light * (0.05 * scale)).ravel().tolist()
    plain = points.ravel().tolist()
    for start, end, solid in zip((2 * starts).tolist(), (2 * ends).tolist(), sketch.solids):
        if solid:
            draw.polygon(shadows[start:end], fill=78)
            draw.polygon(plain[start:end], fill=116)
            draw.polygon(lit[start:end], fill=154)
    blurred = image.filter(ImageFilter.GaussianBlur(0.035 * scale))
    whole = blurred.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=(0, 0, size[1] / 2, size[0] / 2))
    return np.asarray(whole).astype(np.float32) * np.float32(1 / _NEUTRAL)


def _frayed(shape: Image.Image, strands: np.ndarray, fluff: float, unit: int) -> np.ndarray:
    """Return the silhouette's coverage, (h, w) float32 of 0…1, its edge broken up by hair."""
    if not fluff:
        return np.asarray(shape).astype(np.float32) * np.float32(1 / 255)
    soft = shape.filter(ImageFilter.BoxBlur((0.004 + 0.009 * fluff) * unit))
    coverage = np.asarray(soft).astype(np.float32) * np.float32(1 / 255)
    hair = coverage * (1 - coverage)  # at the edge only: no speck of an animal where there is none
    hair *= strands
    hair *= np.float32(0.2 + 0.32 * fluff)
    coverage += hair
    coverage -= np.float32(0.5)
    coverage *= np.float32(3.0)
    coverage += np.float32(0.5)
    return np.clip(coverage, 0, 1, out=coverage)


def painted_backdrop(sketch: Sketch, size: tuple[int, int]) -> Image.Image:
    """Paint a place flat and with hard edges, to be blurred: an RGB image of `size` (height, width)."""
    canvas = Image.new("RGB", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    corners = (np.concatenate(sketch.outlines) * min(size) - 0.5).ravel().tolist()
    start = 0
    for outline, fill in zip(sketch.outlines, _packed(sketch.colours, sketch.inks)):
        end = start + 2 * len(outline)
        draw.polygon(corners[start:end], fill=fill)
        start = end
    return canvas
