"""The trace against Keras itself: names, shapes, parameters, cost, receptive field, and what breaks where."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tests.helpers.strategies import small_configs
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.trace import trace, works_at
from unet_core.models import build

KERAS_SETTINGS = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def config_of(name: str) -> UNetConfig:
    """A preset that needs no download."""
    return preset_config(name).replace(encoder_weights="none")


def assert_traces_model(config: UNetConfig, size: tuple[int, int] | None = None) -> None:
    """Compare every layer of the real model with its row."""
    keras.backend.clear_session()
    model, traced = build(config, size), trace(config, size)
    rows = {row.name: row for row in traced.layers}
    assert traced.valid
    assert rows.keys() == {layer.name for layer in model.layers}
    assert len(rows) == len(traced.layers)
    for layer in model.layers:
        shape = layer.output.shape[1:]
        row = rows[layer.name]
        assert row.output_shape == (tuple(shape) if len(shape) == 3 else (1, 1, shape[0])), layer.name
        assert row.params == layer.count_params(), layer.name
        trainable = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
        assert row.trainable_params == trainable, layer.name
    assert traced.total_params == model.count_params()
    assert traced.output_shape == model.output_shape[1:]


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_traced_as_keras_builds_it(name: str) -> None:
    assert_traces_model(config_of(name))


@given(config=small_configs())
@KERAS_SETTINGS
def test_random_configs_are_traced_as_keras_builds_them_or_break_where_keras_does(config: UNetConfig) -> None:
    check_against_keras(config)


@pytest.mark.slow
@given(config=small_configs(encoders=True))
@settings(KERAS_SETTINGS, max_examples=2)
def test_random_configs_with_a_pretrained_encoder_too(config: UNetConfig) -> None:
    check_against_keras(config)


@pytest.mark.slow
@given(config=small_configs() | small_configs(encoders=True))
@settings(KERAS_SETTINGS, max_examples=100)
def test_many_random_configs(config: UNetConfig) -> None:
    check_against_keras(config)


def check_against_keras(config: UNetConfig) -> None:
    traced = trace(config)
    if traced.valid:
        assert_traces_model(config)
        return
    keras.backend.clear_session()
    with pytest.raises(ValueError, match=r".") as failure:
        build(config)
    # Keras names the layer's class, or for a merge the shapes; both must be what the trace says.
    assert_same_failure(traced.problem, str(failure.value))
    for suggested in traced.problem.suggested_sizes:
        assert_traces_model(config, suggested)


def assert_same_failure(problem, message: str) -> None:
    if problem.layer.endswith("_concat"):
        assert all(str(list(shape))[1:-1] in message for shape in problem.shapes), message
    else:
        height, width, channels = problem.shapes[0]
        assert "zero or negative" in message
        assert f"{height} {width} {channels}]" in message or f"{height}, {width}, {channels})" in message, message


@pytest.mark.parametrize(
    ("name", "output", "params"),
    [
        ("ronneberger2015", (388, 388, 2), 31_030_658),
        ("bhatt2020", (388, 388, 4), 31_031_940),
        ("machinecurve2022", (60, 60, 3), 1_862_979),
        ("keras_basic", (256, 256, 1), 7_782_913),
        ("subclassed", (256, 256, 1), 1_862_849),
        ("mobilenetv2_tutorial", (128, 128, 3), 6_504_227),
    ],
)
def test_presets_have_the_published_shapes_and_parameters(name: str, output: tuple, params: int) -> None:
    traced = trace(preset_config(name))
    assert (traced.output_shape, traced.total_params) == (output, params)


def test_the_papers_sizes_come_out_in_order() -> None:
    traced = trace(preset_config("ronneberger2015"))
    sizes = [row.output_shape[0] for row in traced.layers if row.op not in ("relu", "crop", "concat")]
    assert sizes == [
        *(572, 570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 32, 30, 28),
        *(56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388, 388),
    ]  # fmt: skip
    assert [skip.crop for skip in traced.skips] == [(n, n, n, n) for n in (4, 16, 40, 88)]
    assert traced.lost_border == (92, 92, 92, 92)


@pytest.mark.parametrize(("kernel", "output", "border"), [(1, 192, 0), (2, 146, 23), (3, 100, 46), (5, 16, 88)])
def test_without_padding_a_larger_kernel_costs_more_border(kernel: int, output: int, border: int) -> None:
    config = UNetConfig(height=192, width=192, depth=4, base_filters=1, padding="valid", kernel_size=kernel)
    traced = trace(config)
    assert traced.output_shape == (output, output, 3)
    assert traced.lost_border == (border,) * 4
    assert traced.output_shape == build(config).output_shape[1:]


def test_a_1x1_kernel_without_padding_loses_only_what_halving_loses() -> None:
    config = preset_config("keras_basic").replace(padding="valid", kernel_size=1)
    assert trace(config).output_shape == (256, 256, 1)
    problem = trace(config, (250, 256)).problem
    assert "is odd" in problem.message
    assert problem.suggested_sizes == ((248, 256), (256, 256))


# --- cost ---------------------------------------------------------------------------------------------------------


def tensorflow_macs(model: keras.Model) -> int:
    """Multiply-accumulates by TensorFlow's own profiler, over the convolutions of the frozen graph."""
    function = tf.function(model).get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:])))
    graph = convert_variables_to_constants_v2(function).graph
    profiler = tf.compat.v1.profiler
    options = (
        profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
        .with_accounted_types(["Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput"])
        .with_empty_output()
        .build()
    )
    return profiler.profile(graph, options=options).total_float_ops // 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "machinecurve2022",
        "keras_basic",
        *(
            pytest.param(large, marks=pytest.mark.slow)
            for large in ("ronneberger2015", "mobilenetv2_tutorial", "pets_fast")
        ),
    ],
)
def test_macs_agree_with_tensorflows_profiler(name: str) -> None:
    keras.backend.clear_session()
    size = (188, 188) if name == "ronneberger2015" else None  # the smallest it takes, to be quick
    assert trace(config_of(name), size).total_macs == tensorflow_macs(build(config_of(name), size))


