"""What a run does during Keras' `fit`: record metrics, save weights, and stop on request."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from zipfile import BadZipFile

import keras
import numpy as np

from unet_core.errors import UNetError
from unet_core.jobs.tables import Row
from unet_core.train.config import TrainConfig
from unet_core.train.never_predicted import counted_confusion, never_predicted, record_never_predicted, sentence
from unet_core.train.pulse import Pulse
from unet_core.train.run_directory import MONITORED, PAUSED, TIME_LIMIT, RunDirectory, Status, best_epoch

STEP_SECONDS = 0.5  # between two checks of the stop file, and two lines of steps.csv
_SHARE_OF_TIME = 0.05  # largest share of the time for comparing all weights with those of the last line


class StopRun(Exception):
    """Raised inside `fit` to end it at once, cleanly. `fit` resets `stop_training` and would validate first."""


class PauseRun(StopRun):
    """Raised to end a run that will be resumed, so that nothing is measured yet."""


class TrainingFailed(UNetError):
    """A run that cannot continue; the text says in one sentence what happened and what to change."""


def save_model_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of `model`, without optimizer state, to `path` in one step."""
    # A compiled model would also save its optimizer; this view of the same layers has none.
    bare = keras.Model(model.inputs[0], model.outputs[0])
    temporary = path.with_name(f".part.{path.name}")
    try:
        bare.save_weights(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_training_state(model: keras.Model, path: Path, epoch: int) -> None:
    """Write everything that training after `epoch` whole epochs depends on, in one step.

    These are all variables of the model (random states of its layers included) and of the optimizer (moments, averages,
    step count).
    """
    arrays = {f"model/{index}": variable.numpy() for index, variable in enumerate(_model_state(model))}
    arrays |= {f"optimizer/{index}": variable.numpy() for index, variable in enumerate(model.optimizer.variables)}
    temporary = path.with_name(f".part.{path.name}")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, epoch=epoch, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_training_state(model: keras.Model, path: Path) -> None:
    """Put a state written by `save_training_state` into a compiled model of the same architecture.

    Raises:
        TrainingFailed: the file belongs to another model or optimizer, or is damaged.
    """
    if not model.optimizer.built:  # a loss-scaling optimizer that is built twice has its own variables twice
        model.optimizer.build(model.trainable_variables)
    try:
        with np.load(path) as state:
            for prefix, variables in (("model", _model_state(model)), ("optimizer", model.optimizer.variables)):
                if f"{prefix}/{len(variables)}" in state:
                    raise KeyError(prefix)
                for index, variable in enumerate(variables):
                    variable.assign(state[f"{prefix}/{index}"])
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise TrainingFailed(f"{path} does not fit this model or is damaged: start a new run ({error})") from None


def stored_epoch(path: Path) -> int:
    """Return the number of whole epochs behind a state file, 0 if there is none.

    Raises:
        TrainingFailed: the file is damaged.
    """
    if not path.exists():
        return 0
    try:
        with np.load(path) as state:
            return int(state["epoch"])
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise TrainingFailed(f"{path} is damaged: start a new run ({error})") from None


def _model_state(model: keras.Model) -> list[keras.Variable]:
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


def learning_rate_of(model: keras.Model) -> float:
    """Return the learning rate of the next step."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))  # `float` fails where devices mirror it


class AveragedWeights(keras.callbacks.SwapEMAWeights):
    """Keras' swap of weights and their averages around each validation, also for saving."""

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

    After each epoch, in this order: weights, metrics, resume state, previews, status. A kill between two of them leaves
    at most an epoch that is recorded but will be trained again, and resuming drops its line first.

    Args:
        run: the directory.
        pulse: keeps the run's status.
        config: patience, limits and schedule are read from it.
        deadline: `time.monotonic()` value at which training ends, or None; the first epoch may take the time limit
            once more.
        averages: the callback that swaps weights and their averages, or None without averaging.
        images: photos in an epoch, for images per second.
        class_names: by class id.
        disk_limit_mb: size of the run directory at which training ends.
        preview: called with the number of whole epochs when predictions should be saved, or None.
    """

    def __init__(
        self,
        run: RunDirectory,
        pulse: Pulse,
        config: TrainConfig,
        *,
        deadline: float | None = None,
        averages: AveragedWeights | None = None,
        images: int = 0,
        class_names: Sequence[str] = (),
        disk_limit_mb: float = math.inf,
        preview: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self.run, self.pulse, self.config = run, pulse, config
        self._deadline, self._averages, self._images = deadline, averages, images
        self._class_names, self._disk_limit_mb, self._preview = class_names, disk_limit_mb, preview
        self._rows = run.metrics.rows()
        self._before = sum(row.get("seconds", 0.0) for row in self._rows)  # of earlier starts of this run
        self._began = time.monotonic()
        # The first epoch may take as long again: until it ends, the weights have no validation score.
        self._grace = 60 * (config.time_limit_minutes or 0)
        self._last_check = 0.0
        self._written_steps, self._written_loss = 0, 0.0
        self._epoch_started = self._epoch_trained = 0.0
        self._change: _WeightChange | None = None
        self._saving = threading.Lock()

    @property
    def status(self) -> Status:
        """The run's current status."""
        return self.pulse.status

    # --- batches --------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._began = time.monotonic()
        self._change = _WeightChange(self.model)
        if self._preview is not None and not self._rows:
            self._preview(0)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._written_steps, self._written_loss = 0, 0.0
        self._epoch_started = time.monotonic()
        self._epoch_trained = 0.0
        self.pulse.update(epoch=epoch, step=0, phase="training")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))  # the epoch's mean so far
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the loss became {loss} in epoch {self.status.epoch + 1}, step {batch + 1}: lower the learning rate, "
                "set gradient_clip, or check that the masks hold only the model's classes"
            )
        step, now = batch + 1, time.monotonic()
        self.pulse.update(step=step)
        self.pulse.images += self.config.batch_size
        if now - self._last_check >= STEP_SECONDS:
            self._last_check = now
            self._write_step(step, loss, float((logs or {}).get("mean_iou", math.nan)))
            self._stop_if_requested(now)
        self._epoch_trained = now - self._epoch_started

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        self.pulse.update(phase="validating")

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        now = time.monotonic()
        if now - self._last_check >= STEP_SECONDS:
            self._last_check = now
            self._stop_if_requested(now)

    def _write_step(self, step: int, mean_loss: float, mean_iou: float) -> None:
        """Append the mean loss of the steps since the last line, derived from the epoch's running mean."""
        new_steps = step - self._written_steps
        loss = (mean_loss * step - self._written_loss * self._written_steps) / new_steps
        self._written_steps, self._written_loss = step, mean_loss
        now = time.monotonic()
        row = {
            "epoch": self.status.epoch,
            "step": step,
            "loss": loss,
            "learning_rate": learning_rate_of(self.model),
            "seconds": now - self._epoch_started,
            "elapsed": self._before + now - self._began,
            "images_per_second": step * self.config.batch_size / max(now - self._epoch_started, 1e-9),
            "mean_iou": mean_iou,
        }
        change = self._change.since_last(now) if self._change is not None else None
        self.run.steps.append({**row, "weight_change": change})

    def _stop_if_requested(self, now: float) -> None:
        if self.run.stop_requested():
            raise StopRun(STOPPED)
        if self._deadline is not None and now >= self._deadline + (0 if self._rows else self._grace):
            raise StopRun(TIME_LIMIT)

    # --- epochs ---------------------------------------------------------------------------------------------------

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        now = time.monotonic()
        row = {
            "epoch": epoch,
            **{name: float(value) for name, value in (logs or {}).items()},
            "learning_rate": learning_rate_of(self.model),
            "seconds": now - self._epoch_started,
            "elapsed": self._before + now - self._began,
            "images_per_second": self._images / max(self._epoch_trained, 1e-9),
        }
        is_best = best_epoch([*self._rows, row]) == epoch
        self._rows.append(row)
        if self.config.schedule == "plateau":
            self.model.optimizer.learning_rate = plateau_learning_rate(self.config, self._rows)
        self.save_last(also_best=is_best)
        self.run.metrics.append(row)
        save_training_state(self.model, self.run.resume_state, epoch + 1)
        if self._preview is not None:
            with self._averages.in_model() if self._averages else nullcontext():
                self._preview(epoch + 1)
        self.pulse.update(epoch=epoch + 1, step=0)
        lost = never_predicted(counted_confusion(self.model), self._class_names) if self._class_names else ()
        record_never_predicted(self.run, lost, is_best=is_best)
        self.run.log(_sentence(row) + (" (best so far)" if is_best else "") + (f"; {sentence(lost)}" if lost else ""))
        self._end_if_done(epoch, now)

    def _end_if_done(self, epoch: int, now: float) -> None:
        patience, on_loss = self.config.early_stopping_patience, self.config.early_stopping_on == "loss"
        best = lowest_loss_epoch(self._rows) if on_loss else best_epoch(self._rows)
        if patience is not None and best is not None and epoch - best >= patience:
            score = "lower validation loss" if on_loss else "better validation mean IoU"
            self.pulse.update(reason=f"no {score} for {patience} epoch{'s' if patience > 1 else ''}")
            self.model.stop_training = True
        elif epoch + 1 < self.status.epochs:
            self._stop_if_requested(now)
            if 0 < self.status.until <= epoch + 1:
                raise PauseRun(f"{PAUSED} {epoch + 1} of {self.status.epochs} epochs by its sweep")
            if self.run.megabytes() > self._disk_limit_mb:
                raise StopRun(f"the run directory has reached its limit of {self._disk_limit_mb:g} MB")

    def save_last(self, also_best: bool = False) -> None:
        """Write last.weights.h5 (and best.weights.h5): the averaged weights, if the run averages them."""
        with self._saving, self._averages.in_model() if self._averages else nullcontext():
            save_model_weights(self.model, self.run.last_weights)
            if also_best:
                save_model_weights(self.model, self.run.best_weights)


