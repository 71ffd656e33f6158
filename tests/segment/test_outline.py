"""The soft outline, the subject's own colours, the animals told apart, and islands and holes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from tests.helpers.segmentations import pet_shape, random_segmentation, segmentation
from unet_core.classes import PET_CLASSES, PixelClasses
from unet_core.images.interpolate import resized
from unet_core.segment import outline
from unet_core.segment.presence import Presence

HAIRS = 400


def hairy_pet(side: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw a furry disc on a plain ground.

    Returns:
        The photo (H, W, 3) uint8, its true opacity (H, W), its true colours (H, W, 3), and probabilities (h, w, 3) as a
        network of a quarter of the size would give them: a border as wide as the fur.
    """
    random = np.random.default_rng(4)
    fine = 3 * side  # drawn three times finer, then averaged
    rows, columns = np.mgrid[:fine, :fine] / fine - 0.5
    alpha = (np.hypot(rows, columns) < 0.25).astype(np.float32)
    for angle, length in zip(random.uniform(0, 2 * np.pi, HAIRS), random.uniform(0.01, 0.05, HAIRS), strict=True):
        reach = np.linspace(0.24, 0.25 + length, 200)
        y, x = ((0.5 + reach * way) * fine for way in (np.sin(angle), np.cos(angle)))
        alpha[y.astype(int), x.astype(int)] = 1
        alpha[y.astype(int) + 1, x.astype(int)] = 1
    alpha = alpha.reshape(side, 3, side, 3).mean(axis=(1, 3))
    colours = np.broadcast_to(np.array([200.0, 120, 40]), (side, side, 3)) + random.normal(0, 5, (side, side, 3))
    ground = np.array([40.0, 90, 160]) + random.normal(0, 5, (side, side, 3))
    photo = colours * alpha[..., None] + ground * (1 - alpha[..., None])
    distance = np.hypot(*(np.mgrid[: side // 4, : side // 4] / (side // 4) - 0.5))
    pet = 1 / (1 + np.exp((distance - 0.25) / 0.006))
    background = 1 / (1 + np.exp((0.30 - distance) / 0.006))
    border = np.clip(1 - pet - background, 0, 1)
    probabilities = np.stack([pet, background, border], axis=-1)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    return np.rint(photo.clip(0, 255)).astype(np.uint8), alpha, colours, probabilities.astype(np.float32)


def test_hair_comes_with_the_pet_and_the_ground_does_not():
    photo, truth, _, probabilities = hairy_pet()
    certainty = outline.subject_certainty(probabilities, PET_CLASSES)
    alpha = outline.soft_outline(photo, certainty)
    midline = (resized(certainty[..., None], *truth.shape)[..., 0] > 0.5).astype(np.float32)
    rim = ndimage.binary_dilation(truth > 0, iterations=8) & (ndimage.minimum_filter(truth, 17) < 1)
    by_outline, by_midline = (np.abs(found - truth)[rim].mean() for found in (alpha, midline))
    assert by_outline < 0.65 * by_midline
    assert by_outline < 0.15
    assert alpha[200, 200] == 1
    assert alpha[5, 5] == 0


def test_the_outline_of_a_flat_photo_is_the_middle_of_the_border():
    one = segmentation(pet_shape(120, 160))
    rows, columns = np.mgrid[:120, :160]
    distance = np.hypot((rows - 60) / 42, (columns - 72) / 56)
    assert (one.alpha[distance < 1] > 0.5)[distance[distance < 1] > 0.4].mean() > 0.99
    assert not (one.alpha[distance > 1.15] > 0.5).any()
    border = one.alpha[(distance > 1) & (distance < 1.15)] > 0.5
    assert 0.3 < border.mean() < 0.7


@pytest.mark.parametrize("radius", [5, 8, 12, 30])
def test_a_small_subject_keeps_its_outline_in_a_motley_photo(radius: int) -> None:
    random = np.random.default_rng(radius)
    side = 256
    photo = ndimage.gaussian_filter(random.uniform(0, 255, (side, side, 3)), (2, 2, 0))
    photo = 255 * (photo - photo.min()) / (photo.max() - photo.min())
    distance = np.hypot(*(np.mgrid[:side, :side] - side / 2))
    subject = distance < radius
    photo[subject] = 0.5 * photo[subject] + (120, 70, 30)
    certainty = 1 / (1 + np.exp((distance - radius) / 1.5))
    shown = outline.soft_outline(np.rint(photo.clip(0, 255)).astype(np.uint8), certainty.astype(np.float32)) > 0.5
    assert (shown & subject).sum() / (shown | subject).sum() > 0.97


def test_a_border_goes_to_the_subject_where_that_is_hardly_less_likely() -> None:
    pet, background, border = 0.18, 0.22, 0.6
    probabilities = np.array([[[pet, background, border], [pet / 2, background, border]]], np.float32)
    assert (outline.subject_certainty(probabilities, PET_CLASSES) > 0.5).tolist() == [[True, False]]
    without = PixelClasses(names=("pet", "ground"), colours=((0, 0, 0),) * 2, codes=(0, 1), background=1)
    halves = np.array([[[0.49, 0.51], [0.51, 0.49]]], np.float32)
    assert (outline.subject_certainty(halves, without) > 0.5).tolist() == [[False, True]]


def test_the_outline_has_the_photos_size_whatever_that_of_the_probabilities():
    one = segmentation(pet_shape(60, 80))
    large = np.zeros((300, 400, 3), np.uint8)
    twice = outline.soft_outline(large, outline.subject_certainty(one.probabilities, PET_CLASSES))
    assert twice.shape == (300, 400)
    small = twice.reshape(60, 5, 80, 5).mean(axis=(1, 3))
    assert np.abs(small - one.alpha).mean() < 0.02


@pytest.mark.parametrize(("ids", "expected"), [(np.ones((3, 4)), 0), (np.zeros((3, 4)), 1), (np.zeros((1, 1)), 1)])
def test_masks_of_one_class_have_a_plain_outline(ids, expected):
    assert (segmentation(ids).alpha == expected).all()


def test_any_probabilities_give_an_outline_between_0_and_1():
    one = random_segmentation(41, 67)
    assert one.alpha.dtype == np.float32
    assert one.alpha.min() >= 0
    assert one.alpha.max() <= 1


def test_the_subject_of_other_models_is_all_but_the_background_or_what_is_chosen():
    classes = PixelClasses(names=("sky", "tree", "car"), colours=((0, 0, 0),) * 3, codes=(0, 1, 2), background=0)
    ids = np.repeat(np.repeat([[0, 1, 2]], 30, axis=0), 30, axis=1)
    one = dataclasses.replace(segmentation(ids, classes=classes.names), pixel_classes=classes)
    assert np.array_equal(one.alpha > 0.5, ids > 0)
    assert np.array_equal(one.alpha_of([2]) > 0.5, ids == 2)
    with pytest.raises(ValueError, match="subject"):
        one.alpha_of([3])


def test_what_was_not_found_has_no_outline():
    one = dataclasses.replace(segmentation(pet_shape()), presence=Presence(False, 0.02))
    assert not one.alpha.any()
    assert one.coverage == 0
    assert one.animals.count == 0


def test_the_colours_of_a_cut_out_are_the_subjects_own():
    photo, truth, colours, _ = hairy_pet()
    own = outline.foreground(photo, truth.astype(np.float32))
    mixed = (truth > 0.1) & (truth < 0.9)
    before, after = (np.abs(picture[mixed] - colours[mixed]).mean() for picture in (photo.astype(float), own))
    assert after < 0.35 * before
    certain = (truth == 0) | (truth == 1)
    assert np.array_equal(own[certain], photo[certain])


# --- animals ------------------------------------------------------------------------------------------------------


def two_pets() -> np.ndarray:
    """Two discs that touch, with a border between them, and a speck: class ids (60, 120)."""
    rows, columns = np.mgrid[:60, :120]
    one, two = np.hypot(rows - 30, columns - 35), np.hypot(rows - 30, columns - 80)
    ids = np.full((60, 120), 1, np.uint8)
    ids[(one < 26) | (two < 23)] = 2
    ids[one < 22] = 0
    ids[two < 19] = 0
    ids[2:4, 2:4] = 0
    return ids


def test_touching_animals_are_told_apart_the_largest_first():
    animals = segmentation(two_pets()).animals
    assert animals.count == 2
    assert (animals.labels[30, 35], animals.labels[30, 80]) == (1, 2)
    assert (animals.labels == 1).sum() > (animals.labels == 2).sum()
    assert animals.alpha_of(1)[30, 80] == 0
    assert animals.alpha_of(2)[30, 80] == 1
    assert np.array_equal(animals.alpha_of(1) + animals.alpha_of(2), animals.alpha)
    with pytest.raises(ValueError, match="1 to 2"):
        animals.alpha_of(3)


def test_each_animals_soft_edge_is_its_own():
    ids = np.ones((80, 160), np.uint8)
    ids[20:60, 10:60] = 0
    ids[30:50, 130:145] = 0
    animals = segmentation(ids).animals
    assert animals.count == 2
    assert (animals.territories[:, :85] == 1).all()
    assert (animals.territories[:, 110:] == 2).all()
    assert not animals.alpha_of(2)[:, :90].any()


def test_one_animal_in_two_parts_of_very_different_size_is_one():
    ids = two_pets()
    ids[:, 60:] = 1
    assert segmentation(ids).animals.count == 1


# --- islands and holes --------------------------------------------------------------------------------------------


def test_cleaning_drops_islands_and_fills_holes():
    ids = np.ones((40, 40), np.uint8)
    ids[5:25, 5:25] = 0
    ids[10:12, 10:12] = 1  # a hole of 4 pixels
    ids[35:37, 35:37] = 0  # an island of 4
    one = segmentation(ids)
    assert one.cleaned(0) is one
    assert np.array_equal(one.cleaned(0.009).mask, ids)  # both are about a hundredth of the pet
    clean = one.cleaned(0.05)
    expected = np.ones((40, 40), np.uint8)
    expected[5:25, 5:25] = 0
    assert np.array_equal(clean.mask, expected)
    assert clean.shares["pet"] == pytest.approx(400 / 1600)
    assert (clean.alpha[10:12, 10:12] > 0.5).all()
    assert np.array_equal(one.mask, ids)  # the original stays


def test_what_touches_the_photos_edge_is_no_hole():
    ids = np.zeros((20, 20), np.uint8)
    ids[0, 5] = 1
    assert segmentation(ids).cleaned(0.5).mask[0, 5] == 1


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_outside_their_range_are_refused(share):
    with pytest.raises(ValueError, match="least_share"):
        segmentation(pet_shape()).cleaned(share)
