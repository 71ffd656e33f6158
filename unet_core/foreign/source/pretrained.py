"""The encoders of `keras.applications` that U-Nets are built on: VGG16, VGG19 and MobileNetV2, layer by layer."""

from __future__ import annotations

from typing import Any

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoder_walks import walk_encoder
from unet_core.architecture.layer_specs import LayerSpec, Shape
from unet_core.errors import ConfigError
from unet_core.foreign.graph import Graph, Layer, Tensor
from unet_core.foreign.layer_rules import SIGNATURES
from unet_core.foreign.source.values import Model, Unknown

_VGG = {"VGG16": (2, 2, 3, 3, 3), "VGG19": (2, 2, 4, 4, 4)}  # convolutions of each block


def build(graph: Graph, name: str, image: Tensor, width: Any, lines: tuple[int, ...]) -> Any:
    """Return the model without its classifier, or an unknown value for one that is not known here."""
    if name in _VGG:
        return Model([image], _vgg(graph, _VGG[name], image, lines), name)
    if name == "MobileNetV2" and image.shape is not None and len(image.shape) == 3 and None not in image.shape:
        return Model([image], _mobilenet(graph, image, width, lines), name)
    graph.note(lines, f"{name} is not an encoder that is known here (known are MobileNetV2, VGG16 and VGG19)")
    return Unknown(f"{name} is not read")


def _vgg(graph: Graph, blocks: tuple[int, ...], tensor: Tensor, lines: tuple[int, ...]) -> Tensor:
    for block, count in enumerate(blocks, 1):
        filters = min(64 * 2 ** (block - 1), 512)
        for number in range(1, count + 1):
            arguments = {"filters": filters, "kernel_size": 3, "padding": "same", "activation": "relu"}
            tensor = graph.apply(Layer("Conv2D", f"block{block}_conv{number}", arguments), [tensor], lines)
        tensor = graph.apply(Layer("MaxPooling2D", f"block{block}_pool", {"pool_size": 2}), [tensor], lines)
    return tensor


def _mobilenet(graph: Graph, image: Tensor, width: Any, lines: tuple[int, ...]) -> Any:
    try:
        config = UNetConfig(depth=5, encoder="mobilenet_v2", encoder_width=width, filters=(8, 8, 8, 8))
    except ConfigError:
        graph.note(lines, f"MobileNetV2 with alpha={width} is not read")
        return Unknown("MobileNetV2 is not read")
    backend = _Backend(graph, lines)
    deepest = walk_encoder(config, backend, image)[-1]
    # The walk ends at the last feature map that a U-Net uses; the model goes on.
    normalized = backend.layer(LayerSpec("BatchNormalization", "block_16_project_BN", (), {}), deepest)
    last = LayerSpec("Conv2D", "Conv_1", (max(1280, int(1280 * width)), 1), {"use_bias": False})
    expanded = backend.layer(LayerSpec("BatchNormalization", "Conv_1_bn", (), {}), backend.layer(last, normalized))
    return backend.layer(LayerSpec("ReLU", "out_relu", (6,), {}), expanded)


class _Backend:
    """The walk's backend that adds its layers to a graph."""

    def __init__(self, graph: Graph, lines: tuple[int, ...]) -> None:
        self.graph, self.lines = graph, lines

    def enter(self, block: str) -> None:
        """Ignore blocks."""

    def encoder(self, image: Tensor) -> list[Tensor]:
        """An encoder has none inside."""
        raise NotImplementedError

    def shape(self, tensor: Tensor) -> Shape:
        """Return a map's shape."""
        height, width, channels = tensor.shape or (0, 0, 0)
        return height or 0, width or 0, channels or 0

    def layer(self, spec: LayerSpec, *inputs: Tensor) -> Tensor:
        """Add one layer."""
        arguments = dict(zip(SIGNATURES[spec.kind], spec.positional)) | spec.named
        return self.graph.apply(Layer(spec.kind, spec.name, arguments), inputs, self.lines)
