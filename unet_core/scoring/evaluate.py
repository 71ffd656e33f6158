"""Measures a model on a part of a dataset as the product uses it: photo in, probabilities, mask out.

Photos go through the same steps as on the Segment page. Probabilities, not masks, are resized to the size of the
ground truth, so a network may run at a different size than the one it is measured at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.classes import BORDER, PET
from unet_core.data.pipeline import TargetCoding
from unet_core.data.sources import Example
from unet_core.errors import UNetError
from unet_core.images.interpolate import argmax_planes, resized_strips
from unet_core.images.square import resized_mask
from unet_core.scores import Scores, binary_iou, confusion_matrix, scores_from_confusion
from unet_core.segment.network import Network
from unet_core.segment.passes import photo_probabilities

EVALUATION_SIZE = 128  # pixels; most masks of Oxford pets have no finer detail at the size of the shared photos
LATENCY_PHOTOS = 200  # the time per photo is measured on the first photos
OWN: Literal["own"] = "own"  # each mask's own size

Size = tuple[int, int] | Literal["own"]  # height and width


class EvaluationError(UNetError):
    """A model and data that cannot be measured together; the text says why."""


Observer = Callable[[Example, np.ndarray, np.ndarray], None]  # example, true ids (H, W), probabilities (C, H, W)


@dataclass(frozen=True)
class Overlap:
    """IoU of one class against the rest: over all pixels (NaN if it never occurs), and the mean over photos."""

    dataset: float
    per_image: float


@dataclass(frozen=True)
class Measurement:
    """The result of an evaluation.

    `confusion` counts pixels: rows are true classes, columns predicted ones. `pet` counts the border as pet,
    `pet_alone` does not; each is None for classes other than the pets'. `milliseconds` is the median for one photo,
    from its pixels to its mask. `device` is where the network ran.
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    images: int
    size: tuple[int, int]
    milliseconds: float
    pet: Overlap | None
    pet_alone: Overlap | None
    device: str

    @property
    def scores(self) -> Scores:
        """Accuracy, IoU and Dice of the confusion matrix."""
        return scores_from_confusion(self.confusion)


@dataclass(frozen=True)
class Comparison:
    """How a network's masks are compared with the true ones.

    Attributes:
        config: the model's architecture and preprocessing.
        coding: maps the data's class ids to the model's.
        sizes: at which prediction and ground truth are compared; the ground truth is resized by nearest neighbour.
        flip: horizontal-flip averaging; no effect on a model with a zoomed second pass.
    """

    config: UNetConfig
    coding: TargetCoding
    sizes: tuple[Size, ...]
    flip: bool = False

    @property
    def masks(self) -> ComparedClasses:
        """The classes that are compared."""
        return ComparedClasses(self.config.classes, self.coding)

    def nothing_yet(self) -> Counts:
        """Return the counts of no photo, to which others are added."""
        return Counts(tuple(Tally(self.masks) for _ in self.sizes))

    def from_json(self, content: bytes) -> Counts:
        """Return what `Counts.to_json` wrote for this comparison.

        Raises:
            ValueError: it is damaged, or another comparison's; as do KeyError and TypeError.
        """
        values = json.loads(content)
        counts = self.nothing_yet()
        counts.images, counts.coarse = int(values["images"]), int(values["coarse"])
        counts.seconds, counts.devices = values["seconds"], set(values["devices"])
        for tally, kept in zip(counts.tallies, values["tallies"], strict=True):
            tally.restore(kept["confusion"], kept["photos"])
        return counts


def evaluate(
    network: Network,
    config: UNetConfig,
    examples: Iterable[Example],
    coding: TargetCoding,
    *,
    size: tuple[int, int] = (EVALUATION_SIZE, EVALUATION_SIZE),
    flip: bool = False,
    progress: Callable[[int], None] | None = None,
    observe: Observer | None = None,
) -> Measurement:
    """Measure a network on photos with ground truth at one size.

    Args:
        network: the engine that runs the model.
        config: see `Comparison`, as for `coding`, `size` and `flip`.
        examples: photos with true class ids.
        coding: maps the data's class ids to the model's.
        size: height and width at which prediction and ground truth are compared.
        flip: horizontal-flip averaging.
        progress: called with the number of photos done.
        observe: called with every photo's example, true class ids and probabilities, both at `size`.

    Raises:
        EvaluationError: there is no photo.
    """
    comparison = Comparison(config, coding, (size,), flip)
    return measurement(counted(network, comparison, examples, progress=progress, observe=observe), comparison, size)


