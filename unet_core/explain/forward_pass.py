"""A photo on its way through a trained network: what every box of the U diagram holds, as a picture.

Each feature map is reduced to its mean over the channels inside the graph, so that a whole pass stays small. The
session lives for this one pass: it computes means that nothing else needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unet_core.architecture.trace import Trace, trace
from unet_core.explain.diagram.steps import Step, read_steps
from unet_core.explain.exported import mask_graph
from unet_core.explain.probe import following_convolution, is_output_of, layer_of, session, tensor_layout, tensor_shapes
from unet_core.images.interpolate import Box
from unet_core.images.preprocess import network_input
from unet_core.images.probabilities import class_probabilities
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, read_verified


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """One pass of a photo.

    Attributes:
        steps: the boxes in the order of the computation, the photo first and the output last.
        means: the mean over the channels by a step's key, (h, w) float32; without the photo, the output, and those in
            `missing`.
        missing: keys of the steps whose values the exported file does not hold: it has merged them into others.
        probabilities: (h, w, classes) float32 of the photo.
    """

    steps: tuple[Step, ...]
    means: dict[str, np.ndarray] = field(repr=False)
    missing: tuple[str, ...]
    probabilities: np.ndarray = field(repr=False)


def forward_pass(entry: ModelEntry, photo: np.ndarray, settings: Settings) -> ForwardPass:
    """Run a network on a photo, and keep the mean of every feature map that has a box in the diagram.

    Args:
        entry: the model, with an ONNX file in the settings' `weights_dir`.
        photo: (H, W, 3) uint8.
        settings: folders and limits.

    Raises:
        WeightsError: the model's ONNX file is missing, altered, or has no layer names.
    """
    config, traced = entry.config, trace(entry.config)
    proto = mask_graph(read_verified(entry, "onnx", settings))
    steps = read_steps(traced)
    inner = steps[1:-1] if len(steps) > 2 else ()
    found = dict(_tensors(proto, traced, inner))
    if not found:
        raise WeightsError("This model's ONNX file does not have the names of its layers: export it again.")
    for key, (tensor, channels_last) in found.items():
        _reduce(proto, key, tensor, channels_last)
    runner = session(proto.SerializeToString(), settings)
    output_size = (traced.output_shape or config.input_shape)[:2]
    tensor, box = network_input(photo, config, output_size)
    output, *means = runner.run(
        [proto.graph.output[0].name, *(f"{key}:mean" for key in found)], {runner.get_inputs()[0].name: tensor[None]}
    )
    return ForwardPass(
        steps=steps,
        means={key: mean[0] for key, mean in zip(found, means, strict=True)},
        missing=tuple(step.key for step in inner if step.key not in found),
        probabilities=class_probabilities(_part(output, box), config.head_activation)[0],
    )


def _part(output: np.ndarray, box: Box) -> np.ndarray:
    return output[:, box.top : box.top + box.height, box.left : box.left + box.width]


def _reduce(proto: Any, key: str, tensor: str, channels_last: bool) -> None:
    """Add the mean of a tensor over its channels as an output "key:mean", (N, h, w)."""
    import onnx

    axis = 3 if channels_last else 1
    proto.graph.node.append(onnx.helper.make_node("ReduceMean", [tensor], [f"{key}:mean"], axes=[axis], keepdims=0))
    proto.graph.output.append(onnx.helper.make_tensor_value_info(f"{key}:mean", onnx.TensorProto.FLOAT, None))


def _tensors(proto: Any, traced: Trace, steps: tuple[Step, ...]) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield the key, tensor and channel order (True: last) of each step that the graph holds."""
    import onnx

    shapes = tensor_shapes(onnx.shape_inference.infer_shapes(proto))
    merges = dict(_merged_sides(proto, traced))
    named: dict[str, list[str]] = {}
    for node in proto.graph.node:
        for tensor in node.output:
            named.setdefault(layer_of(tensor), []).append(tensor)
    for step in steps:
        if step.operation in ("skip", "up") and (step.operation, step.block) in merges:
            candidates = [merges[step.operation, step.block]]
        else:
            candidates = list(_candidates(proto, step, named))
        for tensor in candidates:
            layout = tensor_layout(shapes.get(tensor), step.shape)
            if layout is not None:
                yield step.key, (tensor, layout)
                break


def _candidates(proto: Any, step: Step, named: dict[str, list[str]]) -> Iterator[str]:
    """Yield tensors that may be a step's result, the likeliest first; see `probe` for what the converter merges."""
    for layer in reversed(step.layers):
        for tensor in reversed(named.get(layer, [])):
            if layer != step.layers[-1]:
                yield following_convolution(proto, tensor)
            yield tensor


def _merged_sides(proto: Any, traced: Trace) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the two tensors that each merge of a skip connection joins, by operation and block."""
    blocks = {layer.name: layer.block for layer in traced.layers}
    for skip in traced.skips:
        merge = next((node for node in proto.graph.node if is_output_of(node, skip.target, "Concat")), None)
        if merge is not None and len(merge.input) == 2:
            yield ("skip", blocks[skip.target]), merge.input[0]
            yield ("up", blocks[skip.target]), merge.input[1]
