"""The arithmetic of each Keras layer on shapes, parameters, cost and receptive field, one method a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.receptive_field import Footprint

BYTES_PER_VALUE = 4  # float32
Shape = tuple[int, int, int]  # height, width, channels
Margins = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))


@dataclass(frozen=True)
class LayerTrace:
    """One layer. Shapes are (height, width, channels); a merge's `input_shape` is its first input's.

    `macs` counts multiply-accumulates of convolutions; normalization, activation and pooling count none.
    `activation_bytes` is the float32 output for one image. `receptive_field` is the side of the input window that one
    output pixel depends on, `stride` the distance between neighbouring output pixels, both in input pixels. The
    receptive field leaves image-wide gates (squeeze-and-excitation) out.
    """

    name: str
    op: str
    block: str
    input_shape: Shape
    output_shape: Shape
    params: int
    trainable_params: int
    macs: int
    activation_bytes: int
    receptive_field: int
    stride: int
    kernel: tuple[int, int] | None = None
    strides: tuple[int, int] | None = None
    padding: str | None = None
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class SkipTrace:
    """One skip connection: where it comes from, where it is merged, and the margins (top, bottom, left, right).

    `crop` and `pad` are what the skip loses or gains in its own pixels, `crop_upsampled` and `pad_upsampled` what the
    upsampled side does; `resized` says that the upsampled side is interpolated to the skip's size.
    """

    source: str
    target: str
    shape: Shape
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    crop_upsampled: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_upsampled: tuple[int, int, int, int] = (0, 0, 0, 0)
    resized: bool = False


class ShapeBreak(Exception):
    """A layer that cannot work on the shapes it gets; `trace` turns it into a `Problem`."""

    def __init__(self, layer: str, message: str, shapes: tuple[Shape, Shape], cause: str | None = None) -> None:
        super().__init__(message)
        self.layer, self.message, self.shapes, self.cause = layer, message, shapes, cause


@dataclass(frozen=True)
class Tensor:
    """A feature map on its way: who made it, its shape, and what it sees along each axis (None: not followed)."""

    source: str
    shape: Shape
    footprints: tuple[Footprint, Footprint] | None

    def seen(self, change: Callable[[Footprint, int], Footprint]) -> tuple[Footprint, Footprint] | None:
        """Apply `change(footprint, axis)` to both axes."""
        if self.footprints is None:
            return None
        height, width = self.footprints
        changed = change(height, 0)
        # Square networks see the same along both axes: compute once.
        if width is height and self.shape[0] == self.shape[1]:
            return changed, changed
        return changed, change(width, 1)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "same" padding (before, after) for one axis: what is odd goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@dataclass
class Tracer:
    """Collects one row per layer; each method is one Keras layer and returns its output."""

    config: UNetConfig
    size: tuple[int, int]
    with_receptive_field: bool = True
    layers: list[LayerTrace] = field(default_factory=list)
    skips: list[SkipTrace] = field(default_factory=list)
    block: str = "input"
    trainable: bool = True

    def input(self) -> Tensor:
        """The image."""
        own = Footprint.of_input() if self.with_receptive_field else None
        image = Tensor("", (*self.size, self.config.channels), (own, own) if own else None)
        return self._add("image", "input", image, image.shape, image.footprints, inputs=())

    def _add(
        self,
        name: str,
        op: str,
        tensor: Tensor,
        shape: Shape,
        footprints: tuple[Footprint, Footprint] | None,
        *,
        params: int = 0,
        frozen_params: int = 0,
        macs: int = 0,
        inputs: tuple[str, ...] | None = None,
        **details: Any,
    ) -> Tensor:
        self.layers.append(
            LayerTrace(
                name=name,
                op=op,
                block=self.block,
                input_shape=tensor.shape,
                output_shape=shape,
                params=params + frozen_params,
                trainable_params=params if self.trainable else 0,
                macs=macs,
                activation_bytes=shape[0] * shape[1] * shape[2] * BYTES_PER_VALUE,
                receptive_field=max(axis.size for axis in footprints) if footprints else 0,
                stride=footprints[0].stride if footprints else 0,
                inputs=(tensor.source,) if inputs is None else inputs,
                **details,
            )
        )
        return Tensor(name, shape, footprints)

    def _windowed(
        self, name: str, tensor: Tensor, kernel: int, stride: int, padding: str
    ) -> tuple[tuple[int, int], tuple[Footprint, Footprint] | None]:
        """Return the output's height and width, and footprints, of a sliding window; break if nothing is left."""
        sides, before = [], []
        for side in tensor.shape[:2]:
            if padding == "same":
                sides.append(-(-side // stride))
                before.append(same_padding(side, kernel, stride)[0])
            else:
                sides.append((side - kernel) // stride + 1)
                before.append(0)
        if min(sides) < 1:
            height, width, channels = tensor.shape
            # Keras floors towards minus infinity too; a negative side means the same: nothing left.
            left = (max(sides[0], 0), max(sides[1], 0), channels)
            raise ShapeBreak(
                name,
                f"{name} needs at least {kernel}×{kernel} pixels but gets a {height}×{width} feature map: "
                f"the input is too small for this depth and padding.",
                (tensor.shape, left),
            )
        seen = tensor.seen(lambda footprint, axis: footprint.convolved(kernel, stride, before[axis]))
        return (sides[0], sides[1]), seen

    def conv(
        self, name: str, tensor: Tensor, filters: int, kernel: int, *, stride: int = 1, padding: str = "same",
        bias: bool = True,
    ) -> Tensor:  # fmt: skip
        """Conv2D."""
        (height, width), seen = self._windowed(name, tensor, kernel, stride, padding)
        weights = kernel * kernel * tensor.shape[2] * filters
        return self._add(
            name, "conv", tensor, (height, width, filters), seen,
            params=weights + filters * bias, macs=height * width * weights,
            kernel=(kernel, kernel), strides=(stride, stride), padding=padding,
        )  # fmt: skip

    def depthwise(self, name: str, tensor: Tensor, kernel: int, *, stride: int = 1, padding: str = "same") -> Tensor:
        """DepthwiseConv2D without bias."""
        (height, width), seen = self._windowed(name, tensor, kernel, stride, padding)
        weights = kernel * kernel * tensor.shape[2]
        return self._add(
            name, "depthwise_conv", tensor, (height, width, tensor.shape[2]), seen,
            params=weights, macs=height * width * weights,
            kernel=(kernel, kernel), strides=(stride, stride), padding=padding,
        )  # fmt: skip

    def separable(self, name: str, tensor: Tensor, filters: int, kernel: int, padding: str, bias: bool) -> Tensor:
        """SeparableConv2D: a depthwise kernel, then 1×1 across channels."""
        (height, width), seen = self._windowed(name, tensor, kernel, 1, padding)
        weights = kernel * kernel * tensor.shape[2] + tensor.shape[2] * filters
        return self._add(
            name, "separable_conv", tensor, (height, width, filters), seen,
            params=weights + filters * bias, macs=height * width * weights,
            kernel=(kernel, kernel), strides=(1, 1), padding=padding,
        )  # fmt: skip

    def transposed(self, name: str, tensor: Tensor, filters: int, kernel: int, bias: bool = True) -> Tensor:
        """Conv2DTranspose of stride 2 with "same" padding: doubles height and width."""
        height, width, channels = tensor.shape
        weights = kernel * kernel * channels * filters
        return self._add(
            name, "transposed_conv", tensor, (2 * height, 2 * width, filters),
            tensor.seen(lambda footprint, _: footprint.transposed(kernel)),
            params=weights + filters * bias, macs=height * width * weights,
            kernel=(kernel, kernel), strides=(2, 2), padding="same",
        )  # fmt: skip

    def pool(self, name: str, tensor: Tensor, kind: str) -> Tensor:
        """MaxPooling2D or AveragePooling2D, 2×2: an odd last row or column is dropped."""
        (height, width), seen = self._windowed(name, tensor, 2, 2, "valid")
        return self._add(
            name, f"{kind}_pool", tensor, (height, width, tensor.shape[2]), seen,
            kernel=(2, 2), strides=(2, 2), padding="valid",
        )  # fmt: skip

    def upsample(self, name: str, tensor: Tensor, interpolation: str) -> Tensor:
        """UpSampling2D by 2."""
        height, width, channels = tensor.shape
        seen = tensor.seen(lambda footprint, _: footprint.upsampled(interpolation))
        return self._add(name, f"upsample_{interpolation}", tensor, (2 * height, 2 * width, channels), seen)

    def normalization(self, name: str, tensor: Tensor, kind: str, *, frozen: bool = False) -> Tensor:
        """Batch, layer or group normalization: scale and offset, and for batch two moving statistics, a channel."""
        channels = tensor.shape[2]
        statistics = 2 * channels if kind == "batch" else 0
        params, frozen_params = (0, 2 * channels + statistics) if frozen else (2 * channels, statistics)
        return self._add(
            name, f"{kind}_norm", tensor, tensor.shape, tensor.footprints, params=params, frozen_params=frozen_params
        )

    def pointwise(self, name: str, op: str, tensor: Tensor, *others: Tensor, frozen_params: int = 0) -> Tensor:
        """A layer that changes values, not the shape: activation, dropout, scaling, addition, a gate."""
        seen = tensor.footprints
        for other in others:
            if seen and other.footprints and other.shape[:2] != (1, 1):
                seen = _united(seen, other.footprints)
        inputs = (tensor.source, *(other.source for other in others))
        return self._add(name, op, tensor, tensor.shape, seen, frozen_params=frozen_params, inputs=inputs)

    def squeeze(self, name: str, op: str, tensor: Tensor) -> Tensor:
        """A global average, or its reshape to 1×1: what follows gates whole channels."""
        return self._add(name, op, tensor, (1, 1, tensor.shape[2]), tensor.footprints)

    def margins(self, name: str, op: str, tensor: Tensor, margins: Margins) -> Tensor:
        """Cropping2D or ZeroPadding2D."""
        sign = -1 if op == "crop" else 1
        height, width = (tensor.shape[axis] + sign * sum(margins[axis]) for axis in (0, 1))
        seen = tensor.seen(lambda footprint, axis: footprint.shifted(-sign * margins[axis][0]))
        return self._add(name, op, tensor, (height, width, tensor.shape[2]), seen)

    def resize(self, name: str, tensor: Tensor, height: int, width: int) -> Tensor:
        """Resizing, bilinear."""
        offsets = [(tensor.shape[0] - height) // 2, (tensor.shape[1] - width) // 2]
        seen = tensor.seen(lambda footprint, axis: footprint.resized(offsets[axis]))
        return self._add(name, "resize", tensor, (height, width, tensor.shape[2]), seen)

    def concat(self, name: str, skip: Tensor, upsampled: Tensor) -> Tensor:
        """Concatenate along the channels; the caller has made sure that the sizes agree."""
        shape = (*skip.shape[:2], skip.shape[2] + upsampled.shape[2])
        seen = _united(skip.footprints, upsampled.footprints) if skip.footprints and upsampled.footprints else None
        return self._add(name, "concat", skip, shape, seen, inputs=(skip.source, upsampled.source))


def _united(one: tuple[Footprint, Footprint], other: tuple[Footprint, Footprint]) -> tuple[Footprint, Footprint]:
    height = one[0].united(other[0])
    if one[0] is one[1] and other[0] is other[1]:
        return height, height
    return height, one[1].united(other[1])
