"""Masks in the codes of any dataset: written so that the same codes are read back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from unet_core.classes import PET_CLASSES, PixelClasses
from unet_core.images.decode import decode_mask
from unet_core.images.mask_files import described_codes, described_file, mask_codes, mask_png

IDS = np.array([[0, 1], [2, 0]], np.uint8)


def classes(*codes: int) -> PixelClasses:
    return PixelClasses(names=("a", "b", "c"), colours=((0, 0, 0), (9, 9, 9), (1, 2, 3)), codes=codes)


@pytest.mark.parametrize(
    ("codes", "mode", "kind"),
    [
        ((0, 7, 255), "L", "8-bit PNG"),
        ((0, 300, 65535), "I;16", "16-bit PNG"),
        ((0, 0x0000FF, 0xFF8000), "RGB", "RGB PNG"),
    ],
)
def test_codes_of_any_size_survive_the_file(codes, mode, kind):
    data = mask_png(IDS, classes(*codes))
    assert Image.open(io.BytesIO(data)).mode == mode
    assert np.array_equal(decode_mask(data).values, np.array(codes)[IDS])
    assert described_file(classes(*codes)) == kind


def test_small_colours_are_still_colours():
    blue = classes(0, 255, 0x00FF00 >> 1).replace(in_colours=True)
    data = mask_png(IDS, blue)
    assert Image.open(io.BytesIO(data)).mode == "RGB"
    assert np.array_equal(decode_mask(data).values, np.array(blue.codes)[IDS])
    assert described_codes(blue).startswith("#000000 a, #0000ff b")


def test_the_codes_are_described():
    assert described_codes(PET_CLASSES) == "1 pet, 2 background, 3 border"
    assert described_codes(classes(0, 255, 0xFF8000)) == "#000000 a, #0000ff b, #ff8000 c"
    assert described_codes(classes(1, 2, 3), most=2) == "1 a, 2 b and 1 more"
    assert mask_codes(IDS).tolist() == [[1, 2], [3, 1]]
