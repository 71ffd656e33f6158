"""Outlines of masks fill to the masks again, by our own rule and by other programs'."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw
from skimage.draw import polygon2mask

from tests.helpers.segmentations import filled, iou, pet_shape
from unet_core.images import polygons as module
from unet_core.images.polygons import MAX_OUTLINES, filled_polygon, polygons

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 25)), min_size=3, max_size=9))
@example([(0.0, 0.0), (0.0, 0.0), (4.0, 2.2250738585072014e-308)])
def test_polygons_hold_the_pixels_whose_centres_they_enclose(points):
    from skimage.measure import points_in_poly

    filled = filled_polygon(np.array(points), 20, 18)
    rows, columns = np.mgrid[0:20, 0:18] + 0.5
    expected = points_in_poly(np.stack([columns.ravel(), rows.ravel()], 1), points).reshape(20, 18)
    # Pixels whose centre lies on an edge may fall to either side.
    starts = np.array(points)
    edges = np.roll(starts, -1, axis=0) - starts
    offsets = np.stack([columns, rows], -1)[..., None, :] - starts  # (H, W, N, 2)
    along = (offsets * edges).sum(-1) / np.maximum((edges**2).sum(-1), 1e-30)
    distances = np.linalg.norm(offsets - along.clip(0, 1)[..., None] * edges, axis=-1).min(-1)
    assert not ((filled != expected) & (distances > 1e-6)).any()


def test_outlines_of_many_corners_are_filled_part_by_part(monkeypatch):
    points = np.random.default_rng(0).uniform(-10, 60, (300, 2))
    at_once = filled_polygon(points, 50, 40)
    monkeypatch.setattr(module, "_CROSSINGS", 1_000)
    np.testing.assert_array_equal(filled_polygon(points, 50, 40), at_once)


def test_corners_far_outside_cost_nothing():
    far = np.array([[-1e300, -1e300], [1e300, -1e300], [1e300, 1e300], [-1e300, 1e300]])
    assert filled_polygon(far, 30, 20).all()


@settings(deadline=None)
@given(MASKS)
def test_exact_outlines_fill_to_the_mask(mask):
    assert np.array_equal(filled(polygons(mask, tolerance=0), *mask.shape), mask)


@settings(deadline=None)
@given(MASKS)
def test_simplified_outlines_of_noise_stay_faithful(mask):
    if mask.any():
        assert iou(filled(polygons(mask), *mask.shape), mask) >= 0.98


@pytest.mark.parametrize("size", [(60, 80), (300, 451), (1000, 700)])
def test_simplified_outlines_of_a_pet_fill_to_the_mask(size):
    ids = pet_shape(*size)
    for class_id in (0, 2):
        mask = ids == class_id
        shapes = polygons(mask)
        assert iou(filled(shapes, *size), mask) >= 0.98
        exact = polygons(mask, tolerance=0)
        assert sum(map(len, shapes)) < 0.7 * sum(map(len, exact))


def test_outlines_mean_the_same_to_other_programs():
    ids = pet_shape(120, 160)
    disc = ids != 1
    disc[40:80, 50:90] = True  # without holes, since Pillow and scikit-image fill by rules of their own
    (shape,) = polygons(disc)
    points = np.array(shape).reshape(-1, 2)
    assert iou(polygon2mask((120, 160), points[:, ::-1] - 0.5), disc) >= 0.98
    image = Image.new("1", (1600, 1200))  # ten times as large, where Pillow's wide edges weigh little
    ImageDraw.Draw(image).polygon([tuple(point) for point in 10 * points], fill=1)
    assert iou(np.asarray(image)[5::10, 5::10], disc) >= 0.98


def test_noise_gives_a_bounded_number_of_outlines():
    mask = np.random.default_rng(0).random((200, 200)) < 0.3
    mask[50:90, 50:90] = True
    shapes = polygons(mask)
    assert len(shapes) == MAX_OUTLINES
    assert filled(shapes, 200, 200)[50:90, 50:90].mean() > 0.98
