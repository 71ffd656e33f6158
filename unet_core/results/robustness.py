"""A model's scores on corrupted photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from PIL import Image

from unet_core.architecture.config import UNetConfig
from unet_core.data.pipeline import TargetCoding
from unet_core.data.sources import Example, stable_fraction
from unet_core.images.corruptions import CORRUPTIONS, Corruption
from unet_core.images.interpolate import argmax_planes
from unet_core.images.square import resized_mask
from unet_core.results.files import Curve, Robustness
from unet_core.scores import binary_iou, confusion_matrix, scores_from_confusion
from unet_core.scoring.evaluate import ComparedClasses, Network, class_planes

PHOTOS = 300
SIDE = 224  # pixels of the longer side that photos are first reduced to
_CHOSEN = "those whose names have the smallest SHA-256"


def chosen_names(names: Sequence[str], count: int = PHOTOS) -> frozenset[str]:
    """Return the same `count` of the names on every machine, whatever their order."""
    return frozenset(sorted(names, key=stable_fraction)[:count])


def measure_robustness(
    network: Network,
    config: UNetConfig,
    examples: Iterable[Example],
    coding: TargetCoding,
    *,
    size: tuple[int, int],
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    progress: Callable[[int], None] | None = None,
) -> Robustness:
    """Measure a network on unchanged photos and under each corruption at each strength.

    Args:
        network, config, coding, size: as in `unet_core.scoring.evaluate.evaluate`.
        examples: the photos, see `chosen_names`.
        corruptions: which ones.
        progress: called with the number of photos done.
    """
    masks = ComparedClasses(config.classes, coding)
    count = len(masks.classes)
    clean = np.zeros((count, count), np.int64)
    corrupted = {entry.name: np.zeros((len(entry.strengths), count, count), np.int64) for entry in corruptions}

    def confusion(photo: np.ndarray, ids: np.ndarray) -> np.ndarray:
        predicted = argmax_planes(class_planes(network, config, photo, size))
        return confusion_matrix(resized_mask(ids, size), predicted, count)

    images = 0
    for images, example in enumerate(examples, start=1):
        photo, ids = _at_most(SIDE, *example.decode())
        ids = masks.target_ids(ids)
        clean += confusion(photo, ids)
        for entry in corruptions:
            for index, strength in enumerate(entry.strengths):
                corrupted[entry.name][index] += confusion(*entry.apply(photo, ids, strength, example.name))
        if progress is not None:
            progress(images)
    curves = tuple(_curve(entry, [clean, *corrupted[entry.name]], masks.foreground) for entry in corruptions)
    return Robustness(images=images, chosen=_CHOSEN, side=SIDE, curves=curves)


def _at_most(side: int, photo: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink photo and mask to `side` pixels on the longer side; smaller ones stay unchanged."""
    ratio = side / max(photo.shape[:2])
    if ratio >= 1:
        return photo, ids
    size = max(1, round(photo.shape[0] * ratio)), max(1, round(photo.shape[1] * ratio))
    image = Image.fromarray(photo).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image), resized_mask(ids, size)


def _curve(entry: Corruption, matrices: Sequence[np.ndarray], foreground: tuple[int, ...] | None) -> Curve:
    return Curve(
        name=entry.name,
        title=entry.title,
        description=entry.description,
        strengths=tuple(entry.shown(strength) for strength in entry.strengths),
        mean_iou=tuple(round(scores_from_confusion(matrix).mean_iou, 6) for matrix in matrices),
        pet_iou=tuple(None if foreground is None else round(binary_iou(matrix, foreground), 6) for matrix in matrices),
    )
