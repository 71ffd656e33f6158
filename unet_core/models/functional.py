"""The U-Net as a Keras functional model."""

from __future__ import annotations

import keras

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.walk import walk
from unet_core.models.layers import KerasLayers


def build(config: UNetConfig, size: tuple[int, int] | None = None) -> keras.Model:
    """Build the configured U-Net (Ronneberger et al. 2015, figure 1, with the configured changes).

    Args:
        config: the architecture.
        size: height and width of the input; the configuration's own by default.

    Returns:
        A functional model from (B, H, W, channels), scaled as `config.preprocessing` says, to (B, H′, W′, classes):
        logits unless `config.head_activation` says otherwise. It is made of Keras' own layers only, so a saved one
        loads without this library.

    Raises:
        ValueError: the size does not fit the architecture; `unet_core.trace` explains why and which sizes do.
        ConfigError: pretrained weights could not be loaded.
    """
    height, width = size or (config.height, config.width)
    image = keras.Input((height, width, config.channels), name="image")
    return keras.Model(image, walk(config, KerasLayers(config, layers={}), image), name="unet")
