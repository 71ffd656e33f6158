"""A second output that tells kinds of the subject apart, such as cats from dogs: a few layers on a network's features.

The network and its masks stay the same. Each place of the second output has the logits of all kinds for what is there;
`unet_core.segment.kinds` takes their mean over the subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

_WIDTH = 64  # channels for each feature map


def kinds_head(shapes: Sequence[tuple[int, int, int]], kinds: int) -> keras.Model:
    """Build the layers from feature maps to the logits of kinds.

    Args:
        shapes: (h, w, C) of each feature map; the finest one's sides are multiples of the others'.
        kinds: how many.

    Returns:
        A model from the feature maps (B, h, w, C) to (B, H, W, kinds), with the sides of the finest one.

    Raises:
        ValueError: the sides are no multiples, or not by the same factor in both directions.
    """
    layers = keras.layers
    features = [keras.Input(shape) for shape in shapes]
    height, width = (max(shape[axis] for shape in shapes) for axis in (0, 1))
    if any((rows * (height // rows), columns * (height // rows)) != (height, width) for rows, columns, _ in shapes):
        raise ValueError(f"Each feature map must fit the finest one a whole number of times. Received: {shapes}")
    columns = []
    for number, (each, shape) in enumerate(zip(features, shapes, strict=True)):
        found = layers.Conv2D(_WIDTH, 1, name=f"kinds_features{number}")(each)
        found = layers.ReLU(max_value=6.0, name=f"kinds_activation{number}")(found)
        if shape[0] != height:
            found = layers.UpSampling2D(height // shape[0], interpolation="bilinear", name=f"kinds_up{number}")(found)
        columns.append(found)
    together = layers.Concatenate(name="kinds_concat")(columns)
    return keras.Model(features, layers.Conv2D(kinds, 1, name="kinds_output")(together), name="kinds")


def with_kinds(model: keras.Model, layers: Sequence[str], kinds: int, weights: str | Path | None = None) -> keras.Model:
    """Return a functional model with its output and, as a second one, the logits of kinds.

    Args:
        model: has `layers`, whose outputs are the features.
        layers: names, see `kinds_head`.
        kinds: how many.
        weights: of the head, a `.weights.h5` file that has been verified; without it they are random.

    Raises:
        ValueError: a layer is missing, or the weights do not fit.
    """
    features = [model.get_layer(name).output for name in layers]
    head = kinds_head([tuple(each.shape[1:]) for each in features], kinds)
    if weights is not None:
        head.load_weights(weights)
    return keras.Model(model.inputs, [model.outputs[0], head(features)], name=model.name)
