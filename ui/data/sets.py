"""The datasets that a visitor can choose, whether they are installed, and the download of Oxford pets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from ui.data import options
from ui.shared import format as text
from ui.shared import frame, polling, training, url, visitor
from ui.shared.access import is_mine
from ui.shared.url import asked
from unet_core.data import uploads
from unet_core.data.oxford import download_job, oxford_pets
from unet_core.data.synthetic import pets as synthetic
from unet_core.jobs.disclosure import data_title
from unet_core.jobs.names import is_file_name
from unet_core.settings import Settings
from unet_core.train import queue

Kind = Literal["photos", "drawn", "own"]

OXFORD, SYNTHETIC = "Oxford-IIIT Pet", "Synthetic pets"
OXFORD_TERMS = "made available for research; the photos belong to their owners"
OWN = "own_datasets"  # session key: folder names of this visitor's uploads
EXPIRED = "expired_datasets"  # session key: titles of those that were deleted, until the visitor has read it
CHOOSE = "choose_dataset"  # session key: what the picker selects from the next rerun on


@dataclass(frozen=True)
class Dataset:
    """One entry of the picker; `data` is its name in the library and for `--data`."""

    title: str
    data: str
    kind: Kind
    installed: bool = True

    @property
    def name(self) -> str:
        """Its name in texts that others may read: without the key of an upload."""
        return data_title(self.title) if self.kind == "own" else self.title

    @property
    def argument(self) -> str:
        """Its name for `--data` in a command; paths of this server are of use on this server only."""
        return self.data if self.kind != "own" or visitor.is_local() else self.name


def available(settings: Settings, linked: str | None = None) -> dict[str, Dataset]:
    """Return the datasets by title: Oxford pets, synthetic pets, and this visitor's uploaded or linked datasets.

    `linked` is the name in the URL; by default its parameter `data`.
    """
    found = [
        Dataset(OXFORD, oxford_pets.NAME, "photos", oxford_pets.status(settings.data_dir).present),
        Dataset(SYNTHETIC, synthetic.NAME, "drawn"),
    ]
    if linked is None:
        linked = asked(options.DATA)
    for name in dict.fromkeys([*_own_names(settings), linked]):
        folder = own_folder(name, settings)
        if folder is not None:
            found.append(Dataset(name, str(folder), "own"))
    return {dataset.title: dataset for dataset in found}


def own_folder(name: str, settings: Settings) -> Path | None:
    """Return the folder of an uploaded dataset, None if there is none of that name."""
    if not is_file_name(name) or name in (OXFORD, SYNTHETIC):
        return None
    folder = settings.datasets_dir / name
    return folder if folder.is_dir() else None


def _own_names(settings: Settings) -> list[str]:
    """Return the folder names of the visitor's datasets, which are looked for once a session."""
    if OWN not in st.session_state:
        uploads.remove_expired(settings, lambda folder: bool(queue.pending_on(str(folder), settings)))
        mine = uploads.listed(settings, lambda owner: bool(owner) and is_mine(owner, settings))
        st.session_state[OWN] = [folder.name for folder in mine]
        st.session_state[EXPIRED] = uploads.expired_titles(visitor.owner(), settings)
    return st.session_state[OWN]


def show_expired(settings: Settings) -> None:
    """Show once which of the visitor's datasets were deleted because their time was over."""
    if titles := st.session_state.pop(EXPIRED, None):
        listed = ", ".join(text.plain(title) for title in titles)
        deleted = f"{listed} {'were' if len(titles) > 1 else 'was'} deleted"
        days = text.number(settings.dataset_days, int(settings.dataset_days % 1 > 0))
        st.info(f"{deleted}: this server keeps uploaded datasets for {days} days.", icon=":material/auto_delete:")


def is_my_dataset(name: str, settings: Settings) -> bool:
    """Return whether a folder name is that of an uploaded dataset that the visitor may change."""
    folder = own_folder(name, settings)
    return folder is not None and is_mine(uploads.upload_of(folder).owner, settings)


def choose_own(name: str) -> None:
    """Add an uploaded dataset to this visitor's picker, selected from the next rerun on."""
    own = st.session_state.setdefault(OWN, [])
    if name not in own:
        own.append(name)
    st.session_state[CHOOSE] = name


def forget_own(name: str) -> None:
    """Remove a dataset from this visitor's picker."""
    st.session_state[OWN] = [other for other in st.session_state.get(OWN, ()) if other != name]
    st.session_state[CHOOSE] = None


