"""Statistics of a segmentation dataset: class shares, sizes, and positions of the pets. NumPy only."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from unet_core.classes import IGNORE_ID

HEAT_CELLS = 32
PET_SHARE_BINS = 20
_SMALLEST_DEVIATION = 1e-3  # of a channel that is the same everywhere, so that nothing is divided by zero


class ChannelStatistics(NamedTuple):
    """The mean and the standard deviation of each channel, of values scaled to 0…1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Entry:
    """One example of a dataset, without its pixels.

    `shares` are the classes' shares of the photo's pixels, by class name; `pet_share` is that of the object, for pets
    including the border. `breed` and `species` are empty if the dataset has none.
    """

    name: str
    split: str
    breed: str
    species: str
    width: int
    height: int
    shares: dict[str, float] = field(repr=False)
    pet_share: float


@dataclass(frozen=True, eq=False)
class Statistics:
    """The statistics of a dataset, or of one of its splits.

    Attributes:
        photos: number of examples.
        class_shares: by class name, the share of all pixels, 0…1.
        pet_share_counts, pet_share_edges: histogram of the object's share of a photo: (20,) counts between (21,) edges.
        heat_map: (32, 32) float64, how often the object covers each position, all photos stretched to a square.
        photo_sizes: ((width, height), photos) of every size, the most frequent first.
        breed_counts, species_counts, split_counts: photos by name, the names sorted; splits in their natural order.
        breed_species: the species of each breed.
    """

    photos: int
    class_shares: dict[str, float]
    pet_share_counts: np.ndarray
    pet_share_edges: np.ndarray
    heat_map: np.ndarray
    photo_sizes: list[tuple[tuple[int, int], int]]
    breed_counts: dict[str, int]
    species_counts: dict[str, int]
    split_counts: dict[str, int]
    breed_species: dict[str, str]


def summarise(entries: Sequence[Entry], heat_sum: np.ndarray, class_names: Sequence[str]) -> Statistics:
    """Summarise examples.

    Args:
        entries: the examples.
        heat_sum: (32, 32), the sum of `cell_shares` of the same examples.
        class_names: in order.
    """
    pixels = np.array([entry.width * entry.height for entry in entries], np.float64)
    shares = np.array([[entry.shares.get(name, 0.0) for name in class_names] for entry in entries])
    shares = shares.reshape(len(entries), len(class_names))
    pet_shares = np.array([entry.pet_share for entry in entries], np.float64)
    counts, edges = np.histogram(pet_shares, bins=np.arange(PET_SHARE_BINS + 1) / PET_SHARE_BINS)
    total = max(float(pixels.sum()), 1.0)
    return Statistics(
        photos=len(entries),
        class_shares=dict(zip(class_names, (pixels @ shares / total).tolist())),
        pet_share_counts=counts,
        pet_share_edges=edges,
        heat_map=heat_sum / max(len(entries), 1),
        photo_sizes=Counter((entry.width, entry.height) for entry in entries).most_common(),
        breed_counts=_counted(entry.breed for entry in entries),
        species_counts=_counted(entry.species for entry in entries),
        split_counts=dict(Counter(entry.split for entry in entries)),
        breed_species={entry.breed: entry.species for entry in entries if entry.breed},
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts = Counter(name for name in names if name)
    return {name: counts[name] for name in sorted(counts, key=str.lower)}


def class_shares(ids: np.ndarray, classes: int) -> np.ndarray:
    """Return each class's share of a mask's labelled pixels: (H, W) uint8 to (classes,) float64."""
    counts = np.bincount(ids.reshape(-1), minlength=classes)
    return counts[:classes] / max(ids.size - counts[IGNORE_ID : IGNORE_ID + 1].sum(), 1)


def channel_statistics(photos: Iterable[np.ndarray], weights: Iterable[float] | None = None) -> ChannelStatistics:
    """Return the mean and standard deviation of each channel over all pixels, of values scaled to 0…1.

    Args:
        photos: (H, W, C) uint8 or uint16, at least one; read once, one at a time.
        weights: how much the pixels of each photo count; by default all the same.

    Raises:
        ValueError: there are no photos.
    """
    count, sums, squares = 0.0, np.zeros(1), np.zeros(1)
    for photo, weight in zip(photos, itertools.repeat(1.0) if weights is None else weights):
        levels = np.linspace(0, 1, 1 + np.iinfo(photo.dtype).max)
        counts = [np.bincount(band.reshape(-1), minlength=len(levels)) for band in np.moveaxis(photo, 2, 0)]
        count += weight * photo.shape[0] * photo.shape[1]
        sums = sums + weight * (np.array(counts) @ levels)
        squares = squares + weight * (np.array(counts) @ levels**2)
    if not count:
        raise ValueError("photos: there are none to measure")
    mean = sums / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, _SMALLEST_DEVIATION**2))
    return ChannelStatistics(tuple(np.round(mean, 5).tolist()), tuple(np.round(deviation, 5).tolist()))


def cell_shares(inside: np.ndarray, cells: int = HEAT_CELLS) -> np.ndarray:
    """Return how much of each cell of a square grid is inside, the picture stretched to the grid exactly.

    Args:
        inside: (H, W) bool, of any size.
        cells: rows and columns of the grid.

    Returns:
        (cells, cells) float64, 0…1; a pixel on the boundary between two cells counts for each by its area there.
    """
    rows = _averaged(inside, cells)  # (cells, W)
    return _averaged(rows.T, cells).T


def _averaged(values: np.ndarray, cells: int) -> np.ndarray:
    """Average (N, M) down to (cells, M) by area: the running sum, read at the cells' edges, and its differences."""
    count = len(values)
    sums = np.zeros((count + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    edges = np.arange(cells + 1) * (count / cells)
    below = np.minimum(edges.astype(int), count - 1)
    part = (edges - below)[:, None]
    at_edges = sums[below] * (1 - part) + sums[below + 1] * part
    return np.diff(at_edges, axis=0) * (cells / count)
