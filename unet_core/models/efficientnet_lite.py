"""EfficientNet-Lite0, which is not in `keras.applications`, and its ImageNet weights.

EfficientNet-B0 for small processors: ReLU6 in place of swish and no squeeze-and-excitation. Source:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache-2.0).
Its ImageNet weights are shipped with the models, see `weights/README.md`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import keras
from keras import layers

from unet_core.architecture.encoder_walks import EFFICIENTNET_STAGES
from unet_core.errors import UNetError
from unet_core.settings import ROOT, get_settings

IMAGENET_WEIGHTS = "encoders/efficientnet_lite0.weights.h5"  # in the weights folder
_SHA256 = "1268b000f1516e0c410824323b777f9334bca2bd51d6f5d0155c73afba9ee5e8"


class EncoderWeightsError(UNetError):
    """Pretrained weights that are missing or damaged; the text says what to do."""


def efficientnet_lite0(image: keras.KerasTensor) -> keras.Model:
    """Build EfficientNet-Lite0 without its classification head, with random weights.

    Args:
        image: symbolic input, (B, H, W, channels), values from -1 to 1.

    Returns:
        A model with output (B, H/32, W/32, 320) and the layer names of Keras' EfficientNetB0.
    """
    same = {"padding": "same", "use_bias": False}
    x = layers.Conv2D(32, 3, strides=2, name="stem_conv", **same)(image)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(6, name="stem_activation")(x)
    for stage, (kernel, repeats, filters, expansion, stride) in enumerate(EFFICIENTNET_STAGES, 1):
        for repeat in range(repeats):
            name = f"block{stage}{'abcde'[repeat]}"
            strides = stride if repeat == 0 else 1
            inputs = x
            if expansion > 1:
                wide = expansion * x.shape[-1]
                x = layers.Conv2D(wide, 1, name=f"{name}_expand_conv", **same)(x)
                x = layers.BatchNormalization(name=f"{name}_expand_bn")(x)
                x = layers.ReLU(6, name=f"{name}_expand_activation")(x)
            x = layers.DepthwiseConv2D(kernel, strides=strides, name=f"{name}_dwconv", **same)(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(6, name=f"{name}_activation")(x)
            x = layers.Conv2D(filters, 1, name=f"{name}_project_conv", **same)(x)
            x = layers.BatchNormalization(name=f"{name}_project_bn")(x)
            if strides == 1 and inputs.shape[-1] == filters:
                x = layers.Add(name=f"{name}_add")([x, inputs])
    return keras.Model(image, x, name="efficientnet_lite0")


# --- the weights --------------------------------------------------------------------------------------------------


def imagenet_weights_file() -> Path:
    """Return the file of ImageNet weights, from the configured weights folder or else the one of this repository.

    Raises:
        EncoderWeightsError: it is missing, or not the shipped file.
    """
    folders = (get_settings().weights_dir, ROOT / "weights")
    path = next((folder / IMAGENET_WEIGHTS for folder in folders if (folder / IMAGENET_WEIGHTS).is_file()), None)
    if path is None:
        raise EncoderWeightsError(f"{folders[0] / IMAGENET_WEIGHTS} is missing; restore it from the repository")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        raise EncoderWeightsError(f"{path} is not the shipped file; restore it from the repository")
    return path
