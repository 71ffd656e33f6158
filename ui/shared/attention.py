"""Whether anybody still waits for what a script computes."""

from __future__ import annotations

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx


def session_id() -> str | None:
    """Return the id of the session whose script runs on this thread, None outside of one."""
    context = get_script_run_ctx(suppress_warning=True)
    return None if context is None else context.session_id


def stop_if_gone() -> None:
    """End the script if its visitor has closed the tab.

    Streamlit itself ends a script at its next element only when the page runs again; a tab that is gone never asks for
    that.
    """
    session = session_id()
    if session is not None and runtime.exists() and not runtime.get_instance().is_active_session(session):
        st.stop()
