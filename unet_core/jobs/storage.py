"""Files on this machine, by path, or in object storage, by URL: listed, read, and written in one step.

Object stores show a new object only once it is complete, as a renamed file on a disk: readers never see a part.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from unet_core.errors import UNetError
from unet_core.jobs.tables import write_atomically

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs", "memory": "fsspec"}


class StorageError(UNetError):
    """A file that cannot be reached; the text says why."""


class StoredFile(NamedTuple):
    """A file of a listing."""

    path: str
    stamp: str  # differs once the file has changed


def is_url(path: str) -> bool:
    """Return whether a path is a URL."""
    return "://" in path


def absolute(path: str) -> str:
    """Return a path that means the same in every folder and, where folders are shared, on every machine."""
    return path if is_url(path) else os.path.abspath(path)


def join(folder: str, name: str) -> str:
    """Return the path of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else str(Path(folder) / name)


def checked(path: str) -> str:
    """Return a path or URL, `file://` as a path.

    Raises:
        StorageError: files of this kind cannot be written in one step, or not at all.
    """
    if not is_url(path):
        return path
    if path.startswith("file://"):
        return url2pathname(urlsplit(path).path)
    protocol = path.partition("://")[0]
    if protocol not in _PACKAGES:
        raise StorageError(f"{path}: must be a path or start with {', '.join(f'{name}://' for name in _PACKAGES)}")
    return path


class Listing(NamedTuple):
    """The names of a folder's files and subfolders, without links to others; `whole` unless it has more."""

    files: list[str]
    folders: list[str]
    whole: bool


def list_files(folder: str) -> list[StoredFile]:
    """Return the files in a folder, without its subfolders, sorted by name; none if there is no such folder."""
    if is_url(folder):
        with _accessible(folder) as store, contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return _files(store, store.ls(folder, detail=True))
        return []
    try:
        with os.scandir(folder) as entries:
            found = [StoredFile(join(folder, entry.name), _stamp(entry.stat())) for entry in entries if entry.is_file()]
    except OSError:
        return []
    return sorted(found)


def look_into(folder: str, most: int) -> Listing:
    """Return what is in a folder, sorted, after reading at most `most` entries; object stores list it whole.

    Raises:
        OSError: it cannot be read.
        StorageError: the store refuses it.
    """
    if is_url(folder):
        with _accessible(folder) as store:
            found = [
                (os.path.basename(entry["name"].rstrip("/")), entry["type"]) for entry in store.ls(folder, detail=True)
            ]
    else:
        with os.scandir(folder) as entries:
            found = [(entry.name, _kind(entry)) for entry in itertools.islice(entries, most + 1)]
    names = {kind: sorted(name for name, its in found[:most] if its == kind) for kind in ("file", "directory")}
    return Listing(names["file"], names["directory"], len(found) <= most)


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def match_files(pattern: str) -> list[StoredFile]:
    """Return the files that match a pattern such as photos/*.jpg, sorted by name."""
    if is_url(pattern):
        with _accessible(pattern) as store:
            return _files(store, store.glob(pattern, detail=True).values())
    return sorted(StoredFile(path, _stamp(os.stat(path))) for path in glob.glob(pattern) if os.path.isfile(path))


def stamp(path: str) -> str:
    """Return what differs once a file has changed; empty if there is no such file."""
    try:
        if not is_url(path):
            return _stamp(os.stat(path))
        with _accessible(path) as store:
            return _stored_stamp(store.info(path))
    except OSError:
        return ""


def is_folder(path: str) -> bool:
    """Return whether a path is a folder."""
    if not is_url(path):
        return os.path.isdir(path)
    with _accessible(path) as store:
        return store.isdir(path)


def exists(path: str) -> bool:
    """Return whether there is a file or folder."""
    if not is_url(path):
        return os.path.exists(path)
    with _accessible(path) as store:
        return store.exists(path)


def read(path: str, limit: int | None = None) -> bytes:
    """Return a file's content, at most `limit` bytes of it.

    Raises:
        OSError: there is no such file.
        StorageError: the store refuses it.
    """
    if not is_url(path):
        with open(path, "rb") as file:
            return file.read(-1 if limit is None else limit)
    with _accessible(path) as store:
        return store.cat_file(path, end=limit)


def write(path: str, data: bytes) -> None:
    """Put a file in its place in one step.

    Raises:
        OSError: the disk is full, or the folder is missing.
        StorageError: the store refuses it.
    """
    if not is_url(path):
        write_atomically(Path(path), data, durable=False)  # a power failure costs some results, not the file system
        return
    with _accessible(path) as store:
        store.pipe_file(path, data)


@contextlib.contextmanager
def _accessible(url: str) -> Iterator[Any]:
    """Yield the store of a URL; whatever it raises, other than an `OSError`, becomes a sentence."""
    protocol = checked(url).partition("://")[0]
    try:
        import fsspec

        yield fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError:
        raise StorageError(f"{url}: {protocol}:// needs the package {_PACKAGES[protocol]}: pip install it.") from None
    except (OSError, UNetError):
        raise
    except Exception as error:  # each store has exceptions of its own
        raise StorageError(f"{url}: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from None


def _files(store: Any, entries: Any) -> list[StoredFile]:
    files = (entry for entry in entries if entry["type"] == "file")
    return sorted(StoredFile(store.unstrip_protocol(file["name"]), _stored_stamp(file)) for file in files)


def _stored_stamp(entry: dict[str, Any]) -> str:
    """Return the size and whatever a store tells of a file's version."""
    parts = ("size", "ETag", "etag", "LastModified", "last_modified", "mtime", "created")
    return " ".join(str(entry[part]) for part in parts if part in entry)


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns}"
