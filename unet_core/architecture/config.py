"""A U-Net as data: one frozen, validated configuration.

Nothing here imports TensorFlow or Keras, so a web process can read, check and change a configuration in
microseconds. `unet_core.architecture.trace` turns a configuration into exact shapes, `unet_core.models` into a Keras
model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from unet_core.architecture.encoders import ENCODERS
from unet_core.errors import ConfigError
from unet_core.strict import Strict

Padding = Literal["valid", "same"]
Upsampling = Literal["transposed", "nearest", "bilinear"]
Normalization = Literal["none", "batch", "layer", "group"]
NormalizationPosition = Literal["before_activation", "after_activation"]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "swish"]
Pooling = Literal["max", "average", "strided"]
Convolution = Literal["standard", "separable"]
Initializer = Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "random_normal"]
SkipMode = Literal["crop", "pad", "resize", "strict", "none"]
HeadActivation = Literal["none", "sigmoid", "softmax"]
Head = Literal["conv", "resize", "transposed"]
Scale = Literal["unit", "symmetric", "raw", "standardize"]
Encoder = Literal["none", "mobilenet_v2", "efficientnet_b0", "efficientnet_lite0"]

MIN_DEPTH, MAX_DEPTH = 2, 6
MAX_SIDE = 16_384
MAX_CHANNELS = 64  # of the input
MAX_FILTERS = 8_192
MAX_KERNEL = 7  # side of a convolution's window

PerChannel = float | tuple[float, ...]  # one number for all channels, or one for each
Filters = Annotated[StrictInt, Field(ge=1, le=MAX_FILTERS)]


class Preprocessing(Strict):
    """How a photo becomes the network's input; stored with the model.

    `resize`: "stretch" distorts the photo to the input size, "pad" keeps its proportions and adds black borders.
    `scale`: "unit" maps 0…255 to 0…1, "symmetric" to −1…1, "raw" leaves 0…255; "standardize" maps to 0…1, subtracts
    `mean` and divides by `std`, one number per channel each, which training measures where they are not given.
    """

    resize: Literal["stretch", "pad"] = "stretch"
    scale: Scale = "unit"
    mean: tuple[StrictFloat, ...] | None = Field(default=None, min_length=1, max_length=MAX_CHANNELS)
    std: tuple[Annotated[StrictFloat, Field(gt=0)], ...] | None = Field(
        default=None, min_length=1, max_length=MAX_CHANNELS
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean: is given together with std, or neither is")
        if self.mean is None or self.std is None:
            return self
        if self.scale != "standardize":
            raise ValueError(f"mean: needs scale 'standardize'. Received: {self.scale!r}")
        if len(self.mean) != len(self.std):
            raise ValueError(f"std: needs as many numbers as mean, {len(self.mean)}. Received: {len(self.std)}")
        return self

    @property
    def is_measured(self) -> bool:
        """Whether the scale is complete: "standardize" needs the mean and deviation of the training photos."""
        return self.scale != "standardize" or self.mean is not None

    @property
    def scaling(self) -> tuple[PerChannel, PerChannel]:
        """Divisor and shift from 0…255 to the network's values: value = pixel / divisor - shift.

        Raises:
            ConfigError: the scale is "standardize", and mean and deviation are not measured yet.
        """
        if self.scale == "standardize":
            if self.mean is None or self.std is None:
                raise ConfigError("preprocessing: mean and std are measured at the start of training; train it first")
            shift = tuple(mean / deviation for mean, deviation in zip(self.mean, self.std))
            return tuple(255.0 * deviation for deviation in self.std), shift
        return {"unit": (255.0, 0.0), "symmetric": (127.5, 1.0), "raw": (1.0, 0.0)}[self.scale]

    @property
    def to_pixels(self) -> tuple[PerChannel, PerChannel]:
        """Factor and offset from the network's values to 0…255: pixel = value · factor + offset."""
        divisor, shift = self.scaling
        return divisor, _each(lambda factor, value: factor * value, divisor, shift)

    @property
    def value_range(self) -> tuple[PerChannel, PerChannel]:
        """The network's values for black and white."""
        divisor, shift = self.scaling
        black = _each(lambda _, value: 0.0 - value, divisor, shift)
        return black, _each(lambda factor, value: 255.0 / factor - value, divisor, shift)

    def with_scale(self, scale: Scale) -> Preprocessing:
        """Return a copy with this scale and nothing measured."""
        return self.replace(scale=scale, mean=None, std=None)


