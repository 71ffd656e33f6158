"""The Segment page's views, comparison, ground truth, downloads and speed, without a browser, on a tiny model."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import zipfile
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab
from streamlit.testing.v1 import AppTest

from tests.helpers import grid_buttons, onnx_models
from tests.helpers.made_runs import made_run
from tests.helpers.tiny_model import SIDE, write_tiny_model
from tests.segment.test_moving import walk
from tests.ui.test_app import button, cards, open_page, photo, texts, upload
from ui.segment import batch_downloads, downloads, options, pictures, session_results, speed, views
from ui.segment.cards import CUT_OUTS, Look
from ui.segment.confidence import MAPS, MapOptions, draw_map
from ui.segment.photos import Photo
from ui.segment.pictures import encoded
from ui.segment.session_results import Choice, Result, segment_photo
from ui.segment.views import VIEWS, ViewOptions, draw
from ui.shared import format as text
from ui.shared import frame, models
from unet_core.architecture.presets import PRESETS
from unet_core.classes import CLASS_NAMES, PET_CLASSES, PixelClasses
from unet_core.images import palettes
from unet_core.segment import Failure, ImageError, InferenceMode, Segmenter, outline, segment_bytes
from unet_core.segment.analysis import coverage_curve
from unet_core.segment.compare import compare
from unet_core.segment.measure import EngineTime, MeasureError, measured
from unet_core.segment.presence import Presence
from unet_core.settings import ROOT, Settings
from unet_core.train.run_directory import RunDirectory
from unet_core.zoo.manifest import load_manifest
from unet_core.zoo.meaning import DRAWN_NOTE, DataOrigin

PAGE = frame.SEGMENT.script
COLOURS = palettes.palette(palettes.DEFAULT, PET_CLASSES.colours)
LOOK = Look(CUT_OUTS, 0.4, True, COLOURS, PET_CLASSES.subject)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def _environment(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in {"WEIGHTS": weights, "DATA": tmp_path, "CACHE": tmp_path, "RUNS": tmp_path / "runs"}.items():
        monkeypatch.setenv(f"UNET_{name}_DIR", str(folder))
    monkeypatch.chdir(ROOT)
    grid_buttons.install(monkeypatch)


def two_colours(size: tuple[int, int] = (80, 60)) -> bytes:
    """A photo whose left half is red, which the tiny model takes for pet, and whose right half is blue."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def two_masks() -> bytes:
    """The truth about `two_colours` in black and white."""
    buffer = io.BytesIO()
    Image.fromarray(np.tile(np.where(np.arange(80) < 40, 255, 0).astype(np.uint8), (60, 1))).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def settings(weights: Path) -> Settings:
    return Settings(weights_dir=weights)


def segmented(settings: Settings, mode: InferenceMode | None = None, data: bytes | None = None) -> Result:
    found = segment_photo(
        Photo.of("two.png", data or two_colours()),
        Choice("tiny", mode=mode or InferenceMode()),
        Segmenter(None, "onnx", settings),
    )
    assert isinstance(found, Result), found
    return found


def opened(**query: str) -> AppTest:
    return upload(open_page(PAGE, **query), ("two.png", two_colours()))


def metric(app: AppTest, label: str) -> str:
    return next(entry.value for entry in app.metric if entry.label == label)


# --- looking ------------------------------------------------------------------------------------------------------


def components(app: AppTest) -> list[dict]:
    """Return what the page gives its components, in their order."""
    return [json.loads(entry.proto.json) for entry in app.get("bidi_component")]


@pytest.mark.slow
def test_every_view_has_a_picture_and_a_download() -> None:
    app = opened()
    for view in reversed(VIEWS):
        app.segmented_control(key="show").set_value(view).run()
        assert not app.exception
        assert not app.error
        (staged,) = components(app)
        assert staged["view"] == staged["drawn"] == views.STAGED[view]
        assert [entry.label for entry in app.get("download_button")] == ["Download this view"]
    app.toggle(key="before-after").set_value(True).run()
    assert components(app)[0]["view"] == "slider"
    app = opened(look="Confidence")
    for name in reversed(MAPS):
        app.segmented_control(key="map").set_value(name).run()
        assert not app.exception
        assert app.get("image")
        assert [entry.label for entry in app.get("download_button")] == ["Download this view"]


