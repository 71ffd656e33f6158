"""Photos take turns: all that segments photos in this process shares one queue, one count and one graceful stop."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from unet_core.jobs.photo_work import PHOTOS, Accepted
from unet_core.segment.concurrency import ConcurrencyLimit, OnWait, Turn
from unet_core.segment.tiles import Progress
from unet_core.settings import Settings


def concurrency_limit(settings: Settings) -> ConcurrencyLimit:
    """Return this process's concurrency limit, shared by all that segment photos in it."""
    return _concurrency_limit(settings.max_concurrent)


@cache
def _concurrency_limit(limit: int) -> ConcurrencyLimit:
    return ConcurrencyLimit(limit)


@dataclass(frozen=True, eq=False)
class PhotoTurn:
    """One photo's turn: `between` is the progress to report between tiles, where others go first."""

    between: Progress
    _accepted: Accepted

    def fail(self) -> None:
        """Count the photo as failed."""
        self._accepted.failed = True


@contextmanager
def photo_turn(
    settings: Settings,
    owner: Hashable,
    *,
    still_wanted: Callable[[], object] = lambda: None,
    on_wait: OnWait | None = None,
    progress: Progress | None = None,
) -> Iterator[PhotoTurn]:
    """Accept one photo, wait for its turn, and hold a slot for it.

    Args:
        settings: say how many photos are segmented at a time.
        owner: whose photo it is, such as a visitor; turns go round the owners.
        still_wanted: called while waiting and between tiles; an exception from it ends the work.
        on_wait: called with the number of photos ahead while waiting.
        progress: called with the tiles done and their total.

    Raises:
        StoppingError: the server is stopping.
    """

    def wait(before: int) -> None:
        still_wanted()
        if on_wait:
            on_wait(before)

    def between(turn: Turn, done: int, total: int) -> None:
        still_wanted()
        if progress:
            progress(done, total)
        turn.give_way()

    with PHOTOS.accepted() as accepted, concurrency_limit(settings).slot(wait, owner=owner) as turn:
        accepted.running = True
        yield PhotoTurn(lambda done, total: between(turn, done, total), accepted)
