"""Mistakes that people make with U-Nets in Keras; as a program it makes each one and prints what Keras says, as JSON.

The labels are the keys of `tests/foreign/keras_messages.json`, which keeps those messages for the quick tests.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any

MISTAKES: dict[str, Callable[[], Any]] = {}


def mistake(function: Callable[[], Any]) -> Callable[[], Any]:
    MISTAKES[function.__name__] = function
    return function


def fit(loss: Any, classes: int, masks: Any, *, metrics: Any = None) -> None:
    import keras
    import numpy as np

    image = keras.Input((16, 16, 3))
    model = keras.Model(image, keras.layers.Conv2D(classes, 1, activation="sigmoid")(image))
    model.compile("sgd", loss, metrics=metrics)
    model.fit(np.zeros((2, 16, 16, 3), "float32"), masks, verbose=0)


def masks(*shape: int, value: int = 0) -> Any:
    import numpy as np

    return np.full((2, *shape), value, "float32")


def one_halving(side: int | None) -> Any:
    """A U of one halving, whose merge needs an even side."""
    import keras
    from keras import layers

    image = keras.Input((side, side, 3))
    features = layers.Conv2D(8, 3, padding="same")(image)
    upsampled = layers.UpSampling2D()(layers.MaxPooling2D()(features))
    return keras.Model(image, layers.Conv2D(1, 1)(layers.Concatenate()([features, upsampled])))


@mistake
def concatenate() -> None:
    one_halving(125)


@mistake
def concatenate_at_fit() -> None:
    model = one_halving(None)
    model.compile("sgd", "mse")
    model.fit(masks(25, 25, 3), masks(25, 25, 1), verbose=0)


@mistake
def concatenate_in_a_subclass() -> None:
    import keras
    import tensorflow as tf
    from keras import layers

    class UNet(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = layers.Conv2D(8, 3, padding="same")
            self.pool, self.up = layers.MaxPooling2D(), layers.UpSampling2D()

        def call(self, x: Any) -> Any:
            features = self.convolution(x)
            return tf.concat([features, self.up(self.pool(features))], -1)

    UNet()(masks(125, 125, 3))


@mistake
def concatenate_operation() -> None:
    from keras import KerasTensor, ops

    ops.concatenate([KerasTensor((1, 125, 125, 8)), KerasTensor((1, 124, 124, 8))], -1)


@mistake
def concatenate_axis() -> None:
    from keras import Input, layers

    layers.Concatenate(axis=1)([Input((32, 32, 64)), Input((32, 32, 128))])


@mistake
def add() -> None:
    from keras import Input, layers

    layers.Add()([Input((32, 32, 64)), Input((32, 32, 128))])


@mistake
def add_operation() -> None:
    import tensorflow as tf

    _ = tf.zeros((1, 33, 33, 8)) + tf.zeros((1, 32, 32, 8))


@mistake
def too_small_for_convolution() -> None:
    from keras import Input, layers

    layers.Conv2D(8, 3)(Input((2, 2, 8)))


@mistake
def too_small_for_pooling() -> None:
    from keras import Input, layers

    layers.MaxPooling2D()(Input((1, 1, 256)))


@mistake
def cropped_away() -> None:
    from keras import Input, layers

    layers.Cropping2D(4)(Input((8, 8, 3)))


@mistake
def channels() -> None:
    import keras

    keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(1, 1)])(masks(32, 32, 1))


@mistake
def flattened_size() -> None:
    import keras
    from keras import layers

    keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3)])(masks(9, 9, 3))


@mistake
def input_size() -> None:
    one_halving(32)(masks(64, 64, 3))


@mistake
def no_batch() -> None:
    one_halving(32).predict(masks(32, 3), verbose=0)


@mistake
def flat_input() -> None:
    from keras import Input, layers

    layers.Conv2D(8, 3)(Input((8,)))


@mistake
def colour_masks() -> None:
    fit("binary_crossentropy", 1, masks(16, 16, 3))


@mistake
def integer_masks() -> None:
    fit("categorical_crossentropy", 3, masks(16, 16, 1))


@mistake
def masks_without_channels() -> None:
    fit("categorical_crossentropy", 3, masks(16, 16))


@mistake
def one_hot_masks() -> None:
    fit("sparse_categorical_crossentropy", 3, masks(16, 16, 3))


@mistake
def large_masks() -> None:
    fit("sparse_categorical_crossentropy", 3, masks(32, 32, 1))


@mistake
def large_masks_for_mse() -> None:
    fit("mse", 1, masks(32, 32, 1))


@mistake
def valid_padding() -> None:
    import tensorflow as tf

    labels, logits = tf.zeros((2, 572, 572), tf.int32), tf.zeros((2, 388, 388, 2))
    tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


@mistake
def classes_of_logits() -> None:
    import tensorflow as tf

    tf.nn.softmax_cross_entropy_with_logits(labels=tf.zeros((2, 16, 16, 3)), logits=tf.zeros((2, 16, 16, 2)))


@mistake
def sigmoid_of_three() -> None:
    import tensorflow as tf

    tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.zeros((2, 16, 16, 3)), logits=tf.zeros((2, 16, 16, 1)))


@mistake
def label_out_of_range() -> None:
    fit("sparse_categorical_crossentropy", 3, masks(16, 16, 1, value=3))


@mistake
def label_255() -> None:
    fit("sparse_categorical_crossentropy", 2, masks(16, 16, 1, value=255))


@mistake
def metric_of_scores() -> None:
    import keras

    fit("sparse_categorical_crossentropy", 3, masks(16, 16, 1), metrics=[keras.metrics.MeanIoU(3)])


@mistake
def function_of_tensorflow() -> None:
    import keras
    import tensorflow as tf

    image = keras.Input((8, 8, 3))
    tf.concat([image, image], -1)


@mistake
def disconnected() -> None:
    import keras

    keras.Model(keras.Input((8, 8, 3)), keras.layers.Conv2D(1, 1)(keras.Input((8, 8, 3))))


@mistake
def other_weights() -> None:
    import numpy as np

    one_halving(8).layers[1].set_weights([np.zeros((3, 3, 4, 8)), np.zeros(8)])


@mistake
def whole_numbers() -> None:
    import keras

    keras.layers.Conv2D(8, 3)(masks(8, 8, 3).astype("uint8"))


@mistake
def reshaped() -> None:
    import keras

    keras.layers.Reshape((4, 4, 8))(keras.Input((8, 8, 3)))


@mistake
def memory() -> None:
    import tensorflow as tf

    tf.zeros((4096, 4096, 4096, 64))


def shortened(text: str) -> str:
    """Leave out the middle of a long message: a label for each pixel, or a traceback of the whole of Keras."""
    text = re.sub(r"File \"[^\"]*\"", 'File "…"', text)
    place = text.find("Received a label value")
    if place >= 0:
        return text[place : place + 200]
    if len(text) < 3000:
        return text
    parts = text.split("\n\n")
    return "\n…\n".join(part[:200] for part in (*parts[:2], parts[-1]))


def main() -> None:
    import keras

    said = {}
    for name, wanted in MISTAKES.items():
        keras.backend.clear_session()
        try:
            wanted()
        except Exception as error:
            said[name] = shortened(f"{type(error).__name__}: {error}")
        else:
            said[name] = ""
    json.dump(said, sys.stdout, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    main()
