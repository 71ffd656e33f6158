"""All photos of the workspace, one after the other, with a progress bar above them."""

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
    workspace: Workspace, choice: Choice, settings: Settings, place: DeltaGenerator
) -> Iterator[tuple[Photo, Result | Failure]]:
    """Yield each photo with its result, in their order; what is not known yet is computed on the way.

    Args:
        place: an `st.empty()` for the progress bar of several photos, and for the sentence while others are served.

    Raises:
        WeightsError: the model cannot be used at all.
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
            done = f"Segmenting {number + 1} of {len(new)}: {text.plain(photo.name)}"
            place.progress(number / len(new), done)

        def report(before: int, number: int = number) -> None:
            place.progress(number / len(new), f":material/hourglass_top: {waiting(before)}")

        yield photo, workspace.results.get(photo, choice, settings, model=model, on_wait=report)
    place.empty()
    give_back_soon()


def waiting(before: int) -> str:
    """Return the sentence for somebody who waits for `before` photos of other visitors."""
    photos = "1 photo" if before == 1 else f"{text.number(before)} photos"
    return f"Waiting for {photos} of other visitors."
