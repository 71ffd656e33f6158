"""The texts of a U diagram: sizes, crops, the legend, the mark, and the description for screen readers."""

from __future__ import annotations

from collections.abc import Iterable

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoders import ENCODERS
from unet_core.architecture.trace import Problem, Trace
from unet_core.architecture.tracer import LayerTrace, Shape, SkipTrace
from unet_core.explain.diagram.operations import OPERATIONS

_ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU", "gelu": "GELU", "swish": "swish"}
_POOLS = {"max": "max pool 2×2", "average": "average pool 2×2", "strided": "strided conv 2×2"}


def size_words(shape: Shape) -> str:
    """Write height and width in short: "28²" or "15×20"."""
    height, width, _ = shape
    return f"{height}²" if height == width else f"{height}×{width}"


def shape_words(shape: Iterable[int]) -> str:
    """Write a whole shape: "28×28×1024"."""
    return "×".join(map(str, shape))


def crop_words(skip: SkipTrace) -> tuple[str, ...]:
    """Describe the change to a skip connection, from long to short; empty if it is only copied."""
    if skip.resized:
        size = size_words(skip.shape)
        return f"copy; upsampled features resized to {size}", f"resized to {size}", size
    changes = [
        variants
        for margins, verb, sign, side in (
            (skip.crop, "crop", "−", ""),
            (skip.pad, "pad", "+", ""),
            (skip.crop_upsampled, "crop", "−", "upsampled features "),
            (skip.pad_upsampled, "pad", "+", "upsampled features "),
        )
        if (variants := _change_words(margins, verb, sign, side))
    ]
    return tuple("; ".join(words) for words in zip(*changes))


def _change_words(margins: tuple[int, int, int, int], verb: str, sign: str, side: str) -> tuple[str, ...]:
    """Write margins (top, bottom, left, right), from long to short."""
    if not any(margins):
        return ()
    low, high = min(filter(None, margins)), max(margins)
    pixels = f"{low} px" if low == high else f"{low}–{high} px"
    all_around = " per side" if all(margins) else ""
    if side:
        return f"copy; {side}{sign}{pixels}{all_around}", f"{side}{sign}{pixels}", f"{sign}{pixels}"
    return f"copy and {verb} {pixels}{all_around}", f"{verb} {pixels}", f"{sign}{pixels}"


def problem_words(problem: Problem, *, short: bool = False) -> str:
    """Write briefly what does not fit."""
    first, second = (size_words(shape) if short else shape_words(shape[:2]) for shape in problem.shapes)
    return f"{first} ≠ {second}" if problem.layer.endswith("_concat") else f"{first} is too small"


def loss_words(layer: LayerTrace) -> tuple[str, str]:
    """Describe the halving of an odd side, long and short: "125 → 62, 1 px lost" and "125 → 62"."""
    axis = 0 if layer.input_shape[0] % 2 else 1
    sides = f"{layer.input_shape[axis]} → {layer.output_shape[axis]}"
    return f"{sides}, 1 px lost", sides


def legend_entries(trace: Trace, signs: set[str]) -> list[tuple[str, str]]:
    """Return (sign, its meaning in this network) for the operations and the signs in boxes that occur."""
    words = {
        "conv": _convolutions(trace.config),
        "pool": [_pooling(trace.config)],
        "up": [_upsampling(trace.config)],
        "skip": [_skip(trace)],
        "one": [_head(trace.config)],
        "copy": ["empty half: the copy"],
        "inner": [_inner(trace)],
    }
    return [(key, text) for key in (*OPERATIONS, "copy", "inner") if key in signs for text in words[key]]


def _head(config: UNetConfig) -> str:
    activation = config.head_activation
    return "conv 1×1" if activation == "none" or config.head != "conv" else f"conv 1×1, {activation}"


def _inner(trace: Trace) -> str:
    padded = any(any(skip.pad) or any(skip.pad_upsampled) for skip in trace.skips)
    return "dashed: before padding" if padded else "dashed: what cropping keeps"


def _convolutions(config: UNetConfig) -> list[str]:
    kernel = f"conv {config.kernel_size}×{config.kernel_size}"
    kind = f"separable {kernel}" if config.convolution == "separable" else kernel
    after = [] if config.normalization == "none" else [f"{config.normalization} norm"]
    after.insert(0 if config.normalization_position == "after_activation" else 1, _ACTIVATIONS[config.activation])
    own = [", ".join([kind, *after])]
    if config.encoder == "none":
        return own
    return [f"{ENCODERS[config.encoder].title} block", *own[: config.decoder_convolutions]]


def _pooling(config: UNetConfig) -> str:
    return _POOLS[config.pooling] if config.encoder == "none" else f"{ENCODERS[config.encoder].title} block, stride 2"


def _upsampling(config: UNetConfig) -> str:
    kernel = f"{config.up_kernel}×{config.up_kernel}"
    if config.upsampling == "transposed":
        return f"up-conv {kernel}"
    return f"upsample ×2, {config.upsampling}" + (f" + conv {kernel}" if config.up_convolution else "")


def _skip(trace: Trace) -> str:
    mode = trace.config.skip_mode
    changed = any(any(s.crop) or any(s.pad) or any(s.crop_upsampled) or any(s.pad_upsampled) for s in trace.skips)
    if mode in ("crop", "pad") and changed:
        return f"copy and {mode}"
    if any(skip.resized for skip in trace.skips):
        return "copy, other input resized"
    return "copy"


def heading(trace: Trace) -> str:
    """Return the diagram's title: depth, input and output."""
    result = f"breaks at {trace.problem.layer}" if trace.problem else f"{shape_words(trace.output_shape or ())} out"
    return f"U-Net of depth {trace.config.depth}: {shape_words(trace.input_shape)} in, {result}"


def describe(trace: Trace) -> str:
    """Describe the diagram in sentences, for screen readers."""
    ends: dict[str, Shape] = {layer.block: layer.output_shape for layer in trace.layers}
    # A level's skip connection has its size before pooling.
    for layer in trace.layers:
        if layer.op.endswith("_pool") or layer.name.endswith("_pool"):
            ends[layer.block] = layer.input_shape
    down = [shape_words(shape) for block, shape in ends.items() if block.startswith("encoder")]
    up = [shape_words(shape) for block, shape in ends.items() if block.startswith("decoder")]
    sentences = [f"Input {shape_words(trace.input_shape)}.", f"Contracting path: {', '.join(down)}."]
    if "bottleneck" in ends:
        sentences.append(f"Bottleneck: {shape_words(ends['bottleneck'])}.")
    if up:
        sentences.append(f"Expansive path: {', '.join(up)}.")
    for skip in trace.skips:
        how = crop_words(skip)
        sentences.append(f"Skip connection into {skip.target}: {how[0] if how else 'copy'}.")
    if trace.problem:
        sentences.append(f"The network breaks: {trace.problem.message}")
    else:
        sentences.append(f"Output {shape_words(trace.output_shape or ())}.")
    return " ".join(sentences)
