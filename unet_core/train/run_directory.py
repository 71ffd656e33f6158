"""A run directory: all files of one training run, readable at any time.

Files are replaced in one step (written beside, then renamed) or appended to line by line, so a process that is
killed in the middle leaves a directory that can be read and resumed.

    config.json        the TrainConfig
    classes.json       what the model's classes mean: names, colours, mask codes, which one is the background
    dataset.json       of an own dataset: the report on how it was read, with what was left out
    data.json          name, description and licence of the data that it is trained on
    label.json         its name, whether it is pinned, when it was created, whose it is
    status.json        state, reason, phase, epoch, step, heartbeat, process
    environment.json   versions, device, git commit, seed
    metrics.csv        one line an epoch, appended
    steps.csv          training loss about twice a second, appended
    system.csv         memory and speed about once a second, appended
    never_predicted.json  classes that the last and the best epoch predict nowhere
    silent_layer.json  the best model's deepest layer, if it gives nearly the same for every photo
    test.json          loss, scores and confusion matrix on the test part, after the last epoch
    test_photos/       plots of a few test photos: input, true mask, prediction, overlay
    model.svg          the network's plot
    summary.txt        the network's summary
    previews/          predicted masks of the same few photos, before training and after each epoch
    photo.png          the user's own photo among them
    tensorboard/       event files of the same curves
    exports/           the model in other formats
    log.txt            what happened, in sentences with a time
    worker.txt         output of the libraries
    best.weights.h5    the model of the best validation epoch, no optimizer state
    last.weights.h5    the model of the last epoch, no optimizer state
    resume.npz         model, optimizer and random states after the last whole epoch
    stop               exists once the run was asked to stop
    worker.lock        held by the process that trains
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import psutil
from filelock import FileLock, Timeout

from unet_core.classes import PixelClasses
from unet_core.errors import ConfigError, UNetError
from unet_core.jobs.names import one_line
from unet_core.jobs.process import LOCK_SECONDS, is_held
from unet_core.jobs.tables import Table, is_usable, read_json, read_record, write_atomically, write_record
from unet_core.scores import scores_from_confusion
from unet_core.settings import Settings, get_settings
from unet_core.strict import Strict
from unet_core.train.config import TrainConfig
from unet_core.zoo.meaning import DataOrigin

State = Literal["queued", "running", "stopping", "finished", "stopped", "failed", "interrupted"]
MONITORED = "val_mean_iou"  # larger is better: chooses the best epoch and stops a run that no longer improves
TIME_LIMIT = "the time limit was reached"  # the reason of a run that did what it was given time for
PAUSED = "paused after"  # the first words of the reason of a run that is to be resumed
STARTING = "starting"  # the phase of a worker that does not hold its run yet
START_SECONDS = 120.0  # the longest that it may last
LOST_SECONDS = 30.0  # without a heartbeat, after which a worker on another machine counts as lost

# What every row of the tables has; the worker writes more.
METRICS_NEEDED, STEPS_NEEDED, SYSTEM_NEEDED = ("epoch",), ("epoch", "step"), ("memory_mb",)

Kind = TypeVar("Kind", bound=Strict)
_LATEST_TIME = 253_402_300_799.0  # the end of the year 9999, in seconds since 1970
_MAX_CLASSES = 256
_MAX_REASON = 1_000  # characters
_RESERVE, _RESERVE_BYTES = ".reserve", 65536
_WRITING = threading.Lock()  # a worker's main thread and its pulse both write the status


class RunError(UNetError):
    """A run directory that cannot be used as requested; the text says what to do."""


@dataclass(frozen=True)
class Status:
    """A run's status. Times are seconds since 1970; `epoch` counts whole epochs, `step` those within the next.

    `phase` says what a running worker does: "starting", "reading photos", "building", "training", "validating",
    "measuring", "exporting". `launched` is when its process was started, `started` when that process began to work.
    `until` is the number of whole epochs after which the worker pauses, 0 for none. `task` identifies what was sent to
    a cluster to train the run, "" for a run of this machine.
    """

    state: State = "queued"
    reason: str = ""
    phase: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    heartbeat: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    launched: float = 0.0
    pid: int = 0
    host: str = ""
    until: int = 0
    task: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Whether another machine trains or trained the run; a status that names none is of this one."""
        return self.host not in ("", socket.gethostname())

    @property
    def active(self) -> bool:
        """Whether a process is training the run."""
        return self.state in ("running", "stopping")

    @property
    def shown(self) -> State:
        """The state for people: a run that has used its time has finished, although it can be resumed."""
        return "finished" if self.state == "stopped" and self.reason == TIME_LIMIT else self.state

    @property
    def share(self) -> float:
        """Share of all steps that is done, 0 to 1."""
        if self.shown == "finished":
            return 1.0
        within = self.step / self.steps if self.steps and self.active else 0.0
        return min(1.0, (self.epoch + within) / self.epochs) if self.epochs else 0.0

    @property
    def seconds(self) -> float:
        """Seconds of work since the last start, until now or its end."""
        since = self.launched or self.started
        if not since:
            return 0.0
        return max(0.0, (self.finished or (time.time() if self.active else self.heartbeat)) - since)


