"""What a browser sends as a video's pictures is checked, and becomes an animation in the workspace."""

from __future__ import annotations

import base64

import pytest

from ui.components.video_frames import Pictures, _checked

SENT = {"name": "walk.mp4", "pictures": ["aGFsbG8=", "aGFsbG8="], "milliseconds": 83}


def test_pictures_are_decoded() -> None:
    assert _checked(SENT, 150, 100) == Pictures("walk.mp4", [b"hallo", b"hallo"], 83)


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": 3},
        {"pictures": "aGFsbG8="},
        {"pictures": ["aGFsbG8="]},
        {"pictures": ["aGFsbG8="] * 4},
        {"pictures": ["aGFsbG8=", "no base64!"]},
        {"pictures": ["aGFsbG8=", 3]},
        {"pictures": [base64.b64encode(bytes(60)).decode()] * 2},  # together too large
        {"milliseconds": 0},
        {"milliseconds": "83"},
        {"milliseconds": True},
    ],
)
def test_anything_else_is_ignored(change: dict) -> None:
    assert _checked(SENT | change, 3, 100) is None


@pytest.mark.parametrize("sent", [None, "text", [], 3])
def test_other_kinds_of_values_are_ignored(sent: object) -> None:
    assert _checked(sent, 3, 100) is None
