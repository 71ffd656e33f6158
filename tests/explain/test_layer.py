"""Explanations of layers: the numbers are the trace's, and the line of code makes exactly that layer in Keras."""

from __future__ import annotations

import re

import keras
import pytest
from keras import layers

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.trace import Trace, trace
from unet_core.explain.layer import explain

ODD = UNetConfig(
    height=61, width=50, depth=3, base_filters=12, convolution="separable", normalization="group", pooling="strided",
    upsampling="bilinear", up_activation=True, skip_mode="pad", spatial_dropout=0.2, head_activation="softmax",
    initializer="random_normal", activation="leaky_relu", convolution_bias=False, kernel_size=5, decoder_dropout=0.3,
)  # fmt: skip
EFFICIENT = UNetConfig(height=70, width=64, depth=3, base_filters=8, encoder="efficientnet_b0", skip_mode="resize")


def made(line: str) -> keras.Layer:
    """Evaluate the expression between "x = " and the tensors it is called on."""
    expression = re.sub(r"\((x|skip|\[[^\]]*\])\)$", "", line.split(" = ", 1)[1])
    return eval(expression, {"keras": keras, "layers": layers})


def assert_lines_make_the_layers(traced: Trace) -> None:
    rows = {row.name: row for row in traced.layers}
    for row in traced.layers[1:]:
        layer = made(explain(traced.config, traced, row.name).keras_line)
        inputs = [keras.Input(rows[name].output_shape) for name in row.inputs]
        if row.op == "reshape":
            inputs = [keras.Input((row.output_shape[2],))]
        output = layer(inputs if len(inputs) > 1 else inputs[0])
        shape = tuple(output.shape[1:])
        assert layer.name == row.name
        assert shape == (row.output_shape if len(shape) == 3 else (row.output_shape[2],)), row.name
        assert layer.count_params() == row.params, row.name


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(preset_config("machinecurve2022"), id="valid"),
        pytest.param(ODD, id="odd"),
        pytest.param(EFFICIENT, id="efficientnet", marks=pytest.mark.slow),
        pytest.param(EFFICIENT.replace(encoder="efficientnet_lite0"), id="lite", marks=pytest.mark.slow),
        pytest.param(preset_config("pets_fast"), id="mobilenet", marks=pytest.mark.slow),
        pytest.param(preset_config("mobilenetv2_tutorial"), id="tutorial", marks=pytest.mark.slow),
    ],
)
def test_the_keras_line_makes_the_layer(config: UNetConfig) -> None:
    assert_lines_make_the_layers(trace(config))


def test_the_words_have_the_layer_s_own_kernel_and_dropout() -> None:
    config = ODD.replace(convolution="standard")
    traced = trace(config)
    convolution = explain(config, traced, "encoder1_conv1")
    assert convolution.formula == "61×50×3 → conv 5×5, 12 filters, same padding → 61×50×12"
    dropout = explain(config, traced, "decoder1_dropout")
    assert dropout.sentence.startswith("During training, sets 30% of the channels to 0")
    assert explain(config, traced, "bottleneck_dropout").formula.split(" → ")[1] == "spatial dropout 0.2"


def value_of(product: str) -> int:
    """Compute the left side of "3·3·256·512 + 512 = 1 180 160"."""
    text = re.sub(r"\([a-z, ]+\)|means|variances|count|\u202f", "", product.split("=")[0])
    return eval(text.replace("·", "*").replace("−", "-"))


@pytest.mark.parametrize("config", [*(preset.config for preset in PRESETS.values()), ODD, EFFICIENT])
def test_every_sum_adds_up_to_the_traced_figure(config: UNetConfig) -> None:
    traced = trace(config)
    for row in traced.layers:
        found = explain(config, traced, row.name)
        assert found.sentence.endswith(".")
        assert (value_of(found.parameters) if found.parameters else 0) == row.params
        assert (value_of(found.macs) if found.macs else 0) == row.macs
        assert found.formula.endswith("×".join(map(str, row.output_shape)))
        for axis, side in enumerate(found.size.replace("height ", "").replace("width ", "").split("; ")):
            if "=" in side and "→" not in side:
                left, right = side.split(" = ")
                floor = left.replace("·", "*").replace("−", "-").replace("⌊", "int(").replace("⌋", ")")
                assert eval(floor.replace("⌈", "-int(-").replace("⌉", "//1)")) == int(right), found.size
                assert int(right) == row.output_shape[axis]


def test_the_papers_convolution_is_explained_with_its_numbers() -> None:
    traced = trace(preset_config("ronneberger2015"))
    found = explain(traced.config, traced, "encoder4_conv1")
    assert found.formula == "68×68×256 → conv 3×3, 512 filters, no padding → 66×66×512"
    assert found.size == "68 − 3 + 1 = 66"
    assert found.parameters == "3·3·256·512 + 512 = 1\u202f180\u202f160"
    merged = explain(traced.config, traced, "decoder4_concat")
    assert merged.formula == "56×56×512 + 56×56×512 → concat → 56×56×1024"


def test_the_layer_that_breaks_is_explained_and_an_unknown_one_refused() -> None:
    traced = trace(preset_config("keras_basic"), (250, 250))
    found = explain(traced.config, traced, "decoder2_concat")
    assert found.sentence == traced.problem.message
    assert "does not fit" in found.formula
    with pytest.raises(ValueError, match="no layer 'decoder1_concat'"):
        explain(traced.config, traced, "decoder1_concat")


def test_a_normalization_says_on_which_side_of_the_activation_it_is_and_what_follows() -> None:
    before = UNetConfig(normalization="batch")
    words = explain(before, trace(before), "encoder1_conv1_norm").note
    assert "before the activation" in words
    assert "bias has no effect" in words
    after = preset_config("keras_basic+batchnorm")
    words = explain(after, trace(after), "encoder1_conv1_norm").note
    assert "It comes after the activation" in words
    assert "The usual order is before" in words
    encoder = preset_config("pets")
    assert "activation" not in explain(encoder, trace(encoder), "stem_bn").note
