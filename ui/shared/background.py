"""Work that takes longer than a page may block: runs in a background thread, shown when it is done."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import streamlit as st

from ui.shared import polling

PATIENCE_SECONDS = 1.2  # how long a run of the page may block before it shows that work is in progress


@st.cache_resource(show_spinner=False)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, thread_name_prefix="page-work")


@st.cache_resource(show_spinner=False)
def _long_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="long-page-work")


def ask(slot: str, key: Hashable, function: Callable[..., Any], *arguments: Any, is_long: bool = False) -> Future:
    """Return the session's work in `slot`; it starts again only when `key` changes.

    Work that `is_long`, many seconds, has threads of its own, so that no other work waits for it.
    """
    held: tuple[Hashable, Future] | None = st.session_state.get(slot)
    if held is None or held[0] != key:
        if held is not None:
            held[1].cancel()  # no effect on work that has already started
        threads = _long_threads() if is_long else _threads()
        held = st.session_state[slot] = key, threads.submit(function, *arguments)
    return held[1]


def forget(slot: str) -> None:
    """Drop the work in `slot`, so that the next `ask` starts it again."""
    st.session_state.pop(slot, None)


def done(work: Future) -> bool:
    """Wait a moment for `work`, and return whether it has ended."""
    return bool(wait([work], PATIENCE_SECONDS).done)


def await_quietly(work: Future, sentence: str) -> None:
    """Show `sentence` with a spinner, and run the page again as soon as `work` has ended."""

    def show() -> None:
        st.caption(f":material/hourglass_top: {sentence}")

    polling.poll(show, ended=work.done, every=polling.SOON)
