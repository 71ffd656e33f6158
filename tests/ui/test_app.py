"""Both pages, run as Streamlit runs them but without a browser."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.formparsers import MultiPartParser
from streamlit.testing.v1 import AppTest

from tests.helpers import grid_buttons
from tests.helpers.tiny_model import write_tiny_model
from tests.helpers.zips import plain_zip
from ui.architecture import options
from ui.segment import batch
from ui.shared import frame
from unet_core.images.samples import SAMPLES
from unet_core.segment import OnnxEngine
from unet_core.settings import ROOT, Settings

HOME, SEGMENT = frame.HOME.script, frame.SEGMENT.script


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def _environment(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(weights))
    monkeypatch.setenv("UNET_DATA_DIR", str(tmp_path / "no-data"))
    monkeypatch.setenv("UNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "ui.data.catalogue.start_catalogue", lambda *_: None
    )  # no process for a page that is only opened
    monkeypatch.chdir(ROOT)
    grid_buttons.install(monkeypatch)


def open_page(script: str, **query: str) -> AppTest:
    """Open a page by its own address in a fresh session."""
    app = AppTest.from_file(str(ROOT / HOME), default_timeout=30)
    if script != HOME:
        app.switch_page(script)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def photo(kind: str = "JPEG", size: tuple[int, int] = (60, 40), colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    for name, data in files:
        app.file_uploader[0].upload(name, data)
    return app.run()


def texts(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.error, app.warning, app.html)
    return "\n".join(str(element.value) for elements in kinds for element in elements)


def cards(app: AppTest) -> list[str]:
    """Return the file names on the cards, in order."""
    return [entry.help.removeprefix("Remove ").replace("\\", "") for entry in app.button if entry.label == "Remove"]


def button(app: AppTest, label: str):
    return next(entry for entry in app.button if entry.label == label)


# --- the frame ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", frame.PAGES, ids=lambda entry: entry.name)
def test_every_page_works_when_it_is_opened_first(entry: frame.Page) -> None:
    app = open_page(entry.script)
    assert not app.exception
    assert not app.error
    assert [link.value for link in app.sidebar.page_link] == [other.name for other in frame.PAGES]


def test_the_menu_lists_exactly_the_pages_that_exist() -> None:
    scripts = {HOME, *(f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py"))}
    assert {entry.script for entry in frame.PAGES} == scripts


@pytest.mark.slow
def test_a_setting_out_of_range_is_explained_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_MAX_FILES", "none")
    for entry in frame.PAGES:
        app = open_page(entry.script)
        assert not app.exception
        assert "max_files" in app.error[0].value.replace("\\", "")


@pytest.mark.slow
def test_the_web_process_imports_none_of_what_it_does_not_need(weights: Path) -> None:
    """TensorFlow and Keras are for other processes; Altair, which Streamlit's own charts import, takes 55 MB."""
    code = f"""
import sys
import ui.data.catalogue
from streamlit.testing.v1 import AppTest
ui.data.catalogue.start_catalogue = lambda *_: None  # no process for a page that is only opened
app = AppTest.from_file({str(ROOT / HOME)!r}, default_timeout=60).run()
assert not app.exception and "Segmented in" in str([entry.value for entry in app.markdown])
app.switch_page({SEGMENT!r}); app.query_params["sample"] = "cat"; app.run()
assert not app.exception and not app.error and len(app.get("bidi_component")) == 2, app
for look in ("Confidence", "Speed"):
    app.query_params.update(map="threshold"); app.segmented_control(key="look").set_value(look).run()
    assert not app.exception and len(app.get("vega_lite_chart")) == 1, look
app.switch_page({frame.ARCHITECTURE.script!r})
for tab in {options.SECTIONS}:
    app.query_params.clear(); app.query_params.update(preset="pets_fast", layer="encoder1", tab=tab); app.run()
    assert not app.exception, tab
for page in {[page.script for page in frame.PAGES]}:
    app.switch_page(page); app.query_params.clear(); app.run()
    assert not app.exception, page
unneeded = {{"tensorflow", "keras", "tensorflow_datasets", "tf2onnx", "altair"}}
loaded = {{name.split(".")[0] for name in sys.modules}} & unneeded
sys.exit(f"imported: {{sorted(loaded)}}" if loaded else 0)
"""
    environment = {**os.environ, "UNET_WEIGHTS_DIR": str(weights), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_server_takes_uploads_as_large_as_the_settings_allow_by_default() -> None:
    configured = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())
    defaults = [Settings.model_fields[field].default for field in ("max_upload_mb", "max_archive_mb")]
    assert configured["server"]["maxUploadSize"] == max(defaults)


def test_the_theme_fetches_nothing_from_a_network() -> None:
    assert "http" not in (ROOT / ".streamlit/config.toml").read_text()
    assert "http" not in (ROOT / "ui/shared/assets/style.css").read_text()


# --- Home ---------------------------------------------------------------------------------------------------------


