"""Segment large photos in full detail: overlapping tiles, mirrored borders, blended without seams.

The overlap-tile strategy of Ronneberger et al. 2015, figure 2, for networks with and without valid padding: the
*outputs* of the tiles cover the photo and a margin around it; input beyond the photo's edges is mirrored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from unet_core.architecture.table import counted, grouped
from unet_core.architecture.trace import trace
from unet_core.errors import ConfigError
from unet_core.images.decode import ImageError
from unet_core.images.interpolate import argmax_planes, mixed, resized, taps
from unet_core.images.preprocess import in_channels, through_pillow, visible
from unet_core.images.preprocess import scale as scaled_values
from unet_core.images.probabilities import class_probabilities
from unet_core.segment.passes import TwoPasses, single
from unet_core.segment.presence import presence_of
from unet_core.segment.segmentation import FULL_PROBABILITIES_PIXELS, Segmentation, check_photo
from unet_core.segment.segmenter import Segmenter, Stopwatch
from unet_core.zoo.manifest import WeightsError

MAX_OVERLAP = 0.75

Progress = Callable[[int, int], object]  # tiles done, total

# Limits of one run of the network: tiles, and bytes of their activations. A CPU is fastest with small batches.
_BATCH_LIMITS = {"CPU": (4, 100e6), "GPU": (64, 2e9)}
_STRIP_PIXELS = 100_000  # as in `interpolate`: a strip of a few classes fits the processor's cache
_REDUCING_GAP = 3.0


@dataclass(frozen=True)
class Axis:
    """The positions of tiles along one axis of the scaled photo.

    Attributes:
        length: pixels of the scaled photo.
        predicted: pixels that one tile predicts.
        starts: first predicted pixel of each tile, increasing; negative where a tile extends beyond the edge.
    """

    length: int
    predicted: int
    starts: tuple[int, ...]

    @classmethod
    def covering(cls, length: int, predicted: int, overlap: float) -> Axis:
        """Place as few evenly spaced tiles as possible that share at least `overlap` of their `predicted` pixels.

        They extend beyond both edges by half the overlap, so that no pixel of the photo is at a tile's edge.
        """
        shared = min(round(overlap * predicted), predicted - 1)
        margin = shared // 2
        distance = length + 2 * margin - predicted  # from the first tile to the last
        if distance <= 0:
            return cls(length, predicted, (-((predicted - length) // 2),))
        count = -(-distance // (predicted - shared)) + 1
        return cls(length, predicted, tuple((np.rint(np.linspace(0, distance, count)).astype(int) - margin).tolist()))

    @cached_property
    def weights(self) -> np.ndarray:
        """Each tile's blending weights, (tiles, predicted) float32, which decrease smoothly towards its edges.

        The weights of all tiles sum to 1 at every pixel of the photo, and are 0 beyond it.
        """
        spacing = min(np.diff(self.starts), default=self.predicted)
        ramp = min(self.predicted - int(spacing), self.predicted // 2)
        from_edge = np.minimum(np.arange(self.predicted), np.arange(self.predicted)[::-1]) + 0.5
        bump = np.sin(np.pi / 2 * np.minimum(from_edge / max(ramp, 0.5), 1)) ** 2
        positions = np.add.outer(self.starts, np.arange(self.predicted))
        inside = (positions >= 0) & (positions < self.length)
        total = np.zeros(self.length)
        for index, within in zip(positions, inside, strict=True):
            total[index[within]] += bump[within]
        return np.where(inside, bump / total[positions.clip(0, self.length - 1)], 0).astype(np.float32)


@dataclass(frozen=True)
class TilePlan:
    """The positions of a photo's tiles, in pixels of the scaled photo."""

    rows: Axis
    columns: Axis

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the scaled photo."""
        return self.rows.length, self.columns.length

    @property
    def count(self) -> int:
        """The number of tiles."""
        return len(self.rows.starts) * len(self.columns.starts)


@dataclass(frozen=True)
class TiledSegmenter:
    """Segments photos tile by tile with a segmenter's model and engine.

    Args:
        segmenter: the model and its engine.
        scale: of the photo that the tiles are cut from; 0.5 halves its width and height.
        overlap: the least share of a tile's output that a neighbour predicts too, 0 to `MAX_OVERLAP`.
        flip: average each tile's probabilities with those of its mirror image, which doubles the work; a model with a
            zoomed second pass always does so.
        batch_size: tiles per run of the network; None takes as many as a memory limit allows.

    Raises:
        ConfigError, ValueError: an argument is out of range.
    """

    segmenter: Segmenter
    scale: float = 1.0
    overlap: float = 0.25
    flip: bool = False
    batch_size: int | None = None

    def __post_init__(self) -> None:
        check_tiling(self.scale, self.overlap)
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size: must be at least 1. Received: {self.batch_size}")

    def plan(self, height: int, width: int) -> TilePlan:
        """Return the tiles for a photo of this size.

        Raises:
            ImageError: the photo enlarged by `scale` exceeds the limit on megapixels, or the network would run too
                often.
        """
        size = max(1, round(height * self.scale)), max(1, round(width * self.scale))
        most = self.segmenter.settings.max_megapixels
        if self.scale > 1 and size[0] * size[1] > most * 1e6:
            raise ImageError(
                f"At {self.scale:g} times its size this photo has {size[0] * size[1] / 1e6:.0f} megapixels, more than "
                f"the {most:g} allowed: choose a smaller scale."
            )
        rows, columns = self.predicted_size
        plan = TilePlan(Axis.covering(size[0], rows, self.overlap), Axis.covering(size[1], columns, self.overlap))
        needed, limit = plan.count * self.segmenter.runs(self.flip), self.segmenter.settings.max_runs
        if needed > limit:
            raise ImageError(
                f"In tiles this photo needs {counted(needed, 'run')} of the network, more than the {grouped(limit)} "
                "allowed: choose a smaller scale or overlap."
            )
        return plan

    def segment(
        self,
        image: np.ndarray,
        *,
        progress: Progress | None = None,
        name: str = "photo",
        photo_size: tuple[int, int] | None = None,
    ) -> Segmentation:
        """Segment one decoded photo.

        Besides the photo, its scaled copy and the result, this needs memory for one row of tiles (class probabilities
        of the scaled photo's width times a tile's height) and one batch.

        Args:
            image: (H, W, 3) uint8, as `decode_image` returns it; (H, W, C) uint8 or uint16 for a model of C bands.
            progress: called with tiles done and their total, first with 0; an exception from it ends the work.
            name: the photo's file name.
            photo_size: the photo's original height and width, if `image` was decoded smaller.

        Returns:
            As `Segmenter.segment`; for a photo of more than `FULL_PROBABILITIES_PIXELS` the probabilities are averaged
            over squares of pixels, down to at most that many.

        Raises:
            ImageError: the array has another shape or type, or is too large once enlarged.
            WeightsError: the network's output is not finite.
        """
        check_photo(image, self.segmenter.entry.config.channels)
        clock = Stopwatch()
        plan = self.plan(image.shape[0], image.shape[1])
        pixels = _scaled_photo(image, plan.size, self.segmenter.entry.config.channels)
        clock.lap("preprocess")
        runs = plan.count * self.segmenter.runs(self.flip)
        flip = self.flip or isinstance(self.segmenter.network, TwoPasses)
        bands = self._bands(pixels, plan, flip, progress or (lambda done, total: None), clock)
        size, names = (image.shape[0], image.shape[1]), self.segmenter.classes
        mask, counts, probabilities = _collected(_resized_rows(bands, plan.size, size), size, len(names))
        clock.lap("postprocess")
        return Segmentation(
            name=name,
            photo_size=photo_size or size,
            image=visible(image),
            mask=mask,
            probabilities=probabilities,
            pixel_classes=self.segmenter.pixel_classes,
            shares=dict(zip(names, (counts / mask.size).tolist())),
            timings=clock.timings(),
            model=self.segmenter.model,
            engine=self.segmenter.engine,
            device=self.segmenter.device,
            runs=runs,
            presence=presence_of(probabilities, self.segmenter.pixel_classes, self.segmenter.entry.presence),
        )

    @property
    def predicted_size(self) -> tuple[int, int]:
        """Height and width of what a tile predicts: that of the output, but no more than the input."""
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
        ends = (*rows.starts[1:], rows.length)  # rows are finished where the next row of tiles starts
        open_rows = np.zeros((len(self.segmenter.classes), rows.predicted, columns.length), np.float32)
        progress(0, plan.count)
        for number, (top, end) in enumerate(zip(rows.starts, ends, strict=True)):
            for first in range(0, len(columns.starts), self._tiles_per_run):
                chosen = range(first, min(first + self._tiles_per_run, len(columns.starts)))
                tiles = self._predicted(pixels, top, [columns.starts[index] for index in chosen], flip, clock)
                for index, tile in zip(chosen, tiles, strict=True):
                    weights = np.outer(rows.weights[number], columns.weights[index])
                    _add(open_rows, columns.starts[index], tile, weights)
                clock.lap("postprocess")
                progress(number * len(columns.starts) + chosen.stop, plan.count)
            yield open_rows[:, max(0, -top) : end - top].copy()
            clock.lap("postprocess")  # includes what the caller does with the band
            finished = min(end - top, rows.predicted)
            open_rows[:, : rows.predicted - finished] = open_rows[:, finished:].copy()
            open_rows[:, rows.predicted - finished :] = 0

    def _predicted(self, pixels: np.ndarray, top: int, lefts: list[int], flip: bool, clock: Stopwatch) -> np.ndarray:
        """Return the probabilities (N, h, w, C) of tiles whose predictions start at `top` and `lefts`."""
        config, (height, width) = self.segmenter.entry.config, self.predicted_size
        above, before = (config.height - height) // 2, (config.width - width) // 2
        after = config.width - width - before
        windows = [(left - before, False) for left in lefts]
        if flip:  # uneven margins swap sides in the mirror image
            windows += [(left - after, True) for left in lefts]
        band = pixels.take(_mirrored_indices(top - above, config.height, pixels.shape[0]), axis=0)
        batch = np.empty((len(windows), *config.input_shape), pixels.dtype)
        for tile, (left, mirrored) in zip(batch, windows, strict=True):
            picked = band.take(_mirrored_indices(left, config.width, pixels.shape[1]), axis=1)
            tile[:] = picked[:, ::-1] if mirrored else picked
        values = scaled_values(batch, config.preprocessing)
        network = single(self.segmenter.network)
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
                f"The model {self.segmenter.model!r} returns values that are not numbers: choose another model."
            )
        if probabilities.shape[1:3] != (height, width):
            probabilities = np.stack([resized(tile, height, width) for tile in probabilities])
        if flip:
            straight, mirrored = np.split(probabilities, 2)
            probabilities = (straight + mirrored[:, :, ::-1]) / 2
        return probabilities


def check_tiling(scale: float, overlap: float) -> None:
    """Check the scale and the overlap of tiles.

    Raises:
        ConfigError: one of them is out of range.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ConfigError(f"scale: must be greater than 0. Received: {scale}")
    if not 0 <= overlap <= MAX_OVERLAP:
        raise ConfigError(f"overlap: must be 0 to {MAX_OVERLAP}. Received: {overlap}")


