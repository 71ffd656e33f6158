"""Who sees and changes which run: its owner, a stranger with its address, and a stranger without."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.made_runs import made_run
from tests.helpers.visitors import ANNA, BOB, button, labels, open_page, owner, texts
from ui.data import sets
from ui.shared import frame, models, training
from unet_core.data import uploads
from unet_core.data.own.example_archive import example_archive
from unet_core.data.own.report import inspect_dataset, save_report
from unet_core.errors import UNetError
from unet_core.jobs.tables import write_record
from unet_core.settings import ROOT, Settings
from unet_core.train import downloads, queue
from unet_core.train.presets import TRAINING_PRESETS
from unet_core.train.run_directory import RunDirectory, RunLabel, new_run_folder

pytestmark = pytest.mark.slow

CHANGES = {"Stop", "Resume", "Train longer", "Delete now", "Remove from the queue", "Move to the front"}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("runs", "data", "datasets", "cache"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("UNET_WORKERS", "0")  # nothing starts: what is submitted waits
    monkeypatch.setattr("ui.data.catalogue.start_catalogue", lambda *_: None)
    monkeypatch.chdir(ROOT)
    return Settings(runs_dir=tmp_path / "runs", datasets_dir=tmp_path / "datasets")


def run_of(settings: Settings, key: str, name: str, **changes) -> RunDirectory:
    """Write a run of a visitor, or of the command line if the key is empty."""
    made = made_run(new_run_folder(name, settings), name=name, **changes)
    made.write_label(RunLabel(name, created=1.0, owner=owner(key) if key else ""))
    return made


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_records_a_hash_of_its_owner_and_is_listed_for_them_only(settings: Settings) -> None:
    app = open_page(frame.TRAIN, ANNA)
    button(app, "Start the 60-second demo").click().run()
    (run,) = queue.all_runs(settings)
    stored = "".join(path.read_text() for path in run.path.glob("*.json"))
    assert run.label().owner == owner(ANNA)
    assert ANNA not in stored
    assert "60-second demo" in texts(app)
    queue.rename(run, "Anna's pets")
    assert run.label().owner == owner(ANNA)
    assert "Anna's pets" in texts(open_page(frame.TRAIN, ANNA))
    for page in (frame.TRAIN, frame.HOME, frame.DATA, frame.SEGMENT):
        assert "Anna's pets" not in texts(open_page(page, BOB))
        assert run.id not in texts(open_page(page, BOB))


def test_the_address_of_a_run_shows_it_to_whoever_has_it_but_only_its_owner_changes_it(settings: Settings) -> None:
    for state in ("finished", "stopped", "queued"):
        run = run_of(settings, ANNA, f"Anna's {state}", state=state)
        if state == "queued":
            (settings.runs_dir / "queue.json").write_text(f'["{run.id}"]')
        owners, strangers = (open_page(frame.TRAIN, key, run=run.id) for key in (ANNA, BOB))
        assert f"Anna's {state}" in texts(strangers)
        assert CHANGES & labels(owners)
        assert not CHANGES & labels(strangers)
        assert not [entry for entry in strangers.text_input if entry.label == "Name"]
        assert not [entry for entry in strangers.toggle if entry.label == "Pin"]
        assert "another visitor's run" in texts(strangers)
        assert "another visitor's run" not in texts(owners)


def test_a_strangers_run_can_be_used_by_its_address(settings: Settings) -> None:
    run = run_of(settings, ANNA, "Anna's pets")
    assert run.id not in [choice.name for choice in models.model_choices(settings, linked=[])]
    assert run.id in [choice.name for choice in models.model_choices(settings, linked=[run.id])]
    app = open_page(frame.TRAIN, BOB, start_from=run.id)
    assert not [entry for entry in app.warning if "no model" in entry.value]
    assert app.selectbox(key="train-origin").value == run.id
    assert "Everything as in" in texts(open_page(frame.TRAIN, BOB, like=run.id))


def test_runs_of_the_command_line_are_listed_on_their_own_machine_only(settings: Settings) -> None:
    run = run_of(settings, "", "Night run")
    assert "Night run" in texts(open_page(frame.TRAIN, ANNA, local=True))
    assert "Train longer" in labels(open_page(frame.TRAIN, ANNA, local=True, run=run.id))
    assert "Night run" not in texts(open_page(frame.TRAIN, ANNA))
    assert "Train longer" not in labels(open_page(frame.TRAIN, ANNA, run=run.id))


def test_a_browser_on_the_same_machine_does_not_see_the_runs_of_visitors(settings: Settings) -> None:
    run_of(settings, ANNA, "Anna's pets")
    assert "Anna's pets" not in texts(open_page(frame.TRAIN, BOB, local=True))


def test_a_shared_server_keeps_one_list_for_all(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_SHARED", "true")
    run, other = run_of(settings, ANNA, "Anna's pets"), run_of(settings, "", "Night run")
    shown = texts(open_page(frame.TRAIN, BOB))
    assert run.label().name in shown
    assert other.label().name in shown
    assert "Train longer" in labels(open_page(frame.TRAIN, BOB, run=run.id))


def test_the_queue_says_how_many_runs_are_ahead_but_not_whose(settings: Settings) -> None:
    first, second, third = (
        run_of(settings, key, name, state="queued", done=0)
        for key, name in ((ANNA, "Anna's first"), (BOB, "Bob's first"), (BOB, "Bob's second"))
    )
    (settings.runs_dir / "queue.json").write_text(f'["{first.id}", "{second.id}", "{third.id}"]')
    settings = settings.replace(workers=1)
    app = open_page(frame.TRAIN, BOB, run=third.id)
    assert "Anna's first" not in texts(app)
    assert "3 runs queued" in texts(open_page(frame.HOME, BOB))
    button(app, "Move to the front").click().run()
    assert [run.id for run in queue.waiting(settings)] == [first.id, third.id, second.id]
    assert "Move to the front" not in labels(app)


def test_addresses_of_runs_cannot_be_guessed(settings: Settings) -> None:
    ids = {new_run_folder("pets", settings).name for _ in range(50)}
    assert len({run_id[-16:] for run_id in ids}) == 50
    assert all(re.fullmatch(r"\d{8}-\d{6}-pets-[0-9a-f]{16}", run_id) for run_id in ids)
    with pytest.raises(UNetError):
        queue.find_run("20260102-120000-pets", settings)


def test_the_training_of_another_visitor_is_counted_but_not_named(settings: Settings) -> None:
    run = run_of(settings, ANNA, "Anna's pets", state="running", done=2)
    with run.held():
        shown = texts(open_page(frame.HOME, BOB))
        assert "1 run of another visitor is training" in shown
        assert "Anna" not in shown
        assert "Anna's pets" in texts(open_page(frame.HOME, ANNA))


# --- datasets ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def dataset(settings: Settings) -> Path:
    """An uploaded dataset of Anna's, already read."""
    folder = uploads.store(example_archive(12, 48), "Secret dogs.zip", settings, owner=owner(ANNA))
    save_report(inspect_dataset(folder, settings=settings), folder)
    return folder


