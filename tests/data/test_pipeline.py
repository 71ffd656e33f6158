"""Datasets up to batches: masks keep their classes, photos match masks, splits are disjoint, epochs reproducible."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers import miniature_pets
from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.data.augmentation import FLIPS_ONLY, Augmentation
from unet_core.data.own.folder import ImageFolder
from unet_core.data.pipeline import Datasets, make_datasets, target_coding
from unet_core.data.sources import PARTS, DataError, LabelError
from unet_core.data.splits import SplitConfig
from unet_core.data.synthetic.pets import SyntheticPets, draw_pet
from unet_core.images.square import resized_mask, resized_photo

SMALL = UNetConfig(height=32, width=48, classes=3, depth=2, base_filters=2)


def synthetic(config: UNetConfig = SMALL, **options: object) -> Datasets:
    return make_datasets("synthetic", config, **{"batch_size": 4, "limit": 10, **options})


def arrays(dataset: tf.data.Dataset) -> list[np.ndarray]:
    """All batches of one iteration, joined."""
    return [np.concatenate(values) for values in zip(*dataset.as_numpy_iterator())]


def in_order(labels: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in labels]


# --- batches ------------------------------------------------------------------------------------------------------


def test_batches_have_the_models_shape_types_and_scale() -> None:
    datasets = synthetic()
    for part in PARTS:
        photos, labels = getattr(datasets, part).element_spec
        assert photos.shape[1:] == (32, 48, 3)
        assert labels.shape[1:] == (32, 48)
        assert (photos.dtype, labels.dtype) == (tf.float32, tf.int32)
        photos, labels = arrays(getattr(datasets, part))
        assert len(photos) == len(labels) == datasets.sizes[part] == 10
        assert 0 <= photos.min() < 0.3 < photos.max() <= 1
        assert set(np.unique(labels)) == {0, 1, 2}
    assert datasets.steps == 3 == len(datasets.train)


STANDARDIZED = {"scale": "standardize", "mean": (0.5, 0.4, 0.3), "std": (0.5, 0.4, 0.3)}


@pytest.mark.parametrize(
    ("scale", "low", "high"),
    [
        ({"scale": "unit"}, 0, 1),
        ({"scale": "symmetric"}, -1, 1),
        ({"scale": "raw"}, 0, 255),
        (STANDARDIZED, -1, 0.7 / 0.3),
    ],
)
def test_scaling_is_the_one_that_inference_uses(scale: dict, low: float, high: float) -> None:
    from unet_core.images.preprocess import network_input

    config = SMALL.replace(preprocessing=Preprocessing(**scale))
    photos, _ = arrays(synthetic(config).test)
    assert low <= photos.min() < photos.max() <= high
    photo, _ = draw_pet(0, 1_000_000, (32, 48))
    np.testing.assert_allclose(photos[0], network_input(photo, config, (32, 48))[0], atol=1e-4)


def test_test_part_keeps_order_and_every_example() -> None:
    datasets = synthetic(drop_remainder=True)
    photos, labels = arrays(datasets.test)
    for index in range(10):
        photo, trimap = draw_pet(0, 1_000_000 + index, (32, 48))
        np.testing.assert_allclose(photos[index] * 255, photo, atol=1e-3)
        np.testing.assert_array_equal(labels[index] + 1, trimap)
    assert datasets.names["test"][0] == "synthetic_0_1000000"


def test_only_the_parts_asked_for_are_prepared() -> None:
    datasets = synthetic(parts=("test",))
    assert datasets.train is None
    assert datasets.validation is None
    assert (datasets.sizes, datasets.steps) == ({"test": 10}, 0)


def test_drop_remainder_leaves_out_the_last_smaller_training_batch_only() -> None:
    datasets = synthetic(drop_remainder=True)
    assert [len(photos) for photos, _ in datasets.train] == [4, 4]
    assert datasets.steps == 2
    assert [len(photos) for photos, _ in datasets.validation] == [4, 4, 2]


def test_progress_is_reported_to_the_end() -> None:
    seen = []
    synthetic(progress=lambda *values: seen.append(values))
    assert seen == [(part, 10, 10) for part in PARTS]


def test_class_weights_become_pixel_weights_of_training_only() -> None:
    datasets = synthetic(class_weights=(2.0, 0.5, 3.0))
    _, labels, weights = arrays(datasets.train)
    np.testing.assert_array_equal(weights, np.array([2.0, 0.5, 3.0])[labels])
    assert weights.dtype == np.float32
    assert len(datasets.validation.element_spec) == 2


def test_one_channel_models_get_grey_photos() -> None:
    photos, _ = arrays(synthetic(SMALL.replace(channels=1)).test)
    assert photos.shape == (10, 32, 48, 1)
    colour, _ = draw_pet(0, 1_000_000, (32, 48))
    np.testing.assert_allclose(photos[0, ..., 0] * 255, colour @ (0.299, 0.587, 0.114), atol=1)


def test_valid_padding_gets_the_centre_of_the_mask() -> None:
    config = SMALL.replace(padding="valid", depth=2)
    whole, cropped = arrays(synthetic().test)[1], synthetic(config)
    height, width = cropped.output_size
    assert (height, width) == (32 - 16, 48 - 16)
    np.testing.assert_array_equal(arrays(cropped.test)[1], whole[:, 8:-8, 8:-8])
    np.testing.assert_array_equal(arrays(synthetic(output_size=(20, 30)).test)[1], whole[:, 6:26, 9:39])


def test_an_output_larger_than_the_input_gets_an_enlarged_mask() -> None:
    labels = arrays(synthetic(output_size=(64, 96)).test)[1]
    np.testing.assert_array_equal(labels[:, ::2, ::2], arrays(synthetic().test)[1])


# --- what a model with other classes learns ------------------------------------------------------------------------


def test_one_class_heads_learn_pet_with_border_against_the_rest() -> None:
    three, one = arrays(synthetic().test)[1], synthetic(SMALL.replace(classes=1))
    np.testing.assert_array_equal(arrays(one.test)[1], three != 1)
    assert one.coding.foreground == (1,)


def test_two_class_models_learn_pet_with_border_and_background() -> None:
    three, two = arrays(synthetic().test)[1], synthetic(SMALL.replace(classes=2))
    np.testing.assert_array_equal(arrays(two.test)[1], three == 1)
    assert two.coding.class_names == ("pet", "background")


def test_padding_is_background_or_a_class_of_its_own_where_there_is_one(tmp_path: Path) -> None:
    folder = miniature_pets.write_folder(tmp_path, 6, size=(20, 40))
    for classes, padding in ((1, 0), (2, 1), (3, 1), (4, 3)):
        config = UNetConfig(height=32, width=32, classes=classes, preprocessing=Preprocessing(resize="pad"))
        datasets = make_datasets(str(folder), config, batch_size=2)
        photos, labels = arrays(datasets.validation)
        assert (labels[:, :8] == padding).all()
        assert (labels[:, -8:] == padding).all()
        assert (photos[:, :8] == 0).all()
        assert photos[:, 8:24].min(axis=(1, 2, 3)).max() > 0
        assert set(np.unique(labels[:, 8:24])) == {0, 1, 2} & set(range(max(classes, 2)))


def test_too_few_classes_are_refused_by_name(tmp_path: Path) -> None:
    folder = miniature_pets.write_folder(tmp_path, 4, first_value=0)
    source = ImageFolder(folder)
    with pytest.raises(ValueError, match="the dataset has 3 \\(class 0, class 1, class 2\\); the model has only 2"):
        target_coding(source, 2)


# --- masks and alignment ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    source=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    target=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    how=st.sampled_from(["stretch", "pad"]),
)
def test_resized_masks_hold_no_new_values(seed: int, source: tuple, target: tuple, how: str) -> None:
    mask = np.random.default_rng(seed).choice([0, 2, 9], source).astype(np.uint8)
    resized = resized_mask(mask, target, how, padding=9)
    assert resized.shape == target
    assert set(np.unique(resized)) <= set(np.unique(mask)) | ({9} if how == "pad" else set())


@settings(max_examples=40, deadline=None)
@given(
    source=st.tuples(st.integers(20, 200), st.integers(20, 200)),
    target=st.tuples(st.integers(16, 96), st.integers(16, 96)),
    how=st.sampled_from(["stretch", "pad"]),
    edge=st.floats(0.3, 0.7),
)
def test_photo_and_mask_are_resized_to_the_same_place(source: tuple, target: tuple, how: str, edge: float) -> None:
    mask = np.zeros(source, np.uint8)
    mask[int(edge * source[0]) :, int(edge * source[1]) :] = 1
    photo = np.repeat(mask[..., None], 3, -1) * np.uint8(200) + np.uint8(50)
    resized = resized_photo(photo, target, how)
    inside = resized_mask(mask, target, how, padding=2)
    np.testing.assert_array_equal(inside == 2, (resized == 0).all(-1))
    shown = resized[..., 0] > 150
    wrong = (shown != (inside == 1)) & (inside != 2)
    assert wrong.sum() <= 1.0 * (target[0] + target[1])  # at most a pixel along the edge


@pytest.mark.parametrize("augmentation", [None, Augmentation(), Augmentation(FLIPS_ONLY)])
def test_training_labels_hold_only_the_classes_of_their_masks(augmentation: Augmentation | None) -> None:
    _, labels = arrays(synthetic(augmentation=augmentation).train)
    assert set(np.unique(labels)) == {0, 1, 2}


@pytest.mark.parametrize("cache_mb", [2048, 0])
def test_photo_and_mask_stay_together_through_shuffling_and_variation(tmp_path: Path, cache_mb: float) -> None:
    folder = painted_folder(tmp_path)
    config = UNetConfig(height=32, width=32, classes=3)
    datasets = make_datasets(
        str(folder), config, batch_size=3, cache_mb=cache_mb, augmentation=Augmentation(_without_colour())
    )
    for _ in range(3):
        for photos, labels in datasets.train.as_numpy_iterator():
            assert (photos.argmax(-1) == labels).mean() > 0.95
            assert (photos.argmax(-1) == labels[::-1]).mean() < 0.95 or len(labels) == 1


def painted_folder(root: Path) -> Path:
    """Photos that show only their masks: each class has its own colour channel."""
    (root / "images").mkdir()
    (root / "masks").mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        mask = random.integers(0, 3, (4, 4), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
        Image.fromarray(np.eye(3, dtype=np.uint8)[mask] * 255).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    return root


def _without_colour():
    from unet_core.data.augmentation import AugmentationConfig

    return AugmentationConfig(flip_vertical=True, brightness=0, contrast=0, saturation=0, hue=0)


# --- epochs -------------------------------------------------------------------------------------------------------


def test_each_epoch_shows_every_example_in_another_order() -> None:
    datasets = synthetic()
    epochs = [in_order(arrays(datasets.train)[1]) for _ in range(3)]
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len(set(epochs[0])) == 10


@pytest.mark.slow
def test_equal_seeds_give_equal_epochs_and_other_seeds_other_variations() -> None:
    options = {"augmentation": Augmentation(seed=4), "batch_size": 3}
    one, two = synthetic(**options), synthetic(**options)
    epochs = [arrays(one.train)[0] for _ in range(2)]
    for epoch in epochs:
        np.testing.assert_array_equal(epoch, arrays(two.train)[0])
    assert np.abs(np.sort(epochs[0], axis=None) - np.sort(epochs[1], axis=None)).max() > 0.01
    assert (in_order(epochs[0])) != in_order(arrays(synthetic(**{**options, "split": SplitConfig(seed=1)}).train)[0])


@pytest.mark.slow
def test_a_resumed_run_sees_exactly_the_epochs_that_it_missed() -> None:
    options = {"augmentation": Augmentation(), "batch_size": 4}
    whole, resumed = synthetic(**options), synthetic(**options, first_epoch=2)
    epochs = [arrays(whole.train) for _ in range(4)]
    for epoch in epochs[2:]:
        for expected, values in zip(epoch, arrays(resumed.train)):
            np.testing.assert_array_equal(values, expected)


@pytest.mark.slow
def test_fit_sees_one_epoch_after_the_other_and_equals_an_uninterrupted_run() -> None:
    def model() -> keras.Model:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((32, 48, 3))
        model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs))
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    options = {"augmentation": Augmentation(), "batch_size": 4}
    whole = model()
    whole.fit(synthetic(**options).train, epochs=3, verbose=0)
    parts = model()
    parts.fit(synthetic(**options).train, epochs=1, verbose=0)
    parts.fit(synthetic(**options, first_epoch=1).train, initial_epoch=1, epochs=3, verbose=0)
    for expected, value in zip(whole.get_weights(), parts.get_weights()):
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_validation_and_test_are_never_varied() -> None:
    plain, varied = synthetic(), synthetic(augmentation=Augmentation())
    for part in ("validation", "test"):
        for expected, values in zip(arrays(getattr(plain, part)), arrays(getattr(varied, part))):
            np.testing.assert_array_equal(values, expected)
    assert np.abs(np.sort(arrays(plain.train)[0], None) - np.sort(arrays(varied.train)[0], None)).max() > 0.01


def test_without_memory_for_decoded_photos_the_batches_are_the_same() -> None:
    cached, streamed = synthetic(), synthetic(cache_mb=0)
    for part in PARTS:
        for expected, values in zip(arrays(getattr(cached, part)), arrays(getattr(streamed, part))):
            np.testing.assert_array_equal(values, expected)


# --- synthetic pets -----------------------------------------------------------------------------------------------


def test_synthetic_pets_are_the_same_every_time_and_all_different() -> None:
    photos, trimaps = zip(*(draw_pet(3, index) for index in range(20)))
    again, same = draw_pet(3, 7)
    np.testing.assert_array_equal(again, photos[7])
    np.testing.assert_array_equal(same, trimaps[7])
    assert len({trimap.tobytes() for trimap in trimaps}) == 20
    assert not np.array_equal(draw_pet(4, 7)[0], photos[7])


def test_synthetic_trimaps_have_a_border_between_pet_and_background_and_shares_like_real_ones() -> None:
    trimaps = np.stack([draw_pet(0, index)[1] for index in range(100)])
    pet, background, border = ((trimaps == code).mean() for code in (1, 2, 3))
    assert abs(pet - 0.303) < 0.1
    assert abs(background - 0.574) < 0.1
    assert abs(border - 0.123) < 0.1
    for axis in (1, 2):
        first, second = np.delete(trimaps, -1, axis), np.delete(trimaps, 0, axis)
        assert not ((first == 1) & (second == 2)).any()
        assert not ((first == 2) & (second == 1)).any()


def test_synthetic_parts_share_no_picture() -> None:
    source = SyntheticPets(validation_fraction=0.2)
    names = [set(source.names(part)) for part in PARTS]
    assert [len(part) for part in names] == [800, 200, 200]
    assert len(set.union(*names)) == 1200


# --- Oxford pets --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_oxford_pets_run_through_the_pipeline_without_near_duplicates(tmp_path: Path) -> None:
    data_dir = miniature_pets.prepare(tmp_path)
    datasets = make_datasets("oxford_iiit_pet", SMALL, batch_size=4, data_dir=data_dir, augmentation=Augmentation())
    assert datasets.sizes["train"] + datasets.sizes["validation"] == len(miniature_pets.TRAIN) - 2
    assert "Bombay_146.jpg" not in datasets.names["train"] + datasets.names["validation"]
    for part in PARTS:
        assert set(np.unique(arrays(getattr(datasets, part))[1])) == {0, 1, 2}
    split = SplitConfig(drop_near_duplicates=False)
    everything = make_datasets("oxford_iiit_pet", SMALL, split, batch_size=4, data_dir=data_dir, parts=("train",))
    assert "Bombay_146.jpg" in everything.names["train"]


# --- folders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first_value", [0, 1])
def test_folder_coding_is_decided_over_all_masks_and_reported(tmp_path: Path, first_value: int) -> None:
    folder = miniature_pets.write_folder(tmp_path, 10, first_value=first_value)
    datasets = make_datasets(str(folder), SMALL, batch_size=4)
    assert ("trimap codes" if first_value else "class ids 0 to 2") in datasets.description
    for part in PARTS:
        assert set(np.unique(arrays(getattr(datasets, part))[1])) == {0, 1, 2}
    names = [set(datasets.names[part]) for part in PARTS]
    assert sum(map(len, names)) == len(set.union(*names)) == 10


def test_folder_reads_palette_and_one_bit_masks(tmp_path: Path) -> None:
    folder = miniature_pets.write_folder(tmp_path, 3)
    for number in range(3):
        pet = draw_pet(7, number, (24, 32))[1] == 1
        image = Image.fromarray(pet)  # one bit a pixel
        if number == 0:
            image = Image.fromarray(pet.astype(np.uint8))
            image.putpalette([0, 0, 0, 255, 255, 255])
        image.save(folder / "masks" / f"pet{number}.png")
    source = ImageFolder(folder)
    assert source.class_names == ("background", "object")
    for part in PARTS:
        for example in source.examples(part):
            number = int(example.name.removeprefix("pet"))
            np.testing.assert_array_equal(example.decode()[1], draw_pet(7, number, (24, 32))[1] == 1)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda root: shutil.rmtree(root / "masks"), DataError, "contains 5 photos but no mask"),
        (lambda root: save_mask(root, np.full((24, 32), 9)), LabelError, "pet0.png contains 9 \\(first at x 0, y 0\\)"),
        (
            lambda root: save_mask(root, np.full((24, 32), 255)),
            LabelError,
            "pet0.png contains 255.*which is not a class",
        ),
        (lambda root: save_mask(root, np.ones((24, 30))), DataError, "differ in size \\(32×24 and 30×24 pixels\\)"),
        (lambda root: (root / "masks" / "pet0.png").write_bytes(b"text"), DataError, "pet0.png is not a mask"),
        (lambda root: (root / "images" / "pet0.jpg").write_bytes(b"text"), ValueError, "pet0.jpg"),
        (lambda root: Image.new("RGB", (32, 24)).save(root / "images" / "pet0.png"), DataError, "have the same name"),
    ],
)
def test_wrong_folders_are_refused_with_the_file_and_the_reason(tmp_path, damage, error, message) -> None:
    folder = miniature_pets.write_folder(tmp_path, 5)
    damage(folder)
    with pytest.raises(error, match=message):
        make_datasets(str(folder), SMALL, batch_size=2)


def save_mask(root: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint8)).save(root / "masks" / "pet0.png")


def test_a_folder_needs_an_example_for_each_part(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 3"):
        ImageFolder(miniature_pets.write_folder(tmp_path, 2))


# --- bad arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "no_such_folder"}, "must be 'oxford_iiit_pet', 'synthetic', a folder or a ZIP"),
        ({"config": SMALL.replace(channels=4)}, "channels"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 64, "drop_remainder": True}, "more than the 10 training examples"),
        ({"class_weights": (1.0, 2.0)}, "class_weights: needs 3 numbers \\(pet, background, border\\)"),
        ({"config": UNetConfig(height=8, width=8, padding="valid", depth=5)}, "cannot be built at 8×8"),
    ],
)
def test_bad_arguments_are_named(options: dict, message: str) -> None:
    arguments = {"data": "synthetic", "config": SMALL, "batch_size": 4, "limit": 10, **options}
    with pytest.raises(ValueError, match=message):
        make_datasets(**arguments)


def test_missing_oxford_pets_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="python -m unet_core download"):
        make_datasets("oxford_iiit_pet", SMALL, batch_size=4, data_dir=tmp_path)
