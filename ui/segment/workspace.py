"""What one visitor has on the Segment page: the photos, their results, and the callbacks that change them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import streamlit as st
from starlette.formparsers import MultiPartParser
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ui.home.live_example import sample_photo
from ui.segment import gallery, options
from ui.segment.photos import Photo, Tray
from ui.segment.session_results import Results
from ui.shared import format as text
from ui.shared import url
from unet_core.jobs.memory import give_back_soon, keep_together
from unet_core.settings import Settings

GALLERY_PAGE = "gallery_page"  # session key
SOURCE = "source"  # session key: which further way to bring photos is open
FOLDER, CAMERA, GALLERY = "Folder", "Camera", "Gallery"
ICONS = {FOLDER: ":material/folder_open:", CAMERA: ":material/photo_camera:", GALLERY: ":material/photo_library:"}
# What counts as a photo in a folder; HEIC cannot be read, and its card says what to do.
ENDINGS = (
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
CAT = "cat"  # ?sample=cat in the address puts the sample photo on the desk


@dataclass
class Desk:
    """One session's photos and results. `uploads` maps, by uploader, the file ids to digests."""

    tray: Tray = field(default_factory=Tray)
    results: Results = field(default_factory=Results)
    uploads: dict[str, dict[str, str]] = field(default_factory=dict)
    round: int = 0
    shots: int = 0  # photos taken with the camera

    def key(self, name: str) -> str:
        """Return a widget's key; it changes to empty the uploaders, which then free their copies of the files."""
        return f"{name}-{self.round}"

    @property
    def photos(self) -> list[Photo]:
        """The photos in the order they came."""
        return list(self.tray.photos.values())


def open_desk(settings: Settings) -> Desk:
    """Return this session's desk, with the sample photo on it if the address asks for it."""
    keep_together()
    desk: Desk = st.session_state.setdefault("desk", Desk())
    if url.asked(options.SAMPLE) == CAT and sample_photo().digest not in desk.tray.photos:
        desk.tray.add([sample_photo()], settings)
    return desk


def intake(desk: Desk, settings: Settings) -> None:
    """Draw the ways to bring photos: the drop zone, and on demand a folder, the camera or the gallery."""
    uploader(desk, settings)
    offered = [FOLDER, CAMERA, GALLERY] if desk.photos else [FOLDER, CAMERA]  # an empty desk shows the gallery anyway
    source = st.segmented_control(
        "More ways to bring photos",
        offered,
        key=SOURCE,
        format_func=lambda name: f"{ICONS[name]} {name}",
        label_visibility="collapsed",
    )
    if source == FOLDER:
        uploader(desk, settings, folder=True)
    elif source == CAMERA:
        key = desk.key("camera")
        st.camera_input("Take a photo", key=key, on_change=_take_shot, args=(desk, settings, key), width=480)
    elif source == GALLERY or not desk.photos:
        if not desk.photos:
            st.markdown("**No photo at hand?** Click one of these.")
        show_gallery(desk, settings)


def uploader(desk: Desk, settings: Settings, *, folder: bool = False) -> None:
    """Draw an uploader; photos added or removed there are added to or removed from the desk."""
    limit = max(1, math.ceil(settings.max_upload_mb))
    MultiPartParser.spool_max_size = (limit + 1) * 2**20  # its default writes uploads over 1 MB to a temporary file
    key = desk.key("folder" if folder else "photos")
    with st.container(key="drop-folder" if folder else "drop"):
        files = st.file_uploader(
            "Choose a folder: the photos in it are taken" if folder else "Drop your photos here, or choose some",
            accept_multiple_files="directory" if folder else True,
            key=key,
            on_change=_take_uploads,
            args=(desk, settings, key, folder),
            max_upload_size=limit,
        )
    if not files:  # a fresh uploader, after a page change: what it held before stays on the desk
        desk.uploads.pop(key, None)


