"""A session's photos: held in memory, without duplicates, within the limits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from weakref import WeakSet

from ui.shared import format as text
from ui.shared import server
from unet_core.settings import Settings


def more_at_once(settings: Settings) -> str:
    """Return how to segment more photos than a session may hold, without a full stop after the command."""
    option = "--cluster" if settings.cluster else "--resume"
    section = "open “A folder on the cluster” or " if settings.cluster_photos else ""
    return f"For more at once, {section}use the command line: python -m unet_core predict FOLDER --out RESULTS {option}"


@dataclass(frozen=True)
class Photo:
    """A photo's file: its name, its bytes and their SHA-256, and its ground truth, if known.

    The ground truth is a PNG of trimap codes (1 pet, 2 background, 3 border) of the photo's size.
    """

    name: str
    data: bytes = field(repr=False)
    digest: str
    truth: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, data: bytes, truth: bytes | None = None) -> Photo:
        """Create a photo from a file's name and bytes, and its ground truth."""
        return cls(name, data, hashlib.sha256(data).hexdigest(), truth)


@dataclass(eq=False)
class PhotoStore:
    """Photos by digest in the order they were added, and notes about the last addition."""

    photos: dict[str, Photo] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        with _counting:
            _stores.add(self)

    def add(
        self,
        photos: Iterable[Photo],
        settings: Settings,
        *,
        no_photos: Sequence[str] = (),
        left_out: Sequence[str] = (),
        problems: Sequence[str] = (),
    ) -> None:
        """Add photos; duplicates and photos beyond the limits are skipped with a note.

        `no_photos` are names of other files that were added with them, `left_out` of photos beyond the limit that were
        not even read, and `problems` sentences about archives that cannot be used.
        """
        repeated, too_large, too_many, too_much, no_room = [], [], [], [], []
        for photo in photos:
            if photo.digest in self.photos:
                repeated.append(photo.name)
            elif len(photo.data) > settings.max_upload_mb * 1e6:
                too_large.append(photo.name)
            elif len(self.photos) >= settings.max_files:
                too_many.append(photo.name)
            elif self.bytes_held + len(photo.data) > settings.max_session_mb * 1e6:
                too_much.append(photo.name)
            elif photos_bytes_held() + len(photo.data) > settings.max_photos_mb * 1e6:
                no_room.append(photo.name)
            else:
                self.photos[photo.digest] = photo
        more, again = more_at_once(settings), "Remove some photos, then add these again."
        total = text.quantity(settings.max_session_mb, "MB")
        skipped = {
            "Already added, so skipped: {}.": repeated,
            f"A photo may have {text.quantity(settings.max_upload_mb, 'MB')}. Skipped: {{}}.": too_large,
            f"The limit is {settings.max_files} photos. Skipped: {{}}. {again} {more}": [*too_many, *left_out],
            "Not photos, so skipped: {}.": no_photos,
            f"All photos together are limited to {total}. Skipped: {{}}. {again} {more}": too_much,
            "This server is full of photos. Skipped: {}. Try again in a few minutes.": no_room,
        }
        notes = [sentence.format(_list(names)) for sentence, names in skipped.items() if names]
        self.notes = [*problems, *notes]

    def refuse(self, problem: str) -> None:
        """Note why something could not be added."""
        self.notes = [problem]

    def remove(self, digest: str) -> None:
        """Remove a photo; a missing one is no error, so that a double click does no harm."""
        self.photos.pop(digest, None)
        self.notes = []

    @property
    def bytes_held(self) -> int:
        """Total size of the photos."""
        return sum(len(photo.data) for photo in self.photos.values())


_stores: WeakSet[PhotoStore] = WeakSet()
_counting = Lock()


def photos_bytes_held() -> int:
    """Return the total size of all sessions' photos in bytes."""
    with _counting:
        return sum(store.bytes_held for store in _stores)


server.held_bytes["photos"] = photos_bytes_held


def _list(names: Sequence[str], shown: int = 3) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
