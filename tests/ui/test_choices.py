"""What can be chosen on the Segment page: models and finished runs, photos of the gallery, files of a folder."""

from __future__ import annotations

import io
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.helpers import grid_buttons, miniature_pets
from tests.helpers.tiny_model import SIDE, write_tiny_model
from ui.segment import gallery
from ui.segment import workspace as workspaces
from ui.segment.session_results import Choice, Result, Results
from ui.shared import models
from unet_core.architecture.presets import PRESETS
from unet_core.data.catalogue import Catalogue, CatalogueStatus, State, build_catalogue
from unet_core.images.samples import SAMPLES
from unet_core.segment import decode_image
from unet_core.settings import ROOT, Settings
from unet_core.train.config import TrainConfig
from unet_core.train.run_directory import RunDirectory, RunLabel, Status, export_file
from unet_core.zoo.manifest import WeightsError

CONFIG = PRESETS["pets_fast"].config.replace(height=SIDE, width=SIDE)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folders = {f"{name}_dir": tmp_path / name for name in ("runs", "cache", "data")}
    return Settings(weights_dir=write_tiny_model(tmp_path / "weights"), **folders)


def run_of(settings: Settings, name: str, state: str = "finished", *, weights: bool = True) -> RunDirectory:
    """Write a run as if it had been trained; its ONNX file is the tiny model's."""
    run = RunDirectory.create(settings.runs_dir / name, TrainConfig(model=CONFIG, data="synthetic"), f"My {name}")
    if weights:
        run.best_weights.write_bytes(b"weights")
        export_file(run, "onnx").parent.mkdir()
        shutil.copy(settings.weights_dir / "tiny.onnx", export_file(run, "onnx"))
    run.metrics.append({"epoch": 0, "loss": 1.0, "val_mean_iou": 0.25, "seconds": 1.5})
    run.write_status(Status(state=state, epoch=1, epochs=1))
    return run


# --- models -----------------------------------------------------------------------------------------------------------


def test_the_default_model_comes_first_then_others_then_finished_runs_newest_first(settings: Settings) -> None:
    write_tiny_model(settings.weights_dir, "other")
    for name, state in (("20260101-a", "finished"), ("20260102-b", "stopped"), ("20260103-c", "failed")):
        run_of(settings, name, state)
    run_of(settings, "20260104-d", weights=False)
    (settings.runs_dir / "notes").mkdir()
    found = models.model_choices(settings)
    assert [each.name for each in found] == ["tiny", "other", "20260102-b", "20260101-a"]
    assert [each.kind for each in found] == ["shipped", "shipped", "run", "run"]
    assert found[3].title == "My 20260101-a"
    assert "25.0\u202f%" in found[3].facts


@pytest.mark.slow
def test_runs_of_one_name_are_told_apart_and_found_by_their_ids(settings: Settings) -> None:
    for hour, name in enumerate(("20260101-a", "20260102-b"), 3):
        made = time.mktime((2026, 5, 6, hour, 7, 8, 0, 0, -1))
        run_of(settings, name).write_label(RunLabel("Mine", created=made))

    def page(models) -> None:
        import streamlit as st

        from ui.segment.inference import choose

        st.write(choose(models).model)

    found = models.model_choices(settings)
    assert [each.title for each in found[1:]] == ["Mine · 04:07", "Mine · 03:07"]
    for name, chosen in (
        ("20260101-a", "20260101-a"),
        ("20260102-b", "20260102-b"),
        ("gone", "tiny"),
        ("tiny", "tiny"),
    ):
        app = AppTest.from_function(page, kwargs={"models": found}, default_timeout=60)
        app.query_params["model"] = name
        app.run()
        assert app.markdown[0].value == chosen
        assert app.query_params.get("model", "tiny") == chosen
    app.selectbox(key="model").set_value("20260101-a").run()
    assert app.markdown[0].value == "20260101-a"
    assert app.query_params["model"] == "20260101-a"
    app.query_params["model"] = "20260102-b"  # the browser's back button
    app.run()
    assert app.markdown[0].value == "20260102-b"


