"""The choice of one of a page's sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from ui.shared.url import Option


def chosen_section(option: Option) -> str:
    """Show the choice of the sections that an option declares, and return the chosen one."""
    chosen = section_control(option.choices, default=option.default, **option.widget)
    assert chosen is not None, "a choice is required"
    return chosen


def section_control(names: Sequence[str], **widget: Any) -> str | None:
    """Show a choice of sections, and return the chosen one; `widget` are arguments of `st.segmented_control`.

    It is not `st.tabs` bound to the address, which in Streamlit 1.67 takes the open tab from every run's message: if
    that of an earlier run comes between a click and its rerun, the click is lost, and the page shows another section
    than the address names.
    """
    with st.container(key="sections"):
        return st.segmented_control("Section", names, required=True, label_visibility="collapsed", wrap=True, **widget)
