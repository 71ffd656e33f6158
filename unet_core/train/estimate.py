"""What a training run needs on this machine: steps, time, memory, disk. Imports no TensorFlow.

Until a few real steps of a configuration have been timed (see `step_timing`), time and memory are rough: they follow
from the trace, with coefficients measured on two cores of a 2.1 GHz Xeon.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from unet_core.architecture.trace import trace
from unet_core.data.oxford import oxford_pets
from unet_core.errors import UNetError
from unet_core.jobs.tables import read_record
from unet_core.settings import Settings, get_settings
from unet_core.train.config import TrainConfig
from unet_core.train.environment import processor_name

_FORMAT = 1  # of a stored timing
_CORES_MEASURED = 2
_SECONDS_PER_GMAC, _SECONDS_PER_ACTIVATION_MB = 0.0171, 0.00063  # of a training step, for one image
_VALIDATION_SHARE = 0.35  # of the time of training on the same photo
_BASE_MB, _ACTIVATION_COPIES, _WEIGHT_COPIES = 830.0, 1.05, 5.0  # libraries; values; gradients, moments, averages
_START_SECONDS, _EPOCH_SECONDS, _END_SECONDS = 12.0, 0.5, 4.0
_OXFORD_SIZE = (375, 500)  # height and width of a typical photo
_PHOTOS_PER_SECOND = 350.0  # read, decoded and resized by two cores


@dataclass(frozen=True)
class StepTiming:
    """The cost of a few real steps: seconds per step and per validation photo, peak memory in MB."""

    step_seconds: float
    validation_seconds: float
    memory_mb: float
    measured: float = 0.0  # time of the measurement, in seconds since 1970


@dataclass(frozen=True)
class Estimate:
    """What a run needs. `photos`, `steps` and `seconds` are None while the dataset is missing.

    `photos` are those of the training part, `memory_mb` the worker's peak, `disk_mb` the run directory's size.
    `measured`: time and memory come from real steps of this configuration on this machine.
    """

    parameters: int
    photos: int | None
    steps_per_epoch: int | None
    steps: int | None
    memory_mb: float
    seconds: float | None
    disk_mb: float
    measured: bool


def estimate(config: TrainConfig, settings: Settings | None = None) -> Estimate:
    """Return what a run needs, within milliseconds; nothing is trained.

    Raises:
        ConfigError: the network does not work at its size.
    """
    settings = settings or get_settings()
    traced = trace(config.model)
    photos, held_out = _photo_counts(config, settings)
    steps = None if photos is None else -(-photos // config.batch_size)
    found = step_timing(config, settings)
    per_image = _rough_seconds(config)
    step_seconds = found.step_seconds if found else per_image * config.batch_size
    validation = found.validation_seconds if found else per_image * _VALIDATION_SHARE
    cached = _cache_mb(config, (photos or 0) + (held_out or 0), settings)
    seconds = None
    if steps is not None:
        epoch = steps * step_seconds + (held_out or 0) * validation + _EPOCH_SECONDS
        seconds = config.epochs * epoch
        if config.time_limit_minutes is not None:
            seconds = min(seconds, 60 * config.time_limit_minutes)
        reading = ((photos or 0) + (held_out or 0)) / _PHOTOS_PER_SECOND
        seconds += _START_SECONDS + _END_SECONDS + reading
    return Estimate(
        parameters=traced.total_params,
        photos=photos,
        steps_per_epoch=steps,
        steps=None if steps is None else steps * config.epochs,
        memory_mb=(found.memory_mb if found else _rough_memory_mb(config)) + cached,
        seconds=seconds,
        disk_mb=_disk_mb(config),
        measured=found is not None,
    )


def _rough_seconds(config: TrainConfig) -> float:
    """Return the seconds that a training step takes for each of its images."""
    traced = trace(config.model)
    activation_mb = traced.training_activation_bytes() / 1e6
    seconds = traced.total_macs / 1e9 * _SECONDS_PER_GMAC + activation_mb * _SECONDS_PER_ACTIVATION_MB
    return seconds * _CORES_MEASURED / (os.cpu_count() or _CORES_MEASURED)


def _rough_memory_mb(config: TrainConfig) -> float:
    traced = trace(config.model)
    activations = traced.training_activation_bytes(config.batch_size) / 1e6
    return _BASE_MB + _ACTIVATION_COPIES * activations + _WEIGHT_COPIES * traced.weight_bytes / 1e6


def _cache_mb(config: TrainConfig, photos: int, settings: Settings) -> float:
    """Return the memory for decoded photos; what does not fit is decoded in each epoch."""
    megabytes = photos * config.model.height * config.model.width * (config.model.channels + 1) / 1e6
    return megabytes if megabytes <= settings.cache_mb else 0.0


def _disk_mb(config: TrainConfig) -> float:
    """Best and last weights, the state to resume from (with its older version while it is replaced), the ONNX file."""
    weights = trace(config.model).weight_bytes / 1e6
    moments = {"adam": 2, "adamw": 2, "sgd": 1}[config.optimizer] + config.ema.enabled
    previews = min(config.epochs, 200) * (config.previews + 1) * 0.003
    return 3 * weights + 2 * (1 + moments) * weights + previews + 0.5


def _photo_counts(config: TrainConfig, settings: Settings) -> tuple[int | None, int | None]:
    """Return the photos of the training and of the validation part; None if a dataset cannot be read.

    Those of a mixture that would be left out as doubles of validation or test photos count here.
    """
    from unet_core.data.pipeline import open_source

    counts = []
    for name in config.sources:
        if name == oxford_pets.NAME:
            counts.append(_oxford_counts(config, settings))
            continue
        try:
            source = open_source(name, config.model, config.split)
            counts.append((len(source.names("train")), len(source.names("validation"))))
        except (UNetError, OSError):
            return None, None
    trained, held_out = sum(train for train, _ in counts), counts[0][1]
    used = 1.0 if config.limit is None else min(1.0, config.limit / max(trained, 1))
    held_out = held_out if config.limit is None else min(held_out, config.limit)
    held_out = -(-held_out // config.validation_subsplits)
    tiles = [_tiles_per_photo(name, config) if config.crops else 1.0 for name in config.sources]
    photos = sum(train * used * each for (train, _), each in zip(counts, tiles, strict=True))
    return round(photos), round(held_out * tiles[0])


def _tiles_per_photo(name: str, config: TrainConfig) -> float:
    """Return how many crops a dataset's photo gives in an epoch, on average; for own datasets from their report."""
    from unet_core.data.own.report import saved_report
    from unet_core.data.tiles import TileSize

    size = TileSize.of(config.model)
    if name == oxford_pets.NAME:
        return size.number(_OXFORD_SIZE)
    found = saved_report(name)
    if found is None or not found.pairs:
        return 1
    return sum(size.number((pair.height, pair.width)) for pair in found.pairs) / len(found.pairs)


