"""The frame around every page: browser tab, menu, heading and footer, set up by one call."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import streamlit as st
from streamlit.errors import StreamlitPageNotFoundError

from ui.shared import collector, server, tour, upload_limits, url, visitor
from ui.shared import format as text
from ui.shared.url import Option
from unet_core import __version__
from unet_core.errors import ConfigError
from unet_core.jobs.memory import keep_together
from unet_core.settings import Settings, get_settings

PRODUCT = "U-Net Studio"
MAX_FINDINGS = 4  # problems with the address that are shown at a time
ASSETS = Path(__file__).parent / "assets"
SCRIPTED = "_frame-scripted"  # session key: the browser has the frame's script
ABOUT = f"**{PRODUCT}** {__version__}: explore U-Nets, segment photos, and train your own model."


class Page(NamedTuple):
    """One page in the menu: its script, name, icon and summary."""

    script: str
    name: str
    icon: str
    summary: str


HOME = Page(
    "streamlit_app.py",
    "Home",
    ":material/home:",
    "Introduction, a live example, and the status of model, dataset and machine.",
)
ARCHITECTURE = Page(
    "pages/1_Architecture.py",
    "Architecture",
    ":material/account_tree:",
    "Explore any U-Net layer by layer: shapes, cost, receptive field, and why an input size fails and how to fix it.",
)
SEGMENT = Page(
    "pages/2_Segment.py",
    "Segment",
    ":material/photo_camera:",
    "Upload photos of cats and dogs, see which pixels belong to the animal, and download masks and overlays.",
)
TRAIN = Page(
    "pages/3_Train.py",
    "Train",
    ":material/model_training:",
    "Train a U-Net and follow its progress, also on your own photo; stop, resume and compare runs; download the model.",
)
RESULTS = Page(
    "pages/4_Results.py",
    "Results",
    ":material/query_stats:",
    "How accurate the shipped models are, where they fail, what they cost, and how each figure was measured.",
)
DATA = Page(
    "pages/5_Data.py",
    "Data",
    ":material/photo_library:",
    "Browse training data, try augmentation, learn to avoid common mistakes, and add your own dataset.",
)
PAGES = (HOME, ARCHITECTURE, SEGMENT, TRAIN, RESULTS, DATA)


def page(
    this: Page,
    title: str | None = None,
    lead: str | None = None,
    *,
    options: Iterable[Option] = (),
    figure: Callable[[int], None] | None = None,
) -> Settings:
    """Set up the current page and draw its menu, heading and lead sentence; call it before anything else.

    `options` are those that the page keeps in its address; `figure` draws the pictures of the introduction. Returns the
    settings; if an environment variable is out of range, the page shows which one and stops here.
    """
    collector.note_activity()
    keep_together()
    st.set_page_config(
        page_title=PRODUCT if this is HOME else f"{this.name} · {PRODUCT}",
        page_icon=_asset("mark.png"),
        layout="wide",
        initial_sidebar_state=232,
        menu_items={"About": ABOUT},
    )
    st.html(_style())
    _script()
    visitor.recognize()
    url.remember(this.name, options)
    _menu()
    tour.bar(this.name, open_page, figure)
    st.title(title or this.name, anchor=False)
    if lead:
        st.markdown(lead)
    if findings := url.refused(options):
        problems = "; ".join(findings[:MAX_FINDINGS])
        st.warning(text.plain(f"Ignored in the address: {problems}"), icon=":material/link_off:")
    try:
        settings = get_settings()
    except ConfigError as error:
        st.error(text.plain(str(error)), title="Invalid setting", icon=":material/settings_alert:")
        st.stop()
    server.attend(settings)
    upload_limits.allow(this.name, _upload_megabytes(this, settings))
    return settings


def _upload_megabytes(this: Page, settings: Settings) -> float:
    """Return how much a session may upload to a page at a time; room for a file that the page then refuses is left."""
    photo = 2 * settings.max_upload_mb
    limits = {
        ARCHITECTURE: photo,
        SEGMENT: settings.max_session_mb + photo,
        TRAIN: photo,
        DATA: settings.max_archive_mb + 1,
    }
    return limits.get(this, 0.0)


def link(target: Page, *, help: str = "") -> None:
    """Draw a link to a page, with the options last chosen there."""
    try:
        st.page_link(
            target.script,
            label=target.name,
            icon=target.icon,
            help=help,
            width="stretch",
            query_params=url.remembered(target.name),
        )
    except StreamlitPageNotFoundError:
        # A page script that is run on its own, as in tests, knows no other pages.
        st.markdown(f"{target.icon} {target.name}", help=help)


def link_to(target: Page, label: str, query: Mapping[str, str]) -> None:
    """Draw a link to a page with these parameters."""
    try:
        st.page_link(target.script, label=label, icon=target.icon, query_params=query, width="content")
    except StreamlitPageNotFoundError:
        st.markdown(f"{target.icon} {label}")  # as in `link`


def go_button(target: Page, label: str) -> None:
    """Draw a page's primary button, which leads to another page."""
    if st.button(label, icon=target.icon, type="primary", key=f"go-{target.name.lower()}"):
        st.switch_page(target.script, query_params=url.remembered(target.name))


def open_page(name: str, query: Mapping[str, str]) -> None:
    """Open a page by its name, with these parameters and no others."""
    target = next(entry for entry in PAGES if entry.name == name)
    st.switch_page(target.script, query_params=query)


def _script() -> None:
    """Send the frame's script once: it stays until the browser loads the app again, which starts another session."""
    if SCRIPTED not in st.session_state:
        st.session_state[SCRIPTED] = True
        st._event.html(_script_element(), unsafe_allow_javascript=True)


@cache
def _script_element() -> str:
    return f"<script>{{\n{(ASSETS / 'frame.js').read_text(encoding='utf-8')}}}</script>"


@cache
def _style() -> str:
    return f"<style>{(ASSETS / 'style.css').read_text(encoding='utf-8')}</style>"


@cache
def _asset(name: str) -> str:
    """Return a picture as the text of a `data:` address, which Streamlit does not read and encode at every run."""
    kind = {".png": "image/png", ".svg": "image/svg+xml"}[Path(name).suffix]
    return f"data:{kind};base64,{base64.b64encode((ASSETS / name).read_bytes()).decode()}"


def _menu() -> None:
    st.logo(_asset("logo.svg"), size="large", icon_image=_asset("mark.svg"))
    with st.sidebar:
        for entry in PAGES:
            link(entry, help=entry.summary)
        st.space("small")
        st.caption(f"{PRODUCT} {__version__}")
