"""Find your bug: a pasted error message or Keras source, read without running it and explained."""

from __future__ import annotations

import streamlit as st

from ui.architecture import pasted_error, pasted_network
from ui.architecture.pasted_examples import EXAMPLES
from ui.architecture.state import View
from unet_core.foreign.messages import MAX_TEXT
from unet_core.foreign.source import looks_like_source

PASTED = "architecture-pasted"
HEIGHT = 240  # pixels


def section(view: View) -> None:
    """Show the text field, examples for it, and the explanation of what was pasted."""
    network = None
    left, right = st.columns([2, 3], gap="large")
    with left:
        pasted = _field()
    with right:
        if not pasted.strip():
            st.caption("The explanation appears here. What you paste is only read: it is never run and not stored.")
        elif looks_like_source(pasted):
            network = pasted_network.source(pasted)
        else:
            pasted_error.explained(pasted, view.config)
    if network is not None:
        pasted_network.anatomy(network)


def _field() -> str:
    pasted = st.text_area(
        "Error message or Keras code", key=PASTED, height=HEIGHT, max_chars=MAX_TEXT, persist_state="session",
        placeholder="Paste the last lines of a traceback, or the Python code that builds your network",
        help="The text is only read. Press Ctrl+Enter, or click beside the field, to explain it.",
    )  # fmt: skip
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption("Try", width="content")
        for name, example in EXAMPLES.items():
            st.button(name, key=f"{PASTED}-{name}", type="tertiary", on_click=_put, args=(example,))
    return pasted or ""


def _put(example: str) -> None:
    st.session_state[PASTED] = example
    pasted_network.forget_size()
