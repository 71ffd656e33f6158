"""Inference modes, whole photo or tiles, and the path from a file's bytes to its segmentation.

The page, the command line and the library share this path, so that the same photo, model and inference mode give the
same mask everywhere.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unet_core.errors import ConfigError
from unet_core.images.decode import ImageError, decode_bands, decode_image, photo_facts
from unet_core.segment.segmentation import FULL_PROBABILITIES_PIXELS, Failure, Segmentation
from unet_core.segment.segmenter import Segmenter
from unet_core.segment.tiles import Progress, TiledSegmenter, check_tiling
from unet_core.zoo.manifest import WeightsError

_TILES_ACROSS = 1.5  # tiles along the photo's shorter side, at the automatic scale

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InferenceMode:
    """How a photo is passed to the network.

    Attributes:
        kind: "whole": all at once, at the network's size; "tiles": in overlapping tiles.
        scale: of the photo that the tiles are cut from; None chooses one that gives few tiles, since a large animal is
            hard to recognise in small pieces.
        overlap: the least share of a tile that its neighbour predicts too.
        flip: horizontal-flip averaging.

    Raises:
        ConfigError: the kind is unknown, or a number is out of range.
    """

    kind: Literal["whole", "tiles"] = "whole"
    scale: float | None = None
    overlap: float = 0.25
    flip: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("whole", "tiles"):
            raise ConfigError(f"kind: must be whole or tiles. Received: {self.kind!r}")
        check_tiling(1.0 if self.scale is None else self.scale, self.overlap)

    @property
    def label(self) -> str:
        """A short description of the mode."""
        if self.kind == "whole":
            words = "whole photo"
        else:
            words = "tiles" if self.scale is None else f"tiles at {100 * self.scale:.0f}\u202f% scale"
        return f"{words}, horizontal-flip averaging" if self.flip else words

    def scale_of(self, size: tuple[int, int], segmenter: Segmenter) -> float:
        """Return the scale at which tiles are cut from a photo of `size` (height, width)."""
        if self.scale is not None:
            return self.scale
        return min(1.0, _TILES_ACROSS * min(TiledSegmenter(segmenter).predicted_size) / min(size))


WHOLE = InferenceMode()


def segment(
    segmenter: Segmenter,
    image: np.ndarray,
    mode: InferenceMode = WHOLE,
    *,
    name: str = "photo",
    photo_size: tuple[int, int] | None = None,
    full_pixels: int = FULL_PROBABILITIES_PIXELS,
    progress: Progress | None = None,
) -> Segmentation:
    """Segment one decoded photo.

    Args:
        segmenter: the model and its engine.
        image: (H, W, 3) uint8, as `decode_image` returns it.
        mode: whole or in tiles.
        name: the photo's file name.
        photo_size: the photo's original height and width, if `image` was decoded smaller; tile scales refer to it.
        full_pixels: for a whole photo, see `Segmenter.segment`.
        progress: for tiles: called with those done and their total; an exception from it ends the work.

    Raises:
        ImageError: the array has another shape or type, is too large once enlarged, or needs too many tiles.
        WeightsError: the network's output is not finite.
    """
    size = photo_size or image.shape[:2]
    if mode.kind == "whole":
        return segmenter.segment(image, flip=mode.flip, full_pixels=full_pixels, name=name, photo_size=size)
    tiled = _tiled(segmenter, mode, size, image.shape[0])
    return tiled.segment(image, progress=progress, name=name, photo_size=size)


def _tiled(segmenter: Segmenter, mode: InferenceMode, size: tuple[int, int], height: int) -> TiledSegmenter:
    """Return what segments a photo of `size`, decoded with `height` rows, in tiles."""
    return TiledSegmenter(segmenter, mode.scale_of(size, segmenter) * size[0] / height, mode.overlap, mode.flip)


def network_runs(segmenter: Segmenter, mode: InferenceMode, size: tuple[int, int]) -> int:
    """Return how often the network runs on a photo of `size` (height, width), at least.

    Raises:
        ImageError: the photo is too large once enlarged, or needs too many tiles.
    """
    runs = segmenter.runs(mode.flip)
    return runs if mode.kind == "whole" else runs * _tiled(segmenter, mode, size, size[0]).plan(*size).count


def segment_bytes(
    segmenter: Segmenter,
    data: bytes,
    name: str = "photo",
    mode: InferenceMode = WHOLE,
    *,
    largest_side: int | None = None,
    progress: Progress | None = None,
) -> Segmentation:
    """Decode and segment a photo's file; the timings include "decode".

    Args:
        segmenter: the model and its engine.
        data: the file's bytes.
        name: the photo's file name.
        mode: whole or in tiles.
        largest_side: of the result, in pixels; the photo is then also decoded no larger than needed. None keeps the
            original size.
        progress: see `segment`.

    Raises:
        ImageError: the file cannot be used, see `decode_image`, or is too large once enlarged.
        WeightsError: the network's output is not finite.
    """
    settings = segmenter.settings
    facts = photo_facts(data, name=name, settings=settings)
    size = facts.height, facts.width
    network_runs(segmenter, mode, size)  # raises before anything is decoded
    start = time.perf_counter()
    side = None if largest_side is None else _decoded_side(size, mode, segmenter, largest_side)
    channels = segmenter.entry.config.channels
    if channels in (1, 3):
        image = decode_image(data, name=name, max_side=side, settings=settings)
    else:
        image = decode_bands(data, channels, name=name, settings=settings)
    decoded = 1000 * (time.perf_counter() - start)
    if largest_side is None:
        return segment(segmenter, image, mode, name=name, progress=progress).with_decoding(decoded)
    found = segment(segmenter, image, mode, name=name, photo_size=size, full_pixels=0, progress=progress)
    return found.with_decoding(decoded).shrunk(largest_side)


def try_segment_bytes(
    segmenter: Segmenter,
    data: bytes,
    name: str = "photo",
    mode: InferenceMode = WHOLE,
    *,
    largest_side: int | None = None,
    progress: Progress | None = None,
) -> Segmentation | Failure:
    """Decode and segment one of several photos, see `segment_bytes`; any error is returned as a `Failure`."""
    try:
        return segment_bytes(segmenter, data, name, mode, largest_side=largest_side, progress=progress)
    except (ImageError, WeightsError) as error:
        return Failure(name, str(error))
    except MemoryError:
        return Failure(name, f"{name} needs more memory than is free: scale it down and try again.")
    except Exception:
        log.exception("segmenting a photo failed")
        return Failure(
            name, f"{name} could not be segmented because of an unexpected error; see the program's log for details."
        )


def _decoded_side(size: tuple[int, int], mode: InferenceMode, segmenter: Segmenter, largest_side: int) -> int:
    """Return the longer side to decode a photo at: that of the result, or what the tiles need if that is more."""
    if mode.kind == "whole":
        return largest_side
    return max(largest_side, min(max(size), round(max(size) * mode.scale_of(size, segmenter))))
