"""What a U-Net is, as data: one frozen, validated configuration and the named presets.

Nothing here imports TensorFlow or Keras, so a web process can read, check and change a configuration in
microseconds. `unet_core.trace` turns a configuration into exact shapes, `unet_core.models` into a Keras model.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    model_validator,
)

from unet_core.encoders import ENCODERS
from unet_core.errors import ConfigError
from unet_core.strict import Strict

Padding = Literal["valid", "same"]
Upsampling = Literal["transposed", "nearest", "bilinear"]
Normalization = Literal["none", "batch", "layer", "group"]
Activation = Literal["relu", "leaky_relu", "elu", "gelu", "swish"]
Pooling = Literal["max", "average", "strided"]
Convolution = Literal["standard", "separable"]
Initializer = Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "random_normal"]
SkipMode = Literal["crop", "pad", "resize", "strict", "none"]
HeadActivation = Literal["none", "sigmoid", "softmax"]
Head = Literal["conv", "resize", "transposed"]
Encoder = Literal["none", "mobilenet_v2", "efficientnet_b0", "efficientnet_lite0"]

MIN_DEPTH, MAX_DEPTH = 2, 6
MAX_SIDE = 16_384
MAX_FILTERS = 8_192

Filters = Annotated[StrictInt, Field(ge=1, le=MAX_FILTERS)]


class Preprocessing(Strict):
    """How a photo becomes the network's input; stored with the model so that no caller has to guess.

    `resize`: "stretch" squeezes the photo to the input size, "pad" keeps its proportions on a black canvas.
    `scale`: "unit" maps 0…255 to 0…1, "symmetric" to −1…1, "raw" leaves 0…255.
    """

    resize: Literal["stretch", "pad"] = "stretch"
    scale: Literal["unit", "symmetric", "raw"] = "unit"

    @property
    def to_pixels(self) -> tuple[float, float]:
        """Factor and offset that bring the network's values back to 0…255: pixel = value · factor + offset."""
        return {"unit": (255.0, 0.0), "symmetric": (127.5, 127.5), "raw": (1.0, 0.0)}[self.scale]


class UNetConfig(Strict):
    """Every choice that makes one U-Net. Frozen; equal values mean an equal network.

    `depth` counts resolution levels, the bottleneck included: the paper's network has 5. With a pretrained encoder
    level 1 is the encoder's first halving (stride 2), so depth 5 ends at stride 32.

    Raises:
        ConfigError: one error that names each bad field, what is allowed and what was received.
    """

    # --- what goes in and comes out -----------------------------------------------------------------------------
    height: StrictInt = Field(256, ge=1, le=MAX_SIDE)
    width: StrictInt = Field(256, ge=1, le=MAX_SIDE)
    channels: StrictInt = Field(3, ge=1, le=64)
    classes: StrictInt = Field(3, ge=1, le=256)
    preprocessing: Preprocessing = Preprocessing()

    # --- the U --------------------------------------------------------------------------------------------------
    depth: StrictInt = Field(4, ge=MIN_DEPTH, le=MAX_DEPTH)
    base_filters: Filters = 64  # doubles at every level below
    filters: tuple[Filters, ...] | None = None  # one per level instead of doubling, shallow first
    encoder_convolutions: StrictInt = Field(2, ge=1, le=4)  # 3×3 convolutions in an encoder block and the bottleneck
    decoder_convolutions: StrictInt = Field(2, ge=0, le=4)  # 3×3 convolutions after each merge
    padding: Padding = "same"
    pooling: Pooling = "max"
    upsampling: Upsampling = "transposed"
    up_convolution: StrictBool = True  # a 2×2 convolution after nearest/bilinear upsampling, as in the paper
    up_kernel: StrictInt = Field(2, ge=2, le=4)  # kernel side of the up-convolution
    up_activation: StrictBool = False  # normalization and activation after the up-convolution too
    skip_mode: SkipMode = "crop"

    # --- what a convolution is ----------------------------------------------------------------------------------
    convolution: Convolution = "standard"
    convolution_bias: StrictBool = True  # the head always has one
    normalization: Normalization = "none"
    batch_momentum: StrictFloat = Field(0.99, gt=0, lt=1)  # of batch normalization's moving averages
    activation: Activation = "relu"
    initializer: Initializer = "glorot_uniform"
    spatial_dropout: StrictFloat = Field(0.0, ge=0, lt=1)  # drops whole channels at the end of the contracting path

    # --- the head -----------------------------------------------------------------------------------------------
    head: Head = "conv"
    head_activation: HeadActivation = "none"  # none = logits

    # --- a pretrained contracting path --------------------------------------------------------------------------
    encoder: Encoder = "none"
    encoder_width: StrictFloat = 1.0  # MobileNetV2's width multiplier
    encoder_weights: str = "none"  # "none", "imagenet" (downloads once) or a file that ends in .weights.h5
    encoder_frozen: StrictBool = False  # keep the encoder's weights as they came
    encoder_batchnorm_frozen: StrictBool = True  # run the encoder's BatchNorm on its stored statistics

    @model_validator(mode="after")
    def _consistent(self) -> UNetConfig:
        problems: list[str] = []
        if self.filters is not None and len(self.filters) != self.decoder_levels + (self.encoder == "none"):
            wanted = self.decoder_levels + (self.encoder == "none")
            problems.append(
                f"filters: needs {wanted} entries, one per level{' of the decoder' * (self.encoder != 'none')}, "
                f"for depth {self.depth}. Received: {list(self.filters)}"
            )
        if self.filters is None and self.base_filters * 2 ** (self.depth - 1) > MAX_FILTERS:
            problems.append(
                f"base_filters: may not exceed {MAX_FILTERS} at the deepest level "
                f"(base_filters · 2^{self.depth - 1}). Received: {self.base_filters}"
            )
        if self.upsampling == "transposed" and not self.up_convolution:
            problems.append("up_convolution: must be true for upsampling 'transposed', which is one. Received: False")
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
            allowed = f"one of {', '.join(map(str, kind.widths))}" if len(kind.widths) > 1 else str(kind.widths[0])
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
    def decoder_levels(self) -> int:
        """Number of upsampling-and-merge blocks: one less than `depth`."""
        return self.depth - 1

    @property
    def level_filters(self) -> tuple[int, ...]:
        """Filters per level, shallow first; the last is the bottleneck's (not used with a pretrained encoder)."""
        if self.filters is not None:
            return self.filters
        return tuple(self.base_filters * 2**level for level in range(self.depth))


