"""A network whose deepest layer gives the same for every photo is told from one that uses it, and the run says so."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.helpers.tiny_run import TINY, tiny_config
from tests.helpers.void_source import VoidSource
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.cli.train import _text
from unet_core.models import build
from unet_core.train import fit
from unet_core.train.fit import train
from unet_core.train.presets import TRAINING_PRESETS
from unet_core.train.run_directory import RunDirectory
from unet_core.train.silent_depth import (
    PHOTOS,
    deepest_layer,
    recorded_silent_layer,
    sentence,
    silent_layer,
    variance_between_photos,
)


def _photos(count: int = PHOTOS) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [random.integers(0, 256, (20, 24, 3), np.uint8) for _ in range(count)]


def test_variance_between_photos_is_a_share() -> None:
    random = np.random.default_rng(0)
    assert variance_between_photos(random.normal(size=(64, 4, 4, 8))) == pytest.approx(1, abs=0.05)
    same = np.repeat(random.normal(size=(1, 4, 4, 8)), 8, axis=0)
    assert variance_between_photos(same) == pytest.approx(0, abs=1e-12)
    assert variance_between_photos(np.zeros((4, 2, 2, 3))) == 0
    half = np.stack([same[0] + shift for shift in (-1.0, 1.0)])
    assert variance_between_photos(half) == pytest.approx(1 / (1 + same[0].var()))


@pytest.mark.parametrize(
    "config", [TINY, preset_config("pets_fast").replace(height=64, width=64), TINY.replace(depth=3)]
)
def test_the_deepest_layer_has_the_smallest_maps(config: UNetConfig) -> None:
    config = config.replace(encoder_weights="none")
    model = build(config)
    deepest = model.get_layer(deepest_layer(config)).output.shape
    assert deepest[1] == min(layer.output.shape[1] for layer in model.layers if len(layer.output.shape) == 4)
    position = [layer.name for layer in model.layers].index(deepest_layer(config))
    assert model.layers[position + 1].output.shape[1] > deepest[1]


def test_a_saturated_layer_is_silent_and_an_untrained_one_is_not() -> None:
    model = build(TINY)
    assert silent_layer(model, TINY, _photos()) is None
    name = deepest_layer(TINY)
    side = model.get_layer(name).output.shape[1]
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.output.shape[1] == side:
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma * 1e-3, beta + np.linspace(1, 4, len(beta)), mean, variance])
    assert silent_layer(model, TINY, _photos()) == name


def test_too_few_photos_decide_nothing() -> None:
    model = build(TINY)
    same = _photos(1) * 3
    assert silent_layer(model, TINY, same) is None
    assert silent_layer(model, TINY, same * 2) == deepest_layer(TINY)


def test_the_remedy_names_batchnorm_only_where_it_keeps_stored_statistics() -> None:
    encoder = preset_config("pets_fast")
    assert "encoder BatchNorm" in sentence("x", encoder.replace(encoder_batchnorm_frozen=True))
    for config in (
        TINY,
        encoder.replace(encoder_batchnorm_frozen=False),
        encoder.replace(encoder_batchnorm_frozen=True, encoder_frozen=True),
    ):
        assert "encoder BatchNorm" not in sentence("x", config)
        assert "lower learning rate" in sentence("x", config)


def test_a_preset_that_trains_an_encoder_from_imagenet_trains_its_batchnorm() -> None:
    models = [preset.config.model for preset in TRAINING_PRESETS.values()]
    trained = [model for model in models if model.encoder_weights == "imagenet" and not model.encoder_frozen]
    assert trained
    assert not any(model.encoder_batchnorm_frozen for model in trained)


def test_a_run_says_that_its_deepest_layer_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit._Worker, "_export", lambda *_: None)
    config = tiny_config(model=TINY.replace(classes=2), batch_size=4, test_limit=0, epochs=1, previews=0)
    spoken = train(config, tmp_path / "heard", source=VoidSource())
    assert spoken.silent_layer is recorded_silent_layer(RunDirectory(tmp_path / "heard")) is None
    monkeypatch.setattr(fit, "silent_layer", lambda *_: "bottleneck_conv2")
    summary = train(config, tmp_path / "silent", source=VoidSource())
    run = RunDirectory(tmp_path / "silent")
    assert summary.silent_layer == recorded_silent_layer(run) == "bottleneck_conv2"
    found = "The deepest layer, bottleneck_conv2, gives nearly the same for every photo"
    assert any(found in line for line in run.log_tail())
    assert found in _text(summary)


def test_a_damaged_record_names_nothing(tmp_path: Path) -> None:
    for content in ("[]", '{"layer": 3}', "{", '{"layer": null}'):
        (tmp_path / "silent_layer.json").write_text(content)
        assert recorded_silent_layer(RunDirectory(tmp_path)) is None