def _oxford_counts(config: TrainConfig, settings: Settings) -> tuple[int, int]:
    """Count without TensorFlow: names decide what is held out, so these are the expected numbers."""
    splits = oxford_pets.status(settings.data_dir).splits or {"train": 3680, "test": 3669}
    if config.split_scheme == "percentage":
        total = sum(splits.values())
        return round(0.8 * total), round(0.1 * total)
    held_out = round(config.validation_fraction * splits["train"])
    return splits["train"] - held_out, held_out


def has_gpu_driver() -> bool:
    """Return whether an NVIDIA driver is loaded: training then uses the GPU's memory, which is not known here."""
    return Path("/proc/driver/nvidia/version").exists()


def step_timing(config: TrainConfig, settings: Settings | None = None) -> StepTiming | None:
    """Return the timing of this network, batch and optimizer on this machine; None if it was not measured."""
    return read_record(step_timing_file(config, settings or get_settings()), StepTiming)


def step_timing_file(config: TrainConfig, settings: Settings) -> Path:
    """Return the file of the timing, named after everything that decides how long a step takes."""
    decisive = config.model_dump(
        mode="json", include={"batch_size", "optimizer", "loss", "ema", "gradient_clip", "mixed_precision", "replicas"}
    )
    model = config.model.replace(encoder_weights="none").model_dump(mode="json")
    machine = [_FORMAT, processor_name(), os.cpu_count()]
    text = json.dumps([decisive, model, machine], sort_keys=True)
    return settings.cache_dir / "calibrations" / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"