def test_home_shows_a_live_example_with_what_was_measured_here() -> None:
    app = open_page(HOME)
    shown = texts(app)
    assert "Segmented in" in shown
    assert "ONNX Runtime" in shown
    assert "measured here" in shown
    assert all(name in shown for name in ("pet", "background", "border"))
    assert next(iter(SAMPLES.values())).credit in shown
    (stage,) = app.get("bidi_component")
    assert "pet cut out" in stage.proto.json
    assert "Tiny, for tests" in shown


def test_home_lives_without_a_manifest_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(tmp_path / "empty"))
    app = open_page(HOME)
    assert not app.exception
    assert "manifest.json is missing" in texts(app).replace("\\", "")
    assert "ONNX Runtime" in texts(app)  # the other cards are there


@pytest.mark.parametrize("script", [HOME, SEGMENT])
def test_weights_with_another_hash_are_refused_with_a_sentence(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tiny_model(tmp_path / "swapped")
    content = (folder / "tiny.onnx").read_bytes()
    (folder / "tiny.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(folder))
    app = open_page(script)
    assert not app.exception
    assert "SHA-256 differs" in texts(app).replace("\\", "")


# --- Segment ------------------------------------------------------------------------------------------------------


def test_segment_invites_with_a_sample_one_click_away() -> None:
    app = open_page(SEGMENT)
    assert "No photo at hand?" in texts(app)
    button(app, "Chelsea").click().run()
    assert cards(app) == ["chelsea.png"]
    assert app.query_params["sample"] == "cat"  # so that a reload brings it back


def test_the_sample_can_be_linked_to_and_removed() -> None:
    app = open_page(SEGMENT, sample="cat")
    assert cards(app) == ["chelsea.png"]
    button(app, "Remove").click().run()
    assert cards(app) == []
    assert "sample" not in app.query_params


def test_a_sample_has_a_link_that_brings_it_to_others_and_an_own_photo_has_none() -> None:
    def links(app: AppTest) -> list[str]:
        given = [json.loads(entry.proto.json) for entry in app.get("bidi_component")]
        return [data["query"] for data in given if "query" in data]

    assert links(open_page(SEGMENT, sample="cat")) == ["?sample=cat"]
    assert links(upload(open_page(SEGMENT), ("rex.jpg", photo()))) == []


def test_a_photo_comes_back_with_shares_time_and_downloads() -> None:
    app = upload(open_page(SEGMENT), ("rex.jpg", photo()))
    shown = texts(app)
    assert cards(app) == ["rex.jpg"]
    assert "100.0\u202f%" in shown  # all red: all pet
    assert "60\u202f×\u202f40\u202fpx" in shown
    helps = " ".join(str(entry.help) for entry in app.caption)
    assert "network" in helps
    assert "CPU" in helps
    assert "ONNX Runtime" in shown
    assert [entry.label for entry in app.get("download_button")] == ["Download this view"]


def test_a_broken_file_gets_its_own_sentence_and_the_others_go_on() -> None:
    files = [("a.jpg", photo()), ("notes.jpg", b"this is text"), ("empty.png", b""), ("b.png", photo("PNG"))]
    app = upload(open_page(SEGMENT), *files)
    assert not app.exception
    assert sorted(cards(app)) == ["a.jpg", "b.png", "empty.png", "notes.jpg"]
    assert len(app.error) == 2
    pictures = [card.picture for card in app.session_state["workspace"].results.cards.values()]
    assert [bool(picture) for picture in pictures] == [True, False, False, True]
    problems = "".join(entry.value for entry in app.error).replace("\\", "")
    assert "notes.jpg is not a photo" in problems
    assert "empty.png is empty" in problems


def test_more_photos_than_fit_are_left_out_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_MAX_FILES", "2")
    files = [(f"{index}.png", photo("PNG", (20 + index, 20))) for index in range(4)]
    app = upload(open_page(SEGMENT), *files)
    assert len(cards(app)) == 2
    assert "The limit is 2 photos" in app.warning[0].value
    assert "predict FOLDER --out RESULTS --resume" in app.warning[0].value.replace("\\", "")
    monkeypatch.setenv("UNET_CLUSTER", "tcp://127.0.0.1:1")  # is not connected to
    app = upload(open_page(SEGMENT), *files)
    assert "predict FOLDER --out RESULTS --cluster" in app.warning[0].value.replace("\\", "")


def test_a_zip_brings_its_photos_up_to_the_limit_and_names_the_command_for_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNET_MAX_FILES", "3")
    packed = plain_zip({f"{side}.png": photo("PNG", (20, side)) for side in range(20, 24)})
    app = upload(open_page(SEGMENT), ("trip.zip", packed))
    assert cards(app) == ["20.png", "21.png", "22.png"]
    note = app.warning[0].value.replace("\\", "")
    assert "Skipped: 23.png" in note
    assert "python -m unet_core predict FOLDER" in note
    button(app, "Remove").click().run()
    app = upload(app, ("one.png", photo("PNG", (9, 9))))
    assert cards(app) == ["21.png", "22.png", "one.png"]


def test_a_zip_that_cannot_be_used_says_why_and_the_photos_beside_it_are_shown() -> None:
    app = upload(open_page(SEGMENT), ("bad.zip", b"PK no zip"), ("a.jpg", photo()))
    assert cards(app) == ["a.jpg"]
    assert "bad.zip is not a ZIP archive" in app.warning[0].value.replace("\\", "")


def test_a_photo_beyond_the_limit_of_one_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_MAX_UPLOAD_MB", "0.001")
    app = upload(open_page(SEGMENT), ("large.jpg", photo() + bytes(2000)), ("small.png", photo("PNG", (9, 9))))
    assert cards(app) == ["small.png"]
    assert "Skipped: large.jpg" in app.warning[0].value.replace("\\", "")


def test_photos_that_are_too_heavy_together_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    monkeypatch.setenv("UNET_MAX_SESSION_MB", "0.012")
    app = upload(open_page(SEGMENT), ("heavy.png", buffer.getvalue()), ("heavier.bmp", buffer.getvalue() + b"0"))
    assert len(cards(app)) == 1
    assert "All photos together" in app.warning[0].value


def test_uploads_are_not_spooled_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 1)
    open_page(SEGMENT)
    assert MultiPartParser.spool_max_size > Settings().max_upload_mb * 2**20


def test_the_same_photo_is_shown_once() -> None:
    app = upload(open_page(SEGMENT), ("a.jpg", photo()), ("copy.jpg", photo()))
    assert len(cards(app)) == 1
    assert "Already added" in app.warning[0].value


def test_of_two_equal_photos_one_can_be_removed() -> None:
    app = upload(open_page(SEGMENT), ("a.jpg", photo()), ("copy.jpg", photo()))
    uploader = app.file_uploader[0]
    uploader._files = uploader._get_files_to_register()[1:]  # AppTest can clear an uploader, but not remove one file
    app.run()
    assert cards(app) == ["a.jpg"]
    app.file_uploader[0].clear().run()
    assert cards(app) == []


def test_a_batch_is_segmented_a_moment_at_a_time_and_shown_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "SLICE_SECONDS", 0)
    shown: list[int] = []
    draw = batch.photo_grid
    monkeypatch.setattr(
        batch,
        "photo_grid",
        lambda tiles, **rest: shown.append(sum(1 for tile in tiles if tile.picture)) or draw(tiles, **rest),
    )
    app = upload(open_page(SEGMENT), *((f"{side}.png", photo("PNG", (20, side))) for side in range(20, 24)))
    assert shown == [1, 2, 3, 4]
    assert cards(app) == ["20.png", "21.png", "22.png", "23.png"]
    assert "Download all 4 photos" in texts(app)


