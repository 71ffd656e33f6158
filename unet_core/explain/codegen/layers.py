"""The layers of a configured U-Net as Keras source: one expression each, from which explanations and programs are made.

`filters`, `groups` and `name` are source themselves ('512' or 'filters', '"head"' or 'f"{name}_upconv"'), so that the
same functions serve a single line and the body of a loop. They mirror `unet_core.models.layers`.
"""

from __future__ import annotations

import json
from math import gcd

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import Trace
from unet_core.architecture.tracer import LayerTrace, Margins

GROUPS = 8  # as in `unet_core.models.layers`


def literal(text: str) -> str:
    """Return a Python string literal in double quotes, safe for any text."""
    return json.dumps(text, ensure_ascii=False)


def call(function: str, *positional: object, **named: object) -> str:
    """Return `function(…)`; arguments that are None are left out."""
    parts = [str(value) for value in positional]
    parts += [f"{key}={value}" for key, value in named.items() if value is not None]
    return f"{function}({', '.join(parts)})"


def _initializer(config: UNetConfig) -> str | None:
    """Return the initializer, None where it is Keras' default."""
    if config.initializer == "glorot_uniform":
        return None
    if config.initializer == "random_normal":
        return "keras.initializers.RandomNormal(stddev=0.02)"
    return literal(config.initializer)


def _bias(config: UNetConfig) -> str | None:
    return None if config.convolution_bias else "False"


def convolution(config: UNetConfig, filters: str, name: str) -> str:
    """Return one 3×3 convolution in the configured form."""
    initializer = _initializer(config)
    common = {"padding": literal(config.padding), "use_bias": _bias(config)}
    if config.convolution == "separable":
        return call(
            "layers.SeparableConv2D", filters, 3, **common,
            depthwise_initializer=initializer, pointwise_initializer=initializer, name=name,
        )  # fmt: skip
    return call("layers.Conv2D", filters, 3, **common, kernel_initializer=initializer, name=name)


def normalization(config: UNetConfig, groups: str, name: str) -> str | None:
    """Return the configured normalization, None where there is none."""
    match config.normalization:
        case "batch":
            momentum = None if config.batch_momentum == 0.99 else config.batch_momentum
            return call("layers.BatchNormalization", momentum=momentum, name=name)
        case "layer":
            return call("layers.LayerNormalization", name=name)
        case "group":
            return call("layers.GroupNormalization", groups=groups, name=name)
    return None


def groups_of(filters: int) -> int:
    """Return group normalization's groups: 8, or fewer where 8 does not divide the channels."""
    return gcd(GROUPS, filters)


def activation(function: str, name: str) -> str:
    """Return an activation layer."""
    return call("layers.Activation", literal(function), name=name)


def pooling(config: UNetConfig, filters: str, name: str) -> str:
    """Return what halves the feature map."""
    if config.pooling == "strided":
        return call("layers.Conv2D", filters, 2, strides=2, kernel_initializer=_initializer(config), name=name)
    kind = {"max": "MaxPooling2D", "average": "AveragePooling2D"}[config.pooling]
    return call(f"layers.{kind}", 2, name=name)


def upsampling(interpolation: str, name: str) -> str:
    """Return a doubling without parameters."""
    return call("layers.UpSampling2D", 2, interpolation=literal(interpolation), name=name)


def up_convolution(config: UNetConfig, filters: str, name: str) -> str:
    """Return the "up-conv": a transposed convolution, or the convolution after the upsampling."""
    transposed = config.upsampling == "transposed"
    return call(
        "layers.Conv2DTranspose" if transposed else "layers.Conv2D", filters, config.up_kernel,
        strides=2 if transposed else None, padding='"same"', use_bias=_bias(config),
        kernel_initializer=_initializer(config), name=name,
    )  # fmt: skip


def spatial_dropout(config: UNetConfig) -> str:
    """Return the dropout at the end of the contracting path."""
    return call("layers.SpatialDropout2D", config.spatial_dropout, name='"bottleneck_dropout"')


def concatenate(name: str) -> str:
    """Return the merge of a skip connection."""
    return call("layers.Concatenate", name=name)


def head(config: UNetConfig) -> str:
    """Return the classifier."""
    initializer = _initializer(config)
    if config.head == "transposed":
        return call(
            "layers.Conv2DTranspose", config.classes, 3, strides=2, padding='"same"', kernel_initializer=initializer,
            name='"head"',
        )  # fmt: skip
    return call("layers.Conv2D", config.classes, 1, kernel_initializer=initializer, name='"head"')


# --- one layer of a trace -------------------------------------------------------------------------------------------


