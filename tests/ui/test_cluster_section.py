"""The Segment page's section for photos on a cluster: who sees it, what it starts, how it goes and how it ends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers.processes import wait_until
from tests.helpers.tiny_model import write_tiny_model
from tests.helpers.visitors import ANNA, BOB, button, labels, open_page, owner, texts
from tests.ui.test_app import upload
from ui.segment import cluster
from ui.shared import frame
from unet_core.images import samples
from unet_core.jobs.background_job import BackgroundJob, JobStatus
from unet_core.jobs.tables import write_record
from unet_core.segment import cluster_job
from unet_core.segment.cluster_job import Ending, Plan
from unet_core.settings import ROOT, Settings, get_settings

TITLE, START = "A folder on the cluster", "Start on the cluster"
ADDRESS = "tcp://10.9.8.7:8786"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a cluster, and two folders of photos that it shares."""
    for name, count in (("cats", 2), ("dogs (old)/2024", 1)):
        (tmp_path / "my photos" / name).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "my photos" / name / f"{number}.png").write_bytes(samples.cat_png())
    (tmp_path / "my photos" / "away").symlink_to(tmp_path)
    folders = {"WEIGHTS_DIR": write_tiny_model(tmp_path / "weights"), "DATA_DIR": tmp_path, "CACHE_DIR": tmp_path}
    folders |= {"RUNS_DIR": tmp_path / "runs", "CLUSTER_PHOTOS": tmp_path / "my photos"}
    for name, value in {**folders, "CLUSTER": ADDRESS}.items():
        monkeypatch.setenv(f"UNET_{name}", str(value))
    monkeypatch.chdir(ROOT)
    return get_settings()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that the page has started instead of processes."""
    commands: list[list[str]] = []
    monkeypatch.setattr(BackgroundJob, "start", lambda job, command, settings: commands.append(command) or True)
    return commands


def opened(key: str = ANNA) -> AppTest:
    """Open the page with its section."""
    app = open_page(frame.SEGMENT, key)
    app.session_state[cluster.PANEL] = True
    app.run()
    assert not app.exception
    return app


def sections(app: AppTest) -> list[str]:
    return [entry.label for entry in app.get("expander") if entry.label == TITLE]


def folder_box(app: AppTest):
    return next(box for box in app.selectbox if box.label == "Folder")


def said(app: AppTest) -> str:
    """Return all that the page says, boxes of success included, and check that nothing of the server is in it."""
    found = "\n".join([texts(app), *(entry.value.replace("\\", "") for entry in app.success)])
    assert "10.9.8.7" not in found
    assert "/my photos" not in found
    assert "pytest-of" not in found
    return found


# --- who sees it ------------------------------------------------------------------------------------------------------


def test_without_the_setting_there_is_no_section(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNET_CLUSTER_PHOTOS")
    for app in (open_page(frame.SEGMENT, ANNA), upload(open_page(frame.SEGMENT, ANNA), ("cat.png", samples.cat_png()))):
        assert sections(app) == []
        assert START not in labels(app)


def test_a_closed_section_looks_at_no_folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_job, "photo_folders", lambda settings: pytest.fail("it was read"))
    app = open_page(frame.SEGMENT, ANNA)
    assert sections(app) == [TITLE]
    assert not app.selectbox


def test_the_folders_are_listed_by_names_and_their_photos_counted(settings: Settings) -> None:
    app = opened()
    assert folder_box(app).options == ["The shared folder itself", "cats", "dogs (old)", "dogs (old)/2024"]
    assert "No photos in this folder." in said(app)
    assert button(app, START).disabled
    folder_box(app).set_value("cats").run()
    assert "2 photos in this folder." in said(app)
    assert not button(app, START).disabled
    folder_box(app).set_value("dogs (old)/2024").run()
    assert "1 photo in this folder." in said(app)
    assert "The files go to **dogs (old)/2024/tiny**" in said(app)


def test_new_folders_are_found_when_asked_for(settings: Settings) -> None:
    app = opened()
    Path(settings.cluster_photos, "new").mkdir()
    assert "new" not in folder_box(app.run()).options
    assert "new" in folder_box(button(app, "Look again").click().run()).options


def test_photos_that_cannot_be_read_are_a_sentence(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_CLUSTER_PHOTOS", "/nowhere/photos")
    app = opened()
    assert "cannot be read now" in said(app)
    monkeypatch.setenv("UNET_CLUSTER_PHOTOS", "http://10.9.8.7/photos")
    assert "must be a path or start with" in said(opened())


@pytest.mark.parametrize("training", ["off", "password"])
def test_it_is_closed_where_training_is(settings: Settings, monkeypatch: pytest.MonkeyPatch, training: str) -> None:
    monkeypatch.setenv("UNET_TRAINING", training)
    monkeypatch.setenv("UNET_TRAINING_PASSWORD", "secret")
    app = opened()
    assert START not in labels(app)
    assert ("Training is turned off" if training == "off" else "needs this server's password") in said(app)


# --- starting ---------------------------------------------------------------------------------------------------------


def test_what_was_chosen_is_started(settings: Settings, started: list[list[str]]) -> None:
    app = opened()
    folder_box(app).set_value("cats").run()
    app.pills(key=cluster.FILES).set_value(["cut-outs", "overlays"]).run()
    app.segmented_control(key="way").set_value("tiles").run()
    button(app, START).click().run()
    assert not app.exception
    (command,) = started
    plan = Plan("cats", "tiny", "cutout,overlay", way="tiles")
    assert command[3:] == [
        *(str(Path(settings.cluster_photos) / "cats"), "--out", f"{settings.cluster_results_folder}/{plan.results}"),
        *("--cluster", *plan.arguments, "--job", str(cluster_job.job_of(owner(ANNA), settings).folder)),
    ]


def test_with_photos_the_model_and_mode_above_are_used(settings: Settings, started: list[list[str]]) -> None:
    app = upload(open_page(frame.SEGMENT, ANNA, way="tiles"), ("cat.png", samples.cat_png()))
    app.session_state[cluster.PANEL] = True
    app.run()
    assert "With the model and inference mode chosen above: Tiny, for tests · tiles." in said(app)
    folder_box(app).set_value("cats").run()
    button(app, START).click().run()
    assert not app.exception
    assert "--way tiles" in " ".join(started[0])


def test_without_kinds_of_files_nothing_starts(settings: Settings) -> None:
    app = opened()
    folder_box(app).set_value("cats").run()
    app.pills(key=cluster.FILES).set_value([]).run()
    assert button(app, START).disabled


def test_a_folder_that_was_deleted_meanwhile_is_refused(settings: Settings, started: list[list[str]]) -> None:
    app = opened()
    folder_box(app).set_value("dogs (old)/2024").run()
    Path(settings.cluster_photos, "dogs (old)/2024/0.png").unlink()
    Path(settings.cluster_photos, "dogs (old)/2024").rmdir()
    button(app, START).click().run()
    assert "is not there any more" in said(app)
    assert not started


# --- while it runs ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_its_owner_sees_how_a_job_goes_and_stops_it(settings: Settings) -> None:
    job = cluster_job.job_of(owner(ANNA), settings)
    job.folder.mkdir(parents=True)
    write_record(job.folder / "plan.json", Plan("cats", "tiny", "mask,alpha"))
    with pytest.raises(KeyboardInterrupt):
        watch_and_stop(job)
    assert job.status().state == "cancelled"
    app = opened()
    assert "Stopped at 1\u202f200 of 50\u202f000 photos." in said(app)
    assert {"Continue", START} <= labels(app)
    assert "Continue" not in labels(opened(BOB))


def watch_and_stop(job: BackgroundJob) -> None:
    with job.running() as report:
        report(cluster_job.SEGMENTING, 1_200, 50_000)
        wait_until(lambda: job.status().done == 1_200, "the status")
        app = open_page(frame.SEGMENT, ANNA)  # opened by itself
        assert "Segmenting: 1\u202f200 of 50\u202f000 photos" in said(app)
        assert "**cats** · Tiny, for tests · outlines, masks in codes" in said(app)
        assert START not in labels(app)
        assert "Stop" not in labels(opened(BOB))
        assert "1\u202f200" not in said(opened(BOB))
        button(app, "Stop").click().run()
        assert "Stopping" in said(app)
        wait_until(lambda: report(cluster_job.SEGMENTING, 1_200, 50_000), "the interruption")


def test_progress_has_a_rate_and_the_time_left_once_they_are_known() -> None:
    status = JobStatus(
        "running", cluster_job.SEGMENTING, 1_100, 2_000, heartbeat=110, phase_started=100, phase_first=100
    )
    assert cluster.progress(status) == "Segmenting: 1\u202f100 of 2\u202f000 photos, 100 a second, about 9\u202fs left"
    assert "left" not in cluster.progress(JobStatus("running", cluster_job.SEGMENTING, 0, 9))
    assert "no worker now" in cluster.progress(JobStatus("running", cluster_job.WAITING, 0, 9))


# --- after it has ended -----------------------------------------------------------------------------------------------


def ended(settings: Settings, status: JobStatus, ending: Ending | None = None) -> None:
    job = cluster_job.job_of(owner(ANNA), settings)
    job.folder.mkdir(parents=True)
    write_record(job.folder / "plan.json", Plan("dogs (old)/2024", "tiny", "mask"))
    write_record(job.folder / "predict.status.json", status)
    if ending:
        write_record(job.folder / "ending.json", ending)


def test_the_end_says_what_was_done_what_failed_and_where_the_files_are(
    settings: Settings, started: list[list[str]]
) -> None:
    problems = f"a.jpg: {settings.cluster_photos}/a.jpg is no photo\n[b](http://evil.example/x).jpg: is damaged"
    ended(settings, JobStatus("finished"), Ending(1_000, 900, 30, 1, problems))
    app = opened()
    found = said(app)
    assert "970 photos segmented, 900 of them before." in found
    assert "The files are in **dogs (old)/2024/tiny**, in the folder for results. 1 photo left out" in found
    assert "30 photos could not be segmented." in found
    assert "- a.jpg: a.jpg is no photo" in found
    assert "evil.example" not in found
    button(app, "Try the failed ones again").click().run()
    assert len(started) == 1


@pytest.mark.parametrize(("hours", "is_shown"), [(1, True), (30, False)])
def test_a_visitor_who_comes_back_is_shown_an_end_that_is_news(settings: Settings, hours: int, is_shown: bool) -> None:
    ended(settings, JobStatus("finished", heartbeat=time.time() - hours * 3600), Ending(2))
    app = open_page(frame.SEGMENT, ANNA)
    assert ("2 photos segmented." in said(app)) is is_shown


def test_a_job_that_failed_says_why_without_addresses(settings: Settings) -> None:
    ended(settings, JobStatus("failed", reason=f"The scheduler at {ADDRESS} did not answer in 10 seconds."))
    app = opened()
    assert "The scheduler at [address] did not answer" in said(app)
    assert "Try again" in labels(app)


def test_what_all_share_is_one_job(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_SHARED", "true")
    job = cluster_job.job_of("shared", settings)
    job.folder.mkdir(parents=True)
    write_record(job.folder / "plan.json", Plan("cats", "tiny", "mask"))
    write_record(job.folder / "predict.status.json", JobStatus("cancelled"))
    assert all("Continue" in labels(opened(key)) for key in (ANNA, BOB))
