"""EfficientNet-Lite0: its layers, and its shipped ImageNet weights."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.errors import ConfigError
from unet_core.models import build, efficientnet_lite
from unet_core.models.efficientnet_lite import IMAGENET_WEIGHTS, efficientnet_lite0, imagenet_weights_file
from unet_core.models.encoders import save_imagenet_weights

LITE = UNetConfig(
    height=64, width=64, depth=5, base_filters=4, encoder="efficientnet_lite0",
    preprocessing=Preprocessing(scale="symmetric"),
)  # fmt: skip
# The published network has 4 652 008 trainable parameters; its head is a 1×1 convolution to 1280 channels with scale
# and offset, and 1000 classes.
TRAINABLE = 4_652_008 - (320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000)


def test_it_has_as_many_parameters_as_the_published_network_without_its_head() -> None:
    model = efficientnet_lite0(keras.Input((64, 64, 3)))
    assert sum(keras.ops.size(weight) for weight in model.trainable_weights) == TRAINABLE
    assert model.output_shape == (None, 2, 2, 320)


def test_the_shipped_weights_are_read_whatever_the_weights_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(tmp_path))
    model = build(LITE.replace(encoder_weights="imagenet"))
    # Trained on values of -1 to 1: the stem's statistics are those of such images.
    means = keras.ops.convert_to_numpy(model.get_layer("stem_bn").moving_mean)
    assert 0 < np.abs(means).max() < 3
    # Single numbers of Google's checkpoint, in PyTorch's order of axes [9, 1, 0, 2] and [7, 0, 1, 4].
    stem, depthwise = (model.get_layer(name).kernel for name in ("stem_conv", "block3a_dwconv"))
    assert float(stem[0, 2, 1, 9]) == 0.055213138461112976
    assert float(depthwise[1, 4, 7, 0]) == 0.09787213802337646


def test_without_their_file_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr(efficientnet_lite, "ROOT", tmp_path)
    with pytest.raises(ConfigError, match="efficientnet_lite0.weights.h5 is missing"):
        build(LITE.replace(encoder_weights="imagenet"))


def test_a_changed_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = bytearray(imagenet_weights_file().read_bytes())
    changed[-1] ^= 1
    file = tmp_path / IMAGENET_WEIGHTS
    file.parent.mkdir()
    file.write_bytes(changed)
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match="is not the shipped file"):
        build(LITE.replace(encoder_weights="imagenet"))


@pytest.mark.slow
def test_imagenet_weights_are_written_to_a_file_that_starts_an_encoder(tmp_path: Path) -> None:
    file = tmp_path / "encoder.weights.h5"
    assert (
        save_imagenet_weights("efficientnet_lite0", 1.0, file)
        == efficientnet_lite0(keras.Input((64, 64, 3))).count_params()
    )
    started = build(LITE.replace(encoder_weights=str(file)))
    shipped = build(LITE.replace(encoder_weights="imagenet"))
    for layer in ("stem_conv", "block5c_bn", "block7a_project_conv"):
        for ours, theirs in zip(started.get_layer(layer).weights, shipped.get_layer(layer).weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ConfigError, match="must end in .weights.h5"):
        save_imagenet_weights("efficientnet_lite0", 1.0, tmp_path / "encoder.h5")
