"""A session's workspace on the Segment page: photos, results, and the callbacks that change them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import streamlit as st
from starlette.formparsers import MultiPartParser
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ui.components.photo_grid import Tile, photo_grid
from ui.home.live_example import sample_photo
from ui.segment import gallery, options, reload
from ui.segment.live import live
from ui.segment.photos import Photo, PhotoStore, more_at_once
from ui.segment.session_results import Results
from ui.segment.video import video
from ui.shared import format as text
from ui.shared import url
from ui.shared.uploads import BATCH_TYPES
from unet_core.data.own.archive import ArchiveError, photos_in
from unet_core.images.files import PHOTO_ENDINGS, is_hidden
from unet_core.images.samples import SAMPLES
from unet_core.jobs.memory import give_back_soon
from unet_core.segment.correction import Correction
from unet_core.settings import Settings

if TYPE_CHECKING:
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

WORKSPACE = "workspace"  # session key
GALLERY_PAGE = "gallery_page"  # session key
SOURCE = "source"  # session key: the open source of photos
FOLDER, CAMERA, VIDEO, GALLERY = "Folder", "Camera", "Video", "Gallery"
ICONS = {
    FOLDER: ":material/folder_open:",
    CAMERA: ":material/photo_camera:",
    VIDEO: ":material/movie:",
    GALLERY: ":material/photo_library:",
}
NO_PHOTO = ""  # in place of a digest: of an archive, or a file that is no photo


@dataclass
class Workspace:
    """One session's photos and results; `uploads` maps each uploader's file ids to digests.

    `corrections` are what the visitor has changed of photos' outlines, by digest, whatever the model.
    """

    store: PhotoStore = field(default_factory=PhotoStore)
    results: Results = field(default_factory=Results)
    corrections: dict[str, Correction] = field(default_factory=dict)
    uploads: dict[str, dict[str, str]] = field(default_factory=dict)
    round: int = 0
    shots: int = 0  # photos taken with the camera

    def key(self, name: str) -> str:
        """Return a widget's key; a new `round` empties the uploaders, which then free their copies of the files."""
        return f"{name}-{self.round}"

    @property
    def photos(self) -> list[Photo]:
        """The photos in the order they were added."""
        return list(self.store.photos.values())

    def copy(self) -> Workspace:
        """Return a workspace with the same photos, results and corrections, but without this one's uploaders."""
        store, corrections = PhotoStore(dict(self.store.photos)), dict(self.corrections)
        return Workspace(store, self.results.copy(), corrections, round=self.round, shots=self.shots)


def open_workspace(settings: Settings) -> Workspace:
    """Return this session's workspace, with a sample photo if the address asks for one."""
    if WORKSPACE not in st.session_state:
        st.session_state[WORKSPACE] = reload.workspace_of_session(Workspace)
    workspace: Workspace = st.session_state[WORKSPACE]
    name = url.asked(options.SAMPLE)
    if name in SAMPLES and sample_photo(name).digest not in workspace.store.photos:
        workspace.store.add([sample_photo(name)], settings)
    return workspace


