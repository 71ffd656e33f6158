"""Bringing a skip connection and the upsampled features to one size before they are concatenated."""

from __future__ import annotations

import keras
from keras import layers, ops

from unet_core.architecture.config import SkipMode
from unet_core.architecture.trace import centred_margins
from unet_core.architecture.tracer import Margins


def spatial_shape(tensor: keras.KerasTensor) -> tuple[int, int]:
    """Return the static (height, width) of a (B, H, W, C) tensor."""
    return tensor.shape[1], tensor.shape[2]


def align_with_layers(
    skip: keras.KerasTensor, upsampled: keras.KerasTensor, mode: SkipMode, name: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Align by named Keras layers, so that they can be seen in the model: `{name}_crop`, `_pad` or `_resize`."""
    if spatial_shape(skip) == spatial_shape(upsampled) or mode in ("strict", "none"):
        return skip, upsampled
    if mode == "resize":
        height, width = spatial_shape(skip)
        return skip, layers.Resizing(height, width, name=f"{name}_resize")(upsampled)
    layer = layers.Cropping2D if mode == "crop" else layers.ZeroPadding2D
    of_skip, of_upsampled = centred_margins(spatial_shape(skip), spatial_shape(upsampled), mode)
    if any(map(any, of_skip)):
        skip = layer(of_skip, name=f"{name}_{mode}")(skip)
    if any(map(any, of_upsampled)):
        upsampled = layer(of_upsampled, name=f"{name}_{mode}_upsampled")(upsampled)
    return skip, upsampled


def align(
    skip: keras.KerasTensor, upsampled: keras.KerasTensor, mode: SkipMode
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Align by plain tensor operations, for a model written as a class."""
    if spatial_shape(skip) == spatial_shape(upsampled) or mode in ("strict", "none"):
        return skip, upsampled
    if mode == "resize":
        return skip, ops.image.resize(upsampled, spatial_shape(skip), interpolation="bilinear")
    change = _crop if mode == "crop" else _pad
    of_skip, of_upsampled = centred_margins(spatial_shape(skip), spatial_shape(upsampled), mode)
    return change(skip, of_skip), change(upsampled, of_upsampled)


def _crop(tensor: keras.KerasTensor, margins: Margins) -> keras.KerasTensor:
    (top, bottom), (left, right) = margins
    height, width = spatial_shape(tensor)
    return tensor[:, top : height - bottom, left : width - right, :]


def _pad(tensor: keras.KerasTensor, margins: Margins) -> keras.KerasTensor:
    return ops.pad(tensor, ((0, 0), *margins, (0, 0)))
