"""Work that takes minutes, in a separate process: started once, watched through a status file, cancelled by another.

The process holds a lock for as long as it lives, which the system releases even when it is killed; so a reader can
tell a running job from one whose process has ended. Imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from unet_core.errors import UNetError
from unet_core.jobs.process import (
    LOCK_SECONDS,
    interruptible,
    is_held,
    last_line,
    repeatedly,
    start_detached,
    when_ended,
)
from unet_core.jobs.tables import read_record, write_record
from unet_core.settings import Settings

State = Literal["idle", "running", "finished", "failed", "cancelled"]
Report = Callable[[str, int, int], None]  # phase, done, total (0 if unknown)

STARTING = "starting"
HEARTBEAT_SECONDS = 0.5
START_SECONDS = 60.0  # the longest that a new process may take to hold its lock
_INTERRUPT_SECONDS, _END_SECONDS = 3.0, 13.0  # after a cancel: interrupt what hangs, then end the process


class JobError(UNetError):
    """A job that cannot be started; the text says why."""


@dataclass(frozen=True)
class JobStatus:
    """A job's status. Times are seconds since 1970; what `done` and `total` count depends on the phase."""

    state: State = "idle"
    phase: str = ""
    done: int = 0
    total: int = 0
    reason: str = ""
    started: float = 0.0
    heartbeat: float = 0.0
    pid: int = 0
    phase_started: float = 0.0
    phase_first: int = 0  # `done` at the start of the phase

    @property
    def seconds(self) -> float:
        """How long the job has run, or ran."""
        return max(0.0, self.heartbeat - self.started)

    @property
    def rate(self) -> float:
        """How much of the current phase is done per second; 0 in its first second."""
        seconds = self.heartbeat - self.phase_started
        return (self.done - self.phase_first) / seconds if seconds >= 1 else 0.0


class BackgroundJob:
    """A job and its files called `name` in `folder`: status, lock, request to cancel, log."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._status = folder / f"{name}.status.json"
        self._cancel = folder / f"{name}.cancel"
        self._lock = FileLock(folder / f"{name}.lock")
        self._start_lock = folder / f"{name}.start.lock"

    # --- for readers ----------------------------------------------------------------------------------------------

    def status(self) -> JobStatus:
        """Return the job's status; if its process has disappeared, it has failed. Never raises."""
        found = self._stored()
        if found.state != "running" or _is_starting(found) or is_held(self._lock):
            return found
        found = self._stored()  # it may have finished in the meantime
        if found.state != "running":
            return found
        return dataclasses.replace(found, state="failed", reason="Its process ended unexpectedly: start it again.")

    def start(self, command: Sequence[str], settings: Settings, *, when_idle: bool = False) -> bool:
        """Run `python command…` as a separate process, with `settings` as its environment, see `start_detached`.

        Returns:
            False if it is already running; two callers at once start one process.

        Raises:
            JobError: the folder cannot be written, or no process can be started.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._start_lock, timeout=10):
                if self.status().state == "running":
                    return False
                self._cancel.unlink(missing_ok=True)
                now = time.time()
                self._write(JobStatus("running", STARTING, started=now, heartbeat=now))
                self.log.unlink(missing_ok=True)
                process = start_detached(command, settings, self.log, when_idle=when_idle)
                when_ended(process, lambda code: self._note_end(code, now))
        except Timeout:
            return False  # another process is starting it
        except OSError as error:
            raise JobError(f"{self.folder}: {_disk_sentence(error) or error.strerror or error}") from None
        return True

    def cancel(self) -> bool:
        """Ask the process to stop; False if none is running."""
        if self.status().state != "running":
            return False
        self._cancel.touch()
        return True

    def is_stopping(self) -> bool:
        """Return whether its process was asked to stop and has not ended yet."""
        return self._cancel.exists()

    # --- for the process itself -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self) -> Iterator[Report]:
        """Do the work in this process: hold the lock, keep the status up to date, and end when cancelled.

        Yields:
            A function that the work calls with phase, done and total, as often as it likes; it raises KeyboardInterrupt
            once the job is cancelled. Work that does not call it for seconds is interrupted by a signal.

        Raises:
            JobError: another process is doing this work.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise JobError("Another process is doing this already: wait until it has finished.") from None
        try:
            with interruptible(), _Pulse(self._write, self._cancel).beating() as report:
                yield report
        finally:
            self._cancel.unlink(missing_ok=True)
            self._lock.release()

    # --- files ----------------------------------------------------------------------------------------------------

    def _stored(self) -> JobStatus:
        return read_record(self._status, JobStatus) or JobStatus()

    def _write(self, status: JobStatus) -> None:
        # Written twice a second, so a lost write does not matter: do not wait for a busy disk.
        write_record(self._status, status, durable=False)

    def _note_end(self, code: int, started: float) -> None:
        """Record that the process started then failed at its start, before it could record that itself."""
        found = self._stored()
        if found.state == "running" and found.phase == STARTING and found.started == started:
            reason = last_line(self.log) or f"Its process ended at once with code {code}."
            with contextlib.suppress(OSError):
                self._write(dataclasses.replace(found, state="failed", reason=reason, heartbeat=time.time()))


