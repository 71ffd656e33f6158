"""The photos of the workspace: one opened in full, or all as cards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from ui.segment import options, queue
from ui.segment.cards import facts, problem_card, result_card
from ui.segment.compare import compare_section
from ui.segment.downloads import batch_section, photo_section
from ui.segment.photos import Photo
from ui.segment.session_results import Choice, Result
from ui.segment.speed import speed_section
from ui.segment.truth import forget_truths, truth_section
from ui.segment.views import OPACITY, OUTLINE, encoded, is_thin, overlay_controls, view_section
from ui.segment.workspace import Workspace, remove
from ui.shared import format as text
from ui.shared import frame
from ui.shared.models import ModelChoice
from ui.shared.url import put, remembered
from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.segment import Failure
from unet_core.settings import Settings

KNOWN = "known-photos"  # session key: the digests of the photos at the last run
SECTIONS = ("View", "Compare", "Ground truth", "Download", "Speed")
_NAME = 8  # characters of a digest that identify a photo in the address

Colours = tuple[Colour | None, ...]


def opened_photo(workspace: Workspace) -> Photo | None:
    """Return the photo named in the address, or the only photo; adding photos closes an open one."""
    photos = workspace.photos
    digests = {photo.digest for photo in photos}
    known: set[str] = st.session_state.get(KNOWN, digests)
    if digests - known and len(photos) > 1:
        put(options.OPEN, "")
    st.session_state[KNOWN] = digests
    forget_truths(digests)
    name = options.OPEN.hidden("Opened photo")
    if len(photos) == 1:
        return photos[0]
    return next((photo for photo in photos if name and photo.digest[:_NAME] == name), None)


def all_photos(workspace: Workspace, choice: Choice, colours: Colours, settings: Settings) -> None:
    """Draw every photo as a card, segmenting new ones, and the downloads for the batch."""
    photos = workspace.photos
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="strength"):
        opacity, outline = overlay_controls()
        st.caption(f"{len(photos)} photos. Click one to view, compare, score and download it.")
    if not queue.may_start(photos, workspace, choice, settings):
        return
    progress = st.empty()
    with st.grid(min(len(photos), 4), min_column_width=150, gap="small") as grid:
        pass
    cells = {photo.digest: grid.cell() for photo in photos}
    found: list[Result | Failure] = []
    for photo, each in queue.segmented(workspace, choice, settings, progress):
        found.append(each)
        with cells[photo.digest]:
            if isinstance(each, Failure):
                problem_card(each, photo.digest, on_remove=partial(remove, workspace))
                continue
            result_card(
                each,
                _card_picture(workspace, each, opacity, outline, colours),
                colours,
                on_open=_open,
                on_remove=partial(remove, workspace),
            )
    batch_section(found, opacity, outline, colours, settings)


def one_photo(
    photo: Photo,
    workspace: Workspace,
    choice: Choice,
    models: Sequence[ModelChoice],
    colours: Colours,
    settings: Settings,
) -> None:
    """Draw one photo with all its sections."""
    _head(photo, workspace)
    if not queue.may_start([photo], workspace, choice, settings):
        return
    slot = st.empty()
    report = queue.Report(slot, queue.work_key([photo], choice))
    with queue.spinner("Segmenting…", choice):
        found = workspace.results.get(photo, choice, settings, on_wait=report.waiting, progress=report.tiles)
    slot.empty()
    if isinstance(found, Failure):
        st.error(text.plain(found.message), icon=":material/broken_image:")
        return
    st.caption(facts(found))
    view, compare, truth, download, speed = st.tabs(SECTIONS, **options.SECTION.widget)
    if compare.open:
        with compare:
            compare_section(workspace, found, models, colours, settings)
    elif truth.open:
        with truth:
            truth_section(found, colours, settings)
    elif download.open:
        with download:
            photo_section(found, *_overlay_choice(), colours, settings)
    elif speed.open:
        with speed:
            shipped = any(model.name == choice.model and model.kind == "shipped" for model in models)
            speed_section(found, shipped, settings)
    else:
        with view:
            view_section(found, colours, settings)


def _head(photo: Photo, workspace: Workspace) -> None:
    """Draw the opened photo's name and the buttons back and to its neighbours."""
    photos = workspace.photos
    position = photos.index(photo)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="opened"):
        if len(photos) > 1:
            st.button("All photos", icon=":material/grid_view:", on_click=_open, args=("",))
        st.markdown(f"**{text.plain(photo.name)}**", width="stretch", wrap=False)
        if len(photos) > 1:
            for label, icon, step in (("Previous", "chevron_left", -1), ("Next", "chevron_right", 1)):
                other = photos[position + step].digest if 0 <= position + step < len(photos) else ""
                st.button(label, icon=f":material/{icon}:", disabled=not other, on_click=_open, args=(other,))
        st.button(
            "Remove",
            icon=":material/close:",
            key=f"remove-{photo.digest[:16]}",
            type="tertiary",
            help=f"Remove {text.plain(photo.name)}",
            on_click=remove,
            args=(workspace, photo.digest),
        )


def _card_picture(workspace: Workspace, result: Result, opacity: float, outline: bool, colours: Colours) -> bytes:
    if is_thin(result):
        shown = result.shown()
        return encoded(render.overlay(shown.image, shown.mask, opacity=opacity, outline=outline, colours=colours))
    return workspace.results.overlay(result, opacity, outline, colours)


def _overlay_choice() -> tuple[float, bool]:
    """Return the last chosen opacity and outline, whose widgets are not drawn here."""
    chosen = remembered(frame.SEGMENT.name)
    return float(str(chosen.get("opacity", OPACITY))) / 100, str(chosen.get("outline", OUTLINE)).lower() == "true"


def _open(digest: str) -> None:
    st.session_state[options.OPEN.name] = digest[:_NAME]