def test_a_run_segments_with_its_own_model_without_tensorflow(settings: Settings) -> None:
    run = run_of(settings, "20260101-a")
    red = workspaces.Photo.of("red.png", png(np.full((50, 70, 3), (220, 10, 10), np.uint8)))
    found = Results().get(red, Choice(run.id), settings)
    assert isinstance(found, Result)
    assert (found.model, found.engine, found.shares["pet"]) == (run.id, "ONNX Runtime", 1)
    assert found.full(settings).mask.shape == (50, 70)


def test_a_run_trained_further_is_another_model(settings: Settings) -> None:
    run = run_of(settings, "20260101-a")
    before = models.load(run.id, "auto", settings).key
    file = export_file(run, "onnx")
    file.write_bytes(file.read_bytes() + b"\x7a\x00")  # an empty field more: another file that means the same
    assert models.load(run.id, "auto", settings).key != before


@pytest.mark.parametrize("name", ["nothing", "../weights", "", "20260109-running"])
def test_names_from_an_address_that_are_no_model_get_a_sentence(settings: Settings, name: str) -> None:
    run_of(settings, "20260109-running", "running")
    with pytest.raises(WeightsError, match="choose one of tiny"):
        models.load(name, "auto", settings)


def test_a_run_without_an_onnx_file_has_one_made_by_another_process(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(settings, "20260101-a")
    export_file(run, "onnx").unlink()
    started: list[str] = []
    monkeypatch.setattr(models, "start_export", lambda run, form, settings: started.append(run.id))
    monkeypatch.setattr("unet_core.jobs.background_job.BackgroundJob.status", lambda job: RUNNING)
    with pytest.raises(WeightsError, match="no ONNX file yet"):
        models.load(run.id, "onnx", settings)
    assert models.ready(run.id, "keras", settings)
    assert models.ready("tiny", "auto", settings)
    assert started == []

    def page(name, settings) -> None:
        import streamlit as st

        from ui.shared import models

        st.write("ready" if models.ready(name, "auto", settings) else "not yet")

    app = AppTest.from_function(page, kwargs={"name": run.id, "settings": settings}, default_timeout=60).run()
    assert started == [run.id]
    assert "Exporting the model of My 20260101-a" in app.info[0].value.replace("\\", "")
    assert app.markdown[0].value == "not yet"


class RUNNING:
    state, reason = "running", ""


# --- the gallery ------------------------------------------------------------------------------------------------------


def test_without_the_dataset_the_gallery_has_real_samples_and_then_synthetic_pets(
    settings: Settings,
) -> None:
    shown = gallery.open_gallery(settings)
    pages = [shown.page(number) for number in range(shown.pages)]
    assert [exhibit.key for exhibit in pages[0]] == list(SAMPLES)
    assert all(sample.credit.removeprefix("Photo: ") in shown.credit(0) for sample in SAMPLES.values())
    assert [shown.photo(exhibit).name for exhibit in pages[0]] == [sample.name for sample in SAMPLES.values()]
    keys = [exhibit.key for page in pages[1:] for exhibit in page]
    assert len(set(keys)) == len(keys) == (shown.pages - 1) * gallery.PAGE
    assert "Drawn" in shown.credit(1)
    photo = shown.photo(pages[1][1])
    assert photo.truth is not None
    codes = np.asarray(Image.open(io.BytesIO(photo.truth)))
    assert codes.shape == decode_image(photo.data).shape[:2]
    assert set(np.unique(codes)) == {1, 2, 3}
    assert np.array_equal(pages[0][1].thumbnail, shown.page(shown.pages)[1].thumbnail)  # it goes round


@pytest.mark.parametrize(("state", "is_indexing"), [("building", True), ("failed", False)])
def test_samples_say_when_they_only_stand_in_for_the_dataset(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, state: State, is_indexing: bool
) -> None:
    monkeypatch.setattr(gallery.oxford_pets, "status", lambda _: SimpleNamespace(present=True))
    monkeypatch.setattr(gallery, "catalogue_status", lambda *_: CatalogueStatus("missing"))
    monkeypatch.setattr(gallery, "start_catalogue", lambda *_: CatalogueStatus(state))
    shown = gallery.open_gallery(settings)
    assert shown.page(0)[0].key in SAMPLES
    assert ("once it is indexed" in shown.credit(0)) == ("once it is indexed" in shown.credit(1)) == is_indexing


def test_photos_of_the_dataset_come_from_its_test_part_with_their_truth(settings: Settings, tmp_path: Path) -> None:
    data = str(miniature_pets.write_folder(tmp_path / "own", 60))
    build_catalogue(data, settings)
    catalogue = Catalogue.open(data, settings)
    shown = gallery.TestPhotos(catalogue)
    names = [exhibit.key for number in range(shown.pages) for exhibit in shown.page(number)]
    assert names
    assert set(names) <= {entry.name for entry in catalogue.entries("test")}
    exhibit = shown.page(0)[0]
    photo = shown.photo(exhibit)
    ids = catalogue.example(exhibit.key)[1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(photo.truth))), ids + 1)
    assert decode_image(photo.data).shape[:2] == ids.shape


