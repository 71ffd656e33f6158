"""Learning from corrections: corrected photos as a dataset, and a short run that continues the model in use on them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import streamlit as st

from ui.data.run import watch
from ui.segment.session_results import Choice, Result
from ui.segment.touch_up import corrected
from ui.segment.workspace import Workspace
from ui.shared import download, training, visitor
from ui.shared import format as text
from ui.shared.access import is_mine, limited
from ui.shared.models import load
from unet_core.data import uploads
from unet_core.data.own.dataset_archive import Labelled, dataset_archive
from unet_core.errors import UNetError
from unet_core.segment import downloads
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.find_model import find_model
from unet_core.train.presets import SHORT_RUN_MINUTES, correction_run
from unet_core.train.run_directory import RunDirectory

LEAST = 3  # photos, one each to train on, to validate and to test with
NAME = "corrected_photos.zip"
FOLDER, ERROR = "learn-folder", "learn-error"  # session keys


def learn_section(workspace: Workspace, choice: Choice, settings: Settings) -> None:
    """Draw what can be done with corrected photos, if there are any."""
    count = sum(digest in workspace.corrections for digest in workspace.store.photos)
    if not count:
        return
    with st.container(border=True, key="learn"):
        st.markdown("**Learn from your corrections**")
        others = len(workspace.photos) - count
        everything = bool(others) and st.toggle(
            f"Use the other {'photos' if others > 1 else 'photo'} too ({others}), as the model segments them",
            help="Only if their masks are right: what is wrong in them is learned too",
            key="learn-from-all",
            persist_state="session",
        )
        chosen = count + others * everything
        make = partial(_archive, workspace, choice, everything, settings)
        with st.container(horizontal=True, gap="small"):
            start = False
            if training.is_open(settings):
                start = st.button(
                    "Train the model further on them",
                    key="learn-start",
                    icon=":material/model_training:",
                    type="primary",
                    disabled=chosen < LEAST,
                    help=f"A run in the background that starts from this model: at most {SHORT_RUN_MINUTES} minutes",
                )
            download.button(
                "Download as dataset",
                make,
                NAME,
                "application/zip",
                key="learn-zip",
                icon=":material/folder_zip:",
                help="Photos at the size at which they were corrected, and their masks, as the Data page reads them",
            )
        st.caption(_note(chosen, settings))
        if start:
            with st.spinner("Preparing the corrected photos…"):
                _start(make, chosen, choice, settings)
        if not training.is_open(settings):
            training.closed_note(settings, "learn")
        if error := st.session_state.pop(ERROR, ""):
            st.error(text.plain(error), icon=":material/error:")
        run = _run(settings)
        if run is not None:
            watch(run, settings)


def _note(chosen: int, settings: Settings) -> str:
    if chosen < LEAST:
        left = LEAST - chosen
        return (
            f":material/info: Training needs at least {LEAST} photos, to learn from, to validate and to test with: "
            f"correct {left} more."
        )
    days = limited(settings).dataset_days
    kept = f"for {text.number(days)} days, or " if days else ""
    return (
        f":material/lock: {chosen} photos. To train, they are stored on this server with their masks, {kept}until you "
        "delete them on the Data page."
    )


def _archive(workspace: Workspace, choice: Choice, everything: bool, settings: Settings) -> bytes:
    """Return the dataset of the corrected photos, or of all, at the size at which they are displayed.

    Raises:
        UNetError: the model cannot be used any more.
    """
    stem_of, classes = downloads.unique_stems(), load(choice.model, choice.engine, settings).segmenter.classes
    results = _results(workspace, choice, everything, settings)
    return dataset_archive((_labelled(result, stem_of(result.name)) for result in results), classes)


def _labelled(result: Result, stem: str) -> Labelled:
    return Labelled(stem, result.shown_jpeg, result.pictures()[1])


def _results(workspace: Workspace, choice: Choice, everything: bool, settings: Settings) -> Iterator[Result]:
    for photo in workspace.photos:
        if everything or photo.digest in workspace.corrections:
            found = corrected(workspace.results.get(photo, choice, settings), workspace)
            if isinstance(found, Result):
                yield found


def _start(make: partial[bytes], photos: int, choice: Choice, settings: Settings) -> None:
    """Store the dataset in place of this session's last one, and start a run on it."""
    try:
        source = find_model(choice.model, settings)
        _remove_last(settings)
        folder = uploads.store(make(), NAME, limited(settings), owner=visitor.owner())
        st.session_state[FOLDER] = str(folder)
        config = correction_run(str(folder), photos, choice.model, source.config)
        queue.submit(config, f"{source.title}, corrected", settings=limited(settings), owner=visitor.owner())
    except UNetError as error:
        st.session_state[ERROR] = str(error)


def _remove_last(settings: Settings) -> None:
    folder = st.session_state.get(FOLDER)
    if folder and not queue.pending_on(folder, settings):
        uploads.remove(Path(folder), settings)


def _run(settings: Settings) -> RunDirectory | None:
    folder = st.session_state.get(FOLDER)
    return folder and queue.latest_run_on(folder, settings, lambda label: is_mine(label.owner, settings))
