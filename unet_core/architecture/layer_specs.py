"""The Keras layers a U-Net is made of, as data: which class, which name, which arguments.

This is the one place that knows them. The trace computes their shapes, `unet_core.models` makes them, and
`unet_core.explain.codegen` writes them as source. Decoder blocks carry the number of the encoder block they merge with.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

from unet_core.architecture.config import UNetConfig

_kept = lru_cache(maxsize=1024)  # a search for sizes that work walks the same network many times

GROUPS = 8  # of group normalization, fewer where the channels are not a multiple of 8

Shape = tuple[int, int, int]  # height, width, channels
Margins = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))


class LayerSpec(NamedTuple):
    """One layer: its class in `keras.layers`, its name, and its arguments as written in code."""

    kind: str
    name: str
    positional: tuple[Any, ...]
    named: dict[str, Any]


class InitializerSpec(NamedTuple):
    """An initializer with arguments: its class in `keras.initializers` and the arguments."""

    kind: str
    named: dict[str, Any]


def layer_spec(kind: str, name: str, *positional: Any, **named: Any) -> LayerSpec:
    """Return the description of a layer; arguments that are None keep Keras' default."""
    if None in named.values():
        named = {key: value for key, value in named.items() if value is not None}
    return LayerSpec(kind, name, positional, named)


@_kept
def convolution_block(config: UNetConfig, filters: int, block: str, count: int) -> tuple[LayerSpec, ...]:
    """Return `count` times a convolution with its normalization and activation."""
    names = [f"{block}_conv{number}" for number in range(1, count + 1)]
    return tuple(spec for name in names for spec in convolution(config, filters, name))


def convolution(config: UNetConfig, filters: int, name: str) -> list[LayerSpec]:
    """Return one convolution in the configured form, with its normalization and activation."""
    initializer, kernel = _initializer(config), config.kernel_size
    common = {"padding": config.padding, "use_bias": _bias(config)}
    if config.convolution == "separable":
        initializers = {"depthwise_initializer": initializer, "pointwise_initializer": initializer}
        made = layer_spec("SeparableConv2D", name, filters, kernel, **common, **initializers)
    else:
        made = layer_spec("Conv2D", name, filters, kernel, **common, kernel_initializer=initializer)
    return [made, *normalization_and_activation(config, filters, name)]


def normalization_and_activation(config: UNetConfig, filters: int, name: str) -> list[LayerSpec]:
    """Return the layers after the convolution called `name`, in the configured order."""
    made = [*_normalization(config, filters, name), layer_spec("Activation", f"{name}_activation", config.activation)]
    return made if config.normalization_position == "before_activation" else made[::-1]


def _normalization(config: UNetConfig, filters: int, name: str) -> list[LayerSpec]:
    match config.normalization:
        case "batch":
            return [layer_spec("BatchNormalization", f"{name}_norm", momentum=batch_momentum(config))]
        case "layer":
            return [layer_spec("LayerNormalization", f"{name}_norm")]
        case "group":
            return [layer_spec("GroupNormalization", f"{name}_norm", groups=gcd(GROUPS, filters))]
    return []


@_kept
def pooling(config: UNetConfig, level: int) -> LayerSpec:
    """Return the layer that halves the feature map after encoder block `level`."""
    name = f"encoder{level}_pool"
    match config.pooling:
        case "max":
            return layer_spec("MaxPooling2D", name, 2)
        case "average":
            return layer_spec("AveragePooling2D", name, 2)
    filters = config.encoder_filters(level)
    return layer_spec("Conv2D", name, filters, 2, strides=2, kernel_initializer=_initializer(config))


@_kept
def bottleneck_dropout(config: UNetConfig) -> tuple[LayerSpec, ...]:
    """Return the dropout at the end of the contracting path, if any."""
    if not config.spatial_dropout:
        return ()
    return (layer_spec("SpatialDropout2D", "bottleneck_dropout", config.spatial_dropout),)


@_kept
def decoder_dropout(config: UNetConfig, block: str) -> tuple[LayerSpec, ...]:
    """Return the dropout of a decoder block, between its merge and its convolutions, if any."""
    if not config.decoder_dropout:
        return ()
    return (layer_spec("SpatialDropout2D", f"{block}_dropout", config.decoder_dropout),)


