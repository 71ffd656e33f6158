"""The Train page, run as Streamlit runs it but without a browser, on run directories that no training has made."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers.made_runs import add_epoch, add_preview, made_run
from tests.helpers.pages import opened_page
from ui.architecture import state as architecture_state
from ui.shared import frame, run_status
from ui.train import augmentation_choice, charts, fields
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.data.augmentation import OFF, AugmentationConfig
from unet_core.data.own.report import inspect_dataset, save_report
from unet_core.errors import ConfigError
from unet_core.settings import ROOT, Settings
from unet_core.train import curves, queue
from unet_core.train.config import TrainConfig
from unet_core.train.never_predicted import record_never_predicted
from unet_core.train.presets import TRAINING_PRESETS
from unet_core.train.run_directory import TIME_LIMIT, RunDirectory, RunLabel
from unet_core.train.silent_depth import record_silent_layer

DEMO = TRAINING_PRESETS["demo_60s"].config


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def _environment(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_RUNS_DIR", str(runs))
    for name in ("data", "datasets", "cache"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("UNET_WORKERS", "0")  # nothing starts: what is submitted waits
    monkeypatch.chdir(ROOT)


def open_train(**query: str) -> AppTest:
    """Open the page by its own address in a fresh session."""
    return opened_page(frame.TRAIN, query, 60)


def texts(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.code)
    return "\n".join(str(element.value) for elements in kinds for element in elements).replace("\\", "")


def button(app: AppTest, label: str):
    return next(entry for entry in app.button if entry.label.replace("\\", "") == label)


def labels(app: AppTest) -> set[str]:
    return {entry.label.replace("\\", "") for entry in app.button}


def metric(app: AppTest, label: str) -> str:
    return next(entry.value for entry in app.metric if entry.label == label)


def the_run(runs: Path) -> RunDirectory:
    (run,) = queue.all_runs(Settings(runs_dir=runs))
    return run


# --- the form ---------------------------------------------------------------------------------------------------------


def test_one_button_starts_the_demo_exactly_as_it_is(runs: Path) -> None:
    app = open_train()
    button(app, "Start the 60-second demo").click().run()
    assert the_run(runs).config() == DEMO
    assert the_run(runs).label().name == "60-second demo"
    assert app.session_state["run"] == the_run(runs).id
    assert "this server is set up to start no runs" in app.progress[0].text


def test_what_a_run_takes_is_said_before_it_starts() -> None:
    app = open_train()
    assert metric(app, "Parameters") == "123\u202f187"
    assert metric(app, "Photos to train on") == "320"
    assert metric(app, "Steps") == "200"
    for label in ("Time here", "Memory", "Disk space"):
        assert metric(app, label).startswith("≈")
    assert "weights of the best and of the last epoch" in texts(app)


def test_the_address_fills_the_form_and_the_run_follows_it(runs: Path) -> None:
    query = {"epochs": "3", "optimizer": "SGD with momentum", "model.depth": "3", "limit": "60", "seed": "7"}
    app = open_train(**query, **{"augmentation.flip_horizontal": "false"})
    assert metric(app, "Steps") == str(3 * math.ceil(60 / DEMO.batch_size))
    button(app, "Start the 60-second demo").click().run()
    config = the_run(runs).config()
    assert (config.epochs, config.optimizer, config.limit, config.seed) == (3, "sgd", 60, 7)
    assert config.model.level_filters == (8, 16, 32)
    assert not config.augmentation.flip_horizontal
    assert config.learning_rate == DEMO.learning_rate


def test_another_preset_fills_every_field_again() -> None:
    app = open_train(epochs="3")
    app.segmented_control(key="recipe").set_value("Tutorial 2022 as written").run()
    tutorial = TRAINING_PRESETS["tutorial2022"].config
    for field in fields.FIELDS:
        if field.path in ("epochs", "batch_size", "learning_rate"):
            assert app.number_input(key=field.path).value == field.of(tutorial)
    assert app.text_input(key="class_weights").value == "1, 1, 2"
    assert metric(app, "Parameters") == "1\u202f862\u202f979"


def test_another_network_fills_its_own_fields_again_and_leaves_the_rest() -> None:
    app = open_train(epochs="3", **{"model.normalization": "none", "model.base_filters": "20"})
    app.selectbox(key="unet").set_value(PRESETS["machinecurve2022"].title).run()
    assert app.number_input(key="epochs").value == 3
    network = PRESETS["machinecurve2022"].config
    assert app.selectbox(key="model.normalization").value == network.normalization
    assert app.number_input(key="model.base_filters").value == network.level_filters[0]


def test_a_missing_dataset_keeps_a_run_from_starting_and_another_one_lets_it(runs: Path) -> None:
    app = open_train(recipe="5-minute pets")
    assert button(app, "Start the 5-minute pets").disabled
    assert "oxford_iiit_pet" in texts(app).lower() or "Oxford" in texts(app)
    app.selectbox(key="dataset").set_value("Synthetic pets").run()
    button(app, "Start the 5-minute pets").click().run()
    assert the_run(runs).config().data == "synthetic"
    assert the_run(runs).label().name == "5-minute pets on Synthetic pets"


def test_a_size_that_fails_is_explained_with_sizes_that_work() -> None:
    app = open_train(**{"model.height": "100"})
    assert button(app, "Start the 60-second demo").disabled
    assert "Sizes that work" in texts(app)


def test_numbers_that_are_none_are_refused_in_a_sentence_and_the_form_stays() -> None:
    app = open_train(class_weights="1, many")
    assert "Class weights: expected numbers" in texts(app)
    assert app.number_input(key="seed").value == 0


def test_nonsense_in_the_address_is_ignored() -> None:
    app = open_train(recipe="none", epochs="-4", optimizer="x", dataset="../../etc", unet="?", run="../..")
    assert "There is no run" in texts(app)
    button(app, "All runs").click().run()
    assert not button(app, "Start the 60-second demo").disabled


@pytest.mark.parametrize("number", ["1e309", "nan", "<b>"])
def test_numbers_in_the_address_that_are_too_much_are_ignored(number: str) -> None:
    app = open_train(epochs=number, learning_rate=number, **{"model.depth": number})
    assert metric(app, "Steps") == "200"
    assert not button(app, "Start the 60-second demo").disabled


def test_the_lab_s_augmentation_is_what_trains(runs: Path) -> None:
    app = open_train(augmentation='{"enabled":false}')
    button(app, "Start the 60-second demo").click().run()
    assert the_run(runs).config().augmentation == OFF


def test_a_photo_goes_with_the_run(runs: Path) -> None:
    app = open_train()
    app.toggle(key="train-cat").set_value(True).run()
    button(app, "Start the 60-second demo").click().run()
    assert the_run(runs).photo.exists()


def test_the_background_that_is_not_pasted_is_the_dataset_s(tmp_path: Path) -> None:
    from tests.helpers import own_datasets
    from ui.data.sets import OXFORD, Dataset

    folder = own_datasets.folder(tmp_path / "own", 12, classes=3, table=[0, 1, 2])
    save_report(inspect_dataset(folder), folder)
    own = Dataset("own", str(folder), "own")
    assert augmentation_choice.background_class(own) == 0
    assert augmentation_choice.background_class(Dataset(OXFORD, "oxford_iiit_pet", "photos"), 3) == 1
    assert augmentation_choice.background_class(own, 1) == 0, "what such a network predicts is 1 for the object"


# --- starting from another model --------------------------------------------------------------------------------------


def test_a_run_starts_from_the_run_that_the_address_names(runs: Path) -> None:
    made_run(runs / "earlier", name="Mine")
    app = open_train(start_from="earlier", **{"model.height": "128", "model.width": "128"})
    assert app.selectbox(key="train-origin").value == "earlier"
    assert "Its weights fit this network. It was trained at 96" in texts(app)
    button(app, "Start the 60-second demo").click().run()
    started = next(run for run in queue.all_runs() if run.id != "earlier")
    expected = DEMO.replace(start_from="earlier", model=DEMO.model.replace(height=128, width=128))
    assert started.config() == expected
    button(app, "Another like this").click().run()
    assert app.selectbox(key="train-origin").value == "earlier"


@pytest.mark.slow
def test_a_model_of_another_network_lends_its_network(runs: Path) -> None:
    network = DEMO.model.replace(depth=3, filters=(8, 16, 32), normalization="none")
    made_run(runs / "other", name="Other", model=network)
    app = open_train(epochs="3")
    app.selectbox(key="train-origin").set_value("other").run()
    assert button(app, "Start the 60-second demo").disabled
    assert "depth: 3 there, 4 here" in texts(app)
    assert "differs from that model's: depth, filters, normalization" in texts(app)
    button(app, "Use its network").click().run()
    app.selectbox(key="model.normalization").set_value("layer").run()
    assert button(app, "Start the 60-second demo").disabled
    button(app, "Use its network").click().run()
    button(app, "Start the 60-second demo").click().run()
    started = next(run for run in queue.all_runs() if run.id != "other").config()
    assert (started.start_from, started.model) == ("other", network)
    assert started.epochs == 3, "what was filled in before stays"


def test_a_shipped_model_is_started_from_without_a_download(runs: Path) -> None:
    app = open_train(recipe="Best quality", dataset="Synthetic pets", start_from="pets")
    config = TRAINING_PRESETS["best_quality"].config.model
    assert config.encoder_weights == "imagenet"
    button(app, "Start training").click().run()
    assert the_run(runs).config().model == config.replace(encoder_weights="none")


@pytest.mark.slow
def test_a_model_to_start_from_that_is_not_found_is_reported_and_left_out(runs: Path) -> None:
    run = made_run(runs / "later", epochs=1, start_from="gone")
    for query in ({"start_from": "../../etc"}, {"start_from": "<b>"}):
        app = open_train(**query)
        assert "There is no model or run" in texts(app)
        assert not button(app, "Start the 60-second demo").disabled
    app = open_train(like=run.id)
    assert "There is no model 'gone'" in texts(app)
    button(app, "Start training").click().run()
    assert next(other for other in queue.all_runs() if other.id != run.id).config().start_from is None


@pytest.mark.slow
def test_a_run_is_taught_by_the_run_that_the_list_names(runs: Path) -> None:
    made_run(runs / "teacher", name="Mine")
    app = open_train()
    assert not any(field.key == "distill_weight" for field in app.number_input)
    app.selectbox(key="train-teacher").set_value("teacher").run()
    app.number_input(key="distill_weight").set_value(0.7).run()
    button(app, "Start the 60-second demo").click().run()
    started = next(run for run in queue.all_runs() if run.id != "teacher")
    assert started.config() == DEMO.replace(distill_from="teacher", distill_weight=0.7)
    button(app, "Another like this").click().run()
    assert app.selectbox(key="train-teacher").value == "teacher"


def test_a_model_that_cannot_teach_is_reported_before_anything_starts(runs: Path) -> None:
    made_run(runs / "other", name="Other", model=DEMO.model.replace(classes=2))
    app = open_train(distill_from="other")
    assert "they differ: classes 3 and 2" in texts(app)
    assert button(app, "Start the 60-second demo").disabled


def test_names_stay_different(runs: Path) -> None:
    made_run(runs / "one", epochs=1, name="60-second demo")
    button(open_train(), "Start the 60-second demo").click().run()
    assert {run.label().name for run in queue.all_runs()} == {"60-second demo", "60-second demo 2"}


def own_dataset(tmp_path: Path) -> str:
    """Put a dataset of two classes among those of the server, and return its name."""
    from tests.helpers import own_datasets

    folder = own_datasets.folder(tmp_path / "datasets" / "trees", 12)
    save_report(inspect_dataset(folder, class_names=["ground", "tree"]), folder)
    return folder.name


def test_an_own_dataset_is_trained_with_its_own_preset_and_nothing_of_the_demo(runs: Path, tmp_path: Path) -> None:
    app = open_train(dataset=own_dataset(tmp_path))  # as the Data page links to it
    assert app.get("segmented_control")[0].value == "Your dataset"
    assert "synthetic" not in texts(app).lower()
    assert "No dataset needed" not in texts(app)
    button(app, "Start training").click().run()
    config, expected = the_run(runs).config(), TRAINING_PRESETS["your_dataset"].config
    assert (config.limit, config.time_limit_minutes, config.start_from) == (None, None, "pets_fast")
    assert config.model == expected.model.replace(classes=2)
    assert Path(config.data) == tmp_path / "datasets" / "trees"
    assert the_run(runs).label().name == "trees"


def test_whoever_comes_from_an_own_dataset_by_the_menu_finds_it_chosen(tmp_path: Path) -> None:
    app = AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=60)
    app.switch_page(frame.DATA.script)
    app.query_params["data"] = own_dataset(tmp_path)
    app.query_params["section"] = "Bring your own"
    app.run()
    app.query_params.clear()
    app.switch_page(frame.TRAIN.script)
    app.run()
    assert app.get("segmented_control")[0].value == "Your dataset"
    assert app.selectbox(key="dataset").value == "trees"


def test_a_preset_chosen_after_all_stays_chosen(tmp_path: Path) -> None:
    app = open_train(dataset=own_dataset(tmp_path)).run()
    app.get("segmented_control")[0].set_value("60-second demo").run()
    assert app.get("segmented_control")[0].value == "60-second demo"
    assert not button(app, "Start training").disabled, "it starts from no model"
    assert "settings of **60-second demo** on **trees**: at most 320 photos of each part, 48\u202fs at most" in texts(
        app
    )
    assert "No dataset needed" not in texts(app)
    assert "Start the 60-second demo" not in labels(app)


def test_a_preset_without_its_dataset_says_so_and_starts_nothing(runs: Path) -> None:
    app = open_train(recipe="Your dataset")
    assert "You have no dataset on this server yet" in texts(app)
    assert app.selectbox(key="dataset").value == "none uploaded yet"
    assert button(app, "Start training").disabled
    made_run(runs / "old", epochs=1, data=str(runs / "gone"))
    app = open_train(like="old")
    assert "The dataset of that run, 'gone', is not among yours" in texts(app)
    assert button(app, "Start training").disabled
    app.selectbox(key="dataset").set_value("Synthetic pets").run()
    assert not button(app, "Start training").disabled


@pytest.mark.parametrize("preset", TRAINING_PRESETS.values(), ids=TRAINING_PRESETS)
def test_every_field_shows_what_each_preset_has_and_changes_nothing_on_its_own(preset) -> None:
    values = {field.path: field.of(preset.config) for field in fields.FIELDS}
    values["class_weights"] = fields.numbers(values["class_weights"], "Class weights")
    assert fields.merged(preset.config, values) == preset.config


def test_every_setting_of_a_run_has_a_field_or_is_chosen_elsewhere() -> None:
    elsewhere = {"model", "data", "augmentation", "ema", "final_learning_rate_factor", "start_from", "distill_from"}
    there = {field.path.split(".")[0] for field in fields.FIELDS}
    assert set(TrainConfig.model_fields) - there <= elsewhere
    switches = {field.path for field in fields.FIELDS if field.path.startswith("augmentation.")}
    assert switches == {f"augmentation.{name}" for name in AugmentationConfig.model_fields}


def test_numbers_are_read_with_commas_and_spaces() -> None:
    assert fields.numbers("1, 1 2.5", "Weights") == (1.0, 1.0, 2.5)
    assert fields.numbers("  ", "Weights") is None
    with pytest.raises(ConfigError, match="expected numbers"):
        fields.numbers("1; 2", "Weights")


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_class_that_is_never_predicted_is_named(runs: Path) -> None:
    run = made_run(runs / "lost", epochs=3)
    assert "Every class of the validation photos is predicted somewhere" not in texts(open_train(run="lost"))
    record_never_predicted(run, ("border",), is_best=True)
    assert "Never predicted on the validation photos: border." in texts(open_train(run="lost"))
    record_never_predicted(run, (), is_best=True)
    assert "Every class of the validation photos is predicted somewhere" in texts(open_train(run="lost"))


def test_a_deepest_layer_that_has_fallen_silent_is_named_at_the_end(runs: Path) -> None:
    run = made_run(runs / "silent", epochs=3)
    assert "deepest layer" not in texts(open_train(run="silent"))
    record_silent_layer(run, "bottleneck_conv2")
    assert "The deepest layer, bottleneck_conv2, gives nearly the same for every photo" in texts(
        open_train(run="silent")
    )


def test_a_run_that_used_its_time_has_finished(runs: Path) -> None:
    run = made_run(runs / "demo", epochs=10, done=4, state="stopped", name="Demo")
    run.write_status(replace(run.status(), reason=TIME_LIMIT))
    app = open_train(run="demo")
    assert "Finished" in texts(app)
    assert "The time limit was reached." in texts(app)
    assert app.progress[0].value == 100
    assert {"Train longer"} <= labels(app)
    assert "Resume" not in labels(app)
    run.write_status(replace(run.status(), reason="stopped on request"))
    assert "Resume" in labels(open_train(run="demo"))


def test_a_running_run_shows_where_it_is_and_can_be_stopped(runs: Path) -> None:
    run = made_run(runs / "live", epochs=9, done=4, state="running", name="Now")
    with run.held():
        app = open_train(run="live")
        assert "Epoch 5 of 9" in app.progress[0].text
        assert "left" in app.progress[0].text
        assert round(app.progress[0].value) == round(100 * 4 / 9)
        assert metric(app, "Validation IoU") == f"{0.8 - 0.5 / 4 - 0.02:.3f}"
        assert metric(app, "Photos per second") == "80"
        assert "Delete" not in texts(app)
        button(app, "Stop").click().run()
        assert run.stop_requested()
        assert button(app, "Stop").disabled


@pytest.mark.slow
def test_the_next_epoch_appears_in_figures_curves_and_pictures(runs: Path) -> None:
    run = made_run(runs / "live", epochs=9, done=3, state="running")
    with run.held():
        app = open_train(run="live")
        assert app.select_slider(key="train-epoch").value == 3
        add_epoch(run, 3)
        add_preview(run, 4)
        before = metric(app, "Validation IoU")
        app.run()
        assert metric(app, "Validation IoU") > before
        assert app.select_slider(key="train-epoch").value == 4
        app.select_slider(key="train-epoch").set_value(1).run()
        add_preview(run, 5)
        app.run()
        assert app.select_slider(key="train-epoch").value == 1, "a chosen epoch stays chosen"


def test_a_finished_run_shows_its_scores_and_downloads(runs: Path) -> None:
    made_run(runs / "done", name="Ready")
    app = open_train(run="done")
    # 3000 of 3600 pixels on the diagonal; IoU 800/1250, 1900/2150, 300/750
    assert metric(app, "Pixel accuracy") == "83.3\u202f%"
    assert metric(app, "Mean IoU") == f"{(800 / 1250 + 1900 / 2200 + 300 / 750) / 3:.3f}"
    assert "On 100 of 200 test photos" in texts(app)
    assert "Use in Segment" in labels(app)
    offered = {entry.label for entry in app.get("download_button")}
    assert offered >= {".onnx", "Config", "Curves", "TensorBoard", "Report PNG", "Report PDF", "GIF", "WebP"}
    assert "Stop" not in labels(app)


@pytest.mark.slow
@pytest.mark.parametrize(("state", "says"), [("failed", "This run failed"), ("interrupted", "was interrupted")])
def test_a_run_that_broke_says_why_and_can_be_resumed(runs: Path, state: str, says: str) -> None:
    run = made_run(runs / "broken", done=2, state=state)
    status = run.status()
    run.write_status(type(status)(**{**vars(status), "reason": "the *disk* is full: free some space"}))
    app = open_train(run="broken")
    alerts = [*app.error, *app.warning]
    assert any("The \\*disk\\* is full" in alert.value for alert in alerts)
    assert any(says in (alert.proto.title or "") for alert in alerts)
    button(app, "Resume").click().run()
    assert run.status().state == "queued"
    assert queue.position(run) == 1


@pytest.mark.slow
def test_runs_of_one_name_are_distinguished_by_their_time(runs: Path) -> None:
    for hour, name in ((3, "a"), (4, "b")):
        run = made_run(runs / name, epochs=1, name="Pets")
        run.write_label(RunLabel("Pets", created=time.mktime((2026, 5, 6, hour, 7, 8, 0, 0, -1))))
    assert "Pets · 03:07" in texts(open_train(run="a"))
    app = open_train(compare="a,b")
    assert list(app.dataframe[0].value["name"]) == ["Pets", "Pets"]
    assert app.multiselect(key="train-compare").options == ["Pets · 04:07", "Pets · 03:07"]


@pytest.mark.parametrize(
    ("moments", "written"),
    [
        (((2026, 5, 6, 3, 7, 8), (2026, 5, 6, 3, 7, 9)), {"03:07:08", "03:07:09"}),
        (((2026, 5, 6, 3, 7, 8), (2026, 5, 7, 3, 7, 8)), {"06 May 03:07", "07 May 03:07"}),
        (((2025, 5, 6, 3, 7, 8), (2026, 5, 6, 3, 7, 8)), {"06 May 2025 03:07", "06 May 2026 03:07"}),
    ],
)
def test_no_more_of_the_time_is_written_than_distinguishes_runs(moments, written) -> None:
    labels_ = {str(at): RunLabel("Pets", created=time.mktime((*at, 0, 0, -1))) for at in moments}
    found = run_status.distinct_names({**labels_, "other": RunLabel("Cats")})
    assert set(found.values()) == {"Cats", *(f"Pets · {stamp}" for stamp in written)}


@pytest.mark.slow
def test_a_run_that_was_resumed_shows_the_time_of_all_its_epochs(runs: Path) -> None:
    run = made_run(runs / "a", epochs=6)  # of six seconds each
    run.write_status(replace(run.status(), launched=run.status().finished - 5))
    assert "6 of 6 epochs in 36\u202fs" in open_train(run="a").progress[0].text


@pytest.mark.slow
def test_a_run_that_is_not_in_the_queue_can_be_resumed(runs: Path) -> None:
    run = made_run(runs / "lost", done=0, state="queued")
    app = open_train(run="lost")
    assert "no longer in the queue" in app.progress[0].text
    button(app, "Resume").click().run()
    assert queue.position(run) == 1


@pytest.mark.slow
def test_a_run_that_somebody_else_deletes_is_reported_once(runs: Path) -> None:
    run = made_run(runs / "a", name="Mine")
    made_run(runs / "b", name="Other")
    app = open_train(run="a")
    queue.delete(run)
    app.toggle(key="train-pin-a").set_value(True).run()
    assert "There is no run" in texts(app)
    app.session_state["run"] = "b"
    app.run()
    assert not app.error


@pytest.mark.slow
def test_a_run_is_named_pinned_and_deleted(runs: Path) -> None:
    run = made_run(runs / "done", name="Old")
    app = open_train(run="done")
    app.text_input(key="train-rename-done").set_value("*New* & <better>").run()
    app.toggle(key="train-pin-done").set_value(True).run()
    assert run.label().name == "*New* & <better>"
    assert run.label().pinned
    assert "\\*New\\*" in app.subheader[0].value
    button(app, "Delete now").click().run()
    assert not run.path.exists()
    assert app.session_state["run"] == ""


@pytest.mark.slow
def test_another_run_like_one_has_all_of_its_settings(runs: Path) -> None:
    model = {"encoder_convolutions": 1, "depth": 3, "filters": (8, 16, 32)}  # convolutions are in no field of the form
    config = DEMO.replace(learning_rate=0.5, model=DEMO.model.replace(**model), time_limit_minutes=0.05)
    made_run(runs / "done", name="Mine 2", **{name: getattr(config, name) for name in ("learning_rate", "model")})
    RunDirectory(runs / "done").write_config(config)
    app = open_train(epochs="77", unet="pets")
    app.session_state["run"] = "done"
    app.run()
    button(app, "Another like this").click().run()
    assert not app.exception
    assert "Everything as in **Mine 2**" in texts(app)
    button(app, "Start training").click().run()
    started = next(run for run in queue.all_runs() if run.id != "done")
    assert started.config() == config
    assert started.label().name == "Mine"
    assert "Back to the presets" in labels(open_train(like="done"))
    app = open_train(like="../done")
    assert "There is no run" in texts(app)
    assert not button(app, "Start the 60-second demo").disabled


@pytest.mark.slow
def test_a_network_of_the_architecture_page_is_trained_as_it_was_built(runs: Path) -> None:
    network = preset_config("ronneberger2015").replace(height=96, width=96, channels=3, depth=3, padding="same")
    link = architecture_state.written(network, "ronneberger2015")
    app = open_train(built=link, unet="from the Architecture page")
    button(app, "Start the 60-second demo").click().run()
    assert the_run(runs).config().model == network.replace(classes=3)
    assert "The network in the address" in str(open_train(built="depth=<b>").warning[0].proto.title)


@pytest.mark.slow
def test_waiting_runs_can_be_moved_to_the_front_and_removed(runs: Path) -> None:
    for name in ("first", "second"):
        queue.submit(DEMO, name)
    last = queue.waiting()[-1]
    app = open_train(run=last.id)
    button(app, "Move to the front").click().run()
    assert queue.position(last) == 1
    button(app, "Remove from the queue").click().run()
    assert last.status().state == "stopped"
    assert queue.position(last) is None


@pytest.mark.slow
def test_a_run_of_another_version_is_refused_in_a_sentence(runs: Path) -> None:
    run = made_run(runs / "odd", epochs=1)
    (run.path / "config.json").write_text('{"from": "the future"}')
    assert "TrainConfig" in texts(open_train(run="odd"))
    assert not open_train().exception


# --- all runs ---------------------------------------------------------------------------------------------------------


def test_all_runs_are_listed_and_the_chosen_ones_compared(runs: Path) -> None:
    made_run(runs / "a", epochs=2, name="Slow")
    made_run(runs / "b", epochs=3, name="Fast", learning_rate=0.5)
    made_run(runs / "c", done=0, state="queued", name="Nothing yet")
    app = open_train(compare="a,b,nothing")
    table = app.dataframe[0].value
    assert list(table["name"]) == ["Nothing yet", "Fast", "Slow"]
    assert list(table["epochs"]) == ["0 / 6", "3 / 3", "2 / 2"]
    found = app.dataframe[-1].value.set_index("setting")
    assert list(found.columns) == ["Slow", "Fast"]
    assert set(found.index) == {"epochs", "learning_rate"}
    assert list(found.loc["learning_rate"]) == ["0.006", "0.5"]


def made_sweep(runs: Path) -> None:
    """Write a sweep whose best trial is the last one, and a run that is not of it."""
    made_run(runs / "alone", epochs=1, name="Alone")
    for number, (rate, done) in enumerate([(0.001, 1), (0.01, 3), (0.1, 6)]):
        run = made_run(runs / f"t{number}", done=done, state="finished" if done == 6 else "stopped", learning_rate=rate)
        run.write_label(RunLabel(f"rates: {rate}", created=float(number), sweep="rates"))


def test_a_sweep_shows_its_trials_best_first_and_compares_them(runs: Path) -> None:
    made_sweep(runs)
    app = open_train()
    assert len(app.dataframe) == 1
    app.selectbox(key="sweep").select("rates").run()
    trials = app.dataframe[1].value
    assert list(trials["learning_rate"]) == ["0.1", "0.01", "0.001"]
    assert list(trials["epochs"]) == ["6 / 6", "3 / 6", "1 / 6"]
    assert trials["score"].is_monotonic_decreasing
    assert app.session_state["train-compare"] == ["t2", "t1", "t0"]
    assert "Hollow: not trained to the end." in texts(app)


def test_a_link_to_a_sweep_chooses_its_trials_and_one_to_none_nothing(runs: Path) -> None:
    made_sweep(runs)
    assert open_train(sweep="rates").session_state["train-compare"] == ["t2", "t1", "t0"]
    other = open_train(sweep="nothing")
    assert not other.exception
    assert len(other.dataframe) == 1


@pytest.mark.parametrize(
    ("values", "axis"),
    [
        ([1, 2, 3], "linear"),
        ([1e-4, 1e-2], "log"),
        ([0.0, 100.0], "linear"),
        (["dice", "focal"], "named"),
        ([True, False], "named"),
        ([None, 3], "named"),
        ([[1, 2], [2, 1]], "named"),
    ],
)
def test_the_axis_of_a_field_follows_its_values(values, axis) -> None:
    assert charts.field_axis(values) == axis


@pytest.mark.slow
def test_home_links_to_the_run_that_is_under_way(runs: Path) -> None:
    run = made_run(runs / "live", epochs=9, done=4, state="running", name="Now")
    with run.held():
        app = AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=60).run()
        assert "**Now** is training: epoch 5 of 9" in app.progress[0].text
    assert not AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=60).run().progress


# --- curves -----------------------------------------------------------------------------------------------------------


def test_curves_read_only_what_is_new_and_forget_what_is_trained_again(runs: Path) -> None:
    run = made_run(runs / "a", epochs=5, done=2)
    found = curves.Curves()
    found.refresh(run)
    before = len(found.steps)
    add_epoch(run, 2)
    found.refresh(run)
    assert len(found.epochs) == 3
    assert len(found.steps) == before * 3 // 2
    run.metrics.keep_below(1)
    run.steps.keep_below(1)
    found.refresh(run)
    assert [row["epoch"] for row in found.epochs] == [0]
    assert {row["epoch"] for row in found.steps} == {0}


def test_smoothing_is_the_corrected_moving_average() -> None:
    assert curves.smoothed([3.0, 1.0, 2.0], 0.0) == [3.0, 1.0, 2.0]
    assert curves.smoothed([2.0] * 5, 0.9) == pytest.approx([2.0] * 5)
    # weights 1 : 0.5 and 1 : 0.5 : 0.25, newest first
    assert curves.smoothed([1.0, 4.0, 2.0], 0.5) == pytest.approx([1.0, 4.5 / 1.5, 4.25 / 1.75])
    with_gap = curves.smoothed([1.0, math.nan, 3.0], 0.5)
    assert math.isnan(with_gap[1])
    assert with_gap[2] == pytest.approx(3.5 / 1.5)


def test_thinning_keeps_both_ends_and_the_order() -> None:
    kept = curves.thinned(range(10_000), 50)
    assert (len(kept), kept[0], kept[-1]) == (50, 0, 9_999)
    assert kept == sorted(set(kept))
    assert curves.thinned([1, 2], 50) == [1, 2]


@pytest.mark.parametrize("axis", charts.AXES)
def test_every_axis_puts_the_end_of_an_epoch_behind_its_steps(runs: Path, axis: charts.Axis) -> None:
    found = curves.Curves()
    found.refresh(made_run(runs / "a", epochs=3))
    table = charts.curve_table(found, "loss", axis, 0.5, 20)
    assert (table["kind"] == "best").sum() == 1
    steps = table[table["kind"] == "step"]["x"]
    assert steps.is_monotonic_increasing
    last = {"epochs": 3, "steps": 60, "minutes": 0.3}[axis]
    assert table[table["kind"] != "step"]["x"].max() == pytest.approx(last)
    spec = charts.curve_spec("loss", axis)
    assert "data" not in spec
    assert "datasets" not in spec


def test_a_long_run_s_chart_looks_ahead_only_so_far() -> None:
    assert charts.horizon(0, 10) == 10
    assert charts.horizon(5, 400) == charts.SHOWN_AHEAD
    assert [charts.horizon(done, 400) for done in (40, 62, 63, 300, 400)] == [64, 64, 128, 400, 400]


@pytest.mark.slow
def test_the_page_needs_neither_tensorflow_nor_keras() -> None:
    code = (
        "import sys, ui.train.form, ui.train.start, ui.train.live, ui.train.done, ui.train.runs, ui.train.controls;"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
