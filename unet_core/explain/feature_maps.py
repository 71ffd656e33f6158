"""The feature maps of a shipped model's blocks for one photo, from ONNX Runtime with additional outputs.

The exported graph has one output. Here the tensors at the ends of the blocks are declared as outputs too, in memory;
the graph itself is unchanged, so these are exactly the numbers that the model computes with.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import Trace, trace
from unet_core.architecture.tracer import LayerTrace
from unet_core.images.preprocess import network_input
from unet_core.machine import available_cores
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, load_manifest, read_verified
from unet_core.zoo.onnx_runtime import import_onnxruntime

MAX_ACTIVATION_BYTES = 256 * 2**20  # of all maps of one photo; above that, the largest blocks are left out
MAX_SESSIONS = 2  # kept loaded; the least recently used is dropped first


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
    network = _network(entry, settings)
    config = entry.config
    tensor, _ = network_input(photo, config, network.output_size)
    results = network.run(tensor[None])
    blocks = tuple(_block_maps(row, result[0]) for row, result in zip(network.rows, results[:-1], strict=True))
    return FeatureMaps(name, _visible(tensor, config), blocks, _mask(results[-1][0]), entry.class_names)


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


# --- the network with more outputs ------------------------------------------------------------------------------------


class _Network:
    """An ONNX Runtime session whose outputs are the blocks' last tensors, then the model's output."""

    def __init__(self, content: bytes, entry: ModelEntry, settings: Settings) -> None:
        onnxruntime = import_onnxruntime()
        import onnx

        traced = trace(entry.config)
        proto = onnx.load_model_from_string(content)
        found = _block_tensors(proto, traced)
        if not found:
            raise WeightsError("This model's ONNX file does not have the names of its layers: export it again.")
        self.rows = tuple(row for row, _, _ in found)
        self._channels_last = tuple(channels_last for _, _, channels_last in found)
        self._outputs = [tensor for _, tensor, _ in found] + [proto.graph.output[0].name]
        known = {output.name for output in proto.graph.output}
        for tensor in dict.fromkeys(self._outputs):
            if tensor not in known:
                proto.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads or available_cores()
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(
            proto.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self.output_size = (traced.output_shape or entry.config.input_shape)[:2]

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        """Return the blocks' activations, (1, channels, h, w), and the output, (1, h, w, classes)."""
        *blocks, output = self._session.run(self._outputs, {self._input: batch})
        turned = [
            np.ascontiguousarray(np.moveaxis(result, -1, 1)) if channels_last else result
            for result, channels_last in zip(blocks, self._channels_last, strict=True)
        ]
        return [*turned, output]


def _block_tensors(proto: Any, traced: Trace) -> list[tuple[LayerTrace, str, bool]]:
    """Return the trace, tensor and channel order (True: last) of each block's last layer that the graph names.

    The converter names a node "unet_1/<layer>_1/<operation>". It may have merged a layer into the one before (a
    normalization into its convolution), so this is the last layer that kept its name and full shape, or the output of
    a nameless merged layer after it. Blocks beyond the memory limit are left out, the largest first.
    """
    import onnx

    shapes = _tensor_shapes(onnx.shape_inference.infer_shapes(proto))
    by_layer: dict[str, list[str]] = {}
    for node in proto.graph.node:
        for tensor in node.output:
            parts = tensor.split("/")
            if len(parts) >= 2:
                by_layer.setdefault(_without_serial(parts[1]), []).append(tensor)
    found: dict[str, tuple[LayerTrace, str, bool]] = {}
    last: dict[str, LayerTrace] = {}
    for row in traced.layers:
        if row.name.endswith("_pool") or row.op in ("pad", "crop", "input"):
            continue
        last[row.block] = row
        for tensor in by_layer.get(row.name, ()):
            layout = _layout(shapes.get(tensor), row)
            if layout is not None:
                found[row.block] = (row, tensor, layout)
    for block, (row, tensor, _) in found.items():
        merged = _merged(proto, tensor)
        layout = _layout(shapes.get(merged), last[block])
        if row is not last[block] and layout is not None:
            found[block] = (last[block], merged, layout)
    return _within_memory(list(found.values()))


def _merged(proto: Any, tensor: str) -> str:
    """Return the output of the only node after a tensor if it is a nameless convolution, else ""."""
    users = [node for node in proto.graph.node if tensor in node.input]
    nameless = len(users) == 1 and users[0].op_type == "Conv" and "/" not in users[0].output[0]
    return users[0].output[0] if nameless else ""


def _without_serial(name: str) -> str:
    """Return a layer's name without the number that Keras adds to a call's scope: "head_1" becomes "head"."""
    stem, _, serial = name.rpartition("_")
    return stem if serial.isdigit() and stem else name


def _tensor_shapes(proto: Any) -> dict[str, tuple[int, ...]]:
    values = (*proto.graph.value_info, *proto.graph.output)
    return {value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim) for value in values}


def _layout(shape: tuple[int, ...] | None, row: LayerTrace) -> bool | None:
    """Return whether a tensor of the row's shape has its channels last; None if the shape differs."""
    if shape is None or len(shape) != 4:
        return None
    height, width, channels = row.output_shape
    if shape[1:] == (channels, height, width):
        return False
    return True if shape[1:] == (height, width, channels) else None


def _within_memory(found: list[tuple[LayerTrace, str, bool]]) -> list[tuple[LayerTrace, str, bool]]:
    kept = list(found)
    while kept and sum(row.activation_bytes for row, _, _ in kept) > MAX_ACTIVATION_BYTES:
        kept.remove(max(kept, key=lambda entry: entry[0].activation_bytes))
    return kept


_networks: OrderedDict[tuple[Any, ...], _Network] = OrderedDict()
_loading = threading.Lock()


def _network(entry: ModelEntry, settings: Settings) -> _Network:
    content = read_verified(entry, "onnx", settings)
    key = (entry.files["onnx"].sha256, entry.config, settings.threads)
    with _loading:
        if key not in _networks:
            _networks[key] = _Network(content, entry, settings)
            while len(_networks) > MAX_SESSIONS:
                _networks.popitem(last=False)
        _networks.move_to_end(key)
        return _networks[key]