def test_a_dataset_is_offered_to_its_owner_only_also_after_a_reload(dataset: Path) -> None:
    for page in (frame.DATA, frame.TRAIN):
        assert dataset.name in texts(open_page(page, ANNA))
        assert "secret-dogs" not in texts(open_page(page, BOB))


def test_a_stranger_who_knows_the_name_of_a_dataset_cannot_change_or_delete_it(dataset: Path) -> None:
    strangers, owners = (open_own(key, dataset) for key in (BOB, ANNA))
    assert "Another visitor's upload" in texts(strangers)
    assert "Delete now" not in labels(strangers)
    assert not strangers.form_submit_button
    assert owners.form_submit_button
    button(owners, "Delete now").click().run()
    assert not owners.exception
    assert not dataset.exists()


def open_own(key: str, dataset: Path):
    """Open a dataset under Bring your own, when its report has been read."""
    app = open_page(frame.DATA, key, data=dataset.name, section="Bring your own")
    for _ in range(50):
        if "Start a short run" in labels(app):
            return app
        time.sleep(0.1)
        app.run()
    raise AssertionError("the report was not shown")


def test_neither_a_run_nor_its_copy_names_the_key_or_the_folder_of_its_dataset(
    settings: Settings, dataset: Path
) -> None:
    key = dataset.name[-32:]
    run = run_of(settings, ANNA, "Anna's dogs", data=str(dataset))
    run.log(f"reading {dataset}")
    run.write_status(replace(run.status(), state="failed", reason=f"{dataset} is damaged: {dataset.name}"))
    for query in ({"run": run.id}, {"like": run.id}, {"compare": run.id}):
        shown = texts(open_page(frame.TRAIN, BOB, **query))
        assert key not in shown
        assert str(settings.runs_dir.parent) not in shown
    shown = texts(open_page(frame.TRAIN, BOB, run=run.id))
    assert "secret-dogs is damaged: secret-dogs" in shown.replace("Secret-dogs", "secret-dogs")
    assert "secret-dogs" in texts(open_page(frame.TRAIN, ANNA))
    assert "secret-dogs" in downloads._headline(run, run.metrics.rows())
    assert key not in downloads._headline(run, run.metrics.rows())