@pytest.mark.slow
def test_a_rerun_runs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    predict, batches = OnnxEngine.predict, []
    monkeypatch.setattr(OnnxEngine, "predict", lambda self, batch: batches.append(batch) or predict(self, batch))
    app = upload(open_page(SEGMENT), ("a.jpg", photo()))
    assert batches, "what is watched is not what the page runs"
    batches.clear()
    app.run()
    app.segmented_control(key="show").set_value("overlay").run()
    app.slider(key="opacity").set_value(80).run()
    app.toggle(key="outline").set_value(False).run()
    assert not app.exception
    assert not app.error
    assert cards(app) == ["a.jpg"]
    assert not batches


@pytest.mark.slow
def test_removing_a_photo_forgets_its_bytes_and_results() -> None:
    colours = ("red", "blue", "green")
    app = upload(open_page(SEGMENT), *((f"{colour}.jpg", photo(colour=colour)) for colour in colours))
    button(app, "Remove").click().run()
    assert len(cards(app)) == 2
    button(app, "Remove all").click().run()
    workspace = app.session_state["workspace"]
    assert not workspace.store.photos
    assert not workspace.results.found
    assert not workspace.results.cards
    assert "No photo at hand?" in texts(app)


def test_options_come_from_the_address_and_nonsense_there_is_ignored() -> None:
    app = open_page(SEGMENT, sample="cat", show="overlay", opacity="70", outline="banana")
    assert not app.exception
    assert app.slider(key="opacity").value == 70
    assert app.toggle(key="outline").value is True
    assert not open_page(SEGMENT, sample="dog", opacity="900").exception


@pytest.mark.slow
def test_photos_and_options_survive_a_page_change() -> None:
    app = upload(open_page(SEGMENT, show="overlay"), ("a.jpg", photo()))
    app.slider(key="opacity").set_value(80).run()
    app.switch_page(HOME).run()
    app.switch_page(SEGMENT).run()
    assert cards(app) == ["a.jpg"]
    assert app.session_state["options"]["Segment"]["opacity"] == "80"
