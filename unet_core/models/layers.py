"""The Keras layers a U-Net is made of, named once for the functional and the subclassed model.

Layer names equal the names in `unet_core.architecture.trace`: `encoder2_conv1`, `encoder2_pool`, `bottleneck_conv2`,
`decoder2_upconv`, `decoder2_concat`, `head`. Decoder blocks carry the number of the encoder block they merge with.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd

import keras
from keras import layers

from unet_core.architecture.config import UNetConfig

GROUPS = 8  # group normalization's groups, fewer where 8 does not divide the channels


def normalization_layer(config: UNetConfig, filters: int, name: str) -> keras.Layer | None:
    """Return the configured normalization over `filters` channels, or None."""
    match config.normalization:
        case "batch":
            return layers.BatchNormalization(momentum=config.batch_momentum, name=name)
        case "layer":
            return layers.LayerNormalization(name=name)
        case "group":
            return layers.GroupNormalization(groups=gcd(GROUPS, filters), name=name)
    return None


def _initializer(config: UNetConfig) -> keras.initializers.Initializer:
    if config.initializer == "random_normal":
        return keras.initializers.RandomNormal(stddev=0.02)
    return keras.initializers.get(config.initializer)


def _normalization_and_activation(config: UNetConfig, filters: int, name: str) -> list[keras.Layer]:
    normalization = normalization_layer(config, filters, f"{name}_norm")
    activation = layers.Activation(config.activation, name=f"{name}_activation")
    return [normalization, activation] if normalization is not None else [activation]


def convolution_layers(config: UNetConfig, filters: int, name: str) -> list[keras.Layer]:
    """Return one 3×3 convolution with its normalization and activation."""
    common = {"padding": config.padding, "use_bias": config.convolution_bias, "name": name}
    if config.convolution == "separable":
        convolution = layers.SeparableConv2D(
            filters,
            3,
            depthwise_initializer=_initializer(config),
            pointwise_initializer=_initializer(config),
            **common,
        )
    else:
        convolution = layers.Conv2D(filters, 3, kernel_initializer=_initializer(config), **common)
    return [convolution, *_normalization_and_activation(config, filters, name)]


def block_layers(config: UNetConfig, filters: int, name: str, convolutions: int) -> list[keras.Layer]:
    """Return a block: `convolutions` times convolution, normalization, activation."""
    return [
        layer
        for number in range(1, convolutions + 1)
        for layer in convolution_layers(config, filters, f"{name}_conv{number}")
    ]


def encoder_block_layers(config: UNetConfig, level: int) -> list[keras.Layer]:
    """Return the convolutions of encoder block `level` (1 is the shallowest)."""
    filters = config.level_filters[level - 1]
    return block_layers(config, filters, f"encoder{level}", config.encoder_convolutions)


def pool_layer(config: UNetConfig, level: int) -> keras.Layer:
    """Return what halves the feature map after encoder block `level`."""
    name = f"encoder{level}_pool"
    match config.pooling:
        case "max":
            return layers.MaxPooling2D(2, name=name)
        case "average":
            return layers.AveragePooling2D(2, name=name)
    filters = config.level_filters[level - 1]
    return layers.Conv2D(filters, 2, strides=2, kernel_initializer=_initializer(config), name=name)


def bottleneck_layers(config: UNetConfig) -> list[keras.Layer]:
    """Return the deepest block: its convolutions (the encoder's own, if pretrained) and the spatial dropout."""
    block = []
    if config.encoder == "none":
        block = block_layers(config, config.level_filters[-1], "bottleneck", config.encoder_convolutions)
    if config.spatial_dropout:
        block.append(layers.SpatialDropout2D(config.spatial_dropout, name="bottleneck_dropout"))
    return block


def upsampling_layers(config: UNetConfig, filters: int, name: str) -> list[keras.Layer]:
    """Return what doubles the feature map: the paper's "up-conv 2×2" in the configured form."""
    common = {
        "padding": "same",
        "use_bias": config.convolution_bias,
        "kernel_initializer": _initializer(config),
        "name": f"{name}_upconv",
    }
    if config.upsampling == "transposed":
        block = [layers.Conv2DTranspose(filters, config.up_kernel, strides=2, **common)]
    else:
        block = [layers.UpSampling2D(2, interpolation=config.upsampling, name=f"{name}_upsample")]
        if config.up_convolution:
            block.append(layers.Conv2D(filters, config.up_kernel, **common))
    if config.up_convolution and config.up_activation:
        block += _normalization_and_activation(config, filters, f"{name}_upconv")
    return block


def decoder_block_layers(config: UNetConfig, level: int) -> list[keras.Layer]:
    """Return the convolutions after the merge at `level`; level 0 is the step above a pretrained encoder's stem."""
    return block_layers(config, decoder_filters(config, level), f"decoder{level}", config.decoder_convolutions)


def decoder_filters(config: UNetConfig, level: int) -> int:
    """Return the filters of decoder block `level`; level 0, at the input's own size, has half of level 1's."""
    return config.level_filters[level - 1] if level else max(1, config.level_filters[0] // 2)


def has_full_size_block(config: UNetConfig) -> bool:
    """Tell whether a block above the pretrained encoder's stem brings the features back to the input's size."""
    return config.encoder != "none" and config.head == "conv"


def head_layers(config: UNetConfig) -> list[keras.Layer]:
    """Return the classifier: 1×1 convolution (or the form `config.head` names) and the activation, if any."""
    initializer = _initializer(config)
    if config.head == "transposed":
        head = [
            layers.Conv2DTranspose(
                config.classes, 3, strides=2, padding="same", kernel_initializer=initializer, name="head"
            )
        ]
    else:
        head = [layers.Conv2D(config.classes, 1, kernel_initializer=initializer, name="head")]
    if config.head == "resize":
        head.append(layers.UpSampling2D(2, interpolation="bilinear", name="head_upsample"))
    if config.head_activation != "none":
        head.append(layers.Activation(config.head_activation, name="head_activation"))
    return head


def apply(block: Iterable[keras.Layer], tensor: keras.KerasTensor) -> keras.KerasTensor:
    """Run `tensor` through the layers in order."""
    for layer in block:
        tensor = layer(tensor)
    return tensor
