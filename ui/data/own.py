"""Bring your own: upload a ZIP, check the report, name the classes, and train on it."""

from __future__ import annotations

import math
import shlex
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import streamlit as st

from ui.data import options, sets
from ui.data.report import Changes, Picture, drawn, report_card
from ui.data.run import run_panel
from ui.data.sets import Dataset
from ui.shared import background, download, polling, training, visitor
from ui.shared import format as text
from ui.shared.access import limited
from ui.shared.url import put
from ui.train import augmentation_choice
from unet_core.data import uploads
from unet_core.data.own import example_archive
from unet_core.data.own.options import ReadOptions
from unet_core.data.own.preview import previews
from unet_core.data.own.report import DatasetReport, current_report, save_report
from unet_core.data.sources import DataError
from unet_core.errors import UNetError
from unet_core.settings import Settings
from unet_core.train import queue

UPLOAD, READING, ROUND, ERROR, OPTIONS = "own-upload", "own-report", "own-round", "own-error", "own-options"
LAYOUT = """my_dataset.zip
├── images/   cat1.jpg  cat2.jpg  …
└── masks/    cat1.png  cat2.png  …"""


class Progress:
    """Progress of reading a dataset; written by its thread, read by the page."""

    def __init__(self) -> None:
        self.done = self.total = 0

    def __call__(self, done: int, total: int) -> None:
        self.done, self.total = done, total


def section(dataset: Dataset, settings: Settings) -> None:
    """Draw the upload and the report on the uploaded dataset."""
    own = dataset.kind == "own"
    if own:
        _report(dataset, settings)
    with st.container(border=True):
        st.markdown("**Upload another dataset**" if own else "**Upload a dataset**")
        _upload(settings)


# --- the upload -------------------------------------------------------------------------------------------------------


def _upload(settings: Settings) -> None:
    limit = max(1, min(math.ceil(settings.max_archive_mb), int(st.get_option("server.maxUploadSize"))))
    words, example = st.columns([3, 2], gap="medium")
    with words:
        st.markdown(
            "A ZIP with photos and masks whose names agree, in folders of any name or side by side. Masks can be black "
            "and white, class numbers, palettes or colours; outlines from COCO, labelme, YOLO, CVAT, Label Studio, "
            "VIA and Supervisely are drawn."
        )
        file = None
        if training.is_open(settings):
            with st.container(key="drop"):
                file = st.file_uploader(
                    "Drop a ZIP here, or choose one",
                    type="zip",
                    key=f"own-{st.session_state.get(ROUND, 0)}",
                    max_upload_size=limit,
                )
        else:
            training.closed_note(settings, "own-upload")
    with example:
        st.code(LAYOUT, language=None)
        download.button(
            "Example dataset",
            example_archive.example_archive,
            example_archive.NAME,
            "application/zip",
            help="24 synthetic pets with masks",
        )
    st.caption(
        f":material/lock: Up to {text.quantity(limit, 'MB')} and {text.number(settings.max_archive_files)} files. "
        f"The ZIP is checked before it is unpacked, and stored on this server {_kept(settings)}. Only you have it in "
        "your list, and only you can delete it; whoever gets its address can open it."
    )
    if file is None:
        background.forget(UPLOAD)
        return
    store = partial(uploads.store, owner=visitor.owner())
    work = background.ask(UPLOAD, file.file_id, store, file, file.name, limited(settings))
    if not background.done(work):
        background.await_quietly(work, f"Checking and unpacking {text.plain(file.name)}")
        return
    try:
        folder = work.result()
    except UNetError as error:
        st.error(text.plain(str(error)), title="This ZIP cannot be used", icon=":material/folder_off:")
        return
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1  # a new, empty uploader keeps no copy of the file
    background.forget(UPLOAD)
    sets.choose_own(folder.name)
    st.rerun()


def _kept(settings: Settings) -> str:
    kept = limited(settings).dataset_days
    if not kept:
        return "until you delete it"
    days = text.number(kept, int(kept % 1 > 0))
    return f"for {days} days, or until you delete it"


# --- the report -------------------------------------------------------------------------------------------------------


