"""Blocks in words: the paper's own figures, and every block of any network, also of one that breaks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.strategies import small_configs
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.architecture.table import Block, block_keys, blocks
from unet_core.architecture.trace import Trace, trace
from unet_core.explain.block import explain_block, layer_steps


def block(traced: Trace, name: str) -> Block:
    return next(found for found in blocks(traced) if found.name == name)


@pytest.mark.parametrize(
    ("preset", "name", "words"),
    [
        # Read off figure 1 of Ronneberger et al. 2015; the receptive field is its convolutions and poolings added up.
        ("ronneberger2015", "encoder3", "2 convolutions turn 128 channels into 256; max pooling then halves"),
        (
            "ronneberger2015",
            "encoder3",
            "136×136×256 features also go straight across to Decoder 3 (copy and crop 16 px",
        ),
        (
            "ronneberger2015",
            "bottleneck",
            "turn 512 channels into 1024. Each pixel has a 140×140 px receptive field.",
        ),
        (
            "ronneberger2015",
            "decoder1",
            "Encoder 1's features are concatenated, and 2 convolutions mix everything into 64",
        ),
        ("ronneberger2015", "head", "Turns the 64 channels of each pixel into scores (logits) for 2 classes."),
        ("mobilenetv2_tutorial", "decoder4", "doubled in height and width, and Encoder 4's features are concatenated."),
        ("pets", "encoder4", "Level 4 of the contracting path: 52 layers of EfficientNet-Lite0."),
        ("subclassed", "input", "256 by 256 pixels, 3 channels"),
    ],
)
def test_a_block_is_described_with_its_own_numbers(preset: str, name: str, words: str) -> None:
    traced = trace(preset_config(preset))
    assert words in explain_block(traced, block(traced, name))


def test_the_block_in_which_the_network_breaks_says_so() -> None:
    traced = trace(preset_config("keras_basic"), (250, 256))
    described = {found.name: explain_block(traced, found) for found in blocks(traced)}
    assert [name for name, words in described.items() if "breaks" in words] == ["decoder2"]
    assert described["decoder2"].endswith("The network breaks here, at decoder2_concat.")


@settings(max_examples=40, deadline=None)
@given(st.booleans().flatmap(lambda encoders: small_configs(encoders=encoders)))
def test_every_block_of_any_network_can_be_described(config: UNetConfig) -> None:
    traced = trace(config)
    layers = {layer.name for layer in traced.layers}
    assert layers.isdisjoint(block_keys(traced).values())
    for found in blocks(traced):
        assert explain_block(traced, found).endswith(".")
        steps = layer_steps(traced, found)
        assert len(steps) == len(found.layers)
        assert steps[-1][1].endswith("×".join(map(str, found.output_shape)))
