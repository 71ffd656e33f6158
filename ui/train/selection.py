"""What the Train page shows: a run, or a form that begins with something; the address names both, so links find it."""

from __future__ import annotations

import streamlit as st

RUN = "run"  # ?run=ID
LIKE = "like"  # ?like=ID: the form begins with that run's settings
ORIGIN = "start_from"  # ?start_from=ID: whose weights the form's run begins with
TEACHER = "distill_from"  # ?distill_from=ID: from whose answers it learns beside the masks
BUILT = "built"  # ?built=ADDRESS: a network of the Architecture page, as its `written` gives it
BUILT_NETWORK = "from the Architecture page"  # and what the list of networks calls it


def shown_run() -> str:
    """Return the id of the run to show, "" for none; call it once, at the page's top."""
    return _unseen("Run", RUN)


def shown_model() -> tuple[str, str]:
    """Return the id of the run whose settings the form begins with, and a network's address; "" each for none."""
    return _unseen("Like", LIKE), _unseen("Built", BUILT)


def _unseen(label: str, key: str) -> str:
    # A widget that nobody sees: it alone lets the browser's back button undo what it says.
    return st.text_input(label, key=key, bind="query-params", label_visibility="collapsed").strip()


def open_run(run_id: str) -> None:
    """Show a run; for callbacks."""
    st.session_state[RUN] = run_id


def close_run() -> None:
    """Show the form and the list of runs again; for callbacks."""
    st.session_state[RUN] = ""


def close_model() -> None:
    """Let the form begin with a preset again; for callbacks."""
    st.session_state[LIKE] = ""
    for key in (ORIGIN, TEACHER):
        st.session_state.pop(key, None)