def test_a_photo_opens_on_its_cut_out() -> None:
    app = opened()
    (staged,) = components(app)
    assert staged["view"] == "cutout"
    assert staged["backdrop"] == {"kind": "transparent"}
    assert "cut out" in staged["label"]
    app.segmented_control(key="backdrop").set_value("blurred").run()
    assert components(app)[0]["backdrop"] == {"kind": "blurred"}


def test_a_photo_is_put_behind_the_cut_out_on_the_page_and_in_the_file(settings: Settings) -> None:
    app = opened(backdrop="photo")
    assert components(app)[0]["backdrop"] == {"kind": "transparent"}  # until there is one
    app.file_uploader(key=views.BACKDROP_FILE).upload("behind.png", photo("PNG", (300, 100), "lime")).run()
    assert components(app)[0]["backdrop"]["kind"] == "photo"
    backdrop = app.session_state[views.BACKDROP_PHOTO]
    drawn = draw(segmented(settings).full(settings), ViewOptions(views.CUTOUT, COLOURS, backdrop=backdrop))
    assert drawn.shape == (60, 80, 3)
    assert (drawn[30, 10] == (255, 0, 0)).all()
    assert np.abs(drawn[30, 70] - np.array((0, 255, 0))).max() <= 3  # as JPEG
    app.file_uploader(key=views.BACKDROP_FILE).upload("text.png", b"no picture").run()
    assert "text.png is not a photo" in app.error[0].value.replace("\\", "")


def judged(monkeypatch: pytest.MonkeyPatch, found: bool | None) -> None:
    """Let every photo be judged so: whether it shows a pet."""
    presence = Presence(found, 0.25)
    monkeypatch.setattr("unet_core.segment.segmenter.presence_of", lambda *_: presence)


@pytest.mark.parametrize(
    ("found", "sentence"), [(False, "No pet found (probability 25"), (None, "Not sure there is a pet (probability 25")]
)
def test_no_mask_is_drawn_where_there_may_be_no_pet_until_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, found: bool | None, sentence: str
) -> None:
    judged(monkeypatch, found)
    app = opened()
    assert sentence in texts(app).replace("\\", "")
    (staged,) = components(app)
    assert staged["colours"] == [None, None, None]
    assert staged["label"] == "two.png as it is"
    assert not app.get("download_button")
    app.toggle(key="anyway").set_value(True).run()
    (staged,) = components(app)
    assert staged["view"] == "cutout"
    assert [entry.label for entry in app.get("download_button")] == ["Download this view"]


def test_a_batch_says_on_which_photos_there_is_no_pet(monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, False)
    app = upload(open_page(PAGE), ("a.png", two_colours()), ("b.png", two_colours((40, 40))))
    cards_drawn = app.session_state["workspace"].results.cards.values()
    assert [card.flag for card in cards_drawn] == ["No pet found"] * 2
    assert all(Image.open(io.BytesIO(card.picture)).mode == "RGB" for card in cards_drawn)  # not cut out


def two_animals() -> bytes:
    """A photo with two red squares, the left one larger, on blue."""
    image = Image.new("RGB", (120, 60), "blue")
    image.paste("red", (8, 8, 50, 50))
    image.paste("red", (80, 16, 108, 44))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "query", [{"least": "abc"}, {"least": "500"}, {"least": "nan"}, {"opacity": "abc", "look": "Download"}]
)
def test_a_malformed_number_in_the_address_is_its_default(query: dict[str, str]) -> None:
    app = opened(**query)
    assert not app.exception
    assert app.segmented_control(key="look").options == list(options.SECTIONS)


