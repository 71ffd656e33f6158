"""Two segmentations of one photo, counted pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.segmentations import random_segmentation, segmentation
from unet_core.errors import UNetError
from unet_core.segment.compare import compare


def test_agreement_equals_a_plain_count():
    first, second = random_segmentation(12, 17, seed=1), random_segmentation(12, 17, seed=2)
    result = compare(first, second)
    pairs = list(zip(first.mask.ravel().tolist(), second.mask.ravel().tolist()))
    assert result.agreement == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    for number, entry in enumerate(result.classes):
        both = sum(a == b == number for a, b in pairs)
        either = sum(number in pair for pair in pairs)
        assert entry.iou == pytest.approx(both / either)
        assert entry.dice == pytest.approx(2 * both / (either + both))
        assert entry.first_share == pytest.approx((first.mask == number).mean())
        assert entry.second_share == pytest.approx((second.mask == number).mean())


def test_difference_map_tells_which_side_has_the_pet():
    first, second = segmentation([[0, 0, 1, 0, 2, 1]]), segmentation([[0, 1, 0, 2, 1, 1]])
    result = compare(first, second, names=("U-Net", "tiles"))
    assert result.differences.tolist() == [[0, 1, 2, 3, 1, 0]]
    assert [(entry.name, entry.share) for entry in result.legend] == [
        ("pet only in U-Net", 2 / 6),
        ("pet only in tiles", 1 / 6),
        ("another class", 1 / 6),
    ]


def test_a_segmentation_agrees_with_itself():
    found = random_segmentation(9, 9)
    result = compare(found, found)
    assert result.agreement == 1
    assert not result.differences.any()
    assert all(entry.iou == 1 for entry in result.classes)


def test_the_picture_shows_agreement_in_grey_and_differences_in_their_colour():
    result = compare(segmentation([[0, 0]]), segmentation([[0, 1]]))
    image = np.full((1, 2, 3), (200, 30, 90), np.uint8)
    picture = result.picture(image)
    assert len(set(picture[0, 0].tolist())) == 1
    assert np.abs(picture[0, 1].astype(int) - result.legend[0].colour).max() < 35
    assert (image == (200, 30, 90)).all()


def test_border_is_pet_where_only_one_model_knows_it():
    result = compare(segmentation([[0, 2, 1]]), segmentation([[0, 0, 1]], classes=("pet", "background")))
    assert result.agreement == 1
    assert [entry.name for entry in result.classes] == ["pet", "background"]
    assert "border" in result.note


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(UNetError, match="one photo"):
        compare(segmentation([[0]]), segmentation([[0, 1]]))
    with pytest.raises(UNetError, match="same classes"):
        compare(segmentation([[0]]), segmentation([[0]], classes=("road", "sky")))
