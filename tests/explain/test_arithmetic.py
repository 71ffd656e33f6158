"""The arithmetic of single pixels against the layers of Keras, on random values and weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_core.architecture.tracer import same_padding
from unet_core.explain.arithmetic import (
    Arithmetic,
    bilinear_upsampling,
    convolution,
    cropped,
    max_pooling,
    transposed_convolution,
)

FEW = settings(max_examples=20, deadline=None, derandomize=True)


def of_keras(layer: keras.layers.Layer, planes: np.ndarray) -> np.ndarray:
    """Return the layer's output for (channels, H, W), as (channels, h, w)."""
    return np.moveaxis(np.asarray(layer(np.moveaxis(planes, 0, -1)[None]))[0], -1, 0)


def random_planes(channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, height, width)).astype(np.float32)


def agrees(found: Arithmetic, expected: np.ndarray) -> None:
    """Compare the whole map, and pixels one by one in its corners and its middle."""
    np.testing.assert_allclose(found.whole(), expected, atol=1e-5)
    height, width = found.size
    for row, column in {(0, 0), (height - 1, width - 1), (height // 2, width // 3), (0, width - 1)}:
        assert found.pixel(row, column).result == pytest.approx(expected[row, column], abs=1e-5)


@given(
    channels=st.integers(1, 4), height=st.integers(5, 12), width=st.integers(5, 12), kernel=st.integers(1, 5),
    stride=st.sampled_from([1, 2]), padding=st.sampled_from(["same", "valid"]), relu=st.booleans(),
)  # fmt: skip
@FEW
def test_a_convolution_is_that_of_keras_also_at_the_border(
    channels: int, height: int, width: int, kernel: int, stride: int, padding: str, relu: bool
) -> None:
    planes = random_planes(channels, height, width)
    activation = "relu" if relu else None
    layer = keras.layers.Conv2D(2, kernel, stride, padding, activation=activation, bias_initializer="random_normal")
    expected = of_keras(layer, planes)
    weights, bias = (np.asarray(weight) for weight in layer.get_weights())
    sides = (height, width)
    before = tuple(same_padding(side, kernel, stride)[0] if padding == "same" else 0 for side in sides)
    for filters in range(2):
        found = convolution(
            planes, np.moveaxis(weights[..., filters], -1, 0), float(bias[filters]), size=expected.shape[1:],
            stride=stride, before=before, activation="relu" if relu else "none",
        )  # fmt: skip
        agrees(found, expected[filters])
        if padding == "valid":
            assert not any(read.is_padding for read in found.pixel(0, 0).reads)
        elif before[0]:
            assert any(read.is_padding for read in found.pixel(0, 0).reads)


@given(height=st.integers(4, 9), width=st.integers(4, 9))
@FEW
def test_a_depthwise_convolution_is_one_of_a_single_channel(height: int, width: int) -> None:
    planes = random_planes(3, height, width)
    layer = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)
    expected = of_keras(layer, planes)
    weights = np.asarray(layer.get_weights()[0])
    for channel in range(3):
        kernel = weights[None, :, :, channel, 0]
        agrees(convolution(planes[[channel]], kernel, size=(height, width), before=(1, 1)), expected[channel])


@given(channels=st.integers(1, 3), height=st.integers(1, 6), width=st.integers(1, 6), kernel=st.integers(2, 4))
@FEW
def test_a_transposed_convolution_is_that_of_keras(channels: int, height: int, width: int, kernel: int) -> None:
    planes = random_planes(channels, height, width)
    layer = keras.layers.Conv2DTranspose(2, kernel, 2, "same", bias_initializer="random_normal")
    expected = of_keras(layer, planes)
    weights, bias = (np.asarray(weight) for weight in layer.get_weights())  # (rows, columns, filters, channels)
    for filters in range(2):
        own = np.moveaxis(weights[:, :, filters], -1, 0)
        found = transposed_convolution(planes, own, float(bias[filters]), before=max(kernel - 2, 0) // 2)
        agrees(found, expected[filters])


@given(height=st.integers(2, 9), width=st.integers(2, 9))
@FEW
def test_pooling_interpolation_and_cropping_are_those_of_keras(height: int, width: int) -> None:
    planes = random_planes(1, height, width)
    agrees(max_pooling(planes[0]), of_keras(keras.layers.MaxPooling2D(2), planes)[0])
    agrees(bilinear_upsampling(planes[0]), of_keras(keras.layers.UpSampling2D(interpolation="bilinear"), planes)[0])
    agrees(cropped(planes[0], (1, 0, 0, 1)), of_keras(keras.layers.Cropping2D(((1, 0), (0, 1))), planes)[0])


@pytest.mark.parametrize(("name", "values"), [("relu6", (-1, 0.5, 9)), ("sigmoid", (-1, 0.5, 9)), ("relu", (-1, 1, 9))])
def test_an_activation_is_that_of_keras(name: str, values: tuple[float, ...]) -> None:
    planes = np.array([[values]], np.float32)
    found = convolution(planes, np.ones((1, 1, 1)), 0.25, size=(1, 3), activation=name)
    agrees(found, np.asarray(keras.ops.__dict__[name](planes[0] + np.float32(0.25))))


def test_a_pixel_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="the output is 2×2"):
        max_pooling(np.zeros((4, 4), np.float32)).pixel(2, 0)