@pytest.mark.parametrize("recent", [0, 2])  # photos that are kept open: in a full room, none of one's own
def test_an_outline_is_computed_once_for_a_photo(recent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    original = outline.soft_outline
    monkeypatch.setattr(outline, "soft_outline", lambda *given: computed.append(1) or original(*given))
    monkeypatch.setattr(session_results, "_RECENT", recent)
    app = upload(open_page(PAGE), ("two.png", two_animals()))
    assert [each.label for each in app.segmented_control if each.label == "Animal"]
    app.run()
    assert not app.exception
    assert len(computed) == 1


def test_each_animal_is_shown_and_downloaded_by_itself(settings: Settings) -> None:
    result = segmented(settings, data=two_animals())
    assert result.animal_count == 2
    app = upload(open_page(PAGE), ("two.png", two_animals()))
    (choice,) = (each for each in app.segmented_control if each.label == "Animal")
    assert choice.options == ["all", "1", "2"]
    choice.set_value("2").run()
    assert not app.exception
    assert "animal 2 alone" in components(app)[0]["label"]
    assert components(app)[0]["file_name"] == "two_cutout-2.png"
    full = result.full(settings)
    first, second = (draw(full, ViewOptions(views.CUTOUT, COLOURS, animal=number))[..., 3] for number in (1, 2))
    assert first[30, 30] == second[30, 94] == 255
    assert first[30, 94] == second[30, 30] == 0


def test_small_pieces_are_left_out_of_every_view(settings: Settings) -> None:
    full = segmented(settings, data=two_animals()).full(settings)
    for view in VIEWS:
        kept, cleaned = (draw(full, ViewOptions(view, COLOURS, least_share=share)) for share in (0, 0.9))
        assert (kept[30, 30] == cleaned[30, 30]).all()
        assert (kept[30, 94] != cleaned[30, 94]).any()


def test_views_are_drawn_the_same_way_at_the_size_shown_and_at_the_photos_own(settings: Settings) -> None:
    result = segmented(settings, data=two_colours((1600, 1200)))
    small, full = result.shown(), result.full(settings)
    drawn = {view: (draw, ViewOptions(view, COLOURS)) for view in VIEWS}
    drawn |= {name: (draw_map, MapOptions(name, COLOURS)) for name in MAPS}
    for view, (draw_one, chosen) in drawn.items():
        shown, own = draw_one(small, chosen), draw_one(full, chosen)
        assert shown.shape[:2] == (750, 1000)
        assert own.shape[:2] == (1200, 1600)
        inner = own[300:900:150, 200:600:50].astype(int) - shown[188:562:94, 125:375:31][:4, :8].astype(int)
        assert np.abs(inner).max() < 40, view


def test_the_threshold_counts_what_the_library_counts(settings: Settings) -> None:
    app = opened(look="Confidence", map="threshold")
    app.slider(key="threshold").set_value(0.9).run()
    expected = coverage_curve(segmented(settings).shown()).at(0.9)
    assert metric(app, "Pet share of the photo") == f"{100 * expected:.1f}\u202f%"
    assert "0.90" in texts(app)


def test_a_photo_one_pixel_wide_gets_a_picture_in_which_there_is_something_to_see() -> None:
    picture = Image.open(io.BytesIO(encoded(np.zeros((5000, 1, 3), np.uint8))))
    assert picture.size[0] * pictures.LONGEST >= picture.size[1] == 5000
    app = upload(open_page(PAGE), ("thin.png", photo("PNG", (1, 500))))
    assert not app.exception
    assert "displayed wider than it is" in texts(app)


def test_the_palettes_keep_classes_apart_for_every_vision() -> None:
    for name in palettes.PALETTES:
        assert palettes.confusable_pair(palettes.palette(name, PET_CLASSES.colours)) is None
    red, green = (200, 60, 40), (120, 110, 30)
    assert palettes.confusable_pair([red, green])[2] in ("protanopia", "deuteranopia")
    assert palettes.confusable_pair([(10, 10, 10), (12, 12, 12)])[2] == "normal"


def test_colours_are_measured_as_scikit_image_measures_them() -> None:
    colours = np.random.default_rng(1).integers(0, 256, (6, 3))
    ours = palettes._lab(colours / 255, np.eye(3))
    theirs = rgb2lab(colours[None] / 255)[0]
    for first, second in combinations(range(6), 2):
        expected = np.linalg.norm(theirs[first] - theirs[second])
        assert np.linalg.norm(ours[first] - ours[second]) == pytest.approx(expected, rel=0.01)


def test_custom_colours_that_are_hard_to_distinguish_are_named() -> None:
    app = opened(palette=palettes.CUSTOM)
    assert "hard to distinguish" not in texts(app)
    app.color_picker(key="own-0").set_value("#56b4e8").run()
    assert "pet and background are hard to distinguish" in texts(app)


def test_an_animation_is_cut_out_frame_by_frame() -> None:
    app = upload(open_page(PAGE), ("walk.gif", walk()))
    assert "An animation of 6 frames" in texts(app)
    app.button(key="cut-out-moving").click().run()
    assert not app.exception
    assert not app.error
    labels = [entry.label.split(" (")[0] for entry in app.get("download_button")]
    assert labels == ["Download this view", "Animated WebP", "Animated GIF"]
    assert "An animation of" not in texts(opened())


# --- one of several -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_photo_opens_from_its_card_and_new_photos_close_it() -> None:
    app = upload(open_page(PAGE), ("a.jpg", photo()), ("b.jpg", photo(colour="blue")))
    assert "2 photos" in texts(app)
    app.button(key=next(entry.key for entry in app.button if "b.jpg" in entry.label)).click().run()
    assert "All photos" in [entry.label for entry in app.button]
    assert cards(app) == ["b.jpg"]
    app.session_state["workspace"].store.add([Photo.of("c.jpg", photo(colour="green"))], Settings())
    app.run()
    assert len(cards(app)) == 3
    assert "All photos" not in [entry.label for entry in app.button]


def test_an_address_that_names_no_photo_shows_all() -> None:
    app = upload(open_page(PAGE, open="nothing"), ("a.jpg", photo()), ("b.jpg", photo(colour="blue")))
    assert not app.exception
    assert len(cards(app)) == 2


# --- comparing ----------------------------------------------------------------------------------------------------


def test_two_ways_are_compared_with_their_agreement(settings: Settings) -> None:
    app = opened(look="Compare")
    assert not app.exception
    one = segmented(settings).shown()
    two = segmented(settings, InferenceMode("tiles")).shown()
    assert metric(app, "Pixels that agree") == f"{100 * compare(one, two).agreement:.2f}\u202f%"
    app.segmented_control(key="way2").set_value("whole photo").run()
    assert "A and B are the same" in app.info[0].value


@pytest.mark.slow
def test_a_comparison_begins_with_a_shipped_model_or_the_other_way_whatever_runs_there_are(tmp_path: Path) -> None:
    config = PRESETS["pets_fast"].config.replace(height=SIDE, width=SIDE)
    run = made_run(tmp_path / "runs" / "20260101-a", name="mine", model=config)
    shutil.copy(Path(os.environ["UNET_WEIGHTS_DIR"]) / "tiny.onnx", run.path / "exports" / "model.onnx")
    app = opened(look="Compare")
    assert "tiles" in app.segmented_control(key="way2").value
    assert app.selectbox(key="model2").value == "tiny"
    app = opened(look="Compare", model=run.id)
    assert app.selectbox(key="model").value == run.id
    assert app.selectbox(key="model2").value == "tiny"
    assert app.segmented_control(key="way2").value == "whole photo"


# --- truth --------------------------------------------------------------------------------------------------------


def give_truth(mask: np.ndarray | bytes, kind: str = "PNG") -> AppTest:
    app = opened(look="Ground truth")
    data = mask
    if isinstance(mask, np.ndarray):
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, kind)
        data = buffer.getvalue()
    app.file_uploader[1].upload("truth.png", data)
    return app.run()


