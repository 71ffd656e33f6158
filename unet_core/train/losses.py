"""Losses for segmentation, from logits or probabilities, with pixel weights. Keras only.

Labels are class ids, (B, H, W) or (B, H, W, 1), integers; outputs are (B, H, W, C). A head with one channel has
labels 0 (background) and 1 (object); with more channels the classes exclude one another, and outputs that are already
probabilities (softmax, or one sigmoid per class) are normalized to sum 1, as Keras does. Pixels with the label
`IGNORE_ID` are left out: a loss is the mean over all other pixels, or over the photos that have any. Every other label
that is not a class is refused.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from unet_core.classes import IGNORE_ID

LOSSES = ("cross_entropy", "dice", "cross_entropy_dice", "focal", "tversky")

_SMALLEST = 1e-7  # of a probability, before its logarithm
_SMOOTH = 1.0  # pixels added to both sides of an overlap: a class that is rightly absent scores 1, not 0/0


class Pixels(NamedTuple):
    """What a loss knows of each pixel, each (B, H, W).

    `labels` are class ids, 0 where the pixel is left out; `known` is 1.0 for pixels that count and 0.0 for those that
    are left out; `weights` are 0 there too.
    """

    labels: Any
    known: Any
    weights: Any

    @property
    def shares(self) -> Any:
        """What each pixel adds to the mean of its photo, (B, H, W), so that photos have the mean of all pixels."""
        images = ops.maximum(ops.sum(self.images), 1.0)
        return self.known * images / ops.maximum(ops.sum(self.known), 1.0)

    @property
    def images(self) -> Any:
        """1.0 for photos with a pixel that counts, else 0.0: (B,)."""
        return ops.max(self.known, axis=(1, 2))


class SegmentationLoss(keras.losses.Loss):
    """Base class of all losses: reads labels, outputs and weights.

    Args:
        classes: channels of the output.
        from_logits: whether the output still needs its softmax, or sigmoid for one channel.
        label_smoothing: share of the target that is spread evenly over all classes, 0…1.
    """

    def __init__(
        self,
        classes: int,
        from_logits: bool = True,
        label_smoothing: float = 0.0,
        name: str | None = None,
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if classes < 1:
            raise ValueError(f"classes: must be at least 1. Received: {classes}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing: must be at least 0 and below 1. Received: {label_smoothing}")
        self.classes = classes
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build an equal loss."""
        own = {
            "classes": self.classes,
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
        }
        return {**super().get_config(), **own}

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss; `sample_weight` is per pixel (B, H, W), per image (B,) or None.

        Raises:
            ValueError: the output has another number of channels.
            tf.errors.InvalidArgumentError: a label is neither a class nor `IGNORE_ID`. The loss is NaN where the
                backend cannot raise an error.
        """
        # Labels stay integers: Keras' own __call__ would turn them into floats, half precision included.
        labels = ops.cast(without_channel(ops.convert_to_tensor(y_true)), "int32")
        outputs = ops.cast(ops.convert_to_tensor(y_pred), self.dtype)
        if int(outputs.shape[-1]) != self.classes:
            raise ValueError(f"{self.name}: the output needs {self.classes} channels. Received: {outputs.shape}")
        labels, are_valid = _checked(labels, max(self.classes, 2))
        pixels = self._pixels(labels, sample_weight)
        return ops.where(are_valid, self._reduced(self.weighted(pixels, outputs), pixels), float("nan"))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss before its reduction, without weights."""
        return self.weighted(self._pixels(ops.cast(without_channel(y_true), "int32"), None), y_pred)

    def _pixels(self, labels: Any, sample_weight: Any) -> Pixels:
        known = known_pixels(labels, self.dtype)
        weights = known if sample_weight is None else known * pixel_weights(sample_weight, labels, self.dtype)
        return Pixels(ops.where(labels == IGNORE_ID, 0, labels), known, weights)

    def weighted(self, pixels: Pixels, outputs: Any) -> Any:
        """Return the loss before its reduction: (B, H, W) per pixel or (B,) per image, 0 where nothing counts."""
        raise NotImplementedError(f"{type(self).__name__} must define its loss")

    def _reduced(self, values: Any, pixels: Pixels) -> Any:
        if self.reduction in (None, "none"):
            return values
        if self.reduction == "sum":
            return ops.sum(values)
        counted = pixels.known if len(values.shape) == 3 else pixels.images
        return ops.sum(values) / ops.maximum(ops.sum(counted), 1.0) / replicas()

    def log_probabilities(self, outputs: Any) -> Any:
        """Return the log probabilities of the classes, (B, H, W, K); K is 2, background and object, for one channel."""
        if self.classes == 1:
            if self.from_logits:
                return ops.concatenate([ops.log_sigmoid(-outputs), ops.log_sigmoid(outputs)], axis=-1)
            inside = ops.clip(outputs, _SMALLEST, 1.0 - _SMALLEST)
            return ops.log(ops.concatenate([1.0 - inside, inside], axis=-1))
        if self.from_logits:
            return ops.log_softmax(outputs, axis=-1)
        positive = ops.maximum(outputs, _SMALLEST)
        return ops.log(positive) - ops.log(ops.sum(positive, axis=-1, keepdims=True))

    def targets(self, labels: Any) -> Any:
        """Return the labels as smoothed one-hot vectors, (B, H, W, K)."""
        count = max(self.classes, 2)
        smoothing = self.label_smoothing
        return ops.one_hot(labels, count, dtype=self.dtype) * (1.0 - smoothing) + smoothing / count

    def overlap_parts(self, labels: Any, outputs: Any) -> tuple[Any, Any]:
        """Return targets and probabilities of the classes whose overlap counts: the object's alone for one channel."""
        first = 1 if self.classes == 1 else 0
        return self.targets(labels)[..., first:], ops.exp(self.log_probabilities(outputs))[..., first:]


