"""Exact shapes, parameters, cost and receptive field of every layer of a configured U-Net, without Keras.

`trace` follows the same walk as `unet_core.models.build`, with integer arithmetic instead of layers.
Where a shape does not fit, it does not raise: it stops at that layer and reports why, and which sizes work.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

from unet_core.architecture.config import MAX_SIDE, UNetConfig
from unet_core.architecture.layer_specs import Shape
from unet_core.architecture.tracer import BYTES_PER_VALUE, LayerTrace, ShapeBreak, SkipTrace, Tracer
from unet_core.architecture.walk import walk
from unet_core.errors import ConfigError


@dataclass(frozen=True)
class Problem:
    """The first layer that fails: its name, an explanation, the two shapes, and sizes that work."""

    layer: str
    message: str
    shapes: tuple[Shape, Shape]
    suggested_sizes: tuple[tuple[int, int], ...] = ()
    cause: str | None = None  # the layer that lost or gained the pixel, if one did


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
        """Shape of the output, None if the network breaks."""
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
        """Side of the largest input window that an output pixel depends on, in pixels."""
        return self.layers[-1].receptive_field

    @property
    def whole_image(self) -> bool:
        """Whether every output pixel depends on the whole image, whatever the windows are."""
        return self.layers[-1].whole_image

    @property
    def lost_border(self) -> tuple[int, int, int, int] | None:
        """Input pixels (top, bottom, left, right) outside the output with valid padding; None if the network breaks."""
        if self.output_shape is None:
            return None
        lost = [max(before - after, 0) for before, after in zip(self.input_shape[:2], self.output_shape[:2])]
        return (lost[0] // 2, lost[0] - lost[0] // 2, lost[1] // 2, lost[1] - lost[1] // 2)

    def training_activation_bytes(self, batch: int = 1) -> int:
        """Return the float32 bytes of all layer outputs of a batch, which the backward pass needs."""
        return batch * sum(layer.activation_bytes for layer in self.layers)

    def inference_activation_bytes(self, batch: int = 1) -> int:
        """Return the peak memory of a batch's float32 outputs in bytes, each freed after its last use."""
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
            "whole_image": self.whole_image,
            "lost_border": self.lost_border,
            "valid": self.valid,
            "problem": asdict(self.problem) if self.problem else None,
            "layers": [_figures(layer) for layer in self.layers],
            "skips": [{"from": skip.source, "to": skip.target, **_margins(skip)} for skip in self.skips],
        }


def _figures(layer: LayerTrace) -> dict[str, Any]:
    return {
        field.name: getattr(layer, field.name) for field in fields(layer) if field.name not in ("spec", "input_shapes")
    }


def _margins(skip: SkipTrace) -> dict[str, Any]:
    return {key: value for key, value in asdict(skip).items() if key not in ("source", "target")}


def trace(config: UNetConfig, size: tuple[int, int] | None = None, *, with_receptive_field: bool = True) -> Trace:
    """Trace `config` at `size` (height, width; its own by default).

    Without the receptive field it takes a fraction of the time; receptive fields and strides are then 0.

    Raises:
        ConfigError: a side is not between 1 and 16384 pixels.
    """
    size = size or (config.height, config.width)
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise ConfigError(f"size: each side must be 1 to {MAX_SIDE} pixels. Received: {size[0]}x{size[1]}")
    return _traced(config, (size[0], size[1]), with_receptive_field)


@lru_cache(maxsize=64)  # a page asks for the same trace from many places
def _traced(config: UNetConfig, size: tuple[int, int], with_receptive_field: bool) -> Trace:
    tracer = Tracer(config, size, with_receptive_field)
    try:
        walk(config, tracer, tracer.input())
        problem = None
    except ShapeBreak as broken:
        problem = Problem(broken.layer, broken.message, broken.shapes, suggest_sizes(config, size), cause=broken.cause)
    return Trace(config, (*size, config.channels), tuple(tracer.layers), tuple(tracer.skips), problem)


# --- sizes that work ----------------------------------------------------------------------------------------------


def suggest_sizes(config: UNetConfig, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the nearest smaller and larger (height, width) that work, if they exist.

    Height and width are independent, so each side is searched separately, and a side that works is kept. Where
    convolutions keep the size, only sizes whose output is as large as the input are suggested.
    """
    nearest = {side: _nearest_sides(config, side) for side in set(size)}
    heights, widths = nearest[size[0]], nearest[size[1]]
    found = [(height, width) for height, width in zip(heights, widths) if height is not None and width is not None]
    return tuple(dict.fromkeys(pair for pair in found if pair != size))


def works_at(config: UNetConfig, side: int) -> bool:
    """Return whether a square input of `side` pixels works, with an output as large if convolutions keep the size."""
    if not 1 <= side <= MAX_SIDE:
        return False
    try:
        tracer = Tracer(config, (side, side), with_receptive_field=False, keep_rows=False)
        output = walk(config, tracer, tracer.input())
    except ShapeBreak:
        return False
    return config.loses_border or output.shape[0] == side


def _nearest_sides(config: UNetConfig, side: int) -> tuple[int | None, int | None]:
    """Return the nearest working side at or below `side` and at or above it, None where none exists."""
    if works_at(config, side):
        return side, side
    if config.loses_border:  # too small, or skip connections that never match: no smaller side works
        return None, _smallest_large_enough(config, side)
    # No pixel is lost or gained in halving where every level's size is even.
    grid = 2 ** (config.depth - (config.encoder == "none"))
    smaller, larger = side // grid * grid, -(-side // grid) * grid
    return (smaller if works_at(config, smaller) else None), (larger if works_at(config, larger) else None)


def _smallest_large_enough(config: UNetConfig, side: int) -> int | None:
    """Return the smallest working side above one that is too small, None if none exists."""
    too_small, enough = side, side
    while not works_at(config, enough):
        too_small, enough = enough, enough * 2
        if enough > MAX_SIDE:
            return None
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        too_small, enough = (too_small, middle) if works_at(config, middle) else (middle, enough)
    return enough
