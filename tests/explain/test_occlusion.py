"""Occlusion against photos hidden by hand, and against the exact window of a pixel."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.explain.test_gates import PLAIN, exported
from unet_core.explain.occlusion import Occlusion, occlusion
from unet_core.images.preprocess import network_input
from unet_core.images.probabilities import class_probabilities
from unet_core.images.samples import cat_png
from unet_core.segment.engine import OnnxEngine
from unet_core.settings import get_settings
from unet_core.zoo.manifest import load_manifest, read_verified

FAST = "pets_fast"
GRID = 6


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(cat_png())).convert("RGB").resize((180, 120)))


@pytest.fixture(scope="module")
def turns() -> list[str]:
    return []


@pytest.fixture(scope="module")
def found(cat: np.ndarray, turns: list[str]) -> Occlusion:
    @contextlib.contextmanager
    def turn():
        turns.append("turn")
        yield

    reports: list[tuple[int, int]] = []
    result = occlusion(
        load_manifest().entry(FAST), cat, get_settings(), grid=GRID, turn=turn,
        progress=lambda done, total: reports.append((done, total)),
    )  # fmt: skip
    assert reports == [(number, GRID**2) for number in range(1, GRID**2 + 1)]
    return result


def test_a_part_hidden_by_hand_changes_the_odds_by_what_is_said(found: Occlusion, cat: np.ndarray) -> None:
    entry, settings = load_manifest().entry(FAST), get_settings()
    engine = OnnxEngine(read_verified(entry, "onnx", settings), entry.config)
    hidden = cat.copy()
    hidden[40:60, 90:120] = np.rint(cat.mean(axis=(0, 1)))  # part (2, 3) of 6 × 6

    def odds(photo: np.ndarray) -> np.ndarray:
        batch = network_input(photo, entry.config, engine.output_size)[0][None]
        pet = 1 - class_probabilities(engine.predict(batch))[0][..., 1].clip(1e-6, 1 - 1e-6)
        return np.log(pet / (1 - pet))

    difference = (odds(cat) - odds(hidden))[::2, ::2]
    assert np.abs(difference).max() > 1
    np.testing.assert_allclose(found.changes[2, 3], difference, atol=0.02, rtol=0.02)
    height, width = difference.shape
    np.testing.assert_array_equal(found.at(0.5, 0.4)[2, 3], found.changes[2, 3, height // 2, int(width * 0.4)])


def test_every_run_has_its_own_turn(found: Occlusion, turns: list[str]) -> None:
    assert len(turns) == 1 + GRID**2


def test_what_is_near_matters_most_and_hiding_the_cat_makes_it_less_a_cat(found: Occlusion) -> None:
    assert 0 < found.reach(0.5, 0.5, 0.5) < found.reach(0.5, 0.5, 0.9) < 0.7
    assert found.of_subject().mean() > 0
    assert found.of_subject().shape == (GRID, GRID)


@pytest.mark.slow
def test_nothing_outside_a_pixels_window_changes_it(tmp_path: Path) -> None:
    config = PLAIN.replace(depth=2)
    _, entry, settings = exported(config, tmp_path)
    photo = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    small = occlusion(entry, photo, settings, grid=16)
    edges = np.arange(17) / 16
    for place in ((0.05, 0.05), (0.5, 0.5), (0.99, 0.3)):
        top, left, bottom, right = small.window(*place)
        assert 0 <= top < place[0] < bottom <= 1
        assert bottom - top < 0.5
        rows = (edges[1:] > top) & (edges[:-1] < bottom)
        columns = (edges[1:] > left) & (edges[:-1] < right)
        outside = ~(rows[:, None] & columns)
        changes = small.at(*place)
        assert np.abs(changes[~outside]).max() > 0.001
        assert not changes[outside].any()


def test_a_photo_smaller_than_its_parts_is_refused(cat: np.ndarray) -> None:
    with pytest.raises(ValueError, match="needs 6 pixels along each side"):
        occlusion(load_manifest().entry(FAST), cat[:5], get_settings(), grid=6)