@keras.saving.register_keras_serializable(package="unet_core")
class CrossEntropy(SegmentationLoss):
    """Cross-entropy per pixel, averaged over all pixels."""

    def weighted(self, pixels: Pixels, outputs: Any) -> Any:
        """Return −log p of the true class, (B, H, W), times the weights."""
        if self.label_smoothing == 0 and self.from_logits and self.classes > 1:
            # The fused operation is faster.
            values = ops.sparse_categorical_crossentropy(pixels.labels, outputs, from_logits=True)
        else:
            values = -ops.sum(self.targets(pixels.labels) * self.log_probabilities(outputs), axis=-1)
        return values * pixels.weights


@keras.saving.register_keras_serializable(package="unet_core")
class Focal(SegmentationLoss):
    """Focal loss (Lin et al. 2017, equation 4): −(1 − p)^gamma log p, so that easy pixels count less."""

    def __init__(self, classes: int, from_logits: bool = True, gamma: float = 2.0, **options: Any) -> None:
        super().__init__(classes, from_logits, **options)
        if gamma < 0:
            raise ValueError(f"gamma: may not be negative. Received: {gamma}")
        self.gamma = gamma

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build an equal loss."""
        return {**super().get_config(), "gamma": self.gamma}

    def weighted(self, pixels: Pixels, outputs: Any) -> Any:
        """Return the focal loss, (B, H, W), times the weights."""
        logs = self.log_probabilities(outputs)
        # 1 − p can round to 0, where the gradient of a fractional power is infinite.
        hardness = ops.maximum(1.0 - ops.exp(logs), _SMALLEST)
        values = -ops.sum(self.targets(pixels.labels) * hardness**self.gamma * logs, axis=-1)
        return values * pixels.weights


@keras.saving.register_keras_serializable(package="unet_core")
class Tversky(SegmentationLoss):
    """One minus the Tversky index (Salehi et al. 2017), per image, averaged over classes.

    Index of a class = TP / (TP + alpha · FP + beta · FN), TP, FP and FN as sums of probabilities. More beta than alpha
    asks for fewer missed pixels; 0.5 and 0.5 give Dice.
    """

    def __init__(
        self, classes: int, from_logits: bool = True, alpha: float = 0.3, beta: float = 0.7, **options: Any
    ) -> None:
        super().__init__(classes, from_logits, **options)
        if alpha < 0 or beta < 0:
            raise ValueError(f"alpha, beta: may not be negative. Received: {alpha}, {beta}")
        self.alpha = alpha
        self.beta = beta

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build an equal loss."""
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta}

    def weighted(self, pixels: Pixels, outputs: Any) -> Any:
        """Return the loss of each image, (B,); weights count pixels within the sums."""
        targets, probabilities = self.overlap_parts(pixels.labels, outputs)
        overlap, true, predicted = _overlaps(targets, probabilities, pixels.weights)
        # FP + TP = predicted and FN + TP = true, in sums
        wrong = self.alpha * (predicted - overlap) + self.beta * (true - overlap)
        smooth = _SMOOTH / 2  # the same index as Dice with `_SMOOTH` at alpha = beta = 0.5
        return 1.0 - ops.mean((overlap + smooth) / (overlap + wrong + smooth), axis=-1)


