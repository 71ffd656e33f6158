"""The photo of the augmentation lab and the pitfalls: a URL parameter, so that it can be linked."""

from __future__ import annotations

import contextlib
import random

import streamlit as st

from ui.data import options
from ui.data.catalogue import Opened
from ui.shared import format as text
from unet_core.data.catalogue import Catalogue, CatalogueError
from unet_core.data.statistics import Entry

SHOWPIECES = ("Abyssinian_172.jpg", "synthetic_0_107")  # whole animals, well lit
GOOD_TO_SHOW = (0.25, 0.45)  # pet share of the first photo in other datasets


def subject(opened: Opened, *, help: str) -> Entry:
    """Draw the choice of the photo and return it: the one named in the URL, else one that shows a pet well."""
    default = _default(opened.key, opened.catalogue)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.text_input(
            "Photo", placeholder=default, help=help, max_chars=200, width=220, **options.SUBJECT.widget
        )
        name = name or ""
        st.button("Another photo", icon=":material/shuffle:", on_click=_take_any, args=(opened,))
    try:
        return opened.catalogue.entry(name.strip() or default)
    except CatalogueError:
        found = opened.catalogue.query(text=name, limit=1)[0]
    if not found:
        st.warning(f"This dataset has no photo called {text.plain(name)}; showing another one.")
    return found[0] if found else opened.catalogue.entry(default)


@st.cache_data(max_entries=8, show_spinner=False)
def _default(key: str, _catalogue: Catalogue) -> str:
    """Return the name of a good first photo."""
    for name in SHOWPIECES:
        with contextlib.suppress(CatalogueError):
            return _catalogue.entry(name).name
    found = _catalogue.query(pet_share=GOOD_TO_SHOW, limit=1)[0] or _catalogue.query(limit=1)[0]
    return found[0].name


def _take_any(opened: Opened) -> None:
    total = opened.catalogue.query(limit=0)[1]
    st.session_state[options.SUBJECT.name] = opened.catalogue.query(offset=random.randrange(total), limit=1)[0][0].name
