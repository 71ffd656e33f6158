"""Segment the photos of the workspace one by one: what it will take, how far it is, and a button that stops it."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.segment.photos import Photo
from ui.segment.session_results import Choice, Result
from ui.segment.workspace import Workspace
from ui.shared import format as text
from ui.shared import models
from unet_core.errors import UNetError
from unet_core.images.decode import photo_facts
from unet_core.jobs.memory import give_back_soon
from unet_core.segment import Failure
from unet_core.segment.inference import network_runs
from unet_core.segment.shown import Wanted
from unet_core.settings import Settings

ASK_SECONDS = 8.0  # work that takes longer starts only when the visitor asks for it
AGREED = "agreed"  # session key: the work that the visitor asked for, by `work_key`
_REPORT_SECONDS = 0.25  # between two reports of the tiles done


def segmented(
    photos: Sequence[Photo],
    workspace: Workspace,
    choice: Choice,
    settings: Settings,
    slot: DeltaGenerator,
    wanted: Sequence[Wanted] = (),
) -> Iterator[tuple[Photo, Result | Failure]]:
    """Yield each of the workspace's `photos` with its result, in order; missing results are computed.

    Args:
        slot: an `st.empty()` for the progress bar of several photos and for the position in the queue; it stays as it
            is when the caller stops before the last photo.
        wanted: pictures to draw of each new result.

    Raises:
        WeightsError: the model cannot be used.
    """
    model = models.load(choice.model, choice.engine, settings)
    all_photos = workspace.photos
    done = len(all_photos) - len(photos)
    for number, photo in enumerate(photos, done):
        report = Report(slot, work_key(all_photos, choice), number, len(all_photos), photo.name)
        if not workspace.results.has(photo, choice, settings, model=model):
            report.begin()
        found = workspace.results.get(
            photo, choice, settings, model=model, wanted=wanted, on_wait=report.waiting, progress=report.tiles
        )
        yield photo, found
    slot.empty()
    give_back_soon()


# --- before it starts -------------------------------------------------------------------------------------------------


def may_start(photos: Sequence[Photo], workspace: Workspace, choice: Choice, settings: Settings) -> bool:
    """Return whether to segment the photos now; otherwise draw how long it takes and a button that starts it.

    Raises:
        WeightsError: the model cannot be used.
    """
    if choice.mode.kind == "whole":
        return True
    key = work_key(photos, choice)
    if key in st.session_state.get(AGREED, ()):
        return True
    model = models.load(choice.model, choice.engine, settings)
    new = [photo for photo in photos if not workspace.results.has(photo, choice, settings, model=model)]
    runs = sum(_runs(photo, choice, model, settings) for photo in new)
    seconds = runs * model.segmenter.run_seconds() if runs else 0.0
    if seconds <= ASK_SECONDS:
        return True
    what = "this photo" if len(new) == 1 else f"{len(new)} photos"
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="estimate"):
        st.markdown(
            f":material/timer: In tiles, {what} will take about **{text.duration(seconds)}** on this machine: the "
            f"network runs {text.number(runs)} times. You can stop it at any time, or choose a smaller scale.",
            width="stretch",
        )
        st.button("Start", icon=":material/play_arrow:", type="primary", on_click=_agree, args=(key,), key="start-work")
    return False


def work_key(photos: Sequence[Photo], choice: Choice) -> str:
    """Return a short text that identifies these photos with this choice."""
    return f"{choice.key}-{zlib.crc32(''.join(photo.digest for photo in photos).encode()):08x}"


def _runs(photo: Photo, choice: Choice, model: models.Model, settings: Settings) -> int:
    """Return how often the network runs on a photo, 0 for one that is refused at once."""
    try:
        facts = photo_facts(photo.data, name=photo.name, settings=settings)
        return network_runs(model.segmenter, choice.mode, (facts.height, facts.width))
    except UNetError:
        return 0


def _agree(key: str) -> None:
    st.session_state.setdefault(AGREED, set()).add(key)


def _stop(key: str) -> None:
    st.session_state.get(AGREED, set()).discard(key)


# --- while it runs ----------------------------------------------------------------------------------------------------


class Report:
    """Draws how far the work on a photo is: its position in the queue, then its tiles, with a button that stops.

    Args:
        slot: an `st.empty()`.
        key: of the work, see `work_key`.
        number, count: which of the photos it is.
        name: the photo's name, shown if there are several.
    """

    def __init__(self, slot: DeltaGenerator, key: str, number: int = 0, count: int = 1, name: str = "") -> None:
        self._slot, self._key, self._number, self._count, self._name = slot, key, number, count, name
        self._bar: DeltaGenerator | None = None
        self._began = self._reported = time.monotonic()

    def begin(self) -> None:
        """Draw which of several photos is next."""
        if self._count > 1:
            self._draw(0.0, self._title())

    def waiting(self, before: int) -> None:
        """Draw the position in the queue behind `before` photos of other visitors."""
        self._draw(0.0, f":material/hourglass_top: {waiting(before)}")

    def tiles(self, done: int, total: int) -> None:
        """Draw the tiles done; a rerun or a closed tab ends the work here."""
        now = time.monotonic()
        if done == 0:
            self._began = now
        if now - self._reported < _REPORT_SECONDS or done == 0:
            return
        self._reported = now
        left = (now - self._began) / done * (total - done)
        ending = f"tile {text.number(done)} of {text.number(total)}, about {text.duration(max(1, left))} left"
        self._draw(done / total, f"{self._title()}: {ending}")

    def _title(self) -> str:
        if self._count == 1:
            return "Segmenting"
        return f"Segmenting {self._number + 1} of {self._count}: {text.plain(self._name)}"

    def _draw(self, share: float, words: str) -> None:
        if self._bar is None:
            box = self._slot.container(horizontal=True, vertical_alignment="center")
            self._bar = box.empty()
            if self._key in st.session_state.get(AGREED, ()):
                box.button(
                    "Stop", icon=":material/stop:", on_click=_stop, args=(self._key,), key=f"stop-{self._number}"
                )
        self._bar.progress((self._number + share) / self._count, words)


def spinner(words: str, choice: Choice) -> AbstractContextManager[None]:
    """Return a spinner for work without tiles, which a `Report` draws nothing of."""
    return st.spinner(words) if choice.mode.kind == "whole" else nullcontext()


def waiting(before: int) -> str:
    """Describe the position in the queue behind `before` photos of other sessions."""
    photos = "1 photo" if before == 1 else f"{text.number(before)} photos"
    return f"Waiting: {photos} ahead of yours in the queue."
