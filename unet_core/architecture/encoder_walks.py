"""The walk over each pretrained encoder: MobileNetV2 and EfficientNetB0 as `keras.applications` builds them, and Lite0.

Sources: Sandler et al. 2018, table 2; Tan and Le 2019, table 1. Layer names are Keras' own. All end at the last feature
map that a U-Net uses; the layers for classification are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Generic, NamedTuple

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.layer_specs import InitializerSpec, batch_momentum, layer_spec
from unet_core.architecture.walk import Backend, T

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


# Of the convolutions in Keras' EfficientNetB0.
_FAN_OUT = InitializerSpec("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"})


def walk_encoder(config: UNetConfig, backend: Backend[T], image: T) -> list[T]:
    """Send `image` through the configured encoder; return `config.depth` feature maps, shallow first."""
    encoder = _Encoder(config, backend)
    _WALKS[config.encoder](encoder, image)
    return encoder.features


class _Encoder(Generic[T]):
    """The layers that encoders are made of, and the feature maps collected so far."""

    def __init__(self, config: UNetConfig, backend: Backend[T]) -> None:
        self.config, self.backend = config, backend
        self.features: list[T] = []
        self.initializer = _FAN_OUT if config.encoder == "efficientnet_b0" else None
        self.norm_constants: dict[str, float | None] = {}
        if config.encoder == "mobilenet_v2":
            self.norm_constants = {"momentum": 0.999, "epsilon": 0.001}
        if not (config.encoder_frozen or config.encoder_batchnorm_frozen):
            self.norm_constants["momentum"] = batch_momentum(config)
        backend.enter("encoder1")

    def collect(self, tensor: T) -> bool:
        """Collect one feature map and enter the next block; return whether it was the last one needed."""
        self.features.append(tensor)
        level, depth = len(self.features) + 1, self.config.depth
        self.backend.enter(f"encoder{level}" if level < depth else "bottleneck")
        return len(self.features) == depth

    def channels(self, tensor: T) -> int:
        return self.backend.shape(tensor)[2]

    def layer(self, kind: str, name: str, inputs: tuple[T, ...], *positional: Any, **named: Any) -> T:
        return self.backend.layer(layer_spec(kind, name, *positional, **named), *inputs)

    def conv(
        self, name: str, x: T, filters: int, kernel: int = 1, *, strides: int | None = None, padding: str = "same",
        bias: bool | None = False, activation: str | None = None,
    ) -> T:  # fmt: skip
        return self.layer(
            "Conv2D", name, (x,), filters, kernel, strides=strides, padding=padding, activation=activation,
            use_bias=bias, kernel_initializer=self.initializer,
        )  # fmt: skip

    def depthwise(self, name: str, x: T, kernel: int, *, strides: int | None = None, padding: str = "same") -> T:
        return self.layer(
            "DepthwiseConv2D", name, (x,), kernel, strides=strides, padding=padding, use_bias=False,
            depthwise_initializer=self.initializer,
        )  # fmt: skip

    def norm(self, name: str, x: T) -> T:
        return self.layer("BatchNormalization", name, (x,), **self.norm_constants)

    def relu6(self, name: str, x: T) -> T:
        return self.layer("ReLU", name, (x,), 6)

    def swish(self, name: str, x: T) -> T:
        return self.layer("Activation", name, (x,), "swish")

    def pad_for_stride_two(self, name: str, x: T, kernel: int) -> T:
        """Pad as `keras.applications` does before a stride-2 window: one pixel less before an even side."""
        half = kernel // 2
        margins = tuple((half - (1 - side % 2), half) for side in self.backend.shape(x)[:2])
        return self.layer("ZeroPadding2D", name, (x,), margins)


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


def _mobilenet_v2(encoder: _Encoder[T], image: T) -> None:
    width = encoder.config.encoder_width
    x = encoder.conv("Conv1", image, _multiple_of_eight(32 * width), 3, strides=2)
    x = encoder.relu6("Conv1_relu", encoder.norm("bn_Conv1", x))
    for number, (filters, stride) in enumerate(_MOBILENET_BLOCKS):
        prefix = f"block_{number}_" if number else "expanded_conv_"
        inputs = x
        if number:
            x = encoder.conv(f"{prefix}expand", x, 6 * encoder.channels(x))
            x = encoder.relu6(f"{prefix}expand_relu", encoder.norm(f"{prefix}expand_BN", x))
        if stride == 2:
            # The expanded map before each halving is what the decoder merges with.
            if encoder.collect(x):
                return
            x = encoder.pad_for_stride_two(f"{prefix}pad", x, 3)
            x = encoder.depthwise(f"{prefix}depthwise", x, 3, strides=2, padding="valid")
        else:
            x = encoder.depthwise(f"{prefix}depthwise", x, 3)
        x = encoder.relu6(f"{prefix}depthwise_relu", encoder.norm(f"{prefix}depthwise_BN", x))
        x = encoder.conv(f"{prefix}project", x, _multiple_of_eight(int(filters * width)))
        if number == len(_MOBILENET_BLOCKS) - 1:
            break
        x = encoder.norm(f"{prefix}project_BN", x)
        if stride == 1 and encoder.channels(inputs) == encoder.channels(x):
            x = encoder.layer("Add", f"{prefix}add", (inputs, x))
    encoder.collect(x)


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
_EFFICIENTNET_BLOCKS = sum(stage.repeats for stage in EFFICIENTNET_STAGES)


class _Block(NamedTuple):
    """One inverted residual block: the prefix of its layers' names, its position in the network, and its sizes."""

    prefix: str
    number: int
    kernel: int
    filters: int
    stride: int


