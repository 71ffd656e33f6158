"""Callbacks that change what the Train page shows: a run, or the form."""

from __future__ import annotations

import streamlit as st

from ui.train.options import LIKE, ORIGIN, RUN, TEACHER


def open_run(run_id: str) -> None:
    """Show a run."""
    st.session_state[RUN.name] = run_id


def close_run() -> None:
    """Show the form and the list of runs again."""
    st.session_state[RUN.name] = ""


def close_model() -> None:
    """Return the form to the presets."""
    st.session_state[LIKE.name] = ""
    for option in (ORIGIN, TEACHER):
        st.session_state.pop(option.name, None)
