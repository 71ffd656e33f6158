"""Whether a trained network's deepest layer still tells photos apart.

Steps that are too large can push a layer so far that its activations saturate: it then gives the same for every photo
and gets no gradient any more, and the network works with its other layers alone. No curve shows that. It happens most
easily in a pretrained encoder whose BatchNorm keeps its stored statistics, since nothing centres its layers again.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.images.preprocess import network_input
from unet_core.jobs.names import one_line
from unet_core.jobs.tables import read_json, write_atomically

if TYPE_CHECKING:
    import keras

    from unet_core.train.run_directory import RunDirectory

PHOTOS = 16
_FEWEST = 4  # photos, below which two alike would decide
_LEAST = 0.0025  # share of a layer's variance between photos; 0.88 in EfficientNet-Lite0 with ImageNet's weights
_FILE = "silent_layer.json"


def deepest_layer(config: UNetConfig) -> str:
    """Return the name of the last layer at the network's smallest size."""
    return [layer.name for layer in trace(config).layers if layer.block == "bottleneck"][-1]


def variance_between_photos(maps: np.ndarray) -> float:
    """Return which share of the variance of feature maps (N, h, w, C) is between photos, at the same place and channel.

    0 means that every photo has the same maps.
    """
    total = float(maps.var(dtype=np.float64))
    return float(maps.var(axis=0, dtype=np.float64).mean()) / total if total > 0 else 0.0


def silent_layer(model: keras.Model, config: UNetConfig, photos: Iterable[np.ndarray]) -> str | None:
    """Return the name of the network's deepest layer if it gives nearly the same for all photos.

    Args:
        model: as `unet_core.models.build` returns it for `config`.
        config: of the network.
        photos: (H, W, C) uint8 or uint16, of which the first `PHOTOS` are looked at; fewer than four decide nothing.
    """
    import keras

    shape = model.output_shape
    inputs = [network_input(photo, config, (shape[1], shape[2]))[0] for photo in itertools.islice(photos, PHOTOS)]
    if len(inputs) < _FEWEST:
        return None
    name = deepest_layer(config)
    deepest = keras.Model(model.inputs, model.get_layer(name).output)
    maps = deepest.predict(np.stack(inputs).astype(np.float32), batch_size=4, verbose=0)
    return name if variance_between_photos(maps) < _LEAST else None


def sentence(layer: str, config: UNetConfig) -> str:
    """Return what to show and what to do, without a full stop at the end."""
    found = f"The deepest layer, {layer}, gives nearly the same for every photo, so the network works without it"
    stored = config.encoder != "none" and config.encoder_batchnorm_frozen and not config.encoder_frozen
    remedy = "a lower learning rate" + (", or encoder BatchNorm that is trained" if stored else "")
    return f"{found}. Train again with {remedy}"


def record_silent_layer(run: RunDirectory, layer: str | None) -> None:
    """Keep the name of the layer that has fallen silent, or that none has."""
    write_atomically(run.path / _FILE, json.dumps({"layer": layer}) + "\n")


def recorded_silent_layer(run: RunDirectory) -> str | None:
    """Return the layer that has fallen silent, None if there is none or if it is not known."""
    values = read_json(run.path / _FILE)
    layer = values.get("layer") if isinstance(values, dict) else None
    return one_line(layer) if isinstance(layer, str) else None