STOPPED = "stopped on request"


def lowest_loss_epoch(rows: Sequence[Row]) -> int | None:
    """Return the first epoch with the lowest validation loss, None if no epoch has one."""
    scored = [row for row in rows if math.isfinite(row.get("val_loss", math.nan))]
    return int(min(scored, key=lambda row: row["val_loss"])["epoch"]) if scored else None


class _WeightChange:
    """How far the weights moved since the last call, as a share of their norm."""

    def __init__(self, model: keras.Model) -> None:
        self._variables = model.trainable_variables
        self._last = self._values()
        self._next = 0.0

    def since_last(self, now: float) -> float | None:
        """Return the share, or None if comparing again so soon would slow down training."""
        if now < self._next:
            return None
        values = self._values()
        moved = sum(float(np.square(value - last).sum()) for value, last in zip(values, self._last, strict=True))
        norm = sum(float(np.square(last).sum()) for last in self._last)
        self._last = values
        self._next = now + (time.monotonic() - now) / _SHARE_OF_TIME
        return math.sqrt(moved / norm) if norm else 0.0

    def _values(self) -> list[np.ndarray]:
        return [keras.ops.convert_to_numpy(variable) for variable in self._variables]


def plateau_learning_rate(config: TrainConfig, rows: Sequence[Row]) -> float:
    """Return the learning rate that schedule "plateau" gives after the epochs in `rows`.

    Lowered by `plateau_factor` whenever the validation loss has not been lower for `plateau_patience` epochs, to no
    less than `final_learning_rate_factor` of the first one. It follows from the rows alone, so a resumed run continues
    exactly.
    """
    lowest = config.learning_rate * config.final_learning_rate_factor
    rate, best, waited = config.learning_rate, math.inf, 0
    for row in rows:
        if row.get("val_loss", math.inf) < best:
            best, waited = row["val_loss"], 0
            continue
        waited += 1
        if waited >= config.plateau_patience:
            rate, waited = max(rate * config.plateau_factor, lowest), 0
    return rate


def _sentence(row: Row) -> str:
    shown = {name: row[name] for name in ("loss", "val_loss", "val_pixel_accuracy", MONITORED) if name in row}
    values = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
    return f"epoch {int(row['epoch']) + 1}: {values}, {row['seconds']:.1f} s"
