"""A network from an ONNX file: its graph and shapes, read in a process of its own; nothing is run.

The process may take a limited time and amount of memory, since a file may be anything.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from unet_core.foreign.keras_config import NetworkFileError
from unet_core.foreign.mismatch import Dims
from unet_core.foreign.network import Failure, Note, ReadLayer, ReadNetwork
from unet_core.jobs.served import ChildEnded, ChildTooSlow, Message, ServedChild, serve

SECONDS = 20.0
MEMORY_MB = 2_000  # address space of the process
MAX_NODES = 20_000
UNKNOWN_SIDE = 256  # pixels, where the input takes any size
NEEDS_MB = 250.0


def read_onnx(data: bytes, size: tuple[int, int] | None = None) -> ReadNetwork:
    """Read the graph of an ONNX file.

    Args:
        data: the file.
        size: height and width of the input, instead of the file's own.

    Raises:
        NetworkFileError: it is no ONNX file, or takes too long or too much memory.
    """
    array = np.frombuffer(data, np.uint8)
    with ServedChild("unet_core.foreign.onnx_graph", needs_mb=NEEDS_MB) as child:
        try:
            found = child.ask({"size": list(size) if size else None}, array, seconds=SECONDS, attempts=1).values
        except ChildTooSlow:
            raise NetworkFileError(f"Reading this file took more than {SECONDS:g} seconds and was stopped.") from None
        except ChildEnded:
            raise NetworkFileError("This file cannot be read as ONNX: the process that read it has failed.") from None
        except OSError as error:
            raise NetworkFileError(
                f"The process that reads ONNX cannot be started: {error.strerror or error}."
            ) from None
    if "error" in found:
        raise NetworkFileError(str(found["error"]))
    return _network(found)


def _network(found: Mapping[str, Any]) -> ReadNetwork:
    layers = tuple(
        ReadLayer(
            one["name"], one["kind"], one["label"], tuple(one["inputs"]),
            tuple(_dims(shape) for shape in one["input_shapes"]), _dims(one["shape"]), one["params"],
        )
        for one in found["layers"]
    )  # fmt: skip
    failure = None
    if found["problem"]:
        failure = Failure(
            str(found["problem"]["layer"]), "", (), (), str(found["problem"]["why"]),
            ("Export the network again at a size that it works with.",),
        )  # fmt: skip
    assumed = tuple(Note(0, str(text)) for text in found["assumed"])
    return ReadNetwork(found["title"], layers, tuple(found["outputs"]), failure, (), assumed)


def _dims(shape: Any) -> Dims | None:
    return None if shape is None else tuple(shape)


# --- the process itself -----------------------------------------------------------------------------------------------

_KINDS = {
    "Conv": "Conv2D", "ConvTranspose": "Conv2DTranspose", "MaxPool": "MaxPooling2D", "AveragePool": "AveragePooling2D",
    "GlobalAveragePool": "GlobalAveragePooling2D", "GlobalMaxPool": "GlobalMaxPooling2D", "Concat": "Concatenate",
    "Resize": "Resize", "Upsample": "Resize", "Pad": "ZeroPadding2D", "Sub": "Subtract", "Mul": "Multiply",
    "Gemm": "Dense", "MatMul": "Dense", "InstanceNormalization": "GroupNormalization",
}  # fmt: skip
_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def main() -> None:
    """Serve requests within limits on memory and processor time."""
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MB * 2**20, MEMORY_MB * 2**20))
        limit = int(SECONDS * (os.cpu_count() or 1)) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    serve(lambda request: Message(graph_of(request.arrays[0].tobytes(), request.values.get("size"))))


def graph_of(data: bytes, size: list[int] | None) -> dict[str, Any]:
    """Return the layers of an ONNX file as plain values, or the reason why there are none. Imports onnx."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # protobuf's own classes of errors
        return {"error": "This is no ONNX file, or it is damaged."}
    if not model.graph.node:
        return {"error": "This is no ONNX file: it has no graph."}
    if len(model.graph.node) > MAX_NODES:
        return {"error": f"The graph has {len(model.graph.node)} nodes, at most {MAX_NODES} are read."}
    assumed = _set_size(model, size)
    del model.graph.value_info[:]  # shapes that the file states, perhaps for another size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    problem = None
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        problem = {"layer": _named(str(error)), "why": f"ONNX finds shapes that do not fit: {str(error)[:400]}"}
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
    layers, outputs = _Walk(inferred.graph).run()
    title = model.graph.name[:80] or "network"
    return {"title": title, "layers": layers, "outputs": outputs, "problem": problem, "assumed": assumed}


def _named(message: str) -> str:
    """Return the node that a message of shape inference names."""
    return message.partition("node name: ")[2].partition(")")[0][:80] or "a node"


def _set_size(model: Any, size: list[int] | None) -> list[str]:
    """Give the inputs a batch of 1 and a size; return what is assumed."""
    assumed = []
    constants = {one.name for one in model.graph.initializer}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name in constants or len(dims) != 4:
            continue
        dims[0].Clear()
        dims[0].dim_value = 1
        first = 1 if _is_channels_last(model.graph, value.name) else 2
        for axis, wanted in zip((first, first + 1), size or (None, None)):
            if wanted is not None:
                dims[axis].Clear()
                dims[axis].dim_value = wanted
            elif not dims[axis].dim_value:
                dims[axis].Clear()
                dims[axis].dim_value = UNKNOWN_SIDE
                assumed.append(f"the input takes any size, and is traced at {UNKNOWN_SIDE} pixels along one side")
    return sorted(set(assumed))


