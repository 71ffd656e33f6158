"""Feature maps against the Keras model's own intermediate outputs."""

from __future__ import annotations

import io

import keras
import numpy as np
import pytest
from PIL import Image

from tests.helpers import onnx_models
from unet_core.architecture.config import UNetConfig
from unet_core.explain.feature_maps import FeatureMaps, contact_sheet, feature_maps, to_grey
from unet_core.images.preprocess import network_input
from unet_core.images.samples import cat_png
from unet_core.models import build
from unet_core.settings import Settings, get_settings
from unet_core.zoo.export import export
from unet_core.zoo.manifest import ModelEntry, WeightsError, file_record, load_manifest, verified_path, write_entry

VALID = UNetConfig(
    height=60, width=60, depth=3, base_filters=4, padding="valid", normalization="batch", head_activation="softmax"
)


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(cat_png())).convert("RGB"))


def assert_maps_are_keras_own(found: FeatureMaps, model: keras.Model, config: UNetConfig, photo: np.ndarray) -> None:
    tensor, _ = network_input(photo, config, model.output_shape[1:3])
    probe = keras.Model(model.inputs[0], [model.get_layer(block.layer).output for block in found.blocks])
    for block, output in zip(found.blocks, probe(tensor[None], training=False), strict=True):
        own = np.moveaxis(keras.ops.convert_to_numpy(output)[0], -1, 0)
        np.testing.assert_allclose(block.maps, own[list(block.channels)], atol=1e-4)
        np.testing.assert_allclose(block.means, own.mean(axis=(1, 2))[list(block.channels)], atol=1e-4)
        np.testing.assert_allclose(block.mean_map, own.mean(axis=0), atol=1e-4)
        assert sorted(block.channels) == list(range(len(own)))
        assert list(block.means) == sorted(block.means, reverse=True)


@pytest.mark.slow
def test_the_shipped_models_maps_are_those_of_keras(cat: np.ndarray) -> None:
    manifest = load_manifest()
    name = manifest.default
    entry = manifest.entry(name)
    found = feature_maps(name, cat)
    model = build(entry.config.replace(encoder_weights="none"))
    model.load_weights(verified_path(entry, "weights", get_settings()))
    assert_maps_are_keras_own(found, model, entry.config, cat)
    levels = range(1, entry.config.depth)
    wanted = [f"encoder{n}" for n in levels] + ["bottleneck"] + [f"decoder{n}" for n in reversed(levels)] + ["head"]
    assert [block.block for block in found.blocks] == wanted
    assert found.classes == entry.class_names
    assert found.image.shape == entry.config.input_shape
    logits = keras.ops.convert_to_numpy(model(network_input(cat, entry.config, found.mask.shape)[0][None]))[0]
    assert (found.mask == logits.argmax(axis=-1)).mean() > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("position", ["before_activation", "after_activation"])
def test_a_plain_network_with_valid_padding_too(position, cat: np.ndarray, tmp_path) -> None:
    config = VALID.replace(normalization_position=position)
    model = build(config)
    for weight in model.weights:
        if "moving" not in weight.path:
            weight.assign(keras.random.normal(weight.shape, stddev=0.3, seed=1))
    export(model, config, "onnx", tmp_path / "plain.onnx")
    entry = ModelEntry(
        config=config, preprocessing=config.preprocessing, classes=("a", "b", "c"),
        files={"onnx": file_record(tmp_path / "plain.onnx")},
    )  # fmt: skip
    write_entry("plain", entry, tmp_path)
    found = feature_maps("plain", cat, Settings(weights_dir=tmp_path))
    assert [block.block for block in found.blocks] == [
        "encoder1", "encoder2", "bottleneck", "decoder2", "decoder1", "head",
    ]  # fmt: skip
    assert_maps_are_keras_own(found, model, config, cat)


def test_a_model_that_names_no_layers_is_refused(cat: np.ndarray, tmp_path) -> None:
    with pytest.raises(WeightsError, match="export it again"):
        feature_maps("pixels", cat, onnx_models.install(tmp_path))
    with pytest.raises(WeightsError, match="no model 'none_such'"):
        feature_maps("none_such", cat)


def test_maps_are_stretched_each_alone() -> None:
    ramp = np.linspace(-3, 5, 12, dtype=np.float32).reshape(3, 4)
    grey = to_grey(ramp)
    assert (grey.min(), grey.max()) == (0, 255)
    assert not to_grey(np.full((2, 2), 7.0)).any()
    sheet = contact_sheet(np.stack([ramp, ramp * 100, ramp * 0]), columns=2)
    assert sheet.shape == (7, 9)
    np.testing.assert_array_equal(sheet[:3, :4], sheet[:3, 5:])
    assert not sheet[4:, :4].any()


def test_a_block_is_found_by_name(cat: np.ndarray) -> None:
    found = feature_maps(None, cat)
    deepest = found.block("bottleneck")
    assert deepest.shape == (*deepest.mean_map.shape, len(deepest.maps))
    with pytest.raises(ValueError, match="block: must be one of encoder1"):
        found.block("attic")
