"""The arithmetic of one layer, pixel by pixel: which values it reads, by what it multiplies them, and what comes out.

Convolutions, transposed convolutions, pooling, interpolation, cropping and concatenation are all one thing here: an
output pixel reads some input pixels at fixed offsets, the same at every `period`-th row and column. So one small engine
computes each of them, here with NumPy and on the page in the visitor's browser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, NamedTuple

import numpy as np

Outside = Literal["zero", "edge", "none"]
Activation = Literal["none", "relu", "relu6", "sigmoid"]

ACTIVATIONS: dict[Activation, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


class Term(NamedTuple):
    """An input pixel that an output pixel reads, relative to its base, and what it is multiplied by."""

    row: int
    column: int
    channel: int
    weight: float = 1.0


class Read(NamedTuple):
    """A term at one output pixel: the input pixel's place and value. Outside the map it is padding."""

    row: int
    column: int
    channel: int
    value: float
    weight: float
    is_padding: bool


@dataclass(frozen=True)
class Pixel:
    """One output pixel's arithmetic: what it reads, their sum or largest, and the result after bias and activation."""

    reads: tuple[Read, ...]
    total: float
    result: float


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """What one output channel of a layer computes.

    Attributes:
        planes: (channels, H, W) float32, the input channels that it reads.
        size: height and width of its output.
        step, period: the base of output pixel (r, c) is (r // period · step, c // period · step).
        terms: for each (r mod period, c mod period), row by row, what is read relative to the base.
        outside: what is read beyond the map's edge: "zero" (padding), "edge" (the nearest pixel), or "none" (never).
        reduce: "sum" of value · weight, or "max" of the values.
        bias: added to the sum.
        activation: applied last.
    """

    planes: np.ndarray = field(repr=False)
    size: tuple[int, int]
    step: int
    period: int
    terms: tuple[tuple[Term, ...], ...]
    outside: Outside = "none"
    reduce: Literal["sum", "max"] = "sum"
    bias: float = 0.0
    activation: Activation = "none"

    def pixel(self, row: int, column: int) -> Pixel:
        """Return the arithmetic of one output pixel.

        Raises:
            ValueError: the output has no such pixel.
        """
        if not (0 <= row < self.size[0] and 0 <= column < self.size[1]):
            raise ValueError(f"pixel: the output is {self.size[0]}×{self.size[1]}. Received: ({row}, {column})")
        phase = row % self.period * self.period + column % self.period
        top, left = row // self.period * self.step, column // self.period * self.step
        reads = tuple(self._read(top + term.row, left + term.column, term) for term in self.terms[phase])
        if self.reduce == "max":
            total = max(read.value for read in reads)
        else:
            total = sum(read.value * read.weight for read in reads)
        return Pixel(reads, total, float(ACTIVATIONS[self.activation](np.array(total + self.bias))))

    def _read(self, row: int, column: int, term: Term) -> Read:
        height, width = self.planes.shape[1:]
        inside = 0 <= row < height and 0 <= column < width
        if self.outside == "edge":
            row, column, inside = min(max(row, 0), height - 1), min(max(column, 0), width - 1), True
        value = float(self.planes[term.channel, row, column]) if inside else 0.0
        return Read(row, column, term.channel, value, term.weight, not inside)

    def whole(self) -> np.ndarray:
        """Return the whole output channel, (h, w) float32."""
        output = np.zeros(self.size, np.float64)
        for phase, (first_row, first_column) in enumerate(product(range(self.period), repeat=2)):
            rows, columns = (
                np.arange(first_row, self.size[0], self.period),
                np.arange(first_column, self.size[1], self.period),
            )
            bases = rows // self.period * self.step, columns // self.period * self.step
            values = [self._values(*bases, term) for term in self.terms[phase]]
            reduced = np.max(values, axis=0) if self.reduce == "max" else np.sum(values, axis=0)
            output[np.ix_(rows, columns)] = reduced
        return ACTIVATIONS[self.activation](output + self.bias).astype(np.float32)

    def _values(self, tops: np.ndarray, lefts: np.ndarray, term: Term) -> np.ndarray:
        """Return what a term reads at every base, multiplied by its weight unless the largest counts."""
        height, width = self.planes.shape[1:]
        rows, columns = tops + term.row, lefts + term.column
        inside = np.ix_((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
        values = self.planes[term.channel][np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))].astype(
            np.float64
        )
        if self.outside != "edge":
            kept = np.zeros_like(values)
            kept[inside] = values[inside]
            values = kept
        return values if self.reduce == "max" else values * term.weight


