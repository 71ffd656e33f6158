"""Segmentation metrics that add up over batches, from a confusion matrix. Keras only.

For logits or probabilities, heads with one channel (labels 0 and 1) or more, and pixel weights. Pixels whose label is
not a class are not counted, `IGNORE_ID` among them. The same scores from NumPy arrays are in `unet_core.scores`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unet_core.train.losses import pixel_weights, without_channel

_EXACT = "float64"


def class_ids(outputs: Any, head_activation: str = "none") -> Any:
    """Return the predicted class of each pixel, (B, H, W) int32; 0 or 1 for a head with one channel.

    Args:
        outputs: (B, H, W, C), logits for `head_activation` "none", else probabilities.
        head_activation: "none", "sigmoid" or "softmax".
    """
    if outputs.shape[-1] == 1:
        threshold = 0.0 if head_activation == "none" else 0.5
        return ops.cast(outputs[..., 0] > threshold, "int32")
    return ops.cast(ops.argmax(outputs, axis=-1), "int32")


@keras.saving.register_keras_serializable(package="unet_core")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts pixels by true class (row) and predicted class (column), over all batches.

    Args:
        classes: channels of the output; a head with one channel counts two classes, background and object.
        head_activation: "none" for logits, else "sigmoid" or "softmax".
    """

    default_name = "confusion_matrix"

    def __init__(self, classes: int, head_activation: str = "none", name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name or self.default_name, dtype=dtype)
        self.classes = classes
        self.head_activation = head_activation
        self.count = max(classes, 2)
        # Float64 holds every count up to 2⁵³ exactly, and weighted ones; float32 stops at 2²⁴, a few photos.
        self.matrix = self.add_weight(shape=(self.count, self.count), initializer="zeros", dtype=_EXACT, name="matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels (B, H, W) or (B, H, W, 1), outputs (B, H, W, C), weights per pixel or per image."""
        labels = ops.cast(without_channel(ops.convert_to_tensor(y_true)), "int32")
        predicted = class_ids(ops.convert_to_tensor(y_pred), self.head_activation)
        weights = ops.ones_like(labels, dtype=_EXACT)
        if sample_weight is not None:
            weights = pixel_weights(sample_weight, labels, _EXACT)
        # A label that is not a class would be counted in another class's cell.
        known = ops.logical_and(labels >= 0, labels < self.count)
        weights = ops.where(known, weights, 0.0)
        cells = ops.where(known, labels * self.count + predicted, 0)
        counts = ops.segment_sum(ops.reshape(weights, (-1,)), ops.reshape(cells, (-1,)), self.count**2)
        self.matrix.assign_add(ops.reshape(counts, (self.count, self.count)))

    def result(self) -> Any:
        """Return the matrix, (K, K)."""
        return ops.convert_to_tensor(self.matrix)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build an equal metric."""
        return {**super().get_config(), "classes": self.classes, "head_activation": self.head_activation}

    def _overlaps(self) -> tuple[Any, Any]:
        """Return each class's TP and TP + TP + FP + FN, (K,)."""
        matrix = ops.convert_to_tensor(self.matrix)
        return ops.diagonal(matrix), ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1)


@keras.saving.register_keras_serializable(package="unet_core")
class PixelAccuracy(ConfusionMatrix):
    """Share of pixels whose class is predicted correctly."""

    default_name = "pixel_accuracy"

    def result(self) -> Any:
        """Return the share, 0 before the first pixel."""
        matrix = ops.convert_to_tensor(self.matrix)
        return _share(ops.sum(ops.diagonal(matrix)), ops.sum(matrix))


@keras.saving.register_keras_serializable(package="unet_core")
class MeanIoU(ConfusionMatrix):
    """Intersection over union, averaged over the classes that occur in labels or predictions."""

    default_name = "mean_iou"

    def result(self) -> Any:
        """Return the mean, 0 before the first pixel."""
        both, sums = self._overlaps()
        return _mean_where(_share(both, sums - both), sums > 0)


@keras.saving.register_keras_serializable(package="unet_core")
class MeanDice(ConfusionMatrix):
    """Dice coefficient of the hard prediction, averaged over the classes that occur in labels or predictions."""

    default_name = "mean_dice"

    def result(self) -> Any:
        """Return the mean, 0 before the first pixel."""
        both, sums = self._overlaps()
        return _mean_where(_share(2.0 * both, sums), sums > 0)


@keras.saving.register_keras_serializable(package="unet_core")
class ClassIoU(ConfusionMatrix):
    """Intersection over union of one class."""

    def __init__(
        self, classes: int, class_id: int, head_activation: str = "none", name: str | None = None, dtype: Any = None
    ) -> None:
        if not 0 <= class_id < max(classes, 2):
            raise ValueError(f"class_id: must be 0 to {max(classes, 2) - 1}. Received: {class_id}")
        super().__init__(classes, head_activation, name or f"iou_{class_id}", dtype)
        self.class_id = class_id

    def result(self) -> Any:
        """Return the IoU, 0 if the class does not occur."""
        both, sums = self._overlaps()
        return _share(both, sums - both)[self.class_id]

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build an equal metric."""
        return {**super().get_config(), "class_id": self.class_id}


def get_metrics(
    classes: int, head_activation: str = "none", *, class_names: tuple[str, ...] = ()
) -> list[ConfusionMatrix]:
    """Return the metrics of a training run: `pixel_accuracy`, `mean_iou`, `mean_dice`, and `iou_<name>` per class name.

    Give them to `compile(metrics=…)`; as `weighted_metrics` they count pixels by their weights.
    """
    overall = [kind(classes, head_activation) for kind in (PixelAccuracy, MeanIoU, MeanDice)]
    per_class = [
        ClassIoU(classes, index, head_activation, name=f"iou_{name}") for index, name in enumerate(class_names)
    ]
    return [*overall, *per_class]


def _share(part: Any, whole: Any) -> Any:
    return ops.where(whole > 0, part / ops.maximum(whole, 1e-7), 0.0)


def _mean_where(values: Any, chosen: Any) -> Any:
    chosen = ops.cast(chosen, _EXACT)
    return ops.sum(values * chosen) / ops.maximum(ops.sum(chosen), 1.0)
