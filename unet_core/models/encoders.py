"""Pretrained encoders, most from `keras.applications`, with the feature maps that a U-Net uses."""

from __future__ import annotations

from pathlib import Path

import keras

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.architecture.encoder_walks import FEATURE_LAYERS
from unet_core.architecture.encoders import ENCODERS
from unet_core.errors import ConfigError
from unet_core.models.efficientnet_lite import efficientnet_lite0, imagenet_weights_file

IMAGENET_STANDARD_DEVIATION = (0.229, 0.224, 0.225)  # per RGB channel, of values scaled to 0…1


def encoder_features(config: UNetConfig, images: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Run `images` through the configured encoder.

    Args:
        config: the encoder, its weights, and which of its layers are trained.
        images: symbolic input, (B, H, W, channels).

    Returns:
        `config.depth` feature maps, shallow first, at strides 2, 4, …, 2^depth.

    Raises:
        ConfigError: the weights file is missing or does not match, or "imagenet" could not be downloaded.
    """
    model = _application(config, images)
    names = FEATURE_LAYERS[config.encoder][: config.depth]
    for layer in model.layers:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        # A Keras BatchNormalization that is not trainable also runs on its stored statistics during training.
        layer.trainable = not (config.encoder_frozen or (is_norm and config.encoder_batchnorm_frozen))
        if is_norm and layer.trainable:
            # With MobileNetV2's own 0.999, the averages that prediction uses need thousands of steps to catch up.
            layer.momentum = config.batch_momentum
    return [model.get_layer(name).output for name in names]


def save_imagenet_weights(encoder: str, width: float, path: str | Path) -> int:
    """Write an encoder's ImageNet weights to a file for `encoder_weights`, for machines without a network connection.

    Args:
        encoder: one of `ENCODERS`.
        width: factor of its filters.
        path: must end in .weights.h5; an existing file is replaced.

    Returns:
        The number of parameters written.

    Raises:
        ConfigError: the encoder, width or path is invalid, or the weights could not be downloaded.
    """
    if not str(path).endswith(".weights.h5"):
        raise ConfigError(f"out: must end in .weights.h5. Received: {path}")
    scale = ENCODERS[encoder].scale if encoder in ENCODERS else "unit"
    config = UNetConfig.from_dict({
        "height": 224, "width": 224, "depth": 5, "encoder": encoder, "encoder_width": width,
        "encoder_weights": "imagenet", "preprocessing": Preprocessing(scale=scale),
    })  # fmt: skip
    model = _application(config, keras.Input(config.input_shape))
    model.save_weights(path)
    return model.count_params()


def _application(config: UNetConfig, images: keras.KerasTensor) -> keras.Model:
    weights = None if config.encoder_weights == "none" else config.encoder_weights
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise ConfigError(f"encoder_weights: there is no file {weights}; give a .weights.h5 file, 'imagenet' or 'none'")
    build = _BUILDERS[config.encoder]
    try:
        return build(config, images, weights)
    except Exception as error:
        # keras.applications passes on any exception of a failed download or a file that does not match.
        if weights is None:
            raise
        if weights != "imagenet":
            fix = f"give a file made for {config.encoder} of width {config.encoder_width}"
        elif ENCODERS[config.encoder].application is None:
            fix = "or give a .weights.h5 file"
        else:
            fix = "connect to the network once, or give a .weights.h5 file"
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"encoder_weights: {weights!r} could not be loaded ({reason}); {fix}") from error


def _mobilenet_v2(config: UNetConfig, images: keras.KerasTensor, weights: str | None) -> keras.Model:
    return keras.applications.MobileNetV2(
        alpha=config.encoder_width, include_top=False, weights=weights, input_tensor=images
    )


def _efficientnet_b0(config: UNetConfig, images: keras.KerasTensor, weights: str | None) -> keras.Model:
    """Build the same architecture for all weights; Keras itself adds a layer for "imagenet" only.

    That layer divides by the square root of the standard deviations. Here the normalization layer's variance includes
    this factor, so that a network saved with pretrained weights can be rebuilt without them.
    """
    file = None if weights == "imagenet" else weights
    model = keras.applications.EfficientNetB0(include_top=False, weights=file, input_tensor=images)
    for layer in model.layers:  # Keras numbers these two consecutively; the trace needs fixed names
        if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
            layer.name = f"encoder_{type(layer).__name__.lower()}"
    if weights == "imagenet":
        original = keras.applications.EfficientNetB0(include_top=False, weights=weights, input_shape=(224, 224, 3))
        model.set_weights(original.get_weights())
        normalization = model.get_layer("encoder_normalization")
        mean, variance, count = normalization.get_weights()
        normalization.set_weights([mean, variance * IMAGENET_STANDARD_DEVIATION, count])
        normalization.finalize_state()
    return model


def _efficientnet_lite0(config: UNetConfig, images: keras.KerasTensor, weights: str | None) -> keras.Model:
    model = efficientnet_lite0(images)
    if weights is not None:
        model.load_weights(imagenet_weights_file() if weights == "imagenet" else weights)
    return model


_BUILDERS = {
    "mobilenet_v2": _mobilenet_v2,
    "efficientnet_b0": _efficientnet_b0,
    "efficientnet_lite0": _efficientnet_lite0,
}
