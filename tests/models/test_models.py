"""The two forms of the model compute the same, and travel as files that need nothing of the caller."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.helpers.strategies import small_configs
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.errors import ConfigError
from unet_core.models import UNet, build, copy_weights

SMALL = {
    "valid": UNetConfig(height=60, width=76, depth=3, base_filters=4, padding="valid", normalization="batch"),
    "odd": UNetConfig(height=45, width=51, depth=3, base_filters=4, upsampling="bilinear", skip_mode="resize"),
    "encoder": preset_config("pets_fast").replace(encoder_weights="none", height=64, width=64),
    "efficientnet": UNetConfig(
        height=64, width=64, depth=4, base_filters=4, encoder="efficientnet_b0", skip_mode="pad", spatial_dropout=0.2
    ),
    "lite": UNetConfig(height=64, width=64, depth=5, base_filters=4, encoder="efficientnet_lite0", head="resize"),
}


def photos(config: UNetConfig, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, *config.input_shape)).astype("float32")


def outputs(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images, training=False))


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, id=name, marks=[pytest.mark.slow] * (name in ("efficientnet", "lite")))
        for name, config in SMALL.items()
    ],
)
def test_functional_and_subclassed_compute_the_same(config: UNetConfig) -> None:
    functional, subclassed = build(config), UNet(config)
    copy_weights(functional, subclassed)
    images = photos(config)
    np.testing.assert_allclose(outputs(subclassed, images), outputs(functional, images), atol=1e-5)


def test_a_subclassed_model_takes_images_of_another_size() -> None:
    config = SMALL["odd"]
    subclassed, functional = UNet(config), build(config, (38, 61))
    copy_weights(subclassed, functional)
    images = np.random.default_rng(0).uniform(-1, 1, (1, 38, 61, config.channels)).astype("float32")
    np.testing.assert_allclose(outputs(subclassed, images), outputs(functional, images), atol=1e-5)


@given(config=small_configs())
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_random_configs_compute_the_same_in_both_forms(config: UNetConfig) -> None:
    if not trace(config).valid:
        return
    keras.backend.clear_session()
    functional, subclassed = build(config), UNet(config)
    copy_weights(subclassed, functional)
    images = photos(config, 1)
    np.testing.assert_allclose(outputs(subclassed, images), outputs(functional, images), atol=1e-5)


@pytest.mark.parametrize("form", [build, UNet])
@pytest.mark.parametrize(
    "config",
    [pytest.param(SMALL["valid"], id="valid"), pytest.param(SMALL["encoder"], id="encoder", marks=pytest.mark.slow)],
)
def test_models_come_back_from_their_files(form, config: UNetConfig, tmp_path: Path) -> None:
    model, images = form(config), photos(config)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(outputs(loaded, images), outputs(model, images), atol=1e-6)
    fresh = form(config)
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(outputs(fresh, images), outputs(model, images), atol=1e-6)


@pytest.mark.slow
def test_a_functional_model_loads_where_this_library_is_unknown(tmp_path: Path) -> None:
    build(SMALL["valid"]).save(tmp_path / "model.keras")
    code = "import keras, sys; keras.saving.load_model('model.keras'); assert 'unet_core' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)


def test_a_weights_file_of_an_uncompiled_model_holds_no_optimizer(tmp_path: Path) -> None:
    build(SMALL["valid"]).save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5") as file:
        assert "optimizer" not in file


def test_frozen_batchnorm_of_the_encoder_keeps_its_statistics_in_training() -> None:
    config = SMALL["encoder"]
    model = build(config)
    norms = {name: model.get_layer(name) for name in ("bn_Conv1", "decoder1_conv1_norm")}
    before = {name: keras.ops.convert_to_numpy(norm.moving_mean) for name, norm in norms.items()}
    model(photos(config) + 3, training=True)
    np.testing.assert_array_equal(before["bn_Conv1"], norms["bn_Conv1"].moving_mean)
    assert not np.allclose(before["decoder1_conv1_norm"], norms["decoder1_conv1_norm"].moving_mean)


@pytest.mark.slow
def test_encoder_weights_come_from_a_file_and_bad_files_are_named(tmp_path: Path) -> None:
    config = SMALL["encoder"]
    source = keras.applications.MobileNetV2(alpha=0.35, include_top=False, weights=None, input_shape=(64, 64, 3))
    file = tmp_path / "encoder.weights.h5"
    source.save_weights(file)
    model = build(config.replace(encoder_weights=str(file)))
    np.testing.assert_array_equal(model.get_layer("Conv1").kernel, source.get_layer("Conv1").kernel)

    with pytest.raises(ConfigError, match="there is no file"):
        build(config.replace(encoder_weights=str(tmp_path / "missing.weights.h5")))
    with pytest.raises(ConfigError, match="give a file made for mobilenet_v2 of width 1.0"):
        build(config.replace(encoder_weights=str(file), encoder_width=1.0))


def test_normalization_stands_where_the_tutorial_has_it() -> None:
    """The reference is its block as it is usually written: Conv2D with its activation, then BatchNormalization."""
    config = preset_config("keras_basic+batchnorm").replace(
        height=16, width=16, depth=2, base_filters=4, head_activation="none"
    )
    image = keras.Input(config.input_shape)

    def block(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        for _ in range(2):
            x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = keras.layers.BatchNormalization()(x)
        return x

    skip = block(image, 4)
    deep = block(keras.layers.MaxPooling2D(2)(skip), 8)
    merged = keras.layers.Concatenate()([skip, keras.layers.UpSampling2D(2)(deep)])
    reference = keras.Model(image, keras.layers.Conv2D(1, 1)(block(merged, 4)))
    model, before = build(config), build(config.replace(normalization_position="before_activation"))
    random = np.random.default_rng(1)
    weights = [random.uniform(0.2, 1, weight.shape) - 0.5 * (weight.ndim > 1) for weight in reference.get_weights()]
    for each in (reference, model, before):
        each.set_weights(weights)  # the same variables in the same order
    images = photos(config)
    np.testing.assert_allclose(outputs(model, images), outputs(reference, images), rtol=1e-4)
    assert not np.allclose(outputs(before, images), outputs(reference, images), rtol=1e-2)
    assert {layer.name for layer in model.layers} == {layer.name for layer in before.layers}


def test_copying_between_different_networks_is_refused() -> None:
    with pytest.raises(ValueError, match="do not have the same variables"):
        copy_weights(build(SMALL["valid"]), build(SMALL["odd"]))
