"""A run's worker: the process of its own that trains it, from its start to the record of how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import time

import psutil

from unet_core.jobs.process import last_line, start_detached
from unet_core.settings import Settings
from unet_core.train.run_directory import STARTING, RunDirectory

_KILLED = (
    "its process was killed (signal {number}), as the system does when the memory is full: resume it, or start it "
    "again with a smaller batch_size or model"
)


def start_worker(run: RunDirectory, settings: Settings) -> subprocess.Popen[bytes] | None:
    """Start the run's worker on this machine, where it outlives this process; None if the system refuses.

    Raises:
        OSError: the status cannot be written; then nothing was started.
    """
    waited, now = run.status(), time.time()
    here = {"pid": os.getpid(), "host": socket.gethostname(), "launched": now, "started": now, "finished": 0.0}
    status = dataclasses.replace(waited, state="running", phase=STARTING, reason="", **here)
    run.write_status(status)  # before the process exists: an unrecorded one would be started again and again
    try:
        process = _start_process(run, settings)
    except OSError as error:
        reason = f"its process could not be started: {error.strerror or error}"
        run.write_status(dataclasses.replace(waited, state="failed", reason=reason))
        return None
    try:
        run.write_status(dataclasses.replace(status, pid=process.pid))
        run.forget_test()
    except OSError:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            run.write_status(waited)
        raise
    return process


def _start_process(run: RunDirectory, settings: Settings) -> subprocess.Popen[bytes]:
    command = ["-m", "unet_core", "train", "--run", str(run.path.resolve()), "--resume"]
    return start_detached(command, settings, run.path / "worker.txt")


def record_end(run: RunDirectory, pid: int, code: int) -> None:
    """Record how the worker `pid` ended, unless it has done so itself."""
    status = run.status()
    if status.state != "interrupted" or status.pid != pid:
        return  # the worker has recorded its end
    if code < 0:
        number = -code
        reason = _KILLED.format(number=number) if number == signal.SIGKILL else f"its process ended by signal {number}"
        run.write_status(dataclasses.replace(status, reason=reason, phase="", task=""))
    elif status.phase == STARTING:
        said = last_line(run.path / "worker.txt") or f"its process ended at once with code {code}"
        run.write_status(dataclasses.replace(status, state="failed", reason=said, phase="", task=""))


def is_worker(pid: int, run: RunDirectory) -> bool:
    """Return whether the process is the run's, not another one with the same number after a restart of the machine."""
    with contextlib.suppress(psutil.Error):  # it has ended, or belongs to another user
        return any(run.id in argument for argument in psutil.Process(pid).cmdline())
    return False