def counted(
    network: Network,
    comparison: Comparison,
    examples: Iterable[Example],
    *,
    progress: Callable[[int], None] | None = None,
    observe: Observer | None = None,
) -> Counts:
    """Predict each photo once and count its pixels at each of the sizes; the arguments are those of `evaluate`."""
    masks = comparison.masks
    counts = comparison.nothing_yet()
    counts.devices.add(network.device)
    for example in examples:
        photo, ids = example.decode()
        truth = masks.target_ids(ids)
        start = time.perf_counter()
        probabilities = photo_probabilities(network, comparison.config, photo, flip=comparison.flip)
        seconds = time.perf_counter() - start
        for size, tally in zip(comparison.sizes, counts.tallies, strict=True):
            height, width = truth.shape if size == OWN else size
            start = time.perf_counter()
            planes = planes_at(probabilities, (height, width))
            predicted = argmax_planes(planes)
            seconds += time.perf_counter() - start
            true = resized_mask(truth, (height, width))
            tally.add(true, predicted)
            if observe is not None:
                observe(example, true, planes)
        counts.add_photo(seconds, coarse=is_coarse(truth))
        if progress is not None:
            progress(counts.images)
    return counts


def measurement(counts: Counts, comparison: Comparison, size: tuple[int, int]) -> Measurement:
    """Return the figures of what was counted at one size, the only one of the comparison.

    Raises:
        EvaluationError: there is no photo.
    """
    counts.require_photos()
    masks = comparison.masks
    (tally,) = counts.tallies
    return Measurement(
        classes=masks.classes,
        confusion=tally.confusion,
        images=counts.images,
        size=size,
        milliseconds=1000 * float(np.median(counts.seconds[len(counts.seconds) // 10 :])),  # the first tenth is warm-up
        pet=tally.overlap(masks.foreground if PET.name in masks.classes else None),
        pet_alone=tally.overlap(masks.pet_alone),
        device=counts.device,
    )


def class_planes(
    network: Network, config: UNetConfig, photo: np.ndarray, size: tuple[int, int], flip: bool = False
) -> np.ndarray:
    """Return the classes' probabilities for a photo, (classes, height, width) float32; its argmax is the mask."""
    return planes_at(photo_probabilities(network, config, photo, flip=flip), size)


def planes_at(probabilities: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return probabilities (h, w, classes) at another size, (classes, height, width) float32."""
    if probabilities.shape[:2] == size:
        return np.moveaxis(probabilities, -1, 0)
    return np.concatenate([planes for _, _, planes in resized_strips(probabilities, *size)], axis=1)


class ComparedClasses:
    """The classes in which a model's masks are compared with the ground truth, and which of them are the pet."""

    def __init__(self, model_classes: int, coding: TargetCoding) -> None:
        # A one-class head has two classes here, as in its masks: 0 pet, 1 the rest.
        self._two_sided = model_classes == 1
        self._table = coding.reversed_table if self._two_sided else coding.table
        self.classes = coding.class_names[::-1] if self._two_sided else coding.class_names
        self.foreground = (PET.id,) if self._two_sided else coding.foreground
        self.pet_alone = (PET.id,) if BORDER.name in self.classes else None

    def target_ids(self, ids: np.ndarray) -> np.ndarray:
        """Map the data's class ids to those of predictions; `IGNORE_ID` stays."""
        return self._table[ids]


class Tally:
    """Counts pixels of true against predicted classes over all photos; the IoU of the foreground photo by photo."""

    def __init__(self, masks: ComparedClasses) -> None:
        count = len(masks.classes)
        self.confusion = np.zeros((count, count), np.int64)
        groups = (masks.foreground, masks.pet_alone)
        self._photos: dict[tuple[int, ...], list[float]] = {group: [] for group in groups if group is not None}

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Count one photo."""
        matrix = confusion_matrix(truth, predicted, len(self.confusion))
        self.confusion += matrix
        for classes, found in self._photos.items():
            found.append(binary_iou(matrix, classes))

    def append(self, other: Tally) -> None:
        """Add the photos that another tally of the same classes has counted."""
        self.confusion += other.confusion
        for classes, found in self._photos.items():
            found.extend(other._photos[classes])

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"confusion": self.confusion.tolist(), "photos": list(self._photos.values())}

    def restore(self, confusion: list[list[int]], photos: list[list[float]]) -> None:
        """Add what another tally of the same classes gave as plain values."""
        self.confusion += np.array(confusion, np.int64)
        for found, kept in zip(self._photos.values(), photos, strict=True):
            found.extend(kept)

    def overlap(self, classes: tuple[int, ...] | None) -> Overlap | None:
        """Return the IoU of the foreground's classes, or of the pet alone, against the rest."""
        if classes is None:
            return None
        # A photo without these classes in either mask counts as correct.
        each = np.nan_to_num(self._photos[classes], nan=1.0)
        return Overlap(binary_iou(self.confusion, classes), float(each.mean()))


@dataclass
class Counts:
    """What was counted on some photos; parts of a dataset add up.

    Attributes:
        tallies: one for each size.
        images: how many photos.
        coarse: how many of their masks are no more than an enlargement, see `is_coarse`.
        seconds: for the first photos, each from its pixels to its masks.
        devices: where the network ran.
    """

    tallies: tuple[Tally, ...]
    images: int = 0
    coarse: int = 0
    seconds: list[float] = field(default_factory=list)
    devices: set[str] = field(default_factory=set)

    @property
    def device(self) -> str:
        """The devices in words."""
        return ", ".join(sorted(self.devices))

    def add_photo(self, seconds: float, *, coarse: bool) -> None:
        """Count one photo, whose pixels the tallies have."""
        self.images += 1
        self.coarse += coarse
        if self.images <= LATENCY_PHOTOS:
            self.seconds.append(seconds)

    def append(self, other: Counts) -> None:
        """Add the photos that come next."""
        for own, others in zip(self.tallies, other.tallies, strict=True):
            own.append(others)
        self.devices |= other.devices
        self.images += other.images
        self.coarse += other.coarse
        self.seconds = (self.seconds + other.seconds)[:LATENCY_PHOTOS]

    def to_json(self) -> bytes:
        """Return it as a file; `Comparison.from_json` reads it."""
        values = {"images": self.images, "coarse": self.coarse, "seconds": self.seconds, "devices": list(self.devices)}
        return json.dumps({**values, "tallies": [tally.plain() for tally in self.tallies]}).encode()

    def require_photos(self) -> None:
        """Refuse to give figures of nothing.

        Raises:
            EvaluationError: there is no photo.
        """
        if not self.images:
            raise EvaluationError("there is no photo to measure on: choose another part of the data or a higher limit")


def is_coarse(mask: np.ndarray, detail: int = EVALUATION_SIZE) -> bool:
    """Return whether a mask, (H, W), is an enlargement of one of `detail` × `detail` pixels by nearest neighbour."""
    if min(mask.shape) <= detail:
        return False
    small = resized_mask(mask, (detail, detail))
    return bool(np.array_equal(resized_mask(small, (mask.shape[0], mask.shape[1])), mask))


def report(measurement: Measurement) -> dict[str, Any]:
    """Return the scores as plain values for JSON, rounded to six places; undefined ones are None."""
    scores = measurement.scores
    return {
        "images": measurement.images,
        "image_size": list(measurement.size),
        "classes": list(measurement.classes),
        "pixel_accuracy": rounded(scores.pixel_accuracy),
        "mean_iou": rounded(scores.mean_iou),
        "mean_dice": rounded(scores.mean_dice),
        "iou": {name: rounded(value) for name, value in zip(measurement.classes, scores.iou)},
        "dice": {name: rounded(value) for name, value in zip(measurement.classes, scores.dice)},
        "pet_iou": _overlap(measurement.pet),
        "pet_alone_iou": _overlap(measurement.pet_alone),
        "confusion_matrix": measurement.confusion.tolist(),
        "milliseconds_per_image": round(measurement.milliseconds, 3),
    }


def _overlap(overlap: Overlap | None) -> dict[str, float | None] | None:
    if overlap is None:
        return None
    return {"dataset": rounded(overlap.dataset), "per_image_mean": rounded(overlap.per_image)}


def rounded(value: float | None) -> float | None:
    """Return a score with six places; None for one that is undefined."""
    return None if value is None or not np.isfinite(value) else round(float(value), 6)
