"""What this process does with photos: counted for operators, and finished before the process stops."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from unet_core.errors import UNetError

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 30.0, 120.0)  # upper bounds of the histogram's buckets
OUTCOMES = "segmented", "failed", "cancelled", "refused"


class StoppingError(UNetError):
    """The server is stopping and accepts no more photos."""


@dataclass(eq=False)
class Accepted:
    """A photo from its acceptance to its result; set `running` when it stops waiting, `failed` if it ends so."""

    running: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Counts:
    """What happened to photos since the process started.

    Attributes:
        outcomes: the number of photos for each of `OUTCOMES`.
        waiting: photos that wait for others.
        running: photos that are being segmented.
        buckets: how many segmented photos took up to each of `SECONDS`, and longer, waiting included.
        seconds: the total time of the segmented photos.
        stopping: new photos are refused.
    """

    outcomes: dict[str, int]
    waiting: int
    running: int
    buckets: tuple[int, ...]
    seconds: float
    stopping: bool


@dataclass
class PhotoWork:
    """Counts photos, and lets a stopping server finish those that it has accepted; safe to use from any thread."""

    _outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    _buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    _seconds: float = 0.0
    _pending: set[Accepted] = field(default_factory=set)
    _stopping: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def accepted(self) -> Iterator[Accepted]:
        """Count one photo from its acceptance to its result.

        Raises:
            StoppingError: the server is stopping.
        """
        photo, outcome, start = Accepted(), "cancelled", time.monotonic()
        with self._changed:
            if self._stopping:
                self._outcomes["refused"] += 1
                raise StoppingError("The server is restarting and accepts no photos: try again in a minute.")
            self._pending.add(photo)
        try:
            yield photo
            outcome = "failed" if photo.failed else "segmented"
        except (UNetError, MemoryError):
            outcome = "failed"
            raise
        finally:
            self._end(photo, outcome, time.monotonic() - start)

    def _end(self, photo: Accepted, outcome: str, seconds: float) -> None:
        with self._changed:
            self._pending.remove(photo)
            self._outcomes[outcome] += 1
            if outcome == "segmented":
                self._buckets[bisect_left(SECONDS, seconds)] += 1
                self._seconds += seconds
            self._changed.notify_all()

    def finish(self, seconds: float) -> bool:
        """Refuse new photos from now on, and wait for the accepted ones; return whether all ended within `seconds`."""
        with self._changed:
            self._stopping = True
            return self._changed.wait_for(lambda: not self._pending, seconds)

    def counts(self) -> Counts:
        """Return what was counted so far."""
        with self._changed:
            running = sum(photo.running for photo in self._pending)
            waiting = len(self._pending) - running
            return Counts(dict(self._outcomes), waiting, running, tuple(self._buckets), self._seconds, self._stopping)


PHOTOS = PhotoWork()  # of this process