def test_activation_memory_counts_every_output_once_for_training_and_the_peak_for_inference() -> None:
    traced = trace(UNetConfig(height=8, width=8, channels=1, classes=2, depth=2, base_filters=2))
    outputs = [8 * 8 * 1, *[8 * 8 * 2] * 4, 4 * 4 * 2, *[4 * 4 * 4] * 4, 8 * 8 * 2, 8 * 8 * 4, *[8 * 8 * 2] * 5]
    assert traced.training_activation_bytes(3) == 3 * 4 * sum(outputs)
    # The largest moment is the merge: skip, upsampled and their concatenation.
    assert traced.inference_activation_bytes(3) == 3 * 4 * 8 * 8 * (2 + 2 + 4)


# --- receptive field ----------------------------------------------------------------------------------------------

RECEPTIVE = [
    UNetConfig(height=96, width=96, depth=3, base_filters=1, classes=1, pooling="average", padding="valid"),
    UNetConfig(height=96, width=96, depth=3, base_filters=1, classes=1, pooling="strided", up_kernel=3),
    UNetConfig(height=96, width=96, depth=3, base_filters=1, classes=1, pooling="average", up_kernel=4),
    UNetConfig(height=91, width=91, depth=3, base_filters=1, classes=1, pooling="average", upsampling="nearest"),
    UNetConfig(
        height=96, width=96, depth=3, base_filters=1, classes=1, pooling="average", upsampling="bilinear",
        up_convolution=False, decoder_convolutions=1, skip_mode="pad", padding="valid",
    ),
    UNetConfig(
        height=96, width=96, depth=2, base_filters=1, classes=1, pooling="average", convolution="separable",
        skip_mode="none", upsampling="nearest", up_kernel=3,
    ),
    UNetConfig(
        height=144, width=144, depth=3, base_filters=1, classes=1, pooling="average", padding="valid", kernel_size=5
    ),
    UNetConfig(height=96, width=96, depth=2, base_filters=1, classes=1, pooling="average", kernel_size=4),
]  # fmt: skip