def test_a_dataset_that_a_run_waits_for_is_not_deleted(settings: Settings, dataset: Path) -> None:
    app = open_own(ANNA, dataset)
    button(app, "Start a short run").click().run()
    (run,) = queue.all_runs(settings)
    assert run.label().owner == owner(ANNA)
    assert dataset.name[-32:] not in f"{run.id} {run.label().name}"
    button(app, "Delete now").click().run()
    assert dataset.exists()
    assert "A run on this dataset is training or waiting" in texts(app)
    queue.stop(run, settings)
    button(app.run(), "Delete now").click().run()
    assert not dataset.exists()
    with pytest.raises(UNetError, match="has been deleted: upload it again"):
        queue.resume(run, settings=settings)


def test_an_expired_dataset_is_announced_to_its_owner(settings: Settings, dataset: Path) -> None:
    write_record(dataset / uploads.RECORD, replace(uploads.upload_of(dataset), expires=1.0))
    assert "secret-dogs" not in texts(open_page(frame.DATA, BOB))
    app = open_page(frame.DATA, ANNA)
    assert not dataset.exists()
    assert "secret-dogs was deleted: this server keeps uploaded datasets for 7 days." in texts(app)
    assert "was deleted" not in texts(app.run())


# --- whether visitors may train ---------------------------------------------------------------------------------------


