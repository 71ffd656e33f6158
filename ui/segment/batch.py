"""The photos of the workspace: one opened in full, or all as cards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.components.copy_link import copy_link
from ui.components.photo_grid import photo_grid
from ui.segment import options, queue
from ui.segment.batch_downloads import batch_section
from ui.segment.cards import CARD_VIEWS, CUT_OUTS, OVERLAYS, Card, Look, card_of, facts, presence_sentence, waiting_tile
from ui.segment.compare import compare_section
from ui.segment.confidence import confidence_section
from ui.segment.downloads import photo_section
from ui.segment.learn import learn_section
from ui.segment.moving import moving_section
from ui.segment.photos import Photo
from ui.segment.session_results import Choice, Result
from ui.segment.speed import speed_section
from ui.segment.subject import chosen_subject
from ui.segment.touch_up import corrected
from ui.segment.truth import forget_truths, truth_section
from ui.segment.views import overlay_controls, view_section, wanted
from ui.segment.workspace import Workspace, clear, is_linked_sample, remove
from ui.shared import format as text
from ui.shared import frame, url
from ui.shared.models import Model, ModelChoice, load
from ui.shared.sections import chosen_section
from ui.shared.url import put
from unet_core.images.render import Colour
from unet_core.segment import Failure
from unet_core.segment.shown import Wanted
from unet_core.settings import Settings

KNOWN = "known-photos"  # session key: the digests of the photos at the last run
SLICE_SECONDS = 0.5  # of work on a batch before what is there is shown; the page is then run again for the rest
CARD_WIDTH = 150  # pixels, at least
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
    """Draw every photo as a card, segmenting new ones for a moment at a time, and the downloads for the batch."""
    photos = workspace.photos
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="strength"):
        look = _look(choice, colours, settings)
        line = st.empty()
        st.space("stretch")
        st.button("Remove all", icon=":material/delete_sweep:", type="tertiary", on_click=clear, args=(workspace,))
    if not queue.may_start(photos, workspace, choice, settings):
        return
    cards = _cards(photos, workspace, choice, look, settings, line)
    photo_grid(
        [cards[photo.digest].tile(photo.digest) if photo.digest in cards else waiting_tile(photo) for photo in photos],
        label="Photos",
        key="batch",
        on_pick=_open,
        on_remove=partial(remove, workspace),
        least=CARD_WIDTH,
        clear=look.view == CUT_OUTS,
    )
    if len(cards) < len(photos):
        st.rerun()
    line.caption(f"{len(photos)} photos: click one to open it.", width="content")
    batch_section(list(cards.values()), _results(photos, workspace, choice, settings), look, settings)
    learn_section(workspace, choice, settings)


def _cards(
    photos: Sequence[Photo], workspace: Workspace, choice: Choice, look: Look, settings: Settings, slot: DeltaGenerator
) -> dict[str, Card]:
    """Return the cards that are there after working on the missing ones for `SLICE_SECONDS`, by digest."""
    results = workspace.results
    missing = [photo for photo in photos if results.card(photo, choice, look) is None]
    until = time.monotonic() + SLICE_SECONDS
    for photo, found in queue.segmented(missing, workspace, choice, settings, slot, [look.picture]):
        results.keep_card(photo, choice, look, card_of(corrected(found, workspace), look))
        if time.monotonic() > until:
            break
    cards = {photo.digest: results.card(photo, choice, look) for photo in photos}
    return {digest: card for digest, card in cards.items() if card is not None}


def one_photo(
    photo: Photo,
    workspace: Workspace,
    choice: Choice,
    models: Sequence[ModelChoice],
    colours: Colours,
    settings: Settings,
) -> None:
    """Draw one photo with all its sections."""
    kind, place = _head(photo, workspace)
    if not queue.may_start([photo], workspace, choice, settings):
        return
    slot = st.empty()
    report = queue.Report(slot, queue.work_key([photo], choice))
    model = load(choice.model, choice.engine, settings)
    ahead = _wanted(model)
    with queue.spinner("Segmenting…", choice):
        found = workspace.results.get(
            photo, choice, settings, model=model, wanted=ahead, on_wait=report.waiting, progress=report.tiles
        )
    slot.empty()
    if isinstance(found, Failure):
        st.error(text.plain(found.message), icon=":material/broken_image:")
        return
    if found.presence.kind is not None:
        kind.badge(text.plain(found.presence.kind).capitalize(), color="primary", help=presence_sentence(found))
    place.caption(facts(found), help=text.stages(found.timings), width="content")
    section = chosen_section(options.SECTION)
    if section == options.CONFIDENCE:
        confidence_section(found, colours, settings)
    elif section == options.COMPARE:
        compare_section(workspace, found, models, colours, settings)
    elif section == options.TRUTH:
        truth_section(found, colours, settings)
    elif section == options.DOWNLOAD:
        photo_section(corrected(found, workspace), _file_look(found, colours), settings)
        learn_section(workspace, choice, settings)
    elif section == options.SPEED:
        shipped = any(model.name == choice.model and model.kind == "shipped" for model in models)
        speed_section(found, shipped, settings)
    else:
        view_section(found, workspace, colours, settings)
        moving_section(found, settings)


def _wanted(model: Model) -> Sequence[Wanted]:
    """Return what is drawn first of a photo that is opened: nothing, unless it opens on its view."""
    if url.remembered(frame.SEGMENT.name).get(options.SECTION.name, options.SECTION.default) != options.VIEW:
        return []
    return [wanted(model.entry.classes)]


def _head(photo: Photo, workspace: Workspace) -> tuple[DeltaGenerator, DeltaGenerator]:
    """Draw the opened photo's name and the buttons back and to its neighbours; return places for its kind and facts."""
    photos = workspace.photos
    position = photos.index(photo)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key="opened"):
        if len(photos) > 1:
            st.button("All photos", icon=":material/grid_view:", on_click=_open, args=("",))
        st.markdown(f"**{text.plain(photo.name)}**", width="content", wrap=False)
        kind, place = st.empty(), st.empty()
        st.space("stretch")
        if is_linked_sample(photo):
            copy_link(
                f"?{options.SAMPLE.name}={url.asked(options.SAMPLE)}", help="Link to this sample", key="sample-link"
            )
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
    return kind, place


