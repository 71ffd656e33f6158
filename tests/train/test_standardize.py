"""Networks that standardize their input: the training photos' mean and deviation, kept with the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny_run import TINY, tiny_config
from tests.helpers.void_source import VoidSource
from unet_core.architecture.config import Preprocessing
from unet_core.data.statistics import channel_statistics
from unet_core.train.fit import train
from unet_core.train.presets import adapted
from unet_core.train.run_directory import RunDirectory
from unet_core.train.standardize import with_measured

STANDARDIZED = TINY.replace(classes=2, preprocessing=Preprocessing(scale="standardize"))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_mean_and_deviation_are_those_of_all_pixels_together(kind: type) -> None:
    random = np.random.default_rng(3)
    top = np.iinfo(kind).max
    photos = [random.integers(0, top // 3, (height, 7, 5)).astype(kind) for height in (4, 9)]
    pixels = np.concatenate([photo.reshape(-1, 5) for photo in photos]) / top
    found = channel_statistics(iter(photos))
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.std, pixels.std(axis=0), atol=1e-5)


def test_a_channel_without_contrast_is_not_divided_by_zero() -> None:
    assert channel_statistics([np.full((3, 3, 1), 255, np.uint8)]) == ((1.0,), (0.001,))
    with pytest.raises(ValueError, match="there are none"):
        channel_statistics([])


@pytest.mark.slow
def test_a_run_measures_its_training_photos_and_keeps_the_result(tmp_path: Path) -> None:
    config = tiny_config(model=STANDARDIZED, limit=5, epochs=1)
    train(config, tmp_path / "run", source=VoidSource())
    photos = [example.decode()[0] for example in list(VoidSource().examples("train"))[:5]]
    kept = RunDirectory.open(tmp_path / "run").config().model.preprocessing
    pixels = np.concatenate([photo.reshape(-1, 3) for photo in photos]) / 255
    np.testing.assert_allclose(kept.mean, pixels.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(kept.std, pixels.std(axis=0), atol=1e-5)


@pytest.mark.slow
def test_a_resumed_run_does_not_measure_again(tmp_path: Path) -> None:
    config = tiny_config(model=STANDARDIZED, limit=8, epochs=1)
    train(config, tmp_path / "run", source=VoidSource())
    before = RunDirectory.open(tmp_path / "run").config()
    train(config.replace(epochs=2), tmp_path / "run", source=VoidSource(), resume=True)
    after = RunDirectory.open(tmp_path / "run").config()
    assert after == before.replace(epochs=2)


def test_what_was_measured_serves_the_same_network_only() -> None:
    measured = STANDARDIZED.replace(preprocessing=Preprocessing(scale="standardize", mean=(0.5,) * 3, std=(0.2,) * 3))
    before = tiny_config(model=measured)
    assert with_measured(tiny_config(model=STANDARDIZED), before) == before
    for other in (TINY, STANDARDIZED.replace(channels=1)):
        assert with_measured(tiny_config(model=other), before).model == other


def test_another_dataset_is_measured_again_unless_the_weights_come_from_the_first() -> None:
    measured = STANDARDIZED.replace(preprocessing=Preprocessing(scale="standardize", mean=(0.5,) * 3, std=(0.2,) * 3))
    assert not adapted(tiny_config(model=measured), "elsewhere", 2).model.preprocessing.is_measured
    assert adapted(tiny_config(model=measured, start_from="a run"), "elsewhere", 2).model.preprocessing.is_measured
    assert adapted(tiny_config(model=measured), "synthetic", 2).model == measured
