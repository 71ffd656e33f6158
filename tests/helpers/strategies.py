"""Random configurations and sizes for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from unet_core.architecture.config import Preprocessing, UNetConfig

PLAIN_PRESETS = (
    "ronneberger2015",
    "bhatt2020",
    "machinecurve2022",
    "keras_basic",
    "keras_basic+batchnorm",
    "keras_basic+leaky_relu",
    "subclassed",
)


@st.composite
def small_configs(draw: st.DrawFn, encoders: bool = False) -> UNetConfig:
    """Draw a valid configuration that is quick to build: few filters, every other choice free."""
    encoder = draw(st.sampled_from(["mobilenet_v2", "efficientnet_b0", "efficientnet_lite0"])) if encoders else "none"
    upsampling = draw(st.sampled_from(["transposed", "nearest", "bilinear"]))
    classes = draw(st.integers(1, 4))
    activations = ["none", "sigmoid"] + ["softmax"] * (classes > 1)
    depth = draw(st.integers(2, 5 if encoders else 6))
    levels = depth - 1 if encoders else depth
    values = {
        "height": draw(st.integers(16, 120)),
        "width": draw(st.integers(16, 120)),
        "channels": 3 if encoders else draw(st.integers(1, 4)),
        "classes": classes,
        "preprocessing": Preprocessing(scale="symmetric"),
        "depth": depth,
        "base_filters": draw(st.integers(1, 4)),
        "filters": draw(st.none() | st.tuples(*[st.integers(1, 9)] * levels)),
        "encoder_convolutions": draw(st.integers(1, 3)),
        "decoder_convolutions": draw(st.integers(0, 2)),
        "kernel_size": draw(st.sampled_from([1, 2, 3, 3, 4, 5, 7])),
        "padding": "same" if encoders else draw(st.sampled_from(["same", "valid"])),
        "pooling": draw(st.sampled_from(["max", "average", "strided"])),
        "upsampling": upsampling,
        "up_convolution": upsampling == "transposed" or draw(st.booleans()),
        "up_kernel": draw(st.integers(2, 4)),
        "up_activation": draw(st.booleans()),
        "skip_mode": draw(st.sampled_from(["crop", "pad", "resize", "strict", "none"])),
        "convolution": draw(st.sampled_from(["standard", "separable"])),
        "convolution_bias": draw(st.booleans()),
        "normalization": draw(st.sampled_from(["none", "batch", "layer", "group"])),
        "normalization_position": draw(st.sampled_from(["before_activation", "after_activation"])),
        "activation": draw(st.sampled_from(["relu", "leaky_relu", "elu", "gelu", "swish"])),
        "initializer": draw(st.sampled_from(["glorot_uniform", "he_normal", "random_normal"])),
        "spatial_dropout": draw(st.sampled_from([0.0, 0.3])),
        "decoder_dropout": draw(st.sampled_from([0.0, 0.4])),
        "head": draw(st.sampled_from(["conv", "resize", "transposed"])) if encoders else "conv",
        "head_activation": draw(st.sampled_from(activations)),
        "encoder": encoder,
        "encoder_width": draw(st.sampled_from([0.35, 0.75, 1.4])) if encoder == "mobilenet_v2" else 1.0,
        "encoder_frozen": encoders and draw(st.booleans()),
        "encoder_batchnorm_frozen": draw(st.booleans()),
    }
    return UNetConfig(**values)
