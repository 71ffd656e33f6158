"""Figures on whole photos from outside the training data: outlines, missed subjects, and subjects found falsely.

The result file `weights/results/<model>_photos.json` is written by `python -m unet_core outline … --results TEXT`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from unet_core.results.files import VERSION, Number, Provenance, ResultsError, measured_file, read_file, result_path
from unet_core.scoring.outline import OutlineScore
from unet_core.settings import Settings
from unet_core.strict import Strict
from unet_core.zoo.manifest import ModelEntry

FOUND, NOT_SURE, MISSED = "found", "not sure", "not found"
Decision = Literal["found", "not sure", "not found"]


class EarlierVersion(Strict):
    """The same photos as an earlier version of the model outlined them, in the same order."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    iou: tuple[Number, ...]
    coverage: tuple[float, ...]


class WholePhotos(Strict):
    """One entry for each photo, those with the subject first.

    `iou` is that of the outline, null for photos without the subject; `coverage` the share of the photo within the
    outline, whatever was decided; `probability` that there is a subject, null without a calibration. `subject_share`,
    `pieces` and `cut` describe the true subject, see `OutlineScore`; `beside` says by name what else a table of the
    photos knows of each. Files written before these were recorded lack them.
    """

    version: Literal[1] = VERSION
    kind: Literal["whole photos"] = "whole photos"
    model: str
    file: str  # of the model that was measured
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    photos: str  # which ones, in words
    name: tuple[str, ...]
    iou: tuple[Number, ...]
    coverage: tuple[float, ...]
    probability: tuple[Number, ...]
    decision: tuple[Decision, ...]
    subject_share: tuple[float, ...] = ()
    pieces: tuple[int, ...] = ()
    cut: tuple[bool, ...] = ()
    beside: dict[str, tuple[bool, ...]] = Field(default_factory=dict)
    earlier: EarlierVersion | None = None
    measured: Provenance

    @model_validator(mode="after")
    def _columns_are_equally_long(self) -> WholePhotos:
        columns = (self.iou, self.coverage, self.probability, self.decision)
        described = [column for column in (self.subject_share, self.pieces, self.cut) if column]
        before = () if self.earlier is None else (self.earlier.iou, self.earlier.coverage)
        if any(len(column) != len(self.name) for column in (*columns, *described, *self.beside.values(), *before)):
            raise ValueError("whole photos: all columns need one entry for each photo")
        return self

    @property
    def ious(self) -> list[float]:
        """The IoU of the photos with the subject."""
        return [iou for iou in self.iou if iou is not None]

    def count(self, decision: Decision, *, with_subject: bool) -> int:
        """Return how many photos with or without the subject were decided so."""
        both = zip(self.iou, self.decision)
        return sum(made == decision for iou, made in both if (iou is not None) == with_subject)

    def masked(self, share: float) -> int:
        """Return in how many photos without the subject the outline covers more than `share`."""
        return sum(coverage > share for iou, coverage in zip(self.iou, self.coverage) if iou is None)

    def curve(self, steps: int = 101) -> list[tuple[float, float, float]]:
        """Return what a threshold on the probability would do, from 0 to 1.

        Returns:
            For each threshold: the threshold, the share of the photos without the subject in which one would be found,
            and the share of those with it in which none would. Empty without probabilities, or without both kinds.
        """
        present = self._probabilities(with_subject=True)
        absent = self._probabilities(with_subject=False)
        if not len(present) or not len(absent):
            return []
        limits = np.linspace(0, 1, steps).tolist()
        return [(limit, float((absent >= limit).mean()), float((present < limit).mean())) for limit in limits]

    def _probabilities(self, *, with_subject: bool) -> np.ndarray:
        both = zip(self.iou, self.probability)
        return np.array([p for iou, p in both if p is not None and (iou is not None) == with_subject])


def whole_photos(
    scores: Sequence[OutlineScore],
    model: str,
    entry: ModelEntry,
    photos: str,
    measured: Provenance,
    *,
    beside: Mapping[str, Set[str]] | None = None,
    earlier: WholePhotos | None = None,
) -> WholePhotos:
    """Return the figures of scored photos, ready to be written.

    Args:
        scores: of all photos.
        model: its name.
        entry: its manifest entry, with the calibration that decided.
        photos: which ones, in words.
        measured: when, how and on what.
        beside: the names of the photos that show something else too, by what it is.
        earlier: the figures of an earlier version of the model on the same photos.

    Raises:
        ResultsError: `earlier` are figures on other photos.
    """
    ordered = sorted(scores, key=lambda score: (score.iou is None, score.name))
    calibration = entry.presence
    file, sha256 = measured_file(entry)
    words: dict[bool | None, Decision] = {True: "found", None: "not sure", False: "not found"}
    return WholePhotos(
        model=model,
        file=file,
        sha256=sha256,
        photos=photos,
        name=tuple(score.name for score in ordered),
        iou=tuple(None if score.iou is None else round(score.iou, 4) for score in ordered),
        coverage=tuple(round(score.coverage, 4) for score in ordered),
        probability=tuple(
            None if calibration is None else round(calibration.probability(score.figures), 4) for score in ordered
        ),
        decision=tuple(words[score.found] for score in ordered),
        subject_share=tuple(round(score.subject_share, 4) for score in ordered),
        pieces=tuple(score.pieces for score in ordered),
        cut=tuple(score.cut for score in ordered),
        beside={what: tuple(score.name in names for score in ordered) for what, names in (beside or {}).items()},
        earlier=_earlier(earlier, [score.name for score in ordered]),
        measured=measured,
    )


def _earlier(figures: WholePhotos | None, names: Sequence[str]) -> EarlierVersion | None:
    if figures is None:
        return None
    if list(figures.name) != list(names):
        raise ResultsError("The figures of the earlier version are of other photos: measure it on the same ones.")
    return EarlierVersion(sha256=figures.sha256, iou=figures.iou, coverage=figures.coverage)


def photos_path(model: str, settings: Settings | None = None) -> Path:
    """Return the path of a model's figures on whole photos, whether they exist or not."""
    return result_path(f"{model}_photos", settings)


@dataclass(frozen=True)
class FoundPhotos:
    """A model's figures on whole photos, or why there are none."""

    figures: WholePhotos | None
    problem: str = ""


def find_whole_photos(model: str, entry: ModelEntry, settings: Settings | None = None) -> FoundPhotos:
    """Return a model's figures on whole photos, or a sentence that says what is wrong; never raises."""
    path = photos_path(model, settings)
    try:
        figures = read_file(path, WholePhotos)
    except ResultsError as error:
        return FoundPhotos(None, str(error))
    if figures.sha256 != measured_file(entry)[1]:
        return FoundPhotos(None, f"{path.name} was measured on another version of {model} than the installed one.")
    return FoundPhotos(figures)