class Preset(BaseModel):
    """A named configuration with a title and one sentence on where it comes from."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    description: str
    config: UNetConfig


def _keras_basic(**changes: Any) -> UNetConfig:
    return UNetConfig(
        height=256,
        width=256,
        classes=1,
        depth=4,
        base_filters=64,
        upsampling="nearest",
        up_convolution=False,
        skip_mode="strict",
        head_activation="sigmoid",
        **changes,
    )


_PETS_FAST = UNetConfig(
    height=192,
    width=192,
    classes=3,
    preprocessing=Preprocessing(scale="symmetric"),
    depth=5,
    filters=(24, 32, 48, 64),
    upsampling="bilinear",
    up_convolution=False,
    decoder_convolutions=2,
    convolution="separable",
    convolution_bias=False,
    normalization="batch",
    batch_momentum=0.9,
    skip_mode="strict",
    head="resize",
    encoder="mobilenet_v2",
    encoder_width=0.35,
    encoder_weights="imagenet",
)

_PRESETS = (
    Preset(
        name="ronneberger2015",
        title="The U-Net paper (2015)",
        description="Ronneberger, Fischer and Brox, MICCAI 2015, figure 1: valid padding, 64 to 1024 filters, skips "
        "centre-cropped. The paper's dropout has no stated rate and is left at 0.",
        config=UNetConfig(
            height=572, width=572, channels=1, classes=2, depth=5, padding="valid", initializer="he_normal"
        ),
    ),
    Preset(
        name="bhatt2020",
        title="The paper's network for pets (2020)",
        description="The paper's network for RGB photos and four classes, with a ReLU after each up-convolution and "
        "photo and mask padded to the input's shape.",
        config=UNetConfig(
            height=572,
            width=572,
            classes=4,
            depth=5,
            padding="valid",
            up_activation=True,
            preprocessing=Preprocessing(resize="pad"),
        ),
    ),
    Preset(
        name="machinecurve2022",
        title="Three-block U-Net (2022)",
        description="A configurable tutorial U-Net of three blocks: valid padding, He initialization, logits.",
        config=UNetConfig(height=100, width=100, classes=3, depth=3, padding="valid", initializer="he_normal"),
    ),
    Preset(
        name="keras_basic",
        title="Basic Keras U-Net",
        description="Same padding, nearest UpSampling2D without up-convolution, one sigmoid channel. Sizes that "
        "8 does not divide fail.",
        config=_keras_basic(),
    ),
    Preset(
        name="keras_basic+batchnorm",
        title="Basic Keras U-Net, BatchNorm",
        description="keras_basic with batch normalization after every convolution.",
        config=_keras_basic(normalization="batch"),
    ),
    Preset(
        name="keras_basic+leaky_relu",
        title="Basic Keras U-Net, Leaky ReLU",
        description="keras_basic with leaky ReLU instead of ReLU.",
        config=_keras_basic(activation="leaky_relu"),
    ),
    Preset(
        name="subclassed",
        title="Subclassed U-Net",
        description="64-128-256 filters with transposed convolutions, written by subclassing keras.Model. Sizes that "
        "4 does not divide fail.",
        config=UNetConfig(height=256, width=256, classes=1, depth=3, skip_mode="strict", head_activation="sigmoid"),
    ),
    Preset(
        name="mobilenetv2_tutorial",
        title="MobileNetV2 tutorial",
        description="TensorFlow's image segmentation tutorial: a frozen MobileNetV2 encoder and a decoder of "
        "transposed convolutions that only upsample and concatenate.",
        config=UNetConfig(
            height=128,
            width=128,
            classes=3,
            preprocessing=Preprocessing(scale="symmetric"),
            depth=5,
            base_filters=64,
            decoder_convolutions=0,
            up_kernel=3,
            up_activation=True,
            convolution_bias=False,
            normalization="batch",
            initializer="random_normal",
            skip_mode="strict",
            head="transposed",
            encoder="mobilenet_v2",
            encoder_weights="imagenet",
            encoder_frozen=True,
        ),
    ),
    Preset(
        name="pets",
        title="Pets",
        description="This project's network for photos of cats and dogs: an EfficientNet-Lite0 encoder and a "
        "separable decoder.",
        config=_PETS_FAST.replace(
            height=224, width=224, filters=(24, 32, 56, 80), encoder="efficientnet_lite0", encoder_width=1.0
        ),
    ),
    Preset(
        name="pets_fast",
        title="Pets, fast",
        description="The small sibling of pets: MobileNetV2 at 0.35 of its width and a narrow separable decoder.",
        config=_PETS_FAST,
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _PRESETS}


def preset_config(name: str) -> UNetConfig:
    """Return a preset's configuration by name.

    Raises:
        ConfigError: there is no preset of that name; the text lists those there are.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name].config