def test_the_models_own_mask_as_truth_is_met_perfectly(settings: Settings) -> None:
    full = segmented(settings).full(settings)
    app = give_truth(full.trimap)
    assert metric(app, "Pixel accuracy") == "100.0\u202f%"
    assert "trimap codes" in texts(app)


def test_a_black_and_white_truth_is_scored_without_a_border() -> None:
    app = give_truth(two_masks())
    assert float(metric(app, "Mean IoU")) > 0.9
    assert "outline is scored" in texts(app)


def test_an_inverted_truth_is_offered_to_be_read_so() -> None:
    inverted = 255 - np.asarray(Image.open(io.BytesIO(two_masks())))
    app = give_truth(inverted)
    assert "looks inverted" in texts(app)
    button(app, "Read it inverted").click().run()
    assert float(metric(app, "Mean IoU")) > 0.9
    assert "looks inverted" not in texts(app)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (np.ones((10, 10), np.uint8), "10 × 10 pixels, its photo 80 × 60"),
        (np.full((60, 80), 7, np.uint8), "7"),
        (b"no picture", "is not"),
    ],
    ids=["size", "values", "file"],
)
def test_a_mask_that_cannot_be_used_says_why(mask: np.ndarray | bytes, sentence: str) -> None:
    app = give_truth(mask)
    assert not app.exception
    assert sentence in app.error[0].value.replace("\\", "")