def picker(settings: Settings, on_change: Callable[[], None]) -> Dataset:
    """Draw the choice of the dataset with its status, and return the selected one."""
    datasets = available(settings)
    show_expired(settings)
    default = OXFORD if datasets[OXFORD].installed else SYNTHETIC
    if CHOOSE in st.session_state:
        st.session_state[options.DATA.name] = st.session_state.pop(CHOOSE) or default
        on_change()
    with st.container(border=True, key="dataset"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            title = st.segmented_control(
                "Dataset",
                list(datasets),
                default=default,
                required=True,
                on_change=on_change,
                label_visibility="collapsed",
                wrap=True,
                **options.DATA.widget,
            )
            dataset = datasets.get(title or default, datasets[default])
            url.remember(frame.DATA.name, (options.DATA,), {options.DATA.name: default})
            if dataset.installed:
                st.badge("available", color="green")
            else:
                st.badge("not downloaded", color="gray")
        _about(dataset, settings)
    return dataset


def _about(dataset: Dataset, settings: Settings) -> None:
    if dataset.kind == "photos":
        _about_oxford(dataset, settings)
    elif dataset.kind == "drawn":
        st.caption(
            f"Cats and dogs drawn by this program, with exact masks: {text.number(synthetic.TRAIN_AND_VALIDATION)} for "
            f"training, {text.number(synthetic.TEST)} for testing, the same on every machine. No download and no "
            "copyright."
        )
    else:
        folder = f", in `{dataset.data}` on this server" if visitor.is_local() else ""
        whose = "Your upload" if is_my_dataset(dataset.title, settings) else "Another visitor's upload"
        st.caption(f"{whose}{folder}. See its report under Bring your own.")


def _about_oxford(dataset: Dataset, settings: Settings) -> None:
    found = oxford_pets.status(settings.data_dir)
    credit = f"{text.plain(oxford_pets.CREDIT)}; {OXFORD_TERMS}."
    if dataset.installed:
        st.caption(f"{_counts(found.splits)}, {text.byte_size(found.bytes)}. {credit}")
        return
    into = f"into `{settings.data_dir}`" if visitor.is_local() else "onto this server"
    st.caption(
        f"{text.number(download_job.PHOTOS)} photos of 37 breeds with masks, downloaded once "
        f"{into} (about {text.quantity(oxford_pets.DOWNLOAD_MEGABYTES, 'MB')}). {credit}"
    )
    _download(settings)


def _counts(splits: Mapping[str, int]) -> str:
    train, test = (text.number(splits.get(split, 0)) for split in oxford_pets.OFFICIAL_SPLITS)
    return f"{train} photos for training, {test} for testing"


# --- downloading ------------------------------------------------------------------------------------------------------


def _download(settings: Settings) -> None:
    """Offer the download, or show its progress; the page polls only while it is running."""
    found = download_job.download_status(settings)
    if found.state == "running":
        _watch_download(settings)
        return
    if not training.is_open(settings):
        st.caption(f":material/lock: {training.why_closed(settings, 'Downloading it')}.")
        return
    if found.state == "failed":
        st.error(text.plain(found.reason), title="The download failed", icon=":material/cloud_off:")
    kept = f" {text.byte_size(found.kept)} have been downloaded." if found.kept else ""
    if found.state == "cancelled":
        st.caption(f"Stopped.{kept}")
    st.button(
        "Resume download" if found.kept else "Download",
        icon=":material/download:",
        type="primary",
        key="download",
        on_click=_start_download,
        args=(settings,),
    )


def _start_download(settings: Settings) -> None:
    download_job.start_download(settings)


def _cancel_download(settings: Settings) -> None:
    download_job.cancel_download(settings)


def _watch_download(settings: Settings) -> None:
    def show() -> None:
        found = download_job.download_status(settings)
        st.progress(found.fraction or 0.0, _phase(found))
        st.button(
            "Stop",
            icon=":material/stop:",
            key="stop-download",
            help="The data downloaded so far are kept, and the next download resumes from there.",
            on_click=_cancel_download,
            args=(settings,),
        )

    polling.poll(show, ended=lambda: download_job.download_status(settings).state != "running")


def _phase(found: download_job.DownloadStatus) -> str:
    """Return the progress of a download in words."""
    if found.phase == download_job.FETCH:
        amount = f"{text.byte_size(found.done)} of {text.byte_size(found.total)}" if found.total else "connecting"
        rate = f", {text.byte_size(round(found.rate))}/s" if found.rate else ""
        left = f", about {text.duration(found.seconds_left)} left" if found.seconds_left else ""
        return f"Downloading: {amount}{rate}{left}"
    if found.phase == download_job.PREPARE:
        return f"Preparing: {text.number(found.done)} of {text.number(found.total)} photos"
    return "Unpacking the archives" if found.phase == download_job.UNPACK else "Starting"
