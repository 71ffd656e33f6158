"""Corruptions: the first step of each slider is the unchanged photo, and masks move with their photos."""

from __future__ import annotations

import numpy as np
import pytest

from unet_core.classes import IGNORE_ID
from unet_core.images.corruptions import SLIDERS, Corruption


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A photo of noise, and a mask of a block left of the middle."""
    photo = np.random.default_rng(3).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    ids = np.zeros((60, 60), np.uint8)
    ids[20:40, 10:30] = 1
    return photo, ids


def slider(name: str) -> Corruption:
    return next(each for each in SLIDERS if each.name == name)


@pytest.mark.parametrize("corruption", SLIDERS, ids=lambda each: each.name)
def test_the_first_step_changes_nothing_and_the_others_all_do(corruption: Corruption, pair) -> None:
    unchanged, ids = corruption.apply(*pair, corruption.strengths[0], "photo")
    np.testing.assert_array_equal(unchanged, pair[0])
    np.testing.assert_array_equal(ids, pair[1])
    pictures = [corruption.apply(*pair, strength, "photo")[0] for strength in corruption.strengths]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    again = corruption.apply(*pair, corruption.strengths[-1], "photo")[0]
    np.testing.assert_array_equal(again, pictures[-1])
    assert len({corruption.shown(strength) for strength in corruption.strengths}) == len(pictures)


def test_a_quarter_turn_is_clockwise_and_takes_the_mask_along(pair) -> None:
    photo, ids = slider("turn").apply(*pair, 90, "photo")
    np.testing.assert_array_equal(ids, np.rot90(pair[1], -1))
    np.testing.assert_array_equal(photo, np.rot90(pair[0], -1))


def test_what_is_covered_is_no_longer_scored_and_lies_over_the_subject(pair) -> None:
    photo, ids = slider("occlude").apply(*pair, 0.1, "photo")
    covered = ids == IGNORE_ID
    assert covered.mean() == pytest.approx(0.1, abs=0.01)
    assert (photo[covered] == 128).all()
    np.testing.assert_array_equal(photo[~covered], pair[0][~covered])
    rows, columns = np.nonzero(covered)
    assert (rows.mean(), columns.mean()) == pytest.approx((29.5, 19.5), abs=1)
    most = slider("occlude").apply(*pair, 0.6, "photo")[1]  # it stays within the photo
    assert (most == IGNORE_ID).mean() == pytest.approx(0.6, abs=0.02)


def test_a_smaller_photo_stands_in_the_middle_with_its_mask(pair) -> None:
    photo, ids = slider("shrink").apply(*pair, 0.5, "photo")
    assert np.count_nonzero(ids) == np.count_nonzero(pair[1]) // 4
    assert ids[25:35, 20:30].all()
    ground = photo[:15]
    assert (ground == np.rint(pair[0].mean(axis=(0, 1)))).all()
