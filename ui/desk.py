"""What one visitor has on the Segment page: the photos, their results, and the callbacks that change them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import streamlit as st
from starlette.formparsers import MultiPartParser

from ui.engine import sample_photo
from ui.results import Results
from ui.tray import Photo, Tray
from unet_core.settings import Settings

SAMPLE = ("sample", "cat")  # ?sample=cat in the address puts the sample photo on the desk


@dataclass
class Desk:
    """One session's photos and results. `uploads` maps the uploader's file ids to digests."""

    tray: Tray = field(default_factory=Tray)
    results: Results = field(default_factory=Results)
    uploads: dict[str, str] = field(default_factory=dict)
    round: int = 0

    @property
    def uploader_key(self) -> str:
        """Key of the uploader; it changes to empty the uploader, which then frees its copies of the files."""
        return f"photos-{self.round}"

    @property
    def photos(self) -> list[Photo]:
        """The photos in the order they came."""
        return list(self.tray.photos.values())


def open_desk(settings: Settings) -> Desk:
    """Return this session's desk, with the sample photo on it if the address asks for it."""
    desk: Desk = st.session_state.setdefault("desk", Desk())
    name, value = SAMPLE
    if st.query_params.get(name) == value and sample_photo().digest not in desk.tray.photos:
        desk.tray.add([sample_photo()], settings)
    return desk


def uploader(desk: Desk, settings: Settings) -> None:
    """Draw the uploader; photos added or removed there are added to or removed from the desk."""
    limit = max(1, math.ceil(settings.max_upload_mb))
    MultiPartParser.spool_max_size = (limit + 1) * 2**20  # its default writes uploads over 1 MB to a temporary file
    with st.container(key="drop"):
        files = st.file_uploader(
            "Drop your photos here, or choose some",
            accept_multiple_files=True,
            key=desk.uploader_key,
            on_change=_take_uploads,
            args=(desk, settings),
            max_upload_size=limit,
        )
    if not files:  # a fresh uploader, after a page change: what it held before stays on the desk
        desk.uploads.clear()


def _take_uploads(desk: Desk, settings: Settings) -> None:
    files = {file.file_id: file for file in st.session_state[desk.uploader_key] or []}
    for gone in desk.uploads.keys() - files.keys():
        _forget(desk, desk.uploads.pop(gone))
    photos = {
        file_id: Photo.of(file.name, file.getvalue()) for file_id, file in files.items() if file_id not in desk.uploads
    }
    desk.uploads |= {file_id: photo.digest for file_id, photo in photos.items()}
    desk.tray.add(photos.values(), settings)


def add_sample() -> None:
    """Put the sample photo on the desk; it stays in the address, so a reload brings it back."""
    name, value = SAMPLE
    st.query_params[name] = value


def remove(desk: Desk, digest: str) -> None:
    """Take one photo off the desk."""
    _forget(desk, digest)
    _empty_uploader(desk)


def clear(desk: Desk) -> None:
    """Take all photos off the desk."""
    for photo in desk.photos:
        _forget(desk, photo.digest)
    _empty_uploader(desk)


def _forget(desk: Desk, digest: str) -> None:
    desk.tray.remove(digest)
    desk.results.keep_only(desk.tray.photos)
    if digest == sample_photo().digest:
        st.query_params.pop(SAMPLE[0], None)


def _empty_uploader(desk: Desk) -> None:
    desk.round += 1
    desk.uploads.clear()
