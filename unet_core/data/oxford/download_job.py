"""The download of the Oxford-IIIT Pet dataset in a separate process: with progress, and resumable.

The archives are downloaded here, because TFDS would restart an 800 MB file after every interruption; TFDS then checks
and unpacks them and builds the dataset. Functions for pages import neither TensorFlow nor Keras.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unet_core.data.oxford import oxford_pets
from unet_core.data.oxford.oxford_pets import DatasetStatus, DownloadFailed
from unet_core.jobs.background_job import STARTING, BackgroundJob, JobError, Report
from unet_core.settings import Settings, get_settings

State = Literal["missing", "running", "ready", "failed", "cancelled"]

FETCH, UNPACK, PREPARE = "download", "unpack", "prepare"
PHOTOS = 7_349  # in the archives' lists

# In the process: archives, their unpacked files, TFDS's temporary files for a split, and the finished dataset.
_SPACE_FACTOR = 3.6
_ATTEMPTS = 6  # consecutive connections without data
_CONNECT_SECONDS, _SILENCE_SECONDS = 15, 30
_BLOCK = 16 * 1024  # at most lost with a broken connection
_ABANDONED_SECONDS = 600  # since the last write to a half-prepared dataset


@dataclass(frozen=True)
class DownloadStatus:
    """The progress of the download.

    Attributes:
        state: "missing" (never started), "running", "ready", "failed" or "cancelled".
        phase: while running, "starting", "download" (in bytes), "unpack" (not counted) or "prepare" (in photos).
        done, total: in the phase's unit; a total of 0 means unknown.
        rate: per second, in the phase's unit; 0 at first.
        kept: bytes of the archives already downloaded, from which a new start resumes.
        seconds: how long it has run.
        reason: why it failed and how to fix it, in a sentence.
    """

    state: State
    phase: str = ""
    done: int = 0
    total: int = 0
    rate: float = 0.0
    kept: int = 0
    seconds: float = 0.0
    reason: str = ""

    @property
    def fraction(self) -> float | None:
        """Completed share of the phase, 0…1; None if unknown."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def seconds_left(self) -> float | None:
        """Remaining time of the phase at the current rate; None if unknown."""
        return (self.total - self.done) / self.rate if self.total and self.rate > 0 else None


@dataclass(frozen=True)
class Archive:
    """One file of the dataset on its server, as TFDS knows it."""

    url: str
    name: str
    bytes: int
    sha256: str


# --- for pages --------------------------------------------------------------------------------------------------------


def download_status(settings: Settings | None = None) -> DownloadStatus:
    """Return whether the dataset is installed, and the progress of its download; never raises."""
    settings = settings or get_settings()
    job = _job(settings.data_dir)
    found = job.status()
    if found.state == "running":
        phase = found.phase or STARTING
        return DownloadStatus(
            "running", phase, found.done, found.total, found.rate, _kept(settings.data_dir), found.seconds
        )
    if oxford_pets.status(settings.data_dir).present:
        return DownloadStatus("ready")
    states: dict[str, State] = {"failed": "failed", "cancelled": "cancelled"}
    state = states.get(found.state, "missing")
    kept = _kept(settings.data_dir)
    return DownloadStatus(state, found.phase, found.done, found.total, 0.0, kept, found.seconds, found.reason)


def start_download(settings: Settings | None = None) -> DownloadStatus:
    """Start or resume the download in its own process, unless it is running or the dataset is installed."""
    settings = settings or get_settings()
    found = download_status(settings)
    if found.state in ("running", "ready"):
        return found
    try:
        _job(settings.data_dir).start(_command(settings.data_dir), settings)
    except JobError as error:
        return DownloadStatus("failed", reason=f"The data folder cannot be used: {error}")
    return download_status(settings)


def cancel_download(settings: Settings | None = None) -> bool:
    """Stop the download and keep what has been downloaded; False if none is running."""
    return _job((settings or get_settings()).data_dir).cancel()


def _command(data_dir: Path) -> list[str]:
    return ["-m", "unet_core", "download", "--dir", str(data_dir.expanduser().absolute())]


def _folder(data_dir: str | Path) -> Path:
    return Path(data_dir).expanduser() / f"{oxford_pets.NAME}.download"


def _job(data_dir: str | Path) -> BackgroundJob:
    return BackgroundJob(_folder(data_dir), "download")


def _kept(data_dir: str | Path) -> int:
    """Return how many bytes of the archives have been downloaded."""
    try:
        return sum(path.stat().st_size for path in (_folder(data_dir) / "archives").glob("*.tar.gz*"))
    except OSError:  # renamed in the meantime
        return 0


# --- the process itself -----------------------------------------------------------------------------------------------


def download(
    data_dir: str | Path, progress: Callable[[str], None] | None = None, watch: Report | None = None
) -> DatasetStatus:
    """Download and prepare the dataset, one process at a time; an interrupted download is resumed.

    Args:
        data_dir: TFDS's data folder, created if it is missing.
        progress: called with a sentence at every step.
        watch: called often, with phase, done and total.

    Raises:
        DownloadFailed: no network, no disk space, or unusable files on the server; the text says what to do.
        JobError: another process is downloading it.
        KeyboardInterrupt: the download was cancelled.
    """
    say = progress or (lambda sentence: None)
    if oxford_pets.status(data_dir).present:
        return oxford_pets.download(data_dir, progress)
    try:
        with _job(data_dir).running() as report:
            found = _download(Path(data_dir).expanduser(), _both(report, watch), say)
    except OSError as error:  # the job's own files
        raise DownloadFailed(oxford_pets.download_problem(error, data_dir)) from error
    return found


