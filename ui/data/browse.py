"""Browse: the dataset's photos with their masks, with filters and paging; each photo has a link of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from ui.data import options
from ui.data.catalogue import Opened, coloured, jpeg
from ui.shared import format as text
from ui.shared.legend import legend
from ui.shared.url import Option, asked, put
from unet_core.data.catalogue import Catalogue, CatalogueError, Order
from unet_core.data.sources import PARTS
from unet_core.data.statistics import Entry
from unet_core.images import render

PER_PAGE = 24
OPACITY = 0.35  # the photo matters as much as the mask here
ANY, ANY_SIZE = options.SPLIT.default, options.SIZE.default
SIZES: dict[str, tuple[float, float] | None] = {
    ANY_SIZE: None,
    "under 15 %": (0.0, 0.15),
    "15 to 40 %": (0.15, 0.4),
    "over 40 %": (0.4, 1.0),
}
ORDERS: dict[str, Order] = {
    "as stored": "dataset",
    "by name": "name",
    "smallest first": "smallest",
    "largest first": "largest",
}
FILTERS = (options.SPLIT, options.SPECIES, options.BREED, options.SIZE, options.SEARCH, options.PAGE)


@dataclass(frozen=True)
class Choices:
    """What a dataset can be filtered by."""

    splits: tuple[str, ...]
    species: tuple[str, ...]
    breeds: tuple[str, ...]


@st.cache_data(max_entries=8, show_spinner=False)
def choices(key: str, _catalogue: Catalogue) -> Choices:
    """Return the splits, species and breeds in a catalogue."""
    entries = _catalogue.entries()
    splits, species, breeds = (
        {value for entry in entries if (value := getattr(entry, field))} for field in ("split", "species", "breed")
    )
    in_order = [part for part in PARTS if part in splits] + sorted(splits.difference(PARTS))
    return Choices(tuple(in_order), tuple(sorted(species)), tuple(sorted(breeds, key=str.lower)))


@st.cache_data(max_entries=600, show_spinner=False)
def thumbnail(key: str, name: str, view: str, _opened: Opened) -> bytes:
    """Return the thumbnail of one example as JPEG."""
    return _picture(*_opened.catalogue.thumbnail(name), view, _opened)


@st.cache_data(max_entries=60, show_spinner=False)
def full_size(key: str, name: str, view: str, _opened: Opened) -> bytes:
    """Return the image of one example, as large as the catalogue stores it, as JPEG."""
    return _picture(*_opened.catalogue.example(name), view, _opened)


def _picture(photo: np.ndarray, mask: np.ndarray, view: str, opened: Opened) -> bytes:
    if view == "photo":
        return jpeg(photo)
    if view == "mask":
        return jpeg(coloured(mask, opened.colours))
    return jpeg(render.overlay(photo, mask, opacity=OPACITY, colours=opened.colours))


def section(opened: Opened) -> None:
    """Draw filters, grid and paging."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        chosen = _filters(choices(opened.key, opened.catalogue), opened)
    found, total = _page_of(opened.catalogue, chosen)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(_counted(total), width="content")
        view = _view(options.VIEW)
    if not total:
        st.button("Show all photos", icon=":material/filter_alt_off:", on_click=clear_filters)
    with st.grid(6, min_column_width=104, gap="small"):
        for entry in found:
            _tile(entry, view, opened)
    if total > PER_PAGE:
        with st.container(horizontal=True, horizontal_alignment="center"):
            st.pagination(-(-total // PER_PAGE), width=330, **options.PAGE.widget)
    if options.PHOTO.hidden("Photo"):
        _photo_dialog(opened, chosen)


def clear_filters() -> None:
    """Reset all filters."""
    for option in FILTERS:
        put(option, option.default)


def forget_choices() -> None:
    """Reset all choices that refer to photos of another dataset."""
    clear_filters()
    for option in (options.PHOTO, options.SUBJECT):
        put(option, option.default)


def facts(entry: Entry, thing: str) -> str:
    """Return a photo's split, breed, size and pet share in one line of Markdown."""
    parts = [entry.split, text.plain(text.words(entry.breed)), entry.species.lower()]
    parts += [text.pixels(entry.width, entry.height), f"{thing} {text.percent(entry.pet_share, 0)}"]
    return " · ".join(part for part in parts if part)


def _filters(known: Choices, opened: Opened) -> dict[str, Any]:
    """Draw the filters that apply to the dataset; return their values as arguments of `Catalogue.query`."""
    search = st.text_input(
        "Name",
        type="search",
        live="300ms",
        placeholder="Part of a name",
        on_change=_first_page,
        max_chars=80,
        width=190,
        **options.SEARCH.widget,
    )
    split = _select("Split", options.SPLIT, known.splits, 130)
    species = _select("Species", options.SPECIES, known.species, 130)
    breed = _select(opened.breed.capitalize(), options.BREED, known.breeds, 210)
    size = st.selectbox(
        f"{opened.thing.capitalize()} size",
        list(SIZES),
        on_change=_first_page,
        help="Share of the photo that is not background",
        width=140,
        **options.SIZE.widget,
    )
    order = st.selectbox("Order", list(ORDERS), on_change=_first_page, width=170, **options.ORDER.widget)
    return {
        "order": ORDERS[order],
        "text": (search or "").strip() or None,
        "split": split,
        "species": species,
        "breed": breed,
        "pet_share": SIZES[size],
    }


def _select(label: str, option: Option, values: tuple[str, ...], width: int) -> str | None:
    """Draw a selectbox of `values`, if there are at least two."""
    if len(values) < 2:
        return None
    chosen = st.selectbox(
        label, [ANY, *values], on_change=_first_page, format_func=option.label or str, width=width, **option.widget
    )
    return None if chosen == ANY else chosen


def _view(option: Option) -> str:
    chosen = st.segmented_control(
        "Show", option.choices, default=option.default, required=True, label_visibility="collapsed", **option.widget
    )
    return chosen or option.default


def _first_page() -> None:
    st.session_state[options.PAGE.name] = options.PAGE.default


def _page_of(catalogue: Catalogue, chosen: dict[str, Any]) -> tuple[list[Entry], int]:
    """Return the entries of the current page, and the number of entries on all pages."""
    wanted = str(st.session_state.get(options.PAGE.name, asked(options.PAGE)))
    page = int(wanted) if wanted.isdecimal() and int(wanted) > 0 else options.PAGE.default
    found, total = catalogue.query(**chosen, offset=(page - 1) * PER_PAGE, limit=PER_PAGE)
    if total and not found:
        st.session_state[options.PAGE.name] = options.PAGE.default
        found, total = catalogue.query(**chosen, offset=0, limit=PER_PAGE)
    return found, total


def _counted(total: int) -> str:
    if not total:
        return ":material/search_off: No photo matches these filters."
    return f"**{text.number(total)}** photo{'s' if total > 1 else ''}. Click one to enlarge it."


def _tile(entry: Entry, view: str, opened: Opened) -> None:
    identity = hashlib.sha256(entry.name.encode()).hexdigest()[:12]
    with st.container(key=f"tile-{identity}", gap=None):
        st.image(thumbnail(opened.key, entry.name, view, opened), width="stretch", alt="")
        st.button(
            text.plain(entry.name),
            key=f"open-{identity}",
            type="tertiary",
            width="stretch",
            wrap=False,
            help=facts(entry, opened.thing),
            on_click=_open,
            args=(entry.name,),
        )


def _open(name: str) -> None:
    st.session_state[options.PHOTO.name] = name


def _close() -> None:
    st.session_state[options.PHOTO.name] = ""


@st.dialog("Photo", width="large", icon=":material/zoom_in:", on_dismiss=_close)
def _photo_dialog(opened: Opened, chosen: dict[str, Any]) -> None:
    """Show one photo enlarged, with its class shares and links to its neighbours."""
    name = st.session_state[options.PHOTO.name]
    if not name:  # closed by a button below
        st.rerun()
    try:
        entry = opened.catalogue.entry(name)
    except CatalogueError as error:
        st.warning(text.plain(str(error)), icon=":material/search_off:")
        return
    names = [entry.name for entry in opened.catalogue.query(**chosen)[0]]
    picture, words = st.columns([3, 2], gap="medium")
    with words:
        st.markdown(f"**{text.plain(entry.name)}**  \n{facts(entry, opened.thing)}")
        view = _view(options.CLOSER)
        legend(entry.shares, column=True, colours=opened.colours)
        with st.container(horizontal=True, gap="xsmall"):
            _neighbour("Previous", ":material/chevron_left:", names, name, -1)
            _neighbour("Next", ":material/chevron_right:", names, name, +1)
        with st.container(horizontal=True, gap="xsmall"):
            _work_on("Augment it", ":material/auto_awesome:", name, options.LAB)
            _work_on("Show pitfalls on it", ":material/warning:", name, options.PITFALLS)
        st.caption(":material/link: The URL of this page links to this photo.")
    picture.image(full_size(opened.key, name, view, opened), width="stretch", alt=f"{name}: {view}")


def _neighbour(label: str, icon: str, names: list[str], name: str, step: int) -> None:
    position = names.index(name) + step if name in names else -1
    exists = 0 <= position < len(names)
    if st.button(label, icon=icon, disabled=not exists, on_click=_open, args=(names[position] if exists else "",)):
        st.rerun()


def _work_on(label: str, icon: str, name: str, section_name: str) -> None:
    """Draw a button that opens the photo in another section."""
    st.button(label, icon=icon, on_click=_take_to, args=(name, section_name))


def _take_to(name: str, section_name: str) -> None:
    _close()
    put(options.SUBJECT, name)
    put(options.SECTION, section_name)