def _take_uploads(desk: Desk, settings: Settings, key: str, folder: bool) -> None:
    files = {file.file_id: file for file in st.session_state[key] or []}
    known = desk.uploads.setdefault(key, {})
    for gone in known.keys() - files.keys():
        _forget(desk, known.pop(gone))
    new = {file_id: file for file_id, file in files.items() if file_id not in known}
    others = [file.name for file in new.values() if folder and not file.name.lower().endswith(ENDINGS)]
    photos = {file_id: Photo.of(file.name, file.getvalue()) for file_id, file in new.items() if file.name not in others}
    known |= {file_id: photo.digest for file_id, photo in photos.items()}
    desk.tray.add(photos.values(), settings, no_photos=[name for name in others if not is_hidden(name)])
    _release(new)


def _release(file_ids: Iterable[str]) -> None:
    """Let Streamlit forget the bytes of uploads while it goes on listing them: the tray has what was taken.

    Otherwise it keeps them until the session ends, also those that were left out or removed.
    """
    context = get_script_run_ctx()
    if context is None:
        return
    manager = context.uploaded_file_mgr
    for record in manager.get_files(context.session_id, list(file_ids)):
        manager.add_file(context.session_id, record._replace(data=b""))


def _take_shot(desk: Desk, settings: Settings, key: str) -> None:
    shot = st.session_state[key]
    if shot is not None:
        desk.shots += 1
        desk.tray.add([Photo.of(f"camera-{desk.shots}.jpg", shot.getvalue())], settings)
        _release([shot.file_id])


def is_hidden(name: str) -> bool:
    """Say whether a file is one that systems put into folders unasked, such as .DS_Store."""
    last = name.rsplit("/", 1)[-1]
    return last.startswith(".") or last.lower() in ("thumbs.db", "desktop.ini")


def add_sample() -> None:
    """Put the sample photo on the desk; it stays in the address, so a reload brings it back."""
    url.write(options.SAMPLE, CAT)


def remove(desk: Desk, digest: str) -> None:
    """Take one photo off the desk."""
    _forget(desk, digest)
    _empty_uploader(desk)


def clear(desk: Desk) -> None:
    """Take all photos off the desk."""
    for photo in desk.photos:
        _forget(desk, photo.digest)
    _empty_uploader(desk)


def show_gallery(desk: Desk, settings: Settings) -> None:
    """Draw the gallery: a click on a photo puts it on the desk."""
    shown = gallery.open_gallery(settings)
    exhibits = shown.page(st.session_state.get(GALLERY_PAGE, 0))
    with st.grid(len(exhibits), min_column_width=110, gap="small", key="gallery"):
        for exhibit in exhibits:
            with st.container(key=f"tile-{exhibit.key}"):
                st.image(exhibit.thumbnail, width="stretch", alt=exhibit.title)
                st.button(
                    text.plain(exhibit.title),
                    key=f"gallery-{exhibit.key}",
                    type="tertiary",
                    on_click=_add_exhibit,
                    args=(desk, settings, shown, exhibit),
                )
    with st.container(horizontal=True, vertical_alignment="center"):
        if shown.pages > 1:
            st.button("Others", icon=":material/shuffle:", type="tertiary", on_click=_next_page, args=(shown,))
        st.caption(shown.credit)


def _add_exhibit(desk: Desk, settings: Settings, shown: gallery.Gallery, exhibit: gallery.Exhibit) -> None:
    if exhibit.key == gallery.SAMPLE_KEY:
        add_sample()
    else:
        desk.tray.add([shown.photo(exhibit)], settings)


def _next_page(shown: gallery.Gallery) -> None:
    st.session_state[GALLERY_PAGE] = (st.session_state.get(GALLERY_PAGE, 0) + 1) % shown.pages


def _forget(desk: Desk, digest: str) -> None:
    desk.tray.remove(digest)
    desk.results.keep_only(desk.tray.photos)
    if digest == sample_photo().digest:
        url.write(options.SAMPLE, "")


def _empty_uploader(desk: Desk) -> None:
    desk.round += 1
    desk.uploads.clear()
    give_back_soon()
