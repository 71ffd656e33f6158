"""A concurrency limit: how many photos one process segments at a time, with a fair queue that can be shown."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REPORT_SECONDS = 0.25  # how often somebody who waits is shown how many are ahead

OnWait = Callable[[int], None]  # how many are ahead of this one


class ConcurrencyLimit:
    """A semaphore whose queue is fair and visible.

    Args:
        limit: how many may hold a slot at a time.
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
        """How many hold a slot."""
        return self._working

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._queue)

    @contextmanager
    def slot(self, on_wait: OnWait | None = None) -> Iterator[None]:
        """Wait for a slot, in the order of arrival, and hold it.

        Args:
            on_wait: called a few times a second while waiting, never when a slot is free at once; an exception from it
                leaves the queue.
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
                    self._changed.wait_for(lambda: self._is_next(place), REPORT_SECONDS)
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
