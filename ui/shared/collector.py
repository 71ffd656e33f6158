"""Collects garbage and returns memory to the system at quiet moments.

Streamlit's own full collection after every script run takes longer than the script itself
(`runner.postScriptGC` in .streamlit/config.toml). Here it waits until nobody has opened or changed a page for a second,
but no longer than half a minute; objects that live on, such as modules, are then left out of automatic collections.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time

from streamlit import runtime

from ui.shared import server
from unet_core.jobs.memory import give_back, rest

QUIET_SECONDS = 1.0
LONGEST_SECONDS = 30.0  # under load, between two collections
FOLLOWING_SECONDS = (60.0, 130.0, 170.0)  # after the last activity: Streamlit ends closed sessions after two minutes


class Collector:
    """A thread that sleeps until there was activity."""

    def __init__(self) -> None:
        self.last_activity = 0.0
        self.collections = 0
        self._active = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def note_activity(self) -> None:
        """Note that a script runs; costs next to nothing."""
        self.last_activity = time.monotonic()
        self._active.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and runtime.exists():
                self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._active.wait()
            self._wait_until_quiet()
            for after in FOLLOWING_SECONDS:
                if self._active.wait(max(0.0, self.last_activity + after - time.monotonic())):
                    break
                self.collect()

    def _wait_until_quiet(self) -> None:
        """Collect once it is quiet, and at intervals until then."""
        started = time.monotonic()
        while (quiet_for := time.monotonic() - self.last_activity) < QUIET_SECONDS:
            if time.monotonic() - started > LONGEST_SECONDS:
                gc.collect()
                give_back()
                started = time.monotonic()
            time.sleep(QUIET_SECONDS - quiet_for)
        self._active.clear()
        self.collect()

    def collect(self) -> None:
        """Collect everything, and spare what is left from automatic collections."""
        _forget_closed_sessions()
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        rest()
        self.collections += 1


def _forget_closed_sessions() -> None:
    """Drop the closed sessions whose two minutes are over, which Streamlit does only when yet another one is closed.

    There is no public way to ask for it; without Streamlit's usual store of sessions, nothing happens.
    """
    loop = server.event_loop()
    manager = getattr(runtime.get_instance(), "_session_mgr", None) if runtime.exists() else None
    expire = getattr(getattr(getattr(manager, "_session_storage", None), "_cache", None), "expire", None)
    if loop is None or expire is None:
        return
    done = threading.Event()
    with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile
        loop.call_soon_threadsafe(lambda: (expire(), done.set()))  # the store belongs to the server's thread
        done.wait(1)


_collector = Collector()
note_activity = _collector.note_activity