@pytest.mark.slow
def test_after_a_wrong_mask_another_can_be_given_at_once_and_a_forgotten_one_leaves_the_uploader() -> None:
    app = give_truth(b"no picture")
    app.file_uploader[1].upload("right.png", two_masks()).run()
    assert not app.error
    assert float(metric(app, "Mean IoU")) > 0.9
    assert app.file_uploader[1].value
    button(app, "Remove this mask").click().run()
    assert not app.file_uploader[1].value


# --- downloads ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_file_that_is_offered_can_be_opened(settings: Settings) -> None:
    result = segmented(settings)
    offers = {each.file_name: each.make() for each in downloads.offers(result, LOOK, settings)}
    codes = np.asarray(Image.open(io.BytesIO(offers["two_mask.png"])))
    assert codes.shape == (60, 80)
    assert set(np.unique(codes)) <= {1, 2, 3}
    assert Image.open(io.BytesIO(offers["two_overlay.png"])).size == (80, 60)
    assert Image.open(io.BytesIO(offers["two_cutout.png"])).mode == "RGBA"
    with np.load(io.BytesIO(offers["two_probabilities.npz"])) as arrays:
        assert arrays["probabilities"].shape == (60, 80, 3)
        assert (arrays["mask"] + 1 == codes).all()
    areas = {}
    for form in ("rle", "polygons"):
        document = json.loads(offers[f"two_coco_{form}.json"])
        areas[form] = [each["area"] for each in document["annotations"]]
    assert areas["rle"] == areas["polygons"]
    assert areas["rle"][0] == np.count_nonzero(codes == 1)
    row = next(csv.DictReader(io.StringIO(offers["two_statistics.csv"].decode("utf-8-sig"))))
    assert int(row["pixels_pet"]) == np.count_nonzero(codes == 1)
    assert offers["two_contact_sheet.pdf"].startswith(b"%PDF")


def test_the_columns_that_the_statistics_are_said_to_have_are_there(settings: Settings) -> None:
    offer = next(each for each in downloads.offers(segmented(settings), LOOK, settings) if each.label == "Statistics")
    columns = offer.make().decode("utf-8-sig").splitlines()[0].split(",")
    for named in offer.description.removeprefix("CSV: ").split(", "):
        assert any(named in column.split("_") for column in columns), named


def test_everything_has_all_that_is_offered_one_by_one(settings: Settings) -> None:
    result = segmented(settings, data=two_animals())
    cut = downloads.MaskCut(0.9, border=False)
    offers = {each.label: each for each in downloads.offers(result, LOOK, settings, cut)}
    with zipfile.ZipFile(io.BytesIO(offers.pop("Everything").make())) as archive:
        everything = {name: archive.read(name) for name in archive.namelist()}
    singly = {"two_coco_rle.json": "annotations_rle.json", "two_coco_polygons.json": "annotations_polygons.json"}
    singly |= {"two_statistics.csv": "statistics.csv", "two_contact_sheet.pdf": "contact_sheet.pdf"}
    for offer in offers.values():
        if offer.label == "Each animal":
            with zipfile.ZipFile(io.BytesIO(offer.make())) as animals:
                assert animals.namelist() == ["two_pet-1.png", "two_pet-2.png"]
                assert all(everything[name] == animals.read(name) for name in animals.namelist())
            continue
        data = everything[singly.get(offer.file_name, offer.file_name)]
        if offer.file_name.endswith(".png"):
            assert data == offer.make(), offer.label


def test_a_black_and_white_mask_is_cut_where_it_was_chosen(settings: Settings) -> None:
    result = segmented(settings)

    def white(cut: downloads.MaskCut) -> float:
        offers = downloads.offers(result, LOOK, settings, cut)
        data = next(each for each in offers if each.label == "Mask in black and white").make()
        values = np.asarray(Image.open(io.BytesIO(data)))
        assert set(np.unique(values)) <= {0, 255}
        return float((values == 255).mean())

    shares = [white(downloads.MaskCut(threshold, border=True)) for threshold in (0.0, 0.5, 0.99)]
    assert shares[0] == 1
    assert shares[1] >= shares[2]
    assert white(downloads.MaskCut(0.5, border=False)) <= shares[1]
    app = opened(look="Download")
    app.slider(key="mask-threshold").set_value(0.9).run()
    app.segmented_control(key="mask-border").set_value("without the border").run()
    assert not app.exception
    assert "cut at 0.90" in texts(app)


