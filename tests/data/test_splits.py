"""Splits: reproducible, stratified by class, and no picture in two of them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unet_core.architecture.config import UNetConfig
from unet_core.data.own.duplicates import group_ids, near_duplicates, photo_thumbnail
from unet_core.data.oxford.near_duplicates import NEAR_DUPLICATES_IN_TRAIN
from unet_core.data.sources import DataError
from unet_core.data.splits import SplitConfig, deterministic_splits
from unet_core.errors import ConfigError
from unet_core.images.decode import decode_image
from unet_core.train.config import TrainConfig


def drawn_shares(seed: int, count: int, classes: int = 4) -> np.ndarray:
    shares = np.random.default_rng(seed).dirichlet(np.linspace(1, 0.1, classes), count)
    return np.where(shares < 0.05, 0, shares)


def names_of(count: int) -> list[str]:
    return [f"photo{index:05}" for index in range(count)]


# --- splits -------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(3, 120),
    pictures=st.integers(3, 120),
    validation=st.floats(0.02, 0.6),
)
def test_parts_share_nothing_miss_nothing_and_keep_groups_together(seed, count, pictures, validation):
    random = np.random.default_rng(seed)
    groups = random.integers(0, pictures, count)
    groups[:3] = [0, 1, 2]
    names, shares = names_of(count), drawn_shares(seed, count)
    parts = deterministic_splits(names, shares, groups, validation_fraction=validation)
    assert sorted(name for part in parts.values() for name in part) == names
    assert all(parts.values())
    part_of = {name: part for part, members in parts.items() for name in members}
    for group in set(groups):
        assert len({part_of[name] for name, own in zip(names, groups) if own == group}) == 1
    order = random.permutation(count)
    shuffled = deterministic_splits(
        [names[i] for i in order], shares[order], groups[order] + 7, validation_fraction=validation
    )
    assert shuffled == parts


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(10, 200))
def test_test_stays_the_same_whatever_is_held_out_for_validation(seed, count):
    names, shares = names_of(count), drawn_shares(seed, count)
    tests = {deterministic_splits(names, shares, validation_fraction=share)["test"] for share in (0.05, 0.1, 0.3)}
    assert len(tests) == 1


@pytest.mark.parametrize("seed", range(5))
def test_parts_are_alike_in_class_shares_spread_and_rare_classes(seed):
    count = 1_000
    shares = drawn_shares(seed, count)
    parts = deterministic_splits(names_of(count), shares)
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [810, 90, 100]
    for members in parts.values():
        own = shares[[int(name[5:]) for name in members]]
        np.testing.assert_allclose(own.mean(axis=0), shares.mean(axis=0), atol=0.04)
        np.testing.assert_allclose(own.std(axis=0), shares.std(axis=0), atol=0.06)
        np.testing.assert_allclose((own > 0).mean(axis=0), (shares > 0).mean(axis=0), atol=0.06)


def test_stratified_parts_are_closer_to_all_photos_than_random_ones():
    shares = np.random.default_rng(0).beta(0.5, 1.5, (300, 1))
    shares = np.concatenate([1 - shares, shares], axis=1)
    test = deterministic_splits(names_of(300), shares)["test"]
    own = abs(shares[[int(name[5:]) for name in test], 1].mean() - shares[:, 1].mean())
    random = np.random.default_rng(1)
    others = [abs(shares[random.permutation(300)[:30], 1].mean() - shares[:, 1].mean()) for _ in range(200)]
    assert own < np.median(others)


def test_a_large_group_of_duplicates_is_trained_on_and_not_measured_with():
    groups = np.arange(100)
    groups[:40] = 0
    parts = deterministic_splits(names_of(100), drawn_shares(0, 100), groups)
    assert set(names_of(40)) <= set(parts["train"])
    assert 6 <= len(parts["test"]) <= 12


def test_too_few_pictures_are_refused():
    with pytest.raises(DataError, match="5 photos that show 2 different pictures"):
        deterministic_splits(names_of(5), drawn_shares(0, 5), [0, 0, 1, 1, 1])


# --- options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"validation_fraction": 1.5}, "validation_fraction"),
        ({"validation_fraction": 0}, "validation_fraction"),
        ({"split_scheme": "random"}, "split_scheme"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_options_are_named(options: dict, field: str) -> None:
    with pytest.raises(ConfigError, match=f"SplitConfig: {field}: .*Received: "):
        SplitConfig(**options)


def test_a_training_configuration_has_every_option_of_its_split() -> None:
    split = SplitConfig(split_scheme="percentage", validation_fraction=0.3, drop_near_duplicates=False, seed=7)
    assert all(value != getattr(SplitConfig(), name) for name, value in split)
    assert TrainConfig(model=UNetConfig(), **split.model_dump()).split == split
    assert TrainConfig(model=UNetConfig()).split == SplitConfig()


def test_options_that_a_recipe_lacks_have_their_defaults() -> None:
    assert SplitConfig.among({"validation_fraction": 0.2, "epochs": 3}) == SplitConfig(validation_fraction=0.2)


# --- near-duplicates ----------------------------------------------------------------------------------------------


def pattern(seed: int, size: tuple[int, int] = (150, 200)) -> np.ndarray:
    """A picture of soft colours."""
    cells = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(cells).resize(size[::-1], Image.Resampling.BICUBIC))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(0.4, 2),
    gain=st.floats(0.7, 1.2),
    offset=st.floats(-20, 20),
    crop=st.floats(0, 0.02),
    noise=st.floats(0, 12),
)
def test_the_same_picture_is_found_again_after_resizing_cropping_and_brightening(
    seed, scale, gain, offset, crop, noise
):
    photo = pattern(seed)
    height, width = photo.shape[:2]
    box = (int(crop * width), int(crop * height), width, height)
    size = (int(scale * width), int(scale * height))
    again = np.asarray(Image.fromarray(photo).crop(box).resize(size, Image.Resampling.BILINEAR), np.float64)
    again = again * gain + offset + np.random.default_rng(1).normal(0, noise, again.shape)
    thumbnails = [photo_thumbnail(image.clip(0, 255).astype(np.uint8)) for image in (photo, again, pattern(seed + 1))]
    assert near_duplicates(np.stack(thumbnails)).tolist() == [[0, 1]]


def test_the_same_shapes_in_other_colours_are_another_picture():
    photo = pattern(3)
    grey = np.repeat((photo @ [0.299, 0.587, 0.114])[..., None], 3, axis=2).astype(np.uint8)
    assert len(near_duplicates(np.stack([photo_thumbnail(photo), photo_thumbnail(grey)]))) == 0


def test_photos_of_one_even_colour_are_duplicates_only_of_their_own_colour():
    levels = [0, 0, 1, 90, 91, 200, 0]
    thumbnails = np.stack([np.full((16, 16, 3), level, np.uint8) for level in levels])
    groups = group_ids(len(levels), near_duplicates(thumbnails))
    assert groups.tolist() == [0, 0, 0, 3, 3, 5, 0]


@pytest.mark.parametrize("count", [0, 1])
def test_few_photos_have_no_duplicates(count):
    assert near_duplicates(np.zeros((count, 16, 16, 3), np.uint8)).shape == (0, 2)


def test_groups_join_whatever_is_connected():
    assert group_ids(7, [(5, 4), (1, 2), (2, 5)]).tolist() == [0, 1, 1, 3, 1, 1, 6]


def test_five_thousand_photos_are_compared_in_seconds():
    thumbnails = np.random.default_rng(0).integers(0, 256, (5_000, 16, 16, 3), dtype=np.uint8)
    thumbnails[4_000] = thumbnails[17]
    start = time.perf_counter()
    assert near_duplicates(thumbnails).tolist() == [[17, 4_000]]
    assert time.perf_counter() - start < 10


@pytest.mark.dataset
def test_all_known_near_duplicates_across_the_oxford_split_are_found_and_little_else(oxford_dir):
    from unet_core.data.oxford.oxford_pets import OxfordPets

    source = OxfordPets(Path(oxford_dir), SplitConfig(drop_near_duplicates=False))
    names, in_test, thumbnails = [], [], []
    for part in ("train", "validation", "test"):
        for example in source.examples(part):
            names.append(example.name)
            in_test.append(part == "test")
            thumbnails.append(photo_thumbnail(decode_image(example.photo, max_side=64)))
    start = time.perf_counter()
    pairs = near_duplicates(np.stack(thumbnails))
    seconds = time.perf_counter() - start
    crossing = [(one, other) for one, other in pairs if in_test[one] != in_test[other]]
    in_train = {names[other if in_test[one] else one] for one, other in crossing}
    recall = len(in_train & NEAR_DUPLICATES_IN_TRAIN) / len(NEAR_DUPLICATES_IN_TRAIN)
    others = sorted(in_train - NEAR_DUPLICATES_IN_TRAIN)
    print(f"{len(names)} photos in {seconds:.1f} s: recall {recall:.3f}, {len(pairs)} pairs, beyond the list {others}")
    assert recall == 1
    # Checked by eye: these are real near-duplicates too, although the published list lacks them.
    assert set(others) <= {"Abyssinian_151.jpg", "British_Shorthair_186.jpg", "newfoundland_172.jpg"}
    assert len(pairs) < 60
    parts = deterministic_splits(names, np.ones((len(names), 1)), group_ids(len(names), pairs))
    part_of = {name: part for part, members in parts.items() for name in members}
    assert all(part_of[names[one]] == part_of[names[other]] for one, other in pairs)
