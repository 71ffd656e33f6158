"""The numbers of masks: colours packed and unpacked, values looked up, black and white told from the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unet_core.images import mask_values
from unet_core.images.mask_values import (
    class_ids,
    full_palette,
    hexadecimal,
    is_nearly_black_and_white,
    packed,
    unpacked,
)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_colours_are_numbers_and_back(colour):
    assert unpacked(packed(colour)) == colour
    assert hexadecimal(packed(colour)) == "#{:02x}{:02x}{:02x}".format(*colour)


def test_indices_without_a_colour_are_black():
    assert full_palette((7, 0xFFFFFF)).tolist() == [7, 0xFFFFFF] + [0] * 254
    assert not full_palette(None).any()


@given(
    arrays.arrays(st.sampled_from(["u1", "u2", "u4"]), (3, 4), elements=st.integers(0, 255)),
    st.dictionaries(st.one_of(st.integers(0, 255), st.integers(0, 2**24 - 1)), st.integers(0, 255), min_size=1),
)
def test_values_are_looked_up_whatever_their_type(values, ids):
    found, known = class_ids(values, ids)
    assert found.dtype == np.uint8
    for value, number, right in zip(values.ravel().tolist(), found.ravel(), known.ravel(), strict=True):
        assert right == (value in ids)
        assert not right or number == ids[value]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ({0: 50, 255: 50}, True),
        ({0: 45, 100: 10, 240: 45}, True),
        ({0: 45, 100: 11, 240: 44}, False),
        ({0: 90, 100: 10}, False),
        ({240: 100}, False),
        ({0: 50, 255: 50, 300: 1}, False),
    ],
)
def test_nearly_black_and_white_needs_both_and_little_else(pixels, expected):
    assert is_nearly_black_and_white(pixels) is expected


@given(arrays.arrays(st.sampled_from(["u1", "u2", "u4"]), (5, 7), elements=st.integers(0, 9)), st.integers(1, 40))
def test_values_are_counted_the_same_in_strips(values, strip):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mask_values, "_STRIP_VALUES", strip)
        codes, counts = mask_values.value_counts(values)
    expected = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(codes, expected[0])
    np.testing.assert_array_equal(counts, expected[1])


def test_counting_stops_at_too_many_values(monkeypatch):
    monkeypatch.setattr(mask_values, "_STRIP_VALUES", 100)
    assert len(mask_values.value_counts(np.arange(1000, dtype=np.uint32), most=10)[0]) == 100
