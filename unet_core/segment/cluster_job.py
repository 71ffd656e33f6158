"""A folder of photos on storage that a cluster's workers share, segmented for one visitor by a process of its own.

The operator names the storage (`cluster_photos`); visitors choose one of its folders by its name in `photo_folders`,
relative to it. No other name is accepted, so that none leads out of it. The process is `predict --cluster --job`, which
calls `working` and `note_end`; this module neither connects to the cluster nor loads a model.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from unet_core.errors import UNetError
from unet_core.images.files import is_photo
from unet_core.jobs import storage, storage_process
from unet_core.jobs.background_job import BackgroundJob, JobError, Report
from unet_core.jobs.names import is_file_name
from unet_core.jobs.tables import read_record, write_record
from unet_core.segment.engine import EngineChoice
from unet_core.segment.inference import InferenceMode
from unet_core.settings import Settings

READING, WAITING, SEGMENTING = "reading", "waiting", "segmenting"  # the phases of a job, beside STARTING
MOST_FOLDERS = 500  # offered
MOST_ENTRIES = 10_000  # read of one folder on the way to its subfolders
MOST_COUNTED = 100_000  # entries read of one folder to count its photos
DEEPEST = 3  # a/b/c is offered, a/b/c/d is not
MOST_JOBS = 4  # at a time, of all visitors: each is a process with a model
MOST_NAMED = 20  # photos that could not be segmented, in an `Ending`


class FolderError(UNetError):
    """A folder that cannot be offered or used; the text says why, without the server's paths."""


@dataclass(frozen=True)
class Folders:
    """The folders that a visitor may choose.

    Attributes:
        names: relative to the operator's folder, sorted; "" is that folder itself.
        whole: there are no others; else some are missing, because there are many or their names cannot be shown.
    """

    names: tuple[str, ...]
    whole: bool


@dataclass(frozen=True)
class Count:
    """The number of photos in a folder; if not `whole`, there may be more."""

    photos: int
    whole: bool


@dataclass(frozen=True)
class Plan:
    """What a job does: all photos of a folder, by its name in `photo_folders`, with a model in an inference mode.

    Attributes:
        folder: its name.
        model: a shipped model's name or a run's id.
        files: kinds of files to write, with commas between them.
        engine: see `EngineChoice`.
        way, scale, overlap, flip: see `InferenceMode`; a scale of 0 is chosen for each photo.
    """

    folder: str
    model: str
    files: str
    engine: str = "auto"
    way: str = "whole"
    scale: float = 0.0
    overlap: float = InferenceMode.overlap
    flip: bool = False

    @classmethod
    def of(cls, folder: str, model: str, files: tuple[str, ...], engine: EngineChoice, mode: InferenceMode) -> Plan:
        """Return the plan for a page's choices."""
        return cls(folder, model, ",".join(files), engine, mode.kind, mode.scale or 0.0, mode.overlap, mode.flip)

    @property
    def results(self) -> str:
        """The folder of the results, relative to that of all results; it differs for other models and modes."""
        tiles = ["tiles", f"{self.scale:g}" if self.scale else "", f"{100 * self.overlap:.0f}"]
        parts = [
            self.model,
            *(tiles if self.way == "tiles" else ()),
            "flip" if self.flip else "",
            "" if self.engine == "auto" else self.engine,
        ]
        own = "-".join(part for part in parts if part)
        return f"{self.folder}/{own}" if self.folder else own

    @property
    def arguments(self) -> list[str]:
        """The choices as arguments of `predict`."""
        tiles = ["--overlap", f"{100 * self.overlap:.0f}", "--scale", f"{self.scale:g}" if self.scale else "auto"]
        return [
            *("--model", self.model, "--engine", self.engine, "--files", self.files, "--way", self.way),
            *(tiles if self.way == "tiles" else ()),
            *(["--flip"] if self.flip else ()),
        ]


@dataclass(frozen=True)
class Ending:
    """What a job that ended by itself has done.

    Attributes:
        photos: in the folder.
        earlier: of them, done by earlier jobs.
        failed: of them, could not be segmented.
        links: files that were left out because they lead elsewhere.
        problems: "photo: why not" of the first that failed, a line each.
    """

    photos: int = 0
    earlier: int = 0
    failed: int = 0
    links: int = 0
    problems: str = ""


# --- folders ----------------------------------------------------------------------------------------------------------


def photo_folders(settings: Settings) -> Folders:
    """Return the folders that a visitor may choose; in object storage, only those directly in the operator's folder.

    Raises:
        FolderError: the operator's folder cannot be read.
    """
    root = _root(settings)
    names, whole = [""], True
    waiting = deque([""])
    while waiting and len(names) < MOST_FOLDERS:
        name = waiting.popleft()
        found = _listing(_joined(root, name), MOST_ENTRIES, needed=not name) or storage.Listing([], [], whole=False)
        inside = [f"{name}/{folder}" if name else folder for folder in found.folders if is_file_name(folder)]
        whole = whole and found.whole and len(inside) == sum(not each.startswith(".") for each in found.folders)
        names += inside
        waiting += [folder for folder in inside if folder.count("/") + 1 < _deepest(root)]
    return Folders(tuple(sorted(names[:MOST_FOLDERS])), whole and not waiting and len(names) <= MOST_FOLDERS)


