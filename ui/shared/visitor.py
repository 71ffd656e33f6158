"""Who is visiting: a random key in a cookie, by which a browser finds its own runs and datasets again."""

from __future__ import annotations

import hashlib
import re
import secrets
from urllib.parse import urlsplit

import streamlit as st

COOKIE = "unet_visitor"
DAYS = 30  # that a browser keeps the key after its last visit
KEY, LOCAL = "_visitor", "_visitor-local"  # session keys
_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{32}")  # what `secrets.token_urlsafe(24)` gives: 192 bits
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")
# The script contains nothing that a visitor has written except the key, whose form is checked.
_SET_COOKIE = """<script>
document.cookie = "{name}={key}; path=/; max-age={seconds}; SameSite=Strict"
  + (location.protocol === "https:" ? "; Secure" : "");
</script>"""


def recognize() -> None:
    """Give the session its visitor's key, once: that of the browser's cookie, or a new one.

    The cookie is written without a rerun, also where it exists, which extends its time. Its key identifies a visitor
    but opens nothing else, and never appears in a page.
    """
    if KEY in st.session_state:
        return
    key = st.context.cookies.get(COOKIE)
    if not isinstance(key, str) or not _WELL_FORMED.fullmatch(key):
        key = secrets.token_urlsafe(24)
    st.session_state[KEY] = key
    st.session_state[LOCAL] = _is_local()
    script = _SET_COOKIE.format(name=COOKIE, key=key, seconds=DAYS * 24 * 3600)
    st._event.html(script, unsafe_allow_javascript=True)


def key() -> str:
    """Return the visitor's key, which only their own browser may receive."""
    recognize()
    return st.session_state[KEY]


def owner() -> str:
    """Return what is stored with a visitor's runs and datasets: a hash from which their key cannot be computed."""
    return hashlib.sha256(key().encode()).hexdigest()


def is_local() -> bool:
    """Return whether the browser runs on this machine: whoever uses it has started the app, as on a laptop."""
    recognize()
    return st.session_state[LOCAL]


def _is_local() -> bool:
    headers = st.context.headers
    if not headers:
        return True  # there is no browser, as in a test of a page's script
    try:
        host = urlsplit(headers.get("Origin", "")).hostname
    except ValueError:
        return False
    # A proxy on this machine connects from it too, but for a browser that opened another address.
    return st.context.ip_address is None and host in _LOOPBACK and not any(name in headers for name in _FORWARDED)
