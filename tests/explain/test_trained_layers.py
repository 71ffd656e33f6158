"""The layers of exported networks: their arithmetic against Keras, and against ONNX Runtime on the shipped models."""

from __future__ import annotations

import io

import keras
import numpy as np
import pytest
from PIL import Image

from tests.helpers import onnx_models
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.explain.trained_layers import (
    LayerError,
    TrainedNetwork,
    other_operations,
    trained_network,
)
from unet_core.images.preprocess import network_input
from unet_core.images.samples import cat_png
from unet_core.models import build
from unet_core.settings import Settings, get_settings
from unet_core.zoo.export import export
from unet_core.zoo.manifest import ModelEntry, file_record, load_manifest, verified_path

PLAIN = UNetConfig(height=60, width=60, depth=3, base_filters=4, padding="valid", normalization="batch")


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(cat_png())).convert("RGB"))


def shipped(name: str) -> TrainedNetwork:
    return trained_network(load_manifest().entry(name), get_settings())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pets", "pets_fast"])
def test_every_layer_of_a_shipped_model_gives_what_the_model_computes(name: str, cat: np.ndarray) -> None:
    network = shipped(name)
    assert len({layer.name for layer in network.layers}) == len(network.layers) > 60
    assert {layer.kind for layer in network.layers} == {
        "convolution", "depthwise convolution", "bilinear upsampling", "concatenation",
    }  # fmt: skip
    own = {row.name: row.output_shape for row in trace(network.config).layers}
    for layer in network.layers:
        assert layer.name.removesuffix(", depthwise part") in own  # and so no layer of a second output
        if layer.name.endswith("_upsample"):
            assert layer.shape == own[layer.name]
        found = network.on_photo(layer.name, cat)
        for channel in {0, found.strongest(), layer.shape[2] - 1}:
            np.testing.assert_allclose(found.arithmetic(channel).whole(), found.output[channel], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_the_numbers_of_the_first_layer_and_of_a_decoder_s_are_those_of_keras(cat: np.ndarray) -> None:
    entry = load_manifest().entry("pets")
    model = build(entry.config.replace(encoder_weights="none"))
    model.load_weights(verified_path(entry, "weights", get_settings()))
    tensor, _ = network_input(cat, entry.config, entry.config.input_shape[:2])
    for layer, keras_layer in (("stem_conv", "stem_activation"), ("decoder2_conv2", "decoder2_conv2_activation")):
        found = shipped("pets").on_photo(layer, cat)
        own = np.asarray(keras.Model(model.inputs[0], model.get_layer(keras_layer).output)(tensor[None]))[0]
        for row, column, channel in ((0, 0, 1), (30, 41, 7), (55, 55, 12)):
            assert found.arithmetic(channel).pixel(row, column).result == pytest.approx(
                own[row, column, channel], abs=1e-3
            )


@pytest.mark.slow
@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
def test_a_run_s_plain_network_has_its_pooling_and_up_convolutions_too(
    upsampling: str, cat: np.ndarray, tmp_path
) -> None:
    config = PLAIN.replace(upsampling=upsampling)
    model = build(config)
    for weight in model.weights:
        if "moving" not in weight.path:
            weight.assign(keras.random.normal(weight.shape, stddev=0.3, seed=1))
    export(model, config, "onnx", tmp_path / "plain.onnx")
    entry = ModelEntry(
        config=config, preprocessing=config.preprocessing, classes=("a", "b", "c"),
        files={"onnx": file_record(tmp_path / "plain.onnx")},
    )  # fmt: skip
    network = trained_network(entry, Settings(weights_dir=tmp_path))
    kinds = {layer.name: layer.kind for layer in network.layers}
    assert kinds["encoder1_pool"] == "max pooling"
    expected = "transposed convolution" if upsampling == "transposed" else "convolution"
    assert kinds["decoder2_upconv"] == expected
    tensor, _ = network_input(cat, config, network.output_size)
    for name in ("encoder1_pool", "decoder2_upconv", "decoder1_concat", "head"):
        own = np.asarray(keras.Model(model.inputs[0], model.get_layer(name).output)(tensor[None]))[0]
        np.testing.assert_allclose(network.on_photo(name, cat).arithmetic(1).whole(), own[..., 1], atol=1e-4)


def test_what_a_network_lacks_is_shown_on_its_first_layer_s_values(cat: np.ndarray) -> None:
    first = shipped("pets_fast").on_photo("Conv1", cat)
    channel = first.strongest()
    valid, pooled, up, crop = other_operations(first, channel).values()
    same = first.arithmetic(channel)
    # Stride 2 and one zero below and right: without it, the window's last row and column have no place.
    assert valid.size == (same.size[0] - 1, same.size[1] - 1)
    np.testing.assert_allclose(valid.whole(), same.whole()[:-1, :-1], atol=1e-5)
    assert pooled.whole().max() == same.whole().max()
    assert up.size == (2 * same.size[0], 2 * same.size[1])
    np.testing.assert_allclose(crop.whole(), same.whole()[12:-12, 12:-12], atol=1e-5)


def test_a_layer_or_channel_that_is_not_there_is_refused_by_name(cat: np.ndarray, tmp_path) -> None:
    network = shipped("pets_fast")
    with pytest.raises(LayerError, match="no layer 'nothing'"):
        network.on_photo("nothing", cat)
    first = network.on_photo("Conv1", cat)
    for channel in (-1, 16):
        with pytest.raises(LayerError, match="Conv1 has channels 0 to 15"):
            first.arithmetic(channel)
        with pytest.raises(LayerError, match="Conv1 has channels 0 to 15"):
            other_operations(first, channel)


def test_a_model_that_names_no_layers_is_shown_with_the_graph_s_own_names(cat: np.ndarray, tmp_path) -> None:
    settings = onnx_models.install(tmp_path)
    entry = load_manifest(settings).entry("pixels")
    network = trained_network(entry, settings)
    assert [(layer.name, layer.kind) for layer in network.layers] == [("scores", "convolution")]
    found = network.on_photo("scores", cat)
    np.testing.assert_allclose(found.arithmetic(0).whole(), 8 * found.inputs[0][0], rtol=1e-5)
