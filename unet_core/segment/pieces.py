"""The connected pieces of the subject: small ones and holes removed, animals told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unet_core.classes import BORDER, PET, PixelClasses
from unet_core.segment.outline import is_pets, subject_certainty

_ALL_AROUND = np.ones((3, 3), bool)  # pixels that touch at a corner are connected
_ANIMAL = 0.1  # of the largest animal's pixels: smaller pieces belong to the animal next to them
_LEAST_ANIMAL = 0.0005  # of the photo's pixels
MOST_ANIMALS = 254


@dataclass(frozen=True, eq=False)
class Animals:
    """The separate pieces of a subject, the largest first.

    Attributes:
        labels: (H, W) uint8: 0 is no animal, 1 the largest, 2 the next …
        territories: (H, W) uint8: the animal that each pixel's share of the outline belongs to, 0 if there is none.
        alpha: (H, W) float32, the outline of all of them.
        count: how many there are.
    """

    labels: np.ndarray
    territories: np.ndarray
    alpha: np.ndarray
    count: int

    def alpha_of(self, number: int) -> np.ndarray:
        """Return the outline of one animal alone, (H, W) float32 in 0…1.

        Raises:
            ValueError: there is no such animal.
        """
        if not 1 <= number <= self.count:
            raise ValueError(f"number: must be 1 to {self.count}. Received: {number}")
        return np.where(self.territories == number, self.alpha, np.float32(0))


def labelled(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the connected pieces of a mask (h, w) bool; pixels that touch at a corner are connected.

    Returns:
        Each pixel's piece, (h, w), 0 outside the mask; and the pixels of each piece by number, 0 for number 0.
    """
    from scipy import ndimage

    pieces, count = ndimage.label(mask, structure=_ALL_AROUND)
    sizes = np.bincount(pieces.reshape(-1), minlength=count + 1)
    sizes[0] = 0
    return pieces, sizes


def separated(probabilities: np.ndarray, classes: PixelClasses, alpha: np.ndarray) -> Animals:
    """Tell the animals of a photo apart, or the pieces of another subject.

    Each connected piece in which the pet is more probable than border and background is an animal, unless it is much
    smaller than the largest. From there, a watershed divides the outline along the most probable border; what is
    outside of it belongs to the nearest animal.

    Args:
        probabilities: (h, w, C).
        classes: what the C classes mean.
        alpha: the outline, (H, W) float32 in 0…1, of the same photo at any size.
    """
    from scipy import ndimage
    from skimage.segmentation import watershed

    certainty = subject_certainty(probabilities, classes)
    if is_pets(classes):
        pet, border = probabilities[..., PET.id], probabilities[..., BORDER.id]
        core = (pet > border) & (certainty > 0.5)
        height = border - pet
    else:
        core, height = certainty > 0.5, -certainty
    pieces, sizes = labelled(core)
    order = np.argsort(-sizes, kind="stable")[:MOST_ANIMALS]
    kept = [number for number in order if sizes[number] >= max(1, _ANIMAL * sizes.max(), _LEAST_ANIMAL * core.size)]
    if not kept or not alpha.any():
        nothing = np.zeros(alpha.shape, np.uint8)
        return Animals(nothing, nothing, alpha, 0)
    if len(kept) == 1:
        territories = np.ones(alpha.shape, np.uint8)
    else:
        numbers = np.zeros(len(sizes), np.int32)
        numbers[kept] = np.arange(1, len(kept) + 1)
        inside = watershed(height, numbers[pieces], mask=certainty > 0.5)
        nearest = ndimage.distance_transform_edt(inside == 0, return_distances=False, return_indices=True)
        shared = inside[tuple(nearest)].astype(np.uint8)
        rows = (np.arange(alpha.shape[0]) + 0.5) * shared.shape[0] / alpha.shape[0]
        columns = (np.arange(alpha.shape[1]) + 0.5) * shared.shape[1] / alpha.shape[1]
        territories = shared[rows.astype(int)[:, None], columns.astype(int)]
    labels = np.where(alpha > 0.5, territories, np.uint8(0))
    return Animals(labels, territories, alpha, len(kept))


def without_islands(probabilities: np.ndarray, subject: np.ndarray, background: int, least_share: float) -> np.ndarray:
    """Return class maps without the pieces of the subject that are much smaller than its largest piece.

    Args:
        probabilities: (h, w, C).
        subject: (h, w) bool.
        background: the class id of the background.
        least_share: of the largest piece's pixels: the background and the most probable class of smaller pieces swap
            their probabilities.
    """
    pieces, sizes = labelled(subject)
    if len(sizes) < 3:
        return probabilities
    small = sizes < least_share * sizes.max()
    small[0] = False  # the background
    return _swapped(probabilities, small[pieces], background, None)


def without_holes(
    probabilities: np.ndarray, subject: np.ndarray, background: int, filling: int, least_share: float
) -> np.ndarray:
    """Return class maps in which holes in the subject belong to it.

    Args:
        probabilities: (h, w, C).
        subject: (h, w) bool.
        background: the class id of the background.
        filling: the class id that holes get.
        least_share: of the subject's pixels: larger holes stay, as does what touches the photo's edge.
    """
    from scipy import ndimage

    holes, count = ndimage.label(~subject)
    if not count:
        return probabilities
    sizes = np.bincount(holes.reshape(-1), minlength=count + 1)
    is_hole = sizes < least_share * np.count_nonzero(subject)
    is_hole[0] = False  # the subject
    for edge in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        is_hole[edge] = False
    return _swapped(probabilities, is_hole[holes], background, filling)


def _swapped(probabilities: np.ndarray, where: np.ndarray, background: int, other: int | None) -> np.ndarray:
    """Swap the background's probabilities with those of `other`, or of the most probable class, in some pixels."""
    rows, columns = np.nonzero(where)
    if not len(rows):
        return probabilities
    before = probabilities[rows, columns]
    pixels = np.arange(len(before))
    partners = before.argmax(axis=-1) if other is None else np.full(len(before), other)
    after = before.copy()
    after[pixels, partners], after[:, background] = before[:, background], before[pixels, partners]
    cleaned = probabilities.copy()
    cleaned[rows, columns] = after
    return cleaned
