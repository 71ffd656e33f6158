"""The photos that one visitor has brought: held in memory by the session, each content once, within the limits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ui.shared import format as text
from unet_core.settings import Settings


@dataclass(frozen=True)
class Photo:
    """A file as it came: its name, its bytes and the SHA-256 of them; `truth` is its mask where one is known.

    That mask is a PNG of trimap codes (1 pet, 2 background, 3 border), of the photo's size.
    """

    name: str
    data: bytes = field(repr=False)
    digest: str
    truth: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, data: bytes, truth: bytes | None = None) -> Photo:
        """Take a file's name and bytes, and its true mask."""
        return cls(name, data, hashlib.sha256(data).hexdigest(), truth)


@dataclass
class PhotoStore:
    """Photos in the order they came, by digest, and what has to be said about the last addition."""

    photos: dict[str, Photo] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, photos: Iterable[Photo], settings: Settings, *, no_photos: Sequence[str] = ()) -> None:
        """Take photos in; what is already here, too many or too much is left out with a note.

        `no_photos` are names of files that came along and are none.
        """
        repeated, too_many, too_much = [], [], []
        for photo in photos:
            if photo.digest in self.photos:
                repeated.append(photo.name)
            elif len(self.photos) >= settings.max_files:
                too_many.append(photo.name)
            elif self.bytes_held + len(photo.data) > settings.max_session_mb * 1e6:
                too_much.append(photo.name)
            else:
                self.photos[photo.digest] = photo
        again = "Remove some photos, then add these again."
        all_together = text.quantity(settings.max_session_mb, "MB")
        self.notes = [
            sentence
            for names, sentence in (
                (repeated, f"Already here, so not added twice: {_list(repeated)}."),
                (
                    too_many,
                    f"Only {settings.max_files} photos fit here at once. Left out: {_list(too_many)}. {again}",
                ),
                (list(no_photos), f"Not photos, so left out: {_list(no_photos)}."),
                (too_much, f"All photos together may have {all_together}. Left out: {_list(too_much)}. {again}"),
            )
            if names
        ]

    def remove(self, digest: str) -> None:
        """Forget one photo; one that is not here is no error, so that a double click does no harm."""
        self.photos.pop(digest, None)
        self.notes = []

    def clear(self) -> None:
        """Forget all photos."""
        self.photos.clear()
        self.notes = []

    @property
    def bytes_held(self) -> int:
        """Bytes of all photos together."""
        return sum(len(photo.data) for photo in self.photos.values())


def _list(names: Sequence[str], shown: int = 3) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
