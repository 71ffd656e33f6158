"""The walk's backend for the trace: each layer's arithmetic on shapes, parameters, cost and receptive field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoder_walks import walk_encoder
from unet_core.architecture.layer_specs import LayerSpec, Shape, layer_spec
from unet_core.architecture.receptive_field import Footprint

BYTES_PER_VALUE = 4  # float32


@dataclass(frozen=True)
class LayerTrace:
    """One layer. Shapes are (height, width, channels); a merge's `input_shape` is its first input's.

    `macs` counts multiply-accumulates of convolutions; normalization, activation and pooling count none.
    `activation_bytes` is the float32 output for one image. `receptive_field` is the side of the largest input window
    that an output pixel depends on, `stride` the distance between neighbouring output pixels, both in input pixels.
    After an operation over the whole image (`whole_image`) it is the image's longer side: squeeze-and-excitation
    averages it, and group normalization takes its mean and variance. `window_moves` are the least and the most by which
    the windows of neighbouring pixels differ. `input_shapes` are those of all inputs. `spec` is the layer itself.
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
    whole_image: bool = False
    window_moves: tuple[int, int] = (0, 0)
    input_shapes: tuple[Shape, ...] = ()
    spec: LayerSpec = field(kw_only=True, compare=False, repr=False)


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
    """A layer that does not accept its input shapes; `trace` turns it into a `Problem`."""

    def __init__(self, layer: str, message: str, shapes: tuple[Shape, Shape], cause: str | None = None) -> None:
        super().__init__(message)
        self.layer, self.message, self.shapes, self.cause = layer, message, shapes, cause


@dataclass(frozen=True)
class Tensor:
    """A feature map: the layer that made it, its shape, and its footprint along each axis (None if not traced)."""

    source: str
    shape: Shape
    footprints: tuple[Footprint, Footprint] | None

    def seen(self, change: Callable[[Footprint, int], Footprint]) -> tuple[Footprint, Footprint] | None:
        """Apply `change(footprint, axis)` to both axes."""
        if self.footprints is None:
            return None
        height, width = self.footprints
        changed = change(height, 0)
        # The footprints of square networks are equal along both axes: compute them once.
        if width is height and self.shape[0] == self.shape[1]:
            return changed, changed
        return changed, change(width, 1)

    def over_the_image(self) -> tuple[Footprint, Footprint] | None:
        """Return the footprints after an operation over the whole image."""
        return self.seen(lambda footprint, _: footprint.over_the_image())


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "same" padding (before, after) for one axis: an odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


_POINTWISE_OPS = {
    "SpatialDropout2D": "spatial_dropout",
    "Dropout": "dropout",
    "Rescaling": "rescale",
    "Normalization": "standardize",
    "ReLU": "relu6",  # the only bound that the encoders use
    "Add": "add",
    "Multiply": "multiply",
}


