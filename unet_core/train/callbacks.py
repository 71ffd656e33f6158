"""What a run does beside Keras' own work in `fit`: record, keep weights, say it is alive, and stop when asked."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from zipfile import BadZipFile

import keras
import numpy as np

from unet_core.train.run_directory import RunDirectory, Status

MONITORED = "val_mean_iou"  # larger is better: chooses the best epoch and stops a run that no longer improves
HEARTBEAT_SECONDS = 1.0
STEP_SECONDS = 0.5  # between two looks at the stop file and two lines of steps.csv


class StopRun(Exception):
    """Raised inside `fit` to end it at once, cleanly. `fit` resets `stop_training` and would validate first."""


class TrainingFailed(ValueError):
    """A run that cannot go on; the text is one sentence that says what happened and what to change."""


def save_model_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of `model`, without optimizer state, to `path` in one step."""
    # A compiled model would put its optimizer into the file; this view of the same layers has none.
    bare = keras.Model(model.inputs[0], model.outputs[0])
    temporary = path.with_name(f".part.{path.name}")
    bare.save_weights(temporary)
    os.replace(temporary, path)


def save_training_state(model: keras.Model, path: Path, epoch: int) -> None:
    """Write everything that the steps after `epoch` whole epochs depend on, in one step.

    That is all variables of the model (random states of its layers included) and of the optimizer (moments, averages,
    step count).
    """
    arrays = {f"model/{index}": variable.numpy() for index, variable in enumerate(_model_state(model))}
    arrays |= {f"optimizer/{index}": variable.numpy() for index, variable in enumerate(model.optimizer.variables)}
    temporary = path.with_name(f".part.{path.name}")
    with open(temporary, "wb") as file:
        np.savez(file, epoch=epoch, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_training_state(model: keras.Model, path: Path) -> None:
    """Put a state written by `save_training_state` into a compiled model of the same form.

    Raises:
        TrainingFailed: the file belongs to another model or optimizer, or is damaged.
    """
    model.optimizer.build(model.trainable_variables)
    try:
        with np.load(path) as state:
            for prefix, variables in (("model", _model_state(model)), ("optimizer", model.optimizer.variables)):
                if f"{prefix}/{len(variables)}" in state:
                    raise KeyError(prefix)
                for index, variable in enumerate(variables):
                    variable.assign(state[f"{prefix}/{index}"])
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise TrainingFailed(f"{path} does not fit this model or is damaged; start a new run ({error})") from None


def stored_epoch(path: Path) -> int:
    """Return the number of whole epochs behind a state file, 0 where there is none.

    Raises:
        TrainingFailed: the file is damaged.
    """
    if not path.exists():
        return 0
    try:
        with np.load(path) as state:
            return int(state["epoch"])
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise TrainingFailed(f"{path} is damaged; start a new run ({error})") from None


def _model_state(model: keras.Model) -> list[keras.Variable]:
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


class AveragedWeights(keras.callbacks.SwapEMAWeights):
    """Keras' exchange of weights and their averages around each validation, also usable around a save."""

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Put the averages into the model for the length of a `with` block."""
        # Before the first step the averages are still zero.
        if self._ema_weights_in_model or int(self.model.optimizer.iterations) == 0:
            yield
            return
        self.on_test_begin()
        try:
            yield
        finally:
            self.on_test_end()


class Recorder(keras.callbacks.Callback):
    """Writes the run directory while `fit` works.

    After each epoch, in this order: weights, metrics, resume state, status. A kill between two of them leaves at most
    an epoch that is recorded but will be trained again, and resuming drops its line first.

    Args:
        run: the directory.
        status: the run's status at the start; kept up to date here.
        patience: epochs without a better validation mean IoU after which training ends, or None.
        deadline: `time.monotonic()` value at which training ends, or None.
        averages: the callback that exchanges weights and their averages, or None without averaging.
        images: photos in an epoch, for images per second.
    """

    def __init__(
        self,
        run: RunDirectory,
        status: Status,
        *,
        patience: int | None = None,
        deadline: float | None = None,
        averages: AveragedWeights | None = None,
        images: int = 0,
    ) -> None:
        super().__init__()
        self.run, self.status = run, status
        self._patience, self._deadline, self._averages = patience, deadline, averages
        self._rows = run.metrics.rows()
        self._looked = self._beat = 0.0
        self._written_steps, self._written_loss = 0, 0.0
        self._epoch_started = 0.0
        self._epoch_trained = 0.0
        self._images = images

    # --- batches --------------------------------------------------------------------------------------------------

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._written_steps, self._written_loss = 0, 0.0
        self._epoch_started = time.monotonic()
        self._epoch_trained = 0.0
        self._update(epoch=epoch, step=0)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))  # the epoch's mean so far
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the loss became {loss} in epoch {self.status.epoch + 1}, step {batch + 1}: lower the learning rate, "
                "set gradient_clip, or check that the masks hold only the model's classes"
            )
        step, now = batch + 1, time.monotonic()
        if now - self._looked >= STEP_SECONDS:
            self._looked = now
            self._write_step(step, loss)
            self._stop_if_asked(now)
        if now - self._beat >= HEARTBEAT_SECONDS:
            self._beat = now
            self._update(step=step)
        self._epoch_trained = now - self._epoch_started

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        now = time.monotonic()
        if now - self._looked >= STEP_SECONDS:
            self._looked = now
            self._stop_if_asked(now)

    def _write_step(self, step: int, mean_loss: float) -> None:
        """Append the mean loss of the steps since the last line, told from the epoch's running mean."""
        new_steps = step - self._written_steps
        loss = (mean_loss * step - self._written_loss * self._written_steps) / new_steps
        self._written_steps, self._written_loss = step, mean_loss
        self.run.steps.append(
            {
                "epoch": self.status.epoch,
                "step": step,
                "loss": loss,
                "learning_rate": float(self.model.optimizer.learning_rate),
                "seconds": time.monotonic() - self._epoch_started,
            }
        )

    def _stop_if_asked(self, now: float) -> None:
        if self.run.stop_requested():
            raise StopRun("stopped on request")
        if self._deadline is not None and now >= self._deadline:
            raise StopRun("the time limit was reached")

    # --- epochs ---------------------------------------------------------------------------------------------------

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        now = time.monotonic()
        row = {
            "epoch": epoch,
            **{name: float(value) for name, value in (logs or {}).items()},
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": now - self._epoch_started,
            "images_per_second": self._images / max(self._epoch_trained, 1e-9),
        }
        is_best = best_epoch([*self._rows, row]) == epoch
        self._rows.append(row)
        self.save_last(also_best=is_best)
        self.run.metrics.append(row)
        save_training_state(self.model, self.run.resume_state, epoch + 1)
        self._update(epoch=epoch + 1, step=0)
        self.run.log(_sentence(row) + (" (best so far)" if is_best else ""))
        best = best_epoch(self._rows)
        if self._patience is not None and best is not None and epoch - best >= self._patience:
            self.status = dataclasses.replace(
                self.status, reason=f"no better validation mean IoU for {self._patience} epochs"
            )
            self.model.stop_training = True
        elif epoch + 1 < self.status.epochs:
            self._stop_if_asked(now)

    def save_last(self, also_best: bool = False) -> None:
        """Write last.weights.h5 (and best.weights.h5): the averaged weights where there are any."""
        with self._averages.in_model() if self._averages else nullcontext():
            save_model_weights(self.model, self.run.last_weights)
            if also_best:
                save_model_weights(self.model, self.run.best_weights)

    def _update(self, **changes: int) -> None:
        self.status = dataclasses.replace(self.status, **changes)
        self.run.write_status(self.status)


def best_epoch(rows: Sequence[dict[str, float]]) -> int | None:
    """Return the first epoch with the highest validation mean IoU, or None before any has one."""
    scored = [row for row in rows if math.isfinite(row.get(MONITORED, math.nan))]
    return int(max(scored, key=lambda row: row[MONITORED])["epoch"]) if scored else None


def _sentence(row: dict[str, float]) -> str:
    shown = {name: row[name] for name in ("loss", "val_loss", "val_pixel_accuracy", MONITORED) if name in row}
    values = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
    return f"epoch {int(row['epoch']) + 1}: {values}, {row['seconds']:.1f} s"
