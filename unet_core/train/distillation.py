"""Distillation: training on a teacher's predictions beside the true masks (Hinton, Vinyals and Dean 2015). Keras only.

The teacher, another network, gets the same augmented batch as the student.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unet_core.train.losses import known_pixels, replicas, without_channel


class Student(keras.Model):
    """A functional model whose training loss is a mean of the compiled one and the distance from a teacher.

    Loss = (1 − weight) · compiled loss + weight · cross-entropy of the student's classes under the teacher's. On
    validation data only the compiled loss is computed. The teacher is not part of the model: its layers and weights are
    neither saved nor trained.

    Args:
        inputs, outputs: of the functional model that is trained.
        teacher: returns logits (B, h, w, classes) for inputs of its own size and scale.
        weight: of the distance from the teacher in the loss, 0…1.
        scaling: factor and offset that turn the student's inputs into the teacher's: numbers, or (C,) arrays.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        teacher: keras.Model,
        weight: float,
        scaling: tuple[Any, Any] = (1.0, 0.0),
        **options: Any,
    ) -> None:
        super().__init__(inputs, outputs, **options)
        teacher.trainable = False
        self._teacher = lambda photos: teacher(photos, training=False)  # a function hides it from Keras' bookkeeping
        self._teacher_size = tuple(teacher.inputs[0].shape[1:3])
        self._weight = weight
        self._factor, self._offset = scaling

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the compiled loss, in training mixed with the distance from the teacher."""
        loss = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if not training:
            return loss
        return (1.0 - self._weight) * loss + self._weight * self._distance(x, y, y_pred)

    def _distance(self, photos: Any, labels: Any, logits: Any) -> Any:
        """Return the mean cross-entropy over the pixels that count, at the student's output size."""
        size = tuple(logits.shape[1:3])
        inputs = photos if tuple(photos.shape[1:3]) == self._teacher_size else _resized(photos, self._teacher_size)
        targets = self._teacher(inputs * self._factor + self._offset)
        targets = targets if tuple(targets.shape[1:3]) == size else _resized(targets, size)
        probabilities = ops.stop_gradient(ops.softmax(ops.cast(targets, "float32"), axis=-1))
        log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        known = known_pixels(ops.cast(without_channel(labels), "int32"), "float32")
        distances = -ops.sum(probabilities * log_probabilities, axis=-1) * known
        return ops.sum(distances) / ops.maximum(ops.sum(known), 1.0) / replicas()


def _resized(images: Any, size: tuple[int, int]) -> Any:
    return ops.image.resize(images, size, interpolation="bilinear", data_format="channels_last")