# --- the workspace ----------------------------------------------------------------------------------------------------


@pytest.fixture
def page(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    for name in ("weights", "runs", "cache", "data"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(getattr(settings, f"{name}_dir")))
    monkeypatch.chdir(ROOT)
    grid_buttons.install(monkeypatch)

    def intake() -> None:
        import streamlit as st

        from ui.segment import workspace as workspaces
        from unet_core.settings import get_settings

        settings = get_settings()
        workspace = workspaces.open_workspace(settings)
        workspaces.intake(workspace, settings)
        for note in workspace.store.notes:
            st.warning(note)
        st.button("Remove all", on_click=workspaces.clear, args=(workspace,))

    return AppTest.from_function(intake, default_timeout=30).run()


def names(app: AppTest) -> list[str]:
    return [photo.name for photo in app.session_state["workspace"].photos]


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_click_in_the_gallery_puts_the_photo_with_its_truth_in_the_workspace(page: AppTest) -> None:
    next(each for each in page.button if each.label == "More examples").click().run()
    next(each for each in page.button if each.label == "Synthetic 1").click().run()
    page.segmented_control(key=workspaces.SOURCE).select(workspaces.GALLERY).run()
    while "Chelsea" not in [each.label for each in page.button]:
        next(each for each in page.button if each.label == "More examples").click().run()
    next(each for each in page.button if each.label == "Chelsea").click().run()
    assert not page.exception
    assert names(page) == ["synthetic-1.jpg", "chelsea.png"]
    assert [photo.truth is not None for photo in page.session_state["workspace"].photos] == [True, False]


def test_of_a_folder_the_photos_are_taken_and_the_rest_is_named(page: AppTest) -> None:
    page.segmented_control(key=workspaces.SOURCE).select(workspaces.FOLDER).run()
    uploader = page.file_uploader[1]
    photo = png(np.zeros((9, 9, 3), np.uint8))
    for name, data in (
        ("trip/a.PNG", photo),
        ("trip/.DS_Store", b"x"),
        ("trip/list.txt", b"text"),
        ("trip/b.jpg", b""),
    ):
        uploader.upload(name, data)
    page.run()
    assert not page.exception
    assert names(page) == ["trip/a.PNG", "trip/b.jpg"]
    assert page.warning[0].value == "Not photos, so skipped: trip/list.txt."


def test_streamlit_keeps_no_bytes_of_what_was_uploaded(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = []
    context_of = workspaces.get_script_run_ctx
    monkeypatch.setattr(workspaces, "get_script_run_ctx", lambda: contexts.append(context_of()) or contexts[-1])
    for shade in range(3):
        page.file_uploader[0].upload(f"{shade}.png", png(np.full((9, 9, 3), shade, np.uint8)))
    page.run()
    assert len(names(page)) == 3
    manager, session = contexts[-1].uploaded_file_mgr, contexts[-1].session_id
    records = manager.get_files(session, [file.file_id for file in page.file_uploader[0].value])
    assert len(records) == 3
    assert all(record.data == b"" for record in records)
    page.run()
    assert len(names(page)) == 3
    page.button[-1].click().run()
    assert names(page) == []
