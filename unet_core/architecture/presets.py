"""The named configurations: the networks of the paper and of tutorials, and this project's own."""

from __future__ import annotations

from typing import Any, NamedTuple

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.errors import ConfigError


class Preset(NamedTuple):
    """A named configuration with a title and a sentence on its origin."""

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
        description="Ronneberger, Fischer and Brox, MICCAI 2015, figure 1: valid padding, 64 to 1024 filters, "
        "centre-cropped skip connections. The paper does not state its dropout rate, so dropout is 0.",
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
        description="Same padding, nearest UpSampling2D without up-convolution, one sigmoid channel. Height and "
        "width must be multiples of 8.",
        config=_keras_basic(),
    ),
    Preset(
        name="keras_basic+batchnorm",
        title="Basic Keras U-Net, BatchNorm",
        description="keras_basic with batch normalization after every ReLU: Conv2D with its activation, then "
        "BatchNormalization.",
        config=_keras_basic(normalization="batch", normalization_position="after_activation"),
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
        description="64-128-256 filters with transposed convolutions, written by subclassing keras.Model. Height and "
        "width must be multiples of 4.",
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
        description="The small version of pets: MobileNetV2 at 0.35 of its width and a narrow separable decoder.",
        config=_PETS_FAST,
    ),
)


PRESETS: dict[str, Preset] = {preset.name: preset for preset in _PRESETS}


def preset_config(name: str) -> UNetConfig:
    """Return a preset's configuration by name.

    Raises:
        ConfigError: no preset has that name; the text lists all presets.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: there is no preset {name[:80]!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name].config


def presets() -> dict[str, Preset]:
    """Return all named configurations by name."""
    return dict(PRESETS)
