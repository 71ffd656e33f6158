"""The server around the pages: it stops gracefully, and reports metrics to its operators.

`attend` is called when the server starts, or by the first page where Streamlit is started in a way without that hook.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType

import streamlit as st
from streamlit import runtime

from unet_core.errors import ConfigError
from unet_core.jobs.photo_work import PHOTOS
from unet_core.segment import photo_process
from unet_core.settings import Settings, get_settings

_DELIVERY_SECONDS = 1.0  # for the last result to be drawn and to reach its browser
_FORCE_SECONDS = 5.0  # how long Streamlit itself may take to stop

log = logging.getLogger(__name__)
held_bytes: dict[str, Callable[[], int]] = {}  # the bytes that all sessions hold in memory, by kind, for metrics
_attending = threading.Lock()  # taken once by the first page, and never released


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Attend the server from its start on."""
    try:
        attend(get_settings())
    except ConfigError as error:  # every page shows it
        log.error("invalid setting: %s", error)
    yield


def attend(settings: Settings) -> None:
    """Let this process stop gracefully, start that for photos, and report metrics; only the first call does anything.

    Outside a running server, as in tests of a page, it does nothing.
    """
    if _attending.locked() or not _attending.acquire(blocking=False):
        return
    loop = event_loop()
    if loop is None:
        return
    loop.call_soon_threadsafe(_stop_gracefully, loop, settings.stop_seconds)
    photo_process.use_photo_processes(settings.photo_processes)
    photo_process.wake()
    if settings.metrics:
        from ui.shared.metrics import Metrics

        runtime.get_instance().stats_mgr.register_provider(Metrics(settings, held_bytes))


def event_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop of the server, which runs in the main thread; None without a server."""
    if not runtime.exists():
        return None
    stopped = runtime.get_instance().stopped
    return stopped.get_loop() if isinstance(stopped, asyncio.Future) else None


def _stop_gracefully(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """On SIGTERM, finish the accepted photos before Streamlit's own handler stops the server; a second one stops it.

    Must run in the main thread, where signal handlers can be set.
    """
    stop_now = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or not callable(stop_now):
        return

    def stop(number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        if hasattr(signal, "pthread_sigmask"):  # uvicorn sends itself the signal again in the end: no error, but code 0
            signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        stop_now(number, frame)

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, stop)
        log.warning("stopping: photos that were accepted are finished first")
        threading.Thread(
            target=_finish_photos,
            args=(seconds, lambda: loop.call_soon_threadsafe(stop)),
            daemon=True,
            name="graceful-stop",
        ).start()

    signal.signal(signal.SIGTERM, on_signal)


def _finish_photos(seconds: float, stop_server: Callable[[], object]) -> None:
    """Wait for the accepted photos, at most `seconds`, then stop the server; end the process if that hangs."""
    counts = PHOTOS.counts()
    if not PHOTOS.finish(seconds):
        log.warning("stopping: photos are unfinished after %g seconds", seconds)
    elif counts.waiting or counts.running:
        time.sleep(_DELIVERY_SECONDS)
    stop_server()
    time.sleep(_FORCE_SECONDS)
    log.warning("stopping: connections are still open after %g seconds", _FORCE_SECONDS)
    os._exit(0)