def _report(dataset: Dataset, settings: Settings) -> None:
    folder = Path(dataset.data)
    mine = sets.is_my_dataset(dataset.title, settings)
    progress = st.session_state.setdefault("own-progress", {}).setdefault(dataset.data, Progress())
    chosen: ReadOptions | None = st.session_state.get(OPTIONS, {}).get(dataset.data)
    work = background.ask(READING, f"{dataset.data} {chosen}", _read, folder, settings, progress, chosen)
    if not background.done(work):
        _progress(work, progress, dataset)
        return
    try:
        report, pictures = work.result()
    except UNetError as error:
        st.error(text.plain(str(error)), title="This dataset cannot be read", icon=":material/folder_off:")
        if mine:
            _delete_button(dataset, settings)
        return
    changes = Changes(partial(_rename, report, folder), partial(_read_otherwise, dataset)) if mine else None
    report_card(report, pictures, changes)
    if report.usable:
        st.markdown("**Train on it**")
        run_panel(dataset.data, len(report.class_names), settings)
        st.caption("Or on the command line, with the larger network and ImageNet weights:")
        st.code(train_command(dataset, report), language="bash", wrap_lines=True)
    else:
        st.caption("Training is possible once the errors are fixed: correct the files and upload the ZIP again.")
    with st.container(horizontal=True):
        if report.usable:
            st.button("Browse", icon=":material/grid_view:", on_click=partial(put, options.SECTION, options.BROWSE))
            st.button(
                "Statistics", icon=":material/bar_chart:", on_click=partial(put, options.SECTION, options.STATISTICS)
            )
        if mine:
            _delete_button(dataset, settings)
    if error := st.session_state.pop(ERROR, ""):
        st.error(text.plain(error), icon=":material/error:")


def _progress(work: Future, progress: Progress, dataset: Dataset) -> None:
    def show() -> None:
        share = progress.done / progress.total if progress.total else 0.0
        counted = f": {text.number(progress.done)} of {text.number(progress.total)} photos" if progress.total else ""
        st.progress(share, f"Reading every photo and mask of {text.plain(dataset.name)}{counted}")

    polling.poll(show, ended=work.done, every=polling.SOON)


def _read(
    folder: Path, settings: Settings, progress: Progress, chosen: ReadOptions | None
) -> tuple[DatasetReport, list[Picture]]:
    report = current_report(folder, settings=settings, options=chosen, progress=progress)
    save_report(report, folder)
    return report, drawn(previews(report, folder, settings))


def _read_otherwise(dataset: Dataset, chosen: ReadOptions) -> None:
    """Read the dataset again as its owner has decided."""
    st.session_state.setdefault(OPTIONS, {})[dataset.data] = chosen
    st.session_state.setdefault("own-progress", {}).pop(dataset.data, None)
    background.forget(READING)


def _rename(report: DatasetReport, folder: Path, names: list[str]) -> None:
    """Rename the classes.

    Raises:
        DataError: the names do not fit, or cannot be saved.
    """
    save_report(report.renamed(names), folder)
    background.forget(READING)


def train_command(dataset: Dataset, report: DatasetReport) -> str:
    """Return the command that trains on an uploaded dataset, with the augmentation that was applied."""
    augmentation = augmentation_choice.training_augmentation()
    arguments = [
        "python -m unet_core train --preset pets_fast",
        f"--data {shlex.quote(dataset.argument)}",
        "--epochs 20",
    ]
    classes = len(report.class_names)
    if classes != 3:
        arguments.append(f"--set model.classes={classes}")
    return " ".join([*arguments, *(augmentation_choice.command_options(augmentation) if augmentation else [])])


def _delete_button(dataset: Dataset, settings: Settings) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown("Its photos and masks will be removed from this server.")
        st.button("Delete now", type="primary", key="own-delete", on_click=_delete, args=(dataset, settings))


def _delete(dataset: Dataset, settings: Settings) -> None:
    folder = sets.own_folder(dataset.title, settings)
    if folder is not None:
        if runs := queue.pending_on(dataset.data, settings):
            many = "A run" if len(runs) == 1 else f"{len(runs)} runs"
            st.session_state[ERROR] = (
                f"{many} on this dataset {'is' if len(runs) == 1 else 'are'} training or waiting: it can be deleted "
                "once training has ended or was stopped."
            )
            return
        try:
            uploads.remove(folder, settings)
        except DataError as error:
            st.session_state[ERROR] = str(error)
            return
    background.forget(READING)
    sets.forget_own(dataset.title)
