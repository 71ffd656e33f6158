"""A network and a training run that take a second, for tests of what surrounds them."""

from __future__ import annotations

from pathlib import Path

from unet_core.architecture.config import UNetConfig
from unet_core.data.augmentation import OFF, AugmentationConfig
from unet_core.train.config import EmaConfig, TrainConfig
from unet_core.train.run_directory import RunDirectory, Status

TINY = UNetConfig(height=16, width=16, depth=2, base_filters=4, normalization="batch", batch_momentum=0.5)


def tiny_config(**changes: object) -> TrainConfig:
    """Return a configuration that trains `TINY` for two epochs of three steps."""
    values = {
        "model": TINY,
        "data": "synthetic",
        "limit": 24,
        "batch_size": 8,
        "epochs": 2,
        "learning_rate": 1e-2,
        "augmentation": OFF,
        "previews": 1,
        "test_limit": 4,
    }
    return TrainConfig(**{**values, **changes})


def exact_config(**changes: object) -> TrainConfig:
    """Return a configuration with everything that a resume must restore: dropout, augmentation, moments, averages."""
    model = TINY.replace(spatial_dropout=0.2)
    ema = EmaConfig(enabled=True, momentum=0.9)
    return tiny_config(model=model, ema=ema, augmentation=AugmentationConfig(), epochs=3, **changes)


def untrained_run(path: Path, model: UNetConfig = TINY) -> RunDirectory:
    """Write a run directory as if one epoch had been trained; its weights are random."""
    from unet_core.models import build
    from unet_core.train.callbacks import save_model_weights

    run = RunDirectory.create(path, tiny_config(model=model, epochs=1))
    network = build(model)
    save_model_weights(network, run.best_weights)
    save_model_weights(network, run.last_weights)
    run.metrics.append({"epoch": 0, "loss": 1.0, "val_mean_iou": 0.25, "seconds": 1.5})
    run.write_status(Status(state="finished", epoch=1, epochs=1))
    return run
