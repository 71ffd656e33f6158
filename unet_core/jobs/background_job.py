"""Work that takes minutes, in a process of its own: started once, watched through a small file, cancelled by another.

The process holds a lock for as long as it lives, which the system takes back even when it is killed; so a reader can
tell work that goes on from work whose process is gone. Imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from unet_core.errors import UNetError
from unet_core.settings import ROOT, Settings

State = Literal["idle", "running", "finished", "failed", "cancelled"]
Report = Callable[[str, int, int], None]  # phase, done, total (0 where nobody knows)

STARTING = "starting"
HEARTBEAT_SECONDS = 0.5
START_SECONDS = 60.0  # from its start a process may take so long until it holds its lock
LOCK_SECONDS = 2.0  # a reader may hold the lock for an instant to see whether a process does
_INTERRUPT_SECONDS, _END_SECONDS = 3.0, 13.0  # after a cancel: interrupt what hangs, then end it the hard way


class JobError(UNetError):
    """A job that cannot be started; the text says why."""


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands. Times are seconds since 1970; what `done` and `total` count depends on the phase."""

    state: State = "idle"
    phase: str = ""
    done: int = 0
    total: int = 0
    reason: str = ""
    started: float = 0.0
    heartbeat: float = 0.0
    pid: int = 0
    phase_started: float = 0.0
    phase_first: int = 0  # what was done already when the phase began

    @property
    def seconds(self) -> float:
        """How long the job has run, or ran."""
        return max(0.0, self.heartbeat - self.started)

    @property
    def rate(self) -> float:
        """How much of the present phase is done in a second; 0 in its first moments."""
        seconds = self.heartbeat - self.phase_started
        return (self.done - self.phase_first) / seconds if seconds >= 1 else 0.0


