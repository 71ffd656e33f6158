"""A shipped model predicts for a photo if one fits, else a stand-in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers import onnx_models
from unet_core.data.synthetic.pets import draw_pet
from unet_core.scoring.shipped_prediction import shipped_prediction
from unet_core.settings import Settings


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    photo, trimap = draw_pet(0, 3, (150, 200))
    return photo, trimap - np.uint8(1)


def test_a_shipped_model_is_used_if_one_fits(pair, tmp_path: Path) -> None:
    stand_in = shipped_prediction(*pair, Settings(weights_dir=tmp_path / "none"))
    assert "simulated from the mask" in stand_in.source
    assert (np.argmax(stand_in.logits, axis=-1) == stand_in.ids).mean() > 0.8


@pytest.mark.parametrize("lost", [0, 4])
def test_the_models_own_logits_are_used_whatever_it_crops(pair, tmp_path: Path, lost: int) -> None:
    settings = onnx_models.install(tmp_path, lost=lost)
    photo = np.zeros((64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    for index, columns in enumerate((slice(0, 20), slice(20, 40), slice(40, 64))):
        photo[:, columns, index] = 255  # red, green, blue: the model says pet, background, border
        mask[:, columns] = index
    prediction = shipped_prediction(photo, mask, settings)
    assert prediction.source == "Measured with the model pixels."
    assert prediction.logits.shape == (*prediction.ids.shape, 3) == (32 - 2 * lost, 32 - 2 * lost, 3)
    assert (np.argmax(prediction.logits, axis=-1) == prediction.ids).mean() > 0.9


def test_a_model_with_other_classes_is_not_used(pair, tmp_path: Path) -> None:
    config = onnx_models.pixel_config(classes=2)
    settings = onnx_models.install(tmp_path, config, onnx_models.BY_COLOUR[:2], classes=("pet", "background"))
    assert "simulated from the mask" in shipped_prediction(*pair, settings).source
