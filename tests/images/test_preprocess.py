"""Photos as a network's input: any number of channels, 8 and 16 bits, and every scale."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.images.preprocess import ImageChannelsError, in_channels, network_input, scale, through_pillow
from unet_core.images.square import resized_photo

PHOTO = np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8)


def test_standardizing_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    preprocessing = Preprocessing(scale="standardize", mean=(0.1, 0.5, 0.9), std=(0.2, 0.25, 0.5))
    expected = (PHOTO / 255 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    values = scale(PHOTO, preprocessing)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, atol=1e-5)
    factor, offset = (np.asarray(each) for each in preprocessing.to_pixels)
    np.testing.assert_allclose(values * factor + offset, PHOTO, atol=1e-3)


@pytest.mark.parametrize("how", ["unit", "symmetric", "raw"])
def test_the_ends_of_16_bits_are_those_of_8(how: str) -> None:
    shallow = scale(np.array([0, 51, 255], np.uint8), Preprocessing(scale=how))
    deep = scale(np.array([0, 51 * 257, 65535], np.uint16), Preprocessing(scale=how))
    np.testing.assert_allclose(deep, shallow, atol=1e-5)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_band_of_a_photo_is_resized_as_the_bands_of_rgb_are(resize: str, kind: type) -> None:
    bands = np.concatenate([PHOTO, PHOTO[::-1]], axis=2).astype(kind) * (257 if kind is np.uint16 else 1)
    preprocessing = Preprocessing(resize=resize)
    config = UNetConfig(height=32, width=48, channels=6, preprocessing=preprocessing)
    found, box = network_input(bands, config, (32, 48))
    rgb = config.replace(channels=3)
    upright, same_box = network_input(PHOTO, rgb, (32, 48))
    flipped, _ = network_input(np.ascontiguousarray(PHOTO[::-1]), rgb, (32, 48))
    assert box == same_box
    np.testing.assert_allclose(found, np.concatenate([upright, flipped], axis=2), atol=1.01 / 255)
    trained = resized_photo(bands, (32, 48), resize, 6)
    assert (trained.shape, trained.dtype) == ((32, 48, 6), kind)
    np.testing.assert_allclose(
        scale(trained[..., :3], preprocessing), resized_photo(PHOTO, (32, 48), resize) / 255, atol=1.01 / 255
    )


def test_16_bit_photos_keep_more_than_256_levels() -> None:
    ramp = np.linspace(0, 4000, 64 * 64).astype(np.uint16).reshape(64, 64, 1)  # 12-bit data
    config = UNetConfig(height=64, width=64, channels=1)
    assert len(np.unique(network_input(ramp, config, (64, 64))[0])) > 3000


def test_an_rgb_photo_is_resized_in_one_piece() -> None:
    small = through_pillow(PHOTO, lambda image: image.resize((30, 20), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(small, Image.fromarray(PHOTO).resize((30, 20), Image.Resampling.BILINEAR))


def test_rgb_and_grey_become_each_other_and_nothing_else_does() -> None:
    grey = in_channels(PHOTO, 1)
    np.testing.assert_array_equal(grey[..., 0], Image.fromarray(PHOTO).convert("L"))
    deep = in_channels(PHOTO.astype(np.uint16) * 257, 1)
    np.testing.assert_allclose(deep / 257, grey, atol=1)
    assert in_channels(grey[..., 0], 3).shape == PHOTO.shape
    with pytest.raises(ImageChannelsError, match="has 3 channels and this network takes 8"):
        in_channels(PHOTO, 8)
    with pytest.raises(ImageChannelsError, match="has 4 channels and this network takes 3"):
        in_channels(np.zeros((4, 4, 4), np.uint8), 3)