def _scaled_photo(image: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    """Resize a photo and convert it to grey if the network has 1 channel: (height, width, channels) of its type."""
    photo = in_channels(image, channels)
    if image.shape[:2] == size:
        return photo
    width_and_height = size[1], size[0]
    return through_pillow(
        photo, lambda band: band.resize(width_and_height, Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP)
    )


def _mirrored_indices(start: int, count: int, length: int) -> np.ndarray:
    """Return the indices of `count` samples from `start` on, mirrored at the edges of `length` samples."""
    period = max(1, 2 * (length - 1))
    indices = np.arange(start, start + count) % period
    return np.minimum(indices, period - indices) if length > 1 else np.zeros(count, int)


def _add(planes: np.ndarray, left: int, tile: np.ndarray, weights: np.ndarray) -> None:
    """Add a tile (h, w, C) times its weights (h, w) to planes (C, h, width) from column `left` on, in place."""
    begin, end = max(0, left), min(planes.shape[2], left + tile.shape[1])
    within = slice(begin - left, end - left)
    for plane, values in zip(planes, np.moveaxis(tile, -1, 0), strict=True):
        plane[:, begin:end] += values[:, within] * weights[:, within]


# --- from the scaled photo's rows to the photo's --------------------------------------------------------------------


def _resized_rows(
    bands: Iterator[np.ndarray], source: tuple[int, int], target: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Resize bands of rows (C, n, width), given from top to bottom, bilinearly, see `interpolate.taps`.

    Keeps only the rows that are still needed.
    """
    rows = max(1, _STRIP_PIXELS // max(source[1], target[1]))
    strips = (band[:, top : top + rows] for band in bands for top in range(0, band.shape[1], rows))
    if source == target:
        yield from strips
        return
    across, (indices, weights) = taps(source[1], target[1]), taps(source[0], target[0])
    kept: np.ndarray | None = None  # rows of the source from `top` on, at the target's width
    top = done = 0
    for strip in strips:
        wide = mixed(strip, *across, axis=2)
        kept = wide if kept is None else np.concatenate([kept, wide], axis=1)
        ready = int(np.searchsorted(indices[-1], top + kept.shape[1]))  # rows whose samples are all available
        for first in range(done, ready, rows):
            part = slice(first, min(first + rows, ready))
            yield mixed(kept, indices[:, part] - top, weights[:, part], axis=1)
        done = ready
        if done < target[0]:
            unused = min(int(indices[0, done]) - top, kept.shape[1])
            kept, top = kept[:, unused:], top + unused


def _collected(
    rows: Iterator[np.ndarray], size: tuple[int, int], classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Collect the photo's rows (C, n, width): its mask, each class's pixel count, and the probabilities to keep."""
    height, width = size
    factor = 1
    while -(-height // factor) * -(-width // factor) > FULL_PROBABILITIES_PIXELS:
        factor += 1
    mask = np.empty(size, np.uint8)
    counts = np.zeros(classes, int)
    kept = np.zeros((-(-height // factor), -(-width // factor), classes), np.float32)
    top = 0
    for planes in rows:
        bottom = top + planes.shape[1]
        mask[top:bottom] = argmax_planes(planes)
        counts += np.bincount(mask[top:bottom].ravel(), minlength=classes)
        if factor == 1:
            kept[top:bottom] = np.moveaxis(planes, 0, -1)
        else:
            sums = np.add.reduceat(planes, np.arange(0, width, factor), axis=2)
            for row in range(top, bottom):
                kept[row // factor] += sums[:, row - top].T
        top = bottom
    if factor > 1:
        kept /= kept.sum(axis=-1, keepdims=True)  # squares at the right and bottom edges may have fewer pixels
    return mask, counts, kept
