"""The layers of a trained network with the weights and the values that they have on one photo, from its ONNX graph.

The converter folds normalizations into convolutions, and activations follow as nodes of their own: here a convolution
takes both along, so what is shown is one layer as the exported network computes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from unet_core.architecture.trace import trace
from unet_core.errors import UNetError
from unet_core.explain.arithmetic import (
    Activation,
    Arithmetic,
    bilinear_upsampling,
    convolution,
    cropped,
    max_pooling,
    transposed_convolution,
)
from unet_core.explain.exported import mask_graph
from unet_core.explain.probe import Opened, session
from unet_core.images.preprocess import network_input
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry, WeightsError

MAX_PLANE_BYTES = 1_700_000  # of a layer's inputs, which are sent to the browser
MAX_SESSIONS = 1
MADE_UP = np.array([[1.0, 0.5], [0.5, 0.25]])  # a kernel whose four outputs can be told apart
TOLERANCE = 1e-3  # between a layer's arithmetic and the runtime's result, of values of about 1


class LayerError(UNetError):
    """A layer or channel that the network does not have, or whose arithmetic cannot be shown."""


@dataclass(frozen=True)
class TrainedLayer:
    """A layer whose arithmetic can be shown.

    Attributes:
        name: unique among the network's layers.
        kind: "convolution", "depthwise convolution", "transposed convolution", "max pooling", "bilinear upsampling" or
            "concatenation".
        shape: height, width and channels of its output.
        inputs: channels of each input.
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    inputs: tuple[int, ...]
    tensors: tuple[str, ...] = field(repr=False)
    output: str = field(repr=False)
    weights: np.ndarray | None = field(default=None, repr=False, compare=False)
    bias: np.ndarray | None = field(default=None, repr=False, compare=False)
    stride: int = 1
    before: tuple[int, int] = (0, 0)
    activation: Activation = "none"

    def arithmetic(self, planes: list[np.ndarray], channel: int) -> Arithmetic:
        """Return the arithmetic of one output channel from the inputs, each (channels, H, W)."""
        size, bias = self.shape[:2], float(self.bias[channel]) if self.bias is not None else 0.0
        match self.kind:
            case "convolution" | "depthwise convolution":
                assert self.weights is not None
                own = planes[0] if self.kind == "convolution" else planes[0][[channel]]
                return convolution(
                    own, self.weights[channel], bias, size=size, stride=self.stride, before=self.before,
                    activation=self.activation,
                )  # fmt: skip
            case "transposed convolution":
                assert self.weights is not None
                kernel = self.weights[:, channel]
                return transposed_convolution(
                    planes[0], kernel, bias, before=self.before[0], activation=self.activation
                )
            case "max pooling":
                return max_pooling(planes[0][channel])
            case "bilinear upsampling":
                return bilinear_upsampling(planes[0][channel])
        source, own_channel = self.source_of(channel)
        return cropped(planes[source][own_channel])

    def source_of(self, channel: int) -> tuple[int, int]:
        """Return which input a concatenation's channel comes from, and its channel there."""
        for source, count in enumerate(self.inputs):
            if channel < count:
                return source, channel
            channel -= count
        raise LayerError(f"channel: {self.name} has {self.shape[2]}. Received: {channel}")


@dataclass(frozen=True, eq=False)
class LayerOnPhoto:
    """One layer's values on a photo: each input and the output, (channels, H, W) float32."""

    layer: TrainedLayer
    inputs: tuple[np.ndarray, ...] = field(repr=False)
    output: np.ndarray = field(repr=False)

    def strongest(self) -> int:
        """Return the output channel with the largest mean size of its values."""
        return int(np.abs(self.output).mean(axis=(1, 2)).argmax())

    def check(self, channel: int) -> None:
        """Raise a LayerError if the layer has no such channel."""
        last = self.layer.shape[2] - 1
        if not 0 <= channel <= last:
            raise LayerError(f"channel: {self.layer.name} has channels 0 to {last}. Received: {channel}")

    def arithmetic(self, channel: int) -> Arithmetic:
        """Return the arithmetic of one output channel, which gives what the network itself computed.

        Raises:
            LayerError: the layer has no such channel, or its arithmetic does not give the network's own values.
        """
        self.check(channel)
        found = self.layer.arithmetic(list(self.inputs), channel)
        own = self.output[channel]
        if not np.allclose(found.whole(), own, rtol=TOLERANCE, atol=TOLERANCE):
            raise LayerError(f"{self.layer.name} computes something that cannot be shown here: choose another layer.")
        return found


