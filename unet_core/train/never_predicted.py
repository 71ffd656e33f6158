"""Classes of the validation masks that a network predicts nowhere: worth a sentence, because a mean hides them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from unet_core.jobs.names import one_line
from unet_core.jobs.tables import read_json, write_atomically

if TYPE_CHECKING:
    import keras

    from unet_core.train.run_directory import RunDirectory

_FILE = "never_predicted.json"
_MOST = 256


def never_predicted(confusion: np.ndarray, names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that labels have and predictions do not: (C, C) pixels with true rows, and C names."""
    lost = (confusion.sum(axis=1) > 0) & (confusion.sum(axis=0) == 0)
    return tuple(name for name, is_lost in zip(names, lost, strict=True) if is_lost)


def counted_confusion(model: keras.Model) -> np.ndarray:
    """Return the pixels that a compiled model's metrics have counted since they were last reset, (C, C)."""
    from keras import ops

    from unet_core.train.metrics import ConfusionMatrix

    inner = (metric for holder in model.metrics for metric in getattr(holder, "metrics", ()))
    counted = next(metric for metric in inner if isinstance(metric, ConfusionMatrix))
    return ops.convert_to_numpy(ops.convert_to_tensor(counted.matrix))


def sentence(names: Sequence[str]) -> str:
    """Return what to show, without a full stop."""
    return f"Never predicted on the validation photos: {', '.join(names)}"


def record_never_predicted(run: RunDirectory, names: Sequence[str], *, is_best: bool) -> None:
    """Keep the classes that were lost in the last epoch, and in the best one if that is the same."""
    stored = {"last": list(names), "best": list(names if is_best else recorded(run, "best"))}
    write_atomically(run.path / _FILE, json.dumps(stored, indent=2) + "\n")


def is_known(run: RunDirectory) -> bool:
    """Return whether an epoch has ended since these classes are recorded."""
    return (run.path / _FILE).is_file()


def recorded(run: RunDirectory, epoch: str) -> tuple[str, ...]:
    """Return the classes that the "best" or the "last" epoch never predicted; empty if that is not known."""
    values = read_json(run.path / _FILE)
    names = values.get(epoch) if isinstance(values, dict) else None
    return tuple(one_line(name) for name in names[:_MOST] if isinstance(name, str)) if isinstance(names, list) else ()
