"""Corrections on the Segment page: part of everything that is shown and downloaded, and a dataset to learn from."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.helpers import grid_buttons
from tests.helpers.tiny_model import write_tiny_model
from tests.ui.test_app import button, open_page, texts, upload
from ui.segment import learn, touch_up
from ui.segment.cards import CUT_OUTS, Card, Look
from ui.segment.downloads import csv_file, zip_file
from ui.segment.photos import Photo
from ui.segment.session_results import Choice, Result
from ui.segment.workspace import WORKSPACE, Workspace, remove
from ui.shared import frame
from unet_core.classes import BACKGROUND, PET, PET_CLASSES
from unet_core.data.own.report import DatasetReport, inspect_dataset
from unet_core.data.uploads import store
from unet_core.segment.correction import Correction
from unet_core.settings import ROOT, Settings
from unet_core.train import queue

TINY = Choice("tiny")
LARGE = (400, 300)  # a border is several pixels wide then


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def settings(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    folders = {"WEIGHTS": weights, "DATA": tmp_path, "CACHE": tmp_path, "RUNS": tmp_path / "runs"}
    for name, folder in {**folders, "DATASETS": tmp_path / "sets"}.items():
        monkeypatch.setenv(f"UNET_{name}_DIR", str(folder))
    monkeypatch.chdir(ROOT)
    grid_buttons.install(monkeypatch)
    return Settings(weights_dir=weights, runs_dir=tmp_path / "runs", datasets_dir=tmp_path / "sets")


def halves(size: tuple[int, int] = (80, 60), shade: int = 255) -> bytes:
    """A photo whose left half is red, which the tiny model takes for pet, and whose right half is blue."""
    image = Image.new("RGB", size, (0, 0, shade))
    image.paste((shade, 0, 0), (0, 0, size[0] // 2, size[1]))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def all_pet(size: tuple[int, int]) -> Correction:
    return Correction(np.ones((size[1], size[0]), np.int8))


def workspace_with(settings: Settings, *photos: bytes) -> Workspace:
    workspace = Workspace()
    workspace.store.add([Photo.of(f"{number}.png", data) for number, data in enumerate(photos)], settings)
    return workspace


def result_of(workspace: Workspace, settings: Settings) -> Result:
    found = workspace.results.get(workspace.photos[0], TINY, settings)
    assert isinstance(found, Result)
    return found


def made(workspace: Workspace, settings: Settings, correction: Correction) -> Result:
    """Correct the first photo as the browser does; return the result as the page then shows it."""
    found = result_of(workspace, settings)
    brush = touch_up.touch_up(found, workspace, active=True)
    assert brush is not None
    assert brush.on_correct is not None
    brush.on_correct(correction)
    return touch_up.corrected(found, workspace)


@pytest.mark.parametrize("size", [(80, 60), (1400, 1050)], ids=["as shown", "larger than shown"])
def test_a_correction_is_in_all_that_is_shown_and_downloaded(settings: Settings, size: tuple[int, int]) -> None:
    workspace = workspace_with(settings, halves(size))
    before = result_of(workspace, settings)
    assert before.shares["pet"] < 0.6
    shown = before.shown().size
    result = made(workspace, settings, all_pet((shown[1], shown[0])))
    assert result.shares == pytest.approx({"pet": 1, "background": 0, "border": 0})
    assert (result.pictures()[1] == PET.id).all()
    assert (result.shown().alpha == 1).all()
    full = result.full(settings)
    assert full.size == (size[1], size[0])
    assert (full.mask == PET.id).all()
    assert (full.alpha == 1).all()
    look = Look(CUT_OUTS, 0.4, True, PET_CLASSES.colours, PET_CLASSES.subject)
    files = zipfile.ZipFile(io.BytesIO(zip_file([result], ["mask", "cutout"], look, settings)))
    cut = next(name for name in files.namelist() if "cutout" in name)
    mask = next(name for name in files.namelist() if "mask" in name)
    assert np.asarray(Image.open(files.open(mask))).max() == 1
    assert np.asarray(Image.open(files.open(cut)))[..., 3].min() == 255
    row = next(csv.DictReader(io.StringIO(csv_file([result], settings).decode("utf-8-sig"))))
    assert (float(row["share_pet"]), float(row["coverage"])) == (1, 1)
    assert result_of(workspace, settings).shares == before.shares, "what the network found has changed"


def test_a_card_is_drawn_again_and_an_emptied_correction_forgotten(settings: Settings) -> None:
    workspace = workspace_with(settings, halves())
    look = Look(CUT_OUTS, 0.4, True, PET_CLASSES.colours, PET_CLASSES.subject)
    photo = workspace.photos[0]
    workspace.results.keep_card(photo, TINY, look, Card("0.png", picture=b"picture"))
    result = made(workspace, settings, all_pet((80, 60)))
    assert workspace.results.card(photo, TINY, look) is None
    assert result.correction is not None
    assert touch_up.corrected(result_of(workspace, settings), workspace) is result, "computed again"
    again = made(workspace, settings, Correction(np.zeros((60, 80), np.int8)))
    assert again.correction is None
    assert not workspace.corrections


def test_corrections_survive_a_reload_and_end_with_their_photo(settings: Settings) -> None:
    workspace = workspace_with(settings, halves())
    made(workspace, settings, all_pet((80, 60)))
    after = workspace.copy()
    assert list(after.corrections) == [after.photos[0].digest]
    after.corrections.clear()
    assert workspace.corrections, "the session that was left has lost its own"
    late = touch_up.touch_up(result_of(workspace, settings), workspace, active=True)
    assert late is not None
    assert late.on_correct is not None
    remove(workspace, workspace.photos[0].digest)
    assert not workspace.corrections
    late.on_correct(all_pet((80, 60)))
    assert not workspace.corrections, "a correction of a removed photo was kept"


# --- learning ---------------------------------------------------------------------------------------------------------


def opened(settings: Settings, photos: int, corrected: int) -> AppTest:
    """Open the Segment page with photos, the first of them corrected."""
    app = open_page(frame.SEGMENT.script)
    upload(app, *[(f"{number}.png", halves(LARGE, 255 - number)) for number in range(photos)])
    app.run()
    workspace: Workspace = app.session_state[WORKSPACE]
    for photo in workspace.photos[:corrected]:
        workspace.corrections[photo.digest] = wider_pet()
    return app.run()


def wider_pet() -> Correction:
    changes = np.zeros((300, 400), np.int8)
    changes[:, :300] = 1
    return Correction(changes)


def read(folder: Path, settings: Settings) -> DatasetReport:
    return inspect_dataset(folder, settings=settings)


def test_nothing_is_offered_without_a_correction(settings: Settings) -> None:
    assert "Learn from your corrections" not in texts(opened(settings, 2, 0))


def test_few_corrections_say_what_is_missing(settings: Settings) -> None:
    app = opened(settings, 3, 1)
    assert "Learn from your corrections" in texts(app)
    assert "correct 2 more" in texts(app)
    assert button(app, "Train the model further on them").disabled
    app.toggle(key="learn-from-all").set_value(True).run()
    assert not button(app, "Train the model further on them").disabled


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list:
    """Keep runs from starting; return what was submitted."""
    found: list = []
    monkeypatch.setattr(queue, "submit", lambda config, name="", **options: found.append((config, name)))
    return found


def test_corrected_photos_become_a_dataset_and_a_run_from_the_model_in_use(settings: Settings, submitted: list) -> None:
    app = opened(settings, 5, 4)
    button(app, "Train the model further on them").click().run()
    assert not app.exception
    [(config, name)] = submitted
    assert (config.start_from, config.model.classes) == ("tiny", 3)
    assert name.endswith(", corrected")
    assert config.epochs <= 40
    assert config.learning_rate <= 1e-4
    report = read(Path(config.data), settings)
    assert len(report.pairs) == 4
    assert [each.name for each in report.classes] == ["pet", "background", "border"]
    masks = [np.asarray(Image.open(path)) for path in Path(config.data).glob("**/masks/*.png")]
    assert len(masks) == 4
    assert all((mask[:, :280] == PET.code).all() for mask in masks)
    assert all((mask[:, 320:] == BACKGROUND.code).all() for mask in masks)


def test_the_dataset_of_the_last_start_makes_room_for_the_next(settings: Settings, submitted: list) -> None:
    app = opened(settings, 3, 3)
    for _ in range(2):
        button(app, "Train the model further on them").click().run()
    first, second = (Path(config.data) for config, _ in submitted)
    assert second.exists()
    assert not first.exists()


def test_the_download_is_read_by_the_data_page_and_has_the_models_classes(settings: Settings, tmp_path: Path) -> None:
    workspace = workspace_with(settings, *(halves(LARGE, 255 - number) for number in range(4)))
    for photo in workspace.photos[1:]:
        workspace.corrections[photo.digest] = wider_pet()
    data = learn._archive(workspace, TINY, True, settings)
    report = read(store(data, learn.NAME, settings), settings)
    assert len(report.pairs) == 4
    shares = {each.name: each.share for each in report.classes}
    assert list(shares) == ["pet", "background", "border"]
    assert shares["pet"] == pytest.approx((0.5 + 3 * 0.74) / 4, abs=0.04)
