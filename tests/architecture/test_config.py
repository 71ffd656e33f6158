"""A configuration is validated, frozen data that survives JSON."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from pydantic import Field

from tests.helpers.strategies import small_configs
from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.errors import ConfigError
from unet_core.strict import Strict


@given(small_configs())
@settings(deadline=None)
def test_json_gives_back_an_equal_config(config: UNetConfig) -> None:
    assert UNetConfig.from_json(config.to_json()) == config
    assert hash(UNetConfig.from_json(config.to_json())) == hash(config)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_json(name: str) -> None:
    assert UNetConfig.from_json(preset_config(name).to_json()) == preset_config(name)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"depth": 7}, "depth: must be at most 6. Received: 7"),
        ({"depth": 10**9}, "depth"),
        ({"padding": "full"}, "padding: must be 'valid' or 'same'. Received: 'full'"),
        ({"colour": 3}, "colour: is not a known field. Received: 3"),
        ({"height": 0}, "height: must be at least 1. Received: 0"),
        ({"height": "64"}, "height: must be a whole number. Received: '64'"),
        ({"height": True}, "height: must be a whole number. Received: True"),
        ({"up_activation": "yes"}, "up_activation: must be true or false"),
        ({"filters": (8, 16)}, "filters: needs 4 entries, one per level, for depth 4. Received: [8, 16]"),
        ({"base_filters": 8192}, "base_filters: may not exceed 8192 at the deepest level"),
        ({"up_convolution": False}, "up_convolution: must be true for upsampling 'transposed'"),
        ({"classes": 1, "head_activation": "softmax"}, "head_activation: 'softmax' needs at least 2 classes"),
        ({"head": "resize"}, "head: must be 'conv' without a pretrained encoder"),
        ({"encoder_weights": "imagenet"}, "encoder_weights: needs an encoder"),
        ({"encoder": "mobilenet_v2", "encoder_width": 0.4}, "encoder_width: must be one of 0.35, 0.5"),
        ({"encoder": "mobilenet_v2", "padding": "valid"}, "padding: must be 'same' with encoder"),
        ({"encoder": "mobilenet_v2", "encoder_weights": "me.h5"}, "a file that ends in .weights.h5"),
        ({"encoder": "mobilenet_v2", "encoder_weights": "imagenet"}, "preprocessing.scale: pretrained mobilenet_v2"),
        ({"encoder": "efficientnet_lite0", "encoder_width": 0.5}, "encoder_width: must be 1.0 with encoder"),
        ({"encoder": "efficientnet_b0", "channels": 1}, "channels: efficientnet_b0 normalizes RGB"),
        ({"spatial_dropout": float("nan")}, "spatial_dropout: must be a finite number. Received: nan"),
        ({"spatial_dropout": "0.5"}, "spatial_dropout: must be a number. Received: '0.5'"),
        ({"batch_momentum": 0.0}, "batch_momentum: must be greater than 0. Received: 0.0"),
        ({"batch_momentum": 1.0}, "batch_momentum: must be less than 1. Received: 1.0"),
        ({"filters": 64}, "filters: must be a list of values. Received: 64"),
        ({"filters": (64, 0, 8, 8)}, "filters.1: must be at least 1. Received: 0"),
        ({"encoder_weights": 3}, "encoder_weights: must be text. Received: 3"),
        ({"preprocessing": 3}, "preprocessing: must be an object with named fields. Received: 3"),
        ({"preprocessing": {"scale": "log"}}, "preprocessing.scale"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed_and_what_came(values: dict, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        UNetConfig(**values)
    assert expected in str(caught.value)


class _Loose(Strict):
    """Fields that accept numbers as text, and limit lengths."""

    count: int
    share: float = 0.5
    name: str = Field(default="x", min_length=1, max_length=3)
    pair: tuple[int, ...] = Field(default=(1, 2), min_length=2)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "count: is missing"),
        ({"count": "many"}, "count: must be a whole number. Received: 'many'"),
        ({"count": 1.5}, "count: must be a whole number. Received: 1.5"),
        ({"count": 1, "share": "half"}, "share: must be a number. Received: 'half'"),
        ({"count": 1, "name": ""}, "name: must have at least 1 character. Received: ''"),
        ({"count": 1, "name": "long"}, "name: must have at most 3 characters. Received: 'long'"),
        ({"count": 1, "pair": (1,)}, "pair: must have at least 2 entries. Received: (1,)"),
    ],
)
def test_what_a_value_must_be_is_said_in_plain_words(values: dict, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _Loose(**values)
    assert str(caught.value) == f"_Loose: {expected}"


def test_one_error_names_every_bad_field() -> None:
    with pytest.raises(ConfigError) as caught:
        UNetConfig(depth=1, classes=0, pooling="median", nonsense=True)
    for field in ("depth", "classes", "pooling", "nonsense"):
        assert field in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        "null",
        "{" * 5000,
        '{"depth": 3, "depth": 4}',
        '{"depth": ' + "9" * 5000 + "}",
        '"text"',
        '{"depth": NaN}',
    ],
)
def test_text_that_is_no_config_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="UNetConfig"):
        UNetConfig.from_json(text)


def test_a_config_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        preset_config("pets").depth = 3


def test_replace_validates() -> None:
    assert preset_config("keras_basic").replace(classes=3, head_activation="none").classes == 3
    with pytest.raises(ConfigError, match="depth"):
        preset_config("keras_basic").replace(depth=99)


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="ronneberger2015.*pets_fast"):
        preset_config("unet++")


def test_configs_and_traces_need_neither_keras_nor_tensorflow() -> None:
    code = (
        "import sys; from unet_core.architecture.trace import trace; "
        "from unet_core.architecture.presets import PRESETS; "
        "[trace(p.config) for p in PRESETS.values()]; "
        "assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("scale", "values"), [("unit", (0, 1)), ("symmetric", (-1, 1)), ("raw", (0, 255))])
def test_black_and_white_go_to_the_ends_of_the_networks_range_and_back(scale: str, values: tuple[int, int]) -> None:
    preprocessing = Preprocessing(scale=scale)
    factor, offset = preprocessing.to_pixels
    assert preprocessing.value_range == values
    assert [value * factor + offset for value in values] == [0, 255]


STANDARDIZED = Preprocessing(scale="standardize", mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))


def test_standardized_values_have_a_range_for_each_channel() -> None:
    assert STANDARDIZED.scaling == ((127.5, 63.75, 255.0), (1.0, 1.0, 0.0))
    assert STANDARDIZED.value_range == ((-1.0, -1.0, 0.0), (1.0, 3.0, 1.0))
    assert STANDARDIZED.to_pixels == ((127.5, 63.75, 255.0), (127.5, 63.75, 0.0))
    assert Preprocessing.from_json(STANDARDIZED.to_json()) == STANDARDIZED
    assert not STANDARDIZED.with_scale("standardize").is_measured
    assert STANDARDIZED.with_scale("unit") == Preprocessing()
    with pytest.raises(ConfigError, match="measured at the start of training"):
        _ = Preprocessing(scale="standardize").scaling


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mean": (0.5,)}, "mean: is given together with std"),
        ({"mean": (0.5,), "std": (0.5,), "scale": "unit"}, "mean: needs scale 'standardize'. Received: 'unit'"),
        ({"mean": (0.5, 0.5), "std": (0.5,)}, "std: needs as many numbers as mean, 2. Received: 1"),
        ({"mean": (0.5,), "std": (0.0,)}, "std.0: must be greater than 0. Received: 0.0"),
        ({"mean": (float("nan"),), "std": (0.5,)}, "mean.0: must be a finite number"),
        ({"mean": (), "std": ()}, "mean: must have at least 1 entry"),
    ],
)
def test_what_cannot_be_a_mean_or_deviation_is_named(values: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        Preprocessing(**{"scale": "standardize", **values})


def test_there_is_a_mean_for_every_channel() -> None:
    with pytest.raises(ConfigError, match=r"preprocessing\.mean: needs 1 numbers, one per channel\. Received: 3"):
        UNetConfig(channels=1, preprocessing=STANDARDIZED)


@pytest.mark.parametrize("values", [{"self": 1}, {"preprocessing": {"self": 1}}])
def test_a_field_called_self_is_an_unknown_field(values: dict) -> None:
    for build in (UNetConfig.from_dict, lambda changes: preset_config("pets").replace(**changes)):
        with pytest.raises(ConfigError, match="self: is not a known field"):
            build(values)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"depth": \xdc}', "it is not UTF-8 text"),
        (b'{\n "depth" 3}', "it cannot be read at line 2, column 10"),
        (b"[" * 50_000, "it is nested too deeply"),
    ],
)
def test_what_is_wrong_with_json_is_said_in_plain_words(data: bytes, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        UNetConfig.from_json(data)
    assert str(caught.value) == f"UNetConfig: not valid JSON ({expected})"
