"""One block of a trace in words: what it is for, and what each of its layers makes of the shape."""

from __future__ import annotations

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoders import ENCODERS
from unet_core.architecture.table import Block, block_number, block_title
from unet_core.architecture.trace import Trace
from unet_core.architecture.tracer import SkipTrace
from unet_core.explain.diagram.texts import crop_words, shape_words
from unet_core.explain.layer import explain

_CONVOLUTIONS = ("conv", "separable_conv")
_HALVINGS = {"max": "max pooling", "average": "average pooling", "strided": "a strided convolution"}


def explain_block(traced: Trace, block: Block) -> str:
    """Say what a block is for, with its own numbers; of one in which the network breaks, that it does."""
    config, kind = traced.config, block.name.rstrip("0123456789")
    said = {"input": _input, "encoder": _encoder, "bottleneck": _bottleneck, "decoder": _decoder, "head": _head}[kind]
    problem = traced.problem
    breaks = problem is not None and problem.layer.removeprefix(block.name)[:1] in ("", "_")
    return said(config, traced, block) + (f" Here the network breaks, at {problem.layer}." if breaks else "")


def layer_steps(traced: Trace, block: Block) -> list[tuple[str, str]]:
    """Return each layer of a block by its short name, with what it makes: "conv 3×3, 512 filters → 66×66×512".

    What goes in is what the layer before has made; it is written where two meet.
    """
    steps = []
    for layer in block.layers:
        formula = explain(traced.config, traced, layer.name).formula
        alone = len(layer.inputs) == 1
        steps.append((layer.name.removeprefix(f"{block.name}_"), formula.split(" → ", 1)[1] if alone else formula))
    return steps


def _input(config: UNetConfig, traced: Trace, block: Block) -> str:
    height, width, channels = block.output_shape
    return f"The picture as the network gets it: {height} by {width} pixels, {_many(channels, 'channel')}."


def _encoder(config: UNetConfig, traced: Trace, block: Block) -> str:
    level = f"Level {_number(block)} of the contracting path"
    skip = next((skip for skip in traced.skips if skip.source in {layer.name for layer in block.layers}), None)
    across = _across(skip) if skip else ""
    if config.encoder != "none":
        return f"{level}: {_many(len(block.layers), 'layer')} of {ENCODERS[config.encoder].title}.{across}"
    before, after = block.input_shape[2], block.output_shape[2]
    return (
        f"{level}: {_turned(block, before, after)}; {_HALVINGS[config.pooling]} then halves height and width.{across}"
    )


def _across(skip: SkipTrace) -> str:
    title = block_title(skip.target.split("_")[0])
    how = crop_words(skip)
    change = f" ({how[0]})" if how else ""
    return f" Its features of {shape_words(skip.shape)} also go straight across to {title}{change}."


def _bottleneck(config: UNetConfig, traced: Trace, block: Block) -> str:
    before, after = block.input_shape[2], block.output_shape[2]
    if config.encoder != "none":
        work = f"{_many(len(block.layers), 'layer')} of {ENCODERS[config.encoder].title}"
    else:
        work = _turned(block, before, after)
    sees = block.layers[-1].receptive_field
    return (
        f"The lowest level, with the smallest maps: {work}. Each pixel here has a receptive field of {sees}×{sees} px."
    )


def _decoder(config: UNetConfig, traced: Trace, block: Block) -> str:
    skip = next((skip for skip in traced.skips if skip.target.split("_")[0] == block.name), None)
    source = next((layer.block for layer in traced.layers if skip and layer.name == skip.source), "")
    steps = ["the features from below are doubled in height and width"]
    if source:
        steps.append(f"{block_title(source)}'s features join them")
    if count := _convolutions(block):
        steps.append(f"{_work(count, 'mix', 'mixes')} it all into {_many(block.output_shape[2], 'channel')}")
    listed = f"{', '.join(steps[:-1])}, and {steps[-1]}" if len(steps) > 1 else steps[0]
    return f"Level {_number(block)} of the expansive path: {listed}."


def _head(config: UNetConfig, traced: Trace, block: Block) -> str:
    before = block.input_shape[2]
    result = {"none": "scores (logits)", "sigmoid": "probabilities", "softmax": "probabilities"}[config.head_activation]
    return f"Turns the {_many(before, 'channel')} of each pixel into {result} for {_many(config.classes, 'class')}."


def _convolutions(block: Block) -> int:
    """Count the convolutions that neither halve nor belong to the upsampling."""
    return sum(
        layer.op in _CONVOLUTIONS and layer.strides != (2, 2) and not layer.name.startswith(f"{block.name}_up")
        for layer in block.layers
    )


def _work(count: int, several: str, one: str) -> str:
    return f"{_many(count, 'convolution')} {several if count > 1 else one}"


def _turned(block: Block, before: int, after: int) -> str:
    count = _convolutions(block)
    if before == after:
        return f"{_work(count, 'keep', 'keeps')} the {_many(before, 'channel')}"
    return f"{_work(count, 'turn', 'turns')} {_many(before, 'channel')} into {after}"


def _number(block: Block) -> str:
    return block_number(block.name)


def _many(count: int, word: str) -> str:
    plural = {"class": "classes"}.get(word, f"{word}s")
    return f"{count} {word if count == 1 else plural}"
