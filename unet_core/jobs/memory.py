"""Handing freed memory back to the system: big photos come and go, and the C library keeps what they used."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable

DELAY_SECONDS = 1.0

_ARENA_MAX, _MMAP_THRESHOLD = -8, -3  # glibc's names for options of mallopt
_ARENAS, _OWN_PAGES_BYTES = 2, 4 * 2**20

_planned = threading.Lock()


def give_back() -> None:
    """Return what is free to the system, a matter of milliseconds; does nothing where the C library is not glibc."""
    _trim()(0)


def give_back_soon() -> None:
    """Call `give_back` from a thread in a second, when what is being dropped now is gone; at most one such waits."""
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
    """Have glibc put big photos on pages of their own, and all threads share two heaps: less is left lying about.

    For the whole process, once; where the C library is another, nothing happens.
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
