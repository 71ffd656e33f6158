"""The part of every feature map that one pixel depends on: exact intervals, borders and padding included.

`receptive_field` has the largest window of a layer, whatever its position. After upsampling neighbouring pixels depend
on windows that differ by several pixels or by none, and at a border part of a window is padding. So this goes from one
pixel backwards through the layers and cuts each interval at the edge of its map.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from unet_core.architecture.trace import Trace
from unet_core.architecture.tracer import LayerTrace, same_padding

Interval = tuple[int, int]  # first and last pixel (inclusive) along one axis


class Window(NamedTuple):
    """A rectangle of a feature map: the first and last row and column, inclusive."""

    rows: Interval
    columns: Interval

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.rows[1] - self.rows[0] + 1

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.columns[1] - self.columns[0] + 1

    def united(self, other: Window) -> Window:
        """Return the smallest rectangle around both."""
        rows, columns = zip(self.rows, other.rows), zip(self.columns, other.columns)
        (top, bottom), (left, right) = rows, columns
        return Window((min(top), max(bottom)), (min(left), max(right)))


def windows(traced: Trace, layer: str, row: int, column: int) -> dict[str, Window]:
    """Return the window of each layer's output, the image's included, that a pixel of `layer` depends on, by name.

    Layers without a part in it are left out, such as a skip connection at a pixel that is only padding there.

    Raises:
        ValueError: the trace has no such layer, or the layer no such pixel.
    """
    known = {found.name: found for found in traced.layers}
    if layer not in known:
        raise ValueError(f"layer: this network has no layer {layer!r}")
    height, width, _ = known[layer].output_shape
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"pixel: {layer} has {height}×{width} pixels. Received: ({row}, {column})")
    found = {layer: Window((row, row), (column, column))}
    for current in reversed(traced.layers):
        if current.name not in found:
            continue
        for name, shape in zip(current.inputs, current.input_shapes, strict=True):
            needed = _needed(current, found[current.name], shape)
            if needed is not None:
                found[name] = found[name].united(needed) if name in found else needed
    return found


def _needed(layer: LayerTrace, window: Window, shape: tuple[int, int, int]) -> Window | None:
    """Return what a window of the layer's output needs of an input of this shape; None if it is all padding."""
    intervals = []
    for axis, interval in enumerate(window):
        first, last = _interval(layer, interval, axis, shape[axis])
        first, last = max(first, 0), min(last, shape[axis] - 1)
        if first > last:
            return None
        intervals.append((first, last))
    return Window(*intervals)


def _interval(layer: LayerTrace, interval: Interval, axis: int, side: int) -> Interval:
    """Return the interval of an input of `side` pixels that an interval of the output needs, before cutting."""
    first, last = interval
    op = layer.op
    if op in ("global_average_pool", "group_norm") or (op == "multiply" and side == 1):
        return 0, side - 1
    if op == "transposed_conv":
        kernel = layer.kernel[axis] if layer.kernel else 1
        before = max(kernel - 2, 0) // 2
        return -((kernel - 1 - before - first) // 2), (last + before) // 2
    if layer.kernel is not None:
        kernel, stride = layer.kernel[axis], (layer.strides or (1, 1))[axis]
        before = same_padding(side, kernel, stride)[0] if layer.padding == "same" else 0
        return first * stride - before, last * stride - before + kernel - 1
    if op.startswith("upsample_"):
        reach = 1 if op == "upsample_bilinear" else 0
        return (first - reach) // 2, (last + reach) // 2
    if op in ("crop", "pad"):
        margin = layer.spec.positional[0][axis][0] * (1 if op == "crop" else -1)
        return first + margin, last + margin
    if op == "resize":
        scale = Fraction(side, layer.output_shape[axis])
        centres = [(position + Fraction(1, 2)) * scale - Fraction(1, 2) for position in interval]
        return min(floor(centres[0]), side - 1), max(ceil(centres[1]), 0)  # beyond an edge, the edge is repeated
    return interval
