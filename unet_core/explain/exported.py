"""Exported networks as graphs that can be read and changed: those of the masks, without what other outputs need."""

from __future__ import annotations

from typing import Any


def mask_graph(content: bytes) -> Any:
    """Return an ONNX model of which only the first output, the masks', and what it is computed from are left."""
    import onnx.utils

    proto = onnx.load_model_from_string(content)
    if len(proto.graph.output) == 1:
        return proto
    inputs = [one.name for one in proto.graph.input]
    return onnx.utils.Extractor(proto).extract_model(inputs, [proto.graph.output[0].name])
