"""The mean and standard deviation of a run's training photos, for networks that standardize their input."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from unet_core.data.mixture import MixedSource
from unet_core.data.pipeline import open_source
from unet_core.data.sources import Source
from unet_core.data.statistics import channel_statistics
from unet_core.images.preprocess import in_channels
from unet_core.train.config import TrainConfig


def measured(config: TrainConfig, source: Source | None, before_each: Callable[[], None]) -> TrainConfig:
    """Return the configuration with the mean and deviation of its training photos; unchanged if it needs none.

    Each dataset of a mixture counts by its share.

    Args:
        config: of the run.
        source: the dataset, if not that of `config.data`.
        before_each: called before each photo; may raise, to stop.

    Raises:
        DataError: the dataset cannot be used.
    """
    preprocessing = config.model.preprocessing
    if preprocessing.is_measured:
        return config
    source = source or open_source(config.data, config.model, config.split)

    def photos() -> Iterator[np.ndarray]:
        for example in itertools.islice(source.examples("train"), config.limit):
            before_each()
            yield in_channels(example.decode()[0], config.model.channels)

    weights = source.weights(config.limit) if isinstance(source, MixedSource) else None
    found = channel_statistics(photos(), weights)
    model = config.model.replace(preprocessing=preprocessing.replace(mean=found.mean, std=found.std))
    return config.replace(model=model)


def with_measured(config: TrainConfig, before: TrainConfig) -> TrainConfig:
    """Return the configuration with what an earlier start of the same run measured, if it lacks it."""
    new, old = config.model.preprocessing, before.model.preprocessing
    if new.is_measured or new != old.with_scale(old.scale) or config.model.channels != before.model.channels:
        return config
    return config.replace(model=config.model.replace(preprocessing=old))
