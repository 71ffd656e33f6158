"""Short animations segmented frame by frame: GIF, WebP and PNG in, the animal cut out as WebP or GIF out."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from unet_core.images.checks import ImageError
from unet_core.images.decode import Animation, animation, decode_frames, decode_image, photo_facts
from unet_core.images.render import Colour
from unet_core.segment.downloads import cutout
from unet_core.segment.segmenter import Segmenter
from unet_core.segment.tiles import Progress
from unet_core.settings import Settings

MovingForm = Literal["webp", "gif"]

MOST_SECONDS = 10.0
MOST_FRAMES = 150  # of an animation with more, some are left out; the others then stay longer
MOST_SIDE = 640  # pixels
_MOST_PIXELS = 20_000_000  # of all frames together, which are in memory while the file is written
_HALF = 128  # opacity from which a pixel of a GIF is shown: it has no soft edges


@dataclass(frozen=True, eq=False)
class MovingCutOut:
    """An animation's cut-out: (h, w, 4) uint8 and milliseconds of each frame."""

    frames: list[tuple[np.ndarray, int]]

    @property
    def seconds(self) -> float:
        """How long the animation takes."""
        return sum(milliseconds for _, milliseconds in self.frames) / 1000

    def encoded(self, form: MovingForm = "webp", colour: Colour | None = None) -> bytes:
        """Return the animation as WebP with soft edges, or as GIF, whose pixels are opaque or not; or on a colour."""
        pictures = [Image.fromarray(_on(frame, colour, form)) for frame, _ in self.frames]
        durations = [milliseconds for _, milliseconds in self.frames]
        options = {"quality": 80, "method": 2} if form == "webp" else {"disposal": 2}
        buffer = io.BytesIO()
        pictures[0].save(
            buffer, form.upper(), save_all=True, append_images=pictures[1:], duration=durations, loop=0, **options
        )
        return buffer.getvalue()


def animated(pictures: Sequence[bytes], milliseconds: int, name: str, settings: Settings) -> bytes:
    """Return an animated WebP of pictures, such as a browser has taken out of a video.

    Args:
        pictures: at least two files that `decode_image` reads, of one size.
        milliseconds: how long each is shown.
        name: the animation's file name.
        settings: the limits of a photo.

    Raises:
        ImageError: a picture cannot be used, or they differ in size, are too few or too many.
    """
    if not 2 <= len(pictures) <= MOST_FRAMES:
        raise ImageError(f"{name} must have 2 to {MOST_FRAMES} pictures. Received: {len(pictures)}")
    first = photo_facts(pictures[0], name=name, settings=settings)
    side = _side(len(pictures), first.width, first.height)
    frames = [
        Image.fromarray(decode_image(picture, name=name, max_side=side, settings=settings)) for picture in pictures
    ]
    if len({frame.size for frame in frames}) > 1:
        raise ImageError(f"{name} has pictures of different sizes: choose another video.")
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "WEBP", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, quality=85, method=0
    )
    return buffer.getvalue()


def moving(data: bytes, name: str, segmenter: Segmenter) -> Animation | None:
    """Return what an animation's header says, None for a still photo.

    Raises:
        ImageError: the file is too large or damaged.
    """
    return animation(data, name=name, settings=segmenter.settings)


def cut_out_moving(
    segmenter: Segmenter, data: bytes, name: str = "animation", *, progress: Progress | None = None
) -> MovingCutOut:
    """Cut the subject out of every frame of an animation.

    Args:
        segmenter: the model.
        data: the file's bytes.
        name: its file name.
        progress: called with the frames done and their number; an exception from it ends the work.

    Raises:
        ImageError: the file is no animation, too long, too large or damaged.
    """
    found = moving(data, name, segmenter)
    if found is None:
        raise ImageError(f"{name} does not move: choose an animated GIF, WebP or PNG.")
    count = min(found.frames, MOST_FRAMES)
    frames: list[tuple[np.ndarray, int]] = []
    for number, (pixels, milliseconds) in enumerate(_thinned(segmenter, data, name, found, count)):
        if sum(time for _, time in frames) > 1000 * MOST_SECONDS:
            raise ImageError(f"{name} is longer than {MOST_SECONDS:.0f} seconds: cut it and try again.")
        if progress:
            progress(number, count)
        done = segmenter.segment(pixels, name=name)
        frames.append((cutout(done.image, done.alpha), milliseconds))
    if progress:
        progress(count, count)
    return MovingCutOut(frames)


def _thinned(
    segmenter: Segmenter, data: bytes, name: str, found: Animation, count: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield `count` frames, evenly spread, small enough for all to be in memory; each stands for those left out."""
    side = _side(count, found.width, found.height)
    kept: tuple[np.ndarray, int] | None = None
    every = decode_frames(data, name=name, max_side=side, most=found.frames, settings=segmenter.settings)
    for number, frame in enumerate(every):
        is_first = number == 0 or number * count // found.frames != (number - 1) * count // found.frames
        if is_first and kept is not None:
            yield kept
        kept = (frame.pixels, frame.milliseconds) if is_first else _longer(kept, frame.milliseconds)
    if kept is not None:
        yield kept


def _side(count: int, width: int, height: int) -> int:
    """Return the longest side that lets `count` frames of this shape be in memory."""
    area = _MOST_PIXELS / count
    return min(MOST_SIDE, round(math.sqrt(area * max(width / height, height / width))))


def _longer(kept: tuple[np.ndarray, int] | None, milliseconds: int) -> tuple[np.ndarray, int] | None:
    return kept and (kept[0], kept[1] + milliseconds)


def _on(frame: np.ndarray, colour: Colour | None, form: MovingForm) -> np.ndarray:
    """Put a cut-out (h, w, 4) on a colour, or make a GIF's pixels opaque or transparent."""
    if colour is not None:
        behind = Image.new("RGBA", (frame.shape[1], frame.shape[0]), (*colour, 255))
        return np.asarray(Image.alpha_composite(behind, Image.fromarray(frame)).convert("RGB"))
    if form == "webp":
        return frame
    return np.dstack([frame[..., :3], np.where(frame[..., 3] >= _HALF, np.uint8(255), np.uint8(0))])
