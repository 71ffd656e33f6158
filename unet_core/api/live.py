"""Pictures of a camera, one after the other: who may send them, and the outline that comes back for each."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from unet_core.api.problems import Problem
from unet_core.images.checks import ImageError
from unet_core.jobs.photo_work import PHOTOS, StoppingError
from unet_core.segment.display import segment_for_display
from unet_core.segment.segmentation import Failure
from unet_core.segment.segmenter import Segmenter
from unet_core.segment.shown import Question, QuickOutline
from unet_core.segment.turns import concurrency_limit

MAX_MEGABYTES = 0.3  # of one picture
FRAME_SIDE = 512  # pixels on the longer side of the outline
_MAX_VISITS = 500
_OUTLINE = QuickOutline()
_QUESTION = Question("picture", wanted=(_OUTLINE,), side=FRAME_SIDE)
_PAUSES = 3  # times what a frame took, while others segment photos


@dataclass(eq=False)
class Visit:
    """One page that may send pictures: for whom, to which model, and whether it is still open."""

    owner: Hashable
    segmenter: Segmenter
    is_open: Callable[[], bool]
    sending: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Outline:
    """A picture's outline, and what its sender has to know.

    Attributes:
        png: the subject's opacity, an 8-bit grey PNG.
        timings: milliseconds from the picture's bytes to its outline, by stage.
        waited: milliseconds until it was the picture's turn.
        pause: milliseconds that the sender leaves to others before the next picture.
    """

    png: bytes
    timings: dict[str, float]
    waited: float
    pause: float


class Visits:
    """The pages that may send pictures, by a random ticket that only the page's own browser gets."""

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}
        self._changing = threading.Lock()

    def admit(self, owner: Hashable, segmenter: Segmenter, is_open: Callable[[], bool]) -> str:
        """Return a ticket, which holds while `is_open` returns True; tickets of closed pages are forgotten."""
        ticket = secrets.token_urlsafe(24)
        with self._changing:
            self._visits = {key: visit for key, visit in self._visits.items() if visit.is_open()}
            while len(self._visits) >= _MAX_VISITS:
                del self._visits[next(iter(self._visits))]
            self._visits[ticket] = Visit(owner, segmenter, is_open)
        return ticket

    def holds(self, ticket: str) -> bool:
        """Return whether pictures may be sent with a ticket."""
        visit = self._visits.get(ticket)
        return visit is not None and visit.is_open()

    def of(self, ticket: str) -> Visit:
        """Return the visit of a ticket.

        Raises:
            Problem: the ticket is unknown, or its page is closed.
        """
        visit = self._visits.get(ticket)
        if visit is None or not visit.is_open():
            raise Problem(401, "The page that sends this picture is not open any more: reload it.")
        return visit


VISITS = Visits()  # of this process


def outline(visit: Visit, picture: bytes, still_wanted: Callable[[], object]) -> Outline:
    """Segment one picture when it is its visitor's turn.

    Raises:
        Problem: the visit has a picture on its way already.
        ImageError: the picture cannot be used.
        StoppingError: the server is stopping.
    """
    if PHOTOS.counts().stopping:
        raise StoppingError("The server is restarting: try again in a minute.")
    if not visit.sending.acquire(blocking=False):
        raise Problem(429, "This page has a picture on its way: wait for its outline.", {"Retry-After": "1"})
    try:
        limit, start = concurrency_limit(visit.segmenter.settings), time.perf_counter()
        with limit.slot(lambda before: still_wanted(), owner=visit.owner):
            began = time.perf_counter()
            found = segment_for_display(visit.segmenter, picture, _QUESTION)
            took = 1000 * (time.perf_counter() - began)
            busy = limit.waiting or limit.working > 1
        if isinstance(found, Failure):
            raise ImageError(found.message)
        return Outline(
            found.pictures[_OUTLINE],
            dict(found.packed.timings),
            1000 * (began - start),
            _PAUSES * took if busy else 0.0,
        )
    finally:
        visit.sending.release()
