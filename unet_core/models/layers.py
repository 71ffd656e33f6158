"""The walk's backend that makes Keras layers and applies them."""

from __future__ import annotations

from typing import Any

import keras

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.layer_specs import InitializerSpec, LayerSpec, Shape
from unet_core.models.encoders import encoder_features

# Made again at each call: their arguments depend on the size of the image, and they have no weights.
_ALIGNMENTS = ("Cropping2D", "ZeroPadding2D", "Resizing")


class KerasLayers:
    """Makes each layer when the walk first reaches it, and applies it.

    `layers` stores them by name, so that a second walk uses the same ones; `encoder_model` is applied to the image if
    given, else the encoder is built.
    """

    def __init__(
        self, config: UNetConfig, layers: dict[str, keras.Layer], encoder_model: keras.Model | None = None
    ) -> None:
        self.config, self.layers, self.encoder_model = config, layers, encoder_model

    def enter(self, block: str) -> None:
        """Do nothing: Keras has no blocks."""

    def shape(self, tensor: keras.KerasTensor) -> Shape:
        """Return height, width and channels of a (B, H, W, C) tensor."""
        return tensor.shape[1:]

    def encoder(self, image: keras.KerasTensor) -> list[keras.KerasTensor]:
        """Return the pretrained encoder's feature maps, shallow first."""
        return encoder_features(self.config, image) if self.encoder_model is None else self.encoder_model(image)

    def layer(self, spec: LayerSpec, *inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Apply a layer, which is made if it does not exist yet."""
        if spec.kind in _ALIGNMENTS:
            return keras_layer(spec)(*inputs)
        if spec.name not in self.layers:
            self.layers[spec.name] = keras_layer(spec)
        layer = self.layers[spec.name]
        return layer(inputs[0]) if len(inputs) == 1 else layer(list(inputs))


def keras_layer(spec: LayerSpec) -> keras.Layer:
    """Make the described layer."""
    named = {key: _value(value) for key, value in spec.named.items()}
    return getattr(keras.layers, spec.kind)(*spec.positional, **named, name=spec.name)


def _value(value: Any) -> Any:
    return getattr(keras.initializers, value.kind)(**value.named) if isinstance(value, InitializerSpec) else value
