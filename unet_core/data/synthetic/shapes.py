"""Outlines: every shape is a closed polygon, (N, 2) float64, x to the right and y downwards."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

Colour = tuple[float, float, float]
Point = tuple[float, float]

_ANGLES = np.linspace(0, 2 * math.pi, 22, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_CAP_ANGLES = np.linspace(-math.pi / 2, math.pi / 2, 7)[1:-1]
_CAP = np.stack([np.cos(_CAP_ANGLES), np.sin(_CAP_ANGLES)], axis=1)  # half a circle, opening to the left
_QUARTER_TURN = np.array((-1.0, 1.0))  # turns (y, x) into a vector at right angles to (x, y)
_SAMPLES = 5  # points between two control points


@dataclass
class Sketch:
    """Shapes from back to front.

    `solids` are the ones that make up the thing's silhouette; the others are painted on them (eyes, stripes) and end
    where the silhouette ends. `inks` say how much of a coat's pattern shows on a shape, 0…1.
    """

    outlines: list[np.ndarray] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)
    inks: list[float] = field(default_factory=list)
    solids: list[bool] = field(default_factory=list)

    def solid(self, outline: np.ndarray, colour: Colour, ink: float = 1.0) -> None:
        """Add a part of the silhouette."""
        self._add(outline, colour, ink, True)

    def mark(self, outline: np.ndarray, colour: Colour, ink: float = 0.0) -> None:
        """Add something painted on the parts before it."""
        self._add(outline, colour, ink, False)

    def _add(self, outline: np.ndarray, colour: Colour, ink: float, solid: bool) -> None:
        self.outlines.append(outline)
        self.colours.append(colour)
        self.inks.append(ink)
        self.solids.append(solid)

    def join(self, other: Sketch, centre: Point = (0.0, 0.0), scale: float = 1.0, angle: float = 0.0) -> None:
        """Put another sketch in front: enlarged, turned by `angle` (radians, clockwise) and moved to `centre`."""
        moved = np.concatenate(other.outlines) @ (turning(angle) * scale) + centre  # one product is faster than many
        ends = list(itertools.accumulate(map(len, other.outlines), initial=0))
        self.outlines += [moved[start:end] for start, end in itertools.pairwise(ends)]
        self.colours += other.colours
        self.inks += other.inks
        self.solids += other.solids

    def bounds(self) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the silhouette."""
        points = np.concatenate([outline for outline, solid in zip(self.outlines, self.solids) if solid])
        (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
        return left, top, right, bottom


def turning(angle: float) -> np.ndarray:
    """Return the matrix, (2, 2), that rotates points (N, 2) clockwise by `angle` radians: points @ matrix."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour, darker below 1 and brighter above."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def mixed(one: Colour, other: Colour, share: float) -> Colour:
    """Return the colour that is `share` of the way from one to the other."""
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other))
    return red, green, blue


def oval(x: float, y: float, across: float, down: float, angle: float = 0.0) -> np.ndarray:
    """Return an ellipse around (x, y) with the given half axes."""
    outline = _CIRCLE * (across, down)
    return (outline @ turning(angle) if angle else outline) + (x, y)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Return a rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def polygon(*corners: Point) -> np.ndarray:
    """Return straight lines between the corners."""
    return np.array(corners)


def smooth(*control: Point) -> np.ndarray:
    """Return a closed curve through the control points (Catmull and Rom, 1974)."""
    return _closed_basis(len(control)) @ np.array(control)


def symmetric(*right: Point) -> np.ndarray:
    """Return a closed curve through the given right half, from top to bottom, and its mirror image."""
    left = [(-x, y) for x, y in reversed(right) if x]
    return smooth(*right, *left)


def tube(*spine: Point, start: float, end: float, middle: float | None = None) -> np.ndarray:
    """Return a limb along a smooth spine, with the half-widths `start`, `middle` and `end`, and a round end."""
    along, slope, way, bulge = _open_basis(len(spine))
    control = np.array(spine)
    centres, forward = along @ control, slope @ control
    forward /= np.hypot(forward[:, :1], forward[:, 1:]) + 1e-9
    half = way * (end - start) + start
    if middle is not None:
        half += bulge * (middle - (start + end) / 2)
    across = forward[:, ::-1] * _QUARTER_TURN
    tip = _CAP @ np.array((forward[-1], across[-1])) * half[-1] + centres[-1]
    across *= half
    return np.concatenate((centres - across, tip, (centres + across)[::-1]))


@lru_cache
def _closed_basis(count: int) -> np.ndarray:
    basis = np.zeros((count, _SAMPLES, count))
    weights = _catmull_rom()[0]
    for segment in range(count):
        for step, offset in enumerate((-1, 0, 1, 2)):
            basis[segment, :, (segment + offset) % count] += weights[:, step]
    return basis.reshape(-1, count)


@lru_cache
def _open_basis(count: int) -> tuple[np.ndarray, ...]:
    """Return the matrices that make points and directions of `count` control points, and the ways 0…1 and 0…1…0."""
    weights, slopes = _catmull_rom()
    matrices = np.zeros((2, count - 1, _SAMPLES, count))
    for segment in range(count - 1):
        for step, offset in enumerate((-1, 0, 1, 2)):
            control = min(max(segment + offset, 0), count - 1)
            matrices[0, segment, :, control] += weights[:, step]
            matrices[1, segment, :, control] += slopes[:, step]
    last = np.zeros((2, 1, count))
    last[0, 0, -1], last[1, 0, -1], last[1, 0, -2] = 1, 1, -1
    along, slope = np.concatenate([matrices.reshape(2, -1, count), last], axis=1)
    way = np.linspace(0, 1, len(along))[:, None]
    return along, slope, way, 4 * way * (1 - way)


def _catmull_rom() -> tuple[np.ndarray, np.ndarray]:
    """Return the weights, (samples, 4), of four neighbouring control points, and their derivatives."""
    t = np.linspace(0, 1, _SAMPLES, endpoint=False)[:, None]
    cubic = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    powers, slopes = np.hstack([t**0, t, t**2, t**3]), np.hstack([0 * t, t**0, 2 * t, 3 * t**2])
    return powers @ cubic, slopes @ cubic
