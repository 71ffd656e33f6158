"""Segmentation scores from a confusion matrix. NumPy only.

For class c with TP, FP and FN pixels: IoU = TP / (TP + FP + FN), Dice = 2 TP / (2 TP + FP + FN).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unet_core.classes import BORDER, IGNORE_ID, PET


@dataclass(frozen=True)
class Scores:
    """Scores of one model on one set of pixels; NaN for a class that occurs neither in labels nor in predictions.

    `pet_iou` is the IoU of pet and border together against the background, `pet_alone_iou` that of the class pet only.
    """

    pixel_accuracy: float
    iou: tuple[float, ...]  # by class id
    dice: tuple[float, ...]
    mean_iou: float  # over the classes that occur
    mean_dice: float
    pet_iou: float
    pet_alone_iou: float


def foreground_ids(classes: int) -> tuple[int, ...]:
    """Return the class ids that count as pet for a model with `classes` output channels.

    One class: 1 is pet and 0 the rest. Two classes: 0 is pet and 1 background. More: pet and border both count.
    """
    if classes == 1:
        return (1,)
    return (PET.id,) if classes == 2 else (PET.id, BORDER.id)


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Count pixels by true class (row) and predicted class (column).

    Args:
        labels: class ids, any shape; pixels with `IGNORE_ID` are not counted.
        predictions: class ids, the same shape.
        classes: number of classes; 2 for a one-class head.
        weights: one per pixel, the same shape; 1 each by default.

    Returns:
        (classes, classes), int64, or float64 with weights.

    Raises:
        ValueError: the shapes differ, or another id is outside 0 … classes − 1.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise ValueError(
            f"labels and predictions must be of one shape. Received: {labels.shape} and {predictions.shape}"
        )
    if weights is not None and np.shape(weights) != labels.shape:
        raise ValueError(f"weights must have the labels' shape, {labels.shape}. Received: {np.shape(weights)}")
    known = labels != IGNORE_ID
    if not known.all():
        labels, predictions = labels[known], predictions[known]
        weights = None if weights is None else np.asarray(weights)[known]
    for name, ids in (("labels", labels), ("predictions", predictions)):
        if ids.size and (ids.min() < 0 or ids.max() >= classes):
            raise ValueError(f"{name}: must be 0 to {classes - 1}. Received: {ids.min()} to {ids.max()}")
    cells = labels.astype(np.int64).reshape(-1) * classes + predictions.reshape(-1)
    flat = None if weights is None else np.asarray(weights, np.float64).reshape(-1)
    return np.bincount(cells, flat, minlength=classes**2).reshape(classes, classes)


def scores_from_confusion(matrix: np.ndarray, foreground: Sequence[int] | None = None) -> Scores:
    """Compute all scores from a confusion matrix: rows are true classes, columns predicted ones.

    Args:
        matrix: (classes, classes).
        foreground: class ids that count as pet; by default those of a model with this many classes. Pass (1,) for
            a one-class head.
    """
    matrix = np.asarray(matrix, np.float64)
    both, either = np.diag(matrix), matrix.sum(0) + matrix.sum(1)
    iou, dice = _ratio(both, either - both), _ratio(2 * both, either)
    group = tuple(foreground_ids(len(matrix)) if foreground is None else foreground)
    return Scores(
        pixel_accuracy=float(_ratio(both.sum(), matrix.sum())),
        iou=tuple(iou.tolist()),
        dice=tuple(dice.tolist()),
        mean_iou=_mean(iou),
        mean_dice=_mean(dice),
        pet_iou=binary_iou(matrix, group),
        pet_alone_iou=binary_iou(matrix, group[:1]),
    )


def binary_iou(matrix: np.ndarray, foreground: Sequence[int]) -> float:
    """Return the IoU of the classes `foreground` together against all others; NaN if they never occur."""
    inside = list(foreground)
    matrix = np.asarray(matrix, np.float64)
    both = matrix[np.ix_(inside, inside)].sum()
    return float(_ratio(both, matrix[inside].sum() + matrix[:, inside].sum() - both))


def per_image_binary_iou(
    labels: np.ndarray, predictions: np.ndarray, foreground: Sequence[int] = (PET.id, BORDER.id)
) -> np.ndarray:
    """Return each image's IoU of the classes `foreground` together, (N,); 1 where neither side has any.

    Args:
        labels: (N, H, W) class ids; pixels with `IGNORE_ID` are not counted.
        predictions: (N, H, W) class ids.
        foreground: class ids that count as pet.
    """
    true = np.isin(labels, list(foreground))
    predicted = np.isin(predictions, list(foreground)) & (labels != IGNORE_ID)
    both = (true & predicted).sum(axis=(1, 2))
    either = (true | predicted).sum(axis=(1, 2))
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))


def _ratio(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan
