"""MobileNetV2 and EfficientNetB0, layer by layer, as `keras.applications` builds them.

Sources: Sandler et al. 2018, table 2; Tan and Le 2019, table 1. Layer names are Keras' own. Both are cut after the last
feature map a U-Net uses, so layers that only serve classification do not appear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from unet_core.architecture.tracer import Tensor, Tracer

# The last feature map before each halving: strides 2, 4, 8, 16, and the deepest at 32. The MobileNetV2 names are
# those of TensorFlow's image segmentation tutorial.
FEATURE_LAYERS: dict[str, tuple[str, ...]] = {
    "mobilenet_v2": (
        "block_1_expand_relu",
        "block_3_expand_relu",
        "block_6_expand_relu",
        "block_13_expand_relu",
        "block_16_project",
    ),
    "efficientnet_b0": (
        "block2a_expand_activation",
        "block3a_expand_activation",
        "block4a_expand_activation",
        "block6a_expand_activation",
        "block7a_project_bn",
    ),
    "efficientnet_lite0": (
        "block2a_expand_activation",
        "block3a_expand_activation",
        "block4a_expand_activation",
        "block6a_expand_activation",
        "block7a_project_bn",
    ),
}


def trace_encoder(tracer: Tracer, image: Tensor) -> list[Tensor]:
    """Trace the configured encoder; return `config.depth` feature maps, shallow first."""
    tracer.trainable = not tracer.config.encoder_frozen
    features = _WALKS[tracer.config.encoder](tracer, image)
    tracer.trainable = True
    return features


class _Features(list):
    """Feature maps collected on the way down; moves the tracer to the next block as each is found."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer
        tracer.block = "encoder1"

    def collect(self, tensor: Tensor) -> bool:
        """Take one feature map; return whether it was the last that is wanted."""
        self.append(tensor)
        level, depth = len(self) + 1, self.tracer.config.depth
        self.tracer.block = f"encoder{level}" if level < depth else "bottleneck"
        return len(self) == depth


def _pad_for_stride_two(tracer: Tracer, name: str, tensor: Tensor, kernel: int) -> Tensor:
    """Pad as `keras.applications` does before a stride-2 window: one less in front of an even side."""
    half = kernel // 2
    margins = tuple((half - (1 - side % 2), half) for side in tensor.shape[:2])
    return tracer.margins(name, "pad", tensor, margins)


def _norm(tracer: Tracer, name: str, tensor: Tensor) -> Tensor:
    return tracer.normalization(name, tensor, "batch", frozen=tracer.config.encoder_batchnorm_frozen)


# --- MobileNetV2 --------------------------------------------------------------------------------------------------

# (filters, stride) of the inverted residual blocks 0 to 16; all but the first expand their input six times.
_MOBILENET_BLOCKS = (
    (16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1),
    (96, 1), (96, 1), (96, 1), (160, 2), (160, 1), (160, 1), (320, 1),
)  # fmt: skip


def _multiple_of_eight(channels: float) -> int:
    """Round to a multiple of 8 that is not more than 10 % smaller (MobileNet's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _mobilenet_v2(tracer: Tracer, image: Tensor) -> list[Tensor]:
    width = tracer.config.encoder_width
    features = _Features(tracer)
    x = tracer.conv("Conv1", image, _multiple_of_eight(32 * width), 3, stride=2, bias=False)
    x = tracer.pointwise("Conv1_relu", "relu6", _norm(tracer, "bn_Conv1", x))
    for number, (filters, stride) in enumerate(_MOBILENET_BLOCKS):
        prefix = f"block_{number}_" if number else "expanded_conv_"
        inputs = x
        if number:
            x = tracer.conv(f"{prefix}expand", x, 6 * x.shape[2], 1, bias=False)
            x = tracer.pointwise(f"{prefix}expand_relu", "relu6", _norm(tracer, f"{prefix}expand_BN", x))
        if stride == 2:
            # The expanded map before each halving is what the decoder merges with.
            if features.collect(x):
                return features
            x = _pad_for_stride_two(tracer, f"{prefix}pad", x, 3)
        x = tracer.depthwise(f"{prefix}depthwise", x, 3, stride=stride, padding="valid" if stride == 2 else "same")
        x = tracer.pointwise(f"{prefix}depthwise_relu", "relu6", _norm(tracer, f"{prefix}depthwise_BN", x))
        x = tracer.conv(f"{prefix}project", x, _multiple_of_eight(int(filters * width)), 1, bias=False)
        if number == len(_MOBILENET_BLOCKS) - 1:
            break
        x = _norm(tracer, f"{prefix}project_BN", x)
        if stride == 1 and inputs.shape[2] == x.shape[2]:
            x = tracer.pointwise(f"{prefix}add", "add", inputs, x)
    features.collect(x)
    return features


# --- EfficientNetB0 -----------------------------------------------------------------------------------------------


class _Stage(NamedTuple):
    """Blocks of one kernel and number of filters; `stride` is the first one's."""

    kernel: int
    repeats: int
    filters: int
    expansion: int
    stride: int


