"""What strangers read of a text: neither paths nor keys."""

from __future__ import annotations

import pytest

from unet_core.jobs.disclosure import data_title, without_addresses, without_paths

KEY = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "The dataset is not in /home/anna/tensorflow_datasets: run it",
            "The dataset is not in tensorflow_datasets: run it",
        ),
        ("set '/data'.", "set 'data'."),
        (f"data: '/srv/datasets/cats-{KEY}' is missing", "data: 'cats' is missing"),
        (f"cats-{KEY}: 3.png has no mask", "cats: 3.png has no mask"),
        ("in ~/tensorflow_datasets/x", "in x"),
        (r"C:\Users\anna\runs\first is full", "first is full"),
        ("[Errno 36] File name too long: '/srv/studio/runs/aaa/config.json'", None),
        ("see https://example.org/a/b and 12 km/h, and/or 3/4", "see https://example.org/a/b and 12 km/h, and/or 3/4"),
        ("run 20260102-120000-pets-0123456789abcdef", "run 20260102-120000-pets-0123456789abcdef"),
        ("a SHA-256 of " + "0123456789abcdef" * 4, "a SHA-256 of " + "0123456789abcdef" * 4),
        ("images/cat.png", "images/cat.png"),
    ],
)
def test_paths_are_shortened_to_their_last_part_and_keys_left_out(text: str, shown: str | None) -> None:
    found = without_paths(text)
    assert "/srv" not in found
    if shown is not None:
        assert found == shown


def test_a_dataset_has_a_title_without_its_key() -> None:
    assert data_title(f"/srv/datasets/my-cats-{KEY}") == "my-cats"
    assert data_title("/srv/datasets/my-cats-0123456789abcdef") == "my-cats"
    assert data_title("oxford_iiit_pet") == "oxford_iiit_pet"
    assert data_title("/home/anna/cats-2026") == "cats-2026"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The scheduler at tcp://10.0.0.5:8786 did not answer.", "The scheduler at [address] did not answer."),
        ("the last of them tls://10.0.0.7:41235.", "the last of them [address]."),
        ("the folder s3://bucket/masks/cats of", "the folder cats of"),
        ("object storage, such as s3://bucket: x", "object storage, such as [address]: x"),
        ("12:30 and a//b", "12:30 and a//b"),
    ],
)
def test_addresses_are_shortened_to_their_last_part(text: str, shown: str) -> None:
    assert without_addresses(text) == shown
