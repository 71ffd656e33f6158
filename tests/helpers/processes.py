"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable

from unet_core.train.run_directory import RunDirectory


def wait_until(condition: Callable[[], object], what: str, seconds: float = 240) -> None:
    """Return once `condition()` is true; the limit only ends a test that would otherwise hang."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for: {what}"
        time.sleep(0.02)


def wait_for_end(run: RunDirectory) -> str:
    """Wait until nobody works on a run, and return its state."""
    wait_until(lambda: not run.status().active and run.status().state != "queued", f"the end of {run}")
    return run.status().state


def told(run: RunDirectory) -> str:
    """Return what a failed assertion should show of a run."""
    worker = run.path / "worker.txt"
    return f"{run.status()}\n{run.log_tail()}\n{worker.read_text() if worker.exists() else ''}"
