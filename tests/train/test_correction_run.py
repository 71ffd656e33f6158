"""The short run on corrected photos: from the model in use, gentle, and long enough for few photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from unet_core.settings import ROOT, Settings
from unet_core.train.checks import start_from_problems
from unet_core.train.find_model import find_model
from unet_core.train.presets import correction_run


@pytest.mark.parametrize("name", ["pets_fast", "pets"])
def test_a_shipped_model_can_be_trained_further(name: str, tmp_path: Path) -> None:
    if not (ROOT / "weights" / "manifest.json").exists():
        pytest.skip("no shipped models here")
    source = find_model(name, Settings())
    config = correction_run(str(tmp_path), 5, name, source.config)
    assert not start_from_problems(config, Settings())
    same = {name: getattr(source.config, name) for name in ("encoder_weights", "batch_momentum")}
    assert config.model.replace(**same) == source.config
    assert config.model.batch_momentum > source.config.batch_momentum
    assert config.early_stopping_patience


@pytest.mark.parametrize("photos", [3, 5, 12, 40, 200])
def test_fewer_photos_are_shown_more_often(photos: int, tmp_path: Path) -> None:
    config = correction_run(str(tmp_path), photos, "pets", find_model("pets", Settings()).config)
    fewer = correction_run(str(tmp_path), max(3, photos // 2), "pets", config.model)
    assert config.epochs <= fewer.epochs
    assert 4 <= config.epochs <= 40
    assert config.batch_size <= photos
    assert config.learning_rate <= 1e-4
    assert config.time_limit_minutes
