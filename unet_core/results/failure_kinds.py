"""Where outlines fail: whole photos sorted by what they show, with failures before and after a model was retrained.

Each kind is decided by the true mask, or by a table of the photos, so anybody can repeat the counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unet_core.results.whole_photos import WholePhotos

FAILED_BELOW = 0.5  # IoU of the outline in a photo with the subject
MASKED_OVER = 0.1  # share of a photo without the subject that is masked
TINY, SMALL, FILLING = 0.02, 0.1, 0.5  # shares of the photo

Member = Callable[[WholePhotos, int], bool]


@dataclass(frozen=True)
class FailureKind:
    """One kind of photo with its failures now and before: `failed_before` is None without an earlier version.

    `iou` is the mean over the photos, None for kinds without the subject.
    """

    title: str
    with_subject: bool
    photos: int
    failed: int
    failed_before: int | None
    iou: float | None
    iou_before: float | None


def failure_kinds(figures: WholePhotos) -> tuple[FailureKind, ...]:
    """Count failures by kind; kinds without photos are left out. A photo may be of several kinds.

    Empty for figures from before the photos were described.
    """
    if not figures.subject_share:
        return ()
    found = [_counted(figures, title, True, is_one) for title, is_one in _with_subject(figures).items()]
    found += [_counted(figures, title, False, is_one) for title, is_one in _without_subject(figures).items()]
    return tuple(kind for kind in found if kind.photos)


def _with_subject(figures: WholePhotos) -> dict[str, Member]:
    kinds: dict[str, Member] = {
        "all": lambda of, index: True,
        f"under {_percent(TINY)} of the photo": lambda of, index: of.subject_share[index] < TINY,
        f"{_percent(TINY)} to {_percent(SMALL)}": lambda of, index: TINY <= of.subject_share[index] < SMALL,
        f"over {_percent(FILLING)}": lambda of, index: of.subject_share[index] > FILLING,
        "in several pieces": lambda of, index: of.pieces[index] > 1,
        "cut by the photo's edge": lambda of, index: of.cut[index],
    }
    return kinds | {f"beside a {what}": _beside(what) for what in figures.beside}


def _without_subject(figures: WholePhotos) -> dict[str, Member]:
    kinds: dict[str, Member] = {"all": lambda of, index: True}
    for what in figures.beside:
        shows = _beside(what)
        kinds[f"with a {what}"] = shows
        kinds[f"without a {what}"] = lambda of, index, shows=shows: not shows(of, index)
    return kinds


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _beside(what: str) -> Member:
    return lambda of, index: of.beside[what][index]


def _counted(figures: WholePhotos, title: str, with_subject: bool, is_one: Member) -> FailureKind:
    chosen = [
        index for index, iou in enumerate(figures.iou) if (iou is not None) == with_subject and is_one(figures, index)
    ]
    before = figures.earlier
    return FailureKind(
        title=title,
        with_subject=with_subject,
        photos=len(chosen),
        failed=sum(_failed(figures.iou[index], figures.coverage[index]) for index in chosen),
        failed_before=None if before is None else sum(_failed(before.iou[i], before.coverage[i]) for i in chosen),
        iou=_mean([figures.iou[index] for index in chosen]),
        iou_before=None if before is None else _mean([before.iou[index] for index in chosen]),
    )


def _failed(iou: float | None, coverage: float) -> bool:
    return coverage > MASKED_OVER if iou is None else iou < FAILED_BELOW


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
