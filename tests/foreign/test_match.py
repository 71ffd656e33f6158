"""Networks that were read, recognized as configurations of the page."""

from __future__ import annotations

import pytest

from tests.foreign.test_source import SOURCES
from ui.architecture.pasted_examples import EXAMPLES
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.trace import trace
from unet_core.errors import ConfigError
from unet_core.explain.codegen import functional_source
from unet_core.explain.tutorial_variants import VARIANTS
from unet_core.foreign.dictionary import dictionary_config, has_dictionary
from unet_core.foreign.match import matching_config
from unet_core.foreign.source import read_source


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_recognized_from_its_source(preset: str) -> None:
    config = preset_config(preset)
    found = matching_config(read_source(functional_source(config)))
    assert found is not None
    assert trace(found).total_params == trace(config).total_params
    assert (found.activation, found.head_activation, found.input_shape) == (
        config.activation, config.head_activation, config.input_shape,
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": 3, "base_filters": 12, "normalization": "batch", "convolution_bias": False},
        {"depth": 4, "filters": (8, 20, 30, 44), "upsampling": "bilinear", "activation": "elu"},
        {"depth": 3, "padding": "valid", "height": 92, "width": 100, "pooling": "average", "classes": 5},
        {"depth": 2, "convolution": "separable", "encoder_convolutions": 1, "decoder_convolutions": 2},
        {"depth": 3, "normalization": "group", "normalization_position": "after_activation", "up_kernel": 3},
    ],
)
def test_a_configuration_is_recognized_from_its_source(changes: dict) -> None:
    config = UNetConfig(**{"height": 64, "width": 64, "base_filters": 8, **changes})
    found = matching_config(read_source(functional_source(config)))
    assert found is not None
    ours, theirs = trace(config).layers, trace(found).layers
    assert [(one.op, one.output_shape, one.params) for one in ours] == [
        (one.op, one.output_shape, one.params) for one in theirs
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_tutorials_subclassed_networks_are_recognized(name: str) -> None:
    assert matching_config(read_source(VARIANTS[name].source)) is not None


def test_foreign_code_is_recognized_only_where_it_is_the_same_network() -> None:
    recognized = {name for name, source in SOURCES.items() if matching_config(read_source(source)) is not None}
    assert recognized >= {"dictionary", "kaggle", "partials", "mobilenet_encoder", "valid_padding"}
    assert not recognized & {"attention", "nested", "residual", "dilated", "squeeze_excite", "multires", "add_layers"}
    example = read_source(EXAMPLES["Code with a bug"])
    assert matching_config(example) is None  # it breaks
    assert matching_config(read_source(EXAMPLES["Code with a bug"], (304, 304))) is not None


@pytest.mark.parametrize(
    "text",
    [
        "dict(num_unet_blocks=4, num_filters_start=16, num_filters_end=2, input_height=140, input_dim=1, epochs=9)",
        '{"num_unet_blocks": 4, "num_filters_start": 2 ** 4, "num_filters_end": 2, "input_height": 140, '
        '"input_dim": 1}',
        "from keras.optimizers import Adam\ndef configuration():\n    return dict(num_unet_blocks=4, "
        "num_filters_start=16, num_filters_end=2, input_height=140, input_dim=1, optimizer=Adam)",
    ],
)
def test_a_tutorials_dictionary_is_a_configuration(text: str) -> None:
    assert has_dictionary(text)
    found = dictionary_config(text)
    assert found is not None
    assert (found.depth, found.base_filters, found.classes, found.height, found.channels) == (4, 16, 2, 140, 1)


def test_a_dictionary_out_of_range_and_none_at_all_are_told() -> None:
    assert dictionary_config("x = {'epochs': 3}") is None
    assert not has_dictionary(SOURCES["dictionary"])  # it has the layers too
    with pytest.raises(ConfigError, match="depth"):
        dictionary_config("dict(num_unet_blocks=99)")
