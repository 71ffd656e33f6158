"""The pieces the pages are made of: numbers, legend, store and results."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.helpers.tiny_model import write_tiny_model
from ui.segment.cards import CUT_OUTS, OVERLAYS, Look, card_of
from ui.segment.photos import Photo, PhotoStore
from ui.segment.session_results import Choice, Result, Results, segment_photo
from ui.shared import format as text
from ui.shared import status
from ui.shared.legend import legend_html
from unet_core.classes import CLASS_NAMES
from unet_core.images.samples import cat_png
from unet_core.segment import Failure, Segmenter
from unet_core.settings import Settings

TINY = Choice("tiny")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(weights_dir=write_tiny_model(tmp_path_factory.mktemp("weights")))


@pytest.fixture(scope="module")
def segmenter(settings: Settings) -> Segmenter:
    return Segmenter(settings=settings)


@pytest.fixture(scope="module")
def result(segmenter: Segmenter) -> Result:
    found = segment_photo(Photo.of("cats/Chelsea.png", cat_png()), TINY, segmenter)
    assert isinstance(found, Result)
    return found


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (text.number(1_862_979), "1\u202f862\u202f979"),
        (text.milliseconds(4.26), "4.3\u202fms"),
        (text.milliseconds(1234), "1.2\u202fs"),
        (text.byte_size(999), "999\u202fbytes"),
        (text.byte_size(7_250_000), "7.2\u202fMB"),
        (text.percent(0.4567), "45.7\u202f%"),
        (text.pixels(4000, 300), "4\u202f000\u202f×\u202f300\u202fpx"),
        (text.ago(4000), "67 minutes ago"),
        (text.plain("a_b*[x](y)$"), r"a\_b\*\[x\]\(y\)\$"),
    ],
)
def test_numbers_carry_units_and_thin_spaces(written: str, expected: str) -> None:
    assert written == expected


def test_the_legend_names_every_class_with_its_share_and_escapes_names() -> None:
    html = legend_html({"pet": 0.25, "<b>": 0.75, "border": 0.0})
    assert "25.0" in html
    assert "&lt;b&gt;" in html
    assert "<b>&lt;" not in html
    assert html.count("flex:") == 2  # a class without a pixel has no piece of the bar
    assert all(name in legend_html() for name in CLASS_NAMES)


def test_what_is_taken_away_has_the_photos_own_size_and_codes(result: Result, settings: Settings) -> None:
    full = result.full(settings)
    codes = np.asarray(Image.open(io.BytesIO(full.to_trimap_png())))
    assert codes.shape == full.image.shape[:2] == (300, 451)
    assert set(np.unique(codes)) <= {1, 2, 3}
    assert result.file_name("mask") == "Chelsea_mask.png"
    shares = [float((codes == code).mean()) for code in (1, 2, 3)]
    assert shares == pytest.approx(list(result.shares.values()), abs=1e-9)  # no larger than what is shown


def test_the_measured_stages_add_up_to_the_total(result: Result) -> None:
    stages = {stage: spent for stage, spent in result.timings.items() if stage != "total"}
    assert stages.keys() == text.STAGES.keys()
    assert sum(stages.values()) == pytest.approx(result.timings["total"], rel=0.05)


def test_a_card_is_kept_for_its_look_and_of_too_many_those_of_the_look_that_is_shown(
    result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, photo = Results(), result.photo
    look = Look(OVERLAYS, 0.5, True, ((9, 9, 9), None, None), (0, 2))
    others = [replace(look, opacity=0.6), replace(look, colours=((0, 0, 0), None, None)), replace(look, view=CUT_OUTS)]
    for each in (look, *others):
        results.keep_card(photo, TINY, each, card_of(result, each))
    pictures = [results.card(photo, TINY, each).picture for each in (look, *others)]
    assert len(set(pictures)) == 4
    assert results.card(photo, TINY, replace(look, outline=False)) is None
    monkeypatch.setattr("ui.segment.session_results._CARD_BYTES", 1)
    results.keep_card(photo, TINY, look, card_of(result, look))
    assert results.card(photo, TINY, look).picture == pictures[0]
    assert all(results.card(photo, TINY, each) is None for each in others)


def test_an_unexpected_failure_becomes_a_sentence(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(Segmenter, "segment", fail)
    found = segment_photo(Photo.of("a.png", cat_png()), TINY, segmenter)
    assert isinstance(found, Failure)
    assert "boom" not in found.message


def test_the_store_forgets_a_photo_twice_without_complaint() -> None:
    store, photo = PhotoStore(), Photo.of("a.jpg", b"a")
    store.add([photo], Settings())
    store.remove(photo.digest)
    store.remove(photo.digest)
    assert store.photos == {}


def test_the_model_card_says_what_was_measured_and_when_nothing_was() -> None:
    figures = {"test": {"images": 3662, "pixel_accuracy": 0.889, "mean_iou": 0.71}}
    assert status.measured(figures) == ("On 3\u202f662 test photos: pixel accuracy 88.9\u202f%, mean IoU 71.0\u202f%")
    assert "Not evaluated" in status.measured({})


def test_a_legend_of_very_many_classes_lists_the_largest_and_sums_up_the_others():
    shares = {f"class {number}": 0.0 for number in range(40)} | {"class 7": 0.5, "class 30": 0.3, "class 2": 0.2}
    html = legend_html(shares)
    assert html.index("class 7") < html.index("class 30</span>") < html.index("class 2</span>")
    assert "37 other classes" in html
    assert html.count('role="listitem"') == 4
    even = {f"class {number}": 1 / 40 for number in range(40)}
    assert "28 other classes" in legend_html(even)
    assert "70.0" in legend_html(even)
