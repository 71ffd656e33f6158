"""Code: the network as Keras source in three forms, to copy or download."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import streamlit as st

from ui.architecture.state import View, file_stem
from ui.shared import download
from unet_core.architecture.config import UNetConfig
from unet_core.explain.codegen import functional_source, library_source, subclassed_source

FORMS: dict[str, tuple[Callable[[UNetConfig], str], str]] = {
    "Functional": (functional_source, "Plain Keras, one layer after the other: the form to start with."),
    "Subclassed": (subclassed_source, "Plain Keras, a subclass of `keras.Model` with a name for every tensor."),
    "Library": (library_source, "With this library, `unet_core`, which must be installed."),
}
HEIGHT = 560  # pixels


def section(view: View) -> None:
    """Show the choice of the form, the source and its download."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        form = st.segmented_control(
            "Form", list(FORMS), default="Functional", required=True, key="architecture-form",
            label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
        source = written(form or "Functional", view.config)
        download.button(
            "Download",
            source,
            file_name(view, form or "Functional"),
            "text/x-python",
            key="architecture-code",
        )
        st.caption(FORMS[form or "Functional"][1], width="content")
    long = source.count("\n") > 28
    st.code(source, language="python", height=HEIGHT if long else "content")


def file_name(view: View, form: str) -> str:
    """Return the file name of a form, which Python can import."""
    return f"{file_stem(view)}_{form.lower()}.py"


@lru_cache(maxsize=64)
def written(form: str, config: UNetConfig) -> str:
    """Return the source of a configuration in one of `FORMS`."""
    return FORMS[form][0](config)
