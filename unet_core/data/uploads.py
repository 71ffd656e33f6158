"""Uploaded datasets: whose they are, how many a visitor may have, how long they are kept, and their removal."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from unet_core.data.catalogue import catalogue_path
from unet_core.data.own.archive import unpack_upload
from unet_core.data.sources import DataError
from unet_core.jobs.disclosure import data_title
from unet_core.jobs.tables import read_record, write_record
from unet_core.settings import Settings

RECORD = ".upload"  # in the dataset's folder; without an ending that photos, masks or descriptions have
_EXPIRED = ".expired"  # folder of the records of expired datasets, until their owners have read of it
_REMEMBERED = 30 * 86400.0  # seconds that such a record is kept
_GONE = ".deleted-"  # first part of the name of a folder that is being removed


@dataclass(frozen=True)
class Upload:
    """A dataset's title, a hash that identifies its owner ("" for none), and its times in seconds since 1970.

    `expires` is 0 for a dataset that is kept until it is deleted.
    """

    title: str
    owner: str = ""
    created: float = 0.0
    expires: float = 0.0


def store(file: bytes | BinaryIO, name: str, settings: Settings, *, owner: str = "") -> Path:
    """Unpack an uploaded ZIP into a folder of its own, whose name ends with a random key of 128 bits.

    Args:
        file: the archive's bytes, or a seekable binary file.
        name: its file name.
        settings: folders and limits.
        owner: identifies the visitor who uploads it; `visitor_datasets`, `visitor_datasets_mb` and `dataset_days`
            then apply.

    Returns:
        The folder.

    Raises:
        ArchiveError: the archive cannot be used, see `unpack_upload`.
        DataError: the visitor has as many datasets as they may have, or may upload none.
    """
    if owner:
        if settings.training == "off":
            raise DataError("Uploading datasets is turned off on this server.")
        settings = _with_room(owner, settings)
    now, days = time.time(), settings.dataset_days if owner else 0
    upload = Upload("", owner, now, now + days * 86400 if days else 0.0)
    return unpack_upload(file, name, settings, key=secrets.token_hex(16), extra={RECORD: _written(upload)})


def _written(upload: Upload) -> str:
    return json.dumps(dataclasses.asdict(upload)) + "\n"


def _with_room(owner: str, settings: Settings) -> Settings:
    """Return settings whose limit for an unpacked dataset is what the owner has left.

    Raises:
        DataError: nothing is left.
    """
    mine = listed(settings, lambda other: other == owner)
    if settings.visitor_datasets and len(mine) >= settings.visitor_datasets:
        have = f"{len(mine)} dataset{'s' * (len(mine) > 1)}"
        raise DataError(f"You have {have} on this server, as many as a visitor may have: delete one first.")
    if not settings.visitor_datasets_mb:
        return settings
    left = settings.visitor_datasets_mb - sum(map(_megabytes, mine))
    if left < 1:
        raise DataError(
            f"Your datasets on this server take up the {settings.visitor_datasets_mb:g} MB that a visitor may have: "
            "delete one first."
        )
    return settings.replace(max_unpacked_mb=min(left, settings.max_unpacked_mb))


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def upload_of(folder: Path) -> Upload:
    """Return who uploaded a dataset; no owner if the command line has unpacked it, or its record is damaged."""
    found = read_record(folder / RECORD, Upload) or Upload("")
    return dataclasses.replace(found, title=data_title(folder.name))


def listed(settings: Settings, is_listed: Callable[[str], bool]) -> list[Path]:
    """Return the folders of the datasets whose owner `is_listed` accepts, the newest first."""
    folders = [path for path in settings.datasets_dir.glob("[!.]*") if path.is_dir()]
    found = [(upload.created, folder) for folder in folders if is_listed((upload := upload_of(folder)).owner)]
    return [folder for _, folder in sorted(found, key=lambda entry: entry[0], reverse=True)]


def remove(folder: Path, settings: Settings) -> None:
    """Delete a dataset and its index: for readers in one step, then from the disk.

    Raises:
        DataError: the folder cannot be deleted.
    """
    catalogue_path(str(folder), settings).unlink(missing_ok=True)
    gone = folder.with_name(f"{_GONE}{secrets.token_hex(8)}")
    try:
        os.replace(folder, gone)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"The dataset {data_title(folder.name)} cannot be deleted ({error.strerror}).") from None
    shutil.rmtree(gone, ignore_errors=True)


def remove_expired(settings: Settings, is_used: Callable[[Path], bool]) -> None:
    """Delete the datasets whose time is over, except those that a run `is_used` by; their owners can read of it."""
    now = time.time()
    for rest in settings.datasets_dir.glob(f"{_GONE}*"):  # left by a process that was killed while it deleted
        shutil.rmtree(rest, ignore_errors=True)
    for folder in listed(settings, lambda owner: bool(owner)):
        upload = upload_of(folder)
        if upload.expires and upload.expires < now and not is_used(folder):
            (settings.datasets_dir / _EXPIRED).mkdir(exist_ok=True)
            write_record(settings.datasets_dir / _EXPIRED / folder.name, dataclasses.replace(upload, expires=now))
            remove(folder, settings)


def expired_titles(owner: str, settings: Settings) -> list[str]:
    """Return the titles of the owner's datasets that were deleted because their time was over, each only once."""
    titles = []
    for path in (settings.datasets_dir / _EXPIRED).glob("*"):
        upload = read_record(path, Upload)
        if upload is not None and upload.owner == owner:
            titles.append(upload.title)
        elif upload is not None and time.time() < upload.expires + _REMEMBERED:
            continue
        path.unlink(missing_ok=True)
    return sorted(titles)
