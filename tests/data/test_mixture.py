"""Datasets mixed for training: shares, classes matched by name, the border, and photos that are left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import own_datasets
from unet_core.architecture.config import UNetConfig
from unet_core.classes import IGNORE_ID, PET_CLASSES, PixelClasses
from unet_core.data.augmentation import Augmentation, AugmentationConfig
from unet_core.data.border import with_border
from unet_core.data.known import KnownDataset, known_dataset
from unet_core.data.mixture import (
    MixedExample,
    MixedSource,
    SourceShare,
    alternating,
    apportioned,
    check_mixture,
    counterparts,
    drawn_order,
    lacking,
    mixed,
    primary_of,
    scored_source,
    sources_of,
    title_of,
)
from unet_core.data.pipeline import make_datasets, open_source
from unet_core.data.sources import DataError, Example, SplitName
from unet_core.data.splits import SplitConfig
from unet_core.data.statistics import channel_statistics
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.errors import ConfigError
from unet_core.train.config import TrainConfig

SMALL = UNetConfig(height=16, width=24, classes=3, depth=2, base_filters=2)
TWO = PixelClasses(names=("background", "cat"), colours=((0, 0, 0), (255, 0, 0)), codes=(0, 1), background=0)


@dataclass(frozen=True)
class Plain:
    """A photo of random cells around one grey value, by which a test recognises its dataset."""

    name: str
    grey: int
    seed: int
    classes: int

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(self.seed)
        cells = random.integers(-20, 21, (4, 6, 3))
        photo = (self.grey + np.repeat(np.repeat(cells, 4, axis=0), 4, axis=1)).astype(np.uint8)
        return photo, random.integers(0, self.classes, (16, 24), dtype=np.uint8)


@dataclass(frozen=True)
class Plains:
    """A dataset of `Plain` photos."""

    grey: int
    counts: dict[str, int] = field(default_factory=lambda: {"train": 10, "validation": 3, "test": 3})
    classes: PixelClasses = PET_CLASSES
    channels: int = 3
    first_seed: int = 0

    description = "plain photos"
    foreground: tuple[int, ...] | None = (0, 2)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes.names

    @property
    def background(self) -> int:
        return self.classes.background or 0

    def names(self, part: SplitName) -> tuple[str, ...]:
        return tuple(f"{part}{number}" for number in range(self.counts[part]))

    def examples(self, part: SplitName) -> Iterator[Example]:
        start = self.first_seed + {"train": 0, "validation": 1_000, "test": 2_000}[part] + 10_000 * self.grey
        for number, name in enumerate(self.names(part)):
            yield Plain(name, self.grey, start + number, len(self.class_names))


def mixture_of(*shares: float, counts: tuple[int, ...] = (10, 10)) -> MixedSource:
    """Plain photos of grey 60, 120, 180, as many for training as `counts`."""
    sources = [
        Plains(60 * number, {"train": count, "validation": 3, "test": 3}) for number, count in enumerate(counts, 1)
    ]
    named = tuple(SourceShare(source=f"set{number}", share=share) for number, share in enumerate(shares))
    return mixed(named, sources, 3)


def drawn(source: MixedSource, **options: object) -> list[list[int]]:
    """The dataset of each photo of two epochs, in order."""
    datasets = make_datasets(source, SMALL, batch_size=4, parts=("train",), **options)
    epochs = []
    for _ in range(2):
        photos = np.concatenate([batch[0] for batch in datasets.train.as_numpy_iterator()])
        epochs.append([round(255 * photo.mean() / 60) - 1 for photo in photos])
    return epochs


# --- in a configuration -----------------------------------------------------------------------------------------------


def test_a_configuration_takes_a_list_and_gives_it_back() -> None:
    shares = [{"source": "oxford_iiit_pet", "share": 3}, {"source": "/data/cats", "classes": {"cat": "pet"}}]
    config = TrainConfig(model=SMALL, data=[*shares, "synthetic"])
    assert config.sources == ("oxford_iiit_pet", "/data/cats", "synthetic")
    assert config.primary == "oxford_iiit_pet"
    assert config.data_title == "60 % oxford_iiit_pet + 20 % cats + 20 % synthetic"
    assert TrainConfig.from_json(config.to_json()) == config
    assert config.replace(epochs=3).data == config.data
    assert json.loads(config.to_json())["data"][2] == {
        "source": "synthetic", "share": 1, "classes": {}, "border": False
    }  # fmt: skip


def test_a_list_of_one_dataset_is_that_dataset() -> None:
    config = TrainConfig(model=SMALL, data=["synthetic"])
    assert config == TrainConfig(model=SMALL, data="synthetic")
    assert (primary_of(config.data), sources_of(config.data), title_of("/x/cats")) == (
        "synthetic", ("synthetic",), "cats"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", "data: must have at least 1 character"),
        (7, "must be a dataset's name or path, or a list"),
        ([], "a list of 1 to 16"),
        (["a", 5], "entry 2 must be"),
        (["a", {"source": "b", "share": 0}], r"data\.2\.share: must be greater than 0"),
        (["a", {"source": "b", "shares": 1}], r"data\.2\.shares: is not a known field"),
        (["a", {"share": 1}], r"data\.2\.source: is missing"),
        (["a", "b", "a"], "a is there twice"),
        ([{"source": "a", "border": True}, "b"], "the first dataset keeps its own masks"),
    ],
)
def test_a_list_that_is_no_mixture_is_refused(data: object, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        TrainConfig(model=SMALL, data=data)


# --- how often --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 12])
def test_an_epoch_draws_each_dataset_by_its_share(limit: int | None) -> None:
    for epoch in drawn(mixture_of(3, 1, counts=(10, 30)), limit=limit):
        assert np.bincount(epoch).tolist() == ([30, 10] if limit is None else [9, 3])
    first, second = drawn(mixture_of(1, 1))
    assert first != second


def test_photos_of_a_small_dataset_come_equally_often_and_a_large_one_is_drawn_from() -> None:
    owners = np.repeat([0, 1], [4, 36])
    order = drawn_order(np.random.default_rng(0), owners, (3, 1), 40)
    times = np.bincount(order, minlength=40)
    assert sorted(times[:4].tolist()) == [7, 7, 8, 8]
    assert sorted(set(times[4:].tolist())) == [0, 1]
    assert times[4:].sum() == 10


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(sum),
    shares=st.lists(st.floats(0.01, 100), min_size=4, max_size=4),
    seed=st.integers(0, 9),
)
def test_an_epoch_has_as_many_photos_as_there_are(counts: list[int], shares: list[float], seed: int) -> None:
    owners = np.repeat(np.arange(len(counts)), counts)
    order = drawn_order(np.random.default_rng(seed), owners, shares[: len(counts)], len(owners))
    assert len(order) == len(owners)
    found = np.bincount(owners[order], minlength=len(counts))
    present = [number for number, count in enumerate(counts) if count]
    exact = len(owners) * np.array(shares)[present] / np.array(shares)[present].sum()
    assert np.abs(found[present] - exact).max() <= 1
    assert sum(apportioned(7, shares)) == 7


def test_the_first_photos_of_any_number_are_a_mixture_too() -> None:
    order = alternating([30, 30], (2, 1))
    assert np.bincount(order).tolist() == [30, 30]
    assert np.bincount(order[:12]).tolist() == [8, 4]
    source = mixture_of(2, 1, counts=(30, 30))
    assert source.owners.tolist() == order
    assert source.names("train")[:3] == ("set0/train0", "set1/train0", "set0/train1")
    assert [example.name for example in source.examples("train")] == list(source.names("train"))


@pytest.mark.slow
def test_a_mixture_of_one_equals_its_dataset_to_the_last_bit() -> None:
    alone = SyntheticPets(size=(16, 24))
    one = MixedSource((mixed((SourceShare(source="a"), SourceShare(source="b")), [alone, alone], 3).members[0],))
    batches = []
    for source in (alone, one):
        varied = Augmentation(AugmentationConfig(), 5)
        datasets = make_datasets(source, SMALL, SplitConfig(seed=5), batch_size=8, limit=40, augmentation=varied)
        batches.append([[part.numpy() for part in batch] for _ in range(2) for batch in datasets.train])
    for single, other in zip(*batches, strict=True):
        np.testing.assert_array_equal(single[0], other[0])
        np.testing.assert_array_equal(single[1], other[1])


@pytest.mark.parametrize("options", [{}, {"cache_mb": 0}, {"crops": True}])
def test_epochs_depend_on_seed_and_number_alone(options: dict[str, object]) -> None:
    source = mixture_of(2, 1)

    def epochs(first: int, count: int, seed: int = 1) -> list[bytes]:
        train = make_datasets(
            source, SMALL, SplitConfig(seed=seed), batch_size=4, parts=("train",), first_epoch=first, **options
        ).train
        return [b"".join(photos.tobytes() for photos, _ in train.as_numpy_iterator()) for _ in range(count)]

    three = epochs(0, 3)
    assert epochs(2, 1) == three[2:], "a resumed run continues exactly"
    assert len(set(three)) == 3
    assert epochs(0, 1, seed=2) != three[:1]


def test_pieces_of_photos_are_drawn_by_share_too() -> None:
    datasets = make_datasets(
        mixture_of(1, 3), SMALL.replace(height=8, width=8), batch_size=4, parts=("train",), crops=True
    )
    photos = np.concatenate([photos for photos, _ in datasets.train.as_numpy_iterator()])
    greys = [round(255 * photo.mean() / 60) - 1 for photo in photos]
    assert np.bincount(greys).tolist() == [len(greys) // 4, 3 * len(greys) // 4]


def test_validation_and_test_are_of_the_first_dataset_alone() -> None:
    source = mixture_of(1, 9)
    datasets = make_datasets(source, SMALL, batch_size=4)
    assert datasets.names["validation"] == ("validation0", "validation1", "validation2")
    for part in (datasets.validation, datasets.test):
        assert {round(255 * photo.mean() / 60) for photos, _ in part.as_numpy_iterator() for photo in photos} == {1}
    assert scored_source(source) == source.members[0].source == scored_source(source.members[0].source)
    assert source.description == "10 % plain photos; 90 % plain photos; validated and tested on set0 alone"


def test_each_dataset_counts_by_its_share_in_the_photos_statistics() -> None:
    source = mixture_of(1, 3, counts=(5, 20))
    weights = source.weights()
    assert np.bincount(source.owners, weights).tolist() == pytest.approx([1, 3])
    photos = [example.decode()[0] for example in source.examples("train")]
    weighted = channel_statistics(photos, weights)
    repeated = [photo for photo, owner in zip(photos, source.owners, strict=True) for _ in range(4 if not owner else 3)]
    np.testing.assert_allclose(weighted.mean, channel_statistics(repeated).mean, atol=2e-5)
    np.testing.assert_allclose(weighted.std, channel_statistics(repeated).std, atol=2e-5)


# --- classes ----------------------------------------------------------------------------------------------------------


def test_classes_are_matched_by_name_and_by_what_is_said_of_them() -> None:
    share = SourceShare(source="b", classes={"cat": "pet"})
    source = mixed((SourceShare(source="a"), share), [Plains(60), Plains(120, classes=TWO)], 2)
    ids = next(iter(source.members[1].source.examples("train"))).decode()[1]
    found = next(one for one in source.examples("train") if one.name == "b/train0").decode()[1]
    np.testing.assert_array_equal(found, np.array([1, 0])[ids])
    assert source.members[1].table[IGNORE_ID] == IGNORE_ID
    assert lacking(source.members[1].source, share, source.primary) == ("border",)


@pytest.mark.parametrize(
    ("share", "classes", "text"),
    [
        ({}, 3, r"b has the class cat, which a does not have \(pet, background, border\)"),
        ({"classes": {"cat": "pet"}}, 3, "the masks of b have no border, .* with border: true"),
        ({"classes": {"dog": "pet"}}, 2, "classes of b: it has no dog, only background, cat"),
        ({"classes": {"cat": "lion"}}, 2, "b has the class lion, which a does not have"),
    ],
)
def test_what_cannot_be_matched_is_refused(share: dict[str, object], classes: int, text: str) -> None:
    mixture = (SourceShare(source="a"), SourceShare(source="b", **share))
    with pytest.raises(DataError, match=text):
        mixed(mixture, [Plains(60), Plains(120, classes=TWO)], classes)


def test_all_classes_without_a_counterpart_are_named() -> None:
    three = PixelClasses(
        names=("background", "cat", "dog"), colours=((0, 0, 0), (255, 0, 0), (0, 255, 0)), codes=(0, 1, 2)
    )
    mixture = (SourceShare(source="a"), SourceShare(source="b"))
    text = r'b has the classes cat, dog, which a does not have .* which of them they are, such as "classes": {"cat"'
    with pytest.raises(DataError, match=text):
        mixed(mixture, [Plains(60), Plains(120, classes=three)], 3)


def test_what_is_known_of_datasets_is_enough_to_refuse_them(tmp_path: Path) -> None:
    cats = own_datasets.named(tmp_path / "cats", ("background", "cat"), 8)
    known = known_dataset(str(cats))
    assert known == KnownDataset(TWO.names)
    assert known_dataset("synthetic") == known_dataset("oxford_iiit_pet") == KnownDataset(PET_CLASSES.names)
    assert known_dataset(str(tmp_path)) is None
    pair = (SourceShare(source="synthetic"), SourceShare(source=str(cats), classes={"cat": "pet"}, border=True))
    pets = KnownDataset(PET_CLASSES.names)
    check_mixture(pair, (pets, known), 3)
    with pytest.raises(DataError, match="cats have 4 channels and those of synthetic 3"):
        check_mixture(pair, (pets, replace(known, bands=4, asked_channels=4)), 3)
    check_mixture(pair, (pets, replace(known, bands=4)), 3)
    with pytest.raises(DataError, match="the masks of cats have no border"):
        check_mixture((pair[0], pair[1].replace(border=False)), (pets, known), 3)


def test_little_differences_between_names_are_no_difference() -> None:
    first = KnownDataset(("background", "traffic light", "Car", "car"))
    other = KnownDataset(("Background", "Traffic_Light", "CAR", "car", "lion"))
    assert counterparts(other, first) == {
        "Background": "background", "Traffic_Light": "traffic light", "CAR": "Car"
    }  # fmt: skip


def test_a_border_is_for_pets_without_one() -> None:
    bordered = (SourceShare(source="a"), SourceShare(source="b", border=True))
    with pytest.raises(DataError, match="border of b: its masks have a border already"):
        mixed(bordered, [Plains(60), Plains(120)], 3)
    with pytest.raises(DataError, match="a has no pet, background, border"):
        mixed(bordered, [Plains(60, classes=TWO), Plains(120, classes=TWO)], 2)


def test_photos_of_other_channels_and_folders_of_one_name_are_refused() -> None:
    pair = (SourceShare(source="/x/a"), SourceShare(source="/y/a"))
    with pytest.raises(DataError, match="have 4 channels and those of a 3"):
        mixed(pair, [Plains(60), Plains(120, channels=4)], 3)
    with pytest.raises(DataError, match="two datasets have the same folder name"):
        mixed(pair, [Plains(60), Plains(120)], 3)


# --- the border -------------------------------------------------------------------------------------------------------


def test_the_border_lies_on_both_sides_of_the_outline_and_grows_with_the_photo() -> None:
    widths = []
    for side in (128, 256):
        ids = np.ones((side, side), np.uint8)
        ids[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 0
        found = with_border(ids)
        across = found[side // 2]
        assert set(across.tolist()) == {0, 1, 2}
        assert across[side // 4 - 1] == across[side // 4] == 2
        assert (across[side // 2], across[0]) == (0, 1)
        widths.append(int((across == 2).sum()) / 2)
    assert widths[1] == pytest.approx(2 * widths[0], abs=2)


def test_unlabelled_pixels_far_from_animals_and_photos_without_one_stay() -> None:
    ids = np.ones((100, 150), np.uint8)
    ids[:5] = IGNORE_ID
    np.testing.assert_array_equal(with_border(ids), ids)
    ids[40:80, 40:80] = 0
    found = with_border(ids)
    assert (found[:5] == IGNORE_ID).all()
    assert (found == 2).sum() > 100


def test_the_border_is_drawn_in_a_mixture_and_void_stays_open() -> None:
    ids = np.ones((64, 64), np.uint8)
    ids[20:44, 20:44] = 0

    @dataclass(frozen=True)
    class One:
        name: str = "one"

        def decode(self) -> tuple[np.ndarray, np.ndarray]:
            own = np.where(ids == 0, 1, 0).astype(np.uint8)
            own[:4] = IGNORE_ID
            return np.zeros((64, 64, 3), np.uint8), own

    source = mixed(
        (SourceShare(source="a"), SourceShare(source="b", classes={"cat": "pet"}, border=True)),
        [Plains(60), Plains(120, classes=TWO)],
        3,
    )
    found = MixedExample("b/one", One(), source.members[1]).decode()[1]
    assert set(np.unique(found).tolist()) == {0, 1, 2, IGNORE_ID}
    assert (found[:4] == IGNORE_ID).all()
    np.testing.assert_array_equal(found[4:] == 2, with_border(ids)[4:] == 2)


# --- photos that must not be trained on -------------------------------------------------------------------------------


def test_photos_that_show_a_held_out_picture_of_the_first_dataset_are_left_out_and_named(tmp_path: Path) -> None:
    first = own_datasets.folder(tmp_path / "first", 20)
    second = own_datasets.folder(tmp_path / "second", 14, start=50)
    held_out = open_source(str(first), SMALL).names("test")[0]
    trained = open_source(str(second), SMALL).names("train")[2]
    for folder, ending in (("images", ".jpg"), ("masks", ".png")):
        shutil.copy(first / folder / f"{held_out}{ending}", second / folder / f"{trained}{ending}")
    mixture = (SourceShare(source=str(first)), SourceShare(source=str(second)))
    source = open_source(mixture, SMALL.replace(classes=2))
    assert isinstance(source, MixedSource)
    assert source.left_out == {"second": (trained,)}
    assert f"second/{trained}" not in source.names("train")
    assert f"second/{trained}" not in {example.name for example in source.examples("train")}
    assert source.left_out_sentence == (
        f"second: 1 photo looks like one of first's validation or test part; left out of training: {trained}."
    )