@dataclass(frozen=True)
class RunLabel:
    """A run's name, whether pruning keeps it, when it was created (seconds since 1970), and whose it is.

    `owner` is a hash that identifies a visitor of the app; "" is the command line's. `sweep` is the name of the sweep
    that the run is a trial of, if it is one.
    """

    name: str
    pinned: bool = False
    created: float = 0.0
    owner: str = ""
    sweep: str = ""


@dataclass(frozen=True)
class TestResult:
    """Scores on `images` of the `of` test photos; `confusion` counts pixels, rows true classes, columns predicted."""

    __test__ = False  # not a test class of pytest's

    classes: tuple[str, ...]
    confusion: np.ndarray
    images: int
    of: int
    milliseconds: float
    loss: float | None = None  # mean over photos; older runs have none

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels that are classified correctly."""
        return scores_from_confusion(self.confusion).pixel_accuracy

    @property
    def mean_iou(self) -> float:
        """Intersection over union, averaged over the classes that occur."""
        return scores_from_confusion(self.confusion).mean_iou

    @property
    def mean_dice(self) -> float:
        """Dice coefficient, averaged over the classes that occur."""
        return scores_from_confusion(self.confusion).mean_dice

    @property
    def iou(self) -> dict[str, float]:
        """Intersection over union by class name; NaN for a class that does not occur."""
        return dict(zip(self.classes, scores_from_confusion(self.confusion).iou, strict=True))

    @property
    def dice(self) -> dict[str, float]:
        """Dice coefficient by class name; NaN for a class that does not occur."""
        return dict(zip(self.classes, scores_from_confusion(self.confusion).dice, strict=True))


def best_epoch(rows: Sequence[Mapping[str, float]]) -> int | None:
    """Return the first epoch with the highest validation mean IoU, None if no epoch has one."""
    scored = [row for row in rows if math.isfinite(row.get(MONITORED, math.nan))]
    return int(max(scored, key=lambda row: row[MONITORED])["epoch"]) if scored else None


class RunDirectory:
    """One training run on disk; see the module's text for its files."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.metrics = Table(self.path / "metrics.csv", METRICS_NEEDED)
        self.steps = Table(self.path / "steps.csv", STEPS_NEEDED)
        self.system = Table(self.path / "system.csv", SYSTEM_NEEDED)
        self.best_weights = self.path / "best.weights.h5"
        self.last_weights = self.path / "last.weights.h5"
        self.resume_state = self.path / "resume.npz"
        self.photo = self.path / "photo.png"
        self._lock = FileLock(self.path / "worker.lock")

    @property
    def id(self) -> str:
        """The name of the run's folder, which never changes."""
        return self.path.name

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @classmethod
    def create(
        cls, path: str | Path, config: TrainConfig, name: str = "", owner: str = "", *, sweep: str = "", until: int = 0
    ) -> RunDirectory:
        """Create the directory with its config, its label and where it pauses, in state "queued".

        Raises:
            RunError: it already holds a run, or the folder cannot be written.
        """
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            if (run.path / "config.json").exists():
                raise RunError(f"{run.path} already holds a run: resume it or choose another folder")
            run.write_label(RunLabel(one_line(name) or run.id, created=time.time(), owner=owner, sweep=sweep))
            run.write_status(Status(epochs=config.epochs, until=until))
            run.write_config(config)  # last: it makes the folder a run
        except OSError as error:
            raise RunError(f"the run directory {run.path} cannot be written: {error.strerror or error}") from None
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Return the run at `path`.

        Raises:
            RunError: there is no run.
        """
        run = cls(path)
        if not cls.exists(path):
            raise RunError(f"{run.path} is not a run directory: it has no config.json")
        return run

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Return whether there is a run at `path`."""
        try:
            return (Path(path) / "config.json").is_file()
        except OSError:  # the path is too long, or a folder may not be read
            return False

    # --- config ---------------------------------------------------------------------------------------------------

    def config(self) -> TrainConfig:
        """Return the run's configuration.

        Raises:
            ConfigError: config.json is not a valid TrainConfig.
            RunError: it cannot be read, such as that of a run that has been deleted.
        """
        try:
            text = (self.path / "config.json").read_bytes()
        except OSError as error:
            raise RunError(f"The configuration of the run {self.id} cannot be read ({error.strerror}).") from None
        return TrainConfig.from_json(text)

    def write_config(self, config: TrainConfig) -> None:
        """Replace the run's configuration."""
        write_atomically(self.path / "config.json", config.to_json() + "\n")

    def write_classes(self, classes: PixelClasses) -> None:
        """Replace classes.json."""
        write_atomically(self.path / "classes.json", classes.to_json() + "\n")

    def classes(self) -> PixelClasses | None:
        """Return classes.json, None if it is missing or damaged."""
        found = _read_strict(self.path / "classes.json", PixelClasses)
        try:
            return found and found.replace(names=tuple(one_line(name) for name in found.names))
        except ConfigError:  # names that differ in unprintable characters only
            return None

    def write_origin(self, origin: DataOrigin) -> None:
        """Replace data.json."""
        write_atomically(self.path / "data.json", origin.to_json() + "\n")

    def origin(self) -> DataOrigin | None:
        """Return data.json, None if it is missing or damaged."""
        found = _read_strict(self.path / "data.json", DataOrigin)
        return found and found.replace(
            **{key: one_line(getattr(found, key), _MAX_REASON) for key in ("name", "description", "licence")},
            credit=tuple(one_line(text, _MAX_REASON) for text in found.credit[:_MAX_CLASSES]),
        )

    def label(self) -> RunLabel:
        """Return label.json; the folder's name and time if it is missing or damaged."""
        found = read_record(self.path / "label.json", RunLabel)
        if found is not None and 0 <= found.created <= _LATEST_TIME:
            return dataclasses.replace(found, name=one_line(found.name) or self.id, sweep=one_line(found.sweep))
        try:
            return RunLabel(self.id, created=(self.path / "config.json").stat().st_mtime)
        except OSError:  # it is being deleted
            return RunLabel(self.id)

    def write_label(self, label: RunLabel) -> None:
        """Replace label.json."""
        write_record(self.path / "label.json", label)

    # --- status ---------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """Return the run's status; "running" without a living worker is reported as "interrupted"."""
        status = self._stored_status()
        if status.state == "running" and not self._is_alive(status):
            lost = "its process ended unexpectedly"
            if status.is_elsewhere:
                lost = f"nothing has been heard of its machine, {status.host}, for {LOST_SECONDS:.0f} seconds"
            reason = f"{lost}: resume it from the last whole epoch"
            # the worker may have finished in the meantime
            again = self._stored_status()
            return again if again.state != "running" else dataclasses.replace(again, state="interrupted", reason=reason)
        if status.state == "running" and self.stop_requested():
            return dataclasses.replace(status, state="stopping")
        return status

    def _is_alive(self, status: Status) -> bool:
        elsewhere, now = status.is_elsewhere, time.time()
        if status.phase == STARTING and abs(now - status.launched) < START_SECONDS:  # a clock may be set back
            return elsewhere or psutil.pid_exists(status.pid)
        # Not every shared file system shows the locks of other machines.
        return self.is_held() or (elsewhere and abs(now - status.heartbeat) < LOST_SECONDS)

    def _stored_status(self) -> Status:
        found = read_record(self.path / "status.json", Status)
        if found is None or not _is_plausible(found):
            return Status(state="interrupted", reason="status.json is missing or damaged")
        return dataclasses.replace(found, reason=one_line(found.reason, _MAX_REASON), phase=one_line(found.phase))

    def write_status(self, status: Status) -> None:
        """Replace status.json, with the heartbeat set to now."""
        now = dataclasses.replace(status, heartbeat=time.time())
        with _WRITING:
            write_record(self.path / "status.json", now)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for this process; the kernel releases the lock even if the process is killed.

        Raises:
            RunError: another process is training it.
        """
        try:
            self._lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise RunError(f"{self.path} is being trained by process {self._stored_status().pid}") from None
        try:
            yield
        finally:
            self._lock.release()

    def is_held(self) -> bool:
        """Return whether a process is training this run."""
        return is_held(self._lock)

    def is_launched_for(self, pid: int) -> bool:
        """Return whether the queue has started process `pid` for this run, and it has not started to train yet."""
        status = self._stored_status()
        return status.state == "running" and status.phase == STARTING and status.pid == pid

    # --- stop, log, environment -----------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Ask the worker to stop; it does within about a second."""
        (self.path / "stop").touch()

    def stop_requested(self) -> bool:
        """Return whether a stop was requested."""
        return (self.path / "stop").exists()

    def clear_stop(self) -> None:
        """Remove an earlier request to stop."""
        (self.path / "stop").unlink(missing_ok=True)

    def log(self, text: str) -> None:
        """Append `text` to log.txt with the time."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with open(self.path / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"{stamp} {text.rstrip()}\n")

    def log_tail(self, lines: int = 40) -> list[str]:
        """Return the last lines of log.txt."""
        path = self.path / "log.txt"
        if not path.exists():
            return []
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines))
            return file.read().decode("utf-8", errors="replace").splitlines()[-lines:]

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Replace environment.json."""
        write_atomically(self.path / "environment.json", json.dumps(environment, indent=2) + "\n")

    def environment(self) -> dict[str, Any]:
        """Return environment.json: texts, numbers, lists of texts, and "packages", which are texts by name.

        Whatever else a damaged file has is left out.
        """
        values = read_json(self.path / "environment.json")
        if not isinstance(values, dict):
            return {}
        found = {one_line(name): _plain_value(value) for name, value in values.items() if name != "packages"}
        kinds = {"gpus": list, "processor": str, "git_commit": str}
        plain = {
            name: value
            for name, value in found.items()
            if value is not None and isinstance(value, kinds.get(name, object))
        }
        packages = values.get("packages")
        return plain | ({"packages": _plain_texts(packages)} if isinstance(packages, dict) else {})

    # --- results --------------------------------------------------------------------------------------------------

    def has_weights(self) -> bool:
        """Return whether weights have been saved."""
        return self.best_weights.exists() or self.last_weights.exists()

    @property
    def weights(self) -> Path:
        """The file of the weights to use: the best epoch's, or the last ones while no epoch has ended."""
        return self.best_weights if self.best_weights.exists() else self.last_weights

    def write_test(self, report: Mapping[str, Any]) -> None:
        """Replace test.json: the result of `unet_core.scoring.evaluate.report`, and `of`, the number of test photos."""
        write_atomically(self.path / "test.json", json.dumps(report, indent=2) + "\n")

    def forget_test(self) -> None:
        """Remove test.json and the plots: the weights that they describe are about to change."""
        for path in (self.path / "test.json", *(self.path / "test_photos").glob("*.png")):
            path.unlink(missing_ok=True)

    def test(self) -> TestResult | None:
        """Return the scores on the test part, None if they were not measured or the file is damaged."""
        values = read_json(self.path / "test.json")
        try:
            found = TestResult(
                classes=tuple(one_line(name) for name in values["classes"]),
                confusion=np.array(values["confusion_matrix"], np.int64),
                images=int(values["images"]),
                of=int(values["of"]),
                milliseconds=float(values["milliseconds_per_image"]),
                loss=None if values.get("loss") is None else float(values["loss"]),
            )
        except (ValueError, KeyError, TypeError, OverflowError, AttributeError):
            return None
        return found if _is_measured(found) else None

    def megabytes(self) -> float:
        """Return the size of the run directory, in MB."""
        total = 0
        for folder, _, files in os.walk(self.path):
            for name in files:
                with contextlib.suppress(OSError):  # replaced this instant
                    total += os.stat(os.path.join(folder, name)).st_size
        return total / 1e6


