"""Exact shapes, parameters, cost and receptive field of every layer of a configured U-Net, without Keras.

`trace` walks the same layers that `unet_core.models.build` creates, by the same names, in plain integer arithmetic.
Where a shape breaks it does not raise: it stops at that layer and says why, and which sizes work.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from unet_core.architecture.config import MAX_SIDE, UNetConfig
from unet_core.architecture.encoder_walks import trace_encoder
from unet_core.architecture.tracer import (
    BYTES_PER_VALUE,
    LayerTrace,
    Margins,
    Shape,
    ShapeBreak,
    SkipTrace,
    Tensor,
    Tracer,
)
from unet_core.errors import ConfigError


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
        raise ConfigError(f"size: each side must be 1 to {MAX_SIDE} pixels. Received: {size[0]}x{size[1]}")
    tracer = Tracer(config, size, with_receptive_field)
    try:
        _walk(tracer)
        problem = None
    except ShapeBreak as broken:
        problem = Problem(broken.layer, broken.message, broken.shapes, suggest_sizes(config, size), cause=broken.cause)
    return Trace(config, (*size, config.channels), tuple(tracer.layers), tuple(tracer.skips), problem)


# --- the layers' arithmetic ---------------------------------------------------------------------------------------


# --- the U --------------------------------------------------------------------------------------------------------


def _walk(tracer: Tracer) -> Tensor:
    """Trace the whole network, in the order in which Keras would build it."""
    config = tracer.config
    features = tracer.input()
    if config.encoder == "none":
        encoder_outputs, features = _contract(tracer, features)
    else:
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
