"""One training run: datasets, model, Keras' `fit`, and the run directory that records it."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import json
import math
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from unet_core.architecture.trace import trace
from unet_core.data.augmentation import Augmentation
from unet_core.data.mixture import MixedSource, scored_source
from unet_core.data.own.folder import ImageFolder
from unet_core.data.own.report import save_report
from unet_core.data.pipeline import Datasets, Progress, make_datasets, open_source, target_coding
from unet_core.data.sources import Example, Source
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.data.tiles import TiledSource, TileSize
from unet_core.errors import ConfigError
from unet_core.jobs.disclosure import data_title
from unet_core.models import build
from unet_core.scoring.evaluate import evaluate, report
from unet_core.settings import get_settings
from unet_core.train.callbacks import (
    STOPPED,
    AveragedWeights,
    PauseRun,
    Recorder,
    StopRun,
    TrainingFailed,
    load_training_state,
    stored_epoch,
)
from unet_core.train.checks import check_teacher, start_from_problems
from unet_core.train.config import PIECEWISE_FACTORS, PIECEWISE_SHARES, TrainConfig, check_config
from unet_core.train.distillation import Student
from unet_core.train.environment import describe_environment
from unet_core.train.event_files import EventFiles
from unet_core.train.find_model import find_model
from unet_core.train.initial_weights import take_weights
from unet_core.train.losses import WithBackground, get_loss
from unet_core.train.meaning import record_meaning
from unet_core.train.metrics import get_metrics
from unet_core.train.model_files import write_model_files
from unet_core.train.never_predicted import recorded
from unet_core.train.parts import parts_sentence
from unet_core.train.previews import SIDE, Previewer
from unet_core.train.pulse import Pulse
from unet_core.train.run_directory import (
    RunDirectory,
    RunError,
    State,
    Status,
    best_epoch,
    disk_reserve,
    export_file,
    release_reserve,
    this_process,
)
from unet_core.train.seeding import seeded
from unet_core.train.silent_depth import record_silent_layer, recorded_silent_layer, silent_layer
from unet_core.train.silent_depth import sentence as silent_sentence
from unet_core.train.standardize import measured, with_measured
from unet_core.train.tested_photos import TestedPhotos

RESUMABLE_CHANGES = {
    "epochs",
    "time_limit_minutes",
    "early_stopping_patience",
    "early_stopping_on",
    "disk_limit_mb",
    "previews",
    "tensorboard_details",
    "test_limit",
}
LIMITED_MEASURING_SECONDS = 10.0  # on the test part, for a run that has reached a limit


@dataclass(frozen=True)
class Summary:
    """How a run ended: `best` and `last` are the metrics of those epochs; epochs count from 1.

    `never_predicted` are the classes of the validation masks that the best epoch's network predicts nowhere, and
    `silent_layer` is its deepest layer if that gives nearly the same for every photo, see `silent_depth`.
    """

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
    never_predicted: tuple[str, ...] = ()
    silent_layer: str | None = None


def train(
    config: TrainConfig | None,
    run_dir: str | Path,
    *,
    source: Source | None = None,
    resume: bool = False,
    verbose: int = 0,
    leave: Callable[[Summary], NoReturn] | None = None,
) -> Summary:
    """Train a model and record everything about it in `run_dir`.

    Args:
        config: what to train; None reads it from an existing run directory.
        run_dir: the run directory, created if it is missing.
        source: the photos to train on, if not those of `config.data`.
        resume: continue after the last whole epoch, with the optimizer's state. On the CPU the result equals that of
            a run that was never interrupted.
        verbose: 0 silent, 1 progress bar, 2 one line an epoch (Keras' meaning).
        leave: ends this process. Called from another thread when a stop is requested during a long step; without it,
            stopping waits for the end of the step.

    Raises:
        TrainingFailed: the run cannot continue: the loss is NaN, the memory is full, a label is not a class.
        RunError: the directory holds another run, or is being trained by another process, or the disk is full.
        ConfigError: a configuration is not valid, or its network does not work at its size.
        ValueError: the dataset is missing or unusable.
    """
    run = _open_or_create(config, Path(run_dir), resume)
    with run.held():
        config = run.config()
        status = this_process(dataclasses.replace(run.status(), epochs=config.epochs))
        if not run.is_launched_for(os.getpid()):  # otherwise the stop was requested after this process was started
            run.clear_stop()
            status = dataclasses.replace(status, until=0, task="")
        with disk_reserve(run.path):
            return _Worker(run, config, status, source, verbose, leave).work()


def _open_or_create(config: TrainConfig | None, path: Path, resume: bool) -> RunDirectory:
    if not RunDirectory.exists(path):
        if config is None:
            raise RunError(f"{path} holds no run: name a preset, a recipe or a config to start one")
        return RunDirectory.create(path, config)
    run = RunDirectory.open(path)
    if run.is_held():
        raise RunError(f"{path} is being trained by another process (pid {run.status().pid})")
    has_progress = run.resume_state.exists() or run.metrics.path.exists()
    if has_progress and not resume:
        raise RunError(f"{path} already holds a run: resume it (--resume) or choose another folder")
    if config is not None:
        config = with_measured(config, run.config())
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


class _Worker:
    """Trains one run, from the dataset to the final status."""

    def __init__(
        self,
        run: RunDirectory,
        config: TrainConfig,
        status: Status,
        source: Source | None,
        verbose: int,
        leave: Callable[[Summary], NoReturn] | None,
    ) -> None:
        self._run, self._config, self._verbose, self._leave = run, config, verbose, leave
        self._given = source
        self._pulse = Pulse(run, status, self._force_stop if leave else None)
        self._recorder: Recorder | None = None
        self._trained = False

    def work(self) -> Summary:
        """Train, evaluate and export; the status records how it ended, whatever happens."""
        try:
            with self._pulse.beating():
                reason = self._train_and_conclude()
        except StopRun as stop:
            return self._closed("stopped", str(stop))
        except KeyboardInterrupt:
            if self._run.stop_requested():  # by the queue, of a process that had just started
                return self._closed("stopped", STOPPED)
            self._closed("interrupted", "interrupted by a signal, such as Ctrl-C")
            raise
        except Exception as error:
            failure = explain(error)
            release_reserve(self._run.path)
            with contextlib.suppress(OSError):
                self._run.log(traceback.format_exc())
            self._closed("failed", str(failure))
            if failure is error:
                raise
            raise failure from error
        return self._closed("finished", reason)

    def _train_and_conclude(self) -> str:
        """Return why training ended before its last epoch; empty if it did not."""
        try:
            self._fit()
        except StopRun as stop:
            if self._recorder is not None:
                self._recorder.save_last(also_best=not self._run.best_weights.exists())
            if str(stop) != STOPPED and not isinstance(stop, PauseRun) and self._run.has_weights():
                self._conclude(LIMITED_MEASURING_SECONDS)
            raise
        self._trained = True
        self._conclude(None)
        return self._pulse.status.reason

    def _fit(self) -> None:
        config, run = self._config, self._run
        deadline = None
        if config.time_limit_minutes is not None:
            deadline = time.monotonic() + 60 * config.time_limit_minutes
        check_config(config)
        strategy = prepared_devices(config)
        run.write_environment(describe_environment(config.seed))
        first_epoch = stored_epoch(run.resume_state)
        self._pulse.update(epoch=first_epoch, phase="reading photos")
        config = self._measured()
        datasets = self._datasets(first_epoch, strategy.num_replicas_in_sync)
        record_meaning(run, self._source, datasets.coding)
        if isinstance(self._scored, ImageFolder):
            read = self._scored.report  # with what was left out, and why
            save_report(read.replace(name=data_title(read.name)), run.path)
        write_model_files(run, config.model)
        self._pulse.update(steps=datasets.steps, phase="building")
        # Weights that are replaced at once are not loaded: the file may have to be downloaded.
        replaced = {"encoder_weights": "none"} if first_epoch or config.start_from else {}
        with seeded(config.seed), strategy.scope():
            model = compiled_model(config.replace(model=config.model.replace(**replaced)), datasets.steps)
            model.optimizer.build(model.trainable_variables)
            if not first_epoch and config.start_from:
                self._load_initial_weights(model, config.start_from, datasets.coding.class_names)
            if first_epoch:
                load_training_state(model, run.resume_state)
                run.log(f"resumed after epoch {first_epoch}")
        run.metrics.keep_below(first_epoch)
        run.steps.keep_below(first_epoch)
        self._announce(model, datasets, strategy.num_replicas_in_sync)
        averages = AveragedWeights() if config.ema.enabled else None
        self._recorder = Recorder(
            run,
            self._pulse,
            config,
            deadline=deadline,
            averages=averages,
            images=datasets.steps * config.batch_size if strategy.num_replicas_in_sync > 1 else datasets.sizes["train"],
            class_names=datasets.coding.class_names,
            disk_limit_mb=config.disk_limit_mb or get_settings().max_run_mb,
            preview=self._preview(model),
        )
        events = EventFiles(run.path / "tensorboard", run if config.tensorboard_details else None)
        callbacks = [callback for callback in (averages, self._recorder, events) if callback is not None]
        for callback in callbacks:
            callback.set_model(model)
        if first_epoch < config.epochs:
            model.fit(
                datasets.train,
                validation_data=datasets.validation,
                initial_epoch=first_epoch,
                epochs=config.epochs,
                callbacks=callbacks,
                shuffle=False,  # the dataset shuffles itself
                verbose=self._verbose,
            )

    def _load_initial_weights(self, model: keras.Model, name: str, class_names: Sequence[str]) -> None:
        """Start from a trained model's weights, whatever its input size; for other classes the last layer is new.

        Raises:
            ConfigError: there is no such model, or it has another network.
        """
        if refused := start_from_problems(self._config):
            raise ConfigError(refused[0], refused)
        new = take_weights(model, find_model(name), class_names)
        kept = f"; new random weights, because the classes differ: {', '.join(new)}" if new else ""
        self._run.log(f"started from the weights of {name}{kept}")

    def _announce(self, model: keras.Model, datasets: Datasets, replicas: int) -> None:
        sizes, what = datasets.sizes, "random crops" if self._config.crops else "photos"
        held_out = f"{sizes['validation']} {'tiles ' if self._config.crops else ''}for validation"
        if self._config.validation_subsplits > 1:
            held_out += f", one in {self._config.validation_subsplits}"
        self._run.log(
            f"training {model.count_params()} parameters on {datasets.description}: {sizes['train']} {what}, "
            f"{datasets.steps} steps an epoch, {held_out}"
        )
        if self._given is None:
            self._run.log(parts_sentence(self._config))
        if isinstance(self._source, MixedSource) and self._source.left_out_sentence:
            self._run.log(self._source.left_out_sentence)
        if replicas > 1:
            self._run.log(
                f"{replicas} devices share each batch of {self._config.batch_size}; an epoch leaves out an "
                "incomplete last batch"
            )
        if self._config.mixed_precision and not has_gpu():
            self._run.log("mixed_precision has no effect without a GPU")

    def _measured(self) -> TrainConfig:
        """Measure the training photos if the network's scale needs it, and store the result with the run."""

        def stop_if_requested() -> None:
            if self._run.stop_requested():
                raise StopRun(STOPPED)

        config = measured(self._config, self._source, stop_if_requested)
        if config != self._config:
            self._config = config
            self._run.write_config(config)
        return config

    def _datasets(self, first_epoch: int, replicas: int) -> Datasets:
        config = self._config
        with tqdm(desc="reading photos", unit="photo", disable=None if self._verbose else True, leave=False) as bar:

            def show(part: str, done: int, count: int) -> None:
                bar.total, bar.n = count, done
                bar.set_description(f"reading {part} photos")
                if self._run.stop_requested():
                    raise StopRun(STOPPED)

            datasets = _make_datasets(config, first_epoch, show, replicas > 1, self._source)
        validation = datasets.validation
        if replicas > 1 and validation is not None:  # a device without a photo would make the last loss NaN
            batches = datasets.sizes["validation"] // config.batch_size
            if not batches:
                raise TrainingFailed(
                    f"batch_size: {config.batch_size} is more than the {datasets.sizes['validation']} validation "
                    "photos, so several devices cannot share it: choose a smaller one"
                )
            datasets = dataclasses.replace(datasets, validation=validation.take(batches))
        return datasets

    @cached_property
    def _source(self) -> Source:
        """The data, opened once: a mixture compares its photos when it is first read."""
        config = self._config
        return self._given or open_source(config.data, config.model, config.split)

    @property
    def _scored(self) -> Source:
        """The data whose photos validate and score the network."""
        return scored_source(self._source)

    def _tiled(self, source: Source, limit: int | None) -> TiledSource:
        """Return the tiles on which a network trained on crops is validated and tested."""
        return TiledSource(source, TileSize.of(self._config.model), limit)

    def _preview(self, model: keras.Model) -> Callable[[int], None] | None:
        config, run = self._config, self._run
        if not config.previews and not run.photo.exists():
            return None
        source = self._scored
        if isinstance(source, SyntheticPets) and not config.crops:  # the same pictures, as large as they are shown
            scale = SIDE / max(source.size)
            source = dataclasses.replace(source, size=tuple(max(8, round(side * scale)) for side in source.size))
        coding = target_coding(source, config.model.classes)
        shown = self._tiled(source, None) if config.crops else source
        previewer = Previewer(run, config.model, shown, coding, config.previews, config.epochs, crops=config.crops)
        network = LiveNetwork(model)
        return lambda epoch: previewer.write(network, epoch)

    # --- after training -------------------------------------------------------------------------------------------

    def _conclude(self, seconds: float | None) -> None:
        """Look into the best model, evaluate it on the test part, export it as ONNX; none can make the run fail."""
        if not self._run.weights.exists():
            return
        model = build(self._config.model.replace(encoder_weights="none"))
        model.load_weights(self._run.weights)
        works = (("measuring", self._look_at_depth), ("measuring", self._measure), ("exporting", self._export))
        for phase, work in works:
            self._pulse.update(phase=phase)
            try:
                work(model, seconds)
            except StopRun:
                self._run.log(f"{phase} was skipped: stopped on request")
                return
            except Exception as error:
                self._run.log(f"{phase} failed: {explain(error)}")

    def _look_at_depth(self, model: keras.Model, seconds: float | None) -> None:
        config = self._config.model
        photos = (example.decode()[0] for example in self._scored.examples("validation"))
        layer = silent_layer(model, config, photos)
        record_silent_layer(self._run, layer)
        if layer is not None:
            self._run.log(silent_sentence(layer, config))

    def _measure(self, model: keras.Model, seconds: float | None) -> None:
        config = self._config
        if config.test_limit == 0:
            return
        source = self._scored
        total = len(source.names("test"))
        count = min(total, *(limit for limit in (config.test_limit, config.limit) if limit is not None), total)
        deadline = math.inf if seconds is None else time.monotonic() + seconds

        measured = self._tiled(source, count) if config.crops else source
        tiles = len(measured.names("test")) if config.crops else count

        def examples() -> Iterator[Example]:
            for example in itertools.islice(measured.examples("test"), tiles):
                if self._run.stop_requested():
                    raise StopRun(STOPPED)
                if time.monotonic() > deadline:
                    return
                yield example

        network = LiveNetwork(model)
        coding = target_coding(source, config.model.classes)
        observer = TestedPhotos(self._run, config, _loss(config, from_logits=False))
        found = evaluate(network, config.model, examples(), coding, size=network.output_size, observe=observer)
        photos = found.images if not config.crops else round(count * found.images / tiles)
        self._run.write_test({**report(found), "loss": observer.mean_loss, "images": photos, "of": total})
        by_tiles = f", in {found.images} tiles" if config.crops else ""
        loss = f"loss {observer.mean_loss:.4f}, " if observer.mean_loss is not None else ""
        self._run.log(f"test: {loss}mean IoU {found.scores.mean_iou:.4f} on {photos} of {total} photos{by_tiles}")

    def _export(self, model: keras.Model, seconds: float | None) -> None:
        from unet_core.zoo.export import export

        meaning = find_model(self._run.path).meaning
        export(model, self._config.model, "onnx", export_file(self._run, "onnx"), meaning=meaning)

    # --- the end --------------------------------------------------------------------------------------------------

    def _force_stop(self) -> None:
        """End the process during a step, with the current weights; runs in the pulse's thread."""
        if self._leave is None:
            return
        with contextlib.suppress(Exception):
            if self._recorder is not None and not self._trained:
                self._recorder.save_last(also_best=not self._run.best_weights.exists())
        self._leave(self._closed("finished" if self._trained else "stopped", "" if self._trained else STOPPED))

    def _closed(self, state: State, reason: str) -> Summary:
        """Write the final status and one line of log."""
        status = dataclasses.replace(
            self._pulse.status, state=state, reason=reason, phase="", finished=time.time(), step=0
        )
        with contextlib.suppress(OSError):
            self._run.write_status(status)
            self._run.log(f"{state}: {reason}" if reason else state)
        return _summary(self._run, status)


def _make_datasets(
    config: TrainConfig,
    first_epoch: int,
    progress: Progress | None,
    drop_remainder: bool = False,
    source: Source | None = None,
) -> Datasets:
    return make_datasets(
        source or config.data,
        config.model,
        config.split,
        batch_size=config.batch_size,
        augmentation=Augmentation(config.augmentation, config.seed),
        parts=("train", "validation"),
        limit=config.limit,
        first_epoch=first_epoch,
        class_weights=config.class_weights,
        drop_remainder=drop_remainder,
        crops=config.crops,
        validation_subsplits=config.validation_subsplits,
        progress=progress,
    )


def compiled_model(config: TrainConfig, steps_per_epoch: int) -> keras.Model:
    """Build the configured model and compile it with its optimizer, loss and metrics."""
    with _precision(config):
        model = build(config.model)
    if config.distill_from:
        model = _student(model, config)
    model.compile(
        optimizer=_optimizer(config, steps_per_epoch * config.epochs),
        loss=_loss(config, from_logits=config.model.head_activation == "none"),
        metrics=get_metrics(config.model.classes, config.model.head_activation),
        # On two CPU cores a step of pets_fast took 12 times as long with XLA.
        jit_compile="auto" if has_gpu() else False,
    )
    return model


def _student(model: keras.Model, config: TrainConfig) -> keras.Model:
    source = find_model(config.distill_from)
    check_teacher(config.model, source.config, config.distill_from or "")
    # From the student's input scale to pixel values, and from there to the teacher's scale.
    factor, offset = (np.asarray(each, np.float32) for each in config.model.preprocessing.to_pixels)
    teacher_factor, teacher_offset = (np.asarray(each, np.float32) for each in source.config.preprocessing.to_pixels)
    scaling = factor / teacher_factor, (offset - teacher_offset) / teacher_factor
    return Student(model.inputs, model.outputs, source.load(), config.distill_weight, scaling, name=model.name)


@contextlib.contextmanager
def _precision(config: TrainConfig) -> Iterator[None]:
    """Give layers built in a `with` block the configured precision; their weights are float32 either way."""
    before = keras.config.dtype_policy()
    if config.mixed_precision and has_gpu():
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class LiveNetwork:
    """A Keras model, with its weights at each call, as the network that evaluation and previews use."""

    name = "keras"

    def __init__(self, model: keras.Model) -> None:
        self.device = "GPU" if has_gpu() else "CPU"
        self.output_size: tuple[int, int] = (model.output_shape[1], model.output_shape[2])
        signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        self._run = tf.function(
            lambda batch: tf.cast(model(batch, training=False), tf.float32), input_signature=[signature]
        )

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network: (N, H, W, C) float32, already scaled, to (N, h, w, classes)."""
        return self._run(tf.constant(batch)).numpy()


def learning_rate_schedule(config: TrainConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate or schedule for Keras, over `steps` steps in all."""
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
    loss = get_loss(config.loss, config.model.classes, from_logits, **options)
    if not config.background_weight:
        return loss
    return WithBackground(loss, config.background_class, config.background_weight)


def has_gpu() -> bool:
    """Return whether TensorFlow finds a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def prepared_devices(config: TrainConfig) -> tf.distribute.Strategy:
    """Let GPUs allocate memory as needed, and return a strategy that spreads each batch over `config.replicas` devices.

    Without a GPU, several replicas are logical devices of the CPU, to test a run for several devices.

    Raises:
        TrainingFailed: there are fewer devices than requested, or `TF_CONFIG` asks for several hosts.
    """
    _check_one_host()
    gpus = tf.config.list_physical_devices("GPU")
    for device in gpus:
        # A device in use keeps its earlier setting.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(device, True)
    wanted = config.replicas
    if wanted is None:  # as many as can share a batch evenly
        wanted = max(count for count in range(1, max(1, len(gpus)) + 1) if config.batch_size % count == 0)
    if wanted == 1:
        return tf.distribute.get_strategy()  # the default one
    if gpus and len(gpus) < wanted:
        raise TrainingFailed(f"replicas: {wanted} devices requested, but this machine has only {len(gpus)} GPUs")
    if not gpus:
        logical = [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)]
        try:
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
        except RuntimeError:
            raise TrainingFailed(
                "replicas: TensorFlow is already in use, so the CPU can no longer be divided: start a new process"
            ) from None
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(wanted)])


def _check_one_host() -> None:
    """Refuse several hosts, of which each would train a network of its own.

    Raises:
        TrainingFailed: `TF_CONFIG` names several.
    """
    try:
        workers = json.loads(os.environ.get("TF_CONFIG", "{}"))["cluster"]["worker"]
    except (ValueError, KeyError, TypeError):
        return
    if len(workers) > 1:
        raise TrainingFailed(
            f"TF_CONFIG names {len(workers)} workers, and one training over several hosts does not work with Keras 3 "
            "on TensorFlow: unset TF_CONFIG to train on this host; docs/several-hosts.md shows what works"
        )


def explain(error: Exception) -> Exception:
    """Return an error that explains `error` in one sentence, or `error` itself if it already does."""
    text = str(error)
    if isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError)):
        return TrainingFailed("the memory is full: use a smaller batch_size, image size or model")
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left on device" in text:  # HDF5 and TensorFlow word it differently
        return RunError("the disk is full: free some space, then resume the run")
    if isinstance(error, tf.errors.InvalidArgumentError) and "label" in text.lower():
        return TrainingFailed("a mask holds a value that is not one of the model's classes")
    return error


def _summary(run: RunDirectory, status: Status) -> Summary:
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
        parameters=trace(run.config().model).total_params,
        seconds=round(status.finished - status.started, 3),
        images_per_second=round(sorted(rates)[len(rates) // 2], 1) if rates else None,
        never_predicted=recorded(run, "best"),
        silent_layer=recorded_silent_layer(run),
    )


def _figures(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "epoch"}
