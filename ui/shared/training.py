"""Whether a visitor may start what costs this server minutes: training, downloads of datasets, exports, uploads."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import deque

import streamlit as st

from ui.shared import visitor
from unet_core.settings import Settings

WINDOW = 300.0  # seconds in which wrong passwords are counted
MAX_TRIES = 5  # of one visitor in that time
MAX_TRIES_OF_ALL = 100  # since a visitor without a cookie is a new one every time
_MAX_UNLOCKED = 10_000
ERROR = "training-password-error"  # session key
OFF = (
    "Training is turned off on this server, because it would slow down everybody who segments photos. Everything else "
    "works, and in your own copy of this app training is open."
)
LOCKED = "Starting work that takes minutes needs this server's password; watching runs and using models does not."
WRONG = "That is not the password."
TOO_MANY = "Too many wrong passwords: try again in five minutes."


class _Door:
    """Who has entered the password, and the recent wrong tries; shared by all sessions of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unlocked: dict[tuple[str, bytes], None] = {}
        self._wrong: deque[tuple[float, str]] = deque(maxlen=MAX_TRIES_OF_ALL)

    def is_unlocked(self, owner: str, password: str) -> bool:
        return (owner, _digest(password)) in self._unlocked

    def enter(self, owner: str, given: str, password: str) -> str:
        """Unlock for a visitor, or return why not."""
        now = time.monotonic()
        with self._lock:
            while self._wrong and self._wrong[0][0] < now - WINDOW:
                self._wrong.popleft()
            tries = sum(who == owner for _, who in self._wrong)
            if tries >= MAX_TRIES or len(self._wrong) >= MAX_TRIES_OF_ALL:
                return TOO_MANY
            if not hmac.compare_digest(given.encode(), password.encode()):
                self._wrong.append((now, owner))
                return WRONG
            while len(self._unlocked) >= _MAX_UNLOCKED:
                del self._unlocked[next(iter(self._unlocked))]
            self._unlocked[owner, _digest(password)] = None
            return ""


_DOOR = _Door()


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode()).digest()


def is_open(settings: Settings) -> bool:
    """Return whether the visitor may start such work."""
    if settings.training == "password":
        return _DOOR.is_unlocked(visitor.owner(), settings.training_password)
    return settings.training == "on"


def why_closed(settings: Settings, what: str) -> str:
    """Return why the visitor may not start `what`, in a sentence: "Exporting is turned off on this server"."""
    off = settings.training == "off"
    return f"{what} {'is turned off on this server' if off else 'needs this server’s password, see the Train page'}"


def closed_note(settings: Settings, place: str) -> None:
    """Draw why the visitor may not start such work and, where a password opens it, its field; `place` is its key."""
    if settings.training == "off":
        st.info(OFF, icon=":material/lock:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = f"training-password-{place}"
        st.text_input("Password", key=key, type="password", max_chars=200, width=220, autocomplete="current-password")
        st.button("Unlock", icon=":material/lock_open:", key=f"{key}-go", on_click=_enter, args=(key, settings))
    st.caption(f":material/lock: {LOCKED}")
    if error := st.session_state.pop(ERROR, ""):
        st.error(error, icon=":material/error:")


def _enter(key: str, settings: Settings) -> None:
    given = st.session_state.pop(key, "")
    if given:
        st.session_state[ERROR] = _DOOR.enter(visitor.owner(), given, settings.training_password)
