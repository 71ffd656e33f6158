"""The subject's soft outline: how opaque each pixel of a cut-out is, at the photo's own size.

A model of pets has a class for the rim that annotators left open, which serves as the unknown region of a trimap. The
outline runs through it where pet and background are equally likely; a guided filter then moves it to the photo's own
edges, hair included. The filter's coefficients are computed on a small copy and applied at any size.

K. He, J. Sun, X. Tang, *Guided Image Filtering*, TPAMI 2013, and *Fast Guided Filter*, 2015. The colours of a cut-out:
M. Forte, *Approximate Fast Foreground Colour Estimation*, ICIP 2021.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from PIL import Image

from unet_core.classes import BORDER, PET, PixelClasses
from unet_core.images.checks import check_same_size
from unet_core.images.interpolate import resized, resized_strips

_FAVOUR = 1.35  # how often the subject counts in a border: a part that is missing costs more than one too many
_SIDE = 256  # pixels on the longer side of the copy that the filter looks at: finer than the networks' outputs
_RADIUS_SHARE = 1 / 20  # of the filter's windows, of the copy's longer side at most
_SUBJECT_SHARE = 1 / 10  # of the same, of the side of a square as large as the subject: wider ones blur small animals
_REGULARITY = 1e-4  # of the filter: the variance of colours, 0…1, below which a window is taken as flat
_EXPLAINED = 0.5  # the share of the variance that colours must explain for the filter to decide alone
_LEAST_WEIGHT = 0.01  # of a pixel that may be either
_RAMP = 3.0  # pixels of the copy
_CLEAR, _OPAQUE = 0.12, 0.9  # what the filter leaves below and above them is noise
_COLOUR_SIDE = 512  # pixels on the longer side of the copy on which colours are estimated
_COLOUR_REACH = (1 / 20, 1 / 150)  # how far colours are taken from, as shares of the longer side: far, then near
_UNDECIDED = 1e-3  # a pixel whose classes but the border have less together is all border
_LEAST = np.float32(1e-5)


def subject_certainty(
    probabilities: np.ndarray, classes: PixelClasses, subject: Collection[int] | None = None
) -> np.ndarray:
    """Return how probable the subject is against the rest, whatever the probability of a border that is neither.

    With such a border the subject counts `_FAVOUR` times, so that the outline takes in what is a little more likely the
    rest, too: on everyday photos such outlines overlap the true ones better.

    Args:
        probabilities: (h, w, C).
        classes: what the C classes mean.
        subject: ids of the subject's classes, by default all but the background.

    Returns:
        (h, w) float32 in 0…1; the subject is on the side above 0.5.
    """
    chosen = set(classes.subject if subject is None else subject)
    neither = {BORDER.id} if is_pets(classes) and chosen > {BORDER.id} else set()
    inside = _summed(probabilities, chosen - neither)
    if neither:
        inside *= _FAVOUR
    total = inside + _summed(probabilities, set(range(probabilities.shape[-1])) - chosen - neither)
    open_ = total < _UNDECIDED
    with np.errstate(invalid="ignore", divide="ignore"):
        certainty = inside / total
    if open_.any():
        certainty[open_] = _between(certainty > 0.5, open_)
    return certainty


def _between(inside: np.ndarray, open_: np.ndarray) -> np.ndarray:
    """Return the certainty of the `open_` pixels by their distances from both sides, for pixels that are all border."""
    from scipy import ndimage

    sides = [side & ~open_ for side in (inside, ~inside)]
    if not all(side.any() for side in sides):
        return np.full(np.count_nonzero(open_), float(sides[0].any()), np.float32)
    to_inside, to_outside = (ndimage.distance_transform_edt(~side)[open_] for side in sides)
    return (to_outside / (to_inside + to_outside)).astype(np.float32)


def is_pets(classes: PixelClasses) -> bool:
    """Return whether the classes are those of the Oxford data: pet, background, and a border between them."""
    names = classes.names
    return len(names) > BORDER.id and (names[PET.id], names[BORDER.id]) == (PET.name, BORDER.name)


def soft_outline(image: np.ndarray, certainty: np.ndarray) -> np.ndarray:
    """Return how opaque each pixel of the subject's cut-out is.

    Args:
        image: the photo, (H, W, 3) uint8.
        certainty: (h, w) float32 as `subject_certainty` returns it, at any size.

    Returns:
        (H, W) float32 in 0…1: 1 is the subject, 0 is not; in between only near the outline.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    at_size = resized(certainty[..., None], rows, columns)[..., 0]
    inside = (at_size > 0.5).astype(np.float32)
    if not inside.any() or inside.all():
        return np.full((height, width), inside.flat[0], np.float32)
    small = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX, reducing_gap=2.0))
    maps = _filter(small.astype(np.float32) / 255, at_size)
    alpha = np.empty((height, width), np.float32)
    for top, bottom, (red, green, blue, rest) in resized_strips(maps, height, width):
        strip = image[top:bottom]
        values = rest
        for channel, factor in enumerate((red, green, blue)):
            factor *= strip[..., channel]
            values += factor
        alpha[top:bottom] = values
    alpha -= _CLEAR
    alpha /= _OPAQUE - _CLEAR
    return alpha.clip(0, 1, out=alpha)


