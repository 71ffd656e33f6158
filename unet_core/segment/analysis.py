"""The confidence of a segmentation: probability heat maps, entropy per pixel, a threshold on the subject. NumPy only.

Everything is computed from a `Segmentation`'s probabilities. `size` (height, width) interpolates them first; by default
the maps have the size of the probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from unet_core.classes import BORDER, PET, PixelClasses
from unet_core.images.interpolate import resized_strips
from unet_core.segment.segmentation import Segmentation

Size = tuple[int, int]

UNCERTAIN = 0.5  # of the maximum entropy: with three classes, about 0.76 to 0.24 between two of them
THRESHOLDS = np.linspace(0, 1, 101)

# Viridis (Smith and van der Walt, 2015), every fifth of its 256 colours: perceptually uniform, also in grey and with a
# colour vision deficiency.
_VIRIDIS = (
    "44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a3a538b38598c355e8d33638d31688e"
    "2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d20928c1f978b1e9c891fa18821a58524aa8328ae802eb37c35b7793dbc74"
    "46c06f50c46a5ac86465cb5e70cf577cd25089d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725"
)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Each pixel's entropy as a share of the maximum: 0 is certain, 1 is all classes equally probable.

    Attributes:
        entropy: (h, w) float32, 0…1.
        limit: pixels above it count as uncertain.
        share: of uncertain pixels, 0…1.
        mean: the mean entropy.
    """

    entropy: np.ndarray = field(repr=False)
    limit: float
    share: float
    mean: float

    def picture(self) -> np.ndarray:
        """Draw the map in colours, (h, w, 3) uint8: dark is certain."""
        return colourise(self.entropy)


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """The share of a photo's pixels whose probability of the subject reaches a threshold, by threshold.

    `classes` are the names of the classes whose probabilities are summed.
    """

    classes: tuple[str, ...]
    thresholds: np.ndarray = field(repr=False)
    coverage: np.ndarray = field(repr=False)  # 0…1, falling

    def at(self, threshold: float) -> float:
        """Return the coverage at any threshold in 0…1, interpolated linearly."""
        return float(np.interp(threshold, self.thresholds, self.coverage))

    def sentence(self, threshold: float) -> str:
        """Describe the coverage at a threshold."""
        what = " + ".join(self.classes)
        return f"p({what}) ≥ {threshold:.2f} covers {100 * self.at(threshold):.1f} % of the photo."


def colourise(values: np.ndarray) -> np.ndarray:
    """Colour values 0…1 by viridis: (…) to (…, 3) uint8. Other values are clipped, NaN is 0."""
    steps = np.nan_to_num(np.asarray(values, np.float32), nan=0.0) * 255
    return _table()[np.rint(steps.clip(0, 255)).astype(np.uint8)]


def colour_bar(width: int = 256, height: int = 12) -> np.ndarray:
    """Draw the scale of `colourise` from 0 on the left to 1 on the right, (height, width, 3) uint8."""
    return np.broadcast_to(colourise(np.linspace(0, 1, width)), (height, width, 3)).copy()


def subject_ids(classes: PixelClasses, *, border: bool = True) -> tuple[int, ...]:
    """Return the ids of the subject: all classes but the background; without `border`, not the border of pets."""
    if border or PET.name not in classes.names:
        return classes.subject
    return tuple(number for number in classes.subject if classes.names[number] != BORDER.name)


def subject_name(classes: PixelClasses) -> str:
    """Return what to call the subject: "pet", the name of the only class but the background, or "subject"."""
    names = [classes.names[number] for number in classes.subject]
    if PET.name in names:
        return PET.name
    return names[0] if len(names) == 1 else "subject"


def subject_key(classes: PixelClasses) -> str:
    """Return how keys and columns about the subject start: "pet", or "subject" for other data."""
    return PET.name if PET.name in classes.names else "subject"


def probability(segmentation: Segmentation, ids: Sequence[int], *, size: Size | None = None) -> np.ndarray:
    """Return each pixel's probability of belonging to one of the classes `ids`, (h, w) float32 in 0…1.

    Raises:
        ValueError: there is no such class.
    """
    _check_ids(segmentation, ids)
    chosen = segmentation.probabilities[..., list(ids)].sum(axis=-1, keepdims=True)
    result = np.empty(_size(segmentation, size), np.float32)
    for top, bottom, planes in _strips(chosen, size):
        result[top:bottom] = planes[0]
    return result.clip(0, 1, out=result)


