"""Exported networks as graphs that can be read and changed: those of the masks, without what other outputs need."""

from __future__ import annotations

from typing import Any


def mask_graph(content: bytes) -> Any:
    """Return an ONNX model of which only the first output, the masks', and what it is computed from are left."""
    import onnx

    proto = onnx.load_model_from_string(content)
    graph = proto.graph
    if len(graph.output) == 1:
        return proto
    needed, nodes = {graph.output[0].name}, []
    for node in reversed(graph.node):  # they are in the order of the computation
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    constants = [constant for constant in graph.initializer if constant.name in needed]
    _replace(graph.node, nodes[::-1])
    _replace(graph.initializer, constants)
    del graph.output[1:]
    return proto


def _replace(field: Any, values: list[Any]) -> None:
    del field[:]
    field.extend(values)
