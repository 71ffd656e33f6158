"""The choice of the classes that are the subject: what cut-outs keep and what a threshold is set on."""

from __future__ import annotations

import zlib

import streamlit as st

from unet_core.classes import PixelClasses

_MOST_PILLS = 10  # more classes need a list that can be searched


def choose_subject(classes: PixelClasses) -> tuple[int, ...]:
    """Draw the choice of classes and return their ids; by default, and for none, all but the background."""
    names, key = classes.names, _key(classes)
    default = [names[number] for number in classes.subject]
    if len(names) > _MOST_PILLS:
        st.multiselect("Subject", names, default=default, key=key, persist_state="session")
    else:
        st.pills("Subject", names, selection_mode="multi", default=default, key=key, persist_state="session")
    return chosen_subject(classes)


def chosen_subject(classes: PixelClasses) -> tuple[int, ...]:
    """Return the ids chosen last, by default all but the background."""
    chosen = st.session_state.get(_key(classes)) or ()
    return tuple(number for number, name in enumerate(classes.names) if name in chosen) or classes.subject


def _key(classes: PixelClasses) -> str:
    return f"subject-{zlib.crc32(repr((classes.names, classes.background)).encode()):08x}"