class TrainedNetwork:
    """A network whose layers' values can be read; `layers` are those whose arithmetic can be shown, in order."""

    def __init__(self, content: bytes, entry: ModelEntry, settings: Settings) -> None:
        import onnx

        self.config = entry.config
        traced = trace(self.config)
        self.output_size = (traced.output_shape or entry.config.input_shape)[:2]
        proto = mask_graph(content)
        kinds = {row.name: row.spec.kind for row in traced.layers}
        self.layers = tuple(_layers(onnx.shape_inference.infer_shapes(proto), kinds))
        if not self.layers:
            raise WeightsError("None of the layers in this model's ONNX file can be shown pixel by pixel.")
        declared = {output.name for output in proto.graph.output}
        for tensor in dict.fromkeys(name for layer in self.layers for name in (*layer.tensors, layer.output)):
            if tensor not in declared:
                proto.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
        self._session = session(proto.SerializeToString(), settings)
        self._input = self._session.get_inputs()[0].name

    def on_photo(self, name: str, photo: np.ndarray) -> LayerOnPhoto:
        """Return a layer's values on a photo (H, W, 3) uint8.

        Raises:
            LayerError: the network has no such layer.
        """
        layer = next((layer for layer in self.layers if layer.name == name), None)
        if layer is None:
            raise LayerError(f"layer: this network has no layer {name[:80]!r} that can be shown.")
        tensor, _ = network_input(photo, self.config, self.output_size)
        *inputs, output = self._session.run([*layer.tensors, layer.output], {self._input: tensor[None]})
        return LayerOnPhoto(layer, tuple(value[0] for value in inputs), output[0])


def other_operations(first: LayerOnPhoto, channel: int) -> dict[str, Arithmetic]:
    """Return operations that a network may not have, on the values of its first convolution, by what they are called.

    Raises:
        LayerError: the layer is no convolution, or has no such channel.
    """
    first.check(channel)
    layer, plane = first.layer, first.output[channel]
    if layer.kind != "convolution" or layer.weights is None:
        raise LayerError(f"{layer.name} is no convolution.")
    kernel, (height, width) = layer.weights[channel], first.inputs[0].shape[1:]
    size = ((height - kernel.shape[1]) // layer.stride + 1, (width - kernel.shape[2]) // layer.stride + 1)
    bias = 0.0 if layer.bias is None else float(layer.bias[channel])
    margin = min(plane.shape) // 8
    return {
        f"{layer.name}, with padding “valid” instead": convolution(
            first.inputs[0], kernel, bias, size=size, stride=layer.stride, activation=layer.activation
        ),
        "Max pooling 2×2": max_pooling(plane),
        "Transposed convolution 2×2, with a made-up kernel": transposed_convolution(plane[None], MADE_UP[None]),
        f"Crop of {margin} px per side": cropped(plane, (margin,) * 4),
    }


_networks = Opened(TrainedNetwork, MAX_SESSIONS)


def trained_network(entry: ModelEntry, settings: Settings) -> TrainedNetwork:
    """Open a model's ONNX file; the last one stays loaded.

    Raises:
        WeightsError: the file is missing or altered, or none of its layers can be shown.
    """
    return _networks.network(entry, settings)


# --- reading the graph ------------------------------------------------------------------------------------------------


class _Graph:
    """A graph's nodes, constants and shapes by the names of tensors."""

    def __init__(self, proto: Any) -> None:
        import onnx

        graph = proto.graph
        self.nodes = list(graph.node)
        self.constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.initializer}
        values = (*graph.value_info, *graph.output)
        self.shapes = {one.name: tuple(side.dim_value for side in one.type.tensor_type.shape.dim) for one in values}
        self.users: dict[str, list[Any]] = {}
        for node in self.nodes:
            for tensor in node.input:
                self.users.setdefault(tensor, []).append(node)

    def shape(self, tensor: str) -> tuple[int, int, int] | None:
        """Return height, width and channels of a map with channels first, None for anything else."""
        found = self.shapes.get(tensor, ())
        return (found[2], found[3], found[1]) if len(found) == 4 and all(found[1:]) else None

    def after(self, tensor: str) -> Any:
        """Return the only node that reads a tensor, or None."""
        users = self.users.get(tensor, [])
        return users[0] if len(users) == 1 else None