class BackgroundJob:
    """One kind of work on one thing, as files called `name` in `folder`: status, lock, request to cancel, log."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._status = folder / f"{name}.status.json"
        self._cancel = folder / f"{name}.cancel"
        self._lock = folder / f"{name}.lock"
        self._start_lock = folder / f"{name}.start.lock"

    # --- for readers ----------------------------------------------------------------------------------------------

    def status(self) -> JobStatus:
        """Return where the job stands; one whose process is gone is told as failed. Never raises."""
        found = self._stored()
        if found.state != "running" or self._is_starting(found) or self._is_held():
            return found
        found = self._stored()  # it may have finished between the two looks
        if found.state != "running":
            return found
        return dataclasses.replace(found, state="failed", reason="Its process ended without a word: start it again.")

    def start(self, command: Sequence[str], settings: Settings) -> bool:
        """Run `python command…` as a process of its own, with `settings` as its environment.

        Returns:
            False where it runs already; two callers at once start one process.

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
                self._spawn(command, settings)
        except Timeout:
            return False  # somebody else is starting it
        except OSError as error:
            raise JobError(f"{self.folder}: {_disk_sentence(error) or error.strerror or error}") from None
        return True

    def cancel(self) -> bool:
        """Ask the process to stop; False where none runs."""
        if self.status().state != "running":
            return False
        self._cancel.touch()
        return True

    # --- for the process itself -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self) -> Iterator[Report]:
        """Be the process that does the work: holds the lock, keeps the status fresh, and ends when cancelled.

        Yields:
            What the work calls with phase, done and total, as often as it likes; it raises KeyboardInterrupt once the
            work was cancelled. Work that does not call it for seconds is interrupted by a signal.

        Raises:
            JobError: another process does this work.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock)
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise JobError("Another process is doing this already: wait until it has finished.") from None
        try:
            with _interruptible(), _Pulse(self._write, self._cancel) as pulse:
                yield pulse.report
        finally:
            self._cancel.unlink(missing_ok=True)
            lock.release()

    # --- files ----------------------------------------------------------------------------------------------------

    def _stored(self) -> JobStatus:
        try:
            values = json.loads(self._status.read_text(encoding="utf-8"))
            known = {field.name for field in dataclasses.fields(JobStatus)}
            return JobStatus(**{key: value for key, value in values.items() if key in known})
        except (OSError, ValueError, AttributeError, TypeError):
            return JobStatus()

    def _write(self, status: JobStatus) -> None:
        temporary = self._status.with_name(f".{self._status.name}.{os.getpid()}.{threading.get_ident()}.part")
        temporary.write_text(json.dumps(dataclasses.asdict(status)) + "\n", encoding="utf-8")
        os.replace(temporary, self._status)

    @staticmethod
    def _is_starting(status: JobStatus) -> bool:
        return status.phase == STARTING and time.time() - status.started < START_SECONDS

    def _is_held(self) -> bool:
        probe = FileLock(self._lock)
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:  # a read-only folder: nobody works in it
            return False
        probe.release()
        return False

    def _spawn(self, command: Sequence[str], settings: Settings) -> None:
        environment = {**os.environ, **settings_environment(settings)}
        with open(self.log, "wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the web server's Ctrl-C is not meant for it
            )
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the process, so that it does not stay as a zombie, and say so when it fell over at its start."""
        process.wait()
        found = self._stored()
        if found.state == "running" and found.phase == STARTING:
            reason = self._last_words() or f"Its process ended at once with code {process.returncode}."
            with contextlib.suppress(OSError):
                self._write(dataclasses.replace(found, state="failed", reason=reason, heartbeat=time.time()))

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1].removeprefix("error: ")[:500] if lines else ""


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT, which a shell may have switched off for us, and SIGTERM raise KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Pulse:
    """Writes a job's status twice a second, and looks for the request to cancel."""

    def __init__(self, write: Callable[[JobStatus], None], cancel: Path) -> None:
        now = time.time()
        self._write = write
        self._cancel = cancel
        self._status = JobStatus("running", started=now, heartbeat=now, pid=os.getpid(), phase_started=now)
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._worker = threading.current_thread()
        self._ended = threading.Event()
        self._cancelled = False

    def report(self, phase: str, done: int, total: int) -> None:
        if self._cancelled:
            raise KeyboardInterrupt
        changes: dict[str, Any] = {"phase": phase, "done": done, "total": total}
        if phase != self._status.phase:
            changes |= {"phase_started": time.time(), "phase_first": done}
        self._status = dataclasses.replace(self._status, **changes)

    def __enter__(self) -> _Pulse:
        self._write(self._status)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._ended.set()
        self._thread.join()
        state, reason = _outcome(error, self._cancelled)
        with contextlib.suppress(OSError):  # a full disk must not hide what went wrong
            self._write(dataclasses.replace(self._status, state=state, reason=reason, heartbeat=time.time()))

    def _beat(self) -> None:
        cancelled_at = interrupted = 0.0
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):
                self._write(dataclasses.replace(self._status, heartbeat=time.time()))
            if not self._cancelled:
                self._cancelled = self._cancel.exists()
                cancelled_at = time.monotonic()
                continue
            waited = time.monotonic() - cancelled_at
            if waited > _INTERRUPT_SECONDS and not interrupted and self._worker is threading.main_thread():
                interrupted = waited
                signal.pthread_kill(self._worker.ident or 0, signal.SIGINT)
            if waited > _END_SECONDS:  # stuck in native code
                self._write(dataclasses.replace(self._status, state="cancelled", heartbeat=time.time()))
                os._exit(1)


def _outcome(error: BaseException | None, cancelled: bool) -> tuple[State, str]:
    if error is None:
        return "finished", ""
    if isinstance(error, KeyboardInterrupt):
        return "cancelled", "" if cancelled else "It was interrupted."
    return "failed", failure_sentence(error)


def failure_sentence(error: BaseException) -> str:
    """Say in one sentence what ended a piece of work."""
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
        return "This folder may not be written to: choose another one in the settings."
    return ""


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables from which another process reads the same settings."""
    return {f"UNET_{field.upper()}": str(value) for field, value in settings.model_dump().items()}