def _is_starting(status: JobStatus) -> bool:
    # A clock may be set back: a start in the future is not a recent one.
    return status.phase == STARTING and abs(time.time() - status.started) < START_SECONDS


class _Pulse:
    """Writes a job's status twice a second, and checks for the request to cancel."""

    def __init__(self, write: Callable[[JobStatus], None], cancel: Path) -> None:
        now = time.time()
        self._write = write
        self._cancel = cancel
        self._status = JobStatus("running", started=now, heartbeat=now, pid=os.getpid(), phase_started=now)
        self._worker = threading.current_thread()
        self._cancelled_at: float | None = None
        self._interrupted = False

    def report(self, phase: str, done: int, total: int) -> None:
        if self._cancelled_at is not None:
            raise KeyboardInterrupt
        changes: dict[str, Any] = {"phase": phase, "done": done, "total": total}
        if phase != self._status.phase:
            changes |= {"phase_started": time.time(), "phase_first": done}
        self._status = dataclasses.replace(self._status, **changes)

    @contextlib.contextmanager
    def beating(self) -> Iterator[Report]:
        """Run for the length of a `with` block, and write how the block ended."""
        self._write(self._status)
        error: BaseException | None = None
        try:
            with repeatedly(HEARTBEAT_SECONDS, self._beat):
                yield self.report
        except BaseException as raised:
            error = raised
            raise
        finally:
            state, reason = _outcome(error, self._cancelled_at is not None)
            with contextlib.suppress(OSError):  # a full disk must not hide what went wrong
                self._write(dataclasses.replace(self._status, state=state, reason=reason, heartbeat=time.time()))

    def _beat(self) -> bool:
        with contextlib.suppress(OSError):
            self._write(dataclasses.replace(self._status, heartbeat=time.time()))
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic() if self._cancel.exists() else None
            return True
        waited = time.monotonic() - self._cancelled_at
        if waited > _INTERRUPT_SECONDS and not self._interrupted and self._worker is threading.main_thread():
            self._interrupted = True
            signal.pthread_kill(self._worker.ident or 0, signal.SIGINT)
        if waited > _END_SECONDS:  # stuck in native code
            self._write(dataclasses.replace(self._status, state="cancelled", heartbeat=time.time()))
            os._exit(1)
        return True


def _outcome(error: BaseException | None, cancelled: bool) -> tuple[State, str]:
    if error is None:
        return "finished", ""
    if isinstance(error, KeyboardInterrupt):
        return "cancelled", "" if cancelled else "It was interrupted."
    return "failed", failure_sentence(error)


def failure_sentence(error: BaseException) -> str:
    """Say in one sentence why a job failed."""
    text = " ".join(str(error).split())
    if sentence := _disk_sentence(error):
        return sentence
    if isinstance(error, ValueError) and text:
        return text
    return f"{type(error).__name__}: {text[:300]}"


def _disk_sentence(error: BaseException) -> str:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or (isinstance(error, sqlite3.OperationalError) and "full" in str(error)):
        return "The disk is full: free some space and try again."
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return "This folder is not writable: choose another one in the settings."
    return ""
