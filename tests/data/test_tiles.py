"""Crops at the photos' own scale: every pixel counts once on the grid, and labels stay where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.band_source import BANDS, BandSource
from unet_core.architecture.config import UNetConfig
from unet_core.classes import IGNORE_ID, PixelClasses
from unet_core.data.pipeline import make_datasets
from unet_core.data.sources import SplitName
from unet_core.data.tiles import MOST_TILES, TiledSource, TileSize, cut

NETWORK = UNetConfig(height=16, width=16, classes=2, depth=2, base_filters=2)


def numbered(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo whose red and green are its rows and columns, and a mask that follows from them."""
    rows, columns = np.mgrid[:height, :width]
    photo = np.stack([rows, columns, np.full_like(rows, 255)], axis=-1).astype(np.uint8)
    return photo, ((rows + columns) % 2).astype(np.uint8)


@dataclass(frozen=True)
class Numbered:
    name: str
    size: tuple[int, int]

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        return numbered(*self.size)


@dataclass(frozen=True)
class NumberedSource:
    """Photos of several sizes: larger and smaller than the network's."""

    sizes: tuple[tuple[int, int], ...] = ((40, 21), (16, 16), (9, 30))

    description = "numbered"
    class_names = ("even", "odd")
    foreground: tuple[int, ...] | None = (1,)
    background = 0
    classes = PixelClasses(names=class_names, colours=((0, 0, 0), (255, 0, 0)), codes=(0, 1), background=0)

    def names(self, part: SplitName) -> tuple[str, ...]:
        return tuple(example.name for example in self.examples(part))

    def examples(self, part: SplitName) -> Iterator[Numbered]:
        for number, size in enumerate(self.sizes):
            yield Numbered(f"{part}{number}", size)


def assert_fits(photo: np.ndarray, ids: np.ndarray) -> None:
    """Labels follow from the photo's numbers; outside the photo it is black, and there is no label."""
    inside = photo[..., 2] == 255
    assert np.all(ids[~inside] == IGNORE_ID)
    assert np.all(photo[~inside] == 0)
    labelled = ids != IGNORE_ID
    expected = (photo[..., 0].astype(int) + photo[..., 1]) % 2
    np.testing.assert_array_equal(ids[labelled], expected[labelled])


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    taken=st.tuples(st.integers(8, 24), st.integers(8, 24)),
    margins=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_every_pixel_counts_once_on_the_grid(
    height: int, width: int, taken: tuple[int, int], margins: tuple[int, int]
) -> None:
    size = TileSize(taken, (taken[0] - 2 * margins[0], taken[1] - 2 * margins[1]))
    source = TiledSource(NumberedSource(((height, width),)), size)
    counted = np.zeros((height, width), int)
    tiles = list(source.examples("test"))
    for tile in tiles:
        photo, ids = tile.decode()
        assert photo.shape == (*taken, 3)
        assert_fits(photo, ids)
        centre = tuple(slice(margin, side - margin) for margin, side in zip(margins, taken))
        assert np.count_nonzero(ids[centre] != IGNORE_ID) == np.count_nonzero(ids != IGNORE_ID), "all are predicted"
        rows, columns = photo[ids != IGNORE_ID][:, 0], photo[ids != IGNORE_ID][:, 1]
        np.add.at(counted, (rows, columns), 1)
    if len(tiles) < MOST_TILES:
        assert np.all(counted == 1)
    assert counted.max() == 1
    assert len(tiles) == size.number((height, width)) <= MOST_TILES
    assert source.names("test") == tuple(tile.name for tile in tiles)


def test_pieces_are_black_and_unlabelled_outside() -> None:
    photo, ids = numbered(5, 7)
    for corner in ((-3, -2), (2, 4), (-10, 0), (5, 7)):
        assert_fits(*cut(photo, ids, corner, (6, 6)))


@pytest.mark.parametrize("cache_mb", [0.0, 100.0])
def test_training_takes_other_random_pieces_in_every_epoch_and_the_same_again_after_a_restart(cache_mb: float) -> None:
    def epochs(first: int, count: int) -> list[np.ndarray]:
        datasets = make_datasets(
            NumberedSource(), NETWORK, batch_size=3, crops=True, cache_mb=cache_mb, first_epoch=first
        )
        assert datasets.sizes["train"] == 3 * 2 + 1 + 2
        assert datasets.steps == 3
        found = []
        for _ in range(count):
            batches = [(np.rint(255 * photos.numpy()), labels.numpy()) for photos, labels in datasets.train]
            for photos, labels in batches:
                for photo, ids in zip(photos, labels):
                    assert_fits(photo, ids)
            found.append(np.concatenate([photos for photos, _ in batches]))
        return found

    first, second = epochs(0, 2)
    assert not np.array_equal(np.sort(first.ravel()), np.sort(second.ravel()))
    np.testing.assert_array_equal(epochs(1, 1)[0], second)


def test_validation_is_on_the_grid_and_the_same_in_every_epoch() -> None:
    datasets = make_datasets(NumberedSource(), NETWORK, batch_size=4, crops=True)
    assert datasets.sizes["validation"] == 9
    one, other = (np.concatenate([labels for _, labels in datasets.validation]) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert np.count_nonzero(one != IGNORE_ID) == 40 * 21 + 16 * 16 + 9 * 30


def test_a_network_with_valid_padding_is_trained_on_what_it_predicts() -> None:
    network = NETWORK.replace(height=44, width=44, padding="valid", skip_mode="crop")
    datasets = make_datasets(NumberedSource(), network, batch_size=4, crops=True)
    labels = np.concatenate([labels for _, labels in datasets.validation])
    assert labels.shape[1:] == datasets.output_size
    assert np.count_nonzero(labels != IGNORE_ID) == 40 * 21 + 16 * 16 + 9 * 30


def test_an_epoch_may_validate_on_a_part_of_the_photos() -> None:
    datasets = make_datasets("synthetic", NETWORK.replace(classes=3), batch_size=4, limit=10, validation_subsplits=3)
    whole = make_datasets("synthetic", NETWORK.replace(classes=3), batch_size=4, parts=("validation",))
    assert datasets.names["validation"] == whole.names["validation"][::3][:10]
    first = np.concatenate([labels for _, labels in datasets.validation])
    every = np.concatenate([labels for _, labels in whole.validation])
    np.testing.assert_array_equal(first, every[::3][:10])


@pytest.mark.parametrize("cache_mb", [0.0, 100.0])
def test_crops_keep_every_band_and_its_16_bits(cache_mb: float) -> None:
    network = NETWORK.replace(channels=BANDS)
    datasets = make_datasets(BandSource(), network, batch_size=4, crops=True, cache_mb=cache_mb)
    every = np.concatenate([example.decode()[0].reshape(-1, BANDS) for example in BandSource().examples("train")])
    known = {tuple(pixel) for pixel in every.tolist()}
    photos, _ = next(iter(datasets.train))
    found = np.rint(photos.numpy() * 65535).astype(int).reshape(-1, BANDS)
    assert {tuple(pixel) for pixel in found.tolist()} - {(0,) * BANDS} <= known
