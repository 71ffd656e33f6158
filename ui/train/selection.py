"""Callbacks that change what the Train page shows: a run, or the form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from ui.train.options import LIKE, MIX, ORIGIN, RUN, TEACHER


def open_run(run_id: str) -> None:
    """Show a run."""
    st.session_state[RUN.name] = run_id


def open_column(key: str, ids: Sequence[str]) -> Any:
    """Return the column of a table of runs whose buttons open the run of their row; `ids` are in the rows' order."""
    return st.column_config.ButtonColumn("", key=key, on_click=_open_row, args=(key, ids))


def _open_row(key: str, ids: Sequence[str]) -> None:
    click = st.session_state[key]
    row = -1 if click is None else int(click.row)
    if 0 <= row < len(ids):
        open_run(ids[row])


def close_run() -> None:
    """Show the form and the list of runs again."""
    st.session_state[RUN.name] = ""


def close_model() -> None:
    """Return the form to the presets."""
    st.session_state[LIKE.name] = ""
    for option in (MIX, ORIGIN, TEACHER):
        st.session_state.pop(option.name, None)
