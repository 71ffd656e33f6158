"""The feature maps of a model's blocks for one photo, from ONNX Runtime: the numbers that it computes with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.tracer import LayerTrace
from unet_core.explain.probe import open_probe
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import load_manifest


@dataclass(frozen=True, eq=False)
class BlockMaps:
    """The activations at the end of one block.

    Attributes:
        block: its name in the trace, for example "encoder1" or "bottleneck".
        layer: the layer whose output it is.
        maps: (channels, h, w) float32, the channel with the largest mean activation first.
        channels: each map's channel index in the network.
        means: each map's mean activation.
        mean_map: (h, w) float32, the mean over the channels.
    """

    block: str
    layer: str
    maps: np.ndarray = field(repr=False)
    channels: tuple[int, ...] = field(repr=False)
    means: tuple[float, ...] = field(repr=False)
    mean_map: np.ndarray = field(repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.maps.shape[1], self.maps.shape[2], self.maps.shape[0]


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """The feature maps of a network for one photo.

    Attributes:
        model: the model's name in the manifest.
        image: (height, width, channels) uint8, the network's input as a photo.
        blocks: in the order of the computation, encoder to head.
        mask: (h, w) uint8 class ids of the output.
        classes: the class names by id.
    """

    model: str
    image: np.ndarray = field(repr=False)
    blocks: tuple[BlockMaps, ...]
    mask: np.ndarray = field(repr=False)
    classes: tuple[str, ...]

    def block(self, name: str) -> BlockMaps:
        """Return the maps of one block.

        Raises:
            ValueError: no block has that name; the text lists all names.
        """
        for found in self.blocks:
            if found.block == name:
                return found
        names = ", ".join(found.block for found in self.blocks)
        raise ValueError(f"block: must be one of {names}. Received: {name!r}")


def feature_maps(model: str | None, photo: np.ndarray, settings: Settings | None = None) -> FeatureMaps:
    """Run a shipped model on a photo and return the output of each of its blocks.

    Args:
        model: a name in the manifest; None selects its default.
        photo: (H, W, 3) uint8.
        settings: folders and limits; the environment's by default.

    Raises:
        WeightsError: the model is unknown, or its ONNX file is missing, altered, or has no layer names.
    """
    settings = settings or get_settings()
    manifest = load_manifest(settings)
    name = model or manifest.default
    entry = manifest.entry(name)
    probe = open_probe(entry, settings)
    config = entry.config
    batch, _ = probe.prepared(photo)
    output, values = probe.run(batch, read=[row.block for row in probe.rows])
    blocks = tuple(_block_maps(row, values[row.block][0]) for row in probe.rows)
    return FeatureMaps(name, _visible(batch[0], config), blocks, _mask(output[0]), entry.class_names)


def to_grey(feature_map: np.ndarray) -> np.ndarray:
    """Stretch one map to 0…255, (h, w) uint8; a constant map becomes black."""
    low, high = float(feature_map.min()), float(feature_map.max())
    if high <= low:
        return np.zeros(feature_map.shape, np.uint8)
    return np.rint((feature_map - low) * (255 / (high - low))).astype(np.uint8)


def contact_sheet(maps: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Arrange maps (n, h, w) in rows, each stretched by `to_grey`: (rows·(h+gap)−gap, …) uint8."""
    count, height, width = maps.shape
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), 255, np.uint8)
    for index, feature_map in enumerate(maps):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = to_grey(feature_map)
    return sheet


# --- from outputs to maps ---------------------------------------------------------------------------------------------


def _block_maps(row: LayerTrace, activations: np.ndarray) -> BlockMaps:
    """Sort (channels, h, w) activations by their mean; ties keep the network's order."""
    means = activations.mean(axis=(1, 2), dtype=np.float64)
    order = np.argsort(-means, kind="stable")
    return BlockMaps(
        block=row.block,
        layer=row.name,
        maps=activations[order],
        channels=tuple(int(channel) for channel in order),
        means=tuple(float(means[channel]) for channel in order),
        mean_map=activations.mean(axis=0),
    )


def _mask(output: np.ndarray) -> np.ndarray:
    """Return the class ids of (h, w, classes); a single channel is the logit of class 0."""
    if output.shape[-1] == 1:
        return (output[..., 0] <= 0).astype(np.uint8)
    return output.argmax(axis=-1).astype(np.uint8)


def _visible(tensor: np.ndarray, config: UNetConfig) -> np.ndarray:
    """Undo the scaling of the network's input."""
    factor, offset = config.preprocessing.to_pixels
    return np.rint(tensor * factor + offset).clip(0, 255).astype(np.uint8)