def _efficientnet_b0(encoder: _Encoder[T], image: T) -> None:
    x = encoder.layer("Rescaling", "encoder_rescaling", (image,), Fraction(1, 255))
    x = encoder.layer("Normalization", "encoder_normalization", (x,))
    x = encoder.pad_for_stride_two("stem_conv_pad", x, 3)
    x = encoder.conv("stem_conv", x, 32, 3, strides=2, padding="valid")
    x = encoder.swish("stem_activation", encoder.norm("stem_bn", x))
    _efficientnet_stages(encoder, x, encoder.swish, _efficientnet_block)


def _efficientnet_stages(
    encoder: _Encoder[T], x: T, activation: Callable[[str, T], T], rest: Callable[[_Encoder[T], _Block, T, T], T]
) -> None:
    """Walk all stages; `rest` is the part of a block after its expansion."""
    number = 0
    for stage_number, stage in enumerate(EFFICIENTNET_STAGES, start=1):
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            block = _Block(f"block{stage_number}{'abcd'[repeat]}_", number, stage.kernel, stage.filters, stride)
            number += 1
            inputs = x
            if stage.expansion != 1:
                x = encoder.conv(f"{block.prefix}expand_conv", x, stage.expansion * encoder.channels(x))
                x = encoder.norm(f"{block.prefix}expand_bn", x)
                x = activation(f"{block.prefix}expand_activation", x)
            if stride == 2 and encoder.collect(x):
                return
            x = rest(encoder, block, inputs, x)
    encoder.collect(x)


def _efficientnet_block(encoder: _Encoder[T], block: _Block, inputs: T, x: T) -> T:
    """The part of an inverted residual block after its expansion: depthwise, squeeze-and-excitation, projection."""
    prefix = block.prefix
    if block.stride == 2:
        x = encoder.pad_for_stride_two(f"{prefix}dwconv_pad", x, block.kernel)
        x = encoder.depthwise(f"{prefix}dwconv", x, block.kernel, strides=2, padding="valid")
    else:
        x = encoder.depthwise(f"{prefix}dwconv", x, block.kernel)
    x = encoder.swish(f"{prefix}activation", encoder.norm(f"{prefix}bn", x))

    wide, narrow = encoder.channels(x), max(1, encoder.channels(inputs) // 4)
    gate = encoder.layer("GlobalAveragePooling2D", f"{prefix}se_squeeze", (x,))
    gate = encoder.layer("Reshape", f"{prefix}se_reshape", (gate,), (1, 1, wide))
    gate = encoder.conv(f"{prefix}se_reduce", gate, narrow, bias=None, activation="swish")
    gate = encoder.conv(f"{prefix}se_expand", gate, wide, bias=None, activation="sigmoid")
    x = encoder.layer("Multiply", f"{prefix}se_excite", (x, gate))

    x = encoder.norm(f"{prefix}project_bn", encoder.conv(f"{prefix}project_conv", x, block.filters))
    if block.stride == 1 and encoder.channels(inputs) == block.filters:
        rate = round(0.2 * block.number / _EFFICIENTNET_BLOCKS, 6)  # grows evenly over the network
        x = encoder.layer("Dropout", f"{prefix}drop", (x,), rate, noise_shape=(None, 1, 1, 1))
        x = encoder.layer("Add", f"{prefix}add", (x, inputs))
    return x


# --- EfficientNet-Lite0 -------------------------------------------------------------------------------------------


def _efficientnet_lite0(encoder: _Encoder[T], image: T) -> None:
    """B0's stages with ReLU6, without squeeze-and-excitation, and padded by the convolutions themselves."""
    x = encoder.conv("stem_conv", image, 32, 3, strides=2)
    x = encoder.relu6("stem_activation", encoder.norm("stem_bn", x))
    _efficientnet_stages(encoder, x, encoder.relu6, _lite_block)


def _lite_block(encoder: _Encoder[T], block: _Block, inputs: T, x: T) -> T:
    prefix = block.prefix
    x = encoder.depthwise(f"{prefix}dwconv", x, block.kernel, strides=2 if block.stride == 2 else None)
    x = encoder.relu6(f"{prefix}activation", encoder.norm(f"{prefix}bn", x))
    x = encoder.norm(f"{prefix}project_bn", encoder.conv(f"{prefix}project_conv", x, block.filters))
    if block.stride == 1 and encoder.channels(inputs) == block.filters:
        x = encoder.layer("Add", f"{prefix}add", (x, inputs))
    return x


_WALKS = {
    "mobilenet_v2": _mobilenet_v2,
    "efficientnet_b0": _efficientnet_b0,
    "efficientnet_lite0": _efficientnet_lite0,
}