@_kept
def upsampling(config: UNetConfig, filters: int, block: str) -> tuple[LayerSpec, ...]:
    """Return the layers that double the feature map: the paper's "up-conv 2×2" in the configured form."""
    name = f"{block}_upconv"
    common = {"padding": "same", "use_bias": _bias(config), "kernel_initializer": _initializer(config)}
    if config.upsampling == "transposed":
        made = [layer_spec("Conv2DTranspose", name, filters, config.up_kernel, strides=2, **common)]
    else:
        made = [layer_spec("UpSampling2D", f"{block}_upsample", 2, interpolation=config.upsampling)]
        if config.up_convolution:
            made.append(layer_spec("Conv2D", name, filters, config.up_kernel, **common))
    if config.up_convolution and config.up_activation:
        made += normalization_and_activation(config, filters, name)
    return tuple(made)


def alignment(config: UNetConfig, block: str, skip: Shape, upsampled: Shape) -> tuple[list[LayerSpec], list[LayerSpec]]:
    """Return the layers that bring the skip connection and the upsampled features, of these shapes, to one size.

    Both lists are empty where the sizes are equal or `skip_mode` is "strict".
    """
    mode = config.skip_mode
    if skip[:2] == upsampled[:2] or mode == "strict":
        return [], []
    if mode == "resize":
        return [], [layer_spec("Resizing", f"{block}_resize", *skip[:2])]
    kind = "Cropping2D" if mode == "crop" else "ZeroPadding2D"
    of_skip, of_upsampled = _centred_margins(skip[:2], upsampled[:2], mode)
    return (
        [layer_spec(kind, f"{block}_{mode}", of_skip)] if any(map(any, of_skip)) else [],
        [layer_spec(kind, f"{block}_{mode}_upsampled", of_upsampled)] if any(map(any, of_upsampled)) else [],
    )


def _centred_margins(skip: tuple[int, int], upsampled: tuple[int, int], mode: str) -> tuple[Margins, Margins]:
    """Return what the skip and the upsampled features lose ("crop") or gain ("pad")."""
    (skip_rows, rows), (skip_columns, columns) = (_margins_along(skip[i], upsampled[i], mode) for i in (0, 1))
    return (skip_rows, skip_columns), (rows, columns)


def _margins_along(skip: int, upsampled: int, mode: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the same along one axis, where only one of the two changes; an odd pixel goes after."""
    difference = abs(skip - upsampled)
    both = (difference // 2, difference - difference // 2)
    skip_changes = (skip > upsampled) == (mode == "crop")
    return (both, (0, 0)) if skip_changes else ((0, 0), both)


def concatenation(block: str) -> LayerSpec:
    """Return the merge of a skip connection with the upsampled features."""
    return layer_spec("Concatenate", f"{block}_concat")


@_kept
def head(config: UNetConfig) -> tuple[LayerSpec, ...]:
    """Return the classifier: 1×1 convolution (or the form `config.head` names) and the activation, if any."""
    initializer = _initializer(config)
    if config.head == "transposed":
        common = {"strides": 2, "padding": "same", "kernel_initializer": initializer}
        made = [layer_spec("Conv2DTranspose", "head", config.classes, 3, **common)]
    else:
        made = [layer_spec("Conv2D", "head", config.classes, 1, kernel_initializer=initializer)]
    if config.head == "resize":
        made.append(layer_spec("UpSampling2D", "head_upsample", 2, interpolation="bilinear"))
    if config.head_activation != "none":
        made.append(layer_spec("Activation", "head_activation", config.head_activation))
    return tuple(made)


def batch_momentum(config: UNetConfig) -> float | None:
    """Return the configured momentum of batch normalization, None for Keras' default."""
    return None if config.batch_momentum == 0.99 else config.batch_momentum


def _bias(config: UNetConfig) -> bool | None:
    return None if config.convolution_bias else False


def _initializer(config: UNetConfig) -> str | InitializerSpec | None:
    if config.initializer == "glorot_uniform":
        return None
    if config.initializer == "random_normal":
        return InitializerSpec("RandomNormal", {"stddev": 0.02})
    return config.initializer
