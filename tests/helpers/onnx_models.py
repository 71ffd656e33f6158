"""Hand-made ONNX models whose right answer is known: the classes of a pixel depend on that pixel's colour alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.classes import CLASS_NAMES
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry, file_record, write_entry

# Logits of a pixel (red, green, blue) in 0…1: red is pet (0), green is background (1), blue is border (2).
BY_COLOUR = np.eye(3, dtype=np.float32) * 8


def pixel_config(**changes) -> UNetConfig:
    """A configuration that fits the models made here; only what goes in and comes out of it matters."""
    return UNetConfig(**{"height": 32, "width": 32, "classes": 3, "depth": 2, "base_filters": 2, **changes})


def pixel_model(config: UNetConfig, weights: np.ndarray = BY_COLOUR, *, lost: int = 0, bias: float = 0) -> bytes:
    """Build the model: logits = weights · pixel + bias, without `lost` pixels at every edge."""
    from onnx import TensorProto, helper, numpy_helper

    height, width = config.height - 2 * lost, config.width - 2 * lost
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *config.input_shape])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", height, width, len(weights)])
    nodes = [
        helper.make_node("Slice", ["image", "starts", "ends", "axes"], ["centre"]),
        helper.make_node("Transpose", ["centre"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels_first", "weights", "bias"], ["scores"], kernel_shape=[1, 1]),
        helper.make_node("Transpose", ["scores"], ["logits"], perm=[0, 2, 3, 1]),
    ]
    constants = {
        "weights": np.asarray(weights, np.float32)[:, :, None, None],
        "bias": np.full(len(weights), bias, np.float32),
        "starts": np.array([lost, lost]),
        "ends": np.array([lost + height, lost + width]),
        "axes": np.array([1, 2]),
    }
    graph = helper.make_graph(
        nodes, "pixels", [image], [logits], [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def install(
    folder: Path,
    config: UNetConfig | None = None,
    weights: np.ndarray = BY_COLOUR,
    *,
    name: str = "pixels",
    classes: tuple[str, ...] = CLASS_NAMES,
    lost: int = 0,
    bias: float = 0,
) -> Settings:
    """Write the model and its manifest entry into `folder`; returns settings that use this folder."""
    config = config or pixel_config(preprocessing=Preprocessing())
    path = folder / f"{name}.onnx"
    path.write_bytes(pixel_model(config, weights, lost=lost, bias=bias))
    entry = ModelEntry(
        config=config, preprocessing=config.preprocessing, classes=classes, files={"onnx": file_record(path)}
    )
    write_entry(name, entry, folder)
    return Settings(weights_dir=folder)