def intake(workspace: Workspace, settings: Settings) -> DeltaGenerator:
    """Draw the sources of photos: the drop zone, and on demand a folder, the camera, a video or the gallery.

    With photos, the drop zone is a button in a line, which has a place for more: it is returned.
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="intake"):
        uploader(workspace, settings)
        offered = [
            FOLDER,
            CAMERA,
            VIDEO,
            *([GALLERY] if workspace.photos else []),
        ]  # an empty workspace shows it anyway
        source = st.segmented_control(
            "More ways to add photos",
            offered,
            key=SOURCE,
            format_func=lambda name: f"{ICONS[name]} {name}",
            label_visibility="collapsed",
            width="content",
        )
        rest = st.container(horizontal=True, vertical_alignment="center", gap="small", key="rest")
    if source == FOLDER:
        uploader(workspace, settings, folder=True)
    elif source == CAMERA:
        live(settings, lambda photo: _take_picture(workspace, settings, photo))
    elif source == VIDEO:
        video(settings, lambda photo: _take_one(workspace, settings, photo), workspace.store.refuse)
    elif source == GALLERY or not workspace.photos:
        if not workspace.photos:
            st.markdown("**No photo at hand?** Click one of these.")
        show_gallery(workspace, settings)
    return rest


def limits(settings: Settings) -> str:
    """Return what may be added, as a sentence."""
    return (
        f"Up to {settings.max_files} photos of {text.quantity(settings.max_upload_mb, 'MB')} and "
        f"{text.quantity(settings.max_megapixels, 'megapixels')} each, also in a ZIP: JPEG, PNG, WebP, AVIF, HEIC, "
        f"GIF, BMP or TIFF. {more_at_once(settings)}."
    )


def uploader(workspace: Workspace, settings: Settings, *, folder: bool = False) -> None:
    """Draw an uploader; photos added or removed there are added to or removed from the workspace."""
    limit = max(1, math.ceil(max(settings.max_upload_mb, settings.max_session_mb)))  # a ZIP may have them all
    MultiPartParser.spool_max_size = (limit + 1) * 2**20  # the default writes uploads over 1 MB to disk
    key = workspace.key("folder" if folder else "photos")
    with st.container(key="drop-folder" if folder else "drop"):
        files = st.file_uploader(
            "Choose a folder to add all its photos"
            if folder
            else "Drop photos or a ZIP of photos here, or choose files",
            accept_multiple_files="directory" if folder else True,
            type=None if folder else BATCH_TYPES,  # of a folder, the note names what is no photo
            key=key,
            on_change=_take_uploads,
            args=(workspace, settings, key, folder),
            max_upload_size=limit,
        )
    if not files:  # a new uploader after a page change: its former photos stay in the workspace
        workspace.uploads.pop(key, None)


def _take_uploads(workspace: Workspace, settings: Settings, key: str, folder: bool) -> None:
    files = {file.file_id: file for file in st.session_state[key] or []}
    known = workspace.uploads.setdefault(key, {})
    gone = {known.pop(file_id) for file_id in known.keys() - files.keys()}
    for digest in gone - {*known.values(), NO_PHOTO}:  # of two equal photos, one may still be there
        _remove_photo(workspace, digest)
    new = {file_id: file for file_id, file in files.items() if file_id not in known}
    added = _Added()
    known |= dict.fromkeys(new, NO_PHOTO)
    for file_id, file in new.items():
        if file.name.lower().endswith(".zip"):
            added.unpack(file.name, file.getvalue(), settings, settings.max_files - len(workspace.photos))
        elif folder and not file.name.lower().endswith(PHOTO_ENDINGS):
            added.others.append(file.name)
        else:
            photo = Photo.of(file.name, file.getvalue())
            added.photos.append(photo)
            known[file_id] = photo.digest
    workspace.store.add(
        added.photos,
        settings,
        no_photos=[name for name in added.others if not is_hidden(name)],
        left_out=added.left_out,
        problems=added.problems,
    )
    _release(new)


@dataclass
class _Added:
    """What one addition of files brings: photos, and the names and sentences about everything else."""

    photos: list[Photo] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def unpack(self, name: str, data: bytes, settings: Settings, most: int) -> None:
        """Add the photos in a ZIP, at most so many."""
        try:
            photos, left_out = photos_in(data, name, settings, most=max(0, most - len(self.photos)))
        except ArchiveError as error:
            self.problems.append(f"{error} {more_at_once(settings)}")
            return
        self.photos += [Photo.of(*photo) for photo in photos]
        self.left_out += left_out


def _release(file_ids: Iterable[str]) -> None:
    """Drop Streamlit's copies of uploaded bytes but keep the list of files: the store has the photos.

    Otherwise it keeps all of them until the session ends, even skipped and removed ones.
    """
    context = get_script_run_ctx()
    if context is None:
        return
    manager = cast("MemoryUploadedFileManager", context.uploaded_file_mgr)  # the protocol lacks `add_file`
    for record in manager.get_files(context.session_id, list(file_ids)):
        manager.add_file(context.session_id, record._replace(data=b""))


def _take_picture(workspace: Workspace, settings: Settings, photo: bytes) -> None:
    """Add a picture of the live camera, which ends with it."""
    workspace.shots += 1
    _take_one(workspace, settings, Photo.of(f"camera-{workspace.shots}.jpg", photo))


def _take_one(workspace: Workspace, settings: Settings, photo: Photo) -> None:
    """Add a photo from a source that ends with it."""
    workspace.store.add([photo], settings)
    st.session_state[SOURCE] = None


def add_sample(name: str) -> None:
    """Add a sample photo to the workspace and to the address, so that it survives a reload."""
    url.write(options.SAMPLE, name)


def is_linked_sample(photo: Photo) -> bool:
    """Return whether a photo is the sample that the address names, so that a link brings it to others."""
    name = url.asked(options.SAMPLE)
    return name in SAMPLES and photo.digest == sample_photo(name).digest


def remove(workspace: Workspace, digest: str) -> None:
    """Remove one photo from the workspace."""
    _remove_photo(workspace, digest)
    _empty_uploader(workspace)


def clear(workspace: Workspace) -> None:
    """Remove all photos from the workspace."""
    for photo in workspace.photos:
        _remove_photo(workspace, photo.digest)
    _empty_uploader(workspace)


def show_gallery(workspace: Workspace, settings: Settings) -> None:
    """Draw the gallery; a click on a photo adds it to the workspace."""
    shown = gallery.open_gallery(settings)
    number = st.session_state.get(GALLERY_PAGE, 0)
    exhibits = {exhibit.key: exhibit for exhibit in shown.page(number)}
    photo_grid(
        [Tile(exhibit.key, exhibit.title, exhibit.thumbnail) for exhibit in exhibits.values()],
        label="Example photos",
        key="gallery",
        on_pick=lambda key: _add_exhibit(workspace, settings, shown, exhibits[key]),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if shown.pages > 1:
            st.button("More examples", icon=":material/shuffle:", type="tertiary", on_click=_next_page, args=(shown,))
        st.caption(shown.credit(number))


def _add_exhibit(workspace: Workspace, settings: Settings, shown: gallery.Gallery, exhibit: gallery.Exhibit) -> None:
    if exhibit.key in SAMPLES:
        add_sample(exhibit.key)
    else:
        workspace.store.add([shown.photo(exhibit)], settings)


def _next_page(shown: gallery.Gallery) -> None:
    st.session_state[GALLERY_PAGE] = (st.session_state.get(GALLERY_PAGE, 0) + 1) % shown.pages


def _remove_photo(workspace: Workspace, digest: str) -> None:
    workspace.store.remove(digest)
    workspace.corrections.pop(digest, None)
    workspace.results.keep_only(workspace.store.photos)
    name = url.asked(options.SAMPLE)
    if name in SAMPLES and digest == sample_photo(name).digest:
        url.write(options.SAMPLE, "")


def _empty_uploader(workspace: Workspace) -> None:
    workspace.round += 1
    workspace.uploads.clear()
    give_back_soon()
