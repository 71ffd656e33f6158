"""Exact shapes, parameters, cost and receptive field of every layer of a configured U-Net, without Keras.

`trace` walks the same layers that `unet_core.models.build` creates, by the same names, in plain integer arithmetic.
Where a shape breaks it does not raise: it stops at that layer and says why, and which sizes work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from unet_core.config import MAX_SIDE, UNetConfig
from unet_core.receptive_field import Footprint

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


@dataclass(frozen=True)
class Problem:
    """The first layer that cannot work: its name, a plain sentence, the two shapes, and sizes that do work."""

    layer: str
    message: str
    shapes: tuple[Shape, Shape]
    suggested_sizes: tuple[tuple[int, int], ...] = ()
    cause: str | None = None  # the layer that lost or gained the pixel, where there is one


@dataclass(frozen=True)
class Trace:
    """All layers of one configuration at one input size; complete if `valid`, else up to the layer that breaks."""

    config: UNetConfig
    input_shape: Shape
    layers: tuple[LayerTrace, ...]
    skips: tuple[SkipTrace, ...]
    problem: Problem | None = None

    @property
    def valid(self) -> bool:
        """Whether every layer works at this size."""
        return self.problem is None

    @property
    def output_shape(self) -> Shape | None:
        """Shape of the result, None where the network breaks before."""
        return self.layers[-1].output_shape if self.valid else None

    @cached_property
    def total_params(self) -> int:
        """Parameters of all layers."""
        return sum(layer.params for layer in self.layers)

    @cached_property
    def trainable_params(self) -> int:
        """Parameters that training changes."""
        return sum(layer.trainable_params for layer in self.layers)

    @cached_property
    def total_macs(self) -> int:
        """Multiply-accumulates for one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Size of the weights as float32."""
        return self.total_params * BYTES_PER_VALUE

    @property
    def receptive_field(self) -> int:
        """Side of the input window that one output pixel depends on, in pixels."""
        return self.layers[-1].receptive_field

    @property
    def lost_border(self) -> tuple[int, int, int, int] | None:
        """Input pixels (top, bottom, left, right) for which valid padding leaves no output; None if broken."""
        if self.output_shape is None:
            return None
        lost = [max(before - after, 0) for before, after in zip(self.input_shape[:2], self.output_shape[:2])]
        return (lost[0] // 2, lost[0] - lost[0] // 2, lost[1] // 2, lost[1] - lost[1] // 2)

    def training_activation_bytes(self, batch: int = 1) -> int:
        """Return the float32 bytes of all layer outputs of a batch, which the backward pass needs."""
        return batch * sum(layer.activation_bytes for layer in self.layers)

    def inference_activation_bytes(self, batch: int = 1) -> int:
        """Return the peak of float32 bytes alive at once when each output is freed after its last use."""
        last_use = {name: index for index, layer in enumerate(self.layers) for name in layer.inputs}
        alive, peak = {}, 0
        for index, layer in enumerate(self.layers):
            alive[layer.name] = layer.activation_bytes
            peak = max(peak, sum(alive.values()))
            for name in layer.inputs:
                if last_use[name] == index:
                    alive.pop(name, None)
        return batch * peak

    def to_dict(self, preset: str | None = None) -> dict[str, Any]:
        """Return plain values for JSON, in the form that `python -m unet_core trace --json` prints."""
        return {
            "preset": preset,
            "input_shape": self.input_shape,
            "output_shape": self.output_shape,
            "total_params": self.total_params,
            "trainable_params": self.trainable_params,
            "total_macs": self.total_macs,
            "weight_bytes": self.weight_bytes,
            "activation_bytes": {
                "inference": self.inference_activation_bytes(),
                "training": self.training_activation_bytes(),
            },
            "receptive_field": self.receptive_field,
            "lost_border": self.lost_border,
            "valid": self.valid,
            "problem": asdict(self.problem) if self.problem else None,
            "layers": [asdict(layer) for layer in self.layers],
            "skips": [{"from": skip.source, "to": skip.target, **_margins(skip)} for skip in self.skips],
        }


def _margins(skip: SkipTrace) -> dict[str, Any]:
    return {key: value for key, value in asdict(skip).items() if key not in ("source", "target")}


def trace(config: UNetConfig, size: tuple[int, int] | None = None, *, with_receptive_field: bool = True) -> Trace:
    """Trace `config` at `size` (height, width; its own by default).

    Without the receptive field (then 0, and the stride too) it takes a fraction of the time.

    Raises:
        ValueError: a side is not between 1 and 16384 pixels.
    """
    size = size or (config.height, config.width)
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise ValueError(f"size: each side must be 1 to {MAX_SIDE} pixels. Received: {size[0]}x{size[1]}")
    tracer = Tracer(config, size, with_receptive_field)
    try:
        _walk(tracer)
        problem = None
    except ShapeBreak as broken:
        problem = Problem(broken.layer, broken.message, broken.shapes, suggest_sizes(config, size), cause=broken.cause)
    return Trace(config, (*size, config.channels), tuple(tracer.layers), tuple(tracer.skips), problem)


# --- the layers' arithmetic ---------------------------------------------------------------------------------------


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


# --- the U --------------------------------------------------------------------------------------------------------


def _walk(tracer: Tracer) -> Tensor:
    """Trace the whole network, in the order in which Keras would build it."""
    config = tracer.config
    features = tracer.input()
    if config.encoder == "none":
        encoder_outputs, features = _contract(tracer, features)
    else:
        from unet_core.trace_encoders import trace_encoder

        *encoder_outputs, features = trace_encoder(tracer, features)
    if config.spatial_dropout:
        tracer.block = "bottleneck"
        features = tracer.pointwise("bottleneck_dropout", "spatial_dropout", features)
    for level in range(config.decoder_levels, 0, -1):
        features = _decoder_block(tracer, level, encoder_outputs[level - 1], features)
    if config.encoder != "none" and config.head == "conv":
        features = _decoder_block(tracer, 0, None, features)
    return _head(tracer, features)


def _contract(tracer: Tracer, features: Tensor) -> tuple[list[Tensor], Tensor]:
    config, encoder_outputs = tracer.config, []
    for level in range(1, config.depth):
        tracer.block = f"encoder{level}"
        filters = config.level_filters[level - 1]
        features = _convolutions(tracer, features, filters, f"encoder{level}", config.encoder_convolutions)
        encoder_outputs.append(features)
        name = f"encoder{level}_pool"
        if config.pooling == "strided":
            features = tracer.conv(name, features, filters, 2, stride=2, padding="valid")
        else:
            features = tracer.pool(name, features, config.pooling)
    tracer.block = "bottleneck"
    filters = config.level_filters[-1]
    return encoder_outputs, _convolutions(tracer, features, filters, "bottleneck", config.encoder_convolutions)


def _convolutions(tracer: Tracer, tensor: Tensor, filters: int, block: str, count: int) -> Tensor:
    config = tracer.config
    for number in range(1, count + 1):
        name = f"{block}_conv{number}"
        if config.convolution == "separable":
            tensor = tracer.separable(name, tensor, filters, 3, config.padding, config.convolution_bias)
        else:
            tensor = tracer.conv(name, tensor, filters, 3, padding=config.padding, bias=config.convolution_bias)
        tensor = _normalized_and_activated(tracer, tensor, name)
    return tensor


def _normalized_and_activated(tracer: Tracer, tensor: Tensor, name: str) -> Tensor:
    if tracer.config.normalization != "none":
        tensor = tracer.normalization(f"{name}_norm", tensor, tracer.config.normalization)
    return tracer.pointwise(f"{name}_activation", tracer.config.activation, tensor)


def _decoder_block(tracer: Tracer, level: int, skip: Tensor | None, features: Tensor) -> Tensor:
    """Upsample, merge with the skip connection, convolve. Level 0 is the step above a pretrained encoder's stem."""
    config = tracer.config
    name = tracer.block = f"decoder{level}"
    filters = config.level_filters[level - 1] if level else max(1, config.level_filters[0] // 2)
    below = features
    if config.upsampling == "transposed":
        upsampled = tracer.transposed(
            f"{name}_upconv", features, filters, config.up_kernel, bias=config.convolution_bias
        )
    else:
        upsampled = tracer.upsample(f"{name}_upsample", features, config.upsampling)
        if config.up_convolution:
            upsampled = tracer.conv(
                f"{name}_upconv", upsampled, filters, config.up_kernel, bias=config.convolution_bias
            )
    if config.up_convolution and config.up_activation:
        upsampled = _normalized_and_activated(tracer, upsampled, f"{name}_upconv")
    merged = upsampled
    if skip is not None and config.skip_mode != "none":
        merged = _merge(tracer, name, skip, upsampled, below)
    return _convolutions(tracer, merged, filters, name, config.decoder_convolutions)


def _merge(tracer: Tracer, name: str, skip: Tensor, upsampled: Tensor, below: Tensor) -> Tensor:
    """Bring both sides to one size as `skip_mode` says, note the skip, and concatenate."""
    mode, target = tracer.config.skip_mode, f"{name}_concat"
    differs = skip.shape[:2] != upsampled.shape[:2]
    details: dict[str, Any] = {}
    source, shape = skip.source, skip.shape
    if differs and mode == "strict":
        raise _mismatch(tracer, target, skip, upsampled, below)
    if differs and mode == "resize":
        upsampled = tracer.resize(f"{name}_resize", upsampled, *skip.shape[:2])
        details["resized"] = True
    elif differs:
        skip_margins, upsampled_margins = centred_margins(skip.shape, upsampled.shape, mode)
        if any(map(any, skip_margins)):
            skip = tracer.margins(f"{name}_{mode}", mode, skip, skip_margins)
        if any(map(any, upsampled_margins)):
            upsampled = tracer.margins(f"{name}_{mode}_upsampled", mode, upsampled, upsampled_margins)
        details[mode] = (*skip_margins[0], *skip_margins[1])
        details[f"{mode}_upsampled"] = (*upsampled_margins[0], *upsampled_margins[1])
    tracer.skips.append(SkipTrace(source, target, shape, **details))
    return tracer.concat(target, skip, upsampled)


def centred_margins(skip: tuple[int, ...], upsampled: tuple[int, ...], mode: str) -> tuple[Margins, Margins]:
    """Return what the skip and the upsampled side lose ("crop") or gain ("pad") so that their sizes agree.

    Each is ((top, bottom), (left, right)); along an axis only one side changes, and an odd pixel goes after.
    """
    margins: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for skip_side, upsampled_side in zip(skip[:2], upsampled[:2], strict=True):
        difference = abs(skip_side - upsampled_side)
        both = (difference // 2, difference - difference // 2)
        skip_changes = (skip_side > upsampled_side) == (mode == "crop")
        margins[0].append(both if skip_changes else (0, 0))
        margins[1].append((0, 0) if skip_changes else both)
    return tuple(margins[0]), tuple(margins[1])


def _mismatch(tracer: Tracer, target: str, skip: Tensor, upsampled: Tensor, below: Tensor) -> ShapeBreak:
    """Explain why the two sides of a merge differ: a pixel lost in halving, or borders lost to valid padding."""
    level = target.removeprefix("decoder").removesuffix("_concat")
    (skip_height, skip_width), (up_height, up_width) = skip.shape[:2], upsampled.shape[:2]
    sizes = f"{target} cannot join the skip connection ({skip_height}×{skip_width}) and the upsampled features "
    sizes += f"({up_height}×{up_width}): "
    if tracer.config.padding == "valid":
        why = "convolutions without padding cut a border off on the way, so the two sides never match; "
        return ShapeBreak(target, sizes + why + "crop the skip connection.", (skip.shape, upsampled.shape))
    axis = 0 if skip_height != up_height else 1
    side, what = skip.shape[axis], ("height", "width")[axis]
    rounded = "rounded up" if upsampled.shape[axis] > side else "dropped the odd row or column"
    cause = f"encoder{level}_pool" if tracer.config.encoder == "none" else None
    where = cause or f"the encoder's halving below level {level}"
    why = (
        f"the {what} {side} is odd, {where} {rounded} ({side} → {below.shape[axis]}), and doubling gives "
        f"{upsampled.shape[axis]}, not {side}."
    )
    return ShapeBreak(target, sizes + why, (skip.shape, upsampled.shape), cause)


def _head(tracer: Tracer, features: Tensor) -> Tensor:
    config = tracer.config
    tracer.block = "head"
    if config.head == "transposed":
        output = tracer.transposed("head", features, config.classes, 3)
    else:
        output = tracer.conv("head", features, config.classes, 1, padding="valid")
    if config.head == "resize":
        output = tracer.upsample("head_upsample", output, "bilinear")
    if config.head_activation != "none":
        output = tracer.pointwise("head_activation", config.head_activation, output)
    return output


# --- sizes that work ----------------------------------------------------------------------------------------------


def suggest_sizes(config: UNetConfig, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the nearest smaller and larger (height, width) that work, each where there is one.

    Height and width never influence each other, so each side is searched alone and a side that works is kept. With
    "same" padding only sizes that come out as large as they went in are suggested.
    """
    neighbours = [_nearest_sides(config, side) for side in size]
    candidates = [(neighbours[0][end], neighbours[1][end]) for end in (0, 1)]
    return tuple(dict.fromkeys(pair for pair in candidates if None not in pair and pair != tuple(size)))


def works_at(config: UNetConfig, side: int) -> bool:
    """Tell whether a square input of `side` pixels passes, at its full size if padding is "same"."""
    if not 1 <= side <= MAX_SIDE:
        return False
    try:
        output = _walk(Tracer(config, (side, side), with_receptive_field=False))
    except ShapeBreak:
        return False
    return config.padding == "valid" or output.shape[0] == side


def _nearest_sides(config: UNetConfig, side: int) -> tuple[int | None, int | None]:
    """Return the nearest side at or below and at or above `side` that works, None where there is none."""
    if works_at(config, side):
        return side, side
    if config.padding == "valid":  # the input is too small, or the skips never match: nothing smaller can work
        return None, _smallest_large_enough(config, side)
    # Nothing is lost or gained in halving where every level's size is even.
    grid = 2 ** (config.depth - (config.encoder == "none"))
    smaller, larger = side // grid * grid, -(-side // grid) * grid
    return (smaller if works_at(config, smaller) else None), (larger if works_at(config, larger) else None)


def _smallest_large_enough(config: UNetConfig, side: int) -> int | None:
    """Return the smallest side that works above one that is too small for the network; None if none does."""
    too_small, enough = side, side
    while not works_at(config, enough):
        too_small, enough = enough, enough * 2
        if enough > MAX_SIDE:
            return None
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        too_small, enough = (too_small, middle) if works_at(config, middle) else (middle, enough)
    return enough
