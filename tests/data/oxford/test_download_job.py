"""The download: from a small server on this machine, resumed, cancelled, watched, and built by TFDS' own builder."""

from __future__ import annotations

import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import miniature_pets
from unet_core.cli.parser import main
from unet_core.data.oxford import download_job, oxford_pets
from unet_core.data.oxford.download_job import Archive, cancel_download, download_status, fetch, start_download
from unet_core.data.oxford.oxford_pets import DownloadFailed
from unet_core.jobs import background_job, process
from unet_core.settings import Settings

PHOTOS = len(miniature_pets.TRAIN) + len(miniature_pets.TEST)


class Server(http.server.ThreadingHTTPServer):
    """Serves files of one folder, with ranges; can cut connections, ignore ranges, be slow, and fail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.ranges: list[str | None] = []
        self.cut_after: list[int] = []  # bytes, for each of the next responses
        self.ignores_ranges = False
        self.status = 0
        self.pause = 0.0  # seconds after every 4 kB

    def archive(self, name: str) -> Archive:
        content = (self.folder / name).read_bytes()
        url = f"http://127.0.0.1:{self.server_address[1]}/{name}"
        return Archive(url, name, len(content), hashlib.sha256(content).hexdigest())


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.server.status:
            self.send_error(self.server.status)
            return
        content = (self.server.folder / self.path.strip("/")).read_bytes()
        start = 0 if not wanted or self.server.ignores_ranges else int(wanted[len("bytes=") : -1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + self.server.cut_after.pop(0) if self.server.cut_after else len(content)
        try:
            for at in range(start, min(end, len(content)), 4096):
                self.wfile.write(content[at : min(at + 4096, end)])
                time.sleep(self.server.pause)
        except OSError:
            return

    def log_message(self, *_args: object) -> None:
        return


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the two archives of a miniature dataset, packed as the original's."""
    folder = tmp_path_factory.mktemp("archives")
    miniature_pets.prepare(folder / "made")
    for name in ("images", "annotations"):
        with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as packed:
            packed.add(folder / "made" / "archive" / name, name)
    return folder


