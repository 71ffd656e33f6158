"""The part of a worker that never waits: keeps the status fresh, samples memory and speed, and enforces a stop."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from unet_core.train.run_directory import RunDirectory, Status

BEAT_SECONDS = 1.0
_LOOK_SECONDS = 0.1
GRACE_SECONDS = 0.8  # a step that takes longer than this after a request to stop is not waited for


class Pulse:
    """Keeps status.json and system.csv fresh from a thread of its own, for the length of a `with` block.

    Args:
        run: the directory.
        status: the run's status at the start; `self.status` afterwards.
        force_stop: called from the thread when the run goes on `GRACE_SECONDS` after a request to stop: a single step
            of a big network can take half a minute. None waits for the step.
    """

    def __init__(self, run: RunDirectory, status: Status, force_stop: Callable[[], None] | None = None) -> None:
        self.run, self.status = run, status
        self.images = 0  # trained so far
        self._force_stop = force_stop
        self._ended = threading.Event()
        self._changing = threading.Lock()
        self._thread = threading.Thread(target=self._live, daemon=True, name="pulse")
        self._sampled = (time.monotonic(), _processor_seconds(), 0)

    def update(self, **changes: int | str) -> None:
        """Change fields of the status; a new phase or epoch is written at once, the rest with the next beat."""
        with self._changing:
            before, self.status = self.status, dataclasses.replace(self.status, **changes)
            if (before.phase, before.epoch) != (self.status.phase, self.status.epoch):
                self.run.write_status(self.status)

    def __enter__(self) -> Pulse:
        self.run.write_status(self.status)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _live(self) -> None:
        beat, asked = time.monotonic(), 0.0
        while not self._ended.wait(_LOOK_SECONDS):
            now = time.monotonic()
            with contextlib.suppress(OSError):  # a full disk ends the run where it writes its weights
                if now - beat >= BEAT_SECONDS:
                    beat = now
                    with self._changing:
                        self.run.write_status(self.status)
                    self._sample(now)
            if self._force_stop is None or not self.run.stop_requested():
                continue
            asked = asked or now
            if now - asked >= GRACE_SECONDS:
                self._force_stop()
                return

    def _sample(self, now: float) -> None:
        then, processor_then, images_then = self._sampled
        processor = _processor_seconds()
        self._sampled = (now, processor, self.images)
        self.run.system.append(
            {
                "time": round(time.time(), 3),
                "memory_mb": memory_mb(),
                "cpu_percent": 100 * (processor - processor_then) / (now - then),
                "images_per_second": (self._sampled[2] - images_then) / (now - then),
            }
        )


def memory_mb() -> float:
    """Return the memory of this process that lies in RAM, in MB; its peak where the system tells only that."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return peak_memory_mb()


def peak_memory_mb() -> float:
    """Return the most memory of this process that lay in RAM at a time, in MB.

    Linux hands `ru_maxrss` down through `exec`: the worker of a web process of 2 GB would seem to have needed 2 GB
    itself. VmHWM (proc_pid_status(5)) begins anew with each program.
    """
    with contextlib.suppress(OSError, StopIteration), open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system
