"""The values for the templates of both programs, and the breaking of long lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from textwrap import wrap
from typing import ClassVar

import jinja2

from unet_core.architecture import layer_specs
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoder_walks import EFFICIENTNET_STAGES, FEATURE_LAYERS
from unet_core.architecture.encoders import ENCODERS
from unet_core.architecture.layer_specs import GROUPS, LayerSpec, Shape
from unet_core.architecture.trace import Trace, trace
from unet_core.explain.codegen.layers import layer_source, literal

WIDTH = 100  # of a line

_SCALES = {"unit": "0 to 1", "symmetric": "-1 to 1", "raw": "0 to 255"}
_TIMES = {1: "once", 2: "twice", 3: "three times", 4: "four times", None: "`count` times"}
_ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU", "gelu": "GELU", "swish": "swish"}


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,  # Python, not HTML
    )  # fmt: skip
    environment.filters |= {"literal": literal, "adding": adding}
    return environment


class Program:
    """The values for both templates, for one configuration."""

    template: ClassVar[str]  # a file in this folder

    def __init__(self, config: UNetConfig) -> None:
        self.config = config
        self.traced: Trace = trace(config)
        self.shapes: dict[str, Shape] = {row.name: row.output_shape for row in self.traced.layers}
        self.pretrained = config.encoder != "none"
        self.encoder = ENCODERS.get(config.encoder)
        self.efficientnet_stages = EFFICIENTNET_STAGES

    def program(self) -> str:
        """Return the program."""
        text = _templates().get_template(self.template).render(program=self, config=self.config)
        return "\n".join(map(broken_line, text.split("\n")))

    def comment(self, layer: str) -> str:
        """Return the shape of a layer's output as a comment; empty if the network breaks before it."""
        return f"  # (B, {', '.join(map(str, self.shapes[layer]))})" if layer in self.shapes else ""

    # -- words --

    @property
    def output_kind(self) -> str:
        """The kind of output: "logits" or "probabilities"."""
        return "logits" if self.config.head_activation == "none" else "probabilities"

    @property
    def signature(self) -> str:
        """The input's and output's shapes in words."""
        before = f"(B, {', '.join(map(str, self.config.input_shape))}) images"
        output = self.traced.output_shape
        if output is None:
            return before
        return f"{before} -> (B, {', '.join(map(str, output))}) {self.output_kind}"

    @property
    def summary_lines(self) -> list[str]:
        """The numbers of parameters and the range of the image's values, wrapped."""
        traced = self.traced
        parameters = f"{traced.total_params:,} parameters"
        if traced.trainable_params != traced.total_params:
            parameters += f", {traced.trainable_params:,} of them trainable"
        return wrap(f"{parameters}. Image values are {self.value_range}.", WIDTH)

    @property
    def weights_lines(self) -> list[str]:
        """What the program needs besides Keras for the encoder's weights, one line each."""
        weights = self.config.encoder_weights
        if self.encoder is None or weights == "none":
            return []
        if weights != "imagenet":
            # A name may be any text, which could end the docstring.
            name = weights if re.fullmatch(r"[\w./-]{1,60}", weights) else "named in the code below"
            return [f"Needs the file with the encoder's weights, {name}."]
        if self.encoder.application:
            return ["Downloads the encoder's ImageNet weights when it runs for the first time."]
        name = f"{self.config.encoder}.weights.h5"
        return [
            f"Needs the file {name} with the encoder's ImageNet weights,",
            "which this command writes in U-Net Studio's folder:",
            f"python -m unet_core encoder-weights {self.config.encoder} --out {name}",
        ]

    @property
    def value_range(self) -> str:
        """The range of the image's values in words."""
        preprocessing = self.config.preprocessing
        if preprocessing.scale != "standardize":
            return _SCALES[preprocessing.scale]
        if preprocessing.mean is None:
            return "(value / 255 - mean) / std, mean and std of each channel of the training photos"
        return f"(value / 255 - mean) / std, mean {preprocessing.mean} and std {preprocessing.std}"

    @property
    def problem_lines(self) -> list[str]:
        """The problem with the input size, wrapped."""
        return wrap(self.traced.problem.message, WIDTH) if self.traced.problem else []

    @property
    def convolution_words(self) -> str:
        """A block in words: "3x3 convolution and ReLU, twice"."""
        config = self.config
        kernel = f"{config.kernel_size}x{config.kernel_size} convolution"
        steps = [f"separable {kernel}" if config.convolution == "separable" else kernel]
        if config.normalization != "none":
            steps.append(f"{config.normalization} normalization")
        steps.insert(1 if config.normalization_position == "after_activation" else 2, _ACTIVATIONS[config.activation])
        return f"{', '.join(steps[:-1])} and {steps[-1]}, {_TIMES[self.count]}"

    # -- layers in the bodies of loops and functions --

    def in_loop(self, specs: Iterable[LayerSpec]) -> list[str]:
        """Return the expressions of layers with `filters` filters."""
        return [layer_source(spec, filters="filters", groups=self.groups) for spec in specs]

    @cached_property
    def convolution_layers(self) -> list[str]:
        """One convolution of a block, with normalization and activation; `name` is the block's."""
        return self.in_loop(layer_specs.convolution(self.config, 1, "{name}_conv{number}"))

    def upsampling_layers(self, block: str = "{name}") -> list[str]:
        """Return the layers that upsample the features."""
        return self.in_loop(layer_specs.upsampling(self.config, 1, block))

    @property
    def bottleneck_dropout(self) -> list[str]:
        """The dropout at the end of the contracting path: one layer or none."""
        return [layer_source(spec) for spec in layer_specs.bottleneck_dropout(self.config)]

    def decoder_dropout(self, block: str) -> list[str]:
        """The dropout of a decoder block: one layer or none."""
        return [layer_source(spec) for spec in layer_specs.decoder_dropout(self.config, block)]

    @property
    def lost_border(self) -> str:
        """What a block removes from height and width, as source: " - 4"; empty where nothing is lost."""
        if not self.config.loses_border:
            return ""
        each = self.config.kernel_size - 1
        return f" - {each * self.count}" if self.count else f" - {each} * count" if each > 1 else " - count"

    @property
    def head_layers(self) -> list[str]:
        """The classifier's layers."""
        return [layer_source(spec) for spec in layer_specs.head(self.config)]

    @cached_property
    def groups(self) -> str:
        """Group normalization's groups as source."""
        config = self.config
        used = {config.decoder_filters(level) for level in config.decoder_blocks}
        if not self.pretrained:
            used.add(config.level_filters[-1])
        return str(GROUPS) if all(count % GROUPS == 0 for count in used) else f"math.gcd({GROUPS}, filters)"

    @property
    def needs_math(self) -> bool:
        """Whether the program computes the number of groups."""
        return self.config.normalization == "group" and self.groups != str(GROUPS)

    @property
    def count(self) -> int | None:
        """The number of convolutions in every block, None if encoder and decoder differ."""
        config = self.config
        if self.pretrained:
            return config.decoder_convolutions
        same = config.decoder_convolutions in (0, config.encoder_convolutions)
        return config.encoder_convolutions if same else None

    @property
    def has_blocks(self) -> bool:
        """Whether the network has blocks of convolutions."""
        return not self.pretrained or self.config.decoder_convolutions > 0

    # -- the pretrained encoder --

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The names of the encoder's feature maps, from stride 2 on."""
        return FEATURE_LAYERS[self.config.encoder][: self.config.depth]

    @property
    def encoder_words(self) -> str:
        """The encoder's origin."""
        if self.encoder is not None and self.encoder.application:
            return "ready-made classification network of keras.applications"
        return "classification network"

    @property
    def lite0_source(self) -> str:
        """The function that builds EfficientNet-Lite0."""
        return _lite0_source()


