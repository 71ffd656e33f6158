"""A `UNetConfig` as a Keras model: functional, or subclassed with the same weights."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from unet_core.models.functional import build
from unet_core.models.subclassed import UNet

__all__ = ["UNet", "build", "copy_weights"]


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give `target` the weights of `source`, matched by layer and variable name, whatever the models' form.

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
    """Yield each variable under its layer's and its own name, which both forms of the model share."""
    for layer in _leaf_layers(model):
        for variable in layer.weights:
            # A separable convolution's or normalization's own name part suffices; the path's front differs by form.
            yield (layer.name, variable.path.split("/")[-1]), variable
