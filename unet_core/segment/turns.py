"""Taking turns: only so many photos are worked on at a time in one process, and whoever waits can be told so."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TELL_SECONDS = 0.25  # how often somebody who waits is told how many are before them

OnWait = Callable[[int], None]  # how many are before this one


class Turns:
    """A semaphore whose queue is fair and visible.

    Args:
        limit: how many may work at a time.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit: must be at least 1. Received: {limit}")
        self.limit = limit
        self._working = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def working(self) -> int:
        """How many are at work."""
        return self._working

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    @contextmanager
    def turn(self, on_wait: OnWait | None = None) -> Iterator[None]:
        """Wait for one's turn, in the order of coming, and hold it.

        Args:
            on_wait: called a few times a second while waiting, never when the turn comes at once; an exception from it
                gives the place up.
        """
        self._enter(on_wait or (lambda before: None))
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _enter(self, on_wait: OnWait) -> None:
        place = object()
        with self._changed:
            self._queue.append(place)
        try:
            while not self._admitted(place):
                on_wait(max(0, self._before(place)))  # outside the lock: it may take its time, or never return
                with self._changed:
                    self._changed.wait_for(lambda: self._is_next(place), TELL_SECONDS)
        except BaseException:
            with self._changed:
                self._queue.remove(place)
                self._changed.notify_all()
            raise

    def _admitted(self, place: object) -> bool:
        with self._changed:
            if not self._is_next(place):
                return False
            self._queue.popleft()
            self._working += 1
            self._changed.notify_all()  # the next in the queue may have room beside this one
            return True

    def _is_next(self, place: object) -> bool:
        return self._working < self.limit and bool(self._queue) and self._queue[0] is place

    def _before(self, place: object) -> int:
        with self._changed:
            return self._queue.index(place) + self._working