def _layers(proto: Any, kinds: Mapping[str, str]) -> Iterator[TrainedLayer]:
    graph, taken = _Graph(proto), set()
    for node in graph.nodes:
        make = _MAKERS.get(node.op_type)
        layer = make(graph, node, _attributes(node)) if make is not None else None
        if layer is None or _plane_bytes(graph, layer) > MAX_PLANE_BYTES:
            continue
        name = _name(graph, node, layer, kinds)
        if name not in taken:
            taken.add(name)
            yield replace(layer, name=name)


def _plane_bytes(graph: _Graph, layer: TrainedLayer) -> int:
    """Return the size of what one output channel reads."""
    shape = graph.shape(layer.tensors[0]) or (0, 0, 0)
    return 4 * shape[0] * shape[1] * (shape[2] if layer.kind in ("convolution", "transposed convolution") else 1)


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _name(graph: _Graph, node: Any, layer: TrainedLayer, kinds: Mapping[str, str]) -> str:
    """Return the name of the Keras layer that a node comes from, with its part where a layer has two nodes."""
    found = _layer_of(node, kinds)
    if not found and layer.kind == "bilinear upsampling":
        merge = graph.after(node.output[0])
        block = _layer_of(merge, kinds).partition("_")[0] if merge is not None else ""
        found = f"{block or 'head'}_upsample"
    separable = kinds.get(found) == "SeparableConv2D" and layer.kind == "depthwise convolution"
    return f"{found or node.name or node.output[0]}{', depthwise part' if separable else ''}"


def _layer_of(node: Any, kinds: Mapping[str, str]) -> str:
    """Return the layer that the converter named a node or its weights after, "unet_1/<layer>_1/…"; "" for none."""
    for text in (*node.output, node.name, *node.input[1:2]):
        _, _, rest = text.partition("/")
        name = rest.partition("/")[0]
        for candidate in (name, name.rpartition("_")[0]):
            if candidate in kinds:
                return candidate
    return ""


def _convolution(graph: _Graph, node: Any, attributes: dict[str, Any]) -> TrainedLayer | None:
    weights = graph.constants.get(node.input[1])  # (filters, channels / groups, rows, columns)
    before = graph.shape(node.input[0])
    strides = attributes.get("strides", [1, 1])
    plain = set(attributes.get("dilations", [1, 1])) == {1} and len(set(strides)) == 1 and "auto_pad" not in attributes
    if weights is None or before is None or not plain:
        return None
    groups = attributes.get("group", 1)
    if groups != 1 and not (groups == before[2] == len(weights)):
        return None
    return _with_followers(
        graph, node, "depthwise convolution" if groups != 1 else "convolution", weights, before[2], axis=0,
        stride=strides[0], before=tuple(attributes.get("pads", [0, 0])[:2]),
    )  # fmt: skip


