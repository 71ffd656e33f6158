"""Find your bug: an error message, Keras source or a network file, read without running it and explained."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from ui.architecture import pasted_error, pasted_network
from ui.architecture.pasted_examples import EXAMPLES
from ui.architecture.state import View
from unet_core.foreign.dictionary import has_dictionary
from unet_core.foreign.files import FILE_TYPES, is_network
from unet_core.foreign.messages import MAX_TEXT
from unet_core.foreign.source import looks_like_source
from unet_core.settings import Settings

PASTED = "architecture-pasted"
HEIGHT = 240  # pixels


def section(view: View, settings: Settings) -> None:
    """Show the fields, examples for them, and the explanation of what was pasted or uploaded."""
    network = None
    left, right = st.columns([2, 3], gap="large")
    with left:
        pasted = _field()
        file = _file(settings)
    with right:
        if file is not None:
            network = pasted_network.uploaded(file)
        elif not pasted.strip():
            st.caption("The explanation appears here. What you paste is only read: it is never run and not stored.")
        elif has_dictionary(pasted):
            pasted_network.dictionary(pasted)
        elif is_network(pasted.encode(), ""):
            network = pasted_network.config(pasted)
        elif looks_like_source(pasted):
            network = pasted_network.source(pasted)
        else:
            pasted_error.explained(pasted, view.config)
    if network is not None:
        pasted_network.anatomy(network)


def _field() -> str:
    pasted = st.text_area(
        "Error message or Keras code", key=PASTED, height=HEIGHT, max_chars=MAX_TEXT, persist_state="session",
        placeholder="Paste the last lines of a traceback, the Python code that builds your network, or model.to_json()",
        help="The text is only read. Press Ctrl+Enter, or click beside the field, to explain it.",
    )  # fmt: skip
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption("Try", width="content")
        for name, example in EXAMPLES.items():
            st.button(name, key=f"{PASTED}-{name}", type="tertiary", on_click=_put, args=(example,))
    return pasted or ""


def _file(settings: Settings) -> UploadedFile | None:
    return st.file_uploader(
        "Or a network as a file", type=list(FILE_TYPES), key=f"{PASTED}-file",
        max_upload_size=max(1, int(settings.max_upload_mb)),
        help="Keras: model.to_json() or a .keras file. Others: ONNX. Only the layers and shapes are read: nothing of "
        "the file is run, and weights are ignored.",
    )  # fmt: skip


def _put(example: str) -> None:
    st.session_state[PASTED] = example
    pasted_network.forget_size()
