"""Names from outside: shown on one line without what deceives, and never a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_core.jobs.names import MAX_NAME, is_file_name, one_line


@given(st.text(max_size=400))
def test_a_shown_name_is_short_and_hides_nothing(text):
    name = one_line(text)
    assert len(name) <= MAX_NAME
    assert name == " ".join(name.split())
    assert not any(ord(character) < 32 or character in "\u202e\u2066\u200b\ufeff" for character in name)
    name.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Pets  on\tSunday\n", "Pets on Sunday"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("\ud800\x1b[31mred", "[31mred"),
        ("Katze 🐈‍⬛ и кот", "Katze 🐈‍⬛ и кот"),
        ("x" * 10_000, "x" * MAX_NAME),
        ("\0\0", ""),
    ],
)
def test_names_keep_what_people_write(text, shown):
    assert one_line(text) == shown


@given(st.text(max_size=300))
def test_a_file_name_stays_in_its_folder(text):
    if is_file_name(text):
        assert Path("/runs", text).parent == Path("/runs")
        assert not Path("/runs", text).exists()  # the system takes it


@pytest.mark.parametrize(
    "text", ["", ".", "..", ".hidden", "a/b", "a\\b", "../x", "x" * 201, "a\0", "a\u202eb", "é" * 101]
)
def test_what_is_no_file_name(text):
    assert not is_file_name(text)


@pytest.mark.parametrize("text", ["20260101-120000-pets", "Oxford-IIIT Pet", "my data (2)", "é" * 100])
def test_what_is_a_file_name(text):
    assert is_file_name(text)
