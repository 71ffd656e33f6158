"""A visitor's job on a cluster: which folders it may use, where its results go, and what it leaves behind."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
from PIL import Image

from tests.helpers.dask_cluster import DaskProcesses
from tests.helpers.processes import wait_until
from tests.helpers.tiny_model import write_tiny_model
from unet_core.cli.parser import main
from unet_core.errors import ConfigError
from unet_core.images import samples
from unet_core.jobs import storage, storage_process
from unet_core.jobs.background_job import BackgroundJob, JobError, JobStatus
from unet_core.jobs.served import Message
from unet_core.segment import cluster_job
from unet_core.segment.cluster_job import Count, FolderError, Plan, count_photos, located, photo_folders
from unet_core.segment.inference import InferenceMode
from unet_core.settings import Settings

OWNER, OTHER = "a" * 64, "b" * 64
CLUSTER = {"cluster": "tcp://127.0.0.1:8786"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Photos in folders, beside a folder that nobody may reach, with links to it and names that mislead."""
    for folder in ("photos/cats/2024/05/raw", "photos/dogs", "photos/.hidden", "photos/bad\nname", "secret"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("photos/one.jpg", "photos/cats/a.jpg", "photos/cats/b.PNG", "photos/cats/notes.txt", "secret/x.jpg"):
        (tmp_path / name).write_bytes(samples.cat_png())
    (tmp_path / "photos" / "away").symlink_to(tmp_path / "secret")
    (tmp_path / "photos" / "cats" / "away.jpg").symlink_to(tmp_path / "secret" / "x.jpg")
    (tmp_path / "photos" / "dogs" / "loop").symlink_to(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def settings(root: Path, tmp_path: Path) -> Settings:
    return Settings(**CLUSTER, cluster_photos=str(root), cache_dir=tmp_path / "cache", weights_dir=tmp_path / "weights")


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"cluster_photos": "/mnt/photos"}, "cluster_photos: needs the scheduler's address in cluster"),
        ({"cluster_results": "/mnt/masks", **CLUSTER}, "cluster_results: needs the folder of the photos"),
        ({"cluster_photos": "photos", **CLUSTER}, "cluster_photos: must be the absolute path or URL"),
        ({"cluster_photos": "/", **CLUSTER}, "cluster_photos: must be the absolute path"),
        ({"cluster_photos": "/mnt/../etc", **CLUSTER}, "cluster_photos: must be the absolute path"),
        ({"cluster_photos": "s3://bucket", **CLUSTER}, "cluster_results: must be set, because"),
        ({"cluster_photos": "/mnt/p", "cluster_results": "masks", **CLUSTER}, "cluster_results: must be the absolute"),
        *(
            ({"cluster_photos": "/mnt/photos", "cluster_results": place, **CLUSTER}, "neither in it nor around it")
            for place in ("/mnt/photos", "/mnt//photos/", "/mnt/photos/masks", "/mnt")
        ),
        (
            {"cluster_photos": "s3://bucket/a", "cluster_results": "s3://bucket/a/masks", **CLUSTER},
            "neither in it nor around it",
        ),
    ],
)
def test_folders_that_cannot_be_meant_are_refused(values: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Settings(**values)


def test_results_go_beside_the_photos_unless_the_settings_say_where() -> None:
    assert Settings(cluster_photos="/mnt/photos/", **CLUSTER).cluster_results_folder == "/mnt/photos-results"
    assert Settings(cluster_photos="s3://bucket/a", **CLUSTER).cluster_results_folder == "s3://bucket/a-results"
    elsewhere = Settings(cluster_photos="/mnt/photos", cluster_results="/mnt/photos-masks", **CLUSTER)
    assert elsewhere.cluster_results_folder == "/mnt/photos-masks"


# --- folders ----------------------------------------------------------------------------------------------------------


def test_the_folders_are_offered_without_hidden_ones_links_and_misleading_names(settings: Settings) -> None:
    found = photo_folders(settings)
    assert found.names == ("", "cats", "cats/2024", "cats/2024/05", "dogs")
    assert not found.whole  # because of the name with a line break
    assert all(located(name, settings).startswith(settings.cluster_photos) for name in found.names)


def test_all_folders_are_offered_is_said_too(settings: Settings, root: Path) -> None:
    (root / "bad\nname").rmdir()
    assert photo_folders(settings).whole


def test_many_folders_are_cut_off_and_that_is_said(
    settings: Settings, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "bad\nname").rmdir()
    monkeypatch.setattr(cluster_job, "MOST_FOLDERS", 3)
    found = photo_folders(settings)
    assert len(found.names) == 3
    assert not found.whole
    monkeypatch.setattr(cluster_job, "MOST_FOLDERS", 500)
    monkeypatch.setattr(cluster_job, "MOST_ENTRIES", 2)
    assert not photo_folders(settings).whole


def test_photos_are_counted_up_to_a_limit_without_links(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_photos("cats", settings) == Count(2, whole=True)
    assert count_photos("", settings) == Count(1, whole=True)
    assert count_photos("dogs", settings) == Count(0, whole=True)
    monkeypatch.setattr(cluster_job, "MOST_COUNTED", 2)
    found = count_photos("cats", settings)
    assert found is not None
    assert not found.whole
    assert found.photos <= 2


@pytest.mark.parametrize(
    "name",
    [
        "..", "../secret", "cats/../../secret", "/etc", "cats/", "/", ".", "./cats", "cats//2024", ".hidden", "away",
        "dogs/loop", "dogs/loop/cats", "bad\nname", "cats\x00", "cats\\..", "nowhere", "cats/a.jpg", "c" * 300,
        "cats/2024/05/raw", "file:///etc", "~", "*",
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(name: str, settings: Settings) -> None:
    for use in (located, count_photos):
        with pytest.raises(FolderError) as caught:
            use(name, settings)
        assert str(settings.cluster_photos) not in str(caught.value)
    with pytest.raises(FolderError):
        cluster_job.start(Plan(name, "tiny", "mask"), OWNER, settings)
    assert not (settings.cache_dir / "cluster").exists()


def test_photos_that_cannot_be_read_are_a_sentence_without_a_path(settings: Settings) -> None:
    gone = settings.replace(cluster_photos="/nowhere/photos")
    with pytest.raises(FolderError, match="cannot be read now") as caught:
        photo_folders(gone)
    assert "/nowhere" not in str(caught.value)


def test_object_storage_offers_its_folders_and_counts_their_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    # The store is in this process' memory, which no child can see.
    here = SimpleNamespace(ask=lambda values, seconds: storage_process.answer(Message(values)))
    monkeypatch.setattr(storage_process, "_CHILD", here)
    store = fsspec.filesystem("memory")
    for path in ("/storage/cats/a.jpg", "/storage/cats/2024/b.jpg", "/storage/dogs/c.jpg", "/storage/d.jpg"):
        store.pipe_file(path, b"photo")
    settings = Settings(cluster_photos="memory://storage", cluster_results="memory://masks", **CLUSTER)
    assert photo_folders(settings) == cluster_job.Folders(("", "cats", "dogs"), whole=True)
    assert count_photos("cats", settings) == Count(1, whole=True)
    assert located("cats", settings) == "memory://storage/cats"
    for name in ("../masks", "cats/2024", "none"):
        with pytest.raises(FolderError):
            located(name, settings)

    def late(folder: str, most: int) -> storage.Listing:
        raise storage_process.TooManyError("It did not answer in time.")

    with monkeypatch.context() as patch:
        patch.setattr(storage_process, "look_into", late)
        assert count_photos("cats", settings) is None
        assert photo_folders(settings) == cluster_job.Folders(("",), whole=False)
    refused = settings.replace(cluster_photos="http://internal/photos")
    with pytest.raises(storage.StorageError, match="must be a path or start with"):
        photo_folders(refused)


# --- plans ------------------------------------------------------------------------------------------------------------


def test_every_choice_has_results_of_its_own() -> None:
    modes = (
        InferenceMode(),
        InferenceMode(flip=True),
        InferenceMode("tiles"),
        InferenceMode("tiles", 0.5),
        InferenceMode("tiles", 0.5, 0.4),
    )
    plans = [
        Plan.of(folder, model, ("mask",), engine, mode)
        for folder in ("", "cats")
        for model in ("pets", "pets_fast")
        for engine in ("auto", "keras")
        for mode in modes
    ]
    assert len({plan.results for plan in plans}) == len(plans)
    assert plans[0].results == "pets"
    assert Plan.of("cats", "pets", ("mask",), "onnx", modes[-1]).results == "cats/pets-tiles-0.5-40-onnx"


def test_a_plan_is_what_the_command_line_would_be_given() -> None:
    plan = Plan.of("cats", "pets", ("mask", "cutout"), "keras", InferenceMode("tiles", None, 0.4, flip=True))
    words = "--model pets --engine keras --files mask,cutout --way tiles --overlap 40 --scale auto --flip"
    assert plan.arguments == words.split()


# --- jobs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were started, each of which would run for ever."""
    commands = []

    def start(job: BackgroundJob, command: list[str], settings: Settings) -> bool:
        commands.append(command)
        running[job.folder] = JobStatus("running")
        return True

    running: dict[Path, JobStatus] = {}
    monkeypatch.setattr(BackgroundJob, "start", start)
    monkeypatch.setattr(BackgroundJob, "status", lambda job: running.get(job.folder, JobStatus()))
    return commands


def test_a_job_gets_the_folder_its_results_and_no_more(
    settings: Settings, root: Path, started: list[list[str]]
) -> None:
    plan = Plan("cats", "tiny", "mask")
    job = cluster_job.start(plan, OWNER, settings)
    (command,) = started
    assert command[:4] == ["-m", "unet_core", "predict", str(root / "cats")]
    assert command[4:6] == ["--out", str(root.parent / "photos-results" / "cats" / "tiny")]
    assert "--cluster" in command
    assert command[-2:] == ["--job", str(job.folder)]
    assert cluster_job.plan_of(job) == plan
    assert cluster_job.plan_of(cluster_job.job_of(OTHER, settings)) is None


def test_a_visitor_has_one_job_at_a_time_and_all_together_a_few(settings: Settings, started: list[list[str]]) -> None:
    cluster_job.start(Plan("cats", "tiny", "mask"), OWNER, settings)
    with pytest.raises(JobError, match="is still being segmented"):
        cluster_job.start(Plan("dogs", "tiny", "mask"), OWNER, settings)
    assert cluster_job.plan_of(cluster_job.job_of(OWNER, settings)) == Plan("cats", "tiny", "mask")
    for number in range(1, cluster_job.MOST_JOBS):
        cluster_job.start(Plan("cats", "tiny", "mask"), f"{number}" * 64, settings)
    with pytest.raises(JobError, match="folders of others are being segmented"):
        cluster_job.start(Plan("cats", "tiny", "mask"), OTHER, settings)
    assert len(started) == cluster_job.MOST_JOBS


def test_results_are_never_written_among_the_photos_by_a_link(
    settings: Settings, root: Path, started: list[list[str]]
) -> None:
    (root.parent / "photos-results").symlink_to(root)
    with pytest.raises(FolderError, match="among the photos"):
        cluster_job.start(Plan("cats", "tiny", "mask"), OWNER, settings)
    assert not started


@pytest.mark.parametrize("model", ["../run", "", "/etc/passwd"])
def test_a_model_is_a_name(model: str, settings: Settings, started: list[list[str]]) -> None:
    with pytest.raises(JobError, match="is not the name of a model"):
        cluster_job.start(Plan("cats", model, "mask"), OWNER, settings)
    assert not started


def test_two_jobs_never_write_the_same_results_at_once(tmp_path: Path) -> None:
    with cluster_job.working(tmp_path / "one", "/masks"):
        with pytest.raises(JobError, match="for somebody else"), cluster_job.working(tmp_path / "two", "/masks"):
            raise AssertionError
        with cluster_job.working(tmp_path / "three", "/others"):
            pass
    with cluster_job.working(tmp_path / "two", "/masks"):
        pass


# --- with a scheduler and a worker ------------------------------------------------------------------------------------

PHOTOS = 40


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskProcesses]:
    with DaskProcesses(tmp_path, environment={"UNET_THREADS": "1"}) as processes:
        yield processes


@pytest.fixture
def on_cluster(settings: Settings, root: Path, dask: DaskProcesses) -> Settings:
    """Settings with a scheduler that runs, and photos in `cats/2024`, one of them damaged."""
    write_tiny_model(settings.weights_dir)
    cat = np.asarray(Image.open(io.BytesIO(samples.cat_png())).convert("RGB"), np.uint8)
    for number in range(PHOTOS):
        Image.fromarray(np.roll(cat, number, axis=1)).save(root / "cats" / "2024" / f"{number:03}.jpg")
    (root / "cats" / "2024" / "007.jpg").write_bytes(b"damaged")
    (root / "cats" / "2024" / "away.jpg").symlink_to(root.parent / "secret" / "x.jpg")
    return settings.replace(cluster=dask.address)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# A worker that needs a while for a photo, so that a job can be stopped on the way.
SLOW_WORKER = """
import time
from unet_core.segment import batch

def dask_setup(worker, segment_photo=batch.segment_photo):
    def slow(*arguments):
        time.sleep(0.2)
        return segment_photo(*arguments)

    batch.segment_photo = slow
"""


@pytest.mark.slow
def test_a_stopped_job_is_continued_and_its_files_equal_those_of_the_command_line(
    on_cluster: Settings, dask: DaskProcesses, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan("cats/2024", "tiny", "mask,overlay,alpha")
    results = root.parent / "photos-results" / "cats" / "2024" / "tiny"
    job = cluster_job.start(plan, OWNER, on_cluster)
    wait_until(lambda: job.status().phase == cluster_job.WAITING or job.status().state != "running", "the phase")
    assert job.status().state == "running", job.status().reason
    assert (job.status().done, job.status().total) == (0, PHOTOS)

    (tmp_path / "slow.py").write_text(SLOW_WORKER)
    slow = "--preload", str(tmp_path / "slow.py")
    dask.start_worker(*slow)
    wait_until(lambda: job.status().done > 0 or job.status().state != "running", "photos")
    dask.workers[0].kill()
    wait_until(lambda: job.status().phase == cluster_job.WAITING or job.status().state != "running", "the loss")
    before = job.status().done
    dask.start_worker(*slow)
    wait_until(lambda: job.status().done > before or job.status().state != "running", "photos")
    assert (job.status().state, job.status().phase) == ("running", cluster_job.SEGMENTING)
    assert job.cancel()
    wait_until(lambda: job.status().state != "running", "the end")
    stopped = job.status()
    assert stopped.state == "cancelled"
    assert 0 < stopped.done < PHOTOS
    assert cluster_job.ending_of(job) is None

    cluster_job.start(plan, OWNER, on_cluster)
    wait_until(lambda: job.status().state != "running", "the end")
    assert (job.status().state, job.status().reason) == ("finished", ""), job.log.read_text()
    ending = cluster_job.ending_of(job)
    assert ending is not None
    assert (ending.photos, ending.failed, ending.links) == (PHOTOS, 1, 1)
    assert 0 < ending.earlier < PHOTOS
    assert ending.problems.startswith("007.jpg is not a photo")

    for name in ("WEIGHTS_DIR", "CACHE_DIR"):
        monkeypatch.setenv(f"UNET_{name}", str(getattr(on_cluster, name.lower())))
    (root / "cats" / "2024" / "away.jpg").unlink()
    main(["predict", str(root / "cats" / "2024"), "--out", str(tmp_path / "local"), "--model", "tiny"])
    local = files_in(tmp_path / "local")
    assert len(local) == 3 * (PHOTOS - 1)
    assert files_in(results) == local


@pytest.mark.slow
def test_a_scheduler_that_is_away_is_a_reason(on_cluster: Settings, dask: DaskProcesses) -> None:
    dask.scheduler.kill()
    dask.scheduler.wait()
    job = cluster_job.start(Plan("cats", "tiny", "mask"), OWNER, on_cluster)
    wait_until(lambda: job.status().state != "running", "the end")
    assert job.status().state == "failed"
    assert "did not answer" in job.status().reason
    assert cluster_job.ending_of(job) is None
