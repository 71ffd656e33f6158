"""A run directory: everything one training run was, is and left behind, readable at any moment.

Files are replaced in one step (written beside, then renamed) or appended to line by line, so a process that is
killed in the middle leaves a directory that can be read and resumed.

    config.json        the TrainConfig
    status.json        state, reason, epoch, step, heartbeat, process
    environment.json   versions, device, git commit, seed
    metrics.csv        one line an epoch, appended
    steps.csv          training loss about twice a second, appended
    log.txt            what happened, in sentences with a time
    best.weights.h5    the model of the best validation epoch, no optimizer state
    last.weights.h5    the model of the last epoch, no optimizer state
    resume.npz         model, optimizer and random states after the last whole epoch
    stop               present when somebody asked the run to stop
    worker.lock        held by the process that trains
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout

from unet_core.train.config import TrainConfig

State = Literal["queued", "running", "finished", "stopped", "failed", "interrupted"]
STATES: tuple[str, ...] = get_args(State)
LOCK_SECONDS = 2.0  # a reader may hold the lock for an instant to see whether a worker does


class RunError(ValueError):
    """A run directory that cannot be used as asked; the text says what to do."""


@dataclass(frozen=True)
class Status:
    """Where a run stands. Times are seconds since 1970; `epoch` counts whole epochs, `step` those within the next."""

    state: State = "queued"
    reason: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    heartbeat: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    pid: int = 0
    host: str = ""


def write_atomically(path: Path, data: str | bytes) -> None:
    """Put `data` at `path` in one step: readers see the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with open(temporary, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


class Table:
    """An append-only CSV file of numbers whose half-written last line, left by a kill, is ignored and then mended."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[dict[str, float]]:
        """Return every whole line as {column: value}; empty cells are left out."""
        text = self._whole_text()
        return [
            {column: float(value) for column, value in row.items() if column and value not in ("", None)}
            for row in csv.DictReader(io.StringIO(text))
        ]

    def append(self, row: Mapping[str, float]) -> None:
        """Add one line. The first call fixes the columns."""
        text = self._whole_text()
        if self.path.exists() and len(text.encode()) != self.path.stat().st_size:
            write_atomically(self.path, text)
        columns = next(csv.reader(io.StringIO(text)), None)
        line = io.StringIO()
        writer = csv.DictWriter(line, columns or list(row), extrasaction="ignore", lineterminator="\n")
        if columns is None:
            writer.writeheader()
        writer.writerow({key: _short(value) for key, value in row.items()})
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line.getvalue())

    def keep_below(self, epoch: int) -> None:
        """Drop the lines of `epoch` and later: those epochs are about to be trained again."""
        header, *lines = self._whole_text().splitlines(keepends=True) or [""]
        if not header:
            return
        column = header.strip().split(",").index("epoch")
        kept = [line for line in lines if float(line.split(",")[column]) < epoch]
        write_atomically(self.path, header + "".join(kept))

    def _whole_text(self) -> str:
        if not self.path.exists():
            return ""
        text = self.path.read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1]


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{float(value):.9g}"


class RunDirectory:
    """One training run on disk; see the module's text for its files."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.metrics = Table(self.path / "metrics.csv")
        self.steps = Table(self.path / "steps.csv")
        self.best_weights = self.path / "best.weights.h5"
        self.last_weights = self.path / "last.weights.h5"
        self.resume_state = self.path / "resume.npz"
        self._lock = FileLock(self.path / "worker.lock")

    @classmethod
    def create(cls, path: str | Path, config: TrainConfig) -> RunDirectory:
        """Make the directory with its config, in state "queued".

        Raises:
            RunError: a run is there already, or the folder cannot be written.
        """
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            if (run.path / "config.json").exists():
                raise RunError(f"{run.path} already holds a run: resume it or choose another folder")
            run.write_config(config)
            run.write_status(Status(epochs=config.epochs))
        except OSError as error:
            raise RunError(f"the run directory {run.path} cannot be written: {error.strerror or error}") from None
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """Return the run that lies at `path`.

        Raises:
            RunError: there is none.
        """
        run = cls(path)
        if not (run.path / "config.json").is_file():
            raise RunError(f"{run.path} is not a run directory: it has no config.json")
        return run

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Say whether a run lies at `path`."""
        return (Path(path) / "config.json").is_file()

    # --- config ---------------------------------------------------------------------------------------------------

    def config(self) -> TrainConfig:
        """Return the run's configuration.

        Raises:
            ConfigError: config.json is not a valid TrainConfig.
        """
        return TrainConfig.from_json((self.path / "config.json").read_text(encoding="utf-8"))

    def write_config(self, config: TrainConfig) -> None:
        """Replace the run's configuration."""
        write_atomically(self.path / "config.json", config.to_json() + "\n")

    # --- status ---------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """Return where the run stands; "running" without a living worker is told as "interrupted"."""
        status = self._stored_status()
        if status.state == "running" and not self.is_held():
            reason = "its process ended without a word; resume it from the last whole epoch"
            # the worker may have finished between the two looks
            again = self._stored_status()
            return again if again.state != "running" else dataclasses.replace(again, state="interrupted", reason=reason)
        return status

    def _stored_status(self) -> Status:
        try:
            values = json.loads((self.path / "status.json").read_text(encoding="utf-8"))
            known = {field.name for field in dataclasses.fields(Status)}
            return Status(**{key: value for key, value in values.items() if key in known})
        except (OSError, ValueError, AttributeError, TypeError):
            return Status(state="interrupted", reason="status.json is missing or damaged")

    def write_status(self, status: Status) -> None:
        """Replace status.json, with the heartbeat set to now."""
        now = dataclasses.replace(status, heartbeat=time.time())
        write_atomically(self.path / "status.json", json.dumps(dataclasses.asdict(now), indent=2) + "\n")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for this process; the kernel lets go of it even when the process is killed.

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
        """Say whether some process trains this run right now."""
        if self._lock.is_locked:
            return True
        probe = FileLock(self._lock.lock_file)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # a read-only copy of a run: nobody trains it here
            return False
        probe.release()
        return False

    # --- stop, log, environment -----------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Ask the worker to stop; it does within about a second."""
        (self.path / "stop").touch()

    def stop_requested(self) -> bool:
        """Say whether a stop was asked for."""
        return (self.path / "stop").exists()

    def clear_stop(self) -> None:
        """Forget an earlier request to stop."""
        (self.path / "stop").unlink(missing_ok=True)

    def log(self, text: str) -> None:
        """Append `text` to log.txt with the time."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with open(self.path / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"{stamp} {text.rstrip()}\n")

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Replace environment.json."""
        write_atomically(self.path / "environment.json", json.dumps(environment, indent=2) + "\n")

    def environment(self) -> dict[str, Any]:
        """Return environment.json, or nothing where it is missing."""
        path = self.path / "environment.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def this_process(status: Status) -> Status:
    """Return `status` as that of this process, running from now."""
    here = {"pid": os.getpid(), "host": socket.gethostname()}
    return dataclasses.replace(status, state="running", reason="", started=time.time(), finished=0.0, **here)