def test_training_can_be_turned_off_and_the_pages_say_so_and_stay_useful(
    settings: Settings, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = run_of(settings, ANNA, "Anna's pets", state="stopped")
    monkeypatch.setenv("UNET_TRAINING", "off")
    app = open_page(frame.TRAIN, ANNA)
    assert "Training is turned off on this server" in texts(app)
    assert button(app, "Start the 60-second demo").disabled
    assert "python -m unet_core train --config unet.json" in texts(app)
    assert "unet.json" in [entry.proto.label for entry in app.get("download_button")]
    assert "Anna's pets" in texts(app)  # runs are still watched
    watched = open_page(frame.TRAIN, ANNA, run=stopped.id)
    assert "Delete now" in labels(watched)
    assert not {"Resume", "Create the .keras file", "Prepare for Segment"} & labels(watched)
    own = open_page(frame.DATA, ANNA, data=dataset.name, section="Bring your own")
    assert not own.get("file_uploader")
    assert "Start a short run" not in labels(own)
    assert "Download" not in labels(open_page(frame.DATA, ANNA, data=sets.OXFORD))
    with pytest.raises(UNetError, match="turned off"):
        queue.submit(stopped.config(), settings=settings.replace(training="off"), owner=owner(ANNA))
    with pytest.raises(UNetError, match="turned off"):
        queue.resume(stopped, settings=settings.replace(training="off"))
    with pytest.raises(UNetError, match="turned off"):
        uploads.store(b"", "x.zip", settings.replace(training="off"), owner=owner(ANNA))


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(training, "_DOOR", training._Door())
    monkeypatch.setenv("UNET_TRAINING", "password")
    monkeypatch.setenv("UNET_TRAINING_PASSWORD", "correct horse")
    return "correct horse"


def unlock(app, password: str):
    app.text_input(key="training-password-train").set_value(password)
    return button(app, "Unlock").click().run()


def test_a_password_opens_training_for_its_visitor_also_after_a_reload(settings: Settings, password: str) -> None:
    app = open_page(frame.TRAIN, ANNA)
    assert button(app, "Start the 60-second demo").disabled
    assert training.WRONG in texts(unlock(app, "battery"))
    assert button(app, "Start the 60-second demo").disabled
    unlock(app, password)
    assert not button(app, "Start the 60-second demo").disabled
    assert not button(open_page(frame.TRAIN, ANNA), "Start the 60-second demo").disabled
    assert button(open_page(frame.TRAIN, BOB), "Start the 60-second demo").disabled
    assert password not in texts(app)
    assert password not in repr(settings.replace(training="password", training_password=password))


def test_wrong_passwords_are_limited_for_a_visitor_and_for_all(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    now = 1000.0
    monkeypatch.setattr(training.time, "monotonic", lambda: now)
    door = training._Door()
    for _ in range(training.MAX_TRIES):
        assert door.enter("anna", "guess", password) == training.WRONG
    assert door.enter("anna", password, password) == training.TOO_MANY
    assert door.enter("bob", password, password) == ""
    for number in range(training.MAX_TRIES_OF_ALL):
        door.enter(f"visitor {number}", "guess", password)
    assert door.enter("carl", password, password) == training.TOO_MANY
    assert door.is_unlocked("bob", password)
    assert not door.is_unlocked("bob", "another password")
    now += training.WINDOW + 1
    assert door.enter("anna", password, password) == ""


def test_a_password_must_be_set() -> None:
    with pytest.raises(UNetError, match="training_password: must be set"):
        Settings(training="password")


def test_a_visitor_has_a_limited_number_of_runs_of_limited_time(settings: Settings) -> None:
    app = open_page(frame.TRAIN, BOB)
    config = TRAINING_PRESETS["demo_60s"].config.replace(time_limit_minutes=None)
    limited = settings.replace(visitor_runs=2, visitor_run_minutes=30)
    first = queue.submit(config, settings=limited.replace(workers=0), owner=owner(ANNA))
    assert first.config().time_limit_minutes == 30
    queue.submit(config.replace(time_limit_minutes=5), settings=limited.replace(workers=0), owner=owner(ANNA))
    with pytest.raises(UNetError, match="You have 2 runs training or waiting"):
        queue.submit(config, settings=limited.replace(workers=0), owner=owner(ANNA))
    stopped = run_of(settings, ANNA, "Anna's pets", state="stopped", epochs=6, done=3)
    with pytest.raises(UNetError, match="You have 2 runs training or waiting"):
        queue.resume(stopped, settings=limited.replace(workers=0))
    assert [run.config().time_limit_minutes for run in queue.waiting(settings)] == [30, 5]
    button(app, "Start the 60-second demo").click().run()  # another visitor's runs do not count
    assert len(queue.waiting(settings)) == 3
    queue.submit(config, settings=limited.replace(workers=0))  # nor do those of the command line


def test_a_visitor_with_many_runs_does_not_push_out_those_of_others(settings: Settings) -> None:
    first = run_of(settings, ANNA, "Anna's pets", done=1)
    many = [run_of(settings, BOB, f"Bob's {number}", done=1) for number in range(3)]
    for age, run in enumerate([first, *many]):
        run.write_label(replace(run.label(), created=1.0 + age))
    assert queue.prune(settings.replace(keep_runs=2)) == [many[0].id, many[1].id]
    assert [run.id for run in queue.all_runs(settings)] == [many[2].id, first.id]
    assert queue.prune(settings.replace(keep_runs=1)) == [first.id]  # both have one: the older goes


def test_a_visitor_reads_why_no_further_run_starts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_VISITOR_RUNS", "1")
    for key, local in ((ANNA, False), (BOB, True)):
        button(open_page(frame.TRAIN, key, local=local), "Start the 60-second demo").click().run()
        app = open_page(frame.TRAIN, key, local=local)
        button(app, "Start the 60-second demo").click().run()
        assert ("as many as a visitor may have" in texts(app)) is not local
    assert len(queue.waiting(settings)) == 3


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", frame.PAGES, ids=lambda page: page.name)
def test_no_page_shows_a_stranger_a_path_of_the_server(settings: Settings, page: frame.Page) -> None:
    shown = texts(open_page(page, BOB))
    for folder in (settings.runs_dir.parent, ROOT, Path.home()):
        assert f"{folder}/" not in shown


def test_the_person_at_the_server_reads_its_paths(settings: Settings) -> None:
    folder = str(settings.datasets_dir.parent / "data")
    assert folder in texts(open_page(frame.DATA, ANNA, local=True, data=sets.OXFORD))
    assert folder not in texts(open_page(frame.DATA, ANNA, data=sets.OXFORD))
