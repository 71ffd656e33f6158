"""A photo made worse step by step: what is compared with what, and whose turn it is."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers.one_pass import one_pass_segmenter
from unet_core.explain.failing import failing
from unet_core.images.corruptions import SLIDERS
from unet_core.images.samples import cat_png
from unet_core.settings import get_settings
from unet_core.zoo.manifest import load_manifest

FAST = "pets_fast"
NAMES = {each.name: each for each in SLIDERS}


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(cat_png())).convert("RGB").resize((226, 150)))


def steps(cat: np.ndarray, name: str, **options):
    return failing(load_manifest().entry(FAST), cat, NAMES[name], get_settings(), **options)


def test_the_unchanged_photo_has_the_mask_of_one_pass_and_agrees_with_itself(cat: np.ndarray) -> None:
    first, *others = steps(cat, "noise")
    assert first.iou == 1
    assert (first.mask == one_pass_segmenter(FAST).segment(cat).mask).mean() > 0.999
    assert [step.shown for step in others][-1] == "128 of 255"
    assert others[-1].iou < 0.5 < others[0].iou


def test_the_reference_moves_with_the_photo(cat: np.ndarray) -> None:
    by_strength = {step.shown: step for step in steps(cat, "turn")}
    assert by_strength["15°"].iou > 0.8
    assert not np.array_equal(by_strength["15°"].mask, by_strength["0°"].mask)


def test_a_true_mask_is_what_counts_where_there_is_one(cat: np.ndarray) -> None:
    nothing = np.zeros(cat.shape[:2], bool)
    assert steps(cat, "blur", reference=nothing)[0].iou == 0
    everything = ~nothing
    found = steps(cat, "blur", reference=everything)[0]
    assert found.iou == pytest.approx((found.mask != 1).mean())


def test_each_run_of_the_network_has_its_own_turn(cat: np.ndarray) -> None:
    turns = []

    @contextlib.contextmanager
    def turn():
        turns.append("entered")
        yield
        turns.append("left")

    steps(cat, "dark", turn=turn)
    assert turns == ["entered", "left"] * (1 + len(NAMES["dark"].strengths))
