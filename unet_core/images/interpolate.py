"""Bilinear interpolation of probabilities to any size, in strips, so that a large photo needs little memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_STRIP_PIXELS = 100_000  # a strip of three classes stays in the processor's cache


class Box(NamedTuple):
    """A rectangle of pixels: its first row and column, its height and width."""

    top: int
    left: int
    height: int
    width: int


@lru_cache(maxsize=32)
def taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which of `source` samples each of `target` positions averages: half-pixel centres, edges repeated.

    Enlarging averages two. Shrinking widens the triangle filter (antialiasing), as Pillow does.

    Returns:
        Indices and their weights, both (taps, target); indices never decrease from one position to the next. A
        position's weights sum to 1, and are 0 where it averages fewer samples.
    """
    ratio = source / target
    support = max(1.0, ratio)
    centres = (np.arange(target) + 0.5) * ratio - 0.5
    first = np.maximum(np.floor(centres - support).astype(int) + 1, 0)
    indices = first + np.arange(int(np.ceil(2 * support)))[:, None]
    weights = np.clip(1 - np.abs(indices - centres) / support, 0, None)
    weights[indices >= source] = 0
    return np.minimum(indices, source - 1), (weights / weights.sum(axis=0)).astype(np.float32)


def mixed(planes: np.ndarray, indices: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """Sum planes (C, h, w) taken at each tap's indices along `axis`, times the tap's weights.

    A few multiply-adds instead of a matrix product, whose threads wait for each other where other processes use the
    cores: beside a training run it took 96 ms instead of 1 ms.
    """
    shape = [1, 1, 1]
    shape[axis] = -1
    total = planes.take(indices[0], axis=axis) * weights[0].reshape(shape)
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        if weight.any():
            part = planes.take(index, axis=axis)
            part *= weight.reshape(shape)
            total += part
    return total


def resized_strips(probabilities: np.ndarray, height: int, width: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Resize class maps (h, w, C) to height × width and yield them as strips of rows.

    Yields:
        top, bottom, and the rows between them as (C, bottom − top, width) float32.
    """
    planes = np.ascontiguousarray(np.moveaxis(probabilities, -1, 0), np.float32)  # (C, h, w)
    wide = mixed(planes, *taps(planes.shape[2], width), axis=2)  # (C, h, W)
    indices, weights = taps(planes.shape[1], height)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield top, bottom, mixed(wide, indices[:, top:bottom], weights[:, top:bottom], axis=1)


def resized(probabilities: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return class maps (h, w, C) resized to height × width, (height, width, C) float32."""
    whole = np.empty((height, width, probabilities.shape[-1]), np.float32)
    for top, bottom, planes in resized_strips(probabilities, height, width):
        whole[top:bottom] = np.moveaxis(planes, 0, -1)
    return whole


def class_map(probabilities: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the most likely class of each pixel of class maps (h, w, C) resized to height × width, uint8."""
    quick = resized_argmax(probabilities, height, width)
    if quick is not None:
        return quick
    return np.concatenate([argmax_planes(planes) for _, _, planes in resized_strips(probabilities, height, width)])


def resized_argmax(probabilities: np.ndarray, height: int, width: int) -> np.ndarray | None:
    """Return the most likely class of each pixel after resizing class maps (h, w, C), (height, width) uint8.

    Equal to `argmax_planes` of what `resized_strips` yields. Where the four samples around a pixel agree on a class, so
    does any mean of them, so only pixels between samples that disagree are interpolated.

    Returns:
        None where a side shrinks, since pixels then average more than four samples.
    """
    rows, columns = probabilities.shape[:2]
    if height < rows or width < columns:
        return None
    labels = argmax_planes(np.moveaxis(probabilities, -1, 0))
    (upper, lower), (above, below) = taps(rows, height)
    (left, right), (before, behind) = taps(columns, width)
    following = np.minimum(np.arange(1, rows + 1), rows - 1), np.minimum(np.arange(1, columns + 1), columns - 1)
    down, aside = labels[following[0]], labels[:, following[1]]
    differ = (labels != down) | (labels != aside) | (labels != down[:, following[1]])
    mask = labels.take(left, axis=1).take(upper, axis=0)
    doubtful = np.flatnonzero(differ.take(left, axis=1).take(upper, axis=0))
    y, x = np.divmod(doubtful, width)
    flat = np.ascontiguousarray(probabilities, np.float32).reshape(rows * columns, -1)
    first, second = left[x], right[x]
    shares = before[x][:, None], behind[x][:, None]
    totals = np.zeros((len(doubtful), flat.shape[1]), np.float32)
    for line, weight in ((upper[y], above[y]), (lower[y], below[y])):
        along = flat.take(line * columns + first, axis=0) * shares[0]
        along += flat.take(line * columns + second, axis=0) * shares[1]
        totals += along * weight[:, None]
    mask.reshape(-1)[doubtful] = totals.argmax(axis=1)
    return mask


def argmax_planes(planes: np.ndarray) -> np.ndarray:
    """Return the index of the largest of C planes, the lower one on a tie: (C, H, W) to (H, W) uint8.

    Several times faster than `np.argmax(planes, axis=0)`.
    """
    best = planes[0].copy()
    ids = np.zeros(best.shape, np.uint8)
    for index in range(1, len(planes)):
        np.putmask(ids, planes[index] > best, index)
        np.maximum(best, planes[index], out=best)
    return ids
