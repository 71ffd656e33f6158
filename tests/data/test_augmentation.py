"""Augmentation transforms photo and mask together, as its configuration says."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_core.data.augmentation import FLIPS_ONLY, OFF, Augmentation, AugmentationConfig
from unet_core.errors import ConfigError

NO_COLOUR = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
STILL = AugmentationConfig(
    flip_horizontal=False, rotation=0, zoom=(1, 1), stretch=1, shear=0, translation=0, **NO_COLOUR
)
STRONG = AugmentationConfig(
    flip_vertical=True, rotation=180, zoom=(0.4, 2.5), stretch=1.5, shear=20, translation=0.3, **NO_COLOUR
)


def blobs(seed: int, count: int = 4, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Masks with class regions of irregular shape, (count, H, W) uint8."""
    random = np.random.default_rng(seed)
    coarse = tf.image.resize(random.normal(size=(count, 6, 6, 1)), size, "bicubic")[..., 0].numpy()
    return np.digitize(coarse, (-0.4, 0.4)).astype(np.uint8)


def painted(masks: np.ndarray) -> np.ndarray:
    """A photo that shows only its mask: each class has its own colour channel."""
    return np.eye(3, dtype=np.uint8)[masks] * 255


def away_from_edges(masks: np.ndarray) -> np.ndarray:
    """Pixels whose eight neighbours have their class."""
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = masks.shape[1:]
    around = [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return (np.stack(around) == masks).all(0)


def agreement(photos: np.ndarray, masks: np.ndarray) -> float:
    """Share of the pixels away from edges whose strongest colour is their class's."""
    inside = away_from_edges(masks)
    assert inside.mean() > 0.2
    return float((photos.argmax(-1) == masks)[inside].mean())


CONFIGS = st.builds(
    AugmentationConfig,
    flip_horizontal=st.booleans(),
    flip_vertical=st.booleans(),
    rotation=st.floats(0, 180),
    zoom=st.tuples(st.floats(0.5, 1), st.floats(1, 2.5)),
    stretch=st.floats(1, 1.5),
    shear=st.floats(0, 25),
    translation=st.floats(0, 0.4),
    brightness=st.just(0),
    contrast=st.just(0),
    saturation=st.just(0),
    hue=st.just(0),
)


@settings(max_examples=40, deadline=None)
@given(config=CONFIGS, seed=st.integers(0, 2**31 - 1), draw=st.integers(0, 2**31 - 1))
def test_a_painted_mask_and_its_mask_stay_identical(config: AugmentationConfig, seed: int, draw: int) -> None:
    masks = blobs(seed % 1000)
    photos, moved = Augmentation(config, seed)(painted(masks), masks, draw)
    assert moved.dtype == "uint8"
    assert set(np.unique(moved)) <= set(np.unique(masks))
    assert agreement(photos.numpy(), moved.numpy()) >= 0.99


def test_the_comparison_notices_a_mask_that_is_two_pixels_off_or_moved_by_another_draw() -> None:
    masks = blobs(0)
    photos, moved = (values.numpy() for values in Augmentation(STRONG)(painted(masks), masks, 0))
    assert agreement(photos, moved) >= 0.99
    assert agreement(photos, np.roll(moved, 2, axis=2)) < 0.97
    assert agreement(photos, moved[:, :, ::-1]) < 0.9
    assert agreement(photos, Augmentation(STRONG)(painted(masks), masks, 1)[1].numpy()) < 0.9


def test_photo_and_mask_stay_together_in_a_parallel_map() -> None:
    masks = np.stack([blobs(seed) for seed in range(24)])
    augment = Augmentation(STRONG, seed=3)
    data = tf.data.Dataset.from_tensor_slices((painted(masks), masks, np.arange(24, dtype=np.int64)))
    options = tf.data.Options()
    options.deterministic = False
    mapped = data.repeat(3).map(augment, num_parallel_calls=16).with_options(options)
    for photos, moved in mapped.as_numpy_iterator():
        assert agreement(photos, moved) >= 0.99


def test_a_parallel_map_gives_what_single_calls_give() -> None:
    masks = np.stack([blobs(seed) for seed in range(8)])
    augment = Augmentation(AugmentationConfig(), seed=5)
    data = tf.data.Dataset.from_tensor_slices((painted(masks), masks, np.arange(8, dtype=np.int64)))
    for index, (photos, moved) in enumerate(data.map(augment, num_parallel_calls=8).as_numpy_iterator()):
        alone, alone_moved = augment(painted(masks[index]), masks[index], index)
        np.testing.assert_allclose(photos, alone.numpy(), atol=1e-2)
        np.testing.assert_array_equal(moved, alone_moved.numpy())


def test_equal_draws_are_equal_and_others_differ() -> None:
    masks = blobs(1)
    photos = painted(masks)
    first, again = (Augmentation(seed=1)(photos, masks, 7)[0].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    for other in (Augmentation(seed=1)(photos, masks, 8), Augmentation(seed=2)(photos, masks, 7)):
        assert np.abs(other[0].numpy() - first).mean() > 1
    same = np.repeat(masks[:1], 4, 0)
    moved = Augmentation(seed=1)(painted(same), same, 0)[1].numpy()
    assert (moved[0] != moved[1]).any()  # every image of a batch has its own variation


@pytest.mark.parametrize(("horizontal", "vertical"), [(True, False), (False, True), (True, True)])
def test_flips_are_exact_independent_of_each_other_and_about_half_of_the_time(horizontal: bool, vertical: bool) -> None:
    masks = np.repeat(blobs(2, count=1), 256, 0)
    config = FLIPS_ONLY.replace(flip_horizontal=horizontal, flip_vertical=vertical)
    photos = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), np.uint8).repeat(256, 0)
    new_photos, new_masks = (values.numpy() for values in Augmentation(config)(photos, masks, 0))
    seen = {}
    for x in (False, True):
        for y in (False, True):
            turned = (slice(None, None, -1 if y else 1), slice(None, None, -1 if x else 1))
            same_photo = (new_photos == photos[0][turned]).all((1, 2, 3))
            np.testing.assert_array_equal(same_photo, (new_masks == masks[0][turned]).all((1, 2)))
            seen[x, y] = same_photo.mean()
    assert sum(seen.values()) == 1
    for (x, y), share in seen.items():
        possible = (horizontal or not x) and (vertical or not y)
        wanted = 0.5 ** (horizontal + vertical) if possible else 0
        assert abs(share - wanted) < 0.1


