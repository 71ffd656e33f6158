"""The introduction's arithmetic, against SciPy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import correlate2d
from skimage.measure import block_reduce

from unet_core.explain import basics


@pytest.mark.parametrize("name", basics.KERNELS)
def test_a_convolution_is_the_sum_of_products_at_each_place(name: str) -> None:
    kernel = basics.KERNELS[name]
    expected = correlate2d(basics.example().astype(int), np.array(kernel), mode="valid")
    assert np.array_equal(basics.convolved(basics.example(), kernel), expected)
    assert np.sum(kernel) == 0  # so that an even surface gives nothing


def test_pooling_keeps_the_largest_of_four() -> None:
    values = np.random.default_rng(0).integers(0, 99, (9, 12))
    assert np.array_equal(basics.pooled(values), block_reduce(values[:8], (2, 2), np.max))
    assert basics.doubled(basics.pooled(values)).shape == (8, 12)


def test_the_example_is_grey_and_its_clearest_window_is_the_strongest_edge() -> None:
    photo = basics.example()
    assert (photo.dtype, max(photo.shape)) == (np.uint8, basics.SIDE)
    found = basics.convolved(photo, next(iter(basics.KERNELS.values())))
    assert abs(found[basics.clearest_window()]) == np.abs(found).max()
    assert basics.strength(found).dtype == np.uint8
