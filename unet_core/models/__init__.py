"""A `UNetConfig` as a Keras model: functional, or subclassed with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import keras

from unet_core.architecture.config import UNetConfig
from unet_core.errors import ConfigError
from unet_core.models import functional
from unet_core.models.subclassed import UNet

__all__ = ["STYLES", "UNet", "build", "copy_weights"]

Style = Literal["functional", "subclassed"]
STYLES: tuple[Style, ...] = ("functional", "subclassed")


def build(config: UNetConfig, size: tuple[int, int] | None = None, *, style: Style = "functional") -> keras.Model:
    """Build the configured U-Net.

    Args:
        config: the architecture.
        size: height and width of the input; the configuration's own by default.
        style: "functional", made of Keras' own layers only, so that a saved model loads without this library; or
            "subclassed", a `UNet` with the same layers, built and ready to be called.

    Returns:
        A model from (B, H, W, channels), scaled as `config.preprocessing` says, to (B, H′, W′, classes): logits
        unless `config.head_activation` says otherwise.

    Raises:
        ConfigError: the style is unknown, or pretrained weights could not be loaded.
        ValueError: the size does not fit the architecture; `unet_core.trace` explains why and which sizes do.
    """
    if style not in STYLES:
        raise ConfigError(f"style: must be one of {', '.join(STYLES)}. Received: {style!r}")
    return functional.build(config, size) if style == "functional" else UNet(config, size)


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copy the weights of `source` to `target`, matched by layer and variable name; the styles may differ.

    Raises:
        ValueError: the two models do not have the same variables.
    """
    wanted, given = dict(_variables(target)), dict(_variables(source))
    if wanted.keys() != given.keys():
        different = ", ".join(sorted("/".join(key) for key in wanted.keys() ^ given.keys())[:5])
        raise ValueError(f"The models do not have the same variables; they differ in: {different}")
    for key, variable in wanted.items():
        variable.assign(given[key])
    for layer in _leaf_layers(target):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _leaf_layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaf_layers(layer)
        else:
            yield layer


def _variables(model: keras.Model) -> Iterator[tuple[tuple[str, ...], keras.Variable]]:
    """Yield each variable under its layer's and its own name, which both styles of the model share."""
    for layer in _leaf_layers(model):
        for variable in layer.weights:
            # The start of the path differs between the styles; the last part is unique within a layer.
            yield (layer.name, variable.path.split("/")[-1]), variable
