"""A model of a few hundred bytes for tests of what surrounds a model: it tells pet from background by colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unet_core.architecture.presets import PRESETS
from unet_core.classes import CLASS_NAMES
from unet_core.zoo.manifest import ModelEntry, file_record, write_entry

SIDE = 64
# Logits for pet, background, border of a pixel (red, green, blue) in -1…1: reddish is pet, the rest background.
WEIGHTS = np.array([[9, 0, -9], [-9, 0, 9], [-2, 0, 2]], np.float32)
BIAS = np.array([-1.5, 1.5, -0.5], np.float32)


def write_tiny_model(folder: Path, name: str = "tiny") -> Path:
    """Write the model and a manifest into `folder` and return it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir(parents=True, exist_ok=True)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", SIDE, SIDE, 3])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", SIDE, SIDE, 3])
    nodes = [
        helper.make_node("Transpose", ["image"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["channels_first"], ["smooth"], kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[1, 1]
        ),
        helper.make_node("Conv", ["smooth", "weights", "bias"], ["scores"], kernel_shape=[1, 1]),
        helper.make_node("Transpose", ["scores"], ["logits"], perm=[0, 2, 3, 1]),
    ]
    constants = [
        numpy_helper.from_array(WEIGHTS[:, :, None, None], "weights"),
        numpy_helper.from_array(BIAS, "bias"),
    ]
    graph = helper.make_graph(nodes, "tiny", [image], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / f"{name}.onnx")
    entry = ModelEntry(
        title="Tiny, for tests",
        config=PRESETS["pets_fast"].config.replace(height=SIDE, width=SIDE),
        preprocessing=PRESETS["pets_fast"].config.preprocessing,
        classes=CLASS_NAMES,
        files={"onnx": file_record(folder / f"{name}.onnx")},
    )
    write_entry(name, entry, folder)
    return folder
