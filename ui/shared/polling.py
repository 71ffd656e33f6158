"""Parts of a page that look again by themselves while there is something to wait for."""

from __future__ import annotations

import functools
from collections.abc import Callable

import streamlit as st

SOON = 0.7  # seconds between two looks at work that takes seconds
STEADY = 1.0  # at work that takes minutes
SELDOM = 2.0  # at what another page shows in full


def poll(draw: Callable[[], None], *, ended: Callable[[], bool], every: float | None = STEADY) -> None:
    """Draw a part of the page every `every` seconds, and run the whole page once as soon as the wait has ended.

    Args:
        draw: what to show meanwhile; it runs as a fragment, so its widgets run it alone.
        ended: called before each drawing, whether the rest of the page has something else to show now.
        every: seconds, one of this module's; None where there is nothing to wait for: it is drawn once.
    """

    @st.fragment(run_every=every)
    @functools.wraps(draw)  # Streamlit tells fragments apart by their function's name and place on the page
    def tick() -> None:
        if ended():
            st.rerun()
        draw()

    tick()
