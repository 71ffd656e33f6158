"""One prediction for each photo, compared with its mask at several sizes: how much figures depend on the comparison's.

The result file `weights/results/<model>_resolutions.json` is written by `evaluate --sizes … --results`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from unet_core.data.sources import SplitName
from unet_core.jobs.disclosure import data_title
from unet_core.results.evaluation import file_of, provenance
from unet_core.results.files import VERSION, Number, Provenance, ResultsError, measured_file, read_file, result_path
from unet_core.scores import scores_from_confusion
from unet_core.scoring.evaluate import (
    EVALUATION_SIZE,
    ComparedClasses,
    Comparison,
    Counts,
    Size,
    Tally,
    rounded,
)
from unet_core.scoring.on_cluster import OnCluster
from unet_core.settings import Settings
from unet_core.strict import Strict
from unet_core.train.use_model import Subject, comparison, count
from unet_core.zoo.manifest import ModelEntry


class AtSize(Strict):
    """The scores at one size; "own" is each mask's own, where large photos have more pixels.

    `iou` is by class, `pet_iou` that of the pet with its border over all pixels, `photo_iou` the same as the mean over
    photos; both are null for classes other than the pets'.
    """

    size: Size
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


def at_sizes(counts: Counts, comparison: Comparison) -> tuple[AtSize, ...]:
    """Return the scores of what was counted, by size.

    Raises:
        EvaluationError: there is no photo.
    """
    counts.require_photos()
    masks = comparison.masks
    return tuple(_at(size, tally, masks) for size, tally in zip(comparison.sizes, counts.tallies, strict=True))


def resolutions(
    subject: Subject,
    split: SplitName,
    sizes: Sequence[Size],
    *,
    flip: bool = False,
    limit: int | None = None,
    cluster: OnCluster | None = None,
    command: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Resolutions:
    """Measure a loaded model on a part of a dataset at several sizes.

    Args:
        subject: the model and the dataset.
        split: the part.
        sizes: at which the same prediction is compared.
        flip: horizontal-flip averaging; no effect on a model with a zoomed second pass.
        limit: use at most this many photos.
        cluster: where workers predict; None is this process.
        command: reproduces this.
        progress: called with the photos done and their total.

    Raises:
        UNetError: the dataset is missing or does not fit the model, or there is no photo.
    """
    started = time.perf_counter()
    source, compared = subject.source, comparison(subject, sizes, flip)
    counts = count(subject, split, compared, limit=limit, cluster=cluster, progress=progress)
    file, sha256 = file_of(source)
    return Resolutions(
        model=source.name,
        file=file,
        sha256=sha256,
        data=data_title(subject.data),
        split=split,
        images=counts.images,
        coarse_masks=counts.coarse,
        sizes=at_sizes(counts, compared),
        measured=provenance(command, time.perf_counter() - started, subject.network.name, counts.device),
    )


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
