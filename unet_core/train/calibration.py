"""Measuring what a configuration's steps take here, in a process of its own; `estimate` reads what is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from unet_core.jobs.background_job import BackgroundJob
from unet_core.jobs.memory import peak_memory_mb
from unet_core.jobs.tables import write_atomically, write_record
from unet_core.settings import Settings, get_settings
from unet_core.train.config import TrainConfig, check_config
from unet_core.train.estimate import Calibration, calibration_file

if TYPE_CHECKING:
    import keras

_STEPS_MEASURED, _SECONDS_MEASURED = 8, 5.0


def calibration_job(config: TrainConfig, settings: Settings | None = None) -> BackgroundJob:
    """Return the work of measuring this configuration: watch it by `status()`."""
    path = calibration_file(config, settings or get_settings())
    return BackgroundJob(path.parent, path.stem)


def start_calibration(config: TrainConfig, settings: Settings | None = None) -> BackgroundJob:
    """Measure a few steps in a process of its own; does nothing where that is under way.

    Raises:
        ConfigError: the network does not work at its size.
        JobError: the cache folder cannot be written.
    """
    settings = settings or get_settings()
    check_config(config)
    path = calibration_file(config, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path.with_suffix(".config.json"), config.to_json())
    job = calibration_job(config, settings)
    job.start(["-m", "unet_core", "calibrate", "--config", str(path.with_suffix(".config.json"))], settings)
    return job


def calibrate(config: TrainConfig, settings: Settings | None = None) -> Calibration:
    """Train a few steps on random numbers in this process, keep what they took, and return it; imports TensorFlow.

    Raises:
        ConfigError: the network does not work at its size.
        JobError: another process measures the same.
    """
    settings = settings or get_settings()
    path = calibration_file(config, settings)
    with calibration_job(config, settings).running() as report:
        report("building", 0, 0)
        found = _measured(config)
        write_record(path, found)
    return found


def _measured(config: TrainConfig) -> Calibration:
    from unet_core.train.fit import compiled_model

    check_config(config)
    # Weights do not change how long a step takes, and need no download.
    config = config.replace(model=config.model.replace(encoder_weights="none"))
    model: keras.Model = compiled_model(config, steps_per_epoch=10)
    random = np.random.default_rng(0)
    images = random.random((config.batch_size, *config.model.input_shape), np.float32)
    labels = random.integers(0, max(2, config.model.classes), (config.batch_size, *model.output_shape[1:3]), np.int32)

    def fastest(step: str) -> float:
        run = {"train": model.train_on_batch, "test": model.test_on_batch}[step]
        run(images, labels)  # compiles
        seconds: list[float] = []
        began = time.perf_counter()
        while len(seconds) < _STEPS_MEASURED and (not seconds or time.perf_counter() - began < _SECONDS_MEASURED):
            before = time.perf_counter()
            run(images, labels)
            seconds.append(time.perf_counter() - before)
        return sorted(seconds)[len(seconds) // 2]

    training = fastest("train")
    return Calibration(training, fastest("test") / config.batch_size, peak_memory_mb(), time.time())