def _both(report: Report, watch: Report | None) -> Report:
    def both(phase: str, done: int, total: int) -> None:
        report(phase, done, total)
        if watch is not None:
            watch(phase, done, total)

    return both


def _download(data_dir: Path, report: Report, say: Callable[[str], None]) -> DatasetStatus:
    report(STARTING, 0, 0)
    folder = _folder(data_dir) / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(data_dir)
    archives = known_archives()
    _check_space(data_dir, archives)
    _fetch_all(archives, folder, data_dir, report, say)
    say("Unpacking and preparing the photos …")
    report(UNPACK, 0, 0)
    found = oxford_pets.download(
        data_dir, archives=folder, counted=lambda photos: report(PREPARE, min(photos, PHOTOS), PHOTOS)
    )
    shutil.rmtree(folder, ignore_errors=True)  # all of it is now in the dataset
    _remove_leftovers(data_dir)
    say(f"Ready: {sum(found.splits.values())} photos in {found.folder}.")
    return found


def known_archives() -> list[Archive]:
    """Return the URLs, sizes and checksums of the files that TFDS's builder downloads; imports TFDS."""
    import tensorflow_datasets as tfds

    files = tfds.builder_cls(oxford_pets.NAME).url_infos
    return [Archive(url, info.filename, int(info.size), info.checksum) for url, info in files.items()]


def _check_space(data_dir: Path, archives: list[Archive]) -> None:
    """Raise DownloadFailed if the disk has too little space."""
    size = sum(archive.bytes for archive in archives)
    needed = int(_SPACE_FACTOR * size) - _kept(data_dir)
    free = shutil.disk_usage(data_dir).free
    if free < needed:
        raise DownloadFailed(
            f"The disk of {data_dir} has {free / 1e9:.1f} GB free, and the download needs "
            f"{needed / 1e9:.1f} GB temporarily ({size / 1e9:.1f} GB in the end): free some space, "
            "or set UNET_DATA_DIR to another disk."
        )


def _fetch_all(
    archives: list[Archive], folder: Path, data_dir: Path, report: Report, say: Callable[[str], None]
) -> None:
    """Download the archives, the smallest first, so that a server problem shows early."""
    total, before = sum(archive.bytes for archive in archives), 0
    say(f"Downloading {total / 1e6:.0f} MB to {data_dir} …")
    for archive in sorted(archives, key=lambda archive: archive.bytes):
        start = before
        try:
            fetch(archive, folder, lambda done, start=start: report(FETCH, start + done, total))
        except DownloadFailed:
            raise
        except Exception as error:  # HTTP clients and disks raise many kinds
            raise DownloadFailed(oxford_pets.download_problem(error, data_dir)) from error
        before += archive.bytes
        say(f"{archive.name}: {archive.bytes / 1e6:.0f} MB, checksum correct.")


def fetch(archive: Archive, folder: Path, report: Callable[[int], None]) -> Path:
    """Download one file, resuming an earlier attempt; it gets its name once its checksum is correct.

    Args:
        archive: the file.
        folder: its destination.
        report: called with the number of bytes downloaded so far.

    Raises:
        DownloadFailed: the server refuses, or sends something else.
        requests.RequestException: the server cannot be reached, or repeatedly stops sending.
    """
    import requests

    path = folder / archive.name
    part = folder / f"{archive.name}.part"
    if path.is_file():  # only a file with the correct checksum has this name
        report(archive.bytes)
        return path
    fruitless = 0
    while (have := _size(part)) < archive.bytes:
        report(have)
        try:
            _fetch_rest(archive, part, have, report)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            fruitless = fruitless + 1 if _size(part) <= have else 0
            if fruitless >= _ATTEMPTS:
                raise requests.ConnectionError(str(error)) from error
            _pause(2.0**fruitless / 4, lambda: report(_size(part)))
    with part.open("rb") as file:
        right = _size(part) == archive.bytes and hashlib.file_digest(file, "sha256").hexdigest() == archive.sha256
    if not right:
        part.unlink()
        raise DownloadFailed(
            f"The server's {archive.name} is not the file that TFDS expects (its checksum differs): try again later."
        )
    return part.replace(path)


def _fetch_rest(archive: Archive, part: Path, have: int, report: Callable[[int], None]) -> None:
    """Append the file from byte `have` on; a server without range requests sends the whole file."""
    import requests

    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    limits = (_CONNECT_SECONDS, _SILENCE_SECONDS)
    with requests.get(archive.url, headers=headers, stream=True, timeout=limits) as response:
        if response.status_code not in (200, 206):
            raise DownloadFailed(
                f"The dataset's server answers with {response.status_code} {response.reason} for {archive.name}: "
                "try again later."
            )
        continued = response.status_code == 206
        have = have if continued else 0
        with part.open("ab" if continued else "wb") as file:
            for block in response.iter_content(_BLOCK):
                file.write(block)
                file.flush()  # kept even if this process is killed
                have += len(block)
                report(min(have, archive.bytes))
                if have > archive.bytes:
                    return  # not our file: the checksum will differ
    if have < archive.bytes:
        raise requests.ConnectionError("the connection ended early")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _pause(seconds: float, poll: Callable[[], None]) -> None:
    """Wait, while `poll` notices a cancelled download."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        poll()
        time.sleep(min(0.5, seconds))


def _remove_leftovers(data_dir: Path) -> None:
    """Remove unfinished work of processes that were killed, but keep downloaded archives."""
    for folder in (_folder(data_dir) / "archives" / "unpacked").glob("*incomplete*"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (data_dir / oxford_pets.NAME).glob("incomplete.*"):
        newest = max((path.stat().st_mtime for path in (folder, *folder.glob("*"))), default=0.0)
        if time.time() - newest > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
