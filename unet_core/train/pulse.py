"""A worker's background thread: keeps the status up to date, samples memory and speed, and enforces a stop."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator

from unet_core.jobs.memory import memory_mb
from unet_core.jobs.process import repeatedly
from unet_core.train.run_directory import RunDirectory, Status

BEAT_SECONDS = 1.0
_CHECK_SECONDS = 0.1
GRACE_SECONDS = 0.8  # a step that goes on for longer after a request to stop is cut off


class Pulse:
    """Updates status.json and system.csv from a thread of its own, for the length of a `with` block.

    Args:
        run: the directory.
        status: the run's status at the start; `self.status` afterwards.
        force_stop: called from the thread when the run still goes on `GRACE_SECONDS` after a request to stop: a single
            step of a big network can take half a minute. None waits for the step.
    """

    def __init__(self, run: RunDirectory, status: Status, force_stop: Callable[[], None] | None = None) -> None:
        self.run, self.status = run, status
        self.images = 0  # trained so far
        self._force_stop = force_stop
        self._changing = threading.Lock()
        self._beat, self._stop_seen = time.monotonic(), 0.0
        self._sampled = (self._beat, _processor_seconds(), 0)

    def update(self, **changes: int | str) -> None:
        """Change fields of the status; a new phase or epoch is written at once, the rest with the next beat."""
        with self._changing:
            before, self.status = self.status, dataclasses.replace(self.status, **changes)
            if (before.phase, before.epoch) != (self.status.phase, self.status.epoch):
                self.run.write_status(self.status)

    @contextlib.contextmanager
    def beating(self) -> Iterator[Pulse]:
        """Run the thread for the length of a `with` block."""
        self.run.write_status(self.status)
        with repeatedly(_CHECK_SECONDS, self._check):
            yield self

    def _check(self) -> bool:
        now = time.monotonic()
        with contextlib.suppress(OSError):  # a full disk ends the run where it writes its weights
            if now - self._beat >= BEAT_SECONDS:
                self._beat = now
                with self._changing:
                    self.run.write_status(self.status)
                self._sample(now)
        if self._force_stop is None or not self.run.stop_requested():
            return True
        self._stop_seen = self._stop_seen or now
        if now - self._stop_seen < GRACE_SECONDS:
            return True
        self._force_stop()
        return False

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


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system
