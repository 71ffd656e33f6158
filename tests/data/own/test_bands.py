"""Own datasets of more than three bands: read as they are stored, or refused with the reason."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.band_source import BANDS, BandExample, write_folder
from unet_core.data.own.folder import ImageFolder
from unet_core.data.own.preview import previews
from unet_core.data.own.report import inspect_dataset
from unet_core.images.decode import ImageError, decode_bands, decode_image
from unet_core.settings import get_settings


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["npy", "tif"])
def test_every_band_arrives_with_its_16_bits(tmp_path: Path, kind: str) -> None:
    source = ImageFolder(write_folder(tmp_path / "fields", kind))
    assert source.channels == BANDS
    for part in ("train", "validation", "test"):
        for example in source.examples(part):
            photo, ids = example.decode()
            expected, truth = BandExample("", int(example.name)).decode()
            assert photo.dtype == np.uint16
            np.testing.assert_array_equal(photo, expected)
            np.testing.assert_array_equal(ids, truth)


def test_the_report_draws_masks_over_photos_of_many_bands(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "fields", "tif")
    found = previews(inspect_dataset(folder), folder, get_settings())
    assert len(found) == 6
    assert all(preview.picture.shape == (16, 16, 3) for preview in found)


def test_photos_of_other_bands_than_most_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "fields", "npy")
    np.save(folder / "images" / "3.npy", np.zeros((16, 16, 7), np.uint8))
    report = inspect_dataset(folder)
    (problem,) = report.errors
    assert (problem.code, problem.files) == ("other_bands", ("images/3.npy",))
    assert "3.npy has 7 bands and most photos have 5" in problem.message


def test_a_fourth_band_counts_where_the_network_asks_for_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "fields", "npy")
    for file in (folder / "images").iterdir():
        np.save(file, np.load(file)[..., 1:])
    assert ImageFolder(folder).channels == 3
    source = ImageFolder(folder, asked_channels=4)
    assert source.channels == 4
    example = next(source.examples("train"))
    np.testing.assert_array_equal(example.decode()[0], BandExample("", int(example.name)).decode()[0][..., 1:])


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((8, 9, 5), 7, np.uint8), np.full((8, 9, 5), 7, np.uint8)),
        (np.full((8, 9, 5), 300, np.int32), np.full((8, 9, 5), 300, np.uint16)),
        (np.full((8, 9, 5), 0.5, np.float32), np.full((8, 9, 5), 32768, np.uint16)),
        (np.full((8, 9, 5), 9000.4, np.float64), np.full((8, 9, 5), 9000, np.uint16)),
        (np.tile([np.nan, 1.0, 0, 0, 0], (8, 9, 1)), np.tile(np.array([0, 65535, 0, 0, 0], np.uint16), (8, 9, 1))),
        (np.tile([True, False], (8, 9, 4)), np.tile(np.array([1, 0], np.uint8), (8, 9, 4))),
    ],
)
def test_numbers_of_every_type_keep_their_values_or_become_16_bits(array: np.ndarray, expected: np.ndarray) -> None:
    found = decode_bands(npy(array), array.shape[2])
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_bands_that_come_first_are_moved_last() -> None:
    array = np.random.default_rng(0).integers(0, 9000, (13, 20, 30)).astype(np.uint16)
    np.testing.assert_array_equal(decode_bands(npy(array), 13), np.moveaxis(array, 0, -1))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((8, 9, 6), np.uint8), "field.npy has 6 bands, and this network takes 5"),
        (np.full((8, 9, 5), -3, np.int16), "has values from -3 to -3: save whole numbers from 0 to 65535"),
        (np.full((8, 9, 5), 70_000, np.int64), "has values from 70000 to 70000"),
    ],
)
def test_what_cannot_be_bands_is_refused_with_the_reason(array: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        decode_bands(npy(array), 5, name="field.npy")


def test_a_picture_of_four_bands_keeps_its_opacity_as_the_fourth() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    np.testing.assert_array_equal(decode_bands(buffer.getvalue(), 4), pixels)


def test_bands_are_shown_as_the_first_three_only_where_that_is_wanted() -> None:
    data = npy(np.arange(5, dtype=np.uint8) * np.ones((8, 9, 1), np.uint8))
    assert decode_image(data, any_bands=True)[0, 0].tolist() == [0, 1, 2]
    with pytest.raises(ImageError, match="has 5 bands"):
        decode_image(data)
