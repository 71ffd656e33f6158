"""The U-Net as a subclass of `keras.Model`: the same network, its tensors named for what they are."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unet_core.architecture.config import UNetConfig
from unet_core.models.align import align
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


@keras.saving.register_keras_serializable(package="unet_core")
class UNet(keras.Model):
    """The configured U-Net, written as a class.

    Input shape: (B, H, W, channels), scaled as `config.preprocessing` says. Output shape: (B, H′, W′, classes), logits
    unless `config.head_activation` says otherwise. With the same weights (`unet_core.models.copy_weights`) it computes
    what `build(config)` computes.

    Args:
        config: the architecture, or its plain values (as a saved model holds them).
        size: height and width of the input; the configuration's own by default.

    Raises:
        ValueError: the size does not fit the architecture.
    """

    def __init__(
        self, config: UNetConfig | dict[str, Any], size: tuple[int, int] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.config = config if isinstance(config, UNetConfig) else UNetConfig.from_dict(config)
        self.size = tuple(size or (self.config.height, self.config.width))
        input_shape = (*self.size, self.config.channels)

        if self.config.encoder == "none":
            levels = range(1, self.config.depth)
            self.encoder_blocks = [encoder_block_layers(self.config, level) for level in levels]
            self.pools = [pool_layer(self.config, level) for level in levels]
        else:
            images = keras.Input(input_shape, name="image")
            self.encoder = keras.Model(images, encoder_features(self.config, images), name="encoder")
        self.bottleneck = bottleneck_layers(self.config)

        lowest = 0 if has_full_size_block(self.config) else 1
        levels = range(self.config.decoder_levels, lowest - 1, -1)
        self.upsamplings = [
            upsampling_layers(self.config, decoder_filters(self.config, level), f"decoder{level}") for level in levels
        ]
        self.decoder_blocks = [decoder_block_layers(self.config, level) for level in levels]
        self.head = head_layers(self.config)
        self.build((None, *input_shape))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create all variables by one symbolic pass, so that a new model has its weights before any data."""
        self.call(keras.Input(input_shape[1:]))
        self.built = True

    def call(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Compute the logits (or probabilities, as configured) of a batch of images."""
        skip_connections, features = self._contract(images)
        for upsampling, decoder_block in zip(self.upsamplings, self.decoder_blocks, strict=True):
            upsampled = apply(upsampling, features)
            merged = upsampled
            if skip_connections and self.config.skip_mode != "none":
                skip_connection, upsampled = align(skip_connections.pop(), upsampled, self.config.skip_mode)
                merged = ops.concatenate([skip_connection, upsampled], axis=-1)
            features = apply(decoder_block, merged)
        return apply(self.head, features)

    def _contract(self, images: keras.KerasTensor) -> tuple[list[keras.KerasTensor], keras.KerasTensor]:
        """Return the encoder's feature maps, shallow first, and the bottleneck's."""
        if self.config.encoder != "none":
            *skip_connections, deepest = self.encoder(images)
            return skip_connections, apply(self.bottleneck, deepest)
        skip_connections, features = [], images
        for encoder_block, pool in zip(self.encoder_blocks, self.pools, strict=True):
            features = apply(encoder_block, features)
            skip_connections.append(features)
            features = pool(features)
        return skip_connections, apply(self.bottleneck, features)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make an equal model; weights come from the model's own file."""
        config = self.config.replace(encoder_weights="none")
        return {"config": config.model_dump(mode="json"), "size": list(self.size), "name": self.name}
