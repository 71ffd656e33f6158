"""Timing a configuration's training steps on this machine, in a separate process; `estimate` reads the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from unet_core.jobs.background_job import BackgroundJob
from unet_core.jobs.memory import peak_memory_mb
from unet_core.jobs.tables import write_atomically, write_record
from unet_core.settings import Settings, get_settings
from unet_core.train.config import TrainConfig, check_config
from unet_core.train.estimate import StepTiming, step_timing_file

if TYPE_CHECKING:
    import keras

_STEPS_MEASURED, _SECONDS_MEASURED = 8, 5.0


def step_timing_job(config: TrainConfig, settings: Settings | None = None) -> BackgroundJob:
    """Return the job that times this configuration; watch its `status()`."""
    path = step_timing_file(config, settings or get_settings())
    return BackgroundJob(path.parent, path.stem)


def start_step_timing(config: TrainConfig, settings: Settings | None = None) -> BackgroundJob:
    """Time a few steps in a separate process; does nothing if that is already running.

    Raises:
        ConfigError: the network does not work at its size.
        JobError: the cache folder cannot be written.
    """
    settings = settings or get_settings()
    check_config(config)
    path = step_timing_file(config, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.with_suffix(".config.json"), config.to_json())
    job = step_timing_job(config, settings)
    job.start(["-m", "unet_core", "time-step", "--config", str(path.with_suffix(".config.json"))], settings)
    return job


def time_step(config: TrainConfig, settings: Settings | None = None) -> StepTiming:
    """Train a few steps on random numbers in this process, and store and return their cost; imports TensorFlow.

    Raises:
        ConfigError: the network does not work at its size.
        JobError: another process times the same configuration.
    """
    settings = settings or get_settings()
    path = step_timing_file(config, settings)
    with step_timing_job(config, settings).running() as report:
        report("building", 0, 0)
        found = _measured(config)
        write_record(path, found)
    return found


def _measured(config: TrainConfig) -> StepTiming:
    from unet_core.train.fit import compiled_model

    check_config(config)
    # Weights do not change how long a step takes, and need no download.
    config = config.replace(model=config.model.replace(encoder_weights="none"))
    model: keras.Model = compiled_model(config, steps_per_epoch=10)
    random = np.random.default_rng(0)
    images = random.random((config.batch_size, *config.model.input_shape), np.float32)
    labels = random.integers(0, max(2, config.model.classes), (config.batch_size, *model.output_shape[1:3]), np.int32)

    def median_seconds(run: Callable[..., object]) -> float:
        run(images, labels)  # compiles
        seconds: list[float] = []
        started = time.perf_counter()
        while len(seconds) < _STEPS_MEASURED and (not seconds or time.perf_counter() - started < _SECONDS_MEASURED):
            before = time.perf_counter()
            run(images, labels)
            seconds.append(time.perf_counter() - before)
        return sorted(seconds)[len(seconds) // 2]

    training = median_seconds(model.train_on_batch)
    validation = median_seconds(model.test_on_batch) / config.batch_size
    return StepTiming(training, validation, peak_memory_mb(), time.time())