# --- the layers -------------------------------------------------------------------------------------------------------


def convolution(
    planes: np.ndarray, kernel: np.ndarray, bias: float = 0.0, *, size: tuple[int, int], stride: int = 1,
    before: tuple[int, int] = (0, 0), activation: Activation = "none",
) -> Arithmetic:  # fmt: skip
    """Return a convolution's output channel.

    Args:
        planes: (channels, H, W) float32; one plane for a depthwise convolution.
        kernel: (channels, rows, columns), of this output channel.
        bias: of this output channel.
        size: height and width of the output.
        stride: of the window.
        before: rows and columns of zeros above and left of the map; without any, the convolution is taken as "valid".
        activation: applied last.
    """
    terms = tuple(
        Term(row - before[0], column - before[1], channel, float(kernel[channel, row, column]))
        for channel, row, column in np.ndindex(*kernel.shape)
    )
    return Arithmetic(planes, size, stride, 1, (terms,), "zero", bias=bias, activation=activation)


def transposed_convolution(
    planes: np.ndarray, kernel: np.ndarray, bias: float = 0.0, *, before: int = 0, activation: Activation = "none"
) -> Arithmetic:
    """Return an output channel of a transposed convolution of stride 2, which doubles height and width.

    `kernel` is (channels, rows, columns); `before` rows and columns are cut off above and left, as by "same" padding.
    """
    _, height, width = planes.shape
    count, side, _ = kernel.shape

    def along(phase: int) -> list[tuple[int, int]]:
        """Return the offsets of the inputs and the kernel's positions that reach an output at this phase."""
        return [(-(tap - phase - before) // 2, tap) for tap in range(side) if (phase + before - tap) % 2 == 0]

    terms = tuple(
        tuple(
            Term(row, column, channel, float(kernel[channel, tap_row, tap_column]))
            for channel in range(count)
            for row, tap_row in along(row_phase)
            for column, tap_column in along(column_phase)
        )
        for row_phase, column_phase in product(range(2), repeat=2)
    )
    return Arithmetic(planes, (2 * height, 2 * width), 1, 2, terms, "zero", bias=bias, activation=activation)


def max_pooling(plane: np.ndarray) -> Arithmetic:
    """Return max pooling 2×2 of one channel (H, W); an odd last row or column is dropped."""
    terms = tuple(Term(row, column, 0) for row, column in product(range(2), repeat=2))
    return Arithmetic(plane[None], (plane.shape[0] // 2, plane.shape[1] // 2), 2, 1, (terms,), reduce="max")


def bilinear_upsampling(plane: np.ndarray) -> Arithmetic:
    """Return one channel (H, W) doubled by (half-pixel) bilinear interpolation."""

    def along(phase: int) -> tuple[tuple[int, float], ...]:
        return ((-1, 0.25), (0, 0.75)) if phase == 0 else ((0, 0.75), (1, 0.25))

    terms = tuple(
        tuple(Term(row, column, 0, share * part) for row, share in along(one) for column, part in along(other))
        for one, other in product(range(2), repeat=2)
    )
    return Arithmetic(plane[None], (2 * plane.shape[0], 2 * plane.shape[1]), 1, 2, terms, "edge")


def cropped(plane: np.ndarray, margins: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Arithmetic:
    """Return one channel (H, W) as a crop or a concatenation passes it on; margins are top, bottom, left, right."""
    top, bottom, left, right = margins
    size = plane.shape[0] - top - bottom, plane.shape[1] - left - right
    return Arithmetic(plane[None], size, 1, 1, ((Term(top, left, 0),),))