def layer_source(config: UNetConfig, trace: Trace, row: LayerTrace) -> str:
    """Return the expression that makes one traced layer, for example `layers.MaxPooling2D(2, name="encoder1_pool")`."""
    name, filters = literal(row.name), str(row.output_shape[2])
    if row.op == "input":
        return call("keras.Input", row.output_shape, name=name)
    if row.block.startswith("encoder") and config.encoder != "none":
        return _pretrained_source(config, row, name)
    if row.block == "bottleneck" and config.encoder != "none" and row.op != "spatial_dropout":
        return _pretrained_source(config, row, name)
    if row.name == "head":
        return head(config)
    if row.name.endswith("_pool"):
        return pooling(config, filters, name)
    if row.name.endswith("_upconv"):
        return up_convolution(config, filters, name)
    if row.op in ("conv", "separable_conv"):
        return convolution(config, filters, name)
    if row.op.startswith("upsample_"):
        return upsampling(row.op.removeprefix("upsample_"), name)
    if row.op.endswith("_norm"):
        return normalization(config, str(groups_of(row.output_shape[2])), name) or ""
    if row.op in ("crop", "pad"):
        return margins_source(row.op, margins_of(trace, row), name)
    if row.op == "resize":
        return call("layers.Resizing", *row.output_shape[:2], name=name)
    if row.op == "concat":
        return concatenate(name)
    if row.op == "spatial_dropout":
        return spatial_dropout(config)
    return activation(row.op, name)


def margins_source(op: str, margins: Margins, name: str) -> str:
    """Return a Cropping2D ("crop") or ZeroPadding2D ("pad") of ((top, bottom), (left, right))."""
    return call({"crop": "layers.Cropping2D", "pad": "layers.ZeroPadding2D"}[op], margins, name=name)


def margins_of(trace: Trace, row: LayerTrace) -> Margins:
    """Return what a crop or pad layer of the decoder takes or adds: ((top, bottom), (left, right))."""
    side = f"{row.op}_upsampled" if row.name.endswith("_upsampled") else row.op
    target = f"{row.block}_concat"
    top, bottom, left, right = next(getattr(skip, side) for skip in trace.skips if skip.target == target)
    return (top, bottom), (left, right)


_EFFICIENTNET_INITIALIZER = (
    'keras.initializers.VarianceScaling(scale=2.0, mode="fan_out", distribution="truncated_normal")'
)


def _pretrained_source(config: UNetConfig, row: LayerTrace, name: str) -> str:
    """Return a layer of a pretrained encoder, as that is built."""
    efficient = config.encoder == "efficientnet_b0"
    bias = None if row.params > _kernel_size(row) else "False"
    match row.op:
        case "conv" if row.strides is not None and row.kernel is not None:
            gate = {"_se_reduce": '"swish"', "_se_expand": '"sigmoid"'}.get(row.name[-10:])
            return call(
                "layers.Conv2D", row.output_shape[2], row.kernel[0], strides=_two(row), padding=literal(row.padding),
                activation=gate, use_bias=bias, kernel_initializer=_EFFICIENTNET_INITIALIZER if efficient else None,
                name=name,
            )  # fmt: skip
        case "depthwise_conv" if row.kernel is not None:
            return call(
                "layers.DepthwiseConv2D", row.kernel[0], strides=_two(row), padding=literal(row.padding),
                use_bias=bias, depthwise_initializer=_EFFICIENTNET_INITIALIZER if efficient else None, name=name,
            )  # fmt: skip
        case "batch_norm":
            constants = {"momentum": 0.999, "epsilon": 0.001} if config.encoder == "mobilenet_v2" else {}
            if not (config.encoder_frozen or config.encoder_batchnorm_frozen):
                constants["momentum"] = None if config.batch_momentum == 0.99 else config.batch_momentum
            return call("layers.BatchNormalization", **constants, name=name)
        case "relu6":
            return call("layers.ReLU", 6, name=name)
        case "pad":
            return margins_source("pad", _even_margins(row), name)
        case "add":
            return call("layers.Add", name=name)
        case "multiply":
            return call("layers.Multiply", name=name)
        case "rescale":
            return call("layers.Rescaling", "1 / 255", name=name)
        case "standardize":
            return call("layers.Normalization", name=name)
        case "global_average_pool":
            return call("layers.GlobalAveragePooling2D", name=name)
        case "reshape":
            return call("layers.Reshape", row.output_shape, name=name)
        case "dropout":
            return call("layers.Dropout", _drop_rate(row.name), noise_shape="(None, 1, 1, 1)", name=name)
    return activation(row.op, name)


def _two(row: LayerTrace) -> str | None:
    return "2" if row.strides == (2, 2) else None


def _kernel_size(row: LayerTrace) -> int:
    if row.kernel is None:
        return 0
    weights = row.kernel[0] * row.kernel[1] * row.input_shape[2]
    return weights if row.op == "depthwise_conv" else weights * row.output_shape[2]


def _even_margins(row: LayerTrace) -> Margins:
    """Return the padding before a stride-2 window: one less in front of an even side."""
    totals = [after - before for before, after in zip(row.input_shape[:2], row.output_shape[:2], strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


_EFFICIENTNET_REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks in each of its stages


def _drop_rate(name: str) -> float:
    """Return EfficientNetB0's drop connect rate of a block: it grows evenly to 0.2 over the 16 blocks."""
    stage, repeat = name.removeprefix("block").removesuffix("_drop")
    number = sum(_EFFICIENTNET_REPEATS[: int(stage) - 1]) + ord(repeat) - ord("a")
    return round(0.2 * number / sum(_EFFICIENTNET_REPEATS), 6)