def centre_square(side: int = 64, half: int = 8) -> np.ndarray:
    mask = np.zeros((1, side, side), np.uint8)
    mask[:, side // 2 - half : side // 2 + half, side // 2 - half : side // 2 + half] = 1
    return mask


def run_through_centre(mask: np.ndarray) -> int:
    """Width of the pet in the middle row; mirrored copies further out do not count."""
    row = mask[len(mask) // 2]
    left, right = row[: len(row) // 2][::-1], row[len(row) // 2 :]
    return int(np.argmin(np.append(left, 0)) + np.argmin(np.append(right, 0)))


def test_zoom_makes_the_pet_as_large_as_asked() -> None:
    masks = centre_square()
    for zoom in (0.5, 1.0, 1.5, 2.0):
        moved = Augmentation(STILL.replace(zoom=(zoom, zoom)))(painted(masks), masks, 0)[1].numpy()
        assert run_through_centre(moved[0]) == pytest.approx(16 * zoom, abs=1)


def test_zoom_covers_its_range_as_often_larger_as_smaller() -> None:
    masks = centre_square().repeat(400, 0)
    moved = Augmentation(STILL.replace(zoom=(0.5, 2.0)))(painted(masks), masks, 0)[1].numpy()
    widths = np.array([run_through_centre(mask) for mask in moved])
    assert widths.min() in (8, 9)
    assert widths.max() in (31, 32)
    assert (widths > 16).mean() == pytest.approx((widths < 16).mean(), abs=0.1)


def test_rotation_by_a_quarter_turns_the_picture_about_its_centre() -> None:
    masks = blobs(3, count=1000, size=(33, 33))
    masks[:] = masks[:1]
    moved = Augmentation(STILL.replace(rotation=180))(painted(masks), masks, 0)[1].numpy()
    quarters = [(moved == np.rot90(masks[0], turns)).mean((1, 2)).max() for turns in range(4)]
    assert min(quarters) > 0.95


def test_translation_stays_within_its_share() -> None:
    masks = centre_square().repeat(100, 0)
    moved = Augmentation(STILL.replace(translation=0.25))(painted(masks), masks, 0)[1].numpy()
    rows = np.array([np.flatnonzero(mask.any(1)).mean() for mask in moved]) - 31.5
    columns = np.array([np.flatnonzero(mask.any(0)).mean() for mask in moved]) - 31.5
    assert 13 < np.abs(rows).max() <= 16.5
    assert 13 < np.abs(columns).max() <= 16.5
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.3


def test_switched_off_and_without_any_change_the_photo_stays_as_it_is() -> None:
    masks = blobs(4)
    for config in (OFF, STILL):
        photos, same = Augmentation(config)(painted(masks), masks, 0)
        np.testing.assert_array_equal(photos.numpy(), painted(masks))
        np.testing.assert_array_equal(same.numpy(), masks)


COLOUR = {name: STILL.replace(**{name: limit}) for name, limit in
          {"brightness": 0.5, "contrast": 0.8, "saturation": 1.0, "hue": 180}.items()}  # fmt: skip


def photo_batch() -> np.ndarray:
    return np.random.default_rng(0).integers(90, 170, (1, 8, 8, 3)).repeat(64, 0).astype(np.float32)


@pytest.mark.parametrize("name", COLOUR)
def test_colour_changes_touch_the_photo_only_and_stay_in_range(name: str) -> None:
    photos, masks = photo_batch(), np.zeros((64, 8, 8), np.uint8)
    changed, same = (values.numpy() for values in Augmentation(COLOUR[name])(photos, masks, 0))
    np.testing.assert_array_equal(same, masks)
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert np.abs(changed - photos).mean() > 5


def test_each_colour_change_does_what_its_name_says() -> None:
    photos, masks = photo_batch(), np.zeros((64, 8, 8), np.uint8)
    luma = np.array([0.299, 0.587, 0.114])
    changed = {name: Augmentation(config)(photos, masks, 0)[0].numpy() for name, config in COLOUR.items()}
    inside = [
        image
        for image in range(64)
        if changed["brightness"][image].min() > 0 and changed["brightness"][image].max() < 255
    ]
    shift = (changed["brightness"] - photos)[inside]
    assert np.ptp(shift, axis=(1, 2, 3)).max() < 1e-3  # one amount for a whole photo
    assert np.std(shift[:, 0, 0, 0]) > 10
    contrast = (changed["contrast"] - photos) @ luma
    np.testing.assert_allclose(contrast.mean((1, 2)), 0, atol=0.1)  # the mean stays
    for name in ("saturation", "hue"):
        kept = (changed[name] > 0).all((1, 2, 3)) & (changed[name] < 255).all((1, 2, 3))
        np.testing.assert_allclose((changed[name] @ luma)[kept], (photos @ luma)[kept], atol=0.5)  # brightness stays
    grey = np.full((64, 8, 8, 3), 77.0, np.float32)
    for name in ("saturation", "hue", "contrast"):  # grey has no colour, and no distance from its mean
        np.testing.assert_allclose(Augmentation(COLOUR[name])(grey, masks, 0)[0].numpy(), grey, atol=0.1)


def test_grey_takes_the_colour_from_its_share_of_the_photos() -> None:
    photos = np.tile(np.float32([200, 40, 90]), (400, 4, 4, 1))
    changed, _ = Augmentation(STILL.replace(grey=0.25))(photos, np.zeros((400, 4, 4), np.uint8), 0)
    grey = np.ptp(changed.numpy(), axis=-1).max((1, 2)) < 1
    assert 0.15 < grey.mean() < 0.35
    np.testing.assert_allclose(changed.numpy()[grey].mean(), 0.299 * 200 + 0.587 * 40 + 0.114 * 90, atol=0.1)
    np.testing.assert_allclose(changed.numpy()[~grey], photos[~grey], atol=0.01)


def test_blur_smooths_its_share_of_the_photos_and_keeps_their_brightness() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3)).astype(np.float32)
    changed = Augmentation(STILL.replace(blur=0.5))(photos, np.zeros((200, 32, 32), np.uint8), 0)[0].numpy()
    roughness = changed.std((1, 2, 3)) / photos.std((1, 2, 3))
    assert 0.35 < (roughness < 0.999).mean() < 0.65
    assert roughness.min() < 0.4
    np.testing.assert_allclose(changed.mean((1, 2, 3)), photos.mean((1, 2, 3)), atol=2)


def test_noise_is_another_at_every_pixel_and_no_stronger_than_asked() -> None:
    photos = np.full((100, 32, 32, 3), 128.0, np.float32)
    augment = Augmentation(STILL.replace(noise=0.1))
    changed = augment(photos, np.zeros((100, 32, 32), np.uint8), 0)[0].numpy()
    strength = (changed - 128).std((1, 2, 3)) / 255
    assert strength.max() < 0.105
    assert strength.min() < 0.02
    assert strength.max() > 0.08
    assert abs((changed - 128).mean()) < 0.5
    np.testing.assert_array_equal(changed, augment(photos, np.zeros((100, 32, 32), np.uint8), 0)[0])


def test_pasting_brings_the_next_photos_objects_with_their_mask_and_nothing_else() -> None:
    masks = blobs(7, count=64)
    photos = painted(masks) // 2 + np.arange(64, dtype=np.uint8)[:, None, None, None]  # each photo has a shade
    changed, ids = (
        values.numpy() for values in Augmentation(STILL.replace(paste=0.5, paste_background=1))(photos, masks, 0)
    )
    following, following_masks = np.roll(photos, -1, 0), np.roll(masks, -1, 0)
    pasted = [not np.array_equal(changed[index], photos[index]) for index in range(64)]
    assert 0.3 < np.mean(pasted) < 0.7
    for index, is_pasted in enumerate(pasted):
        taken = (following_masks[index] != 1) & is_pasted
        np.testing.assert_array_equal(changed[index], np.where(taken[..., None], following[index], photos[index]))
        np.testing.assert_array_equal(ids[index], np.where(taken, following_masks[index], masks[index]))


def test_photos_that_are_only_mirrored_are_not_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unet_core.data.augmentation._affine", None)  # would fail when called
    photos, masks = painted(blobs(8)), blobs(8)
    mirrored, ids = Augmentation(FLIPS_ONLY)(photos, masks, 1)
    assert mirrored.shape == photos.shape
    assert agreement(mirrored.numpy(), ids.numpy()) == 1


def test_one_channel_photos_work() -> None:
    masks = blobs(5)
    photos, _ = Augmentation()(painted(masks)[..., :1], masks, 0)
    assert photos.shape == (4, 48, 64, 1)
    assert np.isfinite(photos.numpy()).all()


def test_shapes_stay_known_inside_tf_data() -> None:
    data = tf.data.Dataset.from_tensors((painted(blobs(6)), blobs(6), 0)).map(Augmentation())
    assert data.element_spec[0].shape == (4, 48, 64, 3)
    assert data.element_spec[1].shape == (4, 48, 64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"zoom": (1.5, 1.2)}, "zoom"),
        ({"zoom": (0.0, 1.0)}, "zoom"),
        ({"rotation": 400}, "rotation"),
        ({"brightness": -0.1}, "brightness"),
        ({"blur": 1.5}, "blur"),
        ({"paste": -1}, "paste"),
        ({"sharpen": 1}, "sharpen"),
    ],
)
def test_bad_values_are_named(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AugmentationConfig(**values)


def test_config_survives_json() -> None:
    assert AugmentationConfig.from_json(STRONG.to_json()) == STRONG


def test_reading_a_config_imports_neither_keras_nor_tensorflow() -> None:
    code = "import sys, unet_core.data.augmentation; sys.exit(bool({'keras', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_works_inside_tf_data_with_another_keras_backend() -> None:
    pytest.importorskip("jax")
    code = """
        import numpy, tensorflow as tf
        from unet_core.data.augmentation import Augmentation
        masks = numpy.zeros((2, 8, 8), "uint8")
        data = tf.data.Dataset.from_tensors((numpy.zeros((2, 8, 8, 3), "uint8"), masks, 0)).map(Augmentation())
        photos, masks = next(iter(data))
        assert photos.shape == (2, 8, 8, 3) and masks.dtype == "uint8"
        photos, masks = Augmentation()(photos.numpy(), masks.numpy(), 0)
        assert photos.shape == (2, 8, 8, 3) and masks.dtype == "uint8"
    """
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, check=False)
    assert done.returncode == 0
