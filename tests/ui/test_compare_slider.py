"""What the before/after slider gives the browser."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from ui.components.compare_slider import compare_slider

NAMES = {"label": "Photo and mask", "before_name": "Photo", "after_name": "Mask", "key": "one"}


def picture(size: tuple[int, int] = (60, 40), colour: str = "red", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def run(before: bytes, after: bytes, **options: object) -> dict:
    """Run a script that has the slider alone; return the data that goes to the browser."""

    def script(before: bytes, after: bytes, options: dict) -> None:
        from ui.components.compare_slider import compare_slider

        compare_slider(before, after, **options)

    app = AppTest.from_function(script, args=(before, after, {**NAMES, **options}), default_timeout=60).run()
    assert not app.exception, app.exception[0].message
    return json.loads(app.get("bidi_component")[0].proto.json)


def test_the_browser_gets_addresses_and_never_the_pictures() -> None:
    photo, mask = picture(kind="JPEG"), picture(colour="blue")
    data = run(photo, mask)
    assert (data["ratio"], data["position"], data["label"]) == (1.5, 50, "Photo and mask")
    assert data["before"]["name"] == "Photo"
    assert data["before"]["url"].endswith(".jpg")
    assert data["after"]["url"].endswith(".png")
    assert len(json.dumps(data)) < 500


def test_the_same_picture_keeps_its_address_and_another_gets_another() -> None:
    photo, mask = picture(), picture(colour="blue")
    first, second = run(photo, mask), run(photo, picture(colour="green"))
    assert first["before"]["url"] == second["before"]["url"]
    assert first["after"]["url"] != second["after"]["url"]


@pytest.mark.parametrize(("size", "ratio"), [((2, 3), 0.666667), ((5000, 1), 6), ((1, 5000), 0.2)])
def test_its_shape_is_the_pictures_within_what_a_hand_can_use(size: tuple[int, int], ratio: float) -> None:
    assert run(picture(size), picture(size))["ratio"] == ratio


def test_names_go_through_as_they_are() -> None:
    assert run(picture(), picture(), before_name="<b>&</b>")["before"]["name"] == "<b>&</b>"


def test_pictures_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match="same size"):
        compare_slider(picture((60, 40)), picture((40, 60)), **NAMES)


@pytest.mark.parametrize("data", [b"", b"<svg></svg>", picture(kind="BMP")], ids=["nothing", "svg", "bmp"])
def test_what_a_browser_may_not_show_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="JPEG, PNG, WEBP, GIF"):
        compare_slider(picture(), data, **NAMES)


@pytest.mark.parametrize("position", [-1, 101])
def test_a_position_outside_the_picture_is_refused(position: int) -> None:
    with pytest.raises(ValueError, match="0 to 100"):
        compare_slider(picture(), picture(), **NAMES, position=position)
