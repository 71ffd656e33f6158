"""What a run keeps of its test photos besides scores: the mean loss, and plots of a few photos in four panels.

test_photos/00.png    input, true mask, prediction, and the prediction over the photo
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unet_core.classes import IGNORE_ID, PixelClasses
from unet_core.data.sources import Example
from unet_core.images.preprocess import visible
from unet_core.images.render import class_colour, overlay
from unet_core.images.square import resized_mask
from unet_core.jobs.tables import write_atomically
from unet_core.train.config import TrainConfig
from unet_core.train.run_directory import RunDirectory

if TYPE_CHECKING:
    import keras

Colours = Mapping[int, tuple[int, int, int] | None]

PANELS = ("input", "true mask", "prediction", "overlay")
_SIDE, _GAP, _CAPTION = 256, 6, 20  # pixels
_UNLABELLED = (128, 128, 128)
_FOLDER = "test_photos"


def mask_colours(classes: PixelClasses | None) -> Colours:
    """Return the colour of each class id in masks; None for pixels without a label."""
    own = {} if classes is None else dict(enumerate(classes.colours))
    return {**own, IGNORE_ID: None}


def four_panels(photo: np.ndarray, truth: np.ndarray, predicted: np.ndarray, colours: Colours) -> Image.Image:
    """Draw photo, true mask, prediction and overlay side by side, as the TensorFlow tutorial does.

    Args:
        photo: (H, W, 3) uint8.
        truth, predicted: class ids, (h, w) uint8, of any size.
        colours: see `mask_colours`; grey stands for pixels without a label.
    """
    scale = _SIDE / max(photo.shape[:2])
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    shown = Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR)
    true, found = (resized_mask(ids, (height, width)) for ids in (truth, predicted))
    pixels = np.asarray(shown)
    pictures = (pixels, _coloured(true, colours), _coloured(found, colours), overlay(pixels, found, colours=colours))
    canvas = Image.new("RGB", (4 * width + 3 * _GAP, height + _CAPTION), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for place, (caption, picture) in enumerate(zip(PANELS, pictures, strict=True)):
        left = place * (width + _GAP)
        canvas.paste(Image.fromarray(picture), (left, _CAPTION))
        draw.text((left + 2, 3), caption, fill="#444444", font=font)
    return canvas


def _coloured(ids: np.ndarray, colours: Colours) -> np.ndarray:
    palette = np.array([colours.get(number, class_colour(number)) or _UNLABELLED for number in range(256)], np.uint8)
    return palette[ids]


def panel_files(run: RunDirectory) -> list[bytes]:
    """Return the plots of a run's test photos, as PNG."""
    return [path.read_bytes() for path in sorted((run.path / _FOLDER).glob("*.png"))]


class TestedPhotos:
    """Observes an evaluation: adds up the loss and plots the first few photos; a function for `evaluate(observe=…)`.

    Args:
        run: the plots are written there.
        config: of the run.
        loss: of probabilities, for the classes of `config`.
    """

    def __init__(self, run: RunDirectory, config: TrainConfig, loss: keras.losses.Loss) -> None:
        import tensorflow as tf

        self._run, self._config = run, config
        self._loss = tf.function(loss)
        self._losses: list[float] = []
        self._colours = mask_colours(run.classes())
        self._plotted = 0

    @property
    def mean_loss(self) -> float | None:
        """The mean over photos, None without any."""
        return float(np.mean(self._losses)) if self._losses else None

    def __call__(self, example: Example, truth: np.ndarray, probabilities: np.ndarray) -> None:
        """Take true class ids (H, W) and probabilities (C, H, W) of a photo."""
        self._losses.append(self._loss_of(truth, probabilities))
        if self._plotted < self._config.previews:
            photo, _ = example.decode()
            self._plot(visible(photo), truth, probabilities.argmax(axis=0).astype(np.uint8))

    def _loss_of(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        outputs = np.moveaxis(probabilities, 0, -1)[None]
        labels = truth.astype(np.int32)[None]
        if self._config.model.classes == 1:  # in its masks id 0 is the object, for its loss it is 1
            outputs = outputs[..., :1]
            labels = np.where(labels == IGNORE_ID, labels, 1 - labels)
        return float(self._loss(labels, outputs))

    def _plot(self, photo: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> None:
        buffer = io.BytesIO()
        four_panels(photo, truth, predicted, self._colours).save(buffer, "PNG", compress_level=3)
        folder = self._run.path / _FOLDER
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"{self._plotted:02d}.png", buffer.getvalue())
        self._plotted += 1