@dataclass
class Tracer:
    """Collects one row per layer."""

    config: UNetConfig
    size: tuple[int, int]
    with_receptive_field: bool = True
    keep_rows: bool = True  # False if only the output's shape is needed
    layers: list[LayerTrace] = field(default_factory=list)
    skips: list[SkipTrace] = field(default_factory=list)
    block: str = "input"
    in_encoder: bool = False  # whether the layers are a pretrained encoder's, which may be frozen

    def input(self) -> Tensor:
        """Add the image's row and return it."""
        own = Footprint.of_input() if self.with_receptive_field else None
        shape = (*self.size, self.config.channels)
        return self._add(layer_spec("Input", "image", shape), "input", (), shape, (own, own) if own else None)

    # -- the walk's backend --

    def enter(self, block: str) -> None:
        """Set the block of the next layers."""
        self.block = block

    def shape(self, tensor: Tensor) -> Shape:
        """Return height, width and channels."""
        return tensor.shape

    def encoder(self, image: Tensor) -> list[Tensor]:
        """Trace the configured encoder; return `config.depth` feature maps, shallow first."""
        self.in_encoder = True
        features = walk_encoder(self.config, self, image)
        self.in_encoder = False
        return features

    def layer(self, spec: LayerSpec, *inputs: Tensor) -> Tensor:
        """Trace one layer and return its output.

        Raises:
            ShapeBreak: it does not accept these shapes.
        """
        return self._RULES[spec.kind](self, spec, *inputs)

    def _add(
        self,
        spec: LayerSpec,
        op: str,
        inputs: tuple[Tensor, ...],
        shape: Shape,
        footprints: tuple[Footprint, Footprint] | None,
        *,
        params: int = 0,
        frozen_params: int = 0,
        macs: int = 0,
        **details: Any,
    ) -> Tensor:
        if not self.keep_rows:
            return Tensor(spec.name, shape, footprints)
        frozen = self.in_encoder and self.config.encoder_frozen
        self.layers.append(
            LayerTrace(
                name=spec.name,
                op=op,
                block=self.block,
                input_shape=inputs[0].shape if inputs else shape,
                output_shape=shape,
                params=params + frozen_params,
                trainable_params=0 if frozen else params,
                macs=macs,
                activation_bytes=shape[0] * shape[1] * shape[2] * BYTES_PER_VALUE,
                stride=footprints[0].stride if footprints else 0,
                inputs=tuple([tensor.source for tensor in inputs]),
                input_shapes=tuple([tensor.shape for tensor in inputs]),
                **self._field(footprints),
                spec=spec,
                **details,
            )
        )
        return Tensor(spec.name, shape, footprints)

    def _field(self, footprints: tuple[Footprint, Footprint] | None) -> dict[str, Any]:
        """Return what a row says of its receptive field."""
        if footprints is None:
            return {"receptive_field": 0}
        height, width = footprints
        if height.whole:
            return {"receptive_field": max(self.size), "whole_image": True}
        moves = (min(height.moves[0], width.moves[0]), max(height.moves[1], width.moves[1]))
        return {"receptive_field": max(height.size, width.size), "window_moves": moves}

    # -- windows --

    def _windowed(
        self, name: str, tensor: Tensor, kernel: int, stride: int, padding: str
    ) -> tuple[tuple[int, int], tuple[Footprint, Footprint] | None]:
        """Return the height and width after a sliding window, and the footprints; break if nothing is left."""
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
                "the input is too small for this depth and padding.",
                (tensor.shape, left),
            )
        seen = tensor.seen(lambda footprint, axis: footprint.convolved(kernel, stride, before[axis]))
        return (sides[0], sides[1]), seen

    def _convolution(self, spec: LayerSpec, tensor: Tensor) -> Tensor:
        """Conv2D, SeparableConv2D (a depthwise kernel, then 1×1 across channels) or DepthwiseConv2D."""
        channels, kernel = tensor.shape[2], spec.positional[-1]
        filters = channels if spec.kind == "DepthwiseConv2D" else spec.positional[0]
        stride, padding = spec.named.get("strides", 1), spec.named.get("padding", "valid")
        sides, seen = self._windowed(spec.name, tensor, kernel, stride, padding)
        match spec.kind:
            case "Conv2D":
                op, weights = "conv", kernel * kernel * channels * filters
            case "SeparableConv2D":
                op, weights = "separable_conv", kernel * kernel * channels + channels * filters
            case _:
                op, weights = "depthwise_conv", kernel * kernel * channels
        return self._add(
            spec, op, (tensor,), (*sides, filters), seen,
            params=weights + filters * spec.named.get("use_bias", True), macs=sides[0] * sides[1] * weights,
            kernel=(kernel, kernel), strides=(stride, stride), padding=padding,
        )  # fmt: skip

    def _transposed(self, spec: LayerSpec, tensor: Tensor) -> Tensor:
        """Conv2DTranspose of stride 2 with "same" padding: doubles height and width."""
        height, width, channels = tensor.shape
        filters, kernel = spec.positional
        weights = kernel * kernel * channels * filters
        return self._add(
            spec, "transposed_conv", (tensor,), (2 * height, 2 * width, filters),
            tensor.seen(lambda footprint, _: footprint.transposed(kernel)),
            params=weights + filters * spec.named.get("use_bias", True), macs=height * width * weights,
            kernel=(kernel, kernel), strides=(2, 2), padding="same",
        )  # fmt: skip

    def _pool(self, spec: LayerSpec, tensor: Tensor) -> Tensor:
        """MaxPooling2D or AveragePooling2D, 2×2: an odd last row or column is dropped."""
        sides, seen = self._windowed(spec.name, tensor, 2, 2, "valid")
        op = {"MaxPooling2D": "max_pool", "AveragePooling2D": "average_pool"}[spec.kind]
        return self._add(
            spec, op, (tensor,), (*sides, tensor.shape[2]), seen, kernel=(2, 2), strides=(2, 2), padding="valid"
        )

    def _upsample(self, spec: LayerSpec, tensor: Tensor) -> Tensor:
        """UpSampling2D by 2."""
        height, width, channels = tensor.shape
        interpolation = spec.named["interpolation"]
        seen = tensor.seen(lambda footprint, _: footprint.upsampled(interpolation))
        return self._add(spec, f"upsample_{interpolation}", (tensor,), (2 * height, 2 * width, channels), seen)

    # -- values --

    def _normalize(self, spec: LayerSpec, tensor: Tensor) -> Tensor:
        """Batch, layer or group normalization: scale and offset, and for batch two moving statistics, a channel."""
        channels = tensor.shape[2]
        kind = spec.kind.removesuffix("Normalization").lower()
        statistics = 2 * channels if kind == "batch" else 0
        frozen = self.in_encoder and self.config.encoder_batchnorm_frozen
        params, frozen_params = (0, 2 * channels + statistics) if frozen else (2 * channels, statistics)
        seen = tensor.over_the_image() if kind == "group" else tensor.footprints  # "layer" is over a pixel's channels
        return self._add(
            spec, f"{kind}_norm", (tensor,), tensor.shape, seen,
            params=params, frozen_params=frozen_params,
        )  # fmt: skip

    def _standardize(self, spec: LayerSpec, tensor: Tensor) -> Tensor:
        """Normalization by a fixed mean and variance a channel, and the count they were computed over."""
        return self._pointwise(spec, tensor, frozen_params=2 * tensor.shape[2] + 1)

    def _pointwise(self, spec: LayerSpec, tensor: Tensor, *others: Tensor, frozen_params: int = 0) -> Tensor:
        """A layer that changes values, not the shape: activation, dropout, scaling, addition, a gate."""
        seen = tensor.over_the_image() if spec.kind == "Multiply" else tensor.footprints  # a gate of averages
        for other in others:
            if seen and other.footprints and spec.kind != "Multiply":
                seen = _united(seen, other.footprints)
        op = spec.positional[0] if spec.kind == "Activation" else _POINTWISE_OPS[spec.kind]
        return self._add(spec, op, (tensor, *others), tensor.shape, seen, frozen_params=frozen_params)

    def _squeeze(self, spec: LayerSpec, tensor: Tensor) -> Tensor:
        """A global average, or its reshape to 1×1, for a gate on whole channels."""
        op = "reshape" if spec.kind == "Reshape" else "global_average_pool"
        return self._add(spec, op, (tensor,), (1, 1, tensor.shape[2]), tensor.over_the_image())

    # -- sizes --

    def _margins(self, spec: LayerSpec, tensor: Tensor) -> Tensor:
        """Cropping2D or ZeroPadding2D."""
        op, sign = ("crop", -1) if spec.kind == "Cropping2D" else ("pad", 1)
        (margins,) = spec.positional
        height, width = (tensor.shape[axis] + sign * sum(margins[axis]) for axis in (0, 1))
        seen = tensor.seen(lambda footprint, axis: footprint.shifted(-sign * margins[axis][0]))
        return self._add(spec, op, (tensor,), (height, width, tensor.shape[2]), seen)

    def _resize(self, spec: LayerSpec, tensor: Tensor) -> Tensor:
        """Resizing, bilinear."""
        height, width = spec.positional
        offsets = [(tensor.shape[0] - height) // 2, (tensor.shape[1] - width) // 2]
        seen = tensor.seen(lambda footprint, axis: footprint.resized(offsets[axis]))
        return self._add(spec, "resize", (tensor,), (height, width, tensor.shape[2]), seen)

    def _concat(self, spec: LayerSpec, skip: Tensor, upsampled: Tensor) -> Tensor:
        """Concatenate along the channels and record the skip connection; break if the sizes differ."""
        if skip.shape[:2] != upsampled.shape[:2]:
            raise _mismatch(self.config, spec.name, skip.shape, upsampled.shape)
        self.skips.append(self._skip(spec.name, skip, upsampled))
        shape = (*skip.shape[:2], skip.shape[2] + upsampled.shape[2])
        seen = _united(skip.footprints, upsampled.footprints) if skip.footprints and upsampled.footprints else None
        return self._add(spec, "concat", (skip, upsampled), shape, seen)

    def _skip(self, target: str, skip: Tensor, upsampled: Tensor) -> SkipTrace:
        """Describe a skip connection by the layers right before its merge that brought both sides to one size."""
        alignments = {row.name: row for row in self.layers[-2:] if row.op in ("crop", "pad", "resize")}
        of_skip, of_upsampled = alignments.get(skip.source), alignments.get(upsampled.source)
        details: dict[str, Any] = {}
        if of_skip is not None:
            details[of_skip.op] = _flat(of_skip)
        if of_upsampled is not None and of_upsampled.op == "resize":
            details["resized"] = True
        elif of_upsampled is not None:
            details[f"{of_upsampled.op}_upsampled"] = _flat(of_upsampled)
        if of_skip is None:
            return SkipTrace(skip.source, target, skip.shape, **details)
        return SkipTrace(of_skip.inputs[0], target, of_skip.input_shape, **details)

    _RULES: ClassVar[dict[str, Callable[..., Tensor]]] = {
        "Conv2D": _convolution,
        "SeparableConv2D": _convolution,
        "DepthwiseConv2D": _convolution,
        "Conv2DTranspose": _transposed,
        "MaxPooling2D": _pool,
        "AveragePooling2D": _pool,
        "UpSampling2D": _upsample,
        "BatchNormalization": _normalize,
        "LayerNormalization": _normalize,
        "GroupNormalization": _normalize,
        "Normalization": _standardize,
        "GlobalAveragePooling2D": _squeeze,
        "Reshape": _squeeze,
        "Cropping2D": _margins,
        "ZeroPadding2D": _margins,
        "Resizing": _resize,
        "Concatenate": _concat,
        **dict.fromkeys(("Activation", "ReLU", "SpatialDropout2D", "Dropout", "Rescaling"), _pointwise),
        **dict.fromkeys(("Add", "Multiply"), _pointwise),
    }


def _flat(row: LayerTrace) -> tuple[int, int, int, int]:
    """Return the pixels that a crop or pad layer removes or adds: top, bottom, left, right."""
    ((top, bottom), (left, right)), *_ = row.spec.positional
    return top, bottom, left, right


def _mismatch(config: UNetConfig, target: str, skip: Shape, upsampled: Shape) -> ShapeBreak:
    """Explain why the two sides of a merge differ: a pixel lost in halving, or borders lost to valid padding."""
    level = target.removeprefix("decoder").removesuffix("_concat")
    sizes = f"{target} cannot merge the skip connection ({skip[0]}×{skip[1]}) and the upsampled features "
    sizes += f"({upsampled[0]}×{upsampled[1]}): "
    if config.loses_border:
        why = "convolutions without padding remove a border at every level, so the two sizes never match; "
        return ShapeBreak(target, sizes + why + "crop the skip connection.", (skip, upsampled))
    axis = 0 if skip[0] != upsampled[0] else 1
    side, what = skip[axis], ("height", "width")[axis]
    rounded = "rounded up" if upsampled[axis] > side else "dropped the odd row or column"
    cause = f"encoder{level}_pool" if config.encoder == "none" else None
    where = cause or f"the encoder's halving below level {level}"
    why = (
        f"the {what} {side} is odd, {where} {rounded} ({side} → {upsampled[axis] // 2}), and doubling gives "
        f"{upsampled[axis]}, not {side}."
    )
    return ShapeBreak(target, sizes + why, (skip, upsampled), cause)


def _united(one: tuple[Footprint, Footprint], other: tuple[Footprint, Footprint]) -> tuple[Footprint, Footprint]:
    height = one[0].united(other[0])
    if one[0] is one[1] and other[0] is other[1]:
        return height, height
    return height, one[1].united(other[1])
