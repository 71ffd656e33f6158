"""Configurations as addresses: nothing is lost on the way, and what cannot be used is named."""

from __future__ import annotations

import contextlib
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.strategies import small_configs
from unet_core.architecture import query
from unet_core.architecture.change import change, parse_filters, without_effect
from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.query import DEFAULT_PRESET, differences, from_json, from_query, nearest_preset, to_query
from unet_core.architecture.trace import trace
from unet_core.errors import ConfigError


@given(config=small_configs() | small_configs(encoders=True), preset=st.sampled_from(list(PRESETS)))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_address_brings_every_configuration_back(config: UNetConfig, preset: str) -> None:
    address = urlencode(to_query(config, preset))
    assert from_query(dict(parse_qsl(address, keep_blank_values=True))) == (preset, config)


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_address_says_its_name_only(name: str) -> None:
    assert to_query(preset_config(name), name) == ({} if name == DEFAULT_PRESET else {"preset": name})
    assert nearest_preset(preset_config(name)) == name


def test_an_address_holds_only_what_differs_and_can_be_written_by_hand() -> None:
    config = preset_config("keras_basic").replace(height=250, filters=(8, 16, 24, 32), normalization="batch")
    assert to_query(config, "keras_basic") == {
        "preset": "keras_basic",
        "height": "250",
        "filters": "8,16,24,32",
        "normalization": "batch",
    }
    assert from_query({"preset": "keras_basic", "height": "250"}).config.input_shape == (250, 256, 3)
    assert from_query({"preset": "pets_fast", "depth": "5", "filters": "doubling"}).config.filters is None


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"depth": "1000000000"}, "depth: .*at most 6.*1000000000"),
        ({"depth": "9" * 5000}, "depth: may have at most 300 characters"),
        ({"depth": "1e9"}, "depth: .*whole number"),
        ({"depth": "４"}, "depth: .*whole number"),
        ({"depth": ""}, "depth: .*whole number"),
        ({"height": "-3"}, "height: .*at least 1"),
        ({"spatial_dropout": "nan"}, "spatial_dropout: "),
        ({"spatial_dropout": "inf"}, "spatial_dropout: "),
        ({"up_activation": "maybe"}, "up_activation: .*true or false"),
        ({"padding": "<script>"}, "padding: .*'valid' or 'same'"),
        ({"filters": "64,,a"}, "filters"),
        ({"filters": "1,2"}, "filters: needs 5 entries"),
        ({"paddding": "same"}, "paddding: is not a known field; did you mean padding"),
        ({"__class__": "x"}, "__class__: is not a known field"),
        ({"preprocessing": "x"}, "preprocessing: is not a known field"),
        ({"preprocessing.scale": "x"}, r"preprocessing\.scale: "),
        ({"preset": "nope"}, "preset: there is no preset 'nope'"),
        ({"x" * 10_000: "1"}, "is not a known field"),
    ],
)
def test_what_cannot_be_used_is_named_in_a_short_sentence(parameters: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        from_query(parameters)
    assert len(str(refused.value)) < 400
    assert refused.value.findings or "preset" in str(refused.value)


def test_every_bad_field_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        from_query({"depth": "99", "padding": "none", "height": "many"})
    assert [finding.split(":")[0] for finding in refused.value.findings] == ["height", "depth", "padding"]


def test_an_uploaded_configuration_is_read_and_refused_as_strictly() -> None:
    config = preset_config("pets_fast")
    assert from_json(config.to_json().encode()) == config
    for data, words in (
        (b" " * 70_000, "too large"),
        (b"[" * 60_000, "not valid JSON"),
        (b"[1, 2]", "expected a JSON object"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b'{"depth": 1000000000}', "depth: .*at most 6"),
        (b'{"depth": "4"}', "depth: .*whole number"),
        (b'{"depth": 1e999}', "depth"),
        (b'{"depht": 4}', "depht: is not a known field"),
        (b'{"depth": 4, "depth": 5}', "appears twice"),
        (b'{"filters": [64, {}]}', "filters"),
    ):
        with pytest.raises(ConfigError, match=words):
            from_json(data)


def test_differences_name_both_values() -> None:
    found = differences(preset_config("keras_basic").replace(depth=5), "keras_basic")
    assert found == (query.Difference("depth", 4, 5),)


# --- changing one field -----------------------------------------------------------------------------------------------


def test_a_change_takes_along_what_it_forces_and_says_so() -> None:
    paper = preset_config(DEFAULT_PRESET)
    changed, also = change(paper, encoder="efficientnet_b0")
    assert changed.encoder == "efficientnet_b0"
    assert {entry.field: entry.value for entry in also} == {"padding": "same", "channels": 3}
    changed, also = change(preset_config("keras_basic"), upsampling="transposed")
    assert (changed.up_convolution, [entry.field for entry in also]) == (True, ["up_convolution"])
    assert change(preset_config("pets_fast"), depth=3).config.filters == (24, 32)
    assert change(preset_config("pets_fast"), encoder="none").config.filters == (24, 32, 48, 64, 128)
    assert change(preset_config("pets_fast").replace(depth=4, filters=(1, 2, 3)), depth=5).config.filters == (
        1,
        2,
        3,
        6,
    )


def test_measured_channels_travel_and_another_number_of_channels_drops_them() -> None:
    measured = Preprocessing(scale="standardize", mean=(0.48, 0.45, 0.4), std=(0.2, 0.21, 0.19))
    config = preset_config("keras_basic").replace(preprocessing=measured)
    parameters = to_query(config, "keras_basic")
    assert parameters["preprocessing.mean"] == "0.48,0.45,0.4"
    assert from_query(parameters).config == config
    with pytest.raises(ConfigError, match="preprocessing"):
        from_query({**parameters, "preprocessing.mean": "a,b,c"})
    changed = change(config, channels=1)
    assert changed.config.preprocessing == Preprocessing(scale="standardize")
    assert {found.field for found in changed.also} == {"preprocessing.mean", "preprocessing.std"}
    lite = change(config.replace(encoder="efficientnet_lite0"), encoder_weights="imagenet").config
    assert lite.preprocessing == Preprocessing(scale="symmetric")


def test_a_change_that_needs_nothing_else_takes_nothing_along() -> None:
    assert change(preset_config(DEFAULT_PRESET), depth=4).also == ()


def test_a_change_that_is_wrong_by_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="depth: "):
        change(preset_config(DEFAULT_PRESET), depth=9)
    with pytest.raises(ConfigError, match="base_filters: may not exceed"):
        change(preset_config(DEFAULT_PRESET), base_filters=4096)