def heat_map(segmentation: Segmentation, class_id: int, *, size: Size | None = None) -> np.ndarray:
    """Draw one class's probability in colours, (h, w, 3) uint8: dark is 0, yellow is 1.

    Raises:
        ValueError: there is no such class.
    """
    return colourise(probability(segmentation, [class_id], size=size))


def uncertainty(segmentation: Segmentation, *, size: Size | None = None, limit: float = UNCERTAIN) -> Uncertainty:
    """Compute each pixel's entropy −Σ p log p / log C, and the share of pixels where it exceeds `limit`.

    Raises:
        ValueError: `limit` is not in 0…1.
    """
    _check_share("limit", limit)
    entropy = np.empty(_size(segmentation, size), np.float32)
    scale = 1 / np.log(max(2, segmentation.probabilities.shape[-1]))
    for top, bottom, planes in _strips(segmentation.probabilities, size):
        logs = np.log(np.maximum(planes, np.finfo(np.float32).tiny))  # 0 · log 0 is 0
        entropy[top:bottom] = -scale * (planes * logs).sum(axis=0)
    entropy.clip(0, 1, out=entropy)
    uncertain = int(np.count_nonzero(entropy > np.float32(limit)))
    return Uncertainty(entropy, limit, uncertain / entropy.size, float(entropy.mean(dtype=np.float64)))


def threshold_mask(
    segmentation: Segmentation,
    threshold: float,
    *,
    border: bool = True,
    subject: Sequence[int] | None = None,
    size: Size | None = None,
) -> np.ndarray:
    """Return which pixels' probability of the subject reaches `threshold`, (h, w) bool.

    Args:
        segmentation: with probabilities.
        threshold: 0…1.
        border: the border of pets counts as pet.
        subject: the ids of the subject's classes, by default those of `subject_ids`.
        size: height and width of the result.

    Raises:
        ValueError: the threshold is not in 0…1, or there is no such class.
    """
    _check_share("threshold", threshold)
    ids = subject_ids(segmentation.pixel_classes, border=border) if subject is None else tuple(subject)
    return probability(segmentation, ids, size=size) >= np.float32(threshold)


def coverage_curve(
    segmentation: Segmentation,
    *,
    border: bool = True,
    subject: Sequence[int] | None = None,
    size: Size | None = None,
) -> CoverageCurve:
    """Compute the share of the photo that `threshold_mask` selects, for 101 thresholds from 0 to 1."""
    ids = subject_ids(segmentation.pixel_classes, border=border) if subject is None else tuple(subject)
    values = probability(segmentation, ids, size=size)
    reached = np.searchsorted(THRESHOLDS.astype(np.float32), values.reshape(-1), side="right")  # thresholds ≤ value
    histogram = np.bincount(reached, minlength=len(THRESHOLDS) + 1)
    coverage = histogram[::-1].cumsum()[::-1][1:] / values.size
    return CoverageCurve(tuple(segmentation.classes[number] for number in ids), THRESHOLDS, coverage)


def _table() -> np.ndarray:
    """Return the 256 colours, (256, 3) uint8."""
    anchors = np.frombuffer(bytes.fromhex(_VIRIDIS), np.uint8).reshape(-1, 3)
    positions = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), positions, anchors[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def _size(segmentation: Segmentation, size: Size | None) -> Size:
    height, width = size or segmentation.probabilities.shape[:2]
    if height < 1 or width < 1:
        raise ValueError(f"size: height and width must be at least 1. Received: {size}")
    return height, width


def _strips(probabilities: np.ndarray, size: Size | None) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield rows of class maps (h, w, C) as top, bottom and planes (C, rows, width), interpolated where needed."""
    if size is None or tuple(size) == probabilities.shape[:2]:
        rows = max(1, 500_000 // probabilities.shape[1])
        for top in range(0, len(probabilities), rows):
            strip = probabilities[top : top + rows]
            yield top, top + len(strip), np.moveaxis(strip, -1, 0)
    else:
        yield from resized_strips(probabilities, *size)


def _check_ids(segmentation: Segmentation, ids: Sequence[int]) -> None:
    count = segmentation.probabilities.shape[-1]
    if any(not 0 <= number < count for number in ids):
        raise ValueError(f"class ids: must be 0 to {count - 1}. Received: {list(ids)}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: must be 0 to 1. Received: {value}")