def foreground(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Estimate the subject's own colours, so that no background shines through the edge of a cut-out.

    Args:
        image: the photo, (H, W, 3) uint8.
        alpha: (H, W) float32 in 0…1.

    Returns:
        (H, W, 3) uint8: the photo, but where alpha is neither 0 nor 1 the colour without the background's share.

    Raises:
        ImageError: photo and alpha differ in size.
    """
    check_same_size(image, alpha)
    height, width = alpha.shape
    result = image.copy()
    mixed = (alpha > 0) & (alpha < 1)
    if not mixed.any():
        return result
    colours = np.concatenate(_colours(image, alpha), axis=-1)
    for top, bottom, planes in resized_strips(colours, height, width):
        rows, columns = np.nonzero(mixed[top:bottom])
        if not len(rows):
            continue
        share = alpha[top:bottom][rows, columns][:, None]
        front, back = planes[:3, rows, columns].T, planes[3:, rows, columns].T
        seen = image[top:bottom][rows, columns].astype(np.float32)
        front = front + share * (seen - share * front - (1 - share) * back)
        result[top:bottom][rows, columns] = np.rint(front.clip(0, 255)).astype(np.uint8)
    return result


def _ramp(certainty: np.ndarray) -> np.ndarray:
    """Return an opacity (h, w) that rises from 0 to 1 within `_RAMP` pixels, half of it where certainty is 0.5."""
    slope = np.hypot(*np.gradient(certainty)) if min(certainty.shape) > 1 else np.zeros_like(certainty)
    distance = (certainty - 0.5) / np.maximum(_box(slope[..., None], 1)[..., 0], _LEAST)
    return (0.5 + distance / _RAMP).clip(0, 1)


def _filter(image: np.ndarray, certainty: np.ndarray) -> np.ndarray:
    """Return maps (h, w, 4) whose product with a pixel's colour (0…255) and 1 is its opacity.

    Each pixel counts as much as it is certain, so that in the border the colours of both sides decide. Far from the
    outline, and where colours do not tell inside from outside, a ramp across the midline decides instead.
    """
    height, width = certainty.shape
    inside = (certainty > 0.5).astype(np.float32)
    weight = np.square(2 * certainty - 1) + _LEAST_WEIGHT
    widest = min(_RADIUS_SHARE * max(inside.shape), _SUBJECT_SHARE * math.sqrt(np.count_nonzero(inside)))
    radius = max(1, round(widest) // 2)  # at half the size, where windows are averaged
    near = np.minimum(1, 2 - 2 * np.abs(2 * _box(_halved(inside[None]), max(1, radius // 2), (1, 2)) - 1))
    maps = _coefficients(image, inside, weight, radius)
    trust = near[0] * np.minimum(1, maps[4] / _EXPLAINED)
    maps[:3] /= 255
    maps[:4] *= trust
    maps[4] = 1 - trust
    maps = resized(np.moveaxis(maps, 0, -1), height, width)
    maps[..., 3] += maps[..., 4] * _ramp(certainty)
    return maps[..., :4]


def _coefficients(image: np.ndarray, inside: np.ndarray, weight: np.ndarray, radius: int) -> np.ndarray:
    """Return the filter's four coefficients, and how much of the opacity they explain, at half the size: (5, h, w).

    Products are taken at full size, so that windows of `radius` there have the same means with a quarter of the work.
    """
    colours = np.ascontiguousarray(np.moveaxis(image, -1, 0))
    products = np.empty((8 + len(_PAIRS), *inside.shape), np.float32)
    products[0] = weight
    np.multiply(weight, inside, out=products[1])
    np.multiply(weight, colours, out=products[2:5])
    np.multiply(products[1], colours, out=products[5:8])
    for number, (one, other) in enumerate(_PAIRS, 8):
        np.multiply(products[2 + one], colours[other], out=products[number])
    total, *means = _box(_halved(products), radius, (1, 2))
    mean_inside, red, green, blue, *products_with_inside = (mean / total for mean in means)
    mean = np.stack([red, green, blue])
    with_inside = np.stack(products_with_inside[:3]) - mean * mean_inside
    second = products_with_inside[3:]
    covariance = {(a, b): second[number] - mean[a] * mean[b] for number, (a, b) in enumerate(_PAIRS)}
    factors = _solve(covariance, with_inside)
    spread = np.maximum(mean_inside * (1 - mean_inside), _LEAST)
    explained = ((factors * with_inside).sum(axis=0) / spread).clip(0, 1)
    rest = mean_inside - (factors * mean).sum(axis=0)
    return _box(np.concatenate([factors, rest[None], explained[None]]), radius, (1, 2))


def _halved(planes: np.ndarray) -> np.ndarray:
    """Return the means of 2 × 2 pixels of planes (C, h, w), as (C, h / 2, w / 2) rounded up; edges repeated."""
    _, height, width = planes.shape
    if height % 2 or width % 2:
        planes = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)), "edge")
    rows = planes[:, ::2] + planes[:, 1::2]
    means = rows[..., ::2] + rows[..., 1::2]
    means /= 4
    return means


_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _solve(covariance: dict[tuple[int, int], np.ndarray], right: np.ndarray) -> np.ndarray:
    """Solve (covariance + regularity · identity) x = right, (3, h, w), by Cramer's rule: faster than LAPACK."""
    a, d, f = (covariance[index, index] + np.float32(_REGULARITY) for index in range(3))
    b, c, e = covariance[0, 1], covariance[0, 2], covariance[1, 2]
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * first + b * second + c * third
    x, y, z = right
    middle, last, corner = a * f - c * c, b * c - a * e, a * d - b * b
    solved = (
        first * x + second * y + third * z,
        second * x + middle * y + last * z,
        third * x + last * y + corner * z,
    )
    return np.stack(solved) / determinant


def _colours(image: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the colours of subject and rest around each pixel of a small copy, both (h, w, 3) float32 in 0…255."""
    height, width = alpha.shape
    scale = min(1.0, _COLOUR_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    photo = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX, reducing_gap=2.0), np.float32)
    share = np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BOX), np.float32)[..., None]
    front = back = photo
    for reach in _COLOUR_REACH:
        radius = max(1, round(max(size) * reach))
        mean_share = _box(share, radius)
        front = _box(front * share, radius) / np.maximum(mean_share, _LEAST)
        back = _box(back * (1 - share), radius) / np.maximum(1 - mean_share, _LEAST)
        front = front + share * (photo - share * front - (1 - share) * back)
        front = front.clip(0, 255)
    return front, back.clip(0, 255)


def _box(values: np.ndarray, radius: int, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """Return the means of (2·radius + 1)² pixels along two axes around each value, edges repeated."""
    from scipy import ndimage

    sides = 2 * radius + 1
    once = ndimage.uniform_filter1d(values, sides, axis=axes[0], mode="nearest")
    return ndimage.uniform_filter1d(once, sides, axis=axes[1], mode="nearest")


def _summed(probabilities: np.ndarray, ids: Collection[int]) -> np.ndarray:
    total = np.zeros(probabilities.shape[:2], np.float32)
    for number in ids:
        total += probabilities[..., number]
    return total