def count_photos(name: str, settings: Settings) -> Count | None:
    """Return how many photos a folder of `photo_folders` has; None if object storage takes too long to list them.

    Raises:
        FolderError: there is no such folder, or it cannot be read.
    """
    folder = located(name, settings)
    found = _listing(folder, MOST_COUNTED, needed=True)
    if found is None:
        return None
    return Count(sum(map(is_photo, found.files)), found.whole)


def located(name: str, settings: Settings) -> str:
    """Return the path or URL of a folder of `photo_folders`.

    Raises:
        FolderError: it is not one of them.
    """
    root = _root(settings)
    parts = name.split("/") if name else []
    if len(parts) > _deepest(root) or not all(map(is_file_name, parts)):
        raise FolderError("This folder is not one of those in the list: choose another one.")
    folder = _joined(root, name)
    is_link = not storage.is_url(folder) and os.path.realpath(folder) != _joined(os.path.realpath(root), name)
    if is_link or not storage_process.is_folder(folder):
        raise FolderError("This folder is not there any more: choose another one.")
    return folder


def _deepest(root: str) -> int:
    return 1 if storage.is_url(root) else DEEPEST  # an object store would list every photo on the way


def _root(settings: Settings) -> str:
    return storage.checked(settings.cluster_photos.rstrip("/"))


def _joined(root: str, name: str) -> str:
    return storage.join(root, name) if name else root


def _listing(folder: str, most: int, *, needed: bool) -> storage.Listing | None:
    """Return what is in a folder; None if object storage takes too long, or it is not `needed` and cannot be read."""
    try:
        return storage_process.look_into(folder, most)
    except storage_process.TooManyError:
        return None
    except (OSError, storage.StorageError):
        if needed:
            raise FolderError("The cluster's photos cannot be read now: try again later.") from None
        return None


# --- jobs, for pages --------------------------------------------------------------------------------------------------


def job_of(owner: str, settings: Settings) -> BackgroundJob:
    """Return a visitor's only job; watch its `status()`."""
    return _job(_jobs_folder(settings) / owner[:32])


def plan_of(job: BackgroundJob) -> Plan | None:
    """Return what a job does or did; None if it was never started."""
    return read_record(_plan_file(job), Plan)


def ending_of(job: BackgroundJob) -> Ending | None:
    """Return what a job has done; None if it did not end by itself."""
    return read_record(_ending_file(job), Ending)


def start(plan: Plan, owner: str, settings: Settings) -> BackgroundJob:
    """Do what a plan says in a process of its own; what earlier jobs have done of it is not done again.

    Raises:
        FolderError: the folder cannot be used.
        JobError: this visitor's job is still running, or too many of others.
    """
    job = job_of(owner, settings)
    folder = located(plan.folder, settings)
    if not is_file_name(plan.model):
        raise JobError(f"{plan.model!r} is not the name of a model: choose another one.")
    running = [other.name for other in _jobs_folder(settings).glob("*/") if _job(other).status().state == "running"]
    if job.folder.name in running:
        raise JobError("Your folder before this one is still being segmented: wait until it has ended, or stop it.")
    if len(running) >= MOST_JOBS:
        raise JobError(f"{len(running)} folders of others are being segmented: try again when one of them has ended.")
    results = _results_folder(plan, settings)
    _ending_file(job).unlink(missing_ok=True)
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        write_record(_plan_file(job), plan)
    except OSError as error:
        raise JobError(f"The job cannot be stored: {error.strerror or error}") from None
    command = ["-m", "unet_core", "predict", folder, "--out", results, "--cluster", *plan.arguments]
    job.start([*command, "--job", str(job.folder.absolute())], settings)
    return job


def _results_folder(plan: Plan, settings: Settings) -> str:
    results = storage.join(storage.checked(settings.cluster_results_folder.rstrip("/")), plan.results)
    if not storage.is_url(results):
        inside = os.path.realpath(results), os.path.realpath(_root(settings))
        if os.path.commonpath(inside) in inside:  # the settings cannot see where links lead
            raise FolderError("The results would be written among the photos: ask whoever runs this server.")
    return results


def _jobs_folder(settings: Settings) -> Path:
    return settings.cache_dir / "cluster"


def _job(folder: Path) -> BackgroundJob:
    return BackgroundJob(folder, "predict")


def _plan_file(job: BackgroundJob) -> Path:
    return job.folder / "plan.json"


def _ending_file(job: BackgroundJob) -> Path:
    return job.folder / "ending.json"


# --- the process itself -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def working(folder: Path, results: str) -> Iterator[Report]:
    """Do a job in this process, see `BackgroundJob.running`; `folder` is the job's, `results` where its files go.

    Raises:
        JobError: another process does this job, or writes the same results.
    """
    lock = FileLock(folder.parent / f"{hashlib.sha256(results.encode()).hexdigest()[:32]}.lock")
    with _job(folder).running() as report:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise JobError(
                "The same photos are being segmented with the same model for somebody else: wait until that has ended. "
                "Starting again then does only what is missing."
            ) from None
        with lock:
            yield report


def note_end(folder: Path, ending: Ending) -> None:
    """Store what the job in `folder` has done."""
    write_record(_ending_file(_job(folder)), ending)
