"""Big photos in full detail: overlapping tiles at the photo's own scale, mirrored borders, blended without seams.

The overlap-tile strategy of Ronneberger et al. 2015, figure 2, for networks with and without valid padding: the
*outputs* of the tiles cover the photo and a margin around it; what a tile needs from beyond the photo is mirrored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from unet_core.architecture.trace import trace
from unet_core.errors import ConfigError
from unet_core.images.decode import ImageError
from unet_core.images.interpolate import argmax_planes, mixed, resized, taps
from unet_core.images.preprocess import scale as scaled_values
from unet_core.segment.passes import TwoPasses, class_probabilities
from unet_core.segment.segmentation import FULL_PROBABILITIES_PIXELS, Segmentation, check_photo
from unet_core.segment.segmenter import Segmenter, Stopwatch
from unet_core.zoo.manifest import WeightsError

MAX_OVERLAP = 0.75

Progress = Callable[[int, int], None]  # tiles done, tiles in all

# What one run of the network may hold: tiles, and bytes of their activations. A CPU is fastest with few.
_BATCH_LIMITS = {"CPU": (4, 100e6), "GPU": (64, 2e9)}
_STRIP_PIXELS = 100_000  # as in `interpolate`: a strip of a few classes stays in the processor's cache
_REDUCING_GAP = 3.0


@dataclass(frozen=True)
class Axis:
    """How tiles lie along one axis of the scaled photo.

    Attributes:
        length: pixels of the scaled photo.
        seen: pixels that one tile predicts.
        starts: first predicted pixel of each tile, increasing; negative where a tile reaches over the edge.
    """

    length: int
    seen: int
    starts: tuple[int, ...]

    @classmethod
    def covering(cls, length: int, seen: int, overlap: float) -> Axis:
        """Lay as few tiles as possible that share at least `overlap` of their `seen` pixels, evenly spaced.

        They reach half the overlap over both edges, so that no pixel of the photo lies at a tile's edge.
        """
        shared = min(round(overlap * seen), seen - 1)
        margin = shared // 2
        spare = length + 2 * margin - seen  # how far the last tile lies from the first
        if spare <= 0:
            return cls(length, seen, (-((seen - length) // 2),))
        count = -(-spare // (seen - shared)) + 1
        return cls(length, seen, tuple((np.rint(np.linspace(0, spare, count)).astype(int) - margin).tolist()))

    @cached_property
    def weights(self) -> np.ndarray:
        """The share (tiles, seen) float32 that each tile has in its pixels: falls off smoothly towards a tile's edges.

        The shares of all tiles sum to 1 at every pixel of the photo, and are 0 beyond it.
        """
        spacing = min(np.diff(self.starts), default=self.seen)
        ramp = min(self.seen - int(spacing), self.seen // 2)
        from_edge = np.minimum(np.arange(self.seen), np.arange(self.seen)[::-1]) + 0.5
        bump = np.sin(np.pi / 2 * np.minimum(from_edge / max(ramp, 0.5), 1)) ** 2
        positions = np.add.outer(self.starts, np.arange(self.seen))
        inside = (positions >= 0) & (positions < self.length)
        total = np.zeros(self.length)
        for index, within in zip(positions, inside, strict=True):
            total[index[within]] += bump[within]
        return np.where(inside, bump / total[positions.clip(0, self.length - 1)], 0).astype(np.float32)


@dataclass(frozen=True)
class TilePlan:
    """Where the tiles of one photo lie: `rows` and `columns`, in pixels of the scaled photo."""

    rows: Axis
    columns: Axis

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the scaled photo."""
        return self.rows.length, self.columns.length

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.rows.starts) * len(self.columns.starts)