@given(config=small_configs() | small_configs(encoders=True), encoder=st.sampled_from(["none", "mobilenet_v2"]))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_every_configuration_can_get_and_lose_an_encoder(config: UNetConfig, encoder: str) -> None:
    assert change(config, encoder=encoder).config.encoder == encoder


def test_filters_are_one_number_or_one_per_level() -> None:
    assert parse_filters("32") == {"base_filters": 32, "filters": None}
    assert parse_filters(" 8, 16 24 ") == {"filters": (8, 16, 24)}
    for text in ("", "a", "64.5", "-1", "٣"):
        with pytest.raises(ConfigError, match="filters: write one number"):
            parse_filters(text)


@given(config=small_configs() | small_configs(encoders=True), other=small_configs() | small_configs(encoders=True))
@settings(max_examples=60, deadline=None)
def test_a_field_without_effect_changes_no_layer_whatever_its_value(config: UNetConfig, other: UNetConfig) -> None:
    def layers(one: UNetConfig) -> list:
        return [(layer, layer.spec) for layer in trace(one).layers]

    for field in without_effect(config):
        with contextlib.suppress(ConfigError):  # a value that another field excludes
            assert layers(config.replace(**{field: getattr(other, field)})) == layers(config), field


def test_what_belongs_to_a_switched_option_leaves_with_it_and_is_said() -> None:
    base = preset_config("keras_basic")
    with_norm = base.replace(normalization="batch", normalization_position="after_activation", batch_momentum=0.9)
    without, also = change(with_norm, base, normalization="none")
    assert without == base
    assert {found.field for found in also} == {"normalization_position", "batch_momentum"}
    with_encoder = change(base, base, encoder="mobilenet_v2").config.replace(encoder_width=0.35, encoder_frozen=True)
    again = change(with_encoder, base, encoder="none").config
    assert (again.encoder_width, again.encoder_frozen) == (1.0, False)
    assert change(base, base, batch_momentum=0.5).config.batch_momentum == 0.5  # asked for, although without effect
