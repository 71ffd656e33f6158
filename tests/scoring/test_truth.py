"""Ground-truth masks as people have them: read, or refused with a sentence; scores against plain counts."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tests.helpers.segmentations import pet_shape, random_segmentation, segmentation
from unet_core.classes import CLASS_NAMES, CLASSES, IGNORE_ID
from unet_core.data.own import coding
from unet_core.images.mask_values import unpacked
from unet_core.scoring.truth import Truth, TruthError, read_truth, score
from unet_core.segment import ImageError
from unet_core.zoo.meaning import classes_named

IDS = pet_shape(30, 40)
BINARY = (IDS == 0).astype(np.uint8)
SIZE = IDS.shape


def stored(values: np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()


def palette_png(indices: np.ndarray, colours: list[tuple[int, int, int]]) -> bytes:
    image = Image.fromarray(indices)
    image.putpalette([value for colour in colours for value in colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


TRIMAP = np.array([1, 2, 3], np.uint8)[IDS]
OWN_COLOURS = [pixel_class.colour for pixel_class in CLASSES]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (stored(TRIMAP), "trimap codes (grey values): 1 = pet, 2 = background, 3 = border"),
        (stored(TRIMAP.astype(np.uint16)), "trimap codes"),
        (stored(np.repeat(TRIMAP[..., None], 3, axis=-1)), "trimap codes"),
        (stored(IDS), "class ids (grey values): 0 = pet, 1 = background, 2 = border"),
        (palette_png(IDS, [(255, 0, 0), (0, 255, 0), (0, 0, 9)]), "class ids (palette indices)"),
        (palette_png(TRIMAP, [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 9)]), "trimap codes (palette indices)"),
        (palette_png(TRIMAP, [(level, level, level) for level in range(4)]), "trimap codes (palette of greys)"),
        (palette_png(np.uint8(2) - IDS, OWN_COLOURS[::-1]), "palette of the class colours"),
        (stored(np.array(OWN_COLOURS, np.uint8)[IDS]), "class colours"),
    ],
)
def test_masks_of_three_classes_are_understood(data, words):
    truth = read_truth(data, SIZE)
    assert np.array_equal(truth.ids, IDS)
    assert truth.classes == ("pet", "background", "border")
    assert words in truth.sentence


def voc_png(indices: np.ndarray) -> bytes:
    return palette_png(indices, [unpacked(colour) for colour in coding._voc_palette()])


VOID = np.where(IDS == 2, 255, 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (stored(BINARY | VOID), "0 and 1 (grey values): 0 = background, 1 = pet, 255 = void"),
        (voc_png(np.maximum(BINARY * 8, VOID)), "0 = background, 8 = pet, 255 = void"),
        (voc_png(np.maximum(np.where(BINARY, 12, 0).astype(np.uint8), VOID)), "12 = pet"),
    ],
    ids=["0 1 255", "cat", "dog"],
)
def test_what_is_marked_as_not_labelled_is_not_scored(data, words):
    truth = read_truth(data, SIZE)
    assert words in truth.sentence
    assert truth.classes == ("pet", "background")
    assert np.array_equal(truth.ids == 255, IDS == 2)
    assert np.array_equal(truth.ids == 0, IDS == 0)


def test_in_a_mask_of_many_things_cats_and_dogs_are_pets_and_the_rest_is_background():
    indices = np.zeros((30, 40), np.uint8)
    indices[2:10, 2:10], indices[12:20, 2:10], indices[2:20, 20:30] = 8, 12, 15
    truth = read_truth(voc_png(indices), SIZE)
    assert np.array_equal(truth.ids == 0, (indices == 8) | (indices == 12))
    assert "15 = background" in truth.sentence


def test_an_inverted_mask_is_noticed_and_read_so_when_asked():
    photo = segmentation(IDS)
    inverted = stored(np.where(photo.alpha > 0.5, np.uint8(0), np.uint8(255)))
    found = score(photo, read_truth(inverted, SIZE))
    assert found.looks_inverted
    asked = read_truth(inverted, SIZE, reading="inverted")
    assert "inverted" in asked.sentence
    again = score(photo, asked)
    assert again.scores.mean_iou == 1
    assert not again.looks_inverted
    assert not score(photo, read_truth(stored(np.array([1, 2, 3], np.uint8)[IDS]), SIZE)).looks_inverted


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (stored(BINARY), "0 and 1 (grey values): 0 = background, 1 = pet"),
        (stored(BINARY * np.uint8(255)), "black and white (grey values): 0 = background, 255 = pet"),
        (stored(BINARY.astype(bool)), "1-bit image"),
        (palette_png(BINARY, [(0, 0, 0), (255, 255, 255)]), "black and white (palette of greys)"),
        (palette_png(np.uint8(1) - BINARY, [(255, 255, 255), (0, 0, 0)]), "black and white (palette of greys)"),
        (palette_png(BINARY, [(0, 0, 0), (128, 0, 0)]), "0 and 1 (palette indices)"),
        (stored(BINARY[..., None] * np.array([128, 0, 0], np.uint8)), "black and one colour"),
        (stored(np.where(BINARY, 1, 2).astype(np.uint8)), "trimap codes"),
        (stored(BINARY * np.uint8(128)), "0 and 128 (grey values): 0 = background, 128 = pet"),
        (stored(BINARY.astype(np.uint16) * np.uint16(65535)), "0 and 65535 (grey values)"),
    ],
)
def test_masks_of_pet_and_background_are_understood(data, words):
    truth = read_truth(data, SIZE)
    assert words in truth.sentence
    assert np.array_equal(truth.ids == 0, BINARY == 1)
    assert set(np.unique(truth.ids)) == {0, 1}


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_soft_edges_are_split_in_the_middle(kind):
    big = np.kron(BINARY * np.uint8(255), np.ones((8, 8), np.uint8))
    soft = np.asarray(Image.fromarray(big).resize((300, 230), Image.Resampling.BICUBIC))
    truth = read_truth(stored(soft, kind), soft.shape)
    assert "split at level 128" in truth.sentence
    assert ((truth.ids == 0) == (soft >= 128)).mean() > 0.998


def test_the_reading_can_be_chosen():
    data = stored(np.where(BINARY, 0, 1).astype(np.uint8))
    assert np.array_equal(read_truth(data, SIZE).ids == 0, BINARY == 0)
    assert np.array_equal(read_truth(data, SIZE, reading="ids").ids == 0, BINARY == 1)


def test_other_models_read_their_own_ids():
    classes = ("background", "cat", "dog", "bird")
    values = np.arange(4, dtype=np.uint8)[None]
    truth = read_truth(stored(values), (1, 4), classes=classes_named(classes))
    assert truth.classes == classes
    assert np.array_equal(truth.ids, values)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(TruthError, match=r"cat.png has 40 × 30 pixels, its photo 41 × 30"):
        read_truth(stored(TRIMAP), (30, 41), name="cat.png")
    with pytest.raises(TruthError, match="rotated"):
        read_truth(stored(TRIMAP), (40, 30))


def test_unknown_values_are_named_with_their_positions():
    values = TRIMAP.copy()
    values[3, 5] = values[7, 1] = 9
    values[20, 2] = 77
    with pytest.raises(TruthError, match=r"9 \(first at x 5, y 3\), 77 \(first at x 2, y 20\) in 3 pixels"):
        read_truth(stored(values), SIZE)


def test_unknown_colours_are_named_with_their_positions():
    colours = np.array(OWN_COLOURS, np.uint8)[IDS]
    colours[4, 6] = (1, 2, 3)
    with pytest.raises(TruthError, match=r"#010203 \(first at x 6, y 4\)"):
        read_truth(stored(colours), SIZE)


def test_photos_are_not_masks():
    random = np.random.default_rng(0)
    with pytest.raises(TruthError, match="not a mask but a colour image"):
        read_truth(stored(random.integers(0, 256, (*SIZE, 3), np.uint8)), SIZE)
    with pytest.raises(TruthError, match="not a mask: it has 256 different values"):
        read_truth(stored(np.arange(1200, dtype=np.uint32).astype(np.uint8).reshape(SIZE)), SIZE)
    with pytest.raises(TruthError, match="only the value 40"):
        read_truth(stored(np.full(SIZE, 40, np.uint8)), SIZE)
    with pytest.raises(TruthError, match="save it as PNG"):
        read_truth(stored(random.integers(0, 256, SIZE, np.uint8), "JPEG"), SIZE)


@settings(deadline=None)
@given(arrays.arrays(st.sampled_from(["u1", "u2"]), (4, 5), elements=st.integers(0, 255)))
def test_any_numbers_are_understood_or_refused(values):
    try:
        truth = read_truth(stored(values), values.shape)
    except TruthError:
        return
    assert truth.ids.shape == values.shape
    assert {*np.unique(truth.ids)} <= {*range(len(truth.classes)), IGNORE_ID}


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a picture", stored(TRIMAP)[:60]])
def test_files_that_are_no_image_are_refused(data):
    with pytest.raises(ImageError):
        read_truth(data, SIZE)


def pets_truth(ids: np.ndarray) -> Truth:
    return Truth(np.asarray(ids, np.uint8), CLASS_NAMES, "")


def test_scores_equal_plain_counts():
    found, truth = random_segmentation(20, 25), pets_truth(random_segmentation(20, 25, seed=5).mask)
    result = score(found, truth)
    for number, entry in enumerate(result.classes):
        true, predicted = truth.ids == number, found.mask == number
        both = (true & predicted).sum()
        assert entry.iou == pytest.approx(both / (true | predicted).sum())
        assert entry.dice == pytest.approx(2 * both / (true.sum() + predicted.sum()))
        assert entry.accuracy == pytest.approx(both / true.sum())
        assert entry.share == pytest.approx(true.mean())
    assert result.scores.pixel_accuracy == pytest.approx((truth.ids == found.mask).mean())


def test_error_map_tells_missed_added_and_border():
    truth = pets_truth(np.array([[0, 0, 0, 1, 1, 1, 2, 2, 2]]))
    result = score(segmentation([[0, 1, 2, 0, 1, 2, 0, 1, 2]]), truth)
    assert result.errors.tolist() == [[0, 1, 3, 2, 0, 2, 3, 1, 0]]
    assert [(entry.name, entry.share) for entry in result.legend] == [
        ("missed", 2 / 9),
        ("added", 2 / 9),
        ("pet and border confused", 2 / 9),
    ]
    picture = result.picture(np.full((1, 9, 3), 100, np.uint8))
    assert np.abs(picture[0, 1].astype(int) - result.legend[0].colour).max() < 35
    assert len(set(picture[0, 0].tolist())) == 1


def test_the_outline_is_scored_where_the_truth_knows_no_border():
    found = segmentation(IDS)
    inside = found.alpha > 0.5
    assert inside[IDS == 0].mean() > 0.9
    assert 0 < inside[IDS == 2].mean() < 1  # the outline runs through the border
    result = score(found, read_truth(stored(np.where(inside, np.uint8(255), np.uint8(0))), SIZE))
    assert [entry.name for entry in result.classes] == ["pet", "background"]
    assert result.scores.mean_iou == 1
    assert "outline is scored" in result.note
    assert len(result.legend) == 2


def test_border_counts_as_pet_where_the_model_knows_none():
    result = score(segmentation([[0, 0, 1]], classes=("pet", "background")), pets_truth(np.array([[0, 2, 1]])))
    assert result.scores.pixel_accuracy == 1
    assert "model has no class border" in result.note


def test_a_class_that_is_not_there_has_no_score():
    result = score(segmentation([[0, 1]]), pets_truth(np.array([[0, 1]])))
    assert math.isnan(result.classes[2].accuracy)
    assert math.isnan(result.classes[2].iou)


def test_truth_of_another_photo_or_model_is_refused():
    with pytest.raises(TruthError, match="one size"):
        score(segmentation([[0, 1]]), pets_truth(np.zeros((2, 2), int)))
    with pytest.raises(TruthError, match="choose a model that fits"):
        score(segmentation([[0, 1]], classes=("road", "sky")), pets_truth(np.zeros((1, 2), int)))


def test_a_mask_of_another_size_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr("unet_core.scoring.truth.decode_mask", None)
    with pytest.raises(TruthError, match="a mask must have the photo's size"):
        read_truth(stored(TRIMAP), (9, 9))