@keras.saving.register_keras_serializable(package="unet_core")
class Dice(SegmentationLoss):
    """One minus the soft Dice coefficient, per image, averaged over classes (the object's alone for one channel).

    Dice of a class = (2 Σ p t + 1) / (Σ p + Σ t + 1), summed over the image's pixels.
    """

    def weighted(self, pixels: Pixels, outputs: Any) -> Any:
        """Return the loss of each image, (B,); weights count pixels within the sums."""
        targets, probabilities = self.overlap_parts(pixels.labels, outputs)
        overlap, true, predicted = _overlaps(targets, probabilities, pixels.weights)
        return 1.0 - ops.mean((2.0 * overlap + _SMOOTH) / (true + predicted + _SMOOTH), axis=-1)


@keras.saving.register_keras_serializable(package="unet_core")
class CrossEntropyDice(SegmentationLoss):
    """Cross-entropy plus `dice_weight` times Dice: the first for every pixel, the second for small classes."""

    def __init__(self, classes: int, from_logits: bool = True, dice_weight: float = 1.0, **options: Any) -> None:
        super().__init__(classes, from_logits, **options)
        if dice_weight < 0:
            raise ValueError(f"dice_weight: may not be negative. Received: {dice_weight}")
        self.dice_weight = dice_weight
        parts = {"classes": classes, "from_logits": from_logits, "dtype": self.dtype}
        self._cross_entropy = CrossEntropy(label_smoothing=self.label_smoothing, **parts)
        self._dice = Dice(**parts)  # an overlap with a smoothed target has no meaning

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build an equal loss."""
        return {**super().get_config(), "dice_weight": self.dice_weight}

    def weighted(self, pixels: Pixels, outputs: Any) -> Any:
        """Return the loss of each image, (B,)."""
        per_image = _per_image(self._cross_entropy.weighted(pixels, outputs), pixels)
        return per_image + self.dice_weight * self._dice.weighted(pixels, outputs)


@keras.saving.register_keras_serializable(package="unet_core")
class WithBackground(SegmentationLoss):
    """A loss over all classes plus `weight` times the same kind of loss between the background and all other classes.

    For classes that surround others, such as a border around an object, the second part sharpens the outline of the
    whole.

    Args:
        loss: over all classes; two or more.
        background: the class that is set against the others.
        weight: of the second part.
    """

    def __init__(self, loss: SegmentationLoss, background: int, weight: float, **options: Any) -> None:
        if isinstance(loss, dict):  # from a configuration
            loss = keras.losses.deserialize(loss)
        common = {"name": loss.name, "reduction": loss.reduction, "label_smoothing": loss.label_smoothing}
        super().__init__(loss.classes, loss.from_logits, **{**common, **options})
        if loss.classes < 2 or not 0 <= background < loss.classes:
            raise ValueError(
                f"background: must be one of two or more classes. Received: {background} of {loss.classes}"
            )
        if weight < 0:
            raise ValueError(f"weight: may not be negative. Received: {weight}")
        self.loss = loss
        self.background = background
        self.weight = weight
        self._two_classes = type(loss).from_config({**loss.get_config(), "classes": 1, "from_logits": True})

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build an equal loss."""
        config = {key: value for key, value in super().get_config().items() if key in ("name", "reduction")}
        whole = keras.losses.serialize(self.loss)
        return {**config, "loss": whole, "background": self.background, "weight": self.weight}

    def weighted(self, pixels: Pixels, outputs: Any) -> Any:
        """Return the loss of each image, (B,)."""
        logs = self.log_probabilities(outputs)
        rest = ops.concatenate([logs[..., : self.background], logs[..., self.background + 1 :]], axis=-1)
        odds = ops.logsumexp(rest, axis=-1, keepdims=True) - logs[..., self.background, None]
        against = pixels._replace(labels=ops.cast(pixels.labels != self.background, "int32"))
        whole = _per_image(self.loss.weighted(pixels, outputs), pixels)
        return whole + self.weight * _per_image(self._two_classes.weighted(against, odds), pixels)


