"""Metrics and scores against counting pixel by pixel."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_core.scores import confusion_matrix, foreground_ids, per_image_binary_iou, scores_from_confusion
from unet_core.train.metrics import ClassIoU, ConfusionMatrix, MeanDice, MeanIoU, PixelAccuracy, class_ids, get_metrics

RANDOM = np.random.default_rng(0)
SHAPE = (3, 6, 5)


def counted(labels: np.ndarray, predictions: np.ndarray, classes: int, weights: np.ndarray | None = None):
    matrix = np.zeros((classes, classes))
    for position in np.ndindex(labels.shape):
        matrix[labels[position], predictions[position]] += 1 if weights is None else weights[position]
    return matrix


def set_iou(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    return (weights * (labels & predictions)).sum() / (weights * (labels | predictions)).sum()


def as_logits(predictions: np.ndarray, channels: int) -> np.ndarray:
    """Logits whose decision is `predictions`, all probabilities above or below one half for one channel."""
    if channels == 1:
        return np.where(predictions == 1, 1.0, -1.0)[..., None] * RANDOM.uniform(0.1, 3, (*predictions.shape, 1))
    logits = RANDOM.uniform(-3, 0, (*predictions.shape, channels))
    np.put_along_axis(logits, predictions[..., None], RANDOM.uniform(0.1, 2, (*predictions.shape, 1)), -1)
    return logits


def activated(logits: np.ndarray, activation: str) -> np.ndarray:
    if activation == "none":
        return logits
    powers = np.exp(logits)
    return powers / (1 + powers) if activation == "sigmoid" else powers / powers.sum(-1, keepdims=True)


HEADS = [(1, "none"), (1, "sigmoid"), (2, "softmax"), (3, "none"), (3, "sigmoid"), (3, "softmax"), (5, "none")]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("channels", "activation"), HEADS)
def test_metrics_equal_set_arithmetic_over_several_batches(channels: int, activation: str, weighted: bool) -> None:
    classes = max(channels, 2)
    metrics = [*get_metrics(channels, activation), ClassIoU(channels, 1, activation)]
    labels = RANDOM.integers(0, classes, (2, *SHAPE))
    predictions = np.where(RANDOM.random(labels.shape) < 0.6, labels, RANDOM.integers(0, classes, labels.shape))
    weights = RANDOM.uniform(0, 2, labels.shape) if weighted else np.ones(labels.shape)
    for batch in range(2):
        outputs = activated(as_logits(predictions[batch], channels), activation)
        for metric in metrics:
            metric.update_state(labels[batch], outputs, weights[batch] if weighted else None)
    values = {metric.name: float(metric.result()) for metric in metrics}
    iou = [set_iou(labels == index, predictions == index, weights) for index in range(classes)]
    assert values["pixel_accuracy"] == pytest.approx(
        (weights * (labels == predictions)).sum() / weights.sum(), rel=1e-5
    )
    assert values["mean_iou"] == pytest.approx(np.mean(iou), rel=1e-5)
    assert values["mean_dice"] == pytest.approx(np.mean([2 * value / (1 + value) for value in iou]), rel=1e-5)
    assert values["iou_1"] == pytest.approx(iou[1], rel=1e-5)


def test_confusion_metric_equals_counting_and_starts_again_after_reset() -> None:
    metric = ConfusionMatrix(3)
    labels, predictions = RANDOM.integers(0, 3, SHAPE), RANDOM.integers(0, 3, SHAPE)
    metric.update_state(labels[..., None], as_logits(predictions, 3))
    np.testing.assert_allclose(metric.result(), counted(labels, predictions, 3))
    metric.reset_state()
    np.testing.assert_allclose(metric.result(), 0)


def test_a_class_that_never_occurs_does_not_lower_the_mean() -> None:
    labels = RANDOM.integers(0, 2, SHAPE)
    for kind in (MeanIoU, MeanDice):
        metric = kind(4)
        metric.update_state(labels, as_logits(labels, 4))
        assert float(metric.result()) == pytest.approx(1)
    scores = scores_from_confusion(confusion_matrix(labels, labels, 4))
    assert scores.mean_iou == 1
    assert np.isnan(scores.iou[3])


def test_no_pixels_give_zero_and_not_nan() -> None:
    assert [float(metric.result()) for metric in get_metrics(3)] == [0, 0, 0]


def test_a_label_that_is_no_class_is_not_counted_as_another() -> None:
    metric = PixelAccuracy(3)
    metric.update_state(np.array([[[0, 7, -1]]]), as_logits(np.array([[[0, 1, 2]]]), 3))
    assert float(metric.result()) == 1


def test_metrics_work_inside_fit_with_half_precision_outputs() -> None:
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1, dtype="float16")(inputs))
    photos = RANDOM.random((4, 4, 4, 3)).astype("float32")
    labels = RANDOM.integers(0, 3, (4, 4, 4))
    model.compile(
        "sgd",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=get_metrics(3, class_names=("pet", "background", "border")),
    )
    values = model.evaluate(photos, labels, batch_size=3, verbose=0, return_dict=True)
    predicted = np.argmax(model.predict(photos, verbose=0), -1)
    scores = scores_from_confusion(confusion_matrix(labels, predicted, 3))
    assert values["mean_iou"] == pytest.approx(scores.mean_iou, rel=1e-4)
    assert values["pixel_accuracy"] == pytest.approx(scores.pixel_accuracy, rel=1e-4)
    assert values["iou_border"] == pytest.approx(scores.iou[2], rel=1e-4)


@pytest.mark.parametrize("metric", [*get_metrics(3, "softmax"), ClassIoU(3, 2), ConfusionMatrix(1, "sigmoid")])
def test_metrics_survive_serialization(metric: keras.metrics.Metric) -> None:
    copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(copy) is type(metric)
    assert copy.get_config() == metric.get_config()


def test_class_ids_decide_at_one_half() -> None:
    assert class_ids(keras.ops.convert_to_tensor([[[[-0.1], [0.1]]]]), "none").numpy().tolist() == [[[0, 1]]]
    assert class_ids(keras.ops.convert_to_tensor([[[[0.4], [0.6]]]]), "sigmoid").numpy().tolist() == [[[0, 1]]]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 6))
def test_scores_equal_set_arithmetic(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    labels, predictions = random.integers(0, classes, (2, 2, 4, 4))
    matrix = confusion_matrix(labels, predictions, classes)
    np.testing.assert_array_equal(matrix, counted(labels, predictions, classes))
    scores = scores_from_confusion(matrix)
    assert scores.pixel_accuracy == pytest.approx((labels == predictions).mean())
    for index in range(classes):
        union = ((labels == index) | (predictions == index)).sum()
        both = ((labels == index) & (predictions == index)).sum()
        assert scores.iou[index] == pytest.approx(both / union if union else np.nan, nan_ok=True)
    inside = foreground_ids(classes)
    both = (np.isin(labels, inside) & np.isin(predictions, inside)).sum()
    either = (np.isin(labels, inside) | np.isin(predictions, inside)).sum()
    assert scores.pet_iou == pytest.approx(both / either if either else np.nan, nan_ok=True)
    assert scores.pet_alone_iou == pytest.approx(scores.iou[0], nan_ok=True)


def test_weighted_confusion_counts_weights() -> None:
    labels, predictions = RANDOM.integers(0, 3, SHAPE), RANDOM.integers(0, 3, SHAPE)
    weights = RANDOM.random(SHAPE)
    np.testing.assert_allclose(
        confusion_matrix(labels, predictions, 3, weights), counted(labels, predictions, 3, weights)
    )


def test_border_counts_as_pet_in_the_two_sided_scores() -> None:
    labels, predictions = np.array([[[0, 2, 1, 1]]]), np.array([[[2, 0, 1, 0]]])
    scores = scores_from_confusion(confusion_matrix(labels, predictions, 3))
    assert scores.pet_iou == pytest.approx(2 / 3)
    assert scores.pet_alone_iou == 0
    assert per_image_binary_iou(labels, predictions).tolist() == [pytest.approx(2 / 3)]


def test_per_image_iou_of_an_image_without_pet_on_both_sides_is_one() -> None:
    nothing = np.ones((2, 3, 3), int)
    found = nothing.copy()
    found[1, 0, 0] = 0
    assert per_image_binary_iou(nothing, found).tolist() == [1, 0]


def test_one_class_heads_count_class_one_as_pet() -> None:
    matrix = np.array([[5, 1], [2, 8]])
    assert scores_from_confusion(matrix, foreground_ids(1)).pet_iou == pytest.approx(8 / 11)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [([[3]], [[0]], "labels: must be 0 to 2"), ([[0]], [[-1]], "predictions"), ([[0]], [[0, 1]], "one shape")],
)
def test_confusion_matrix_refuses_what_it_cannot_count(labels, predictions, message) -> None:
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(labels), np.array(predictions), 3)


def test_scores_import_neither_keras_nor_tensorflow() -> None:
    code = "import sys, unet_core.scores; sys.exit(bool({'keras', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
