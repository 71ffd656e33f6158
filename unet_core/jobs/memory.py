"""The memory of this process: how much it uses, and returning to the system what the C library keeps."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Callable

import psutil

DELAY_SECONDS = 1.0

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # glibc's names for options of mallopt
_ARENAS, _OWN_PAGES_BYTES = 2, 4 * 2**20

_planned = threading.Lock()


def memory_mb() -> float:
    """Return the resident memory of this process, in MB."""
    return psutil.Process().memory_info().rss / 1e6


def peak_memory_mb() -> float:
    """Return the peak resident memory of this process, in MB.

    Linux hands `ru_maxrss` down through `exec`: the worker of a web process of 2 GB would seem to have needed 2 GB
    itself. VmHWM (proc_pid_status(5)) starts from zero with each program.
    """
    with contextlib.suppress(OSError, StopIteration), open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def give_back() -> None:
    """Return free memory to the system, within milliseconds; does nothing if the C library is not glibc."""
    _trim()(0)


at_rest: list[Callable[[], object]] = []  # what `rest` calls first, to free what is kept only for speed


def rest() -> None:
    """Free what is kept only for speed, and return it to the system; for moments in which nothing is computed."""
    for free in at_rest:
        free()
    give_back()


def give_back_soon() -> None:
    """Call `give_back` from a thread in a second, when objects dropped now are freed; at most one call is pending."""
    if not _planned.acquire(blocking=False):
        return
    timer = threading.Timer(DELAY_SECONDS, _give_back_now)
    timer.daemon = True
    timer.start()


def _give_back_now() -> None:
    _planned.release()
    give_back()


@functools.cache
def keep_together() -> None:
    """Have glibc put big photos on pages of their own, and all threads share two heaps: it keeps less free memory.

    For the whole process, once; does nothing if the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_ARENA_MAX, _ARENAS)
    mallopt(_MMAP_THRESHOLD, _OWN_PAGES_BYTES)


@functools.cache
def _trim() -> Callable[[int], object]:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return lambda pad: None
