"""The input pixels that an output pixel depends on: exact intervals along one axis, layer by layer.

A U-Net's receptive field does not follow from kernels and strides alone: after upsampling, neighbouring pixels depend
on different windows, and a merge depends on the union of two. So each feature map stores, for every position within
one period of the network's sampling grid, the first and last input pixel it depends on, ignoring borders. This covers
all positions, since the pattern repeats every `PERIOD` input pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

PERIOD = 64  # input pixels; a multiple of every possible stride (depth 6: 32)


@dataclass(frozen=True)
class Footprint:
    """The first and last input pixel (inclusive) that each of `PERIOD / stride` positions depends on.

    `whole` says that an operation over the whole image came before, so that every position depends on every pixel;
    the pixels are then those of the other operations alone.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    whole: bool = False

    @classmethod
    def of_input(cls) -> Footprint:
        """Return the input's footprint: every pixel depends on itself."""
        pixels = tuple(range(PERIOD))
        return cls(pixels, pixels)

    @property
    def stride(self) -> int:
        """Distance in input pixels between neighbouring positions."""
        return PERIOD // len(self.first)

    @cached_property
    def size(self) -> int:
        """Widest window that any position depends on, in input pixels."""
        return max(last - first + 1 for first, last in zip(self.first, self.last, strict=True))

    @cached_property
    def moves(self) -> tuple[int, int]:
        """The least and the most by which the windows of neighbouring positions differ, in input pixels."""
        around = [pixel + PERIOD * beyond for beyond in (0, 1) for pixel in self.first][: len(self.first) + 1]
        steps = [after - before for before, after in pairwise(around)]
        return min(steps), max(steps)

    def over_the_image(self) -> Footprint:
        """After an operation over the whole image, such as a global average."""
        return replace(self, whole=True)

    def _map(self, positions: int, window: Callable[[int], tuple[int, int]]) -> Footprint:
        """Return the footprint of a map whose position p depends on positions `window(p)` (inclusive) of this one."""
        windows, phases = [window(position) for position in range(positions)], len(self.first)
        periods = range(2 + max(stop - start for start, stop in windows) // phases)  # that a window can reach into
        every_first = [pixel + period * PERIOD for period in periods for pixel in self.first]
        every_last = [pixel + period * PERIOD for period in periods for pixel in self.last]
        first, last = [], []
        for start, stop in windows:
            period, begin = divmod(start, phases)
            end = begin + stop - start + 1
            first.append(min(every_first[begin:end]) + period * PERIOD)
            last.append(max(every_last[begin:end]) + period * PERIOD)
        return Footprint(tuple(first), tuple(last), self.whole)

    def convolved(self, kernel: int, stride: int, padding_before: int) -> Footprint:
        """After a convolution or pooling window of `kernel` positions."""
        if kernel == 1 and stride == 1:
            return self
        return self._map(
            len(self.first) // stride,
            lambda p: (p * stride - padding_before, p * stride - padding_before + kernel - 1),
        )

    def transposed(self, kernel: int) -> Footprint:
        """After a transposed convolution of stride 2 and "same" padding."""
        before = max(kernel - 2, 0) // 2
        return self._map(2 * len(self.first), lambda p: (-((kernel - 1 - before - p) // 2), (p + before) // 2))

    def upsampled(self, interpolation: str) -> Footprint:
        """After doubling by nearest or (half-pixel) bilinear interpolation."""
        reach = 1 if interpolation == "bilinear" else 0
        return self._map(2 * len(self.first), lambda p: ((p - reach) // 2, (p + reach) // 2))

    def shifted(self, offset: int) -> Footprint:
        """After cropping `offset` positions off the front (negative: after padding)."""
        return self if offset == 0 else self._map(len(self.first), lambda p: (p + offset, p + offset))

    def resized(self, offset: int) -> Footprint:
        """After a resize by a few pixels, at the map's centre: the aligned position and its neighbours."""
        return self._map(len(self.first), lambda p: (p + offset - 1, p + offset + 1))

    def united(self, other: Footprint) -> Footprint:
        """After merging with another map of the same stride."""
        return Footprint(
            tuple(map(min, self.first, other.first)),
            tuple(map(max, self.last, other.last)),
            self.whole or other.whole,
        )
