"""Predictions for the same few photos after each epoch: written by the worker, read by the page and the report.

previews/samples.json    the list of photos
previews/input_0.png     the photo, at most 256 pixels long
previews/truth_0.png     its true class ids, as a palette PNG in the classes' colours
previews/00003_0.png     the class ids predicted after three epochs; 00000 is before training
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unet_core.architecture.config import UNetConfig
from unet_core.data.pipeline import TargetCoding
from unet_core.data.sources import Example, Source
from unet_core.data.tiles import cut
from unet_core.images.checks import ImageError
from unet_core.images.decode import decode_image, decode_mask
from unet_core.images.interpolate import class_map
from unet_core.images.preprocess import through_pillow, visible
from unet_core.images.render import class_colour, overlay
from unet_core.images.square import resized_mask
from unet_core.jobs.names import one_line
from unet_core.jobs.tables import read_json, write_atomically
from unet_core.segment.network import Network
from unet_core.segment.passes import photo_probabilities
from unet_core.settings import Settings
from unet_core.train.run_directory import RunDirectory, RunError
from unet_core.train.tested_photos import mask_colours

AnimationFormat = Literal["webp", "gif"]

SIDE = 256  # pixels of a preview's longer side
KEPT_EPOCHS = 200  # of longer runs every second, third, … epoch is kept
_PHOTO_SIDE = 1024  # pixels of the user's photo, as it is kept
_FRAME_MILLISECONDS, _LAST_FRAME_MILLISECONDS = 400, 2000
_MAX_FRAMES = 60
_MAX_SAMPLES = 1_000
_LIMITS = Settings(max_upload_mb=1, max_megapixels=0.1)  # of a preview's file
_PREDICTED = re.compile(r"(\d{5,})_(\d+)\.png")
_GAP, _CAPTION = 4, 18  # pixels


@dataclass(frozen=True)
class Sample:
    """One photo that is predicted after each epoch; `score_classes` names the classes of its masks."""

    index: int
    name: str
    kind: Literal["validation", "photo"]
    width: int
    height: int
    score_classes: tuple[str, ...]


# --- for the worker ---------------------------------------------------------------------------------------------------


def keep_photo(run: RunDirectory, data: bytes, settings: Settings | None = None) -> None:
    """Keep a user's photo in the run directory, re-encoded, so that its mask is predicted after each epoch.

    Raises:
        ImageError: the bytes are not a usable photo.
    """
    pixels = decode_image(data, name="Your photo", max_side=_PHOTO_SIDE, settings=settings)
    write_atomically(run.photo, _png(Image.fromarray(pixels)))


class Previewer:
    """Predicts a run's samples: writes photos and true masks at once, predictions with `write`.

    Args:
        run: where to write; `run.photo` is among the samples if it is there.
        config: the network.
        source: the dataset, whose validation part gives `count` photos, evenly spread.
        coding: how its class ids become the model's.
        count: of the dataset's photos.
        epochs: of the run.
        crops: the source gives pieces in the network's size, which are predicted at their own scale; so is the centre
            of the user's photo.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: UNetConfig,
        source: Source,
        coding: TargetCoding,
        count: int,
        epochs: int,
        *,
        crops: bool = False,
    ) -> None:
        self._config, self._crops = config, crops
        self._folder = run.path / "previews"
        self._stride = max(1, -(-epochs // KEPT_EPOCHS))
        self._last = epochs
        self._photos: list[np.ndarray] = []
        self._samples: list[Sample] = []
        two_sided = config.classes == 1
        classes = coding.class_names[::-1] if two_sided else coding.class_names
        table = coding.reversed_table if two_sided else coding.table
        self._folder.mkdir(exist_ok=True)
        for example in _spread(source, count):
            photo, ids = example.decode()
            self._add(example.name, photo, table[ids], classes)
        if run.photo.exists() and config.channels in (1, 3):
            own = np.asarray(Image.open(run.photo).convert("RGB"))
            self._add("your photo", self._centre(own) if crops else own, None, classes)
        samples = [dataclasses.asdict(sample) for sample in self._samples]
        write_atomically(self._folder / "samples.json", json.dumps(samples, indent=2) + "\n")

    def _add(self, name: str, photo: np.ndarray, truth: np.ndarray | None, classes: Sequence[str]) -> None:
        index = len(self._samples)
        small = through_pillow(photo, _thumbnail)
        shown = Image.fromarray(visible(small))
        write_atomically(self._folder / f"input_{index}.png", _png(shown))
        if truth is not None:
            ids = resized_mask(truth, (shown.height, shown.width))
            write_atomically(self._folder / f"truth_{index}.png", _mask_png(ids))
        kind: Literal["validation", "photo"] = "validation" if truth is not None else "photo"
        self._samples.append(Sample(index, name, kind, shown.width, shown.height, tuple(classes)))
        self._photos.append(photo if self._crops else small)

    def _centre(self, photo: np.ndarray) -> np.ndarray:
        size = self._config.height, self._config.width
        corner = (photo.shape[0] - size[0]) // 2, (photo.shape[1] - size[1]) // 2
        return cut(photo, np.zeros(photo.shape[:2], np.uint8), corner, size)[0]

    def write(self, network: Network, epoch: int) -> None:
        """Predict all samples with the model as it is after `epoch` whole epochs."""
        if epoch % self._stride and epoch != self._last:
            return
        for sample, photo in zip(self._samples, self._photos, strict=True):
            probabilities = photo_probabilities(network, self._config, photo)
            mask = _mask_png(class_map(probabilities, sample.height, sample.width))
            write_atomically(self._folder / f"{epoch:05d}_{sample.index}.png", mask)


def _thumbnail(band: Image.Image) -> Image.Image:
    band.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    return band


def _spread(source: Source, count: int) -> list[Example]:
    names = source.names("validation")
    wanted = {round(place) for place in np.linspace(0, len(names) - 1, min(count, len(names)))} if count else set()
    last = max(wanted, default=-1)
    examples = itertools.islice(source.examples("validation"), last + 1)
    return [example for position, example in enumerate(examples) if position in wanted]


# --- for readers ------------------------------------------------------------------------------------------------------


def samples(run: RunDirectory) -> list[Sample]:
    """Return the run's samples; empty before its worker has read the data."""
    entries = read_json(run.path / "previews" / "samples.json")
    if not isinstance(entries, list):
        return []
    found = [sample for entry in entries[:_MAX_SAMPLES] if (sample := _sample(entry)) is not None]
    return found if len({sample.index for sample in found}) == len(entries) else []


def _sample(entry: Any) -> Sample | None:
    """Return an entry of samples.json, None if it is damaged."""
    try:
        sample = Sample(**{**entry, "score_classes": tuple(map(one_line, entry["score_classes"]))})
        sides = range(1, SIDE + 1)
        usable = sample.index in range(_MAX_SAMPLES) and sample.width in sides and sample.height in sides
        return dataclasses.replace(sample, name=one_line(sample.name)) if usable else None
    except (TypeError, KeyError, AttributeError):
        return None


def epochs(run: RunDirectory) -> list[int]:
    """Return the epochs that have every mask; 0 is before training, n after n epochs."""
    count = len(samples(run))
    found: dict[int, int] = {}
    for path in (run.path / "previews").glob("*_*.png"):
        if match := _PREDICTED.fullmatch(path.name):
            found[int(match[1])] = found.get(int(match[1]), 0) + 1
    return sorted(epoch for epoch, masks in found.items() if masks >= count)


def picture(run: RunDirectory, index: int) -> np.ndarray:
    """Return a sample's photo, (H, W, 3) uint8.

    Raises:
        ImageError: the file is missing or damaged.
    """
    name = f"input_{index}.png"
    return decode_image(_content(run, name), name=name, settings=_LIMITS)


def truth(run: RunDirectory, index: int) -> np.ndarray | None:
    """Return a sample's true class ids, (H, W) uint8; None for a photo without a mask.

    Raises:
        ImageError: the file is damaged.
    """
    name = f"truth_{index}.png"
    return _ids(run, name) if (run.path / "previews" / name).exists() else None


def mask(run: RunDirectory, epoch: int, index: int) -> np.ndarray:
    """Return a sample's class ids as predicted after `epoch` epochs, (H, W) uint8.

    Raises:
        ImageError: the file is missing or damaged.
    """
    return _ids(run, f"{epoch:05d}_{index}.png")


def _ids(run: RunDirectory, name: str) -> np.ndarray:
    values = decode_mask(_content(run, name), name=name, settings=_LIMITS).values
    if values.dtype != np.uint8:
        raise ImageError(f"The preview {name} is damaged: it is not a mask of class ids.")
    return values


def _content(run: RunDirectory, name: str) -> bytes:
    try:
        return (run.path / "previews" / name).read_bytes()
    except OSError as error:
        raise ImageError(f"The preview {name} cannot be read ({error.strerror}).") from None


def animation(run: RunDirectory, format: AnimationFormat = "webp", indices: Sequence[int] | None = None) -> bytes:
    """Return an animated picture: a row per sample (photo, true mask, prediction), a frame per epoch.

    Args:
        run: the run.
        format: "webp" (smaller) or "gif" (shown everywhere).
        indices: which samples; all by default.

    Raises:
        RunError: there is no epoch to show yet.
        ImageError: a preview is damaged.
        ValueError: there is no such format.
    """
    if format not in ("webp", "gif"):
        raise ValueError(f"format: must be webp or gif. Received: {format!r}")
    available = epochs(run)
    chosen = [sample for sample in samples(run) if indices is None or sample.index in indices]
    if not available or not chosen:
        raise RunError("There is no preview to animate yet: wait for the first epoch.")
    step = -(-len(available) // _MAX_FRAMES)
    shown = sorted({*available[::step], available[-1]})
    background = _still_parts(run, chosen)
    frames = [_frame(run, chosen, background, epoch) for epoch in shown]
    durations = [_FRAME_MILLISECONDS] * (len(frames) - 1) + [_LAST_FRAME_MILLISECONDS]
    buffer = io.BytesIO()
    options = {"quality": 80, "method": 2} if format == "webp" else {"optimize": False}
    frames[0].save(
        buffer, format=format, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options
    )
    return buffer.getvalue()


def _still_parts(run: RunDirectory, chosen: Sequence[Sample]) -> Image.Image:
    """Draw the part that all frames share: photos and true masks, with room for the prediction."""
    width = max(sample.width for sample in chosen)
    height = sum(sample.height + _GAP for sample in chosen) + _CAPTION
    canvas = Image.new("RGB", (3 * width + 2 * _GAP, height), "white")
    top = _CAPTION
    for sample in chosen:
        photo, ids = picture(run, sample.index), truth(run, sample.index)
        canvas.paste(Image.fromarray(photo), (0, top))
        if ids is not None:
            drawn = overlay(photo, ids, colours=mask_colours(run.classes()))
            canvas.paste(Image.fromarray(drawn), (width + _GAP, top))
        top += sample.height + _GAP
    draw = ImageDraw.Draw(canvas)
    draw.text((2, 2), "photo", fill="#444444", font=ImageFont.load_default(12))
    if any(truth(run, sample.index) is not None for sample in chosen):
        draw.text((width + _GAP + 2, 2), "true mask", fill="#444444", font=ImageFont.load_default(12))
    return canvas


def _frame(run: RunDirectory, chosen: Sequence[Sample], background: Image.Image, epoch: int) -> Image.Image:
    frame = background.copy()
    left, top = 2 * (max(sample.width for sample in chosen) + _GAP), _CAPTION
    for sample in chosen:
        ids = mask(run, epoch, sample.index)
        predicted = overlay(picture(run, sample.index), ids, colours=mask_colours(run.classes()))
        frame.paste(Image.fromarray(predicted), (left, top))
        top += sample.height + _GAP
    caption = f"after epoch {epoch}" if epoch else "before training"
    ImageDraw.Draw(frame).text((left + 2, 2), caption, fill="#000000", font=ImageFont.load_default(12))
    return frame


# --- pictures ---------------------------------------------------------------------------------------------------------


def _mask_png(ids: np.ndarray) -> bytes:
    picture = Image.fromarray(np.ascontiguousarray(ids, np.uint8))
    picture.putpalette([value for class_id in range(256) for value in class_colour(class_id)])
    return _png(picture)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="png", compress_level=3)
    return buffer.getvalue()
