"""The window of one pixel against the gradients of Keras, at borders and between the poolings' odd rows too."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.architecture.test_trace import RECEPTIVE
from tests.helpers.strategies import small_configs
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.architecture.window import Window, windows
from unet_core.models import build


def positive(config: UNetConfig) -> keras.Model:
    """Build the model with positive weights, so that no two gradients cancel out."""
    keras.backend.clear_session()
    model = build(config)
    random = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return model


def gradient_window(model: keras.Model, layer: str, row: int, column: int) -> Window:
    """Return the part of the image that changes a pixel of the layer."""
    probe = keras.Model(model.input, model.get_layer(layer).output)
    random = np.random.default_rng(5)
    image = tf.Variable(random.uniform(0.5, 1.5, (1, *model.input_shape[1:])).astype(np.float32))
    with tf.GradientTape() as tape:
        pixel = tf.reduce_sum(probe(image)[0, row, column] * random.uniform(0.5, 1.5, probe.output.shape[-1]))
    changes = np.abs(tape.gradient(pixel, image).numpy()[0]).sum(axis=2)
    rows, columns = np.flatnonzero(changes.sum(axis=1)), np.flatnonzero(changes.sum(axis=0))
    return Window((int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1])))


ODD = [
    UNetConfig(height=45, width=38, depth=3, base_filters=1, classes=1, pooling="average", skip_mode="crop"),
    UNetConfig(height=37, width=50, depth=3, base_filters=1, classes=1, pooling="average", skip_mode="resize"),
    UNetConfig(height=35, width=33, depth=3, base_filters=1, classes=1, pooling="strided", skip_mode="pad"),
]


@pytest.mark.slow
@pytest.mark.parametrize("config", [*RECEPTIVE, *ODD], ids=lambda config: f"{config.upsampling}-{config.height}")
def test_a_pixel_s_window_is_what_the_gradient_reaches_wherever_the_pixel_is(config: UNetConfig) -> None:
    model, traced = positive(config), trace(config)
    for layer in ("head", "bottleneck_conv2", "decoder1_concat"):
        found = next((row for row in traced.layers if row.name == layer), None)
        if found is None:  # without a skip connection there is no merge
            continue
        height, width, _ = found.output_shape
        for row, column in {(0, 0), (height // 2, width // 3), (height // 2 + 1, 3), (height - 1, width - 1)}:
            assert windows(traced, layer, row, column)["image"] == gradient_window(model, layer, row, column)


WHOLE = [
    UNetConfig(height=64, width=48, depth=2, base_filters=4, normalization="group", activation="swish"),
    preset_config("pets_fast").replace(
        height=96, width=64, encoder="efficientnet_b0", encoder_width=1.0, encoder_weights="none"
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("config", WHOLE, ids=["group normalization", "squeeze and excitation"])
def test_an_operation_over_the_image_makes_every_pixel_depend_on_all_of_it(config: UNetConfig) -> None:
    traced = trace(config)
    everything = Window((0, config.height - 1), (0, config.width - 1))
    model = build(config)
    assert gradient_window(model, "head", 5, 7) == windows(traced, "head", 5, 7)["image"] == everything
    assert traced.whole_image
    assert traced.receptive_field == max(config.height, config.width)


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_a_normalization_of_a_pixel_or_by_stored_statistics_is_not_over_the_image(normalization: str) -> None:
    config = UNetConfig(height=64, width=64, depth=2, base_filters=2, normalization=normalization)
    assert not trace(config).whole_image


@given(config=small_configs(), place=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)))
@settings(max_examples=40, deadline=None)
def test_no_window_is_larger_than_the_layer_s_receptive_field(config: UNetConfig, place: tuple[float, float]) -> None:
    traced = trace(config)
    for layer in traced.layers:
        height, width, _ = layer.output_shape
        window = windows(traced, layer.name, int(place[0] * height), int(place[1] * width)).get("image")
        if window is not None:  # a pixel of padding depends on nothing
            assert max(window.height, window.width) <= layer.receptive_field
            assert window.rows[1] < config.height
            assert window.columns[1] < config.width


def test_neighbours_after_upsampling_share_a_window_or_lie_several_pixels_apart() -> None:
    traced = trace(UNetConfig(height=64, width=64, depth=3, base_filters=2, upsampling="nearest", up_convolution=False))
    upsampled = next(row for row in traced.layers if row.name == "decoder2_upsample")
    assert (upsampled.stride, upsampled.window_moves) == (2, (0, 4))
    firsts = [windows(traced, upsampled.name, 16 + row, 16)["image"].rows[0] for row in range(5)]
    assert [after - before for before, after in pairwise(firsts)] == [0, 4, 0, 4]
    pooled = next(row for row in traced.layers if row.name == "encoder2_pool")
    assert (pooled.stride, pooled.window_moves) == (4, (4, 4))


def test_a_pixel_or_layer_that_is_not_there_is_refused_by_name() -> None:
    traced = trace(preset_config("subclassed"))
    with pytest.raises(ValueError, match="no layer 'nothing'"):
        windows(traced, "nothing", 0, 0)
    with pytest.raises(ValueError, match="256×256 pixels"):
        windows(traced, "head", 256, 0)
