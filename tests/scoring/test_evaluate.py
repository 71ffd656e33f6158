from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.data.pipeline import TargetCoding, target_coding
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.scoring.evaluate import EvaluationError, evaluate, report

CONFIG = UNetConfig(height=32, width=32, depth=2, base_filters=4, preprocessing=Preprocessing(scale="unit"))
COLOURS = np.eye(3, dtype=np.uint8) * 255  # class 0 red, class 1 green, class 2 blue


@dataclass(frozen=True)
class Painted:
    """A photo whose colours are its classes, so that a network which passes colours on is perfect."""

    ids: np.ndarray
    name: str = "painted"

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        return COLOURS[self.ids], self.ids


class ColourNetwork:
    """Predicts from the colours of its input, cropped to the centre, times a weight per class."""

    name, device = "test", "nowhere"

    def __init__(self, side: int = 32, weights: tuple[float, ...] = (1, 1, 1)) -> None:
        self.output_size = (side, side)
        self._weights = np.array(weights, np.float32)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        margin = (batch.shape[1] - self.output_size[0]) // 2
        seen = batch[:, margin : margin + self.output_size[0], margin : margin + self.output_size[1]]
        return 20 * seen * self._weights


def coding(classes: int = 3) -> TargetCoding:
    return target_coding(SyntheticPets(), classes)


def blocks(seed: int = 0, side: int = 32) -> Painted:
    """Paint blocks of 4 × 4 pixels in random classes."""
    coarse = np.random.default_rng(seed).integers(0, 3, (side // 4, side // 4), dtype=np.uint8)
    return Painted(coarse.repeat(4, axis=0).repeat(4, axis=1))


@pytest.mark.parametrize("flip", [False, True])
def test_a_perfect_network_scores_one(flip: bool) -> None:
    found = report(evaluate(ColourNetwork(), CONFIG, [blocks(0), blocks(1)], coding(), size=(32, 32), flip=flip))
    assert found["images"] == 2
    assert found["pixel_accuracy"] == found["mean_iou"] == 1
    assert found["iou"] == found["dice"] == {"pet": 1, "background": 1, "border": 1}
    assert found["pet_iou"] == found["pet_alone_iou"] == {"dataset": 1, "per_image_mean": 1}


def test_figures_equal_a_count_by_hand() -> None:
    # A network that never says border: border pixels look like pet to it (class 0 on a tie).
    first, second = Painted(np.zeros((4, 4), np.uint8)), Painted(np.array([[0, 0, 1, 2]] * 4, np.uint8))
    network = ColourNetwork(side=4, weights=(1, 1, 0))
    found = report(evaluate(network, CONFIG.replace(height=4, width=4), [first, second], coding(), size=(4, 4)))
    assert found["confusion_matrix"] == [[24, 0, 0], [0, 4, 0], [4, 0, 0]]
    assert found["pixel_accuracy"] == pytest.approx(28 / 32)
    assert found["iou"] == pytest.approx({"pet": 24 / 28, "background": 1, "border": 0}, abs=1e-6)
    assert found["dice"] == pytest.approx({"pet": 48 / 52, "background": 1, "border": 0}, abs=1e-6)
    assert found["mean_iou"] == pytest.approx((24 / 28 + 1 + 0) / 3, abs=1e-6)
    assert found["pet_iou"] == {"dataset": 1, "per_image_mean": 1}
    assert found["pet_alone_iou"] == pytest.approx({"dataset": 24 / 28, "per_image_mean": (1 + 8 / 12) / 2}, abs=1e-6)


def test_prediction_and_truth_meet_at_the_size_asked_for() -> None:
    found = report(evaluate(ColourNetwork(), CONFIG, [blocks(side=64)], coding(), size=(64, 64)))
    assert found["image_size"] == [64, 64]
    assert np.sum(found["confusion_matrix"]) == 64 * 64
    assert found["pixel_accuracy"] > 0.85, "blocks of 4 pixels survive half the size"


def test_a_network_that_loses_its_border_is_measured_on_the_whole_photo() -> None:
    config = CONFIG.replace(padding="valid", height=48, width=48)
    found = report(evaluate(ColourNetwork(side=32), config, [blocks()], coding(), size=(32, 32)))
    assert found["pixel_accuracy"] == 1


def test_a_one_class_head_counts_the_border_as_pet() -> None:
    class PetOrNot(ColourNetwork):
        def predict(self, batch: np.ndarray) -> np.ndarray:
            return 20 * (batch[..., :1] + batch[..., 2:] - 0.5)

    found = report(evaluate(PetOrNot(), CONFIG.replace(classes=1), [blocks()], coding(1), size=(32, 32)))
    assert found["classes"] == ["pet", "background"]
    assert found["pet_iou"] == {"dataset": 1, "per_image_mean": 1}
    assert found["pet_alone_iou"] is None


def test_a_class_that_never_occurs_is_null_and_not_counted() -> None:
    photo = Painted(np.zeros((32, 32), np.uint8))
    found = report(evaluate(ColourNetwork(), CONFIG, [photo], coding(), size=(32, 32)))
    assert found["iou"] == {"pet": 1, "background": None, "border": None}
    assert found["mean_iou"] == 1


def test_no_photo_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="no photo"):
        evaluate(ColourNetwork(), CONFIG, [], coding())
