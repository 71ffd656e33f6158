"""The zoomed second pass, with a network that classifies by colour: which part it runs on, and the combined result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers.onnx_models import install, pixel_config
from unet_core.errors import ConfigError
from unet_core.images.interpolate import Box
from unet_core.segment import Segmenter
from unet_core.segment.passes import TwoPasses, photo_probabilities, zoom_boxes
from unet_core.zoo.manifest import ModelEntry

RED, GREEN = (255, 0, 0), (0, 255, 0)  # pet, background
SIDE = 32
CONFIG = pixel_config()


class Colours:
    """A network of one pixel's view: logits are the colours. It remembers what it was shown."""

    name, device, output_size = "onnx", "CPU", (SIDE, SIDE)

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def predict(self, batch: np.ndarray) -> np.ndarray:
        self.shown.extend(batch)
        return 20 * batch


def photo_of(part: Box, height: int = 120, width: int = 200) -> np.ndarray:
    """Grass with a red animal in a part of it."""
    photo = np.empty((height, width, 3), np.uint8)
    photo[:] = GREEN
    photo[part.top : part.top + part.height, part.left : part.left + part.width] = RED
    return photo


def red_share(shown: np.ndarray) -> float:
    return float((shown[..., 0] > shown[..., 1]).mean())


def looked(photo: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    network = Colours()
    return photo_probabilities(TwoPasses(network, background=1), CONFIG, photo), network.shown


def test_a_small_pet_fills_more_of_the_second_pass_and_comes_out_finer():
    pet = Box(20, 130, 24, 20)
    found, (first, second) = looked(photo_of(pet))
    assert red_share(second) > 3 * red_share(first) > 0
    assert found.shape[0] > SIDE
    rows, columns = (np.flatnonzero((found[..., 0] > 0.5).any(axis=axis)) for axis in (1, 0))
    scale = 120 / found.shape[0], 200 / found.shape[1]
    assert rows[0] * scale[0] == pytest.approx(pet.top, abs=3)
    assert (rows[-1] + 1) * scale[0] == pytest.approx(pet.top + pet.height, abs=3)
    assert columns[0] * scale[1] == pytest.approx(pet.left, abs=5)
    assert (columns[-1] + 1) * scale[1] == pytest.approx(pet.left + pet.width, abs=5)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


def test_the_second_pass_fades_out_towards_the_edges_of_its_part():
    class ThenOnlyPet(Colours):
        def predict(self, batch: np.ndarray) -> np.ndarray:
            return super().predict(batch) if not self.shown else np.zeros_like(batch) + np.float32([20, 0, 0])

    found = photo_probabilities(TwoPasses(ThenOnlyPet(), background=1), CONFIG, photo_of(Box(55, 90, 20, 30)))
    share = found[..., 0][found.shape[0] // 2]  # along the row through the pet's middle
    assert share[0] < 0.01
    grass = share[: np.argmax(share > 0.62)]
    assert grass.max() == pytest.approx(0.6, abs=0.02)  # the zoomed pass's share in the mean
    assert np.abs(np.diff(grass)).max() < 0.48  # without fading, the step at the edge is 0.6


def test_the_second_pass_is_mirrored():
    left_heavy = photo_of(Box(40, 60, 40, 60))
    left_heavy[40:80, 60:80] = (255, 0, 120)  # a reddish end on the left
    _, (_, second) = looked(left_heavy)
    reddish = second[..., 2] > second[..., 2].min() + 0.2
    assert reddish.any()
    assert np.flatnonzero(reddish.any(axis=0)).mean() > SIDE / 2


class Says(Colours):
    """A network that sees only a share of the pet in each of its runs: its left end."""

    def __init__(self, *sees: float) -> None:
        super().__init__()
        self.sees = sees

    def predict(self, batch: np.ndarray) -> np.ndarray:
        share = self.sees[len(self.shown)]
        found = super().predict(batch)
        pet = np.flatnonzero((found[0, ..., 0] > found[0, ..., 1]).any(axis=0))
        found[:, :, pet[round(share * len(pet)) :]] = (0, 20, 0)
        return found


def said(photo: np.ndarray, *sees: float) -> tuple[np.ndarray, list[np.ndarray]]:
    network = Says(*sees)
    probabilities = photo_probabilities(TwoPasses(network, background=1), CONFIG, photo)
    assert len(network.shown) == len(sees)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)
    return probabilities, network.shown


def pet_at(probabilities: np.ndarray, row: int, column: int) -> float:
    """Return the probability of a pet at a place of a photo of 120 by 200 pixels."""
    rows, columns = probabilities.shape[:2]
    return float(probabilities[row * rows // 120, column * columns // 200, 0])


MIDDLE, WHOLE, NEARLY_WHOLE = Box(40, 60, 40, 60), Box(0, 0, 120, 200), Box(2, 2, 116, 196)


@pytest.mark.parametrize("pet", [MIDDLE, WHOLE, NEARLY_WHOLE], ids=["in the middle", "whole", "nearly whole"])
@pytest.mark.parametrize(
    ("sees", "found"),
    [
        ((1, 1), True),
        ((1, 0, 1), True),
        ((1, 0, 0), False),
        ((0, 1, 1), True),
        ((0, 1, 0), False),
        ((0, 0), False),
    ],
)
def test_where_two_passes_contradict_each_other_a_third_decides(pet: Box, sees: tuple[float, ...], found: bool) -> None:
    probability = pet_at(said(photo_of(pet), *sees)[0], 60, 90)
    assert (probability > 0.5) == found
    assert abs(probability - 0.5) > 0.15, "not by chance"


@pytest.mark.parametrize(("again", "runs"), [(0.2, 3), (0.45, 2)])
def test_a_part_of_the_pet_found_again_needs_no_third_pass(again: float, runs: int) -> None:
    said(photo_of(MIDDLE), *(1, again, 1)[:runs])


def test_each_third_pass_has_another_view() -> None:
    photo = photo_of(MIDDLE)
    photo[40:80, 60:80] = (255, 0, 120)  # a reddish end on the left
    first, _, third = said(photo, 1, 0, 1)[1]
    np.testing.assert_array_equal(third, first[:, ::-1])
    first, second, third = said(photo, 0, 1, 1)[1]
    np.testing.assert_array_equal(second, first[:, ::-1])
    assert red_share(third) > 2 * red_share(first), "enlarged"
    reddish = np.flatnonzero((third[..., 2] > third[..., 2].min() + 0.2).any(axis=0))
    assert reddish.mean() < SIDE / 2, "not mirrored"
    first, _, third = said(photo_of(NEARLY_WHOLE), 1, 0, 1)[1]
    assert (third.shape, (third != first).any()) == (first.shape, True)


@pytest.mark.parametrize("large_is_lost", [False, True])
def test_each_of_several_pets_is_decided_by_itself(large_is_lost: bool) -> None:
    photo = photo_of(Box(6, 6, 24, 40))
    photo[100:112, 170:190] = RED
    large, small = (18, 26), (106, 180)

    class Forgets(Colours):
        def predict(self, batch: np.ndarray) -> np.ndarray:
            run, found = len(self.shown), super().predict(batch)
            return np.zeros_like(found) + np.float32([0, 20, 0]) if run == (1 if large_is_lost else 2) else found

    network = Forgets()
    found = photo_probabilities(TwoPasses(network, background=1), CONFIG, photo)
    assert len(network.shown) == 4
    lost, kept = (large, small) if large_is_lost else (small, large)
    assert pet_at(found, *lost) == pytest.approx(2 / 3, abs=0.03)
    assert pet_at(found, *kept) > 0.95


def test_what_only_the_third_pass_sees_elsewhere_does_not_count() -> None:
    class SeesElsewhere(Colours):
        def predict(self, batch: np.ndarray) -> np.ndarray:
            run, found = len(self.shown), super().predict(batch)
            if run > 0:
                found[:] = (0, 20, 0)
            if run == 2:
                found[:, :4, :4] = (20, 0, 0)
            return found

    found = photo_probabilities(TwoPasses(SeesElsewhere(), background=1), CONFIG, photo_of(MIDDLE))
    assert found[..., 0].max() < 0.4


@pytest.mark.parametrize("background", [0, 1])
def test_a_third_pass_decides_for_any_background(background: int) -> None:
    class Turned(Says):
        def predict(self, batch: np.ndarray) -> np.ndarray:
            found = super().predict(batch)
            return found if background else np.take(found, (1, 0, 2), axis=-1)

    for last in (0, 1):
        network = Turned(1, 0, last)
        found = photo_probabilities(TwoPasses(network, background=background), CONFIG, photo_of(MIDDLE))
        rows, columns = found.shape[:2]
        assert (found[rows // 2, 90 * columns // 200, background] < 0.5) == bool(last)


@pytest.mark.parametrize("pet", [Box(0, 0, 0, 0), WHOLE, NEARLY_WHOLE], ids=["no pet", "only pet", "nearly only pet"])
def test_without_a_part_to_zoom_in_on_the_whole_photo_is_mirrored(pet):
    photo = photo_of(pet)
    found, (first, second) = looked(photo)
    np.testing.assert_array_equal(second, first[:, ::-1])
    assert found.shape == (SIDE, SIDE, 3)


def test_a_small_piece_apart_from_the_pet_is_background_and_a_second_pet_is_not():
    photo = photo_of(Box(10, 20, 60, 80))
    photo[90:102, 20:32] = RED  # 144 pixels beside 4 800
    photo[40:80, 150:180] = RED
    found, _ = looked(photo)
    pets = found.argmax(axis=-1) != 1
    rows, columns = found.shape[:2]

    def at(row: int, column: int) -> bool:
        return bool(pets[row * rows // 120, column * columns // 200])

    assert at(40, 60)
    assert at(60, 165)
    assert not at(96, 26)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


def test_stray_pixels_do_not_make_the_part_larger():
    pets = np.zeros((100, 100, 3), np.float32)
    pets[..., 1] = 1
    pets[40:60, 40:60, 1] = 0
    (alone,) = zoom_boxes(pets, 1, 1000, 1000)
    pets[3, 97, 1] = 0
    assert zoom_boxes(pets, 1, 1000, 1000) == (alone,)
    assert alone.top <= 400
    assert alone.top + alone.height >= 600


def test_pets_far_apart_are_zoomed_in_on_one_by_one_and_near_ones_together():
    def parts(*pets: tuple[int, int]) -> tuple[Box, ...]:
        probabilities = np.zeros((100, 100, 3), np.float32)
        probabilities[..., 1] = 1
        for row, column in pets:
            probabilities[row : row + 8, column : column + 8, 1] = 0
        return zoom_boxes(probabilities, 1, 500, 500)

    one, two = parts((5, 5), (80, 85))
    assert one.top + one.height < two.top or one.left + one.width < two.left
    assert len(parts((40, 40), (50, 52))) == 1
    assert parts((5, 5), (5, 85), (80, 5), (80, 85)) == ()  # too many, and together they fill the photo


@given(
    st.tuples(*[st.integers(1, 70)] * 2),
    st.tuples(*[st.integers(0, 69)] * 2),
    st.tuples(*[st.integers(1, 70)] * 2),
    st.tuples(*[st.integers(1, 40)] * 2),
)
def test_the_part_is_inside_the_photo_and_holds_most_of_the_pet(grid, corner, extent, size):
    probabilities = np.zeros((*grid, 3), np.float32)
    probabilities[..., 1] = 1
    probabilities[corner[0] : corner[0] + extent[0], corner[1] : corner[1] + extent[1], 1] = 0
    parts = zoom_boxes(probabilities, 1, *size)
    if not parts:
        return
    (part,) = parts
    assert 0 <= part.top < part.top + part.height <= size[0]
    assert 0 <= part.left < part.left + part.width <= size[1]
    rows = np.flatnonzero((probabilities[..., 1] == 0).any(axis=1)) * size[0] / grid[0]
    assert part.top <= np.median(rows) <= part.top + part.height


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**32 - 1))
@example(46, 41, 250891156)  # a pet so thin that its enlarged pixels miss those of the first pass: three runs
def test_photos_of_any_size_get_probabilities(height, width, seed):
    random = np.random.default_rng(seed)
    photo = photo_of(Box(*random.integers(0, 50, 2), *random.integers(1, 50, 2)), height, width)
    found, shown = looked(photo)
    assert len(shown) in (2, 3)
    assert found.shape[0] >= SIDE
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


def test_a_segmenter_follows_its_entry(tmp_path):
    settings = install(tmp_path)
    plain = Segmenter(engine="onnx", settings=settings)
    twice = Segmenter("twice", "onnx", settings, entry=plain.entry.replace(second_look=True))
    photo = photo_of(Box(10, 20, 30, 30))
    truth = photo.argmax(axis=-1)
    assert plain.entry.passes == 1
    assert twice.entry.passes == 2
    wrong = [(each.segment(photo).mask != truth).sum() for each in (plain, twice)]
    assert wrong[1] < wrong[0], "the pet's edge is finer"


def test_a_second_pass_needs_a_background_class(tmp_path):
    entry = Segmenter(settings=install(tmp_path)).entry
    with pytest.raises(ConfigError, match="background"):
        ModelEntry.from_dict({**entry.model_dump(mode="json"), "classes": ["a", "b", "c"], "second_look": True})
