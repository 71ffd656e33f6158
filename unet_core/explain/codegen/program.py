"""What the functional and the subclassed program share: how lines are laid out, and the pieces both are made of."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from textwrap import wrap

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoder_walks import EFFICIENTNET_STAGES, FEATURE_LAYERS
from unet_core.architecture.encoders import ENCODERS
from unet_core.architecture.trace import Trace, trace
from unet_core.architecture.tracer import Shape
from unet_core.explain.codegen import layers as source

WIDTH = 100  # of a line

_SCALES = {"unit": "0 to 1", "symmetric": "-1 to 1", "raw": "0 to 255"}
_TIMES = {1: "once", 2: "twice", 3: "three times", 4: "four times", None: "`count` times"}
_ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU", "gelu": "GELU", "swish": "swish"}


# --- laying out lines -------------------------------------------------------------------------------------------------


def statement(text: str, level: int = 0, comment: str = "") -> str:
    """Indent one assignment by `level` steps, and break the arguments of its first call where the line is too long.

    A trailing comment is left out where there is no room for it.
    """
    margin = "    " * level
    whole = f"{margin}{text}"
    if comment and len(whole) + 4 + len(comment) <= WIDTH:
        return f"{whole}  # {comment}"
    if len(whole) <= WIDTH:
        return whole
    start = text.index("(")
    end = _closing(text, start)
    arguments = _arguments(text[start + 1 : end])
    one = f"{margin}    {', '.join(arguments)}"
    inner = one if len(one) <= WIDTH else "\n".join(f"{margin}    {argument}," for argument in arguments)
    return f"{margin}{text[: start + 1]}\n{inner}\n{margin}{text[end:]}"


def _closing(text: str, start: int) -> int:
    """Return the index of the bracket that closes the one at `start`."""
    depth, quoted = 0, False
    for index in range(start, len(text)):
        character = text[index]
        if character == '"' and text[index - 1] != "\\":
            quoted = not quoted
        if quoted:
            continue
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return index
    raise ValueError(f"no closing bracket in {text!r}")


def _arguments(text: str) -> list[str]:
    """Split a call's arguments at the commas of their own level."""
    found, depth, quoted, begin = [], 0, False, 0
    for index, character in enumerate(text):
        if character == '"' and text[index - 1 : index] != "\\":
            quoted = not quoted
        if quoted:
            continue
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            found.append(text[begin:index].strip())
            begin = index + 1
    return [*found, text[begin:].strip()]


def applied(layer: str) -> str:
    """Return the statement that sends `x` through a layer."""
    return f"x = {layer}(x)"


# --- what both programs share -----------------------------------------------------------------------------------------


