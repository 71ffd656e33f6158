"""The compressed form of a segmentation: small, exact in the mask, close in the probabilities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.helpers.segmentations import random_segmentation, segmentation
from unet_core.segment.compressed import CompressedSegmentation


def test_unpacking_returns_the_mask_exactly_and_the_probabilities_to_a_hundred_thousandth() -> None:
    found = random_segmentation(40, 60)
    kept = CompressedSegmentation.pack(found).unpack()
    np.testing.assert_array_equal(kept.mask, found.mask)
    np.testing.assert_allclose(kept.probabilities, found.probabilities, atol=2e-5)
    np.testing.assert_allclose(kept.probabilities.sum(axis=-1), 1, atol=1e-6)
    assert kept.facts() == found.facts()


def test_probabilities_of_another_size_are_unpacked_at_the_masks() -> None:
    found = replace(random_segmentation(40, 60), probabilities=np.full((10, 15, 3), 1 / 3, np.float32))
    kept = CompressedSegmentation.pack(found).unpack()
    assert kept.probabilities.shape == (40, 60, 3)
    np.testing.assert_allclose(kept.probabilities, 1 / 3, atol=1e-5)


def test_a_certain_segmentation_is_a_small_part_of_its_arrays() -> None:
    found = segmentation(np.tile(np.arange(400) // 200, (300, 1)))
    packed = CompressedSegmentation.pack(found)
    assert packed.bytes_held < found.probabilities.nbytes / 20
    image, mask = packed.pictures()
    assert image.shape == (300, 400, 3)
    np.testing.assert_array_equal(mask, found.mask)
