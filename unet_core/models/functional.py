"""The U-Net as a Keras functional model."""

from __future__ import annotations

import keras
from keras import layers

from unet_core.architecture.config import UNetConfig
from unet_core.models.align import align_with_layers
from unet_core.models.encoders import encoder_features
from unet_core.models.layers import (
    apply,
    bottleneck_layers,
    decoder_block_layers,
    decoder_filters,
    encoder_block_layers,
    has_full_size_block,
    head_layers,
    pool_layer,
    upsampling_layers,
)


def build(config: UNetConfig, size: tuple[int, int] | None = None) -> keras.Model:
    """Build the configured U-Net (Ronneberger et al. 2015, figure 1, with the configured changes).

    Args:
        config: the architecture.
        size: height and width of the input; the configuration's own by default.

    Returns:
        A functional model from (B, H, W, channels), scaled as `config.preprocessing` says, to (B, H′, W′, classes):
        logits unless `config.head_activation` says otherwise. It is made of Keras' own layers only, so whoever loads
        it needs nothing of this library.

    Raises:
        ValueError: the size does not fit the architecture; `unet_core.trace` explains why and what would.
        ConfigError: pretrained weights could not be had.
    """
    height, width = size or (config.height, config.width)
    images = keras.Input((height, width, config.channels), name="image")

    encoder_outputs, bottleneck = _contract(config, images)
    features = _expand(config, encoder_outputs, bottleneck)
    logits = apply(head_layers(config), features)  # (B, H′, W′, classes)
    return keras.Model(images, logits, name="unet")


def _contract(config: UNetConfig, images: keras.KerasTensor) -> tuple[list[keras.KerasTensor], keras.KerasTensor]:
    """Return the feature maps that become skip connections, shallow first, and the bottleneck's."""
    if config.encoder != "none":
        *encoder_outputs, deepest = encoder_features(config, images)
        return encoder_outputs, apply(bottleneck_layers(config), deepest)
    encoder_outputs, features = [], images
    for level in range(1, config.depth):
        features = apply(encoder_block_layers(config, level), features)
        encoder_outputs.append(features)
        features = pool_layer(config, level)(features)  # (B, H/2, W/2, filters)
    return encoder_outputs, apply(bottleneck_layers(config), features)


def _expand(
    config: UNetConfig, encoder_outputs: list[keras.KerasTensor], features: keras.KerasTensor
) -> keras.KerasTensor:
    """Climb from the bottleneck, merging one skip connection per level."""
    for level in range(config.decoder_levels, 0, -1):
        name = f"decoder{level}"
        upsampled = apply(upsampling_layers(config, decoder_filters(config, level), name), features)  # (B, 2H, 2W, ·)
        merged = upsampled
        if config.skip_mode != "none":
            skip_connection, upsampled = align_with_layers(
                encoder_outputs[level - 1], upsampled, config.skip_mode, name
            )
            merged = layers.Concatenate(name=f"{name}_concat")([skip_connection, upsampled])
        features = apply(decoder_block_layers(config, level), merged)
    if has_full_size_block(config):
        upsampled = apply(upsampling_layers(config, decoder_filters(config, 0), "decoder0"), features)
        features = apply(decoder_block_layers(config, 0), upsampled)
    return features
