"""What the photo stage gives the browser."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from ui.components.photo_stage import TouchUp, photo_stage, take_correction
from unet_core.classes import PET_CLASSES
from unet_core.segment.correction import Correction, CorrectionError, Sides

OPTIONS = {"colours": PET_CLASSES.colours, "label": "A cat", "key": "one"}


def picture(mode: str = "RGB", kind: str = "JPEG", size: tuple[int, int] = (60, 40), colour: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, kind)
    return buffer.getvalue()


def planes(**different: object) -> tuple[bytes, bytes, bytes]:
    """Return photo, outline and mask of one size."""
    return picture(**different), picture("L", "PNG"), picture("L", "PNG", colour=1)


def run(pictures: tuple[bytes, bytes, bytes], **options: object) -> dict:
    """Run a script that has the stage alone; return the data that goes to the browser."""

    def script(pictures: tuple[bytes, bytes, bytes], options: dict) -> None:
        from ui.components.photo_stage import photo_stage

        photo_stage(*pictures, **options)

    app = AppTest.from_function(script, args=(pictures, {**OPTIONS, **options}), default_timeout=60).run()
    assert not app.exception, app.exception[0].message
    return json.loads(app.get("bidi_component")[0].proto.json)


def test_the_browser_gets_addresses_and_never_the_pictures() -> None:
    data = run(planes())
    assert (data["view"], data["ratio"], data["label"]) == ("cutout", 1.5, "A cat")
    assert [data["pictures"][name][-4:] for name in ("photo", "alpha", "mask")] == [".jpg", ".png", ".png"]
    assert len(json.dumps(data)) < 1200


@pytest.mark.slow
def test_another_view_or_background_sends_no_other_picture() -> None:
    first = run(planes())
    for options in ({"view": "overlay", "opacity": 0.8}, {"backdrop": "blurred"}, {"view": "slider", "after": "mask"}):
        assert run(planes(), **options)["pictures"] == first["pictures"]


def test_the_slider_names_what_it_shows_on_its_right() -> None:
    data = run(planes(), view="slider", after="overlay")
    assert (data["drawn"], data["after"]) == ("overlay", "overlay")
    assert run(planes(), view="slider")["after"] == "cut-out"


@pytest.mark.parametrize(
    ("backdrop", "expected"),
    [
        ("transparent", {"kind": "transparent"}),
        ("blurred", {"kind": "blurred"}),
        ("white", {"kind": "colour", "colour": "#ffffff"}),
        ("#0a0b0c", {"kind": "colour", "colour": "#0a0b0c"}),
    ],
)
def test_backdrops_are_a_kind_or_a_colour(backdrop: str, expected: dict) -> None:
    assert run(planes(), backdrop=backdrop)["backdrop"] == expected


def test_an_own_photo_as_backdrop_goes_as_an_address() -> None:
    backdrop = run(planes(), backdrop=picture("RGB", "PNG", (7, 3)))["backdrop"]
    assert backdrop["kind"] == "photo"
    assert backdrop["url"].endswith(".png")


@pytest.mark.parametrize(("size", "real"), [((5000, 1), 12), ((1, 5000), 0.083333), ((30, 20), 1.5)])
def test_long_and_thin_pictures_stay_visible(size: tuple[int, int], real: float) -> None:
    pictures = picture(size=size), picture("L", "PNG", size), picture("L", "PNG", size)
    assert run(pictures)["real"] == real


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "PNG"}, "must be one of JPEG"),
        ({"size": (40, 60)}, "photo's size"),
    ],
)
def test_pictures_that_do_not_fit_together_are_refused(change: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        photo_stage(*planes(**change), **OPTIONS)


def test_a_mask_in_colours_is_refused_for_it_holds_no_ids() -> None:
    photo, alpha, _ = planes()
    with pytest.raises(ValueError, match="8-bit grey"):
        photo_stage(photo, alpha, picture("RGB", "PNG"), **OPTIONS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"view": "probabilities"},
        {"after": "slider"},
        {"opacity": 1.01},
        {"position": 101},
        {"backdrop": "no colour"},
        {"backdrop": b"no picture"},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"must be|unknown color"):
        photo_stage(*planes(), **OPTIONS, **wrong)


def test_a_touch_up_goes_to_the_browser_and_comes_back_from_it() -> None:
    changes = np.zeros((40, 60), np.int8)
    changes[3:9] = 1
    data = run(planes(), touch_up=TouchUp(Sides(0, 1), Correction(changes), active=True))
    assert (data["editing"], data["ids"]) == (True, {"inside": 0, "outside": 1})
    assert (Correction.from_bytes(base64.b64decode(data["correction"])).changes == changes).all()
    assert run(planes())["ids"] is None


def take(sent: object, picture: str = "cat") -> list[Correction]:
    """Let the app take what a browser has sent; return the corrections it got."""
    taken: list[Correction] = []
    st.session_state["stage-test"] = {"correction": sent}
    take_correction("stage-test", picture, TouchUp(Sides(0, 1), on_correct=taken.append))
    return taken


def test_a_correction_of_another_picture_is_not_taken() -> None:
    text = base64.b64encode(Correction(np.ones((2, 3), np.int8)).to_bytes()).decode()
    assert len(take({"picture": "cat", "changes": text})) == 1
    assert take({"picture": "dog", "changes": text}) == []
    assert take(None) == []


@pytest.mark.parametrize("changes", [None, 7, "", "no base64!", base64.b64encode(b"no correction").decode()])
def test_a_damaged_correction_is_refused(changes: object) -> None:
    with pytest.raises(CorrectionError, match="make it again"):
        take({"picture": "cat", "changes": changes})