def test_a_zip_of_all_holds_the_chosen_parts_and_says_what_failed(settings: Settings) -> None:
    found = [segmented(settings), Failure("bad.jpg", "bad.jpg is damaged.")]
    data = downloads.zip_file(found, ["mask", "statistics"], LOOK, settings)
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert sorted(archive.namelist()) == ["statistics.csv", "two_mask.png"]
    assert "bad.jpg is damaged." in archive.read("statistics.csv").decode()


def test_overlays_and_sheets_have_the_colours_that_were_chosen(settings: Settings) -> None:
    green, found = (0, 200, 0), segmented(settings)
    look = replace(LOOK, opacity=1.0, outline=False, colours=(green, None, None))
    archive = zipfile.ZipFile(io.BytesIO(downloads.zip_file([found], ["overlay", "sheet"], look, settings)))
    overlay = np.asarray(Image.open(archive.open("two_overlay.png")))
    assert (overlay[30, 20] == green).all()
    assert (overlay[30, 60] == (0, 0, 255)).all()
    for data in (
        archive.read("contact_sheet.png"),
        downloads.sheet_file([found], "png", look),
    ):
        sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).reshape(-1, 3)
        assert (sheet == green).all(axis=1).sum() > 10_000


def test_a_zip_larger_than_the_memory_allows_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_downloads, "MOST_BYTES", 1)
    app = upload(open_page(PAGE), ("a.jpg", photo()), ("b.jpg", photo(colour="blue")))
    assert next(each for each in app.get("download_button") if "ZIP" in each.label).disabled
    assert "more than the" in texts(app)


MANY = "red", "blue", "green", "white", "black"


def many_photos() -> AppTest:
    return upload(open_page(PAGE), *((f"{colour}.jpg", photo(colour=colour)) for colour in MANY))


def prepared(app: AppTest) -> list[str]:
    return [each.label for each in app.get("download_button") if "segmented.zip" in each.label]


def test_the_zip_of_many_photos_is_prepared_with_progress_and_then_downloaded() -> None:
    app = many_photos()
    assert not prepared(app)
    button(app, "Everything as one ZIP").click().run()
    assert not app.exception
    assert len(prepared(app)) == 1
    held = app.session_state["prepared-segmented.zip"]
    archive = zipfile.ZipFile(io.BytesIO(held.read()))
    assert {f"{colour}_mask.png" for colour in MANY} <= set(archive.namelist())
    app.pills(key="parts").set_value(["overlays"]).run()
    assert not prepared(app)
    assert button(app, "Everything as one ZIP")


def test_many_photos_that_cannot_become_one_file_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    app = many_photos()

    def fails(*_: object) -> None:
        raise ImageError("3.jpg has changed meanwhile.")

    monkeypatch.setattr(batch_downloads, "csv_file", fails)
    button(app, "Statistics (CSV)").click().run()
    assert "3.jpg has changed meanwhile." in [each.value for each in app.error]


# --- speed --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_all_engines_are_measured_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [EngineTime("ONNX Runtime", "CPU (2 cores)", 1.5), EngineTime("TensorFlow, compiled", problem="No file.")]
    monkeypatch.setattr(speed, "measure_here", lambda *_: times)
    app = opened(look="Speed")
    button(app, "Measure here").click().run()
    assert not app.exception
    assert "measured just now on CPU" in texts(app).replace("\\", "")
    assert "No file" in texts(app)


def test_a_measurement_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> list[EngineTime]:
        raise MeasureError("This machine is busy.")

    speed._measurement.clear()
    monkeypatch.setattr(speed, "measure_here", fail)
    app = opened(look="Speed")
    button(app, "Measure here").click().run()
    assert "This machine is busy" in app.warning[0].value


def test_an_engine_without_a_file_is_named_and_the_others_are_measured(settings: Settings) -> None:
    found = measured(load_manifest(settings).entry(None), settings, rounds=1)
    assert found[0].milliseconds > 0
    assert all("no file for this engine" in each.problem for each in found[1:])
    assert len(found) == len(CLASS_NAMES)