@dataclass(frozen=True)
class TiledSegmenter:
    """Segments photos tile by tile with a segmenter's model and engine.

    Args:
        segmenter: what to segment with; it is shared, not copied.
        scale: of the photo the network sees; 1 is the photo's own, 0.5 half its width and height.
        overlap: the least share of a tile's output that a neighbour predicts too, 0 to `MAX_OVERLAP`.
        batch_size: tiles in one run of the network; None takes as many as a bounded memory allows.

    Raises:
        ConfigError, ValueError: an argument is out of range.
    """

    segmenter: Segmenter
    scale: float = 1.0
    overlap: float = 0.25
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check_tiling(self.scale, self.overlap)
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size: must be at least 1. Received: {self.batch_size}")

    def plan(self, height: int, width: int) -> TilePlan:
        """Say which tiles a photo of this size takes, without computing anything.

        Raises:
            ImageError: the photo enlarged by `scale` has more pixels than a photo may have.
        """
        size = max(1, round(height * self.scale)), max(1, round(width * self.scale))
        most = self.segmenter.settings.max_megapixels
        if self.scale > 1 and size[0] * size[1] > most * 1e6:
            raise ImageError(
                f"At {self.scale:g} times its size this photo has {size[0] * size[1] / 1e6:.0f} megapixels, more than "
                f"the {most:g} allowed: choose a smaller scale."
            )
        seen = self.seen
        return TilePlan(Axis.covering(size[0], seen[0], self.overlap), Axis.covering(size[1], seen[1], self.overlap))

    def segment(
        self,
        image: np.ndarray,
        *,
        flip: bool = False,
        progress: Progress | None = None,
        name: str = "photo",
        photo_size: tuple[int, int] | None = None,
    ) -> Segmentation:
        """Segment one decoded photo.

        Memory beyond the photo, its scaled copy and the result is one row of tiles: class probabilities of the scaled
        photo's width times a tile's height, and one batch.

        Args:
            image: (H, W, 3) uint8, as `decode_image` returns it.
            flip: average each tile's probabilities with those of its mirror image, twice the work; a model with
                a zoomed second pass does so anyway.
            progress: called with tiles done and tiles in all, from (0, all) on; an exception from it ends the work.
            name: the photo's file name.
            photo_size: the photo's own height and width, where `image` was decoded smaller.

        Returns:
            As `Segmenter.segment`; of a photo of more than `FULL_PROBABILITIES_PIXELS` the probabilities are averaged
            over squares of whole pixels until they are no more than that.

        Raises:
            ImageError: the array has another shape or type, or is too big once enlarged.
            WeightsError: the network's output is not a number.
        """
        check_photo(image)
        clock = Stopwatch()
        plan = self.plan(*image.shape[:2])
        pixels = _scaled_photo(image, plan.size, self.segmenter.entry.config.channels)
        clock.lap("preprocess")
        runs = plan.count * self.segmenter.runs(flip)
        flip = flip or isinstance(self.segmenter.network, TwoPasses)
        bands = self._bands(pixels, plan, flip, progress or (lambda done, total: None), clock)
        mask, counts, probabilities = _collected(_resized_rows(bands, plan.size, image.shape[:2]), image.shape[:2])
        clock.lap("postprocess")
        names = self.segmenter.classes
        return Segmentation(
            name=name,
            photo_size=photo_size or image.shape[:2],
            image=image,
            mask=mask,
            probabilities=probabilities,
            classes=names,
            shares=dict(zip(names, (counts / mask.size).tolist())),
            timings=clock.timings(),
            model=self.segmenter.model,
            engine=self.segmenter.engine,
            device=self.segmenter.device,
            runs=runs,
        )

    @property
    def seen(self) -> tuple[int, int]:
        """Height and width of the part of its input that a tile predicts; an output beyond the input shows no more."""
        config = self.segmenter.entry.config
        return min(self.segmenter.network.output_size[0], config.height), min(
            self.segmenter.network.output_size[1], config.width
        )

    @cached_property
    def _tiles_per_run(self) -> int:
        if self.batch_size is not None:
            return self.batch_size
        most, most_bytes = _BATCH_LIMITS["GPU" if self.segmenter.network.device.startswith("GPU") else "CPU"]
        traced = trace(self.segmenter.entry.config)
        needed = traced.inference_activation_bytes() if traced.valid else most_bytes
        return int(np.clip(most_bytes // max(needed, 1), 1, most))

    def _bands(
        self, pixels: np.ndarray, plan: TilePlan, flip: bool, progress: Progress, clock: Stopwatch
    ) -> Iterator[np.ndarray]:
        """Yield the scaled photo's probabilities from top to bottom, as bands of finished rows (C, rows, width)."""
        rows, columns = plan.rows, plan.columns
        ends = (*rows.starts[1:], rows.length)  # a row is finished where the next row of tiles begins
        open_rows = np.zeros((len(self.segmenter.classes), rows.seen, columns.length), np.float32)
        progress(0, plan.count)
        for number, (top, end) in enumerate(zip(rows.starts, ends, strict=True)):
            for first in range(0, len(columns.starts), self._tiles_per_run):
                chosen = range(first, min(first + self._tiles_per_run, len(columns.starts)))
                tiles = self._predicted(pixels, top, [columns.starts[index] for index in chosen], flip, clock)
                for index, tile in zip(chosen, tiles, strict=True):
                    share = np.outer(rows.weights[number], columns.weights[index])
                    _add(open_rows, columns.starts[index], tile, share)
                clock.lap("postprocess")
                progress(number * len(columns.starts) + chosen.stop, plan.count)
            yield open_rows[:, max(0, -top) : end - top].copy()
            clock.lap("postprocess")  # of whoever took the band
            finished = min(end - top, rows.seen)
            open_rows[:, : rows.seen - finished] = open_rows[:, finished:].copy()
            open_rows[:, rows.seen - finished :] = 0

    def _predicted(self, pixels: np.ndarray, top: int, lefts: list[int], flip: bool, clock: Stopwatch) -> np.ndarray:
        """Return the probabilities (N, seen height, seen width, C) of tiles that predict from `top` and `lefts` on."""
        config, seen = self.segmenter.entry.config, self.seen
        above, before = (config.height - seen[0]) // 2, (config.width - seen[1]) // 2
        after = config.width - seen[1] - before
        windows = [(left - before, False) for left in lefts]
        if flip:  # an uneven loss changes sides in the mirror
            windows += [(left - after, True) for left in lefts]
        band = pixels.take(_mirrored_indices(top - above, config.height, pixels.shape[0]), axis=0)
        batch = np.empty((len(windows), *config.input_shape), np.uint8)
        for tile, (left, mirrored) in zip(batch, windows, strict=True):
            picked = band.take(_mirrored_indices(left, config.width, pixels.shape[1]), axis=1)
            tile[:] = picked[:, ::-1] if mirrored else picked
        values = scaled_values(batch, config.preprocessing)
        network = self.segmenter.network
        network = network.once if isinstance(network, TwoPasses) else network
        clock.lap("preprocess")
        output = np.concatenate(
            [
                network.predict(values[first : first + self._tiles_per_run])
                for first in range(0, len(values), self._tiles_per_run)
            ]
        )
        clock.lap("network")
        probabilities = class_probabilities(output, config.head_activation)
        if not np.isfinite(probabilities).all():
            raise WeightsError(
                f"The model {self.segmenter.model!r} gives values that are not numbers: choose another model."
            )
        if probabilities.shape[1:3] != seen:
            probabilities = np.stack([resized(tile, *seen) for tile in probabilities])
        if flip:
            straight, mirrored = np.split(probabilities, 2)
            probabilities = (straight + mirrored[:, :, ::-1]) / 2
        return probabilities


def check_tiling(scale: float, overlap: float) -> None:
    """Check the scale at which tiles are cut and the share that they have in common.

    Raises:
        ConfigError: one of them is out of range.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ConfigError(f"scale: must be greater than 0. Received: {scale}")
    if not 0 <= overlap <= MAX_OVERLAP:
        raise ConfigError(f"overlap: must lie in 0 to {MAX_OVERLAP} ({MAX_OVERLAP:.0%}). Received: {overlap}")


def _scaled_photo(image: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    """Resize a photo and turn it grey where the network wants that: (height, width, channels) uint8."""
    if image.shape[:2] == size and channels == 3:
        return image
    photo = Image.fromarray(image)
    if channels == 1:
        photo = photo.convert("L")
    if image.shape[:2] != size:
        photo = photo.resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP)
    return np.asarray(photo).reshape(*size, channels)


def _mirrored_indices(start: int, count: int, length: int) -> np.ndarray:
    """Return the indices of `count` samples from `start` on; beyond the edges of `length` samples they run back."""
    period = max(1, 2 * (length - 1))
    indices = np.arange(start, start + count) % period
    return np.minimum(indices, period - indices) if length > 1 else np.zeros(count, int)


def _add(planes: np.ndarray, left: int, tile: np.ndarray, share: np.ndarray) -> None:
    """Add a tile (h, w, C) times its share (h, w) to planes (C, h, width) from column `left` on, in place."""
    begin, end = max(0, left), min(planes.shape[2], left + tile.shape[1])
    within = slice(begin - left, end - left)
    for plane, values in zip(planes, np.moveaxis(tile, -1, 0), strict=True):
        plane[:, begin:end] += values[:, within] * share[:, within]


# --- from the scaled photo's rows to the photo's --------------------------------------------------------------------


def _resized_rows(
    bands: Iterator[np.ndarray], source: tuple[int, int], target: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Resize bands of rows (C, n, width) that come from top to bottom, bilinearly, half-pixel centres, edges repeated.

    Keeps only the rows that are still needed. Shrinking widens the filter, see `interpolate.taps`.
    """
    rows = max(1, _STRIP_PIXELS // max(source[1], target[1]))
    strips = (band[:, top : top + rows] for band in bands for top in range(0, band.shape[1], rows))
    if source == target:
        yield from strips
        return
    across, (indices, weights) = taps(source[1], target[1]), taps(source[0], target[0])
    kept: np.ndarray | None = None  # rows of the source from `top` on, as wide as the target
    top = done = 0
    for strip in strips:
        wide = mixed(strip, *across, axis=2)
        kept = wide if kept is None else np.concatenate([kept, wide], axis=1)
        ready = int(np.searchsorted(indices[-1], top + kept.shape[1]))  # rows whose last sample has come
        for first in range(done, ready, rows):
            part = slice(first, min(first + rows, ready))
            yield mixed(kept, indices[:, part] - top, weights[:, part], axis=1)
        done = ready
        if done < target[0]:
            unused = min(int(indices[0, done]) - top, kept.shape[1])
            kept, top = kept[:, unused:], top + unused


def _collected(rows: Iterator[np.ndarray], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn the photo's rows (C, n, width) into its mask, each class's number of pixels, and probabilities to keep."""
    height, width = size
    factor = 1
    while -(-height // factor) * -(-width // factor) > FULL_PROBABILITIES_PIXELS:
        factor += 1
    mask = np.empty(size, np.uint8)
    counts: np.ndarray | None = None
    kept: np.ndarray | None = None
    top = 0
    for planes in rows:
        if counts is None or kept is None:
            counts = np.zeros(len(planes), int)
            kept = np.zeros((-(-height // factor), -(-width // factor), len(planes)), np.float32)
        bottom = top + planes.shape[1]
        mask[top:bottom] = argmax_planes(planes)
        counts += np.bincount(mask[top:bottom].ravel(), minlength=len(counts))
        if factor == 1:
            kept[top:bottom] = np.moveaxis(planes, 0, -1)
        else:
            sums = np.add.reduceat(planes, np.arange(0, width, factor), axis=2)
            for row in range(top, bottom):
                kept[row // factor] += sums[:, row - top].T
        top = bottom
    if factor > 1:
        kept /= kept.sum(axis=-1, keepdims=True)  # squares at the right and at the bottom may hold fewer pixels
    return mask, counts, kept
