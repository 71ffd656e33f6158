"""Learning from another network as well as from the true masks (Hinton, Vinyals and Dean 2015). Keras only.

The other network, the teacher, sees the very batch that the student sees, varied as it is, so it can teach about
photos that no mask was ever drawn for.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unet_core.train.losses import replicas


class Student(keras.Model):
    """A functional model whose training loss is a mean of the compiled one and the distance from a teacher.

    Loss = (1 − weight) · compiled loss + weight · cross-entropy of the student's classes under the teacher's. What is
    measured on validation data is the compiled loss alone. The teacher is no part of the model: neither its weights nor
    its layers are saved or trained with it.

    Args:
        inputs, outputs: of the functional model that learns.
        teacher: gives logits (B, h, w, classes) for inputs of its own size and scale.
        weight: of the teacher, 0…1.
        scaling: factor and offset that turn the student's inputs into the teacher's.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        teacher: keras.Model,
        weight: float,
        scaling: tuple[float, float] = (1.0, 0.0),
        **options: Any,
    ) -> None:
        super().__init__(inputs, outputs, **options)
        teacher.trainable = False
        self._teach = lambda photos: teacher(photos, training=False)  # a function hides it from Keras' bookkeeping
        self._teacher_size = tuple(teacher.inputs[0].shape[1:3])
        self._weight = weight
        self._scaling = scaling

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the compiled loss, in training mixed with what the teacher says."""
        loss = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if not training:
            return loss
        return (1.0 - self._weight) * loss + self._weight * self._distance(x, y_pred)

    def _distance(self, photos: Any, logits: Any) -> Any:
        """Return the mean cross-entropy over pixels, at the student's output size."""
        size = tuple(logits.shape[1:3])
        seen = photos if tuple(photos.shape[1:3]) == self._teacher_size else _resized(photos, self._teacher_size)
        factor, offset = self._scaling
        taught = self._teach(seen if self._scaling == (1.0, 0.0) else seen * factor + offset)
        taught = taught if tuple(taught.shape[1:3]) == size else _resized(taught, size)
        wanted = ops.stop_gradient(ops.softmax(ops.cast(taught, "float32"), axis=-1))
        log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        return -ops.mean(ops.sum(wanted * log_probabilities, axis=-1)) / replicas()


def _resized(images: Any, size: tuple[int, int]) -> Any:
    return ops.image.resize(images, size, interpolation="bilinear", data_format="channels_last")
