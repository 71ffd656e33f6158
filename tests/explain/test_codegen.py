"""The generated programs: run, they are the traced network; they need Keras alone and are formatted as people would."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, given, settings

from tests.helpers.strategies import small_configs
from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.trace import trace
from unet_core.explain.codegen import functional_source, library_source, subclassed_source
from unet_core.explain.layer import explain
from unet_core.models import _leaf_layers
from unet_core.models import build as build_model

ODD = UNetConfig(
    height=45, width=51, depth=3, base_filters=12, decoder_convolutions=1, normalization="group",
    upsampling="bilinear", up_activation=True, skip_mode="resize", spatial_dropout=0.2, head_activation="softmax",
    initializer="random_normal", pooling="strided", kernel_size=4, decoder_dropout=0.1,
)  # fmt: skip
QUICK = ("machinecurve2022",)  # the others are like it, and take seconds each
LITE = preset_config("pets_fast").replace(encoder="efficientnet_lite0", encoder_width=1.0)


def executed(program: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "generated"}
    exec(compile(program, "generated.py", "exec"), namespace)
    return namespace


def functional(config: UNetConfig) -> keras.Model:
    return executed(functional_source(config))["build_unet"]()


def subclassed(config: UNetConfig) -> keras.Model:
    model = executed(subclassed_source(config))["UNet"]()
    model(keras.Input(config.input_shape))
    return model


def assert_programs_are_the_network(config: UNetConfig) -> None:
    traced = trace(config)
    rows = {row.name: row for row in traced.layers}
    for build in (functional, subclassed):
        keras.backend.clear_session()
        model = build(config)
        own = {layer.name: layer for layer in _leaf_layers(model)}
        assert own.keys() | {"image"} == rows.keys()
        for name, layer in own.items():
            assert layer.count_params() == rows[name].params, name
            if build is functional:
                shape = tuple(layer.output.shape[1:])
                shape = shape if len(shape) == 3 else (1, 1, *shape)  # a pooled feature map is a vector
                assert shape == rows[name].output_shape, name
        assert model.count_params() == traced.total_params
        assert sum(keras.ops.size(weight) for weight in model.trainable_weights) == traced.trainable_params
        assert tuple(model(keras.Input(config.input_shape)).shape[1:]) == traced.output_shape


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in PRESETS]
)
def test_the_programs_of_every_preset_are_the_traced_network(name: str) -> None:
    assert_programs_are_the_network(preset_config(name).replace(encoder_weights="none"))


@pytest.mark.parametrize(("count", "lost"), [(2, "H - 8, W - 8"), (1, "H - 4 * count, W - 4 * count")])
def test_a_block_without_padding_says_what_its_kernels_remove(count: int, lost: str) -> None:
    config = preset_config("machinecurve2022").replace(kernel_size=5, decoder_convolutions=count)
    assert f"-> (B, {lost}, filters)" in functional_source(config)
    assert "5x5 convolution and ReLU" in functional_source(config)


def test_the_programs_normalize_after_the_activation() -> None:
    config = UNetConfig(
        height=16, width=16, depth=2, base_filters=2, normalization="batch",
        normalization_position="after_activation", up_activation=True, decoder_dropout=0.1,
    )  # fmt: skip
    assert_programs_are_the_network(config)
    order = ["decoder1_upconv_activation", "decoder1_upconv_norm"]
    assert [row.name for row in trace(config).layers if row.name.startswith("decoder1_upconv_")] == order
    for program in (functional_source(config), subclassed_source(config)):
        assert "3x3 convolution, ReLU and batch normalization, twice" in program
        assert program.index("_conv{number}_activation") < program.index("_conv{number}_norm")
    before = functional_source(config.replace(normalization_position="before_activation"))
    assert "3x3 convolution, batch normalization and ReLU, twice" in before
    assert before.index("_conv{number}_norm") < before.index("_conv{number}_activation")


@pytest.mark.slow
def test_an_unusual_configuration_is_written_out_too() -> None:
    assert_programs_are_the_network(ODD)


@pytest.mark.slow
def test_an_encoder_that_keras_does_not_have_is_written_out() -> None:
    assert_programs_are_the_network(LITE.replace(encoder_weights="none", height=64, width=64))
    for program in (functional_source, subclassed_source):
        loading = program(LITE)
        assert 'encoder.load_weights("efficientnet_lite0.weights.h5")' in loading
        assert "encoder-weights efficientnet_lite0 --out" in loading


@pytest.mark.slow
def test_an_encoder_s_trained_normalization_has_the_configured_momentum_everywhere() -> None:
    frozen = preset_config("pets_fast").replace(height=32, width=32, encoder_weights="none", batch_momentum=0.8)
    for config, momentum in ((frozen, 0.999), (frozen.replace(encoder_batchnorm_frozen=False), 0.8)):
        for model in (build_model(config), functional(config)):
            assert model.get_layer("bn_Conv1").momentum == momentum
            assert model.get_layer("decoder1_conv1_norm").momentum == 0.8
        traced = trace(config)
        assert f"momentum={momentum}" in explain(config, traced, "bn_Conv1").keras_line


@pytest.mark.slow
@given(config=small_configs() | small_configs(encoders=True))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_the_programs_of_random_configurations_are_the_network_or_fail_as_it_does(config: UNetConfig) -> None:
    if trace(config).valid:
        assert_programs_are_the_network(config)
        return
    for build in (functional, subclassed):
        keras.backend.clear_session()
        with pytest.raises(ValueError, match=r"."):
            build(config)


@pytest.mark.slow
@pytest.mark.parametrize("skip_mode", ["crop", "pad", "resize"])
def test_the_functional_program_takes_other_sizes(skip_mode: str) -> None:
    config = preset_config("machinecurve2022").replace(skip_mode=skip_mode)
    model = executed(functional_source(config))["build_unet"](height=134, width=97)
    assert model.output_shape[1:] == trace(config, (134, 97)).output_shape


def test_the_shapes_in_the_subclassed_programs_comments_are_those_of_keras() -> None:
    program = subclassed_source(preset_config("machinecurve2022"))
    watched, count = program.replace("import keras\n", "import keras\nseen = []\n", 1), 0
    lines = []
    for line in watched.splitlines():
        lines.append(line)
        if "  # (B, " in line and " = " in line:
            target, shape = line.split(" = ")[0].strip(), line.split("  # (B, ")[1]
            lines.append(f"        seen.append((tuple({target}.shape[1:]), ({shape}))")
            count += 1
    namespace = executed("\n".join(lines))
    namespace["UNet"]()(keras.Input((100, 100, 3)))
    assert count > 10
    assert all(real == written for real, written in namespace["seen"])


def test_the_library_s_module_builds_the_configuration_when_it_is_asked() -> None:
    measured = UNetConfig(preprocessing=Preprocessing(scale="standardize", mean=(0.5,) * 3, std=(0.25,) * 3))
    for config in (measured, ODD, preset_config("pets"), preset_config("pets").replace(height=64), UNetConfig()):
        module = executed(library_source(config).replace("unet.build(", "("))
        assert "model" not in module  # importing it builds nothing
        assert module["build_unet"]() == config
    assert '    return unet.build(unet.preset("keras_basic"))\n' in library_source(preset_config("keras_basic"))


def test_what_a_program_needs_besides_keras_is_named_at_its_top() -> None:
    def top(config: UNetConfig) -> list[str]:
        return [ast.get_docstring(ast.parse(form(config))) for form in (functional_source, subclassed_source)]

    for words in top(preset_config("pets")):
        assert "Needs the file efficientnet_lite0.weights.h5" in words
        assert "python -m unet_core encoder-weights efficientnet_lite0 --out efficientnet_lite0.weights.h5" in words
    own = preset_config("pets").replace(encoder_weights="mine/lite.weights.h5")
    assert all("weights, mine/lite.weights.h5." in words for words in top(own))
    assert all("Downloads the encoder's ImageNet weights" in words for words in top(preset_config("pets_fast")))
    assert not any("weights" in words for words in top(preset_config("pets").replace(encoder_weights="none")))


def test_the_programs_say_how_the_image_is_scaled() -> None:
    preprocessing = Preprocessing(scale="standardize")
    assert "mean and std of each channel of the training photos" in functional_source(
        UNetConfig(preprocessing=preprocessing)
    ).replace("\n", " ")
    measured = preprocessing.replace(mean=(0.5,) * 3, std=(0.25,) * 3)
    text = subclassed_source(UNetConfig(preprocessing=measured)).replace("\n", " ")
    assert "(value / 255 - mean) / std, mean (0.5, 0.5, 0.5) and std (0.25, 0.25, 0.25)." in text


def test_a_size_that_fails_is_said_at_the_top() -> None:
    config = preset_config("keras_basic").replace(height=250, width=250)
    for program in (functional_source(config), subclassed_source(config)):
        docstring = ast.get_docstring(ast.parse(program))
        assert "does not work" in docstring
        assert "decoder2_concat" in docstring


def test_a_weights_file_s_name_cannot_break_out_of_its_string() -> None:
    name = '"); import os; print("\\.weights.h5'
    config = preset_config("pets_fast").replace(encoder_weights=name)
    for program in (functional_source(config), subclassed_source(config)):
        values = [node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant)]
        assert name in values
        assert not any(
            isinstance(node, ast.Import) and node.names[0].name == "os" for node in ast.walk(ast.parse(program))
        )


def test_the_programs_are_formatted_and_without_findings(tmp_path: Path) -> None:
    configs = {
        **{name: preset.config for name, preset in PRESETS.items()},
        "odd": ODD,
        "lite": LITE,
        "trained": LITE.replace(encoder_batchnorm_frozen=False),
    }
    for number, config in enumerate(configs.values()):
        for form in (functional_source, subclassed_source, library_source):
            program = form(config)
            assert ("import unet_core" in program) == (form is library_source)
            assert "from unet_core" not in program
            (tmp_path / f"{form.__name__}{number}.py").write_text(program, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    common = ["--isolated", "--line-length", "100", str(tmp_path)]
    subprocess.run([*ruff, "format", "--check", *common], check=True)
    subprocess.run([*ruff, "check", "--select", "E,F,W,I,B", *common], check=True)