def gradient_footprint(config: UNetConfig, layer: str, positions: int) -> int:
    """Widest window of the input that changes one of some neighbouring pixels of `layer`'s map."""
    keras.backend.clear_session()
    model = build(config)
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))  # positive everywhere: no gradient can cancel out
    probe = keras.Model(model.input, model.get_layer(layer).output)
    image = tf.Variable(np.ones((1, *config.input_shape), "float32"))
    widest = 0
    for position in range(probe.output.shape[1] // 2, probe.output.shape[1] // 2 + positions):
        with tf.GradientTape() as tape:
            pixel = tf.reduce_sum(probe(image)[0, position, position])
        rows = np.flatnonzero(np.abs(tape.gradient(pixel, image).numpy()).sum(axis=(0, 2, 3)))
        widest = max(widest, int(rows[-1] - rows[0] + 1))
    return widest


@pytest.mark.slow
@pytest.mark.parametrize("config", RECEPTIVE, ids=lambda config: f"{config.upsampling}-{config.skip_mode}")
def test_receptive_field_is_the_gradients_footprint(config: UNetConfig) -> None:
    rows = {row.name: row for row in trace(config).layers}
    period = 2 ** (config.depth - 1)
    assert rows["head"].receptive_field == gradient_footprint(config, "head", period)
    deepest = [name for name in rows if name.startswith("bottleneck")][-1]
    assert rows[deepest].receptive_field == gradient_footprint(config, deepest, 1)


# --- what breaks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "layer", "cause", "suggested"),
    [
        ("keras_basic", (250, 256), "decoder2_concat", "encoder2_pool", ((248, 256), (256, 256))),
        ("subclassed", (255, 256), "decoder2_concat", "encoder2_pool", ((252, 256), (256, 256))),
        ("subclassed", (256, 257), "decoder1_concat", "encoder1_pool", ((256, 256), (256, 260))),
        ("ronneberger2015", (100, 572), "bottleneck_conv1", None, ((188, 572),)),
        ("mobilenetv2_tutorial", (100, 128), "decoder4_concat", None, ((96, 128), (128, 128))),
    ],
)
def test_a_broken_size_names_the_layer_the_cause_and_the_sizes_that_work(
    name: str, size: tuple, layer: str, cause: str | None, suggested: tuple
) -> None:
    problem = trace(config_of(name), size).problem
    assert (problem.layer, problem.cause, problem.suggested_sizes) == (layer, cause, suggested)
    for shape in problem.shapes:
        assert f"{shape[0]}×{shape[1]}" in problem.message or 0 in shape
    keras.backend.clear_session()
    with pytest.raises(ValueError):  # noqa: PT011 - Keras' own message is compared elsewhere
        build(config_of(name), size)


@given(config=small_configs() | small_configs(encoders=True), side=st.integers(1, 150))
@settings(max_examples=60, deadline=None)
def test_suggested_sizes_are_the_nearest_that_work(config: UNetConfig, side: int) -> None:
    traced = trace(config, (side, side))
    if traced.valid:
        assert works_at(config, side) or traced.output_shape[0] != side
        return
    works = [candidate for candidate in range(1, side + 200) if works_at(config, candidate)]
    nearest = [max((n for n in works if n < side), default=None), min((n for n in works if n > side), default=None)]
    suggested = [size[0] for size in traced.problem.suggested_sizes]
    assert [n for n in nearest if n] == [n for n in suggested if n < side + 200]


def test_valid_padding_with_strict_skips_never_works_and_says_so() -> None:
    problem = trace(config_of("ronneberger2015").replace(skip_mode="strict")).problem
    assert problem.layer == "decoder4_concat"
    assert problem.suggested_sizes == ()
    assert "crop the skip connection" in problem.message


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (10**9, 10)])
def test_an_impossible_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="each side must be 1 to 16384 pixels"):
        trace(preset_config("pets"), size)
