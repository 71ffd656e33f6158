"""Which files of a folder count as photos, by their names."""

from __future__ import annotations

from pathlib import PurePath

PHOTO_ENDINGS = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".heic",
    ".heif",
    ".avif",
)


def is_photo(name: str) -> bool:
    """Return whether a file counts as a photo."""
    return name.lower().endswith(PHOTO_ENDINGS) and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Return whether a file is one that systems create in folders, such as .DS_Store."""
    last = PurePath(name).name
    return last.startswith(".") or last.lower() in ("thumbs.db", "desktop.ini")