def _each(compute: Callable[[float, float], float], one: PerChannel, other: PerChannel) -> PerChannel:
    """Compute from two numbers, or from two numbers per channel."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return tuple(map(compute, one, other))
    assert not isinstance(one, tuple)
    assert not isinstance(other, tuple)
    return compute(one, other)


class UNetConfig(Strict):
    """Every choice that defines one U-Net. Frozen; equal values mean an equal network.

    `depth` counts resolution levels, including the bottleneck: the paper's network has 5. With a pretrained encoder,
    level 1 is the encoder's first halving (stride 2), so depth 5 ends at stride 32.

    Raises:
        ConfigError: one error that names each invalid field, what is allowed and what was received.
    """

    # --- input and output ---------------------------------------------------------------------------------------
    height: StrictInt = Field(default=256, ge=1, le=MAX_SIDE)
    width: StrictInt = Field(default=256, ge=1, le=MAX_SIDE)
    channels: StrictInt = Field(default=3, ge=1, le=MAX_CHANNELS)
    classes: StrictInt = Field(default=3, ge=1, le=256)
    preprocessing: Preprocessing = Preprocessing()

    # --- the U --------------------------------------------------------------------------------------------------
    depth: StrictInt = Field(default=4, ge=MIN_DEPTH, le=MAX_DEPTH)
    base_filters: Filters = 64  # doubles at every level below
    filters: tuple[Filters, ...] | None = None  # one per level instead of doubling, shallow first
    encoder_convolutions: StrictInt = Field(default=2, ge=1, le=4)  # in encoder blocks and the bottleneck
    decoder_convolutions: StrictInt = Field(default=2, ge=0, le=4)  # after each merge
    kernel_size: StrictInt = Field(default=3, ge=1, le=MAX_KERNEL)  # side of the convolutions in blocks
    padding: Padding = "same"
    pooling: Pooling = "max"
    upsampling: Upsampling = "transposed"
    up_convolution: StrictBool = True  # a 2×2 convolution after nearest/bilinear upsampling, as in the paper
    up_kernel: StrictInt = Field(default=2, ge=2, le=4)  # kernel side of the up-convolution
    up_activation: StrictBool = False  # normalization and activation also after the up-convolution
    skip_mode: SkipMode = "crop"

    # --- convolutions -------------------------------------------------------------------------------------------
    convolution: Convolution = "standard"
    convolution_bias: StrictBool = True  # the head always has one
    normalization: Normalization = "none"
    normalization_position: NormalizationPosition = "before_activation"
    batch_momentum: StrictFloat = Field(default=0.99, gt=0, lt=1)  # of batch normalization's moving averages
    activation: Activation = "relu"
    initializer: Initializer = "glorot_uniform"
    spatial_dropout: StrictFloat = Field(default=0.0, ge=0, lt=1)  # of whole channels, at the end of the encoder
    decoder_dropout: StrictFloat = Field(default=0.0, ge=0, lt=1)  # of whole channels, after each merge

    # --- the head -----------------------------------------------------------------------------------------------
    head: Head = "conv"
    head_activation: HeadActivation = "none"  # none = logits

    # --- a pretrained contracting path --------------------------------------------------------------------------
    encoder: Encoder = "none"
    encoder_width: StrictFloat = 1.0  # MobileNetV2's width multiplier
    encoder_weights: str = "none"  # "none", "imagenet" (downloads once) or a file that ends in .weights.h5
    encoder_frozen: StrictBool = False  # do not train the encoder
    encoder_batchnorm_frozen: StrictBool = True  # the encoder's BatchNorm uses its stored statistics

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems: list[str] = []
        measured = self.preprocessing.mean
        if measured is not None and len(measured) != self.channels:
            problems.append(
                f"preprocessing.mean: needs {self.channels} numbers, one per channel. Received: {len(measured)}"
            )
        if self.filters is not None and len(self.filters) != self.decoder_levels + (self.encoder == "none"):
            wanted = self.decoder_levels + (self.encoder == "none")
            problems.append(
                f"filters: needs {wanted} entries, one per {'decoder ' * (self.encoder != 'none')}level, "
                f"for depth {self.depth}. Received: {list(self.filters)}"
            )
        if self.filters is None and self.base_filters * 2 ** (self.depth - 1) > MAX_FILTERS:
            problems.append(
                f"base_filters: may not exceed {MAX_FILTERS} at the deepest level "
                f"(base_filters · 2^{self.depth - 1}). Received: {self.base_filters}"
            )
        if self.upsampling == "transposed" and not self.up_convolution:
            problems.append("up_convolution: must be true for upsampling 'transposed'. Received: False")
        if self.head_activation == "softmax" and self.classes == 1:
            problems.append("head_activation: 'softmax' needs at least 2 classes; use 'sigmoid'. Received: 'softmax'")
        if self.encoder == "none":
            if self.head != "conv":
                problems.append(f"head: must be 'conv' without a pretrained encoder. Received: {self.head!r}")
            if self.encoder_weights != "none":
                problems.append(f"encoder_weights: needs an encoder. Received: {self.encoder_weights!r}")
        else:
            problems.extend(self._encoder_problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _encoder_problems(self) -> list[str]:
        problems = []
        if self.depth > 5:
            problems.append(f"depth: must be 2 to 5 with encoder {self.encoder!r}. Received: {self.depth}")
        if self.padding != "same":
            problems.append(f"padding: must be 'same' with encoder {self.encoder!r}. Received: {self.padding!r}")
        if self.encoder_weights not in ("none", "imagenet") and not self.encoder_weights.endswith(".weights.h5"):
            problems.append(
                "encoder_weights: must be 'none', 'imagenet' or a file that ends in .weights.h5. "
                f"Received: {self.encoder_weights!r}"
            )
        kind = ENCODERS[self.encoder]
        if self.encoder_weights != "none" and self.preprocessing.scale != kind.scale:
            problems.append(
                f"preprocessing.scale: pretrained {self.encoder} weights expect {kind.scale!r}. "
                f"Received: {self.preprocessing.scale!r}"
            )
        if self.encoder_weights != "none" and self.channels != 3:
            problems.append(f"channels: pretrained encoder weights need 3 (RGB). Received: {self.channels}")
        if self.encoder_width not in kind.widths:
            allowed = "one of " * (len(kind.widths) > 1) + ", ".join(map(str, kind.widths))
            problems.append(
                f"encoder_width: must be {allowed} with encoder {self.encoder!r}. Received: {self.encoder_width}"
            )
        if self.encoder == "efficientnet_b0" and self.channels != 3:
            problems.append(f"channels: efficientnet_b0 normalizes RGB, so it needs 3. Received: {self.channels}")
        return problems

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the input."""
        return self.height, self.width, self.channels

    @property
    def loses_border(self) -> bool:
        """Whether convolutions in blocks remove a border: without padding, unless they are 1×1."""
        return self.padding == "valid" and self.kernel_size > 1

    @property
    def decoder_levels(self) -> int:
        """Number of upsampling-and-merge blocks: one less than `depth`."""
        return self.depth - 1

    @property
    def decoder_blocks(self) -> range:
        """Levels of all decoder blocks, deepest first; level 0, without a merge, needs a pretrained encoder."""
        return range(self.decoder_levels, -1 if self.has_full_size_block else 0, -1)

    @property
    def has_full_size_block(self) -> bool:
        """Whether a block above the pretrained encoder's stem brings the features back to the input's size."""
        return self.encoder != "none" and self.head == "conv"

    @property
    def level_filters(self) -> tuple[int, ...]:
        """Filters per level, shallow first, the bottleneck last (unused with a pretrained encoder)."""
        if self.filters is not None:
            return self.filters
        return tuple(self.base_filters * 2**level for level in range(self.depth))

    def encoder_filters(self, level: int) -> int:
        """Return the filters of encoder block `level`; level `depth` is the bottleneck."""
        return self.level_filters[level - 1]

    def decoder_filters(self, level: int) -> int:
        """Return the filters of decoder block `level`; level 0, at the input's size, has half of level 1's."""
        filters = self.level_filters
        return filters[level - 1] if level else max(1, filters[0] // 2)
