"""TensorBoard event files: the curves of a run for `tensorboard --logdir`. TensorBoard itself need not be installed."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from unet_core.errors import UNetError
from unet_core.train import previews
from unet_core.train.callbacks import learning_rate_of
from unet_core.train.run_directory import RunDirectory
from unet_core.train.tested_photos import four_panels, mask_colours

_BUCKETS = 30  # of a histogram


class EventFiles(keras.callbacks.Callback):
    """Writes metrics and learning rate after each epoch, under the names of Keras' own TensorBoard callback.

    A file is created after the first epoch and complete after each one; a resumed run adds another file, which
    TensorBoard joins to the first.

    Args:
        folder: of the files.
        detailed: a run whose previews are written too, with histograms of all weights; None writes curves alone.
    """

    def __init__(self, folder: Path, detailed: RunDirectory | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._detailed = detailed
        self._writers: dict[str, tf.io.TFRecordWriter] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        logs = dict(logs or {})
        values: dict[str, dict[str, float]] = {"train": {}, "validation": {}}
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            values[part][f"epoch_{name.removeprefix('val_')}"] = value
        values["train"]["epoch_learning_rate"] = learning_rate_of(self.model)
        for part, scalars in values.items():
            summary = tf.compat.v1.Summary()
            for name, value in scalars.items():
                summary.value.add(tag=name, simple_value=float(value))
            self._write(part, epoch, summary)
        if self._detailed is not None:
            self._write("train", epoch, self._histograms())
            self._write("validation", epoch, _images(self._detailed, epoch + 1))

    def _histograms(self) -> tf.compat.v1.Summary:
        summary = tf.compat.v1.Summary()
        for layer in self.model.layers:
            for variable in layer.weights:
                values = keras.ops.convert_to_numpy(variable)
                summary.value.add(tag=f"{layer.name}/{variable.name}/histogram", histo=_histogram(values))
        return summary

    def _write(self, part: str, step: int, summary: tf.compat.v1.Summary) -> None:
        if part not in self._writers:
            folder = self._folder / part
            folder.mkdir(parents=True, exist_ok=True)
            writer = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{time.time():.6f}"))
            writer.write(tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
            self._writers[part] = writer
        event = tf.compat.v1.Event(wall_time=time.time(), step=step, summary=summary)
        self._writers[part].write(event.SerializeToString())
        self._writers[part].flush()


def _histogram(values: np.ndarray) -> tf.compat.v1.HistogramProto:
    flat = values.astype(np.float64).reshape(-1)
    counts, edges = np.histogram(flat, _BUCKETS)
    return tf.compat.v1.HistogramProto(
        min=flat.min(),
        max=flat.max(),
        num=flat.size,
        sum=flat.sum(),
        sum_squares=np.square(flat).sum(),
        bucket_limit=edges[1:],
        bucket=counts,
    )


def _images(run: RunDirectory, epoch: int) -> tf.compat.v1.Summary:
    """Return the validation photos among a run's previews, as they are predicted after `epoch` epochs."""
    summary = tf.compat.v1.Summary()
    colours = mask_colours(run.classes())
    for sample in previews.samples(run):
        try:
            truth, predicted = previews.truth(run, sample.index), previews.mask(run, epoch, sample.index)
            photo = previews.picture(run, sample.index)
        except UNetError:  # of a long run, not every epoch is kept
            continue
        if truth is not None:
            picture = four_panels(photo, truth, predicted, colours)
            summary.value.add(tag=f"validation/{sample.index}", image=_image(picture))
    return summary


def _image(picture: Image.Image) -> tf.compat.v1.Summary.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=3)
    return tf.compat.v1.Summary.Image(
        height=picture.height, width=picture.width, colorspace=3, encoded_image_string=buffer.getvalue()
    )