def _read_strict(path: Path, kind: type[Kind]) -> Kind | None:
    values = read_json(path)
    try:
        return kind.from_dict(values) if isinstance(values, dict) else None
    except ConfigError:
        return None


def _is_plausible(status: Status) -> bool:
    """Return whether a stored status is one that a worker can have written."""
    counts = (status.epoch, status.epochs, status.step, status.steps, status.pid, status.until)
    times = (status.heartbeat, status.started, status.finished, status.launched)
    return (
        status.state in get_args(State)
        and all(0 <= count < 2**31 for count in counts)
        and all(0 <= moment <= _LATEST_TIME for moment in times)
    )


def _plain_value(value: Any) -> str | float | list[str] | None:
    """Return a value of environment.json if it can be shown, else None."""
    if isinstance(value, str):
        return one_line(value, _MAX_REASON)
    if isinstance(value, (int, float)):
        return value if is_usable(value) else None
    if isinstance(value, list):
        return [one_line(text, _MAX_REASON) for text in value[:_MAX_CLASSES] if isinstance(text, str)]
    return None


def _plain_texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {one_line(name): one_line(text) for name, text in values.items() if isinstance(text, str)}


def _is_measured(result: TestResult) -> bool:
    """Return whether a test result consists of pixels by class."""
    classes = len(result.classes)
    return (
        1 <= classes <= _MAX_CLASSES
        and len(set(result.classes)) == classes
        and all(result.classes)
        and result.confusion.shape == (classes, classes)
        and bool((result.confusion >= 0).all())
        and bool((result.confusion < 2**53).all())
        and all(is_usable(value) and value >= 0 for value in (result.images, result.of, result.milliseconds))
        and (result.loss is None or is_usable(result.loss))
    )


