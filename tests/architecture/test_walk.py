"""The walk itself: every backend is asked for the same layers, in the same order."""

from __future__ import annotations

import pytest

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoder_walks import FEATURE_LAYERS
from unet_core.architecture.layer_specs import LayerSpec, Shape
from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.architecture.walk import walk


class Names:
    """A backend whose feature maps are layer names, all of one size."""

    def __init__(self, config: UNetConfig) -> None:
        self.config = config
        self.layers: list[tuple[str, str, tuple[str, ...]]] = []
        self.block = ""

    def enter(self, block: str) -> None:
        self.block = block

    def shape(self, tensor: str) -> Shape:
        return 8, 8, 1

    def encoder(self, image: str) -> list[str]:
        return list(FEATURE_LAYERS[self.config.encoder][: self.config.depth])

    def layer(self, spec: LayerSpec, *inputs: str) -> str:
        self.layers.append((spec.name, self.block, inputs))
        return spec.name


@pytest.mark.parametrize("name", ["keras_basic", "keras_basic+batchnorm", "subclassed", "pets"])
def test_the_trace_takes_the_same_steps_as_any_other_backend(name: str) -> None:
    config = preset_config(name)
    backend = Names(config)
    walk(config, backend, "image")
    traced = [(row.name, row.block, row.inputs) for row in trace(config).layers]
    assert backend.layers == traced[-len(backend.layers) :]


def test_the_walk_goes_past_a_merge_that_only_shapes_can_refuse() -> None:
    config = preset_config("keras_basic").replace(height=250, width=250)
    backend = Names(config)
    walk(config, backend, "image")
    assert backend.layers[-2][0] == "head"
    assert trace(config).problem.layer in [name for name, *_ in backend.layers]


def test_blocks_and_their_filters_follow_from_the_configuration() -> None:
    plain = UNetConfig(depth=3, base_filters=5)
    assert list(plain.decoder_blocks) == [2, 1]
    assert [plain.encoder_filters(level) for level in (1, 2, 3)] == [5, 10, 20]
    assert [plain.decoder_filters(level) for level in (2, 1)] == [10, 5]
    pretrained = UNetConfig(depth=3, filters=(1, 9), encoder="efficientnet_b0")
    assert list(pretrained.decoder_blocks) == [2, 1, 0]
    assert [pretrained.decoder_filters(level) for level in (2, 1, 0)] == [9, 1, 1]
    assert list(pretrained.replace(head="resize").decoder_blocks) == [2, 1]
