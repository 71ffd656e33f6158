"""A trained network whose inside can be read and changed while it runs: its ONNX graph with outputs and gates added.

The exported graph has one output. Here the tensors at the ends of the blocks and on the skip connections become outputs
too, and each goes through a gate: value · gain + offset, both fed at run time. With a gain of 1 and an offset of 0
these are exactly the numbers that the model computes with. One session per model serves everything.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from unet_core.architecture.trace import Trace, trace
from unet_core.architecture.tracer import LayerTrace
from unet_core.explain.exported import mask_graph
from unet_core.images.interpolate import Box
from unet_core.images.preprocess import network_input
from unet_core.images.probabilities import class_probabilities
from unet_core.machine import available_cores
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, read_verified
from unet_core.zoo.onnx_runtime import import_onnxruntime

MAX_ACTIVATION_BYTES = 256 * 2**20  # of all blocks' maps of one photo; above that, the largest blocks are left out
N = TypeVar("N")

MAX_SESSIONS = 2  # kept loaded; the least recently used is dropped first
SKIP = "skip"  # the name of a gate on a skip connection is this and its level, counted from the finest


@dataclass(frozen=True)
class Gate:
    """A place in a network whose values can be changed.

    Attributes:
        name: of a skip connection "skip1" (the finest), "skip2" …; of a block its own, such as "encoder1".
        layer: the layer whose output goes through it.
        target: the block that a skip connection ends in, "" for a block.
        shape: height, width and channels.
    """

    name: str
    layer: str
    target: str
    shape: tuple[int, int, int]

    @property
    def is_skip(self) -> bool:
        """Whether it is on a skip connection."""
        return bool(self.target)


class Change(NamedTuple):
    """What a gate does: value · gain + offset. Both (channels, 1, 1) or (channels, h, w) float32."""

    gain: np.ndarray
    offset: np.ndarray


class _Place(NamedTuple):
    gate: Gate
    tensor: str
    channels_last: bool


class Probe:
    """A network's session with its blocks and gates.

    Attributes:
        rows: the layer at the end of each block, in the order of the computation, encoder to head.
        gates: the skip connections, finest first, then all blocks but the head.
        output_size: height and width of the network's output.
        config: the network's configuration.
        subject: the ids of the classes that are not the background; the first class alone if none is one.
    """

    def __init__(self, content: bytes, entry: ModelEntry, settings: Settings) -> None:
        import onnx

        self.config, self.subject = entry.config, subject_of(entry)
        traced = trace(self.config)
        proto = mask_graph(content)
        shapes = tensor_shapes(onnx.shape_inference.infer_shapes(proto))
        found = _block_tensors(proto, traced, shapes)
        if not found:
            raise WeightsError("This model's ONNX file does not have the names of its layers: export it again.")
        places = [*_skip_places(proto, traced, shapes, found), *_block_places(found, traced)]
        gated = {place.gate.name: _insert(proto, place) for place in places}
        self.rows = tuple(row for row, _, _ in found)
        self.gates = tuple(place.gate for place in places)
        self.output_size = (traced.output_shape or entry.config.input_shape)[:2]
        self._channels_last = {place.gate.name: place.channels_last for place in places}
        self._channels_last |= {row.block: last for row, _, last in found}
        self._tensors = {row.block: tensor for row, tensor, _ in found} | gated
        self._output = proto.graph.output[0].name
        self._declare_outputs(proto)
        self._session = session(proto.SerializeToString(), settings)
        self._input = self._session.get_inputs()[0].name
        self._unchanged = {
            f"{name}:{part}": np.full((1, 1, 1, 1), value, np.float32)
            for name in gated
            for part, value in (("gain", 1), ("offset", 0))
        }

    def prepared(self, photo: np.ndarray) -> tuple[np.ndarray, Box]:
        """Return the network's input for a photo (H, W, 3) uint8, and the part of its output that shows the photo."""
        tensor, box = network_input(photo, self.config, self.output_size)
        return tensor[None], box

    def probabilities(self, output: np.ndarray, box: Box) -> np.ndarray:
        """Return the probabilities of a photo, (N, h, w, classes) float32, from the network's output."""
        part = output[:, box.top : box.top + box.height, box.left : box.left + box.width]
        return class_probabilities(part, self.config.head_activation)

    def run(
        self, batch: np.ndarray, changes: Mapping[str, Change] | None = None, read: Iterable[str] = ()
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Run the network.

        Args:
            batch: (N, H, W, C) float32, already scaled.
            changes: what gates do, by name; the others change nothing.
            read: names of blocks and gates whose values to return, behind their gates.

        Returns:
            The output, (N, h, w, classes), and the values by name, (N, channels, h, w).

        Raises:
            ValueError: there is no gate of that name.
        """
        names = list(read)
        feeds = {self._input: batch, **self._unchanged}
        for name, change in (changes or {}).items():
            if f"{name}:gain" not in feeds:
                raise ValueError(f"gate: must be one of {', '.join(gate.name for gate in self.gates)}. Got: {name!r}")
            for part, value in zip(("gain", "offset"), change, strict=True):
                feeds[f"{name}:{part}"] = self._laid_out(name, value)
        output, *values = self._session.run([self._output, *(self._tensors[name] for name in names)], feeds)
        turned = {
            name: np.ascontiguousarray(np.moveaxis(value, -1, 1)) if self._channels_last[name] else value
            for name, value in zip(names, values, strict=True)
        }
        return output, turned

    def _laid_out(self, name: str, value: np.ndarray) -> np.ndarray:
        turned = np.moveaxis(value, 0, -1) if self._channels_last[name] else value
        return np.ascontiguousarray(turned[None], np.float32)

    def _declare_outputs(self, proto: Any) -> None:
        import onnx

        known = {output.name for output in proto.graph.output}
        for tensor in dict.fromkeys(self._tensors.values()):
            if tensor not in known:
                proto.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))


# --- gates ------------------------------------------------------------------------------------------------------------


def _skip_places(
    proto: Any, traced: Trace, shapes: dict[str, tuple[int, ...]], found: list[tuple[LayerTrace, str, bool]]
) -> list[_Place]:
    """Return where the skip connections enter their merges; those that the graph does not name are left out."""
    blocks = {row.name: row.block for row in traced.layers}
    layers = {row.name: row for row in traced.layers}
    deepest = next((tensor for row, tensor, _ in found if row.block == "bottleneck"), "")
    below = _downstream(proto, deepest)
    places = []
    for skip in traced.skips:
        merge = next((node for node in proto.graph.node if is_output_of(node, skip.target, "Concat")), None)
        sides = [] if merge is None else [tensor for tensor in merge.input if tensor not in below]
        layout = (
            tensor_layout(shapes.get(merge.output[0]), layers[skip.target].output_shape) if merge is not None else None
        )
        if not deepest or len(sides) != 1 or layout is None:
            continue
        block = blocks[skip.target]
        height, width = layers[skip.target].output_shape[:2]
        gate = Gate(f"{SKIP}{block.removeprefix('decoder')}", skip.source, block, (height, width, skip.shape[2]))
        places.append(_Place(gate, sides[0], layout))
    return sorted(places, key=lambda place: place.gate.name)


def _block_places(found: list[tuple[LayerTrace, str, bool]], traced: Trace) -> list[_Place]:
    last = traced.layers[-1].block
    return [
        _Place(Gate(row.block, row.name, "", row.output_shape), tensor, channels_last)
        for row, tensor, channels_last in found
        if row.block != last
    ]


def _insert(proto: Any, place: _Place) -> str:
    """Put a gate behind a tensor, for a skip connection only on its way to the merge; return the changed tensor."""
    import onnx

    graph, name = proto.graph, place.gate.name
    scaled, changed = f"{name}:scaled", f"{name}:changed"
    nodes = [
        onnx.helper.make_node("Mul", [place.tensor, f"{name}:gain"], [scaled]),
        onnx.helper.make_node("Add", [scaled, f"{name}:offset"], [changed]),
    ]
    users = [
        node
        for node in graph.node
        if place.tensor in node.input and (not place.gate.is_skip or node.op_type == "Concat")
    ]
    at = min(list(graph.node).index(node) for node in users)
    for node in users:
        for index, tensor in enumerate(node.input):
            if tensor == place.tensor:
                node.input[index] = changed
    for node in reversed(nodes):
        graph.node.insert(at, node)
    for part in ("gain", "offset"):
        sides = [f"{name}:{part}:{side}" for side in range(4)]
        graph.input.append(onnx.helper.make_tensor_value_info(f"{name}:{part}", onnx.TensorProto.FLOAT, sides))
    return changed


def _downstream(proto: Any, tensor: str) -> set[str]:
    """Return everything that is computed from a tensor."""
    found = {tensor}
    for node in proto.graph.node:  # in the order of the computation
        if found.intersection(node.input):
            found.update(node.output)
    return found


# --- blocks -----------------------------------------------------------------------------------------------------------


def _block_tensors(proto: Any, traced: Trace, shapes: dict[str, tuple[int, ...]]) -> list[tuple[LayerTrace, str, bool]]:
    """Return the trace, tensor and channel order (True: last) of each block's last layer that the graph names.

    The converter names a node "unet_1/<layer>_1/<operation>". It may have merged a layer into the one before (a
    normalization into its convolution), so this is the last layer that kept its name and full shape, or the output of
    a nameless merged layer after it. Blocks beyond the memory limit are left out, the largest first.
    """
    by_layer: dict[str, list[str]] = {}
    for node in proto.graph.node:
        for tensor in node.output:
            by_layer.setdefault(layer_of(tensor), []).append(tensor)
    found: dict[str, tuple[LayerTrace, str, bool]] = {}
    last: dict[str, LayerTrace] = {}
    for row in traced.layers:
        if row.name.endswith("_pool") or row.op in ("pad", "crop", "input"):
            continue
        last[row.block] = row
        for tensor in by_layer.get(row.name, ()):
            layout = tensor_layout(shapes.get(tensor), row.output_shape)
            if layout is not None:
                found[row.block] = (row, tensor, layout)
    for block, (row, tensor, _) in found.items():
        merged = following_convolution(proto, tensor)
        layout = tensor_layout(shapes.get(merged), last[block].output_shape)
        if row is not last[block] and layout is not None:
            found[block] = (last[block], merged, layout)
    return _within_memory(list(found.values()))


def layer_of(tensor: str) -> str:
    """Return the layer that a tensor's name contains, "" if none."""
    parts = tensor.split("/")
    return _without_serial(parts[1]) if len(parts) >= 2 else ""


def is_output_of(node: Any, layer: str, operation: str) -> bool:
    """Return whether a node of that operation gives a layer's output."""
    return node.op_type == operation and layer_of(node.output[0]) == layer


def following_convolution(proto: Any, tensor: str) -> str:
    """Return the output of the only node after a tensor if it is a nameless convolution, else ""."""
    users = [node for node in proto.graph.node if tensor in node.input]
    nameless = len(users) == 1 and users[0].op_type == "Conv" and "/" not in users[0].output[0]
    return users[0].output[0] if nameless else ""


def _without_serial(name: str) -> str:
    """Return a layer's name without the number that Keras adds to a call's scope: "head_1" becomes "head"."""
    stem, _, serial = name.rpartition("_")
    return stem if serial.isdigit() and stem else name


def tensor_shapes(proto: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a graph's tensors, as far as they are known, by name."""
    values = (*proto.graph.value_info, *proto.graph.output)
    return {value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim) for value in values}


def tensor_layout(shape: tuple[int, ...] | None, wanted: tuple[int, int, int]) -> bool | None:
    """Return whether a tensor of the `wanted` height, width and channels has the channels last; None if it differs."""
    if shape is None or len(shape) != 4:
        return None
    height, width, channels = wanted
    if shape[1:] == (channels, height, width):
        return False
    return True if shape[1:] == (height, width, channels) else None


def _within_memory(found: list[tuple[LayerTrace, str, bool]]) -> list[tuple[LayerTrace, str, bool]]:
    kept = list(found)
    while kept and sum(row.activation_bytes for row, _, _ in kept) > MAX_ACTIVATION_BYTES:
        kept.remove(max(kept, key=lambda entry: entry[0].activation_bytes))
    return kept


# --- one session per model --------------------------------------------------------------------------------------------


def session(content: bytes, settings: Settings) -> Any:
    """Return an ONNX Runtime session on the processor.

    Raises:
        WeightsError: ONNX Runtime is not installed.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads or available_cores()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it would keep the memory of all layers' values, 100 MB for `pets`
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])


def subject_of(entry: ModelEntry) -> tuple[int, ...]:
    """Return the ids of a model's classes that are not the background; the first class alone if none is one."""
    return (0,) if entry.classes.background is None else entry.classes.subject


class Opened(Generic[N]):
    """Networks opened from models' ONNX files, which the whole process shares; the least recently used go first.

    Args:
        open_: makes a network of a verified file.
        most: how many stay loaded.
    """

    def __init__(self, open_: Callable[[bytes, ModelEntry, Settings], N], most: int) -> None:
        self._open, self._most = open_, most
        self._held: OrderedDict[tuple[Any, ...], N] = OrderedDict()
        self._loading = threading.Lock()

    def network(self, entry: ModelEntry, settings: Settings) -> N:
        """Return a model's network; raises a WeightsError if its file is missing or altered."""
        content = read_verified(entry, "onnx", settings)
        key = (entry.files["onnx"].sha256, entry.config, settings.threads)
        with self._loading:
            if key not in self._held:
                self._held[key] = self._open(content, entry, settings)
                while len(self._held) > self._most:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]


_probes = Opened(Probe, MAX_SESSIONS)


def open_probe(entry: ModelEntry, settings: Settings) -> Probe:
    """Return the probe of a model, which the whole process shares.

    Raises:
        WeightsError: the model's ONNX file is missing, altered, or has no layer names.
    """
    return _probes.network(entry, settings)
