"""Which run the Train page shows: named in the address, so that a reload, the back button and a link find it again."""

from __future__ import annotations

import streamlit as st

RUN = "run"  # ?run=ID


def shown_run() -> str:
    """Return the id of the run to show, "" for none; call it once, at the page's top."""
    # A widget that nobody sees: it alone lets the browser's back button leave the run again.
    return st.text_input("Run", key=RUN, bind="query-params", label_visibility="collapsed").strip()


def open_run(run_id: str) -> None:
    """Show a run; for callbacks."""
    st.session_state[RUN] = run_id


def close_run() -> None:
    """Show the form and the list of runs again; for callbacks."""
    st.session_state[RUN] = ""