@cache
def _lite0_source() -> str:
    """Return the source of the function that builds EfficientNet-Lite0, without importing it and so Keras."""
    text = (Path(__file__).parents[2] / "models/efficientnet_lite.py").read_text(encoding="utf-8")
    functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    built = next(node for node in functions if node.name == "efficientnet_lite0")
    return ast.get_source_segment(text, built) or ""


# --- long lines -------------------------------------------------------------------------------------------------------


def adding(layer: str, level: int) -> str:
    """Return the statements, indented by `level` steps, that add a layer to `block`: two if one is too long."""
    margin = "    " * level
    whole = f"{margin}block.add({layer})"
    return whole if len(whole) <= WIDTH else f"{margin}layer = {layer}\n{margin}block.add(layer)"


def broken_line(line: str) -> str:
    """Break the arguments of a line's first call if the line is too long without its comment."""
    if len(line) <= WIDTH:
        return line
    code, mark, comment = line.rpartition("  # (B, ")
    if mark and '"' not in comment:  # not in a string
        return broken_line(code)
    code = line
    start = code.find("(")
    if start < 0:
        return code
    margin = " " * (len(code) - len(code.lstrip()))
    end = _closing(code, start)
    arguments = _arguments(code[start + 1 : end])
    one = f"{margin}    {', '.join(arguments)}"
    inner = one if len(one) <= WIDTH else "\n".join(f"{margin}    {argument}," for argument in arguments)
    return f"{code[: start + 1]}\n{inner}\n{margin}{code[end:]}"


def _closing(text: str, start: int) -> int:
    """Return the index of the bracket that closes the one at `start`."""
    return next(start + index for index, depth in _code(text[start:]) if depth == 0)


def _code(text: str) -> Iterator[tuple[int, int]]:
    """Yield the index of each character outside strings, and the depth of brackets after it."""
    depth, quoted = 0, False
    for index, character in enumerate(text):
        if character == '"' and text[index - 1 : index] != "\\":
            quoted = not quoted
        if not quoted:
            depth += (character in "([{") - (character in ")]}")
            yield index, depth


def _arguments(text: str) -> list[str]:
    """Split a call's arguments at the commas of their own level."""
    commas = [index for index, depth in _code(text) if depth == 0 and text[index] == ","]
    starts, ends = [0, *(index + 1 for index in commas)], [*commas, len(text)]
    return [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
