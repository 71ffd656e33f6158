"""TensorBoard event files: the curves of a run for `tensorboard --logdir`. TensorBoard itself need not be installed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf

from unet_core.train.callbacks import learning_rate_of


class EventFiles(keras.callbacks.Callback):
    """Writes metrics and learning rate after each epoch, under the names of Keras' own TensorBoard callback.

    A file is created after the first epoch and complete after each one; a resumed run adds another file, which
    TensorBoard joins to the first.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._writers: dict[str, tf.io.TFRecordWriter] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        logs = dict(logs or {})
        values: dict[str, dict[str, float]] = {"train": {}, "validation": {}}
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            values[part][f"epoch_{name.removeprefix('val_')}"] = value
        values["train"]["epoch_learning_rate"] = learning_rate_of(self.model)
        for part, scalars in values.items():
            self._write(part, epoch, scalars)

    def _write(self, part: str, step: int, values: Mapping[str, float]) -> None:
        if part not in self._writers:
            folder = self._folder / part
            folder.mkdir(parents=True, exist_ok=True)
            writer = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{time.time():.6f}"))
            writer.write(tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
            self._writers[part] = writer
        summary = tf.compat.v1.Summary()
        for name, value in values.items():
            summary.value.add(tag=name, simple_value=float(value))
        event = tf.compat.v1.Event(wall_time=time.time(), step=step, summary=summary)
        self._writers[part].write(event.SerializeToString())
        self._writers[part].flush()