def _is_channels_last(graph: Any, name: str) -> bool:
    """Return whether an input goes through a transposition to channels first before anything that has a layout."""
    names = {name}
    for node in graph.node:
        if not names & set(node.input):
            continue
        if node.op_type == "Transpose":
            return _attribute(node, "perm") == _TO_FIRST
        if node.op_type in ("Conv", "MaxPool", "AveragePool", "ConvTranspose", "Resize", "BatchNormalization"):
            return False
        names |= set(node.output)
    return False


def _attribute(node: Any, name: str) -> Any:
    import onnx

    return next((onnx.helper.get_attribute_value(one) for one in node.attribute if one.name == name), None)


class _Walk:
    """The nodes that pass feature maps on, with shapes as height, width, channels."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.sizes = {one.name: list(one.dims) for one in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and (value := _attribute(node, "value")) is not None:
                self.sizes[node.output[0]] = list(value.dims)
        values = (*graph.value_info, *graph.input, *graph.output)
        self.shapes = {value.name: _known(value) for value in values}
        self.last: set[str] = set()  # values with the channels last
        self.source: dict[str, str] = {}  # the layer that gives a value
        self.counted: set[str] = set()  # constants whose values were counted
        self.layers: list[dict[str, Any]] = []
        self.names: set[str] = set()

    def run(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the layers and the names of those that the graph ends with."""
        for value in self.graph.input:
            if value.name not in self.sizes:
                if _is_channels_last(self.graph, value.name):
                    self.last.add(value.name)
                self._add(value.name, "InputLayer", "", (), value.name, 0)
        for node in self.graph.node:
            self._node(node)
        ends = [self.source[value.name] for value in self.graph.output if value.name in self.source]
        return self.layers, list(dict.fromkeys(ends))

    def _node(self, node: Any) -> None:
        maps = [name for name in node.input if name in self.source]
        output = node.output[0] if node.output else ""
        if not maps or not output or node.op_type == "Shape":
            return
        if node.op_type in ("Transpose", "Identity", "Cast", "Dropout"):  # no layers of their own
            self.source[output] = self.source[maps[0]]
            turned = _attribute(node, "perm") if node.op_type == "Transpose" else None
            if turned == _TO_LAST or (turned != _TO_FIRST and maps[0] in self.last):
                self.last.add(output)
            return
        if maps[0] in self.last:
            self.last.add(output)
        kind: str = _KINDS.get(node.op_type) or str(node.op_type)
        if kind == "Conv2D" and self._is_depthwise(node):
            kind = "DepthwiseConv2D"
        if kind in ("Add", "Subtract", "Multiply") and len(maps) < 2:
            kind = f"{kind} constant"
        self._add(node.name or output, kind, self._label(node), maps, output, self._weights(node))

    def _weights(self, node: Any) -> int:
        """Return how many numbers a node's constants hold, each constant counted once."""
        if node.op_type in ("Resize", "Pad", "Slice", "Reshape", "Clip"):  # sizes and bounds, no weights
            return 0
        constants = {name for name in node.input if name in self.sizes} - self.counted
        self.counted |= constants
        return sum(size for name in constants if (size := math.prod(self.sizes[name])) > 1)

    def _is_depthwise(self, node: Any) -> bool:
        weights = self.sizes.get(node.input[1]) if len(node.input) > 1 else None
        groups = _attribute(node, "group") or 1
        return groups > 1 and weights is not None and len(weights) == 4 and weights[1] == 1

    def _label(self, node: Any) -> str:
        parts = []
        if node.op_type == "Conv" and len(node.input) > 1 and (weights := self.sizes.get(node.input[1])):
            parts.append(f"{weights[0]} filters")
        for name, word in (("kernel_shape", ""), ("strides", "stride "), ("dilations", "dilation ")):
            value = _attribute(node, name)
            if value and (name == "kernel_shape" or set(value) != {1}):
                parts.append(f"{word}{'×'.join(map(str, value))}")
        return ", ".join(parts)

    def _add(self, name: str, kind: str, label: str, maps: Any, output: str, params: int) -> None:
        name = name[:80]
        if name in self.names:
            name = f"{name} ({len(self.layers)})"
        self.names.add(name)
        self.layers.append(
            {
                "name": name,
                "kind": kind,
                "label": label,
                "inputs": [self.source[one] for one in maps],
                "input_shapes": [self._shape(one) for one in maps],
                "shape": self._shape(output),
                "params": params,
            }
        )
        self.source[output] = name

    def _shape(self, name: str) -> list[int | None] | None:
        """Return a value's shape without the batch and with the channels last."""
        shape = self.shapes.get(name)
        if shape is None:
            return None
        if len(shape) == 4 and name not in self.last:
            return [shape[2], shape[3], shape[1]]
        return shape[1:]


def _known(value: Any) -> list[int | None] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]


if __name__ == "__main__":
    main()
