"""Looking into folders for pages: object storage is asked in a child process, which ends when it is not needed.

The stores' clients take tens of megabytes, and list a folder whole, so one with millions of objects would fill the
web process for minutes. The child is killed after `LISTING_SECONDS`. Folders on disks are read in this process.
"""

from __future__ import annotations

from typing import Any

from unet_core.jobs import storage
from unet_core.jobs.served import ChildEnded, ChildTooSlow, Message, ServedChild, serve

LISTING_SECONDS = 20.0
_START_SECONDS = 20.0  # in addition, to load a store's client


class TooManyError(storage.StorageError):
    """A folder that cannot be listed in time."""


_CHILD = ServedChild("unet_core.jobs.storage_process", start_seconds=_START_SECONDS)


def look_into(folder: str, most: int) -> storage.Listing:
    """Return what is in a folder, see `storage.look_into`.

    Raises:
        OSError: it cannot be read.
        StorageError: the store refuses it, or does not answer in time.
    """
    if not storage.is_url(folder):
        return storage.look_into(folder, most)
    found = _asked({"folder": folder, "most": most})
    return storage.Listing(found["files"], found["folders"], found["whole"])


def is_folder(path: str) -> bool:
    """Return whether a path or URL is a folder.

    Raises:
        StorageError: the store refuses it, or does not answer in time.
    """
    return _asked({"path": path})["is_folder"] if storage.is_url(path) else storage.is_folder(path)


def _asked(question: dict[str, Any]) -> Any:
    try:
        found = _CHILD.ask(question, seconds=LISTING_SECONDS).values
    except ChildTooSlow:
        raise TooManyError(f"The storage did not answer in {LISTING_SECONDS:g} seconds.") from None
    except (ChildEnded, OSError) as error:
        raise storage.StorageError(f"The process that asks the storage ended: {error}. Try again.") from None
    if "error" in found:
        raise storage.StorageError(found["error"])
    return found


def answer(question: Message) -> Message:
    """Answer a question of `look_into` or `is_folder`, in the child."""
    values = question.values
    try:
        if "path" in values:
            return Message({"is_folder": storage.is_folder(values["path"])})
        return Message(storage.look_into(values["folder"], values["most"])._asdict())
    except (OSError, storage.StorageError) as error:
        return Message({"error": str(error) or type(error).__name__})


if __name__ == "__main__":
    serve(answer)
