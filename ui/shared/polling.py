"""Parts of a page that update automatically while there is something to wait for."""

from __future__ import annotations

import functools
from collections.abc import Callable

import streamlit as st

SOON = 0.7  # seconds between updates, for work that takes seconds
STEADY = 1.0  # for work that takes minutes
SELDOM = 2.0  # for a summary of what another page shows


def poll(draw: Callable[[], None], *, ended: Callable[[], bool], every: float | None = STEADY) -> None:
    """Redraw a part of the page every `every` seconds, and rerun the whole page once the wait has ended.

    Args:
        draw: draws the part, as a fragment.
        ended: called before each drawing; true if the whole page should rerun.
        every: seconds, one of this module's constants; None draws the part only once.
    """

    @st.fragment(run_every=every)
    @functools.wraps(draw)  # Streamlit identifies fragments by their function's name and position on the page
    def tick() -> None:
        if ended():
            st.rerun()
        draw()

    tick()
