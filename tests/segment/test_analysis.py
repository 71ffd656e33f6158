"""Heat maps, uncertainty and the threshold on pet, against plain loops and matplotlib's own viridis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from tests.helpers.segmentations import pet_shape, random_segmentation, segmentation
from unet_core.segment import analysis
from unet_core.zoo.meaning import classes_named


def test_colours_are_viridis():
    import matplotlib

    expected = np.array(matplotlib.colormaps["viridis"].colors) * 255
    assert np.abs(analysis.colourise(np.arange(256) / 255) - expected).max() < 2


def test_lightness_of_the_colours_rises_throughout():
    linear = (analysis.colourise(np.linspace(0, 1, 64)) / 255.0) ** 2.2
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()


def test_values_outside_their_range_are_clipped():
    low, high = analysis.colourise([0.0, 1.0])
    assert analysis.colourise([-3, math.nan, 7]).tolist() == [low.tolist(), low.tolist(), high.tolist()]


def test_colour_bar_runs_from_left_to_right():
    bar = analysis.colour_bar(100, 5)
    assert bar.shape == (5, 100, 3)
    assert np.array_equal(bar[0], analysis.colourise(np.linspace(0, 1, 100)))


def test_heat_map_colours_the_class_probability():
    found = random_segmentation(7, 9)
    for class_id in range(3):
        expected = analysis.colourise(found.probabilities[..., class_id])
        assert np.array_equal(analysis.heat_map(found, class_id), expected)


def test_heat_map_of_another_size_is_interpolated_like_pillow():
    found = random_segmentation(8, 10)
    plane = analysis.probability(found, [0], size=(40, 70))
    expected = np.asarray(Image.fromarray(found.probabilities[..., 0]).resize((70, 40), Image.Resampling.BILINEAR))
    assert np.abs(plane - expected).max() < 1e-5
    assert analysis.heat_map(found, 0, size=(40, 70)).shape == (40, 70, 3)


def test_entropy_equals_a_plain_loop():
    found = random_segmentation(6, 5)
    result = analysis.uncertainty(found, limit=0.4)
    expected = np.zeros((6, 5))
    for row in range(6):
        for column in range(5):
            for value in found.probabilities[row, column].tolist():
                expected[row, column] -= value * math.log(value, 3) if value > 0 else 0
    assert np.abs(result.entropy - expected).max() < 1e-5
    assert result.share == (expected > 0.4).mean()
    assert result.mean == pytest.approx(expected.mean(), abs=1e-5)


@pytest.mark.parametrize(("values", "expected"), [([1, 0, 0], 0), ([1 / 3] * 3, 1), ([0.5, 0.5, 0], math.log(2, 3))])
def test_entropy_of_known_pixels(values, expected):
    found = segmentation([[0]], np.array([[values]]))
    assert analysis.uncertainty(found).entropy[0, 0] == pytest.approx(expected, abs=1e-6)


def test_two_classes_are_scaled_to_their_own_largest_entropy():
    found = segmentation([[0]], np.array([[[0.5, 0.5]]]), ("pet", "background"))
    assert analysis.uncertainty(found).entropy[0, 0] == pytest.approx(1)


def test_a_certain_segmentation_has_no_uncertain_pixel():
    result = analysis.uncertainty(segmentation(pet_shape()))
    assert (result.share, result.mean) == (0, 0)
    assert (result.picture() == analysis.colourise(0.0)).all()


@pytest.mark.parametrize("border", [True, False])
def test_threshold_counts_pet_with_or_without_border(border):
    found = random_segmentation(20, 30)
    pet, _, edge = np.moveaxis(found.probabilities.astype(np.float64), -1, 0)
    summed = pet + edge if border else pet
    mask = analysis.threshold_mask(found, 0.37, border=border)
    clear = np.abs(summed - 0.37) > 1e-6
    assert np.array_equal(mask[clear], (summed >= 0.37)[clear])


@pytest.mark.parametrize("border", [True, False])
def test_coverage_is_the_share_of_the_threshold_mask(border):
    found = random_segmentation(20, 30)
    curve = analysis.coverage_curve(found, border=border)
    for threshold in (0.0, 0.01, 0.37, 0.5, 0.99, 1.0):
        mask = analysis.threshold_mask(found, threshold, border=border)
        assert curve.at(threshold) == pytest.approx(mask.mean(), abs=1e-12)
    assert curve.coverage[0] == 1
    assert (np.diff(curve.coverage) <= 0).all()


def test_coverage_says_what_it_counts():
    curve = analysis.coverage_curve(segmentation([[0, 2, 1, 1]]))
    assert curve.classes == ("pet", "border")
    assert curve.sentence(0.5) == "p(pet + border) ≥ 0.50 covers 50.0 % of the photo."
    alone = analysis.coverage_curve(segmentation([[0, 2, 1, 1]]), border=False)
    assert alone.sentence(0.5) == "p(pet) ≥ 0.50 covers 25.0 % of the photo."


def test_models_without_a_pet_count_all_but_the_background():
    assert analysis.subject_ids(classes_named(("background", "cat", "dog"))) == (1, 2)
    assert analysis.subject_ids(classes_named(("pet", "background"))) == (0,)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_extreme_sizes_work(size):
    found = random_segmentation(4, 4)
    assert analysis.uncertainty(found, size=size).entropy.shape == size
    assert analysis.threshold_mask(found, 0.5, size=size).shape == size


def test_wrong_arguments_are_refused():
    found = random_segmentation(2, 2)
    with pytest.raises(ValueError, match="class ids: must be 0 to 2"):
        analysis.heat_map(found, 3)
    with pytest.raises(ValueError, match="threshold: must be 0 to 1"):
        analysis.threshold_mask(found, 1.5)
    with pytest.raises(ValueError, match="limit"):
        analysis.uncertainty(found, limit=float("nan"))
    with pytest.raises(ValueError, match="size"):
        analysis.heat_map(found, 0, size=(0, 4))
