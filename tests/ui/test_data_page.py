"""The Data page, run as Streamlit runs it but without a browser, on a handful of synthetic pets."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.helpers.pages import opened_page
from ui.data import charts, lab, pitfalls, sets
from ui.shared import frame, visitor
from ui.train import augmentation_choice
from ui.train.options import AUGMENTATION
from unet_core.classes import CLASSES
from unet_core.cli.parser import parse
from unet_core.cli.training_config import train_config
from unet_core.data import catalogue
from unet_core.data.augmentation import FLIPS_ONLY, OFF, AugmentationConfig
from unet_core.data.catalogue import CatalogueStatus, build_catalogue
from unet_core.data.own.example_archive import NAME, example_archive
from unet_core.data.oxford.download_job import DownloadStatus
from unet_core.data.pitfalls import PITFALLS
from unet_core.data.preview import PreviewError
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.settings import ROOT, Settings

COUNTS = {"train": 26, "validation": 4, "test": 6}


@dataclasses.dataclass(frozen=True)
class FewPets(SyntheticPets):
    """A few small synthetic pets."""

    size: tuple[int, int] = (96, 96)

    def _indices(self, part: str) -> range:
        start = 1_000_000 if part == "test" else 100 * (part == "train")
        return range(start, start + COUNTS[part])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the catalogue of a few synthetic pets."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "_source", lambda *_: FewPets())
        build_catalogue("synthetic", Settings(cache_dir=cache))
    return cache


@pytest.fixture(autouse=True)
def _environment(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "weights", "datasets"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("UNET_CACHE_DIR", str(shutil.copytree(built, tmp_path / "cache")))
    monkeypatch.setattr("ui.data.catalogue.start_catalogue", lambda *_: None)
    monkeypatch.setattr(
        "ui.data.lab.preview_draws", lambda photo, mask, config, count, seed: [(photo, mask)] * count
    )  # the real one starts a process with Keras
    monkeypatch.chdir(ROOT)


def open_data(**query: str) -> AppTest:
    """Open the page by its URL in a new session."""
    return opened_page(frame.DATA, query, 30)


def texts(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.error, app.warning, app.success, app.html)
    found = [element.value for elements in (*kinds, app.info) for element in elements]
    return "\n".join([*map(str, found), *(metric.value for metric in app.metric)]).replace("\\", "")


def button(app: AppTest, label: str):
    return next(entry for entry in app.button if entry.label.replace("\\", "") == label)


def tiles(app: AppTest) -> list[str]:
    return [entry.label.replace("\\", "") for entry in app.button if str(entry.key).startswith("open-")]


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


# --- the dataset ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_the_photos_the_drawn_pets_are_shown() -> None:
    app = open_data()
    assert "Cats and dogs drawn by this program" in texts(app)
    assert f"**{sum(COUNTS.values())}** photos" in texts(app)
    assert len(tiles(app)) == 24


def test_the_photos_come_with_size_credit_and_a_download() -> None:
    app = open_data(data=sets.OXFORD)
    shown = texts(app)
    assert "800\u202fMB" in shown
    assert "Parkhi" in shown
    assert "the photos belong to their owners" in shown
    assert not button(app, "Download").disabled


def test_a_download_shows_how_far_it_is_and_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = []
    running = DownloadStatus("running", "download", 400_000_000, 800_000_000, rate=10e6)
    monkeypatch.setattr("unet_core.data.oxford.download_job.download_status", lambda *_: running)
    monkeypatch.setattr("unet_core.data.oxford.download_job.cancel_download", stopped.append)
    app = open_data(data=sets.OXFORD)
    assert app.progress[0].value == 50
    assert "400\u202fMB of 800\u202fMB, 10.0\u202fMB/s, about 40\u202fs left" in app.progress[0].text
    button(app, "Stop").click().run()
    assert len(stopped) == 1


def test_a_failed_download_says_why_and_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = DownloadStatus("failed", kept=300_000_000, reason="The dataset's server cannot be reached.")
    monkeypatch.setattr("unet_core.data.oxford.download_job.download_status", lambda *_: failed)
    app = open_data(data=sets.OXFORD)
    assert "server cannot be reached" in texts(app)
    assert button(app, "Resume download")


def test_nonsense_in_the_address_is_ignored() -> None:
    app = open_data(
        data="../../etc", section="Nothing", split="none", size="huge", page="999", photo="", augmentation="{", part="x"
    )
    assert len(tiles(app)) == 24
    assert augmentation_choice.AUGMENTATION not in app.session_state


# --- the catalogue ----------------------------------------------------------------------------------------------------


def test_a_dataset_without_a_catalogue_gets_one_and_shows_the_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    status = CatalogueStatus("missing")
    monkeypatch.setattr("ui.data.catalogue.catalogue_status", lambda *_: status)
    monkeypatch.setattr("ui.data.catalogue.start_catalogue", lambda data, _: started.append(data))
    app = open_data()
    assert started == ["synthetic"]
    assert "starting" in app.progress[0].text
    status = CatalogueStatus("building", 300, 1200)
    app.run()
    assert started == ["synthetic"]
    assert app.progress[0].value == 25
    assert "300 of 1\u202f200 photos" in app.progress[0].text


def test_a_catalogue_that_cannot_be_built_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = CatalogueStatus("failed", reason="The disk is full: free some space and try again.")
    monkeypatch.setattr("ui.data.catalogue.catalogue_status", lambda *_: failed)
    app = open_data()
    assert "The disk is full" in texts(app)
    assert button(app, "Try again")


@pytest.mark.slow
def test_the_sections_of_a_dataset_that_is_not_here_say_what_to_do() -> None:
    for section in ("Browse", "Statistics", "Augmentation", "Pitfalls"):
        assert "Download the dataset above" in texts(open_data(data=sets.OXFORD, section=section))


# --- Browse -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_photos_are_filtered_by_split_species_size_and_name() -> None:
    app = open_data()
    app.selectbox(key="split").select("test").run()
    assert len(tiles(app)) == COUNTS["test"]
    app.selectbox(key="split").select("all").run()
    app.text_input(key="search").set_value("_0_101").run()
    assert tiles(app) == ["synthetic_0_101"]
    app.text_input(key="search").set_value("").run()
    counts = []
    for species in ("Cat", "Dog"):
        app.selectbox(key="species").select(species).run()
        counts.append(int(next(e.value for e in app.markdown if "Click one" in e.value).split("**")[1]))
    assert sum(counts) == sum(COUNTS.values())
    app.selectbox(key="species").select("all").run()
    app.selectbox(key="size").select("over 40 %").run()
    largest = tiles(app)
    app.selectbox(key="size").select("under 15 %").run()
    assert not set(largest) & set(tiles(app))


@pytest.mark.slow
def test_a_choice_that_nothing_fits_is_cleared_in_one_click() -> None:
    app = open_data(search="no such pet")
    assert "No photo matches" in texts(app)
    button(app, "Show all photos").click().run()
    assert len(tiles(app)) == 24
    assert app.text_input(key="search").value == ""


@pytest.mark.slow
def test_paging_goes_on_and_a_filter_starts_at_the_first_page() -> None:
    app = open_data(page="2")
    assert len(tiles(app)) == sum(COUNTS.values()) - 24
    app.selectbox(key="split").select("train").run()
    assert len(tiles(app)) == 24


@pytest.mark.slow
def test_a_click_opens_a_photo_with_its_numbers_and_its_neighbours() -> None:
    app = open_data()
    first, second = tiles(app)[:2]
    button(app, first).click().run()
    assert app.text_input(key="photo").value == first
    assert f"**{first}**" in texts(app)
    assert "96\u202f×\u202f96\u202fpx" in texts(app)
    assert button(app, "Previous").disabled
    button(app, "Next").click().run()
    assert f"**{second}**" in texts(app)


@pytest.mark.slow
def test_an_address_opens_a_photo_and_a_wrong_one_is_explained() -> None:
    assert "**synthetic_0_103**" in texts(open_data(photo="synthetic_0_103"))
    assert "no example called 'nobody'" in texts(open_data(photo="nobody"))


@pytest.mark.slow
def test_a_photo_is_taken_to_another_section() -> None:
    app = open_data(photo="synthetic_0_103")
    button(app, "Augment it").click().run()
    assert app.session_state["section"] == "Augmentation"
    assert app.text_input(key="subject").value == "synthetic_0_103"


@pytest.mark.slow
def test_another_dataset_forgets_what_was_chosen_in_this_one() -> None:
    app = open_data(search="_0_101", photo="synthetic_0_101")
    app.get("segmented_control")[0].set_value(sets.OXFORD).run()
    app.get("segmented_control")[0].set_value(sets.SYNTHETIC).run()
    assert not app.exception
    assert len(tiles(app)) == 24


# --- Statistics -------------------------------------------------------------------------------------------------------


def test_statistics_show_numbers_and_charts_of_all_photos_and_of_a_split() -> None:
    app = open_data(section="Statistics")
    assert app.metric[0].value == str(sum(COUNTS.values()))
    assert len(app.get("vega_lite_chart")) == 4
    assert len(app.get("image")) == 1  # where the pet is
    app = open_data(section="Statistics", part="test")
    assert app.metric[0].value == str(COUNTS["test"])


def test_charts_take_the_classes_own_colours() -> None:
    shares = {"all": {"pet": 0.3, "background": 0.6, "border": 0.1}}
    chart = charts.shares_by_split(shares, [entry.colour for entry in CLASSES])
    colours = chart["layer"][0]["encoding"]["color"]["scale"]["range"]
    assert colours == [charts.hexadecimal(entry.colour) for entry in CLASSES]


def test_the_map_is_strong_where_the_pet_often_is() -> None:
    shares = np.zeros((32, 32))
    shares[20:, :] = 1.0
    picture = np.asarray(Image.open(io.BytesIO(charts.heat_map(shares))))
    assert tuple(picture[-1, 0]) == (*CLASSES[0].colour, 255)
    assert picture[0, 0, 3] == 0


# --- Augmentation -----------------------------------------------------------------------------------------------------


def test_the_lab_shows_the_photo_and_eight_draws() -> None:
    app = open_data(section="Augmentation")
    assert len(app.get("image")) == 9


@pytest.mark.slow
def test_every_switch_of_the_configuration_is_in_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        "ui.data.lab.preview_draws", lambda photo, mask, config, count, seed: seen.append(config) or [(photo, mask)] * 8
    )
    app = open_data(section="Augmentation")
    app.slider(key="lab-rotation").set_value(90.0).run()
    app.slider(key="lab-zoom").set_range(0.5, 2.0).run()
    app.toggle(key="lab-flip_vertical").set_value(True).run()
    app.slider(key="lab-paste").set_value(0.5).run()
    assert (seen[-1].rotation, seen[-1].zoom, seen[-1].flip_vertical) == (90, (0.5, 2), True)
    assert (seen[-1].paste, seen[-1].paste_background) == (0.5, 1)
    dials = {dial.field for dial in lab.DIALS}
    of_the_dataset = {"paste_background"}
    switches = {"enabled", "flip_horizontal", "flip_vertical"}
    assert dials | switches | of_the_dataset == set(AugmentationConfig.model_fields)
    button(app, "flips only").click().run()
    assert seen[-1] == FLIPS_ONLY
    button(app, "off").click().run()
    assert seen[-1].enabled is False
    assert app.slider(key="lab-rotation").disabled


@pytest.mark.slow
def test_a_choice_is_applied_to_training_and_survives_in_the_address() -> None:
    app = open_data(section="Augmentation")
    button(app, "strong").click().run()
    button(app, "Apply to training").click().run()
    assert app.session_state[augmentation_choice.AUGMENTATION] == lab.STRONG
    assert "--set 'augmentation.zoom=[0.5,2.0]'" in app.code[0].value
    written = app.query_params[AUGMENTATION.name]
    again = open_data(section="Augmentation", augmentation=written)
    assert again.session_state[augmentation_choice.AUGMENTATION] == lab.STRONG
    assert again.slider(key="lab-hue").value == lab.STRONG.hue
    assert button(again, "Applied").disabled


def test_a_broken_drawing_process_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise PreviewError("The process that draws ended twice.")

    monkeypatch.setattr("ui.data.lab.preview_draws", broken)
    app = open_data(section="Augmentation")
    assert "ended twice" in texts(app)
    assert button(app, "Try again")


def test_a_slow_drawing_process_does_not_hold_the_page_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.shared.background.PATIENCE_SECONDS", 0.05)
    drawn = threading.Event()
    monkeypatch.setattr("ui.data.lab.preview_draws", lambda *_: drawn.wait(60) and [])
    app = open_data(section="Augmentation")  # returns although nothing is drawn yet
    drawn.set()
    assert "Starting the preview process" in texts(app)
    assert len(app.get("image")) == 9  # placeholders for the draws


@pytest.mark.parametrize("config", [AugmentationConfig(), FLIPS_ONLY, OFF, lab.STRONG])
def test_the_command_of_the_lab_trains_with_that_augmentation(config: AugmentationConfig) -> None:
    words = shlex.split(lab.train_command(sets.Dataset("Synthetic pets", "synthetic", "drawn"), config))
    trained = train_config(parse(words[words.index("train") :])).augmentation
    assert trained == config or (not trained.enabled and not config.enabled)


# --- Pitfalls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", PITFALLS)
def test_every_pitfall_is_made_and_mended_on_a_photo(key: str) -> None:
    app = open_data(section="Pitfalls", pitfall=pitfalls.LABELS[key])
    assert len(app.get("image")) >= 2
    assert "| Measured here | Mistake | Correct |" in texts(app)
    assert app.success


@pytest.mark.slow
def test_pitfalls_follow_each_other_and_take_any_photo() -> None:
    app = open_data(section="Pitfalls")
    button(app, f"Next: {pitfalls.LABELS['flips']}").click().run()
    assert app.subheader[0].value == "Photo and mask flipped separately"
    before = app.get("image")[0].proto.imgs[0].url
    app.text_input(key="subject").set_value("synthetic_0_110").run()
    assert app.get("image")[0].proto.imgs[0].url != before
    app.text_input(key="subject").set_value("nobody").run()
    assert "no photo called nobody" in texts(app)
    assert not app.exception


# --- Bring your own ---------------------------------------------------------------------------------------------------


def bring(app: AppTest, name: str, data: bytes) -> AppTest:
    """Upload an archive and wait until it has been read."""
    app.file_uploader[0].upload(name, data)
    for _ in range(40):
        app.run()
        assert not app.exception
        if app.error or any("Train on it" in str(entry.value) for entry in app.markdown):
            break
        time.sleep(0.1)
    return app


def own_folders(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "datasets").glob("*") if path.is_dir()]


@pytest.fixture
def example() -> bytes:
    return example_archive(20, 64)


@pytest.mark.slow
def test_an_uploaded_dataset_is_read_named_and_trained_on(tmp_path: Path, example: bytes) -> None:
    app = bring(open_data(section="Bring your own"), NAME, example)
    shown = texts(app)
    (folder,) = own_folders(tmp_path)
    assert app.metric[0].value == "20"
    assert "trimap codes" in shown
    assert "rgb(230,159,0)" in shown  # the classes' colours
    assert f"--data {folder}" in app.code[0].value
    assert app.query_params["data"] == folder.name
    app.text_input[0].set_value("fox")
    app.form_submit_button[0].click().run()
    assert not app.exception
    assert "fox" in "".join(entry.value for entry in app.html)
    assert json.loads((folder / "dataset.json").read_text())["coding"]["classes"][0]["name"] == "fox"


def test_a_dataset_of_two_classes_gives_the_command_their_number(tmp_path: Path) -> None:
    files = {}
    for index in range(20):
        photo, mask = SyntheticPets(seed=3, size=(48, 48)).examples("train").__next__().decode()
        files[f"images/{index}.png"] = encoded(np.roll(photo, 3 * index, axis=1))
        files[f"masks/{index}.png"] = encoded(np.roll(np.uint8(255) * (mask == 0), 3 * index, axis=1))
    app = bring(open_data(section="Bring your own"), "cats.zip", zipped(files))
    assert "black and white" in texts(app)
    assert "--set model.classes=2" in app.code[0].value


@pytest.mark.slow
def test_wrong_files_are_refused_with_their_sentence_and_nothing_stays(tmp_path: Path) -> None:
    for data, said in (
        (b"hello", "not a ZIP archive"),
        (zipped({"../../evil.png": b"x"}), "outside"),
        (b"", "empty"),
    ):
        app = bring(open_data(section="Bring your own"), "mine.zip", data)
        assert said in texts(app)
        assert not any("Train on it" in entry.value for entry in app.markdown)
        assert own_folders(tmp_path) == []


def test_a_dataset_with_errors_shows_them_and_no_command() -> None:
    files = {}
    for index in range(12):
        files[f"images/{index}.png"] = encoded(np.full((40, 40, 3), 20 * index, np.uint8))
        mask = np.zeros((40, 40), np.uint8)
        mask[10:30, 10:30] = 1
        files[f"masks/{index}.png"] = encoded(mask if index != 3 else mask[:20])
    del files["masks/5.png"]
    app = bring(open_data(section="Bring your own"), "wrong.zip", zipped(files))
    shown = texts(app)
    assert "3.png and its mask differ in size" in shown
    assert "1 photo without a mask (images/5.png): not used" in shown
    assert "Training is possible once" in shown
    assert not any("unet_core train" in entry.value for entry in app.code)


@pytest.mark.slow
def test_an_upload_is_found_by_its_name_only_and_can_be_deleted(tmp_path: Path, example: bytes) -> None:
    uploading = open_data(section="Bring your own")
    bring(uploading, NAME, example)
    (folder,) = own_folders(tmp_path)
    stranger = open_data()
    assert folder.name not in str(stranger.get("segmented_control")[0].proto)
    owner = open_data(data=folder.name, section="Bring your own")
    owner.session_state[visitor.KEY] = uploading.session_state[visitor.KEY]  # as the browser's cookie does
    for _ in range(20):
        if any(entry.key == "own-delete" for entry in owner.button):
            break
        owner.run()
    owner.button(key="own-delete").click().run()
    assert not owner.exception
    assert not folder.exists()
    assert owner.session_state["data"] == sets.SYNTHETIC


def test_no_address_leads_out_of_the_datasets_folder(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    settings = Settings(datasets_dir=tmp_path / "datasets")
    for name in ("", ".", "..", "../data", "/etc", "a/b", sets.OXFORD):
        assert sets.own_folder(name, settings) is None


# --- the process ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_loads_none_of_what_it_does_not_need() -> None:
    code = f"""
import sys
from streamlit.testing.v1 import AppTest
for section in ("Browse", "Statistics", "Pitfalls", "Bring your own"):
    app = AppTest.from_file({str(ROOT / frame.HOME.script)!r}, default_timeout=60)
    app.switch_page({frame.DATA.script!r})
    app.query_params["section"] = section
    app.run()
    assert not app.exception, app.exception
unneeded = {{"tensorflow", "keras", "tensorflow_datasets", "tf2onnx", "altair"}}
loaded = {{name.split(".")[0] for name in sys.modules}} & unneeded
sys.exit(f"imported: {{sorted(loaded)}}" if loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
