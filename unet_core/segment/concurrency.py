"""A concurrency limit on the photos that a process segments at a time, with a fair queue that reports positions."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REPORT_SECONDS = 0.25  # between two reports of the position in the queue

OnWait = Callable[[int], object]  # called with the number of photos ahead


class ConcurrencyLimit:
    """A semaphore with a fair queue that reports positions.

    Args:
        limit: the number of slots.
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
        """The number of slots in use."""
        return self._working

    @property
    def waiting(self) -> int:
        """The length of the queue."""
        return len(self._queue)

    @contextmanager
    def slot(self, on_wait: OnWait | None = None) -> Iterator[None]:
        """Wait for a slot in order of arrival, and hold it.

        Args:
            on_wait: called a few times a second while waiting; not called if a slot is free. An exception from it
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
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
        try:
            while not self._admitted(ticket):
                on_wait(max(0, self._before(ticket)))  # outside the lock: it may be slow, or raise
                with self._changed:
                    self._changed.wait_for(lambda: self._is_next(ticket), REPORT_SECONDS)
        except BaseException:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()
            raise

    def _admitted(self, ticket: object) -> bool:
        with self._changed:
            if not self._is_next(ticket):
                return False
            self._queue.popleft()
            self._working += 1
            self._changed.notify_all()  # another slot may be free for the next in the queue
            return True

    def _is_next(self, ticket: object) -> bool:
        return self._working < self.limit and bool(self._queue) and self._queue[0] is ticket

    def _before(self, ticket: object) -> int:
        with self._changed:
            return self._queue.index(ticket) + self._working
