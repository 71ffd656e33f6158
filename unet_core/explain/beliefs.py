"""What tutorials say or readers assume about each preset's network, what is true, and the proof, computed when asked.

The figures in the facts come from the trace of the preset itself, never from a text; where Keras can be asked, a proof
names the network and the size, and `unet_core.explain.real_error` builds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.doctor import verdict_at
from unet_core.architecture.presets import preset_config
from unet_core.architecture.table import blocks, grouped
from unet_core.architecture.trace import Trace, trace
from unet_core.explain.diagram.texts import shape_words


class Proof(NamedTuple):
    """One line of a proof: what was computed, and the result."""

    what: str
    result: str


class Question(NamedTuple):
    """What to ask Keras: a network, or the name of one of the `tutorial_variants.VARIANTS`, and an input size."""

    model: UNetConfig | str
    size: tuple[int, int]


@dataclass(frozen=True)
class Belief:
    """One belief about a network.

    Attributes:
        said: what is said or assumed.
        fact: what is true.
        proof: computed from the network.
        question: what Keras can be asked to see it, if anything.
    """

    said: str
    fact: str
    proof: tuple[Proof, ...]
    question: Question | None = None


def beliefs(preset: str) -> tuple[Belief, ...]:
    """Return the beliefs about a preset's network, each with its proof computed now.

    Raises:
        ConfigError: no preset has that name.
    """
    config = preset_config(preset)
    return tuple(make(config) for make in _BELIEFS[preset])


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f}\u202f%"


def _output(found: Trace) -> tuple[int, int, int]:
    assert found.output_shape is not None  # every preset works at its own size
    return found.output_shape


# --- valid padding ----------------------------------------------------------------------------------------------------


def _mask_is_smaller(config: UNetConfig) -> Belief:
    found = trace(config)
    (height, width, _), (rows, columns, _) = found.input_shape, _output(found)
    top, *_ = found.lost_border or (0,)
    return Belief(
        said="The network answers for the whole picture, so its output is compared with the whole mask.",
        fact=f"It answers for the middle {rows}×{columns} of {height}×{width} pixels: the mask has to lose {top} "
        "pixels at each side, too, before the loss. Resized instead, almost every label lies wrong.",
        proof=(
            Proof("Output of the trace", shape_words(found.output_shape or ())),
            Proof("Part of the picture that it answers for", _share(rows * columns, height * width)),
        ),
        question=Question(config, (height, width)),
    )


def _any_large_size(config: UNetConfig) -> Belief:
    sides = range(config.height, config.height + 2**config.decoder_levels)
    verdicts = {side: verdict_at(config, (side, side)) for side in sides}
    even = [side for side, verdict in verdicts.items() if verdict == "works"]
    odd = next(side for side, verdict in verdicts.items() if verdict == "uneven")
    return Belief(
        said="Any picture that is large enough can be used: the skip connections are cropped to fit.",
        fact=f"Keras accepts it, but at most sizes a pooling gets an odd side and drops a row: the upsampled features "
        f"then lie beside the cropped skip connections. Only every {2**config.decoder_levels}th size is free of that.",
        proof=(
            Proof(f"Sizes {sides[0]} to {sides[-1]} at which every pooling gets even sides", ", ".join(map(str, even))),
            Proof(f"{odd}×{odd}", "accepted, and a pooling drops an odd row"),
        ),
        question=Question(config, (odd, odd)),
    )


# --- same padding -----------------------------------------------------------------------------------------------------


def _any_size(config: UNetConfig) -> Belief:
    step = 2**config.decoder_levels
    side = config.height - 6
    problem = trace(config, (side, side)).problem
    return Belief(
        said="It is fully convolutional, so it takes a picture of any size.",
        fact=f"Height and width have to be multiples of {step}: each of the {config.decoder_levels} poolings drops an "
        "odd row, and the upsampled features then differ from the skip connection by one.",
        proof=(
            Proof(f"{config.height}×{config.width}", verdict_at(config, (config.height, config.width))),
            Proof(f"{side}×{side}", f"breaks at {problem.layer}" if problem else "works"),
        ),
        question=Question(config, (side, side)),
    )


def _normalization_order(config: UNetConfig) -> Belief:
    order = [row.name.rpartition("_")[2] for row in trace(config).layers if row.name.startswith("encoder1_conv1_")]
    other = trace(config.replace(normalization_position="before_activation"))
    return Belief(
        said="Batch normalization follows the convolution, as in its paper.",
        fact='The code writes Conv2D(activation="relu") and then BatchNormalization, so the activation comes first and '
        "the normalization works on values that are never negative. Both orders train; they are not the same network.",
        proof=(
            Proof("After encoder1_conv1 come", ", ".join(order)),
            Proof(
                "Parameters of this order and of the other",
                f"{grouped(trace(config).total_params)} and {grouped(other.total_params)}",
            ),
        ),
    )


def _leaky_is_free(config: UNetConfig) -> Belief:
    leaky, plain = trace(config), trace(config.replace(activation="relu"))
    return Belief(
        said="Leaky ReLU makes the network larger or slower.",
        fact="It has no weights: shapes, parameters and multiply-accumulates are those with ReLU. Watch the slope "
        'instead: activation="leaky_relu" has 0.2, the layer LeakyReLU() has 0.3.',
        proof=(
            Proof(
                "Parameters with leaky ReLU and with ReLU",
                f"{grouped(leaky.total_params)} and {grouped(plain.total_params)}",
            ),
            Proof("MACs with leaky ReLU and with ReLU", f"{grouped(leaky.total_macs)} and {grouped(plain.total_macs)}"),
        ),
    )


def _transposed_padding(config: UNetConfig) -> Belief:
    size = (config.height, config.width)
    return Belief(
        said='Without padding="same" in Conv2DTranspose the merges fail on 256×256.',
        fact="With kernel 2 and stride 2 every pixel fills a 2×2 patch of its own: both paddings double the size "
        "exactly, and 256×256 works. What fails are sizes that are no multiple of 4, with either padding.",
        proof=(
            Proof(f"{size[0]}×{size[1]}", verdict_at(config, size)),
            Proof("254×254", verdict_at(config, (254, 254))),
        ),
        question=Question("no_padding", size),
    )


# --- pretrained encoders ----------------------------------------------------------------------------------------------


def _finest_skip(config: UNetConfig) -> Belief:
    found = trace(config)
    height, width, _ = max(skip.shape for skip in found.skips)
    return Belief(
        said="Skip connections bring back the detail of the full picture.",
        fact=f"The encoder's first layer already halves it: the finest skip connection has {height}×{width} pixels, "
        "and the last upsampling has to invent the outline between them.",
        proof=(
            Proof("Input", shape_words(found.input_shape)),
            Proof("Skip connections", ", ".join(f"{skip.shape[0]}×{skip.shape[1]}" for skip in found.skips)),
        ),
    )


def _frozen_is_small(config: UNetConfig) -> Belief:
    found = trace(config)
    own = [block for block in blocks(found) if block.name.startswith(("encoder", "bottleneck"))]
    encoder = sum(block.params for block in own)
    return Belief(
        said="The encoder is frozen and pretrained, so training concerns a small part of the network.",
        fact="What is trained is the larger part, the decoder's transposed convolutions: "
        f"{_share(found.trainable_params, found.total_params)} of all parameters.",
        proof=(
            Proof("Parameters of the encoder", grouped(encoder)),
            Proof("Parameters that are trained", grouped(found.trainable_params)),
        ),
    )


def _parameters_are_not_work(config: UNetConfig) -> Belief:
    found = trace(config)
    deepest = next(block for block in blocks(found) if block.name == "bottleneck")
    return Belief(
        said="Most parameters means most of the work.",
        fact="A weight of a small map is used at few pixels, one of a large map at many: "
        f"the bottleneck has {_share(deepest.params, found.total_params)} of the parameters and does "
        f"{_share(deepest.macs, found.total_macs)} of the multiply-accumulates.",
        proof=tuple(
            Proof(block.title, f"{_share(block.params, found.total_params)} of the parameters, "
                  f"{_share(block.macs, found.total_macs)} of the MACs")
            for block in blocks(found)
            if block.name in ("bottleneck", "decoder1")
        ),
    )  # fmt: skip


def _separable(config: UNetConfig) -> Belief:
    separable, full = trace(config), trace(config.replace(convolution="standard"))
    return Belief(
        said="A separable convolution is the same convolution, computed faster.",
        fact="It is another, weaker one: a 3×3 filter for each channel, then a 1×1 mix. It cannot weigh each channel's "
        "neighbours differently for each output, and so the network needs "
        f"{_share(separable.total_macs, full.total_macs)} of the multiply-accumulates.",
        proof=(
            Proof("MACs, separable and full", f"{grouped(separable.total_macs)} and {grouped(full.total_macs)}"),
            Proof(
                "Parameters, separable and full", f"{grouped(separable.total_params)} and {grouped(full.total_params)}"
            ),
        ),
    )


_BELIEFS: dict[str, tuple[Callable[[UNetConfig], Belief], ...]] = {
    "ronneberger2015": (_mask_is_smaller, _any_large_size),
    "bhatt2020": (_mask_is_smaller, _any_large_size),
    "machinecurve2022": (_mask_is_smaller, _any_large_size),
    "keras_basic": (_any_size,),
    "keras_basic+batchnorm": (_normalization_order, _any_size),
    "keras_basic+leaky_relu": (_leaky_is_free, _any_size),
    "subclassed": (_transposed_padding, _any_size),
    "mobilenetv2_tutorial": (_finest_skip, _frozen_is_small),
    "pets": (_finest_skip, _parameters_are_not_work),
    "pets_fast": (_separable, _finest_skip),
}
