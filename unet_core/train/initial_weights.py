"""Starting a run from a trained model: which of its weights are taken, and which layers start from new values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from unet_core.train.find_model import ModelSource


def needs_new_head(source: ModelSource, class_names: Sequence[str]) -> bool:
    """Return whether the model's last layer is of no use: it knows other classes, or the same in another order.

    Their number is not compared; a last layer of another shape never fits.
    """
    if source.config.classes == 1 or not source.has_names:
        return False
    return any(mine != other for mine, other in zip(class_names, source.classes.names))


def take_weights(model: keras.Model, source: ModelSource, class_names: Sequence[str]) -> tuple[str, ...]:
    """Copy the weights of `source`, whose network has the same form, into `model`.

    Args:
        model: is changed.
        source: the trained model.
        class_names: of the dataset that `model` is about to learn, by class id.

    Returns:
        The names of the layers that keep their random weights.
    """
    given = source.load()
    last = next(layer.name for layer in reversed(given.layers) if layer.weights)
    skipped = {last} if needs_new_head(source, class_names) else set()
    left: list[str] = []
    for own, other in zip(_with_weights(model), _with_weights(given), strict=True):
        shapes_fit = all(a.shape == b.shape for a, b in zip(own.weights, other.weights, strict=True))
        if other.name in skipped or not shapes_fit:
            left.append(own.name)
            continue
        for variable, value in zip(own.weights, other.weights, strict=True):
            variable.assign(value)
    return tuple(left)


def _with_weights(model: keras.Model) -> list[keras.Layer]:
    return [layer for layer in model.layers if layer.weights]