class Program:
    """Pieces of a program for one configuration."""

    def __init__(self, config: UNetConfig) -> None:
        self.config = config
        self.traced: Trace = trace(config)
        self.shapes: dict[str, Shape] = {row.name: row.output_shape for row in self.traced.layers}
        self.pretrained = config.encoder != "none"

    def shape(self, name: str) -> str:
        """Return the shape of a layer's output as "(B, 66, 66, 512)"; empty where the network breaks before."""
        return f"(B, {', '.join(map(str, self.shapes[name]))})" if name in self.shapes else ""

    def last_of(self, block_name: str) -> str:
        """Return the name of a block's last layer, halving left out; empty where the network breaks before."""
        names = [row.name for row in self.traced.layers if row.block == block_name]
        names = [name for name in names if name != f"{block_name}_pool"]
        return names[-1] if names else ""

    @property
    def output_kind(self) -> str:
        """What the network gives: "logits" or "probabilities"."""
        return "logits" if self.config.head_activation == "none" else "probabilities"

    def signature(self) -> str:
        """Return the input's and output's shapes in words."""
        before = f"(B, {', '.join(map(str, self.config.input_shape))})"
        if not self.traced.valid:
            return f"{before} images"
        return f"{before} images -> (B, {', '.join(map(str, self.traced.output_shape))}) {self.output_kind}"

    def module_docstring(self) -> str:
        """Return what the program says about itself, at its top."""
        values = _SCALES[self.config.preprocessing.scale]
        lines = [f'"""U-Net: {self.signature()}.', ""]
        if self.traced.valid:
            trainable = ""
            if self.traced.trainable_params != self.traced.total_params:
                trainable = f", {self.traced.trainable_params:,} of them trainable"
            lines.append(f"{self.traced.total_params:,} parameters{trainable}. Image values lie in {values}.")
        else:
            lines += [
                f"This size does not work, Keras raises a ValueError at {self.traced.problem.layer}:",
                *wrap(self.traced.problem.message, WIDTH),
            ]
        lines += ['Needs Keras 3 with any of its backends: pip install "keras>=3" tensorflow', '"""']
        return "\n".join(lines)

    def imports(self) -> str:
        """Return the import lines."""
        return f"{'import math' + chr(10) * 2 if self._needs_math() else ''}import keras\nfrom keras import layers"

    def _needs_math(self) -> bool:
        return self.config.normalization == "group" and self.groups("filters") != str(source.GROUPS)

    def groups(self, filters: str) -> str:
        """Return group normalization's groups as source."""
        config = self.config
        used = list(config.level_filters[: config.decoder_levels if self.pretrained else config.depth])
        if self.full_size_block:
            used.append(self.decoder_filters(0))
        if all(count % source.GROUPS == 0 for count in used):
            return str(source.GROUPS)
        return f"math.gcd({source.GROUPS}, {filters})"

    @property
    def full_size_block(self) -> bool:
        """Whether a block above the pretrained encoder's stem brings the features back to the input's size."""
        return self.pretrained and self.config.head == "conv"

    def decoder_filters(self, level: int) -> int:
        """Return the filters of decoder block `level`."""
        filters = self.config.level_filters
        return filters[level - 1] if level else max(1, filters[0] // 2)

    def convolution_words(self, count: int | None) -> str:
        """Describe a block, for a docstring: "3x3 convolution and ReLU, twice"."""
        config = self.config
        steps = ["separable 3x3 convolution" if config.convolution == "separable" else "3x3 convolution"]
        if config.normalization != "none":
            steps.append(f"{config.normalization} normalization")
        return f"{', '.join(steps)} and {_ACTIVATIONS[config.activation]}, {_TIMES[count]}"

    def count(self) -> int | None:
        """Return the convolutions of every block, None where encoder and decoder have different numbers."""
        config = self.config
        if self.pretrained:
            return config.decoder_convolutions
        same = config.decoder_convolutions in (0, config.encoder_convolutions)
        return config.encoder_convolutions if same else None

    def numbers(self) -> str:
        """Return what a block's loop over its convolutions runs over."""
        return f"range(1, {self.count() + 1})" if self.count() else "range(1, count + 1)"

    @property
    def has_blocks(self) -> bool:
        """Whether there are blocks of convolutions at all."""
        return not self.pretrained or self.config.decoder_convolutions > 0

    def normalization_and_activation(self, filters: str, name: str) -> list[str]:
        """Return what follows a convolution; `name` is its name inside an f-string."""
        norm = source.normalization(self.config, self.groups(filters), f'f"{name}_norm"')
        activation = source.activation(self.config.activation, f'f"{name}_activation"')
        return [step for step in (norm, activation) if step]

    def upsampling_steps(self, filters: str, name: str) -> list[str]:
        """Return the layers that double the features; `name` is the block's name inside an f-string."""
        config = self.config
        steps = []
        if config.upsampling != "transposed":
            steps.append(source.upsampling(config.upsampling, f'f"{name}_upsample"'))
        if config.up_convolution:
            steps.append(source.up_convolution(config, filters, f'f"{name}_upconv"'))
            if config.up_activation:
                steps += self.normalization_and_activation(filters, f"{name}_upconv")
        return steps

    def encoder_lines(self) -> list[str]:
        """Return the function body that makes the pretrained encoder and picks its feature maps, from `image`."""
        config = self.config
        weights = "None" if config.encoder_weights == "none" else source.literal(config.encoder_weights)
        alpha = config.encoder_width if config.encoder == "mobilenet_v2" else None
        efficient = config.encoder == "efficientnet_b0"
        own_weights = "None" if efficient and config.encoder_weights == "imagenet" else weights
        application = ENCODERS[config.encoder].application
        if application is None:
            lines = ["    encoder = efficientnet_lite0(image)", *_lite_weights_lines(config.encoder_weights)]
        else:
            make = source.call(
                f"keras.applications.{application}",
                alpha=alpha, include_top="False", weights=own_weights, input_tensor="image",
            )  # fmt: skip
            lines = [statement(f"encoder = {make}", 1)]
        if efficient:
            lines.append(_EFFICIENTNET_NAMES)
            if config.encoder_weights == "imagenet":
                lines.append(_EFFICIENTNET_WEIGHTS)
        if config.encoder_frozen:
            lines.append("    encoder.trainable = False  # keep the weights as they are")
        elif config.encoder_batchnorm_frozen:
            lines.append(_FROZEN_NORMS)
        elif config.encoder == "mobilenet_v2" or config.batch_momentum != 0.99:
            lines.append(_TRAINED_NORMS.format(momentum=config.batch_momentum))
        return lines

    def encoder_words(self) -> str:
        """Return the sentence of a docstring that says where the encoder comes from."""
        if ENCODERS[self.config.encoder].application is None:
            return "The encoder is a classification network without its top."
        return "The encoder is a ready-made classification network of keras.applications without its top."

    def own_encoder(self) -> list[str]:
        """Return the function that builds an encoder which Keras does not have; nothing where it has."""
        if not self.pretrained or ENCODERS[self.config.encoder].application is not None:
            return []
        rows = "".join(f"    {tuple(stage)},\n" for stage in EFFICIENTNET_STAGES)
        stages = f"# Kernel, blocks, filters, expansion and first stride.\nEFFICIENTNET_STAGES = (\n{rows})"
        return [stages, _lite0_source()]

    def feature_layers(self) -> str:
        """Return the constant that names the encoder's feature maps."""
        names = FEATURE_LAYERS[self.config.encoder][: self.config.depth]
        strides = [2**level for level in range(1, self.config.depth + 1)]
        rows = [f"    {source.literal(name)},  # stride {stride}" for name, stride in zip(names, strides, strict=True)]
        return "\n".join(["# The encoder's last feature map before each halving.", "FEATURE_LAYERS = (", *rows, ")"])


@cache
def _lite0_source() -> str:
    """Return the function that builds EfficientNet-Lite0 here; read as text, since to import it is to import Keras."""
    text = (Path(__file__).parents[2] / "models/efficientnet_lite.py").read_text(encoding="utf-8")
    functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    built = next(node for node in functions if node.name == "efficientnet_lite0")
    return ast.get_source_segment(text, built) or ""


def _lite_weights_lines(weights: str) -> list[str]:
    if weights == "none":
        return []
    if weights != "imagenet":
        return [f"    encoder.load_weights({source.literal(weights)})"]
    return [
        "    # Its ImageNet weights are written to that file by",
        "    # python -m unet_core encoder-weights efficientnet_lite0 --out efficientnet_lite0.weights.h5",
        '    encoder.load_weights("efficientnet_lite0.weights.h5")',
    ]


_EFFICIENTNET_NAMES = """\
    # Keras numbers these two layers anew in every process; give them names that stay.
    for layer in encoder.layers:
        if isinstance(layer, (layers.Rescaling, layers.Normalization)):
            layer.name = f"encoder_{type(layer).__name__.lower()}\""""

_EFFICIENTNET_WEIGHTS = """\
    # With weights="imagenet" Keras adds a layer that divides by the colours' standard deviations.
    # Here the normalization's variance takes them in, so the architecture never depends on weights.
    original = keras.applications.EfficientNetB0(include_top=False, weights="imagenet")
    encoder.set_weights(original.get_weights())
    normalization = encoder.get_layer("encoder_normalization")
    mean, variance, count = normalization.get_weights()
    normalization.set_weights([mean, variance * (0.229, 0.224, 0.225), count])
    normalization.finalize_state()"""

_FROZEN_NORMS = """\
    for layer in encoder.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False  # also run it on its stored statistics while training"""

_TRAINED_NORMS = """\
    for layer in encoder.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = {momentum}  # of the moving averages that prediction uses"""
