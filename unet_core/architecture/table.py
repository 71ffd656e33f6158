"""A trace as a table: blocks with their layers, sums for each block, and the same rows as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from unet_core.architecture.trace import Trace
from unet_core.architecture.tracer import LayerTrace, Shape

_WEIGHTED = ("conv", "separable_conv", "depthwise_conv")
_UP = ("transposed_conv", "resize")
_SKIP = ("concat", "crop", "pad")
CSV_COLUMNS = (
    "block", "name", "op", "input_height", "input_width", "input_channels", "output_height", "output_width",
    "output_channels", "kernel", "strides", "padding", "params", "trainable_params", "macs", "activation_bytes",
    "receptive_field", "stride", "inputs",
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """The layers of one block in their order, with sums; shapes are (height, width, channels)."""

    name: str
    layers: tuple[LayerTrace, ...]

    @property
    def title(self) -> str:
        """The block's name in words: "encoder2" becomes "Encoder 2"."""
        return block_title(self.name)

    @property
    def input_shape(self) -> Shape:
        """Shape of the first layer's input."""
        return self.layers[0].input_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of the last layer's output."""
        return self.layers[-1].output_shape

    @property
    def params(self) -> int:
        """Parameters of its layers."""
        return sum(layer.params for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of its layers for one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Float32 bytes of its layers' outputs for one image."""
        return sum(layer.activation_bytes for layer in self.layers)


def blocks(traced: Trace) -> tuple[Block, ...]:
    """Return the blocks in order; of a network that breaks, those up to the break."""
    found: dict[str, list[LayerTrace]] = {}
    for layer in traced.layers:
        found.setdefault(layer.block, []).append(layer)
    return tuple(Block(name, tuple(layers)) for name, layers in found.items())


def block_keys(traced: Trace) -> dict[str, str]:
    """Return a name for each block that no layer has: its own, or "head block" where a layer is called "head"."""
    layers = {layer.name for layer in traced.layers}
    return {layer.block: f"{layer.block} block" if layer.block in layers else layer.block for layer in traced.layers}


def block_title(name: str) -> str:
    """Return a block's name in words."""
    number = block_number(name)
    return f"{name.removesuffix(number).capitalize()} {number}".strip()


def block_number(name: str) -> str:
    """Return the number at the end of a block's name, "" for a block without one."""
    return name.removeprefix(name.rstrip("0123456789"))


def grouped(value: int) -> str:
    """Write a whole number with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def counted(count: int, word: str, plural: str | None = None) -> str:
    """Write a count with its noun: "1 layer", "2 layers"."""
    return f"{grouped(count)} {word if count == 1 else plural or word + 's'}"


def operation_of(layer: LayerTrace) -> str | None:
    """Return the operation whose colour a layer has ("conv", "one", "pool", "up", "skip"), None for all others."""
    if layer.op in _SKIP:
        return "skip" if layer.block.startswith("decoder") else None
    if layer.op in _UP or layer.op.startswith("upsample"):
        return "up"
    if layer.op in ("max_pool", "average_pool") or layer.strides == (2, 2):
        return "pool"
    if layer.op in _WEIGHTED:
        return "one" if layer.kernel == (1, 1) else "conv"
    return None


def to_csv(traced: Trace) -> str:
    """Return one line per layer under `CSV_COLUMNS`; inputs are separated by spaces."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(CSV_COLUMNS)
    for layer in traced.layers:
        pairs = ("x".join(map(str, pair)) if pair else "" for pair in (layer.kernel, layer.strides))
        writer.writerow(
            [layer.block, layer.name, layer.op, *layer.input_shape, *layer.output_shape, *pairs, layer.padding or "",
             layer.params, layer.trainable_params, layer.macs, layer.activation_bytes, layer.receptive_field,
             layer.stride, " ".join(layer.inputs)]
        )  # fmt: skip
    return buffer.getvalue()
