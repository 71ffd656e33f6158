"""The boxes of a U diagram, from a trace: which layers form a box, by which operation, on which level."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import Trace, suggest_sizes, trace
from unet_core.architecture.tracer import LayerTrace, Shape, SkipTrace

# The sub-block that a layer of a pretrained encoder belongs to: block_13_expand, block4a_dwconv, expanded_conv_project.
_SUB_BLOCK = re.compile(r"(?:block_?\d+[a-z]?|expanded_conv)(?=_)")
_WEIGHTED = ("conv", "separable_conv", "depthwise_conv", "transposed_conv")


@dataclass(frozen=True)
class Step:
    """A feature map with a box of its own, and the layers that make it.

    `key` is the name of the layer that represents them, `operation` one of "input", "conv", "pool", "up", "skip" and
    "one" (1×1). `level` counts resolutions from the input's, 0. For "skip", `shape` is the copied part of the
    concatenation and `channels` counts all its channels. `state` is "done", "failed" or "pending": not reached,
    because an earlier step failed.
    """

    key: str
    block: str
    operation: str
    level: int
    layers: tuple[str, ...]
    shape: Shape
    channels: int
    skip: SkipTrace | None = None
    state: str = "done"

    @property
    def rises(self) -> bool:
        """Whether it belongs to the expansive path."""
        return self.block == "head" or self.block.startswith("decoder")


def read_steps(traced: Trace) -> tuple[Step, ...]:
    """Return the steps of a complete U; of a network that breaks, with the failed step and those after it."""
    done = {step.key: step for step in _group(traced)}
    if traced.problem is None:
        return tuple(done.values())
    found = []
    for step in _group(_unbroken(traced)):
        if step.key in done:
            found.append(done[step.key])
        elif step.key == traced.problem.layer:
            height, width, _ = traced.problem.shapes[0]
            found.append(replace(step, shape=(height, width, step.shape[2]), skip=None, state="failed"))
        else:
            found.append(replace(step, skip=None, state="pending"))
    return tuple(found)


def _unbroken(traced: Trace) -> Trace:
    """Return the trace of a working network with the same layers: skips resized, at the nearest size that works."""
    config, size = traced.config, traced.input_shape[:2]
    if config.skip_mode != "none":
        config = config.replace(skip_mode="resize")
    attempts = (trace(config, candidate) for candidate in (size, *suggest_sizes(config, size)))
    return next(attempt for attempt in attempts if attempt.valid)


def _group(traced: Trace) -> Iterable[Step]:
    groups: dict[tuple[str, str], list[LayerTrace]] = {}
    last = ("", "")
    for layer in traced.layers:
        last = (layer.block, _part(layer, traced.config, last[1]))
        groups.setdefault(last, []).append(layer)
    skips = {skip.target: skip for skip in traced.skips}
    level = 0
    for (block, part), layers in groups.items():
        operation = _operation(part, layers)
        if block == "head":
            level -= operation == "up"
        else:
            level = _level(block, traced.config)
            level += part == "pool"  # the result of pooling starts the next row, as in the paper
        yield _step(block, operation, level, layers, skips)


def _part(layer: LayerTrace, config: UNetConfig, before: str) -> str:
    """Return the part of its block that a layer belongs to; activations and dropout belong to the part before."""
    contracts = layer.block == "bottleneck" or layer.block.startswith("encoder")
    if contracts and config.encoder != "none" and layer.op != "spatial_dropout":
        found = _SUB_BLOCK.match(layer.name)
        return found[0] if found else "stem"
    part = layer.name.removeprefix(f"{layer.block}_")
    if part in ("activation", "dropout"):
        return before
    if part.startswith("up") or part.endswith("_upsampled") or part == "resize":
        return "up"
    if part in ("crop", "pad", "concat"):
        return "merge"
    return part.split("_")[0]


def _operation(part: str, layers: list[LayerTrace]) -> str:
    ops = {layer.op for layer in layers}
    if "input" in ops:
        return "input"
    if part == "merge":
        return "skip"
    if part == "up" or "transposed_conv" in ops:
        return "up"
    if any(layer.strides == (2, 2) for layer in layers):
        return "pool"
    kernels = {layer.kernel for layer in layers if layer.op in _WEIGHTED}
    return "one" if kernels == {(1, 1)} else "conv"


def _level(block: str, config: UNetConfig) -> int:
    """Count the halvings of the input, of which a pretrained encoder has one at its level 1."""
    halved = config.encoder != "none"
    if block == "input":
        return 0
    if block == "bottleneck":
        return config.depth - 1 + halved
    return int(block[len("encoder") :]) - 1 + halved  # "encoder" and "decoder" are equally long


def _step(block: str, operation: str, level: int, layers: list[LayerTrace], skips: dict[str, SkipTrace]) -> Step:
    names = tuple(layer.name for layer in layers)
    weighted = [layer for layer in layers if layer.op in _WEIGHTED]
    last = layers[-1]
    if operation == "skip":
        merge = next(layer for layer in layers if layer.op == "concat")
        shape, channels = merge.input_shape, merge.output_shape[2]
        return Step(merge.name, block, operation, level, names, shape, channels, skips[merge.name])
    key = weighted[-1].name if weighted else layers[0].name
    # If the upsampled features are cropped, the box shows them before, with dashed lines around what is kept.
    shape = next((layer.input_shape for layer in layers if layer.op == "crop"), last.output_shape)
    return Step(key, block, operation, level, names, shape, shape[2])
