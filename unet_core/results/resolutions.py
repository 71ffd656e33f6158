"""One prediction for each photo, compared with its mask at several sizes: how much figures depend on the comparison's.

The result file `weights/results/<model>_resolutions.json` is written by `evaluate --sizes … --results`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from unet_core.architecture.config import UNetConfig
from unet_core.data.pipeline import TargetCoding
from unet_core.data.sources import Example, SplitName
from unet_core.images.interpolate import argmax_planes
from unet_core.images.square import resized_mask
from unet_core.jobs.disclosure import data_title
from unet_core.results.evaluation import file_of, provenance
from unet_core.results.files import VERSION, Number, Provenance, ResultsError, measured_file, read_file, result_path
from unet_core.scores import scores_from_confusion
from unet_core.scoring.evaluate import EVALUATION_SIZE, ComparedClasses, EvaluationError, Tally, planes_at, rounded
from unet_core.segment.network import Network
from unet_core.segment.passes import photo_probabilities
from unet_core.settings import Settings
from unet_core.strict import Strict
from unet_core.train.use_model import Subject, coding_for, dataset_of
from unet_core.zoo.manifest import ModelEntry

OWN: Literal["own"] = "own"  # each mask's own size
Size = tuple[int, int] | Literal["own"]  # height and width


class AtSize(Strict):
    """The scores at one size; "own" is each mask's own, where large photos have more pixels.

    `iou` is by class, `pet_iou` that of the pet with its border over all pixels, `photo_iou` the same as the mean over
    photos; both are null for classes other than the pets'.
    """

    size: tuple[int, int] | Literal["own"]
    pixel_accuracy: Number
    mean_iou: Number
    iou: dict[str, Number]
    pet_iou: Number
    photo_iou: Number


class Resolutions(Strict):
    """The figures of one model on one part of a dataset.

    `coarse_masks` counts the masks that are no more than an enlargement of one of `detail` × `detail` pixels: at larger
    sizes, they punish an outline that is finer than they are.
    """

    version: Literal[1] = VERSION
    kind: Literal["resolutions"] = "resolutions"
    model: str
    file: str  # of the model that was measured
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    data: str
    split: str
    images: int = Field(ge=1)
    coarse_masks: int = Field(ge=0)
    detail: int = EVALUATION_SIZE
    sizes: tuple[AtSize, ...] = Field(min_length=1)
    measured: Provenance


@dataclass(frozen=True)
class Measured:
    """What `measure_sizes` found: the photos, the masks without finer detail, and the scores by size."""

    images: int
    coarse_masks: int
    sizes: tuple[AtSize, ...]


def measure_sizes(
    network: Network,
    config: UNetConfig,
    examples: Iterable[Example],
    coding: TargetCoding,
    sizes: Sequence[Size],
    *,
    flip: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Measured:
    """Predict each photo once and compare its mask at each of `sizes`.

    Args:
        network: the engine that runs the model.
        config: the model's architecture and preprocessing.
        examples: photos with true class ids.
        coding: maps the data's class ids to the model's.
        sizes: to which probabilities are resized bilinearly, and the true mask by nearest neighbour.
        flip: horizontal-flip averaging; no effect on a model with a zoomed second pass.
        progress: called with the number of photos done.

    Raises:
        EvaluationError: there is no photo.
    """
    masks = ComparedClasses(config.classes, coding)
    tallies = [Tally(masks.classes) for _ in sizes]
    done = coarse = 0
    for done, example in enumerate(examples, start=1):
        photo, ids = example.decode()
        truth = masks.target_ids(ids)
        coarse += is_coarse(truth)
        probabilities = photo_probabilities(network, config, photo, flip=flip)
        for size, tally in zip(sizes, tallies, strict=True):
            height, width = truth.shape if size == OWN else size
            predicted = argmax_planes(planes_at(probabilities, (height, width)))
            tally.add(resized_mask(truth, (height, width)), predicted)
        if progress is not None:
            progress(done)
    if not done:
        raise EvaluationError("there is no photo to measure on: choose another part of the data or a higher limit")
    return Measured(done, coarse, tuple(_at(size, tally, masks) for size, tally in zip(sizes, tallies, strict=True)))


def resolutions(
    subject: Subject,
    split: SplitName,
    sizes: Sequence[Size],
    *,
    flip: bool = False,
    limit: int | None = None,
    command: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Resolutions:
    """Measure a loaded model on a part of a dataset at several sizes.

    Args:
        subject: the model and the dataset.
        split: the part.
        sizes: see `measure_sizes`.
        flip: horizontal-flip averaging; no effect on a model with a zoomed second pass.
        limit: use at most this many photos.
        command: reproduces this.
        progress: called with the photos done and their total.

    Raises:
        UNetError: the dataset is missing or does not fit the model, or there is no photo.
    """
    started = time.perf_counter()
    source, network, dataset = subject.source, subject.network, dataset_of(subject)
    total = len(dataset.names(split)[:limit])
    found = measure_sizes(
        network,
        source.config,
        itertools.islice(dataset.examples(split), total),
        coding_for(source, dataset, subject.data),
        sizes,
        flip=flip,
        progress=lambda done: progress(done, total),
    )
    file, sha256 = file_of(source)
    return Resolutions(
        model=source.name,
        file=file,
        sha256=sha256,
        data=data_title(subject.data),
        split=split,
        images=found.images,
        coarse_masks=found.coarse_masks,
        sizes=found.sizes,
        measured=provenance(command, time.perf_counter() - started, network.name, network.device),
    )


def is_coarse(mask: np.ndarray, detail: int = EVALUATION_SIZE) -> bool:
    """Return whether a mask, (H, W), is an enlargement of one of `detail` × `detail` pixels by nearest neighbour."""
    if min(mask.shape) <= detail:
        return False
    small = resized_mask(mask, (detail, detail))
    return bool(np.array_equal(resized_mask(small, (mask.shape[0], mask.shape[1])), mask))


def _at(size: Size, tally: Tally, masks: ComparedClasses) -> AtSize:
    scores = scores_from_confusion(tally.confusion)
    pet = tally.overlap(masks.foreground)
    return AtSize(
        size=size,
        pixel_accuracy=rounded(scores.pixel_accuracy),
        mean_iou=rounded(scores.mean_iou),
        iou={name: rounded(value) for name, value in zip(masks.classes, scores.iou, strict=True)},
        pet_iou=None if pet is None else rounded(pet.dataset),
        photo_iou=None if pet is None else rounded(pet.per_image),
    )


def resolutions_path(model: str, settings: Settings | None = None) -> Path:
    """Return the path of a model's figures at several sizes, whether they exist or not."""
    return result_path(f"{model}_resolutions", settings)


def find_resolutions(model: str, entry: ModelEntry, settings: Settings | None = None) -> Resolutions | None:
    """Return a model's figures at several sizes; None if there are none of the installed version. Never raises."""
    try:
        found = read_file(resolutions_path(model, settings), Resolutions)
    except ResultsError:
        return None
    return found if found.sha256 == measured_file(entry)[1] else None