def _transposed(graph: _Graph, node: Any, attributes: dict[str, Any]) -> TrainedLayer | None:
    weights = graph.constants.get(node.input[1])  # (channels, filters, rows, columns)
    before, after = graph.shape(node.input[0]), graph.shape(node.output[0])
    if weights is None or before is None or after is None or attributes.get("group", 1) != 1:
        return None
    if after[:2] != (2 * before[0], 2 * before[1]) or len(set(weights.shape[2:])) != 1:
        return None
    pads = attributes.get("pads", [0, 0])
    return _with_followers(graph, node, "transposed convolution", weights, before[2], axis=1, before=(pads[0], pads[1]))


def _with_followers(
    graph: _Graph, node: Any, kind: str, weights: np.ndarray, channels: int, *, axis: int, **details: Any
) -> TrainedLayer | None:
    """Return a layer with the scale, offset and activation that follow it folded in."""
    count, output = weights.shape[axis], node.output[0]
    weights = weights.astype(np.float64)
    bias = graph.constants[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(count)
    activation: Activation = "none"
    while (follower := graph.after(output)) is not None and activation == "none":
        constant = next((graph.constants[name] for name in follower.input if name in graph.constants), None)
        if follower.op_type in ("Mul", "Add") and constant is not None and constant.size in (1, count):
            values = np.broadcast_to(constant.reshape(-1), (count,)).astype(np.float64)
            if follower.op_type == "Mul":
                weights = weights * values.reshape([-1 if at == axis else 1 for at in range(4)])
                bias = bias * values
            else:
                bias = bias + values
        elif (found := _activation(graph, follower)) is not None:
            activation = found
        else:
            break
        output = follower.output[0]
    shape = graph.shape(output)
    if shape is None:
        return None
    return TrainedLayer(
        "", kind, shape, (channels,), (node.input[0],), output, weights, bias, activation=activation, **details
    )


def _activation(graph: _Graph, node: Any) -> Activation | None:
    if node.op_type == "Clip":
        limits = [float(graph.constants[name]) for name in node.input[1:] if name in graph.constants]
        return "relu6" if limits == [0.0, 6.0] else None
    return {"Relu": "relu", "Sigmoid": "sigmoid"}.get(node.op_type)  # type: ignore[return-value]


def _pooling(graph: _Graph, node: Any, attributes: dict[str, Any]) -> TrainedLayer | None:
    before, after = graph.shape(node.input[0]), graph.shape(node.output[0])
    halves = attributes.get("kernel_shape") == [2, 2] == attributes.get("strides") and not any(
        attributes.get("pads", [])
    )
    if before is None or after is None or not halves:
        return None
    return TrainedLayer("", "max pooling", after, (before[2],), (node.input[0],), node.output[0])


def _upsampling(graph: _Graph, node: Any, attributes: dict[str, Any]) -> TrainedLayer | None:
    before, after = graph.shape(node.input[0]), graph.shape(node.output[0])
    doubles = before is not None and after == (2 * before[0], 2 * before[1], before[2])
    how = (attributes.get("mode"), attributes.get("coordinate_transformation_mode", b"half_pixel"))
    if before is None or after is None or not doubles or how != (b"linear", b"half_pixel"):
        return None
    return TrainedLayer("", "bilinear upsampling", after, (before[2],), (node.input[0],), node.output[0])


def _concatenation(graph: _Graph, node: Any, attributes: dict[str, Any]) -> TrainedLayer | None:
    shapes, after = [graph.shape(tensor) for tensor in node.input], graph.shape(node.output[0])
    if after is None or attributes.get("axis") != 1 or any(shape is None for shape in shapes):
        return None
    channels = tuple(shape[2] for shape in shapes if shape is not None)
    return TrainedLayer("", "concatenation", after, channels, tuple(node.input), node.output[0])


_MAKERS = {
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "MaxPool": _pooling,
    "Resize": _upsampling,
    "Concat": _concatenation,
}