@pytest.mark.slow
def test_the_keras_engine_gives_the_same_in_a_process_of_its_own() -> None:
    from unet_core.images.samples import cat_png
    from unet_core.segment.keras_process import KerasProcess
    from unet_core.segment.passes import TwoPasses
    from unet_core.zoo.manifest import verified_path

    settings = Settings()
    plain = Segmenter(None, "onnx", settings)
    outside = Segmenter(None, "onnx", settings)
    network = KerasProcess(verified_path(plain.entry, "weights", settings), plain.entry.config)
    outside.network = TwoPasses(network, plain.entry.background) if plain.entry.second_look else network
    expected = segment_bytes(plain, cat_png())
    for _ in range(2):
        found = segment_bytes(outside, cat_png())
        assert (found.mask == expected.mask).mean() >= 0.999
        assert np.abs(found.probabilities - expected.probabilities).max() < 1e-4
        network.close()  # as after minutes of idleness: the next photo starts it again


# --- a model of one's own ---------------------------------------------------------------------------------------------

OWN_CLASSES = PixelClasses(
    names=("fire", "grass", "water"), colours=((200, 0, 0), (0, 200, 0), (0, 0, 200)), codes=(5, 0, 9), background=1
)


def own_run(runs: Path, classes: PixelClasses | None = OWN_CLASSES) -> RunDirectory:
    """A finished run on own data whose model tells red, green and blue pixels apart."""
    config = onnx_models.pixel_config()
    run = made_run(runs / "20260101-a", name="mine", model=config)
    run.write_config(run.config().replace(data="/data/elements"))
    if classes is not None:
        run.write_classes(classes)
        run.write_origin(DataOrigin(name="elements"))
    (run.path / "exports" / "model.onnx").write_bytes(onnx_models.pixel_model(config))
    return run


def test_an_own_model_is_shown_in_its_own_classes(tmp_path: Path) -> None:
    run = own_run(tmp_path / "runs")
    app = open_page(PAGE, model=run.id)
    assert "your model **mine**" in texts(app)
    app = opened(model=run.id)
    assert not app.exception
    shown = texts(app)
    assert all(name in shown for name in ("fire", "grass", "water"))
    assert "pet" not in shown.replace("Oxford-IIIT Pet", "").lower().split()
    app = opened(model=run.id, show="mask")
    assert "5 fire, 0 grass, 9 water" in texts(app)
    app = opened(model=run.id, look="Confidence", map="threshold")
    assert metric(app, "Subject share of the photo") == "100.0\u202f%"
    assert text.plain("p(fire + water)") in texts(app)
    app = opened(model=run.id, look="Download")
    assert "8-bit PNG with 5 fire, 0 grass, 9 water" in texts(app)
    assert "fire, water: PNG" in texts(app)
    app = opened(model=run.id, look="Ground truth")
    assert "5 fire, 0 grass, 9 water" in texts(app)


def test_the_subject_of_a_cut_out_is_chosen(tmp_path: Path) -> None:
    run = own_run(tmp_path / "runs")
    app = opened(model=run.id, show="cut-out")
    (pills,) = (each for each in app.pills if each.label == "Subject")
    assert pills.value == ["fire", "water"]
    pills.set_value(["water"]).run()
    assert not app.exception
    settings = Settings(weights_dir=Path(os.environ["UNET_WEIGHTS_DIR"]), runs_dir=run.path.parent)
    segmenter = models.load(run.id, "onnx", settings).segmenter
    result = segment_photo(Photo.of("two.png", two_colours()), Choice(run.id), segmenter)
    assert isinstance(result, Result), result
    cut = draw(result.shown(), ViewOptions(views.CUTOUT, OWN_CLASSES.colours, subject=(2,)))
    assert (cut[..., 3] > 0).mean() == pytest.approx(0.5, abs=0.05)


def test_a_run_without_names_says_so(tmp_path: Path) -> None:
    app = opened(model=own_run(tmp_path / "runs", None).id)
    assert "class names were not recorded" in texts(app)
    assert "class 0" in texts(app)


def test_a_model_of_drawn_pets_says_that_it_was_not_made_for_photos(tmp_path: Path) -> None:
    run = own_run(tmp_path / "runs", None)
    run.write_config(run.config().replace(data="synthetic"))
    assert DRAWN_NOTE in texts(opened(model=run.id))
    assert DRAWN_NOTE not in texts(opened())
