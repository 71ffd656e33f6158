"""One training run: datasets, model, Keras' `fit`, and a run directory that tells the whole story."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tqdm import tqdm

from unet_core.data.augmentation import Augmentation
from unet_core.data.pipeline import Datasets, Progress, make_datasets
from unet_core.losses import get_loss
from unet_core.metrics import get_metrics
from unet_core.models import build
from unet_core.train.callbacks import (
    AveragedWeights,
    Recorder,
    StopRun,
    TrainingFailed,
    best_epoch,
    load_training_state,
    stored_epoch,
)
from unet_core.train.config import PIECEWISE_FACTORS, PIECEWISE_SHARES, TrainConfig
from unet_core.train.environment import describe_environment
from unet_core.train.run_directory import RunDirectory, RunError, Status, this_process

RESUMABLE_CHANGES = {"epochs", "time_limit_minutes", "early_stopping_patience"}


@dataclass(frozen=True)
class Summary:
    """How a run ended: `best` and `last` are the metrics of those epochs; epochs count from 1, as people do."""

    run: str
    state: str
    reason: str
    epochs: int
    best_epoch: int | None
    best: dict[str, float]
    last: dict[str, float]
    parameters: int
    seconds: float
    images_per_second: float | None


def train(config: TrainConfig | None, run_dir: str | Path, *, resume: bool = False, verbose: int = 0) -> Summary:
    """Train a model and leave everything about it in `run_dir`.

    Args:
        config: what to train; None reads it from a run directory that is there already.
        run_dir: the run directory, made if it is missing.
        resume: continue after the last whole epoch, with the optimizer's state. On the CPU the result equals that of
            a run that was never interrupted.
        verbose: 0 silent, 1 progress bar, 2 one line an epoch (Keras' meaning).

    Raises:
        TrainingFailed: the run cannot go on: the loss is NaN, the memory is full, a label is not a class.
        RunError: the directory holds another run, or is being trained by another process.
        ConfigError: a configuration is not valid.
        ValueError: the dataset is missing or unusable.
    """
    run = _open_or_create(config, Path(run_dir), resume)
    with run.held():
        config = run.config()
        run.clear_stop()
        status = this_process(dataclasses.replace(run.status(), epochs=config.epochs))
        run.write_status(status)
        recorder: list[Recorder] = []
        try:
            reason = _run(config, run, status, verbose, recorder)
            state = "finished"
        except StopRun as stop:
            state, reason = "stopped", str(stop)
            recorder[0].save_last(also_best=not run.best_weights.exists())
        except KeyboardInterrupt:
            _close(run, recorder, status, "interrupted", "interrupted by a signal, such as Ctrl-C")
            raise
        except Exception as error:
            failure = explain(error)
            run.log(traceback.format_exc())
            _close(run, recorder, status, "failed", str(failure))
            if failure is error:
                raise
            raise failure from error
        status = _close(run, recorder, status, state, reason)
        return _summary(run, status, recorder[0])


def _open_or_create(config: TrainConfig | None, path: Path, resume: bool) -> RunDirectory:
    if not RunDirectory.exists(path):
        if config is None:
            raise RunError(f"{path} holds no run: name a preset, a recipe or a config to start one")
        return RunDirectory.create(path, config)
    run = RunDirectory.open(path)
    if run.status().state == "running":
        raise RunError(f"{path} is being trained by another process (pid {run.status().pid})")
    has_progress = run.resume_state.exists() or run.metrics.path.exists()
    if has_progress and not resume:
        raise RunError(f"{path} already holds a run: resume it (--resume) or choose another folder")
    if config is not None:
        if has_progress:
            _check_same_run(run.config(), config, path)
        run.write_config(config)
    return run


def _check_same_run(old: TrainConfig, new: TrainConfig, path: Path) -> None:
    before, after = old.model_dump(), new.model_dump()
    different = [name for name in before if before[name] != after[name] and name not in RESUMABLE_CHANGES]
    if different:
        raise RunError(
            f"{path} was started with another {', '.join(different)}: resume it without changing that, "
            "or choose another folder"
        )


def _close(run: RunDirectory, recorder: list[Recorder], status: Status, state: str, reason: str) -> Status:
    """Write the final status and one line of log."""
    if recorder:
        status = recorder[0].status
    status = dataclasses.replace(status, state=state, reason=reason, finished=time.time())
    run.write_status(status)
    run.log(f"{state}: {reason}" if reason else state)
    return status


def _run(config: TrainConfig, run: RunDirectory, status: Status, verbose: int, made: list[Recorder]) -> str:
    """Prepare and fit; return the reason if training ended before its last epoch. Appends its recorder to `made`."""
    deadline = None
    if config.time_limit_minutes is not None:
        deadline = time.monotonic() + 60 * config.time_limit_minutes
    _prepare_devices()
    keras.utils.set_random_seed(config.seed)
    run.write_environment(describe_environment(config.seed))
    first_epoch = stored_epoch(run.resume_state)
    datasets = _datasets(config, first_epoch, verbose)
    model = compiled_model(config, datasets.steps)
    model.optimizer.build(model.trainable_variables)
    if first_epoch:
        load_training_state(model, run.resume_state)
        run.log(f"resumed after epoch {first_epoch}")
    run.metrics.keep_below(first_epoch)
    run.steps.keep_below(first_epoch)
    averages = AveragedWeights() if config.ema.enabled else None
    recorder = Recorder(
        run,
        dataclasses.replace(status, epoch=first_epoch, steps=datasets.steps),
        patience=config.early_stopping_patience,
        deadline=deadline,
        averages=averages,
        images=datasets.sizes["train"],
    )
    made.append(recorder)
    callbacks = [callback for callback in (averages, recorder) if callback is not None]
    for callback in callbacks:
        callback.set_model(model)
    run.log(
        f"training {model.count_params()} parameters on {datasets.description}: {datasets.sizes['train']} photos, "
        f"{datasets.steps} steps an epoch, {datasets.sizes['validation']} for validation"
    )
    if first_epoch < config.epochs:
        model.fit(
            datasets.train,
            validation_data=datasets.validation,
            initial_epoch=first_epoch,
            epochs=config.epochs,
            callbacks=callbacks,
            shuffle=False,  # the dataset does it itself
            verbose=verbose,
        )
    return recorder.status.reason


def _datasets(config: TrainConfig, first_epoch: int, verbose: int) -> Datasets:
    if not verbose:
        return _make_datasets(config, first_epoch, None)
    with tqdm(desc="reading photos", unit="photo", disable=None, leave=False) as bar:

        def show(part: str, done: int, count: int) -> None:
            bar.total = count
            bar.set_description(f"reading {part} photos")
            bar.n = done
            bar.refresh()

        return _make_datasets(config, first_epoch, show)


def _make_datasets(config: TrainConfig, first_epoch: int, progress: Progress | None) -> Datasets:
    return make_datasets(
        config.data,
        config.model,
        batch_size=config.batch_size,
        augmentation=Augmentation(config.augmentation, config.seed),
        parts=("train", "validation"),
        validation_fraction=config.validation_fraction,
        split_scheme=config.split_scheme,
        drop_near_duplicates=config.drop_near_duplicates,
        limit=config.limit,
        seed=config.seed,
        first_epoch=first_epoch,
        class_weights=config.class_weights,
        progress=progress,
    )


def compiled_model(config: TrainConfig, steps_per_epoch: int) -> keras.Model:
    """Build the configured model and compile it with its optimizer, loss and metrics."""
    model = build(config.model)
    model.compile(
        optimizer=_optimizer(config, steps_per_epoch * config.epochs),
        loss=_loss(config, from_logits=config.model.head_activation == "none"),
        metrics=get_metrics(config.model.classes, config.model.head_activation),
        # On two CPU cores a step of pets_fast took 12 times as long with XLA.
        jit_compile="auto" if tf.config.list_physical_devices("GPU") else False,
    )
    return model


def learning_rate_schedule(config: TrainConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate as Keras takes it, over `steps` steps in all."""
    rate = config.learning_rate
    match config.schedule:
        case "piecewise":
            boundaries = [max(1, round(share * steps)) for share in PIECEWISE_SHARES]
            values = [rate * factor for factor in PIECEWISE_FACTORS]
            return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
        case "cosine":
            warmup = round(config.warmup_fraction * steps)
            return keras.optimizers.schedules.CosineDecay(
                initial_learning_rate=rate / 100 if warmup else rate,
                decay_steps=max(1, steps - warmup),
                alpha=config.final_learning_rate_factor,
                warmup_target=rate if warmup else None,
                warmup_steps=warmup,
            )
    return rate


def _optimizer(config: TrainConfig, steps: int) -> keras.optimizers.Optimizer:
    common: dict[str, Any] = {"learning_rate": learning_rate_schedule(config, steps)}
    common["global_clipnorm"] = config.gradient_clip
    if config.ema.enabled:
        common |= {"use_ema": True, "ema_momentum": config.ema.momentum}
    match config.optimizer:
        case "sgd":
            return keras.optimizers.SGD(momentum=config.momentum, **common)
        case "adam":
            return keras.optimizers.Adam(**common)
    optimizer = keras.optimizers.AdamW(weight_decay=config.weight_decay, **common)
    # Decay pulls kernels only: biases and normalization's scale and offset have nothing to overfit with.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _loss(config: TrainConfig, from_logits: bool) -> keras.losses.Loss:
    options: dict[str, float] = {"label_smoothing": config.label_smoothing}
    match config.loss:
        case "cross_entropy_dice":
            options["dice_weight"] = config.dice_weight
        case "focal":
            options["gamma"] = config.focal_gamma
        case "tversky":
            options |= {"alpha": config.tversky_alpha, "beta": config.tversky_beta}
    return get_loss(config.loss, config.model.classes, from_logits, **options)


def _prepare_devices() -> None:
    for device in tf.config.list_physical_devices("GPU"):
        # A device that is in use already keeps whatever was set before.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(device, True)


def explain(error: Exception) -> Exception:
    """Return `error` as one that says in a sentence what happened, or itself where it does so already."""
    text = str(error)
    if isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError)):
        return TrainingFailed("the memory is full: use a smaller batch_size, image size or model")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return RunError("the disk is full: free some space, then resume the run")
    if isinstance(error, tf.errors.InvalidArgumentError) and "label" in text.lower():
        return TrainingFailed("a mask holds a value that is not one of the model's classes")
    return error


def _summary(run: RunDirectory, status: Status, recorder: Recorder) -> Summary:
    rows = run.metrics.rows()
    best = best_epoch(rows)
    rates = [row["images_per_second"] for row in rows if "images_per_second" in row]
    return Summary(
        run=str(run.path),
        state=status.state,
        reason=status.reason,
        epochs=len(rows),
        best_epoch=None if best is None else best + 1,
        best=next((_figures(row) for row in rows if row["epoch"] == best), {}),
        last=_figures(rows[-1]) if rows else {},
        parameters=recorder.model.count_params(),
        seconds=round(status.finished - status.started, 3),
        images_per_second=round(sorted(rates)[len(rates) // 2], 1) if rates else None,
    )


def _figures(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "epoch"}
