"""Segment the photos of the workspace one by one, with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator

from streamlit.delta_generator import DeltaGenerator

from ui.segment.photos import Photo
from ui.segment.session_results import Choice, Result
from ui.segment.workspace import Workspace
from ui.shared import format as text
from ui.shared import models
from unet_core.jobs.memory import give_back_soon
from unet_core.segment import Failure
from unet_core.settings import Settings


def segmented(
    workspace: Workspace, choice: Choice, settings: Settings, slot: DeltaGenerator
) -> Iterator[tuple[Photo, Result | Failure]]:
    """Yield each photo with its result, in order; missing results are computed.

    Args:
        slot: an `st.empty()` for the progress bar of several photos and for the position in the queue.

    Raises:
        WeightsError: the model cannot be used.
    """
    model = models.load(choice.model, choice.engine, settings)
    photos = workspace.photos
    new = [photo.digest for photo in photos if not workspace.results.has(photo, choice, settings, model=model)]
    for photo in photos:
        if photo.digest not in new:
            yield photo, workspace.results.get(photo, choice, settings, model=model)
            continue
        number = new.index(photo.digest)
        if len(new) > 1:
            slot.progress(number / len(new), f"Segmenting {number + 1} of {len(new)}: {text.plain(photo.name)}")

        def report(before: int, number: int = number) -> None:
            slot.progress(number / len(new), f":material/hourglass_top: {waiting(before)}")

        yield photo, workspace.results.get(photo, choice, settings, model=model, on_wait=report)
    slot.empty()
    give_back_soon()


def waiting(before: int) -> str:
    """Describe the position in the queue behind `before` photos of other sessions."""
    photos = "1 photo" if before == 1 else f"{text.number(before)} photos"
    return f"Waiting: {photos} ahead of yours in the queue."