def _look(choice: Choice, colours: Colours, settings: Settings) -> Look:
    """Draw how the cards look, and return it."""
    view = st.segmented_control(
        "Cards",
        CARD_VIEWS,
        default=options.CARDS.default,
        required=True,
        label_visibility="collapsed",
        **options.CARDS.widget,
    )
    opacity, outline = overlay_controls() if view == OVERLAYS else _overlay_choice()
    subject = chosen_subject(load(choice.model, choice.engine, settings).segmenter.pixel_classes)
    return Look(view, opacity, outline, colours, subject)


def _results(
    photos: Sequence[Photo], workspace: Workspace, choice: Choice, settings: Settings
) -> Callable[[], Iterator[Result | Failure]]:
    """Return a function that yields the photos' results one by one; those that made room are computed again."""
    return lambda: (corrected(workspace.results.get(photo, choice, settings), workspace) for photo in photos)


def _file_look(result: Result, colours: Colours) -> Look:
    """Return how an opened photo's files look."""
    return Look(CUT_OUTS, *_overlay_choice(), colours, chosen_subject(result.pixel_classes))


def _overlay_choice() -> tuple[float, bool]:
    """Return the last chosen opacity and outline, whose widgets are not drawn here."""
    page = frame.SEGMENT.name
    return url.last_number(page, options.OPACITY, 0, 100) / 100, url.last_switch(page, options.OUTLINE)


def _open(digest: str) -> None:
    st.session_state[options.OPEN.name] = digest[:_NAME]
