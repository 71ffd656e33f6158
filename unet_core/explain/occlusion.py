"""Which parts of a photo a network's answer depends on: each part hidden in turn, and what changes at every pixel.

The occlusion method of Zeiler and Fergus 2014. What can matter at a pixel at most is its receptive field,
`unet_core.architecture.window`; what does matter, mostly close by, is its effective receptive field (Luo et al. 2016).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from unet_core.architecture.trace import Trace, trace
from unet_core.architecture.window import windows
from unet_core.explain.probe import open_probe
from unet_core.images.interpolate import Box
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry

GRID = 12  # parts along each side of the photo
_MOST_PIXELS = 112  # of each side of the output that are kept
_CERTAIN = 1e-6  # probabilities are kept this far from 0 and 1, where the odds are infinite


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What hiding each part of a photo changes.

    Attributes:
        changes: (rows, columns, h, w) float16, by how much the log-odds of the subject fall at a pixel of the photo's
            part of the output when a part of the photo is hidden; negative where they rise.
        subject: (h, w) bool, where the network finds the subject in the whole photo.
    """

    changes: np.ndarray = field(repr=False)
    subject: np.ndarray = field(repr=False)
    _trace: Trace = field(repr=False)
    _box: Box

    def at(self, vertical: float, horizontal: float) -> np.ndarray:
        """Return what hiding each part changes at one place, (rows, columns) float32; places are shares, 0…1."""
        height, width = self.changes.shape[2:]
        row, column = min(height - 1, int(vertical * height)), min(width - 1, int(horizontal * width))
        return self.changes[:, :, row, column].astype(np.float32)

    def of_subject(self) -> np.ndarray:
        """Return what hiding each part changes on average over the subject, (rows, columns) float32; 0 without one."""
        if not self.subject.any():
            return np.zeros(self.changes.shape[:2], np.float32)
        return self.changes[:, :, self.subject].mean(axis=-1, dtype=np.float32)

    def window(self, vertical: float, horizontal: float) -> tuple[float, float, float, float]:
        """Return the part of the photo that a place can depend on: top, left, bottom, right as shares, within 0…1.

        Exact, from the network's configuration; the places are shares too.
        """
        whole = self._trace.layers[-1].output_shape
        box, places = self._box, []
        for share, start, side, most in (
            (vertical, box.top, box.height, whole[0]),
            (horizontal, box.left, box.width, whole[1]),
        ):
            places.append(min(most - 1, start + min(side - 1, int(share * side))))
        found = windows(self._trace, self._trace.layers[-1].name, *places)[self._trace.layers[0].name]
        edges = []
        for interval, start, side, entered, left in zip(
            found, (box.top, box.left), (box.height, box.width), self._trace.input_shape, whole, strict=False
        ):
            lost = max(0, entered - left) / 2  # of valid padding, at each border
            first, end = ((pixel - lost - start) / side for pixel in (interval[0], interval[1] + 1))
            edges.append((max(0.0, first), min(1.0, end)))
        (top, bottom), (from_left, right) = edges
        return top, from_left, bottom, right

    def reach(self, vertical: float, horizontal: float, share: float) -> float:
        """Return the distance from a place, in sides of the photo, within which lies a share of all that matters there.

        Distances are between middles of parts and the place, the photo taken as a square; 0 if nothing matters.
        """
        effect = np.abs(self.at(vertical, horizontal))
        if not effect.any():
            return 0.0
        rows, columns = ((np.arange(count) + 0.5) / count for count in effect.shape)
        distances = np.hypot(rows[:, None] - vertical, columns[None] - horizontal).ravel()
        order = np.argsort(distances, kind="stable")
        together = np.cumsum(effect.ravel()[order]) / effect.sum()
        return float(distances[order[np.searchsorted(together, share)]])


def occlusion(
    entry: ModelEntry,
    photo: np.ndarray,
    settings: Settings,
    *,
    grid: int = GRID,
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Occlusion:
    """Hide each of `grid` × `grid` parts of a photo behind its mean colour, and run the network.

    Args:
        entry: the model, with an ONNX file in the settings' `weights_dir`.
        photo: (H, W, 3) uint8, at least `grid` pixels high and wide.
        settings: folders and limits.
        grid: the parts along each side.
        turn: entered for each run of the network, one by one: on a processor batches are not faster, only larger.
        progress: called with the runs done and their total.

    Raises:
        WeightsError: the model's ONNX file is missing, altered, or has no layer names.
        ValueError: the photo has fewer pixels than parts.
    """
    height, width = photo.shape[:2]
    if min(height, width) < grid:
        raise ValueError(f"photo: needs {grid} pixels along each side. Received: {height} × {width}")
    probe = open_probe(entry, settings)
    subject = list(probe.subject)

    def log_odds(shown: np.ndarray) -> np.ndarray:
        batch, box = probe.prepared(shown)
        with turn():
            output, _ = probe.run(batch)
        inside = probe.probabilities(output, box)[0][..., subject].sum(axis=-1)
        every = -(-max(inside.shape) // _MOST_PIXELS)
        inside = inside[::every, ::every].clip(_CERTAIN, 1 - _CERTAIN)
        return np.log(inside / (1 - inside))

    whole = log_odds(photo)
    parts = _parts(height, width, grid)
    changes = np.empty((len(parts), *whole.shape), np.float16)
    for number, part in enumerate(parts):
        changes[number] = whole - log_odds(_hidden(photo, *part))
        progress(number + 1, len(parts))
    box = probe.prepared(photo)[1]
    return Occlusion(changes.reshape(grid, grid, *whole.shape), whole > 0, trace(entry.config), box)


def _parts(height: int, width: int, grid: int) -> list[tuple[slice, slice]]:
    rows, columns = (np.linspace(0, side, grid + 1).round().astype(int) for side in (height, width))
    return [
        (slice(top, bottom), slice(left, right))
        for top, bottom in itertools.pairwise(rows)
        for left, right in itertools.pairwise(columns)
    ]


def _hidden(photo: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    hidden = photo.copy()
    hidden[rows, columns] = np.rint(photo.mean(axis=(0, 1)))
    return hidden
