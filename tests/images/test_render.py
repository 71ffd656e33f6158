"""Pictures of a segmentation: right colours, right codes, lines of even width, quick on big photos."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from unet_core.classes import BACKGROUND, BORDER, CLASSES, PET
from unet_core.images import render
from unet_core.images.mask_files import mask_png


def grey(height: int = 20, width: int = 30, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def halves(height: int = 20, width: int = 30) -> np.ndarray:
    mask = np.full((height, width), BACKGROUND.id, np.uint8)
    mask[:, : width // 2] = PET.id
    return mask


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return image


@pytest.mark.parametrize("opacity", [0.0, 0.3, 0.45, 1.0])
def test_overlay_blends_each_class_with_its_colour(opacity):
    mask = np.arange(3, dtype=np.uint8).repeat(10)[None].repeat(4, axis=0)
    drawn = render.overlay(grey(4, 30), mask, opacity=opacity, outline=False)
    for pixel_class in CLASSES:
        expected = 100 * (1 - opacity) + np.array(pixel_class.colour) * opacity
        assert np.abs(drawn[0, 10 * pixel_class.id].astype(float) - expected).max() <= 1


def test_overlay_leaves_its_arguments_alone():
    image, mask = grey(), halves()
    render.overlay(image, mask)
    assert (image == 100).all()
    assert np.array_equal(mask, halves())


def test_overlay_with_own_colours_and_untouched_classes():
    drawn = render.overlay(grey(), halves(), opacity=1, outline=False, colours={PET.id: (1, 2, 3), BACKGROUND.id: None})
    assert drawn[0, 0].tolist() == [1, 2, 3]
    assert drawn[0, -1].tolist() == [100, 100, 100]


def test_classes_beyond_the_three_have_colours_of_their_own():
    colours = [render.class_colour(class_id) for class_id in range(8)]
    assert len(set(colours)) == 8


@pytest.mark.parametrize("side", [120, 600, 1200, 2400, 4800])
def test_outline_has_the_same_share_of_any_photo(side):
    mask = np.full((40, side), BACKGROUND.id, np.uint8)
    mask[:, : side // 2] = PET.id
    drawn = render.overlay(grey(40, side), mask, opacity=0)
    line = (drawn[20] == render.OUTLINE_COLOUR).all(axis=-1)
    assert line.sum() == max(1, round(side / 600))
    assert abs(np.flatnonzero(line).mean() + 0.5 - side // 2) <= 1


def test_outline_is_as_wide_along_a_diagonal():
    side = 3000
    rows, columns = np.mgrid[0:side, 0:side]
    drawn = render.overlay(grey(side, side), (rows > columns).astype(np.uint8), opacity=0)
    line = (drawn[..., 0] == 255).sum() / (side * np.sqrt(2))
    assert line == pytest.approx(side / 600, rel=0.25)


def test_outline_at_the_photos_edge_stays_inside():
    mask = np.zeros((1300, 1300), np.uint8)
    mask[0, 0] = mask[-1, -1] = mask[0, -1] = 1
    assert render.overlay(grey(1300, 1300), mask).shape == (1300, 1300, 3)


def test_a_mask_of_noise_does_not_take_minutes():
    mask = np.random.default_rng(0).integers(0, 3, (2000, 3000)).astype(np.uint8)
    start = time.perf_counter()
    render.overlay(grey(2000, 3000), mask)
    assert time.perf_counter() - start < 60  # no more than a guard against a hang


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 2)])
def test_extreme_sizes_work(size):
    image, mask = grey(*size), np.zeros(size, np.uint8)
    assert render.overlay(image, mask).shape == (*size, 3)
    assert render.cutout(image, mask.astype(np.float32)).shape == (*size, 4)
    assert opened(mask_png(mask)).size == size[::-1]


@pytest.mark.parametrize("draw", [render.overlay, render.cutout, render.overlay_png, render.cutout_png])
def test_photo_and_mask_of_different_sizes_are_refused(draw):
    with pytest.raises(ValueError, match="same height and width"):
        draw(grey(), halves(30, 20))


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_opacity_outside_its_range_is_refused(opacity):
    with pytest.raises(ValueError, match="opacity"):
        render.overlay(grey(), halves(), opacity=opacity)


def test_mask_png_holds_the_trimap_codes_as_8_bit_grey():
    mask = np.array([[PET.id, BACKGROUND.id, BORDER.id]], np.uint8)
    image = opened(mask_png(mask))
    assert image.mode == "L"
    assert np.asarray(image).tolist() == [[1, 2, 3]]


def test_overlay_png_is_the_overlay():
    image = opened(render.overlay_png(grey(), halves(), opacity=0.3))
    assert np.array_equal(np.asarray(image), render.overlay(grey(), halves(), opacity=0.3))


def test_cutout_is_as_opaque_as_its_outline_and_hides_the_rest():
    cut = render.cutout(grey(1, 3), np.array([[1, 0.5, 0]], np.float32))
    assert cut[0].tolist() == [[100, 100, 100, 255], [100, 100, 100, 128], [0, 0, 0, 0]]


def test_alpha_png_is_8_bit_grey():
    image = opened(render.alpha_png(np.array([[1, 0.5, 0.001, 0]], np.float32)))
    assert (image.mode, np.asarray(image).tolist()) == ("L", [[255, 128, 0, 0]])


def test_cutout_png_has_an_alpha_channel():
    assert opened(render.cutout_png(grey(), halves() == PET.id)).mode == "RGBA"
