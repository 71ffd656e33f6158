"""Files to take away: the button that offers one, and the time for which a file made on a click can be fetched."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

FETCH_SECONDS = 60.0  # from a file's making to the browser's request for it, on a slow connection too


def button(
    label: str,
    data: str | bytes | Callable[[], str | bytes],
    name: str,
    mime: str,
    *,
    icon: str = ":material/download:",
    **options: Any,
) -> None:
    """Draw a button that downloads `data` as a file `name`, without a rerun of the page.

    A function is called on the click. `options` are those of `st.download_button`.
    """
    if callable(data):
        data = fetchable(data, name, mime)
    st.download_button(label, data, name, mime, icon=icon, on_click="ignore", **options)


def fetchable(make: Callable[[], str | bytes], name: str, mime: str) -> Callable[[], str | bytes]:
    """Return `make` so that its file outlives the reruns between the click and the browser's request.

    Streamlit drops a file that no session refers to at the end of the second script run after it was made, of whatever
    visitor, and a file made on a click is never referred to. In a full room that is a matter of milliseconds.
    """
    context = get_script_run_ctx()
    if context is None or not runtime.exists():  # the script runs without a server
        return make

    @wraps(make)
    def held() -> str | bytes:
        data = make()
        holder = copy.copy(context)
        holder.session_id = f"download-{uuid.uuid4()}"
        files = runtime.get_instance().media_file_mgr
        stored = data.encode() if isinstance(data, str) else data
        # The manager asks the thread's context for whom it holds a file.
        hold = threading.Thread(target=files.add, args=(stored, mime, "file", name, True))
        add_script_run_ctx(hold, holder)
        hold.start()
        hold.join()
        release = threading.Timer(FETCH_SECONDS, files.clear_session_refs, [holder.session_id])
        release.daemon = True
        release.start()
        return data

    return held
