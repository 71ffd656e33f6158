"""Setting, from a callback, what a widget shows and what the address says about it, whether it is drawn or not."""

from __future__ import annotations

import contextlib
import math
from typing import Any, Literal

import streamlit as st
from streamlit.errors import StreamlitAPIException


def put(name: str, value: Any, usual: Any = "") -> None:
    """Give the widget `name`, which is bound to the address, a value; the `usual` one leaves the address."""
    st.session_state[name] = value
    with contextlib.suppress(StreamlitAPIException):  # a widget that is drawn writes its address itself
        if value == usual:
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = str(value)


def binding(name: str) -> Literal["query-params"] | None:
    """Say how a widget of numbers is bound: not at all while its address is infinite, on which Streamlit fails."""
    try:
        return None if math.isinf(float(st.query_params.get(name, ""))) else "query-params"
    except ValueError:
        return "query-params"
