"""Whether anybody still waits for what a script computes."""

from __future__ import annotations

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ui.shared import visitor


def session_id() -> str | None:
    """Return the id of the session whose script runs on this thread, None outside of one."""
    context = get_script_run_ctx(suppress_warning=True)
    return None if context is None else context.session_id


def visitor_key() -> str | None:
    """Return the key of the visitor whose script runs on this thread, the same in all their tabs, or None."""
    return None if session_id() is None else visitor.key()


def stop_if_gone() -> None:
    """End the script if its visitor has closed the tab.

    Streamlit itself ends a script at its next element only when the page runs again; a tab that is gone never asks for
    that.
    """
    if is_gone(session_id()):
        st.stop()


def is_gone(session: str | None) -> bool:
    """Return whether a session's tab is closed; its page may still come back within two minutes."""
    return session is not None and runtime.exists() and not runtime.get_instance().is_active_session(session)
