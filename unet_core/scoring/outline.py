"""How well a model finds the subject in whole photos: its outline against true masks, and photos without it.

The outline is compared at the photo's own size, subject against everything else, without the pixels that the masks
mark as "not labelled". The calibration of "no pet found" is fitted here, see `unet_core.segment.presence`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unet_core.classes import BORDER, IGNORE_ID
from unet_core.data.sources import Example, Source
from unet_core.scoring.evaluate import EvaluationError
from unet_core.segment.outline import is_pets
from unet_core.segment.presence import figures_of
from unet_core.segment.segmenter import Segmenter
from unet_core.zoo.presence import FIGURES, PresenceCalibration

MISSED = 0.01  # the share of photos with a subject that a calibration may lose
_SURE = 0.05  # the share of photos with a subject that may be called "not sure"
_NOT_FOUND_BELOW = 0.1  # IoU
_PIECE = 0.1  # of the largest piece's pixels
_SHOWN_FROM = 0.1  # a photo without a subject counts as masked if more than this share of it is
_PENALTY = 1e-3  # on squared weights, so that separable data do not drive them to infinity


@dataclass(frozen=True, eq=False)
class OutlineScore:
    """One photo's outline against its true mask.

    Attributes:
        name: of the example.
        subject_share: the share of the labelled pixels that is subject, 0…1.
        iou: of the outline at an opacity of 0.5; None for a photo without a subject.
        coverage: the share of the photo that the outline covers before "no pet found" is decided.
        found: see `Presence`.
        figures: see `unet_core.zoo.presence.FIGURES`.
        pieces: how many separate pieces of the true subject have at least a tenth of the largest one's pixels.
        cut: whether the true subject reaches the photo's edge.
    """

    name: str
    subject_share: float
    iou: float | None
    coverage: float
    found: bool | None
    figures: np.ndarray = field(repr=False)
    pieces: int = 0
    cut: bool = False


def part_of(
    examples: Iterable[Example], subjects: int, others: int, background: int = 0
) -> tuple[list[Example], list[Example]]:
    """Split examples into a part that is never trained on, and the rest.

    In the order of the SHA-256 of their names (hexadecimal, of UTF-8), the first `subjects` examples that show anything
    but the class id `background` and the first `others` that do not are the part.

    Returns:
        The part and the rest, both in that order.
    """
    ordered = sorted(examples, key=lambda example: hashlib.sha256(example.name.encode()).hexdigest())
    left = {True: subjects, False: others}
    part, rest = [], []
    for example in ordered:
        if not any(left.values()):
            rest.append(example)
            continue
        shows = _shows_subject(example, background)
        (part if left[shows] else rest).append(example)
        left[shows] -= left[shows] > 0
    return part, rest


def all_examples(source: Source) -> Iterable[Example]:
    """Yield the examples of all splits."""
    return itertools.chain.from_iterable(source.examples(split) for split in ("train", "validation", "test"))


def score_outlines(
    segmenter: Segmenter,
    source: Source,
    examples: Sequence[Example],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[OutlineScore]:
    """Segment photos and compare the subject's outline with their true masks.

    Args:
        segmenter: the model; its subject is compared with all classes of the data but the background.
        source: the data's classes.
        examples: of the data.
        progress: called with the photos done and their total.

    Raises:
        EvaluationError: the data have no background, or the model has none.
    """
    background = source.classes.background
    if background is None or segmenter.pixel_classes.background is None:
        raise EvaluationError("An outline needs a background: neither the data nor the model may lack it.")
    open_ids = {IGNORE_ID, BORDER.id} if is_pets(source.classes) else {IGNORE_ID}
    scores = []
    for number, example in enumerate(examples):
        progress(number, len(examples))
        photo, ids = example.decode()
        labelled = ~np.isin(ids, list(open_ids))
        scores.append(_score(segmenter, example.name, photo, labelled, (ids != background) & labelled))
    progress(len(examples), len(examples))
    return scores


def outline_report(scores: Sequence[OutlineScore]) -> dict[str, Any]:
    """Return the figures over photos with and without a subject, ready for JSON."""
    ious = [score.iou for score in scores if score.iou is not None]
    absent = [score for score in scores if score.iou is None]
    present = [score for score in scores if score.iou is not None]
    return {
        "photos": len(scores),
        "with_subject": len(present),
        "outline_iou": {
            "mean": round(float(np.mean(ious)), 4) if ious else None,
            "median": round(float(np.median(ious)), 4) if ious else None,
            "below_0.5": sum(iou < 0.5 for iou in ious),
            "below_0.1": sum(iou < _NOT_FOUND_BELOW for iou in ious),
        },
        "missed": sum(score.found is False for score in present),
        "without_subject": len(absent),
        "found_falsely": sum(score.found is not False for score in absent),
        "not_sure": sum(score.found is None for score in scores),
        "masked_over_tenth": sum(score.coverage > _SHOWN_FROM for score in absent),
    }


def calibrated(scores: Sequence[OutlineScore], photos: str, *, missed: float = MISSED) -> PresenceCalibration:
    """Fit how likely a photo shows the subject, by logistic regression on photos with and without it.

    Args:
        scores: of photos that the model was not trained on, or at least not on their masks.
        photos: what they are, in words.
        missed: the share of the photos with a subject for which "no pet found" is accepted.

    Raises:
        EvaluationError: one of the two kinds is missing.
    """
    from scipy.optimize import minimize

    shows = np.array([score.iou is not None for score in scores])
    if shows.all() or not shows.any():
        raise EvaluationError("A calibration needs photos with and without the subject.")
    figures = np.array([score.figures for score in scores])
    mean, spread = figures.mean(axis=0), figures.std(axis=0) + 1e-9
    scaled, signs = (figures - mean) / spread, np.where(shows, 1.0, -1.0)

    def cost(values: np.ndarray) -> float:
        return float(
            np.logaddexp(0, -signs * (scaled @ values[:-1] + values[-1])).mean() + _PENALTY * np.sum(values[:-1] ** 2)
        )

    found = minimize(cost, np.zeros(len(FIGURES) + 1)).x
    weights = found[:-1] / spread
    fitted = PresenceCalibration(
        weights={name: round(float(weight), 5) for name, weight in zip(FIGURES, weights, strict=True)},
        offset=round(float(found[-1] - weights @ mean), 5),
        absent_below=0,
        present_from=1,
        photos=photos,
    )
    likely = np.sort([fitted.probability(row) for row in figures[shows]])
    limits = [float(np.floor(1e4 * np.quantile(likely, share)) / 1e4) for share in (missed, _SURE)]
    return fitted.replace(absent_below=limits[0], present_from=limits[1])


def _shows_subject(example: Example, background: int) -> bool:
    ids = example.decode()[1]
    return bool(((ids != background) & (ids != IGNORE_ID)).any())


def _score(segmenter: Segmenter, name: str, photo: np.ndarray, labelled: np.ndarray, truth: np.ndarray) -> OutlineScore:
    # At the network's size, as `Segmenter` looks at them: a calibration must see the figures that it will be given.
    found = segmenter.segment(photo, name=name, full_pixels=0)
    shown = (found.outline() > 0.5) & labelled
    union = np.count_nonzero(truth | shown)
    return OutlineScore(
        name=name,
        subject_share=float(truth.sum() / max(1, labelled.sum())),
        iou=float(np.count_nonzero(truth & shown) / union) if truth.any() else None,
        coverage=float(shown.mean()),
        found=found.presence.found,
        figures=figures_of(found.probabilities, found.pixel_classes),
        pieces=_pieces(truth),
        cut=bool(truth[[0, -1]].any() or truth[:, [0, -1]].any()),
    )


def _pieces(truth: np.ndarray) -> int:
    from scipy import ndimage  # slow to import

    sizes = np.bincount(ndimage.label(truth, np.ones((3, 3)))[0].reshape(-1))[1:]
    return int(np.count_nonzero(sizes >= _PIECE * sizes.max())) if len(sizes) else 0
