"""A concurrency limit on the photos that a process segments at a time, with a fair queue that reports positions."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

REPORT_SECONDS = 0.25  # between two reports of the position in the queue

OnWait = Callable[[int], object]  # called with the number of photos ahead


@dataclass(frozen=True, eq=False)
class _Ticket:
    owner: Hashable
    called: threading.Event = field(default_factory=threading.Event)  # it is probably this one's turn


class Turn:
    """A slot that is held; long work gives way between its parts."""

    def __init__(self, limit: ConcurrencyLimit, owner: Hashable, on_wait: OnWait) -> None:
        self._limit, self._owner, self._on_wait = limit, owner, on_wait
        self.held = True

    def give_way(self) -> None:
        """Let whoever waits go first; returns with a slot held again, at once if nobody waits.

        An exception from `on_wait` leaves the queue, and no slot is held.
        """
        if self._limit.waiting:
            self._limit.release()
            self.held = False
            self._limit.enter(self._owner, self._on_wait)
            self.held = True


class ConcurrencyLimit:
    """A semaphore whose slots go round the owners of the work, not to whoever came first.

    The owner that was served longest ago is next, so one with twenty photos delays each of the others by one photo.
    Work without an owner is served in order of arrival.

    Args:
        limit: the number of slots.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit: must be at least 1. Received: {limit}")
        self.limit = limit
        self._working = 0
        self._queue: list[_Ticket] = []  # in order of arrival
        self._served: dict[Hashable, int] = {}  # when each owner was last given a slot; empty while all is idle
        self._count = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def working(self) -> int:
        """The number of slots in use."""
        return self._working

    @property
    def waiting(self) -> int:
        """The length of the queue."""
        return len(self._queue)

    @contextmanager
    def slot(self, on_wait: OnWait | None = None, owner: Hashable = None) -> Iterator[Turn]:
        """Wait for a slot, and hold it.

        Args:
            on_wait: called a few times a second while waiting; not called if a slot is free. An exception from it
                leaves the queue.
            owner: whose work it is, such as a session.
        """
        report = on_wait or (lambda before: None)
        self.enter(owner, report)
        turn = Turn(self, owner, report)
        try:
            yield turn
        finally:
            if turn.held:
                self.release()

    def enter(self, owner: Hashable, on_wait: OnWait) -> None:
        """Wait until a slot is given; `slot` and `Turn.give_way` call it."""
        ticket = _Ticket(owner)
        with self._lock:
            self._queue.append(ticket)
            self._call_next()
        try:
            while not self._admitted(ticket):
                on_wait(max(0, self._before(ticket)))  # outside the lock: it may be slow, or raise
                ticket.called.wait(REPORT_SECONDS)
        except BaseException:
            with self._lock:
                self._queue.remove(ticket)
                self._call_next()
            raise

    def release(self) -> None:
        """Free a slot."""
        with self._lock:
            self._working -= 1
            if not self._working and not self._queue:
                self._served.clear()
            self._call_next()

    def _admitted(self, ticket: _Ticket) -> bool:
        with self._lock:
            if self._next() is not ticket:
                ticket.called.clear()
                return False
            self._queue.remove(ticket)
            self._working += 1
            if ticket.owner is not None:
                self._served[ticket.owner] = next(self._count)
            self._call_next()  # another slot may be free
            return True

    def _call_next(self) -> None:
        """Wake whose turn it is, and nobody else: a full room would otherwise wake for each photo."""
        ticket = self._next()
        if ticket is not None:
            ticket.called.set()

    def _next(self) -> _Ticket | None:
        return self._in_turn()[0] if self._queue and self._working < self.limit else None

    def _in_turn(self) -> list[_Ticket]:
        """Return the queue in the order in which it is served: round after round, one ticket of each owner."""
        if len(self._queue) < 2:
            return self._queue
        rounds: dict[Hashable, int] = {}
        order = []
        for arrival, ticket in enumerate(self._queue):
            if ticket.owner is None:
                order.append((0, 0, arrival, ticket))
                continue
            number = rounds[ticket.owner] = rounds.get(ticket.owner, -1) + 1
            order.append((number, self._served.get(ticket.owner, 0), arrival, ticket))
        return [ticket for *_, ticket in sorted(order, key=lambda entry: entry[:3])]

    def _before(self, ticket: _Ticket) -> int:
        with self._lock:
            return self._in_turn().index(ticket) + self._working
