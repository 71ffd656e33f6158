"""Cards of figures, each with how it was measured and the command that reproduces it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from ui.shared import format as text
from unet_core.results.files import Provenance


@contextmanager
def card(title: str, *, key: str, how: str = "", measured: Provenance | None = None) -> Iterator[None]:
    """Draw a titled card around its content, with `how` it was measured behind a button in the corner."""
    with st.container(border=True, key=f"figure-{key}"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", wrap=False):
            st.markdown(f"**{title}**")  # takes the width that the button leaves
            if how:
                how_button(how, measured, key=key)
        yield


def how_button(how: str, measured: Provenance | None, *, key: str) -> None:
    """Draw the button that explains how figures were measured."""
    with st.popover("How", icon=":material/science:", type="tertiary", key=f"how-{key}", help="How this was measured"):
        st.markdown("**How this was measured**")
        st.markdown(how)
        if measured is not None:
            st.code(measured.command, language="sh", wrap_lines=True)
            st.caption(text.plain(facts(measured)))


def facts(measured: Provenance) -> str:
    """Return date, machine and versions in one sentence."""
    packages = ", ".join(f"{name} {version}" for name, version in measured.packages.items())
    busy = f", load {measured.load:g}" if measured.load is not None else ""
    engine = f"{measured.engine} on {measured.device}; " if measured.engine else ""
    return (
        f"{measured.date[:10]}, {text.duration(measured.seconds)} on {measured.machine}, {measured.cores} cores{busy}; "
        f"{engine}Python {measured.python}, {packages}."
    )