def new_run_folder(name: str, settings: Settings | None = None) -> Path:
    """Return an unused path in the runs folder: the time, `name` and 64 random bits, so that nobody guesses it."""
    folder = (settings or get_settings()).runs_dir
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")[:60] or "run"
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{plain}-{secrets.token_hex(8)}"


def export_file(run: RunDirectory, format: str) -> Path:
    """Return the path of the run's model in another format, whether or not the file exists."""
    return run.path / "exports" / f"model.{'tflite' if format == 'litert' else format}"


@contextmanager
def disk_reserve(folder: Path) -> Iterator[None]:
    """Hold a few bytes of disk space for the length of a `with` block, so that a full disk can still be reported."""
    with contextlib.suppress(OSError):
        (folder / _RESERVE).write_bytes(bytes(_RESERVE_BYTES))
    try:
        yield
    finally:
        release_reserve(folder)


def release_reserve(folder: Path) -> None:
    """Release the reserved disk space: something small is about to be written."""
    with contextlib.suppress(OSError):
        (folder / _RESERVE).unlink(missing_ok=True)


def remaining_seconds(run: RunDirectory, status: Status | None = None) -> float | None:
    """Estimate how long training still takes, from the last epochs' pace; None while it is not known."""
    status = status or run.status()
    rows = run.metrics.rows()[-3:]
    if not status.active:
        return None
    if rows:
        pace = sum(row.get("seconds", 0.0) for row in rows) / len(rows)
        seconds = pace * (status.epochs * (1 - status.share))
    else:
        steps = [row for row in run.steps.rows() if "elapsed" in row]
        done = status.epoch * status.steps + status.step
        if not steps or not done:
            return None
        seconds = steps[-1]["elapsed"] / done * (status.epochs * status.steps - done)
    limit = run.config().time_limit_minutes
    return seconds if limit is None else max(0.0, min(seconds, 60 * limit - (time.time() - status.started)))


def this_process(status: Status) -> Status:
    """Return `status` as that of this process, running from now."""
    here = {"pid": os.getpid(), "host": socket.gethostname()}
    cleared = {"state": "running", "reason": "", "phase": "", "step": 0, "started": time.time(), "finished": 0.0}
    return dataclasses.replace(status, **cleared, **here)
