"""The configuration of a network that was read, if it is one of those that a `UNetConfig` describes.

A configuration is only returned if its trace has the same convolutions, poolings, upsamplings, merges and
normalizations in the same order, with the same shapes and parameters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import PRESETS
from unet_core.architecture.trace import Trace, trace
from unet_core.errors import ConfigError
from unet_core.foreign.network import ReadLayer, ReadNetwork
from unet_core.foreign.u_shape import Block, UShape, find_u

Signature = list[tuple[str, tuple[int | None, ...] | None, int | None]]

_OPERATIONS = {
    "Conv2D": "conv", "SeparableConv2D": "separable_conv", "DepthwiseConv2D": "depthwise_conv",
    "Conv2DTranspose": "transposed_conv", "MaxPooling2D": "max_pool", "AveragePooling2D": "average_pool",
    "UpSampling2D": "upsample", "Concatenate": "concat", "Cropping2D": "crop", "CenterCrop": "crop", "Slice": "crop",
    "BatchNormalization": "batch_norm", "LayerNormalization": "layer_norm", "GroupNormalization": "group_norm",
    "Add": "add",
}  # fmt: skip
_NORMALIZATIONS = {
    "BatchNormalization": "batch", "LayerNormalization": "layer", "GroupNormalization": "group",
}  # fmt: skip
_ACTIVATIONS = {
    "relu": "relu", "leaky_relu": "leaky_relu", "elu": "elu", "gelu": "gelu", "swish": "swish", "silu": "swish",
    "ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu",
}  # fmt: skip
_CONVOLUTIONS = ("Conv2D", "SeparableConv2D")
_CONVOLUTION_COUNTS = ((2, 2), (1, 1), (1, 2), (2, 1), (3, 3), (3, 2), (2, 3), (1, 0), (2, 0))  # of encoder, decoder


def matching_config(network: ReadNetwork) -> UNetConfig | None:
    """Return the configuration with the same layers as a network that works; None if there is none."""
    inputs, outputs = network.inputs, network.output_shapes
    if network.failure or len(inputs) != 1 or len(outputs) != 1 or not network.params_known:
        return None
    shape, output = inputs[0].output_shape, outputs[0]
    if shape is None or output is None or len(shape) != 3 or len(output) != 3 or None in (*shape, *output):
        return None
    size = {"height": shape[0], "width": shape[1], "channels": shape[2], "classes": output[2]}
    wanted = _signature_of(network)
    for values in _candidates(network, size):
        try:
            config = UNetConfig.from_dict(values)
        except ConfigError:
            continue
        traced = trace(config, with_receptive_field=False)
        if traced.total_params == network.total_params and _signature(traced) == wanted:
            return config.replace(**_values_of(network)) if config.encoder == "none" else config
    return None


def _signature_of(network: ReadNetwork) -> Signature:
    return [
        (_OPERATIONS[layer.kind], layer.output_shape, layer.params)
        for layer in network.layers
        if layer.kind in _OPERATIONS
    ]


def _signature(traced: Trace) -> Signature:
    found: Signature = []
    for layer in traced.layers:
        op = "upsample" if layer.op.startswith("upsample") else layer.op
        if op in _OPERATIONS.values():
            found.append((op, layer.output_shape, layer.params))
    return found


# --- which configurations to try --------------------------------------------------------------------------------------


def _candidates(network: ReadNetwork, size: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the presets at the network's size, then what its layers suggest."""
    for preset in PRESETS.values():
        yield preset.config.model_dump() | {"encoder_weights": "none"} | size
    shape = find_u(network)
    if not shape.is_u or not any(layer.kind in ("Conv2DTranspose", "UpSampling2D") for layer in network.layers):
        return
    known = size | _of_levels(network, shape)
    for bias, active, up_convolution, (encoder, decoder) in product(
        (True, False), (False, True), (True, False), _CONVOLUTION_COUNTS
    ):
        yield known | {
            "convolution_bias": bias,
            "up_activation": active,
            "up_convolution": up_convolution or known["upsampling"] == "transposed",
            "encoder_convolutions": encoder,
            "decoder_convolutions": decoder,
        }


def _of_levels(network: ReadNetwork, shape: UShape) -> dict[str, Any]:
    """Return the fields that the layers state."""
    kinds = Counter(layer.kind for layer in network.layers)
    downs = [block for block in shape.blocks if block.part in ("encoder", "bottleneck")]
    filters = [_channels(block) for block in downs]
    first = next((layer for layer in network.layers if layer.kind in _CONVOLUTIONS), network.layers[0])
    ups = [layer for layer in network.layers if layer.kind in ("Conv2DTranspose", "UpSampling2D")]
    interpolation = "bilinear" if "bilinear" in ups[0].label else "nearest"
    return {
        "depth": shape.depth,
        "filters": filters,
        "kernel_size": _kernel(first) or 3,
        "padding": "valid" if "valid" in first.label.split(", ") else "same",
        "pooling": "max" if kinds["MaxPooling2D"] else "average" if kinds["AveragePooling2D"] else "strided",
        "upsampling": "transposed" if kinds["Conv2DTranspose"] else interpolation,
        "up_kernel": (_kernel(ups[0]) if kinds["Conv2DTranspose"] else None) or 2,
        "skip_mode": "crop" if any(kinds[kind] for kind in ("Cropping2D", "CenterCrop", "Slice")) else "strict",
        "convolution": "separable" if kinds["SeparableConv2D"] else "standard",
        "normalization_position": _position(network),
        "normalization": next((name for kind, name in _NORMALIZATIONS.items() if kinds[kind]), "none"),
    }  # fmt: skip


def _position(network: ReadNetwork) -> str:
    """Return whether the first normalization stands before its activation or after it."""
    for layer in network.layers:
        if layer.kind in _NORMALIZATIONS and layer.inputs and layer.inputs[0] in network.by_name:
            before = network.by_name[layer.inputs[0]]
            return "after_activation" if any(word in _ACTIVATIONS for word in _words(before)) else "before_activation"
    return "before_activation"


def _values_of(network: ReadNetwork) -> dict[str, Any]:
    """Return the fields that change values and no shapes."""
    words = Counter(_ACTIVATIONS[word] for layer in network.layers for word in _words(layer) if word in _ACTIVATIONS)
    head = {word for layer in network.layers[-2:] for word in _words(layer)}
    return {
        "activation": words.most_common(1)[0][0] if words else "relu",
        "head_activation": next((word for word in ("sigmoid", "softmax") if word in head), "none"),
    }


def _channels(block: Block) -> int:
    convolved = [layer.output_shape for layer in block.layers if layer.kind in _CONVOLUTIONS]
    shape = convolved[-1] if convolved else block.output_shape
    return (shape[-1] or 1) if shape else 1


def _kernel(layer: ReadLayer) -> int | None:
    found = re.search(r"(\d+)×\1\b", layer.label)
    return int(found[1]) if found else None


def _words(layer: ReadLayer) -> list[str]:
    """Return the activation that a layer is or has."""
    return [layer.kind, *layer.label.split(", ")]
