"""What is said about a dataset and a network before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import own_datasets
from tests.helpers.tiny_run import TINY, tiny_config
from unet_core.data.own.report import inspect_dataset, save_report
from unet_core.data.pipeline import open_source
from unet_core.train.data_warnings import data_warnings, typical_sides


@pytest.fixture
def squares(tmp_path: Path) -> str:
    """Photos of 64×128 with four squares of 6×6 pixels and one of 24×24, of two classes."""
    for number in range(9):
        ids = np.zeros((64, 128), np.uint8)
        for top, left in ((2, 2), (2, 20), (40, 2 + number), (40, 20 + number)):
            ids[top : top + 6, left : left + 6] = 1
        ids[20:44, 80:104] = 2
        own_datasets.save_photo(tmp_path / "images" / f"p{number}.png", ids, number)
        own_datasets.save_mask(tmp_path / "masks" / f"p{number}.png", Image.fromarray(ids))
    save_report(inspect_dataset(tmp_path, class_names=["ground", "nut", "plate"]), tmp_path)
    return str(tmp_path)


def test_the_width_of_objects_is_that_at_the_networks_size(squares: str) -> None:
    source = open_source(squares, TINY)
    assert typical_sides(source, (64, 128)) == pytest.approx({"nut": 6, "plate": 24})
    assert typical_sides(source, (16, 32)) == pytest.approx({"nut": 1.5, "plate": 6})


def test_objects_that_vanish_are_named(squares: str) -> None:
    config = tiny_config(model=TINY.replace(height=16, width=32), data=squares)
    (sentence,) = data_warnings(config)
    assert "class nut is 1.5 pixels wide" in sentence
    assert "train on crops" in sentence
    assert data_warnings(config.replace(crops=True)) == ()
    assert data_warnings(config.replace(model=TINY.replace(height=32, width=64))) == ()


def test_a_network_with_more_classes_than_the_data_is_named(tmp_path: Path) -> None:
    folder = own_datasets.folder(tmp_path / "two", 12)
    save_report(inspect_dataset(folder, class_names=["ground", "tree"]), folder)
    (sentence,) = data_warnings(tiny_config(model=TINY.replace(height=48, width=48), data=str(folder)))
    assert "3 classes and the dataset 2 (ground, tree)" in sentence
    assert data_warnings(tiny_config(model=TINY.replace(height=48, width=48, classes=2), data=str(folder))) == ()


def test_built_in_datasets_and_unreadable_ones_get_no_sentence(tmp_path: Path) -> None:
    assert data_warnings(tiny_config()) == ()
    assert data_warnings(tiny_config(data=str(tmp_path / "gone"))) == ()