EFFICIENTNET_STAGES = (  # of B0 and of Lite0: Tan and Le 2019, table 1
    _Stage(3, 1, 16, 1, 1),
    _Stage(3, 2, 24, 6, 2),
    _Stage(5, 2, 40, 6, 2),
    _Stage(3, 3, 80, 6, 2),
    _Stage(5, 3, 112, 6, 1),
    _Stage(5, 4, 192, 6, 2),
    _Stage(3, 1, 320, 6, 1),
)


def _efficientnet_b0(tracer: Tracer, image: Tensor) -> list[Tensor]:
    features = _Features(tracer)
    x = tracer.pointwise("encoder_rescaling", "rescale", image)
    x = tracer.pointwise("encoder_normalization", "standardize", x, frozen_params=7)  # mean, variance, count
    x = _pad_for_stride_two(tracer, "stem_conv_pad", x, 3)
    x = tracer.conv("stem_conv", x, 32, 3, stride=2, padding="valid", bias=False)
    x = tracer.pointwise("stem_activation", "swish", _norm(tracer, "stem_bn", x))
    return _efficientnet_stages(tracer, features, x, "swish", _efficientnet_block)


def _efficientnet_stages(
    tracer: Tracer, features: _Features, x: Tensor, activation: str, rest: Callable[..., Tensor]
) -> list[Tensor]:
    """Walk all stages; `rest` is the part of a block after its expansion."""
    for number, stage in enumerate(EFFICIENTNET_STAGES, start=1):
        for repeat in range(stage.repeats):
            prefix = f"block{number}{chr(ord('a') + repeat)}_"
            stride = stage.stride if repeat == 0 else 1
            inputs = x
            if stage.expansion != 1:
                x = tracer.conv(f"{prefix}expand_conv", x, stage.expansion * x.shape[2], 1, bias=False)
                x = tracer.pointwise(f"{prefix}expand_activation", activation, _norm(tracer, f"{prefix}expand_bn", x))
            if stride == 2 and features.collect(x):
                return features
            x = rest(tracer, prefix, stage, stride, inputs, x)
    features.collect(x)
    return features


def _efficientnet_block(tracer: Tracer, prefix: str, stage: _Stage, stride: int, inputs: Tensor, x: Tensor) -> Tensor:
    """The part of an inverted residual block after its expansion: depthwise, squeeze-and-excitation, projection."""
    if stride == 2:
        x = _pad_for_stride_two(tracer, f"{prefix}dwconv_pad", x, stage.kernel)
    padding = "valid" if stride == 2 else "same"
    x = tracer.depthwise(f"{prefix}dwconv", x, stage.kernel, stride=stride, padding=padding)
    x = tracer.pointwise(f"{prefix}activation", "swish", _norm(tracer, f"{prefix}bn", x))

    gate = tracer.squeeze(f"{prefix}se_squeeze", "global_average_pool", x)
    gate = tracer.squeeze(f"{prefix}se_reshape", "reshape", gate)
    gate = tracer.conv(f"{prefix}se_reduce", gate, max(1, inputs.shape[2] // 4), 1)
    gate = tracer.conv(f"{prefix}se_expand", gate, x.shape[2], 1)
    x = tracer.pointwise(f"{prefix}se_excite", "multiply", x, gate)

    x = _norm(tracer, f"{prefix}project_bn", tracer.conv(f"{prefix}project_conv", x, stage.filters, 1, bias=False))
    if stride == 1 and inputs.shape[2] == stage.filters:
        x = tracer.pointwise(f"{prefix}drop", "dropout", x)
        x = tracer.pointwise(f"{prefix}add", "add", x, inputs)
    return x


# --- EfficientNet-Lite0 -------------------------------------------------------------------------------------------


def _efficientnet_lite0(tracer: Tracer, image: Tensor) -> list[Tensor]:
    """B0's stages with ReLU6, without squeeze-and-excitation, and padded by the convolutions themselves."""
    features = _Features(tracer)
    x = tracer.conv("stem_conv", image, 32, 3, stride=2, bias=False)
    x = tracer.pointwise("stem_activation", "relu6", _norm(tracer, "stem_bn", x))
    return _efficientnet_stages(tracer, features, x, "relu6", _lite_block)


def _lite_block(tracer: Tracer, prefix: str, stage: _Stage, stride: int, inputs: Tensor, x: Tensor) -> Tensor:
    x = tracer.depthwise(f"{prefix}dwconv", x, stage.kernel, stride=stride)
    x = tracer.pointwise(f"{prefix}activation", "relu6", _norm(tracer, f"{prefix}bn", x))
    x = _norm(tracer, f"{prefix}project_bn", tracer.conv(f"{prefix}project_conv", x, stage.filters, 1, bias=False))
    if stride == 1 and inputs.shape[2] == stage.filters:
        x = tracer.pointwise(f"{prefix}add", "add", x, inputs)
    return x


_WALKS = {
    "mobilenet_v2": _mobilenet_v2,
    "efficientnet_b0": _efficientnet_b0,
    "efficientnet_lite0": _efficientnet_lite0,
}
