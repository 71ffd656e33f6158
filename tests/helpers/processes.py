"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from unet_core.train.run_directory import RunDirectory

Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found], what: str, seconds: float = 240) -> Found:
    """Return what `condition()` is once it is true; the limit only ends a test that would otherwise hang."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(0.02)
    return found


def wait_for_end(run: RunDirectory) -> str:
    """Wait until nobody works on a run, and return its state."""

    def end_state() -> str:
        status = run.status()  # once: between two looks a waiting run may have started
        return "" if status.active or status.state == "queued" else status.state

    return wait_until(end_state, f"the end of {run}")


def told(run: RunDirectory) -> str:
    """Return what a failed assertion should show of a run."""
    worker = run.path / "worker.txt"
    return f"{run.status()}\n{run.log_tail()}\n{worker.read_text() if worker.exists() else ''}"
