"""The U-Net as a subclass of `keras.Model`: the same network, its layers looked up by name at each call."""

from __future__ import annotations

from typing import Any

import keras

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.walk import walk
from unet_core.models.encoders import encoder_features
from unet_core.models.layers import KerasLayers


@keras.saving.register_keras_serializable(package="unet_core")
class UNet(keras.Model):
    """The configured U-Net, written as a class.

    Input shape: (B, H, W, channels), scaled as `config.preprocessing` says. Output shape: (B, H′, W′, classes), logits
    unless `config.head_activation` says otherwise. With the same weights (`unet_core.models.copy_weights`) it computes
    what `build(config)` computes.

    Args:
        config: the architecture, or its plain values (from a saved model).
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
        image = keras.Input((*self.size, self.config.channels), name="image")
        self.encoder = None
        if self.config.encoder != "none":
            self.encoder = keras.Model(image, encoder_features(self.config, image), name="encoder")
        self.unet_layers: dict[str, keras.Layer] = {}  # by name; Keras tracks their weights
        self.build(image.shape)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create all layers and variables in one symbolic pass, so that a new model has weights immediately."""
        self.call(keras.Input(input_shape[1:]))
        self.built = True

    def call(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Compute the logits (or probabilities, as configured) of a batch of images."""
        return walk(self.config, KerasLayers(self.config, self.unet_layers, self.encoder), images)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make an equal model; the weights are stored separately."""
        config = self.config.replace(encoder_weights="none")
        return {"config": config.model_dump(mode="json"), "size": list(self.size), "name": self.name}