def _per_image(values: Any, pixels: Pixels) -> Any:
    """Return values per pixel as one per photo, whose mean over photos is the mean over all pixels that count."""
    return ops.sum(values * pixels.shares, axis=(1, 2)) if len(values.shape) == 3 else values


def _checked(labels: Any, classes: int) -> tuple[Any, Any]:
    """Refuse labels that are neither a class nor `IGNORE_ID`; also return whether there are none, as a tensor."""
    is_class = ops.logical_and(labels >= 0, labels < classes)
    are_valid = ops.all(ops.logical_or(is_class, labels == IGNORE_ID))
    if keras.backend.backend() != "tensorflow":
        return labels, are_valid
    import tensorflow as tf

    allowed = f"labels: must be 0 to {classes - 1}, or {IGNORE_ID} for pixels to leave out. Received up to:"
    # Compiled by XLA, the assertion does nothing.
    with tf.control_dependencies([tf.debugging.Assert(are_valid, [allowed, ops.max(labels)])]):
        return tf.identity(labels), are_valid


def get_loss(name: str, classes: int, from_logits: bool = True, **options: Any) -> SegmentationLoss:
    """Return a loss by name.

    Args:
        name: one of `LOSSES`.
        classes: channels of the model's output.
        from_logits: True for a head without activation; False for sigmoid and softmax heads.
        options: `label_smoothing`; `gamma` of "focal"; `alpha` (false positives) and `beta` (false negatives) of
            "tversky"; `dice_weight` of "cross_entropy_dice".

    Raises:
        ValueError: there is no such loss, or an option does not belong to it or is out of range.
    """
    kinds = dict(zip(LOSSES, (CrossEntropy, Dice, CrossEntropyDice, Focal, Tversky)))
    if name not in kinds:
        raise ValueError(f"loss: must be one of {', '.join(LOSSES)}. Received: {name!r}")
    try:
        return kinds[name](classes=classes, from_logits=from_logits, name=name, **options)
    except TypeError as error:
        raise ValueError(f"loss {name!r}: {error}") from None


def _overlaps(targets: Any, probabilities: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Return Σ p t, Σ t and Σ p over each image's pixels, each (B, K)."""
    targets = targets * weights[..., None]
    overlap = ops.sum(targets * probabilities, axis=(1, 2))
    predicted = probabilities * weights[..., None]
    return overlap, ops.sum(targets, axis=(1, 2)), ops.sum(predicted, axis=(1, 2))


def replicas() -> int:
    """Return how many devices share a batch: gradients are added up, so each may bring only its part of a mean."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def known_pixels(labels: Any, dtype: Any) -> Any:
    """Return 1 for the pixels that count and 0 for those with `IGNORE_ID`, (B, H, W)."""
    return ops.cast(labels != IGNORE_ID, dtype)


def without_channel(labels: Any) -> Any:
    """Return labels (B, H, W) or (B, H, W, 1) as (B, H, W)."""
    return labels[..., 0] if len(labels.shape) == 4 else labels


def pixel_weights(sample_weight: Any, labels: Any, dtype: Any) -> Any:
    """Return the weights as (B, H, W), whether they came per pixel or per image."""
    weights = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
    rank = len(weights.shape)
    if rank == 4 or (rank == 2 and weights.shape[1] == 1):
        weights = weights[..., 0]
    if len(weights.shape) == 1:
        weights = weights[:, None, None]
    return ops.broadcast_to(weights, ops.shape(labels))
