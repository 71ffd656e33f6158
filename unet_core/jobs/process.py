"""Separate processes: starting one, watching it, and the code that runs inside it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from unet_core.settings import ROOT, Settings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_SECONDS = 2.0  # how long to wait for a lock: `is_held` may hold it for an instant
_MAX_LENGTH = 500  # characters
_BACKGROUND = 10  # niceness: beside work of normal priority, about a tenth of the processor


# --- starting a process and watching it -------------------------------------------------------------------------------


def start_detached(
    command: Sequence[str], settings: Settings, log: Path, *, when_idle: bool = False
) -> subprocess.Popen[bytes]:
    """Run `python command…` in a session of its own: it outlives this process, and Ctrl-C does not reach it.

    It has a low priority, so that a training takes only the time that visitors leave.

    Args:
        command: what follows `python`.
        settings: passed on as its environment.
        log: its output is appended to this file.
        when_idle: on Linux, it also gives way at once to all else that wants its core.

    Raises:
        OSError: the system refuses, or the log cannot be written.
    """
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **settings_environment(settings)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    with contextlib.suppress(psutil.Error, OSError):  # it may have ended already
        # All its threads inherit this, since it has only one yet.
        psutil.Process(process.pid).nice(_BACKGROUND if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
    if when_idle and sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        # Linux shares the processor among sessions first where autogroups are on, niceness counts inside one: sched(7).
        Path(f"/proc/{process.pid}/autogroup").write_text(str(_BACKGROUND), encoding="ascii")
    return process


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables from which another process reads the same settings."""
    return {f"UNET_{field.upper()}": str(value) for field, value in settings.model_dump().items()}


def when_ended(process: subprocess.Popen[bytes], call: Callable[[int], None]) -> None:
    """Call `call` with the exit code from a thread of its own; waiting also keeps the process from staying a zombie."""
    threading.Thread(target=lambda: call(process.wait()), daemon=True).start()


def last_line(log: Path) -> str:
    """Return the last line that a process has printed, without "error: "; empty if there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].removeprefix("error: ")[:_MAX_LENGTH] if lines else ""


def is_held(lock: FileLock) -> bool:
    """Return whether a process holds a lock; several may ask at once without disturbing one another."""
    if lock.is_locked:
        return True
    if fcntl is None:
        return _is_held_alone(Path(lock.lock_file))
    try:
        descriptor = os.open(lock.lock_file, os.O_RDONLY)
    except OSError:  # it has never been held
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_held_alone(path: Path) -> bool:
    """Do the same on a system without shared locks, where two that ask at once may both get True."""
    probe = FileLock(path)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a read-only folder: no process works in it
        return False
    probe.release()
    return False


# --- in the process ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def repeatedly(seconds: float, call: Callable[[], bool]) -> Iterator[None]:
    """Call `call` every `seconds` from a thread of its own, until the `with` block ends or it returns False."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds) and call():
            pass

    thread = threading.Thread(target=beat, daemon=True, name="pulse")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT, which a shell may have switched off, and SIGTERM raise KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
