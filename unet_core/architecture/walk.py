"""The walk over a U-Net: the order of its layers, defined once.

A backend decides what happens at each layer: `unet_core.architecture.tracer.Tracer` computes shapes,
`unet_core.models` makes and applies Keras layers, `unet_core.explain.codegen` writes source.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from unet_core.architecture import layer_specs
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.layer_specs import LayerSpec

T = TypeVar("T")  # a feature map, as the backend represents it


class Backend(Protocol[T]):
    """What happens at each step of the walk."""

    def enter(self, block: str) -> None:
        """Set the block of the next layers, for example "encoder2"."""
        ...

    def layer(self, spec: LayerSpec, *inputs: T) -> T:
        """Send `inputs` through one layer."""
        ...

    def encoder(self, image: T) -> list[T]:
        """Send the image through the pretrained encoder; return `config.depth` feature maps, shallow first."""
        ...

    def shape(self, tensor: T) -> tuple[int, int, int]:
        """Return a feature map's height, width and channels."""
        ...


def walk(config: UNetConfig, backend: Backend[T], image: T) -> T:
    """Send `image` through the whole network, in the order in which Keras builds it; return the output."""
    *skips, features = _contract(config, backend, image) if config.encoder == "none" else backend.encoder(image)
    backend.enter("bottleneck")
    features = _apply(backend, layer_specs.bottleneck_dropout(config), features)
    for level in config.decoder_blocks:
        features = _expand(config, backend, level, skips, features)
    backend.enter("head")
    return _apply(backend, layer_specs.head(config), features)  # (B, H′, W′, classes)


def _contract(config: UNetConfig, backend: Backend[T], features: T) -> list[T]:
    """Return the output of every encoder block, shallow first, and of the bottleneck's convolutions."""
    outputs = []
    for level in range(1, config.depth + 1):
        block = f"encoder{level}" if level < config.depth else "bottleneck"
        backend.enter(block)
        filters = config.encoder_filters(level)
        convolutions = layer_specs.convolution_block(config, filters, block, config.encoder_convolutions)
        features = _apply(backend, convolutions, features)
        outputs.append(features)
        if level < config.depth:
            features = backend.layer(layer_specs.pooling(config, level), features)  # (B, H/2, W/2, filters)
    return outputs


def _expand(config: UNetConfig, backend: Backend[T], level: int, skips: list[T], features: T) -> T:
    """Upsample, merge with the level's skip connection, convolve; level 0 has nothing to merge with."""
    block, filters = f"decoder{level}", config.decoder_filters(level)
    backend.enter(block)
    features = _apply(backend, layer_specs.upsampling(config, filters, block), features)  # (B, 2H, 2W, ·)
    if level and config.skip_mode != "none":
        skip = skips[level - 1]
        of_skip, of_upsampled = layer_specs.alignment(config, block, backend.shape(skip), backend.shape(features))
        skip, features = _apply(backend, of_skip, skip), _apply(backend, of_upsampled, features)
        features = backend.layer(layer_specs.concatenation(block), skip, features)
    features = _apply(backend, layer_specs.decoder_dropout(config, block), features)
    return _apply(backend, layer_specs.convolution_block(config, filters, block, config.decoder_convolutions), features)


def _apply(backend: Backend[T], specs: Iterable[LayerSpec], features: T) -> T:
    for spec in specs:
        features = backend.layer(spec, features)
    return features
