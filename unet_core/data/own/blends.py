"""Values between classes, which smooth resizing and lossy compression leave along the edges of a mask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

_NEAR = 7  # side in pixels of the square in which a blend has the values that it is made of
_BLENDED = 0.7  # of the candidates' pixels must lie between two such values
_OFTEN = 0.05  # of the candidates' pixels: a value with more is judged by itself
_NOISE = 24  # levels by which lossy compression may change an area
_MOST_SHARE = 0.35  # of all pixels: more than this is no edge


def solid_codes(codes: np.ndarray) -> np.ndarray:
    """Return the codes that fill a square of 3 × 3 pixels somewhere in a mask (H, W), in order, int64."""
    if min(codes.shape) < 3:
        return np.unique(codes).astype(np.int64)
    same = codes[1:-1, 1:-1] == codes[:-2, 1:-1]
    same &= codes[1:-1, 1:-1] == codes[2:, 1:-1]
    rows = codes[:, 1:-1] == codes[:, :-2]
    rows &= codes[:, 1:-1] == codes[:, 2:]
    same &= rows[:-2] & rows[1:-1] & rows[2:]
    return np.unique(codes[1:-1, 1:-1][same]).astype(np.int64)


def may_blend(candidates: Iterable[int], solid: Iterable[int], colours: bool) -> bool:
    """Return whether all candidates lie between two of the solid codes, so that they may be blends of these."""
    ends = _channels(np.array(sorted(solid)), colours)
    if len(ends) < 2:
        return False
    lowest, highest = ends.min(axis=0), ends.max(axis=0)
    inner = _channels(np.array(sorted(candidates)), colours)
    return bool(((inner >= lowest - 2) & (inner <= highest + 2)).all())


def are_apart(solid: Iterable[int], colours: bool) -> bool:
    """Return whether all codes differ from each other by more than compression changes them."""
    ends = _channels(np.array(sorted(solid)), colours)
    distances = np.abs(ends[:, None] - ends[None]).max(axis=-1)
    return bool((distances[~np.eye(len(ends), dtype=bool)] > _NOISE).all())


def blended_codes(masks: Sequence[np.ndarray], candidates: set[int], solid: set[int], *, colours: bool) -> set[int]:
    """Return which candidates are blends: most of their pixels lie near two solid codes whose values enclose them.

    A code that occurs often and mostly elsewhere is a class of thin shapes, and none of the rest are blends if most of
    their pixels are not.

    Args:
        masks: (H, W) codes, those that contain candidates.
        candidates: codes that fill no square anywhere.
        solid: all other codes.
        colours: whether codes are 0xRRGGBB.
    """
    between = dict.fromkeys(candidates, 0)
    total = dict.fromkeys(candidates, 0)
    for codes in masks:
        open_pixels = np.isin(codes, list(candidates))
        enclosed = _enclosed(codes, open_pixels, np.isin(codes, list(solid)), colours)
        for code, is_between in zip(codes[open_pixels].tolist(), enclosed.tolist()):
            total[code] += 1
            between[code] += is_between
    often = _OFTEN * sum(total.values())
    classes = {code for code in candidates if total[code] >= often and 2 * between[code] < total[code]}
    rest = candidates - classes
    enclosed = sum(between[code] for code in rest)
    return rest if rest and enclosed >= _BLENDED * sum(total[code] for code in rest) else set()


def _enclosed(codes: np.ndarray, wanted: np.ndarray, solid: np.ndarray, colours: bool) -> np.ndarray:
    """Return for each wanted pixel whether two different solid codes near it enclose its value: (N,) bool."""
    from scipy import ndimage  # loads in a tenth of a second

    inside = np.ones(int(wanted.sum()), bool)
    differs = np.zeros(len(inside), bool)
    for channel in range(3 if colours else 1):
        values = (codes >> (16 - 8 * channel) & 255 if colours else codes).astype(np.int32)
        low = ndimage.minimum_filter(np.where(solid, values, 1 << 24), _NEAR)[wanted]
        high = ndimage.maximum_filter(np.where(solid, values, -1), _NEAR)[wanted]
        inside &= (values[wanted] >= low - 2) & (values[wanted] <= high + 2)
        differs |= high > low
    return inside & differs


def is_edge_only(pixels: int, total: int) -> bool:
    """Return whether so many pixels of all can be edges."""
    return pixels <= _MOST_SHARE * total


def nearest_known(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Give each pixel without a known class the id of the nearest one that has: (H, W)."""
    from scipy import ndimage

    if known.all() or not known.any():
        return ids
    rows, columns = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return ids[rows, columns]


def _channels(codes: np.ndarray, colours: bool) -> np.ndarray:
    if not colours:
        return codes.reshape(-1, 1)
    return np.stack([codes >> 16 & 255, codes >> 8 & 255, codes & 255], axis=-1)
