"""What stands against a training run, said before anything starts. Imports no TensorFlow."""

from __future__ import annotations

import shutil
from pathlib import Path

from unet_core.config import ConfigError
from unet_core.data import oxford_pets, synthetic
from unet_core.settings import Settings, get_settings
from unet_core.trace import trace
from unet_core.train.config import TrainConfig

_FREE_MB = 100.0  # a run whose weights are small needs about this much


def check_config(config: TrainConfig) -> None:
    """Refuse a configuration whose network cannot be built or fed.

    Raises:
        ConfigError: one sentence that names the layer that breaks, and sizes that work.
    """
    found = config_problems(config)
    if found:
        raise ConfigError(found[0], found)


def config_problems(config: TrainConfig) -> tuple[str, ...]:
    """Return what is wrong with the configuration itself, whatever the data; costs milliseconds."""
    model = config.model
    found = []
    problem = trace(model).problem
    if problem is not None:
        sizes = ", ".join(f"{height}×{width}" for height, width in problem.suggested_sizes)
        cure = f" Sizes that work: {sizes}." if sizes else ""
        found.append(f"This network does not work at {model.height}×{model.width}: {problem.message}{cure}")
    if model.channels not in (1, 3):
        found.append(f"channels: photos have 3 (RGB) or, as grey values, 1. Received: {model.channels}")
    if config.replicas is not None and config.batch_size % config.replicas:
        found.append(
            f"batch_size: {config.replicas} devices share each batch, so it must be a multiple of {config.replicas}. "
            f"Received: {config.batch_size}"
        )
    return tuple(found)


def data_problems(config: TrainConfig, settings: Settings | None = None) -> tuple[str, ...]:
    """Return what is wrong with the dataset, its labels and its fit to the model.

    A folder is inspected as a whole once, labels included; the result is kept beside it.
    """
    from unet_core.data.pipeline import open_source, target_coding

    settings = settings or get_settings()
    if config.data == oxford_pets.NAME:
        status = oxford_pets.status(settings.data_dir)
        if status.problem:
            return (status.problem,)
    elif config.data != synthetic.NAME and not Path(config.data).expanduser().exists():
        return (
            f"data: {config.data!r} is neither {oxford_pets.NAME!r}, {synthetic.NAME!r} nor an existing folder or ZIP.",
        )
    try:
        source = open_source(config.data, config.model, data_dir=settings.data_dir, seed=config.seed)
        target_coding(source, config.model.classes)
    except (ValueError, OSError) as error:
        return (str(error),)
    return ()


def disk_problems(needed_mb: float, settings: Settings | None = None) -> tuple[str, ...]:
    """Return what stands against writing a run of `needed_mb` into the runs folder."""
    settings = settings or get_settings()
    folder = settings.runs_dir
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e6
    wanted = needed_mb + _FREE_MB
    if free < wanted:
        return (f"The disk has {free:.0f} MB left and this run needs about {wanted:.0f}: free some space first.",)
    return ()