@pytest.fixture
def server(archives: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    running = Server(archives)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(download_job, "_BLOCK", 1000)
    monkeypatch.setattr(download_job, "_pause", lambda seconds, listen: listen())
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def known(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[Archive]:
    """Make TFDS's builder know the miniature archives instead of the real ones."""
    import tensorflow_datasets as tfds

    wanted = [server.archive("images.tar.gz"), server.archive("annotations.tar.gz")]
    _teach(tfds, wanted, monkeypatch.setattr)
    return wanted


def _teach(tfds: object, wanted: list[Archive], replace: Callable[..., object]) -> None:
    infos = {
        f"https://thor.robots.ox.ac.uk/~vgg/data/pets/{archive.name}": tfds.download.checksums.UrlInfo(
            size=archive.bytes, checksum=archive.sha256, filename=archive.name
        )
        for archive in wanted
    }
    replace(tfds.builder_cls(oxford_pets.NAME), "url_infos", infos)
    replace(download_job, "known_archives", lambda: wanted)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "tfds", cache_dir=tmp_path / "cache")


def _wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


# --- one file ---------------------------------------------------------------------------------------------------------


def test_a_file_is_fetched_with_its_checksum_and_not_twice(server: Server, tmp_path: Path) -> None:
    told: list[int] = []
    archive = server.archive("images.tar.gz")
    path = fetch(archive, tmp_path, told.append)
    assert path.read_bytes() == (server.folder / "images.tar.gz").read_bytes()
    assert told == sorted(told)
    assert told[-1] == archive.bytes
    fetch(archive, tmp_path, told.append)
    assert server.ranges == [None]


def test_a_file_goes_on_where_the_connection_broke(server: Server, tmp_path: Path) -> None:
    server.cut_after = [10_000, 5_000]
    archive = server.archive("images.tar.gz")
    path = fetch(archive, tmp_path, lambda done: None)
    assert path.read_bytes() == (server.folder / "images.tar.gz").read_bytes()
    assert server.ranges == [None, "bytes=10000-", "bytes=15000-"]


def test_a_file_starts_from_the_beginning_where_the_server_knows_no_ranges(server: Server, tmp_path: Path) -> None:
    server.cut_after = [10_000]
    server.ignores_ranges = True
    archive = server.archive("images.tar.gz")
    assert fetch(archive, tmp_path, lambda done: None).stat().st_size == archive.bytes
    assert server.ranges == [None, "bytes=10000-"]


def test_a_wrong_file_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    right = server.archive("images.tar.gz")
    for wrong in (Archive(right.url, right.name, right.bytes, "0" * 64), Archive(right.url, right.name, 9, "0" * 64)):
        with pytest.raises(DownloadFailed, match="checksum differs"):
            fetch(wrong, tmp_path, lambda done: None)
        assert not list(tmp_path.iterdir())


def test_a_server_that_refuses_or_is_gone_gives_a_sentence(server, known, settings, monkeypatch) -> None:
    server.status = 404
    with pytest.raises(DownloadFailed, match=r"answers with 404 Not Found for annotations\.tar\.gz"):
        download_job.download(settings.data_dir)
    gone = [Archive("http://127.0.0.1:9/x", "x.tar.gz", 10, "0")]
    monkeypatch.setattr(download_job, "known_archives", lambda: gone)
    with pytest.raises(DownloadFailed, match="cannot be reached: check the network"):
        download_job.download(settings.data_dir)
    found = download_status(settings)
    assert found.state == "failed"
    assert "cannot be reached" in found.reason


# --- the whole download -----------------------------------------------------------------------------------------------


def test_the_dataset_is_fetched_built_by_tfds_and_cleaned_up_after(server, known, settings) -> None:
    phases: list[tuple[str, int, int]] = []
    said: list[str] = []
    download_job.download(settings.data_dir, said.append, lambda *report: phases.append(report))
    found = oxford_pets.status(settings.data_dir)
    assert found.present
    assert sum(found.splits.values()) == PHOTOS
    total = sum(archive.bytes for archive in known)
    assert list(dict.fromkeys(phase for phase, _, _ in phases)) == ["starting", "download", "unpack", "prepare"]
    assert ("download", total, total) in phases
    assert max(done for phase, done, _ in phases if phase == "prepare") == PHOTOS
    assert "checksum correct" in " ".join(said)
    assert download_status(settings).state == "ready"
    assert not list(settings.data_dir.rglob("*.tar.gz*"))
    assert len(list(oxford_pets.OxfordPets(settings.data_dir).examples("test"))) == len(miniature_pets.TEST)
    before = len(server.ranges)
    assert download_job.download(settings.data_dir, said.append).present
    assert start_download(settings).state == "ready"
    assert len(server.ranges) == before


def test_what_an_earlier_attempt_fetched_is_kept_and_used(server, known, settings) -> None:
    server.cut_after = [10**9, 20_000] + [0] * download_job._ATTEMPTS
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        download_job.download(settings.data_dir)
    found = download_status(settings)
    assert found.state == "failed"
    assert found.kept == min(archive.bytes for archive in known) + 20_000
    server.ranges.clear()
    download_job.download(settings.data_dir)
    assert server.ranges == ["bytes=20000-"]
    assert download_status(settings).state == "ready"


def test_a_disk_without_room_is_noticed_before_anything_is_fetched(server, known, settings, monkeypatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(download_job.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DownloadFailed, match="GB free, and the download needs"):
        download_job.download(settings.data_dir)
    assert "free some space" in download_status(settings).reason
    assert not server.ranges


def test_a_disk_that_fills_up_and_a_folder_that_may_not_be_written(server, known, settings, monkeypatch) -> None:
    import errno

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(download_job, "_fetch_rest", full)
        with pytest.raises(DownloadFailed, match="is full: free about"):
            download_job.download(settings.data_dir)
    in_the_way = settings.data_dir.parent / "file"
    in_the_way.write_text("")
    found = start_download(settings.replace(data_dir=in_the_way))
    assert found.state == "failed"
    assert "The data folder cannot be used" in found.reason

    def forbidden(*_args: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(DownloadFailed, match="No permission to write to"):
        download_job.download(settings.data_dir)


def test_the_command_downloads_and_its_errors_are_one_line(server, known, settings, capsys) -> None:
    import json

    assert main(["download", "--dir", str(settings.data_dir), "--json"]) == 0
    assert sum(json.loads(capsys.readouterr().out)["splits"].values()) == PHOTOS
    server.status = 500
    assert main(["download", "--dir", str(settings.data_dir / "other")]) == 1
    assert "error: The dataset's server answers with 500" in capsys.readouterr().err.splitlines()[-1]


# --- in a process of its own ------------------------------------------------------------------------------------------

_DRIVER = """
import sys
from unet_core.data.oxford import download_job
from unet_core.data.oxford.download_job import Archive
download_job.known_archives = lambda: {archives!r}
download_job._BLOCK = 1000
try:
    download_job.download({data_dir!r})
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def driver(server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Let `start_download` start a process that fetches from the test's server, slowly."""
    wanted = [server.archive("images.tar.gz"), server.archive("annotations.tar.gz")]
    script = _DRIVER.format(archives=wanted, data_dir=str(settings.data_dir))
    monkeypatch.setattr(download_job, "_command", lambda data_dir: ["-c", script])
    server.pause = 0.6
    return server


@pytest.mark.slow
def test_a_started_download_is_watched_cancelled_and_goes_on(driver: Server, settings: Settings) -> None:
    assert download_status(settings).state == "missing"
    assert not cancel_download(settings)
    found = start_download(settings)
    assert (found.state, found.phase) == ("running", "starting")
    assert start_download(settings).state == "running"
    _wait(lambda: download_status(settings).done > driver.archive("annotations.tar.gz").bytes)
    found = download_status(settings)
    assert found.phase == "download"
    assert 0 < found.done < found.total
    assert 0 < found.fraction < 1
    earlier = download_job._job(settings.data_dir).status().heartbeat
    _wait(lambda: download_job._job(settings.data_dir).status().heartbeat > earlier)
    assert cancel_download(settings)
    _wait(lambda: download_status(settings).state != "running", 15)
    found = download_status(settings)
    assert (found.state, found.reason) == ("cancelled", "")
    assert found.kept > 0
    requests = len(driver.ranges)
    start_download(settings)
    _wait(lambda: len(driver.ranges) > requests)
    first = driver.archive("annotations.tar.gz").bytes
    assert driver.ranges[-1] == f"bytes={found.kept - first}-"
    cancel_download(settings)
    _wait(lambda: download_status(settings).state == "cancelled", 15)


def test_a_killed_download_is_told_as_failed(driver: Server, settings: Settings) -> None:
    start_download(settings)
    _wait(lambda: download_status(settings).done > 0)
    os.kill(download_job._job(settings.data_dir).status().pid, signal.SIGKILL)
    _wait(lambda: download_status(settings).state == "failed")
    found = download_status(settings)
    assert "ended unexpectedly" in found.reason
    assert found.kept > 0


@pytest.mark.slow
def test_only_one_process_downloads(driver: Server, settings: Settings) -> None:
    start_download(settings)
    _wait(lambda: download_status(settings).done > 0)
    with pytest.raises(ValueError, match="Another process is doing this"):
        download_job.download(settings.data_dir)
    cancel_download(settings)
    _wait(lambda: download_status(settings).state == "cancelled", 15)


@pytest.mark.slow
def test_work_that_hears_nothing_is_interrupted(tmp_path: Path, settings: Settings) -> None:
    job = background_job.BackgroundJob(tmp_path, "deaf")
    script = (
        "import time; from pathlib import Path; from unet_core.jobs import background_job as b\n"
        "b._INTERRUPT_SECONDS = 0.1\n"
        f"with b.BackgroundJob(Path({str(tmp_path)!r}), 'deaf').running() as report:\n"
        "    report('sleep', 0, 0)\n    time.sleep(60)\n"
    )
    job.start(["-c", script], settings)
    _wait(lambda: job.status().phase == "sleep")
    job.cancel()
    _wait(lambda: job.status().state == "cancelled", 15)


def test_the_real_command_starts_in_its_own_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    command = download_job._command(settings.data_dir)
    assert command == ["-m", "unet_core", "download", "--dir", str(settings.data_dir)]
    environment = process.settings_environment(settings)
    assert environment["UNET_DATA_DIR"] == str(settings.data_dir)
    code = "from unet_core.settings import get_settings; print(get_settings().to_json())"
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert Settings.from_json(result.stdout) == settings


def test_the_rate_and_the_time_left_follow_from_the_phase() -> None:
    status = background_job.JobStatus(
        "running", "download", done=300, total=900, heartbeat=110.0, phase_started=100.0, phase_first=100
    )
    assert status.rate == 20
    found = download_job.DownloadStatus("running", "download", 300, 900, status.rate)
    assert found.seconds_left == 30
    assert found.fraction == pytest.approx(1 / 3)
    assert download_job.DownloadStatus("running", "unpack").fraction is None


def test_tfds_knows_the_archives_and_their_checksums() -> None:
    found = {archive.name: archive for archive in download_job.known_archives()}
    assert set(found) == {"images.tar.gz", "annotations.tar.gz"}
    assert found["images.tar.gz"].bytes == 791_918_971
    assert all(len(archive.sha256) == 64 and archive.url.startswith("https://") for archive in found.values())


def test_a_read_only_look_changes_nothing(tmp_path: Path) -> None:
    download_status(Settings(data_dir=tmp_path / "none"))
    assert not list(tmp_path.iterdir())
