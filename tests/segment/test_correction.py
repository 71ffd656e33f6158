"""A person's correction of a segmentation, against synthetic truth, at the displayed and at the photo's own size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter, zoom

from tests.helpers.segmentations import iou, segmentation
from unet_core.classes import BACKGROUND, BORDER, PET, PET_CLASSES
from unet_core.segment import Segmentation
from unet_core.segment.correction import Correction, CorrectionError, apply, sides
from unet_core.segment.presence import Presence
from unet_core.zoo.meaning import classes_named

SIZES = [(180, 240), (720, 960), (721, 961)]  # displayed, four times as large, and of a barely different aspect
SHOWN = SIZES[0]


def truth(height: int, width: int) -> np.ndarray:
    """Return where the subject truly is: a disc with an ear."""
    rows, columns = (np.mgrid[:height, :width] + 0.5) / height
    disc = np.hypot(rows - 0.55, columns - 0.6) < 0.3
    return disc | ((np.abs(columns - 0.75) < 0.07) & (rows > 0.1) & (rows < 0.55))


def mistaken(height: int, width: int) -> np.ndarray:
    """Return where the network sees the subject: without its ear, but with a cushion beside it."""
    rows, columns = (np.mgrid[:height, :width] + 0.5) / height
    disc = np.hypot(rows - 0.55, columns - 0.6) < 0.3
    return disc | ((np.abs(columns - 0.2) < 0.12) & (np.abs(rows - 0.75) < 0.12))


def network(inside: np.ndarray, classes: tuple[str, ...] = PET_CLASSES.names, shrink: int = 1) -> Segmentation:
    """Return what a network that sees the subject `inside` returns, with a border for pets."""
    softness = 0.01 * max(inside.shape)
    pet = gaussian_filter(inside.astype(np.float32), softness)
    if len(classes) == 2:
        probabilities = np.stack([1 - pet, pet], axis=-1)
    else:
        edge = np.exp(-((signed(inside) / (1.5 * softness)) ** 2))
        probabilities = np.stack([pet * (1 - edge), (1 - pet) * (1 - edge), edge], axis=-1)
    mask = probabilities.argmax(axis=-1)
    small = probabilities[shrink // 2 :: shrink, shrink // 2 :: shrink]
    return segmentation(mask, small, classes, image=np.zeros((*inside.shape, 3), np.uint8))


def signed(inside: np.ndarray) -> np.ndarray:
    return np.where(inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside))


def made_by_hand() -> Correction:
    """Return the strokes that repair `mistaken`, painted at the displayed size, a little further than needed."""
    right, seen = truth(*SHOWN), mistaken(*SHOWN)
    kept, removed = (binary_dilation(wrong, iterations=4) for wrong in (right & ~seen, seen & ~right))
    return Correction((kept & right).astype(np.int8) - (removed & ~right).astype(np.int8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shrink", [1, 4])
def test_a_correction_brings_the_truth_at_any_size(size: tuple[int, int], shrink: int) -> None:
    found = network(mistaken(*size), shrink=shrink)
    right = truth(*size)
    before = iou(found.mask != BACKGROUND.id, right)
    corrected = apply(found, made_by_hand())
    pet, border = corrected.mask == PET.id, corrected.mask == BORDER.id
    assert before < 0.85
    assert not (pet & ~right).any()
    assert iou(pet | (border & right), right) > 0.985
    probable = corrected.probabilities
    assert probable.sum(axis=-1) == pytest.approx(1, abs=1e-5)
    assert (
        iou(probable[..., PET.id] > probable[..., BACKGROUND.id], right[shrink // 2 :: shrink, shrink // 2 :: shrink])
        > 0.97
    )
    shares = {name: float((corrected.mask == number).mean()) for number, name in enumerate(PET_CLASSES.names)}
    assert corrected.shares == pytest.approx(shares, abs=1e-6)
    assert corrected.image is found.image


def test_the_border_runs_along_the_new_outline_as_wide_as_the_networks() -> None:
    found = apply(network(mistaken(*SHOWN)), made_by_hand())
    distance = np.abs(signed(truth(*SHOWN)))
    expected = network(truth(*SHOWN)).mask == BORDER.id
    width = np.count_nonzero(found.mask == BORDER.id) / np.count_nonzero(expected)
    assert width == pytest.approx(1, abs=0.1)
    assert distance[found.mask == BORDER.id].max() < distance[expected].max() + 1.5
    assert not (found.mask[truth(*SHOWN) & (distance > 6)] != PET.id).any(), "the old border is left within the pet"


def test_nothing_changes_away_from_the_strokes() -> None:
    found = network(mistaken(*SHOWN))
    corrected = apply(found, made_by_hand())
    far = distance_transform_edt(made_by_hand().changes == 0) > 25
    assert far.any()
    assert (corrected.mask[far] == found.mask[far]).all()
    assert corrected.probabilities[far] == pytest.approx(found.probabilities[far], abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_the_outline_follows_with_an_edge_that_is_soft_but_not_wide(size: tuple[int, int]) -> None:
    alpha = made_by_hand().applied_to(mistaken(*size).astype(np.float32))
    right = truth(*size)
    assert iou(alpha > 0.5, right) > 0.985
    assert (alpha.min(), alpha.max()) == (0, 1)
    assert np.abs(alpha - right)[np.abs(signed(right)) > 3 * size[0] / SHOWN[0]].max() == 0
    soft = (alpha > 0.05) & (alpha < 0.95)
    assert soft.any()
    assert soft.mean() < 0.02


@pytest.mark.parametrize("size", SIZES)
def test_the_segmentations_own_outline_is_the_corrected_one(size: tuple[int, int]) -> None:
    found = network(mistaken(*size), shrink=4)
    right = truth(*size)
    corrected = found.corrected(made_by_hand())
    assert corrected.correction is not None
    assert iou(corrected.alpha > 0.5, right) > 0.975
    assert iou(found.alpha > 0.5, right) < 0.85
    assert corrected.shrunk(120).alpha.shape == (90, 120)
    assert iou(corrected.alpha_of([PET.id, BORDER.id]) > 0.5, right) > 0.975
    background = corrected.alpha_of([BACKGROUND.id])
    assert (background > 0.5).mean() == pytest.approx(1 - right.mean(), abs=0.06)


def test_what_a_person_keeps_is_there_and_what_they_leave_nothing_of_is_not() -> None:
    nothing = replace(network(mistaken(*SHOWN)), presence=Presence(False, 0.01))
    assert nothing.alpha.max() == 0
    found = nothing.corrected(made_by_hand())
    assert found.presence.found is True
    assert iou(found.alpha > 0.5, truth(*SHOWN)) > 0.975
    gone = network(mistaken(*SHOWN)).corrected(Correction(np.full(SHOWN, -1, np.int8)))
    assert gone.presence.found is False
    assert gone.alpha.max() == 0
    assert gone.shares["background"] == 1


def test_cleaning_leaves_what_a_person_has_drawn() -> None:
    changes = np.zeros(SHOWN, np.int8)
    changes[10:22, 10:22] = 1  # an island
    changes[95:105, 140:150] = -1  # a hole
    found = network(truth(*SHOWN)).corrected(Correction(changes)).cleaned(0.5)
    assert found.alpha[12:20, 12:20].min() > 0.9
    assert found.alpha[97:103, 142:148].max() < 0.1
    assert (found.mask[97:103, 142:148] != PET.id).all()
    assert (found.mask[12:20, 12:20] != BACKGROUND.id).all()


def test_a_model_of_one_other_class_is_corrected_too() -> None:
    classes = ("background", "leaf")
    corrected = apply(network(mistaken(*SHOWN), classes), made_by_hand())
    assert iou(corrected.mask == 1, truth(*SHOWN)) > 0.98
    assert (corrected.mask == corrected.probabilities.argmax(axis=-1)).all()


def test_shares_of_a_displayed_copy_change_by_what_the_copy_changes() -> None:
    found = network(mistaken(720, 960)).shrunk(240)
    corrected = apply(found, made_by_hand())
    large = apply(network(mistaken(720, 960)), made_by_hand())
    assert corrected.shares == pytest.approx(large.shares, abs=0.005)


@pytest.mark.parametrize("names", [("background", "cat", "dog"), ("cat", "dog")])
def test_what_a_stroke_would_mean_must_be_clear(names: tuple[str, ...]) -> None:
    classes = classes_named(names)
    assert sides(classes) is None
    found = segmentation(np.zeros(SHOWN, np.uint8), classes=names)
    with pytest.raises(CorrectionError, match="one subject and a background"):
        apply(found, made_by_hand())


def test_an_empty_correction_changes_nothing() -> None:
    found = network(mistaken(*SHOWN))
    assert apply(found, Correction(np.zeros(SHOWN, np.int8))) is found


def test_a_correction_of_another_photo_is_refused() -> None:
    with pytest.raises(CorrectionError, match="does not fit"):
        made_by_hand().resized(240, 180)


def test_the_compact_form_is_small_and_comes_back_whole() -> None:
    data = made_by_hand().to_bytes()
    assert len(data) < 1000
    assert (Correction.from_bytes(data).changes == made_by_hand().changes).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: b"XX1" + data[3:],
        lambda data: data[:-10],
        lambda data: data[:3] + b"\xff\xff\xff\xff" + data[7:],
        lambda data: data[:3] + b"\x00\x01\x00\x01" + data[7:],
        lambda data: data[:20] + b"\x00" * 10 + data[30:],
    ],
)
def test_damaged_bytes_are_refused(damage) -> None:
    with pytest.raises(CorrectionError):
        Correction.from_bytes(damage(Correction(zoom(made_by_hand().changes, 2, order=0)).to_bytes()))


@pytest.mark.parametrize(
    "changes",
    [
        np.zeros((2, 3, 1), np.int8),
        np.zeros((0, 3), np.int8),
        np.full((2, 3), 2, np.int8),
        np.full((2, 3), -128, np.int8),
        np.zeros((2, 3), np.int16),
    ],
)
def test_arrays_that_are_no_changes_are_refused(changes: np.ndarray) -> None:
    with pytest.raises(CorrectionError):
        Correction(changes)
