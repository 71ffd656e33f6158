"""One block of a trace in words: its purpose, and how each of its layers changes the shape."""

from __future__ import annotations

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoders import ENCODERS
from unet_core.architecture.table import Block, block_number, block_title, counted
from unet_core.architecture.trace import Trace
from unet_core.architecture.tracer import SkipTrace
from unet_core.explain.diagram.texts import crop_words, shape_words
from unet_core.explain.layer import explain

_CONVOLUTIONS = ("conv", "separable_conv")
_HALVINGS = {"max": "max pooling", "average": "average pooling", "strided": "a strided convolution"}


def explain_block(traced: Trace, block: Block) -> str:
    """Describe a block with its own numbers, and whether the network breaks in it."""
    config, kind = traced.config, block.name.rstrip("0123456789")
    describe = {"input": _input, "encoder": _encoder, "bottleneck": _bottleneck, "decoder": _decoder, "head": _head}
    words = describe[kind](config, traced, block)
    problem = traced.problem
    if problem is not None and problem.layer.removeprefix(block.name)[:1] in ("", "_"):
        words += f" The network breaks here, at {problem.layer}."
    return words


def layer_steps(traced: Trace, block: Block) -> list[tuple[str, str]]:
    """Return the short name and operation of each layer of a block: "conv 3×3, 512 filters → 66×66×512".

    The input shape is written only where two inputs meet; else it is the output of the layer before.
    """
    steps = []
    for layer in block.layers:
        formula = explain(traced.config, traced, layer.name).formula
        if len(layer.inputs) == 1:
            formula = formula.split(" → ", 1)[1]
        steps.append((layer.name.removeprefix(f"{block.name}_"), formula))
    return steps


def _input(config: UNetConfig, traced: Trace, block: Block) -> str:
    height, width, channels = block.output_shape
    return f"The network's input: {height} by {width} pixels, {counted(channels, 'channel')}."


def _encoder(config: UNetConfig, traced: Trace, block: Block) -> str:
    level = f"Level {block_number(block.name)} of the contracting path"
    skip = next((skip for skip in traced.skips if skip.source in {layer.name for layer in block.layers}), None)
    across = _across(skip) if skip else ""
    if config.encoder != "none":
        return f"{level}: {counted(len(block.layers), 'layer')} of {ENCODERS[config.encoder].title}.{across}"
    before, after = block.input_shape[2], block.output_shape[2]
    return (
        f"{level}: {_channels(block, before, after)}; {_HALVINGS[config.pooling]} then halves height and width.{across}"
    )


def _across(skip: SkipTrace) -> str:
    title = block_title(skip.target.split("_")[0])
    how = crop_words(skip)
    change = f" ({how[0]})" if how else ""
    return f" Its {shape_words(skip.shape)} features also go straight across to {title}{change}."


def _bottleneck(config: UNetConfig, traced: Trace, block: Block) -> str:
    before, after = block.input_shape[2], block.output_shape[2]
    if config.encoder != "none":
        work = f"{counted(len(block.layers), 'layer')} of {ENCODERS[config.encoder].title}"
    else:
        work = _channels(block, before, after)
    last, field = block.layers[-1], block.layers[-1].receptive_field
    reach = "depends on the whole image" if last.whole_image else f"has a {field}×{field} px receptive field"
    return f"The lowest level, with the smallest maps: {work}. Each pixel {reach}."


def _decoder(config: UNetConfig, traced: Trace, block: Block) -> str:
    skip = next((skip for skip in traced.skips if skip.target.split("_")[0] == block.name), None)
    source = next((layer.block for layer in traced.layers if skip and layer.name == skip.source), "")
    steps = ["the features from the level below are doubled in height and width"]
    if source:
        steps.append(f"{block_title(source)}'s features are concatenated")
    if count := _convolutions(block):
        steps.append(f"{_work(count, 'mix', 'mixes')} everything into {counted(block.output_shape[2], 'channel')}")
    listed = f"{', '.join(steps[:-1])}, and {steps[-1]}" if len(steps) > 1 else steps[0]
    return f"Level {block_number(block.name)} of the expansive path: {listed}."


def _head(config: UNetConfig, traced: Trace, block: Block) -> str:
    before = block.input_shape[2]
    classes = counted(config.classes, "class", "classes")
    result = {"none": "scores (logits)", "sigmoid": "probabilities", "softmax": "probabilities"}[config.head_activation]
    return f"Turns the {counted(before, 'channel')} of each pixel into {result} for {classes}."


def _convolutions(block: Block) -> int:
    """Count the convolutions, except those that halve or belong to the upsampling."""
    return sum(
        layer.op in _CONVOLUTIONS and layer.strides != (2, 2) and not layer.name.startswith(f"{block.name}_up")
        for layer in block.layers
    )


def _work(count: int, several: str, one: str) -> str:
    return f"{counted(count, 'convolution')} {several if count > 1 else one}"


def _channels(block: Block, before: int, after: int) -> str:
    count = _convolutions(block)
    if before == after:
        return f"{_work(count, 'keep', 'keeps')} the {counted(before, 'channel')}"
    return f"{_work(count, 'turn', 'turns')} {counted(before, 'channel')} into {after}"
