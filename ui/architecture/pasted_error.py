"""A pasted error message, explained and led back to the layer that caused it."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from ui.architecture import options, state
from ui.architecture.state import Notice
from ui.shared import format as text
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.query import nearest_preset
from unet_core.foreign.messages import ErrorMessage, UnknownMessage, read_message
from unet_core.foreign.mismatch import written
from unet_core.foreign.places import Place, find_places, known_networks

KEY = "architecture-error"


def explained(pasted: str, own: UNetConfig) -> None:
    """Show what a message means, and the networks that fail with its shapes; `own` is the page's network."""
    try:
        message, places = _read(pasted, own)
    except UnknownMessage as error:
        st.info(text.plain(str(error)), icon=":material/search_off:")
        return
    st.markdown(f"#### {text.plain(message.title)}")
    if message.frame or message.layer:
        where = [message.frame, f"layer {message.layer}" if message.layer else ""]
        st.caption(f":material/location_on: {text.plain(', '.join(filter(None, where)))}")
    st.markdown(f"**Why.** {text.plain(message.why)}")
    st.markdown("**What to change**")
    st.markdown("\n".join(f"{number}. {text.plain(change)}" for number, change in enumerate(message.changes, 1)))
    if places:
        st.markdown("**Networks that fail with exactly these shapes**")
        for number, place in enumerate(places):
            _place(place, number)
    elif message.kind == "merge" and message.shapes:
        st.caption("Neither your network above nor any preset fails with these shapes.")


@lru_cache(maxsize=32)
def _read(pasted: str, own: UNetConfig) -> tuple[ErrorMessage, tuple[Place, ...]]:
    message = read_message(pasted)
    return message, find_places(message, known_networks(own))


def _place(place: Place, number: int) -> None:
    problem = place.problem
    with st.container(border=True, key=f"{KEY}-place-{number}"):
        st.markdown(f"**{text.plain(place.network)}**, layer {text.plain(problem.layer)}")
        cause = f" {problem.cause} lost the pixel." if problem.cause else ""
        shapes = " and ".join(written(shape) for shape in problem.shapes)
        st.markdown(text.plain(f"Square inputs of {_ranges(place.sizes)} pixels lead to {shapes}.{cause}"))
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.button(
                f"Show it at {place.config.height}{text.TIMES}{place.config.width}",
                key=f"{KEY}-open-{number}",
                icon=":material/account_tree:",
                help="Draws this network with the layer that fails, and how to fix it",
                on_click=_open,
                args=(place,),
            )
            if problem.suggested_sizes:
                sizes = " or ".join(text.shape(size) for size in problem.suggested_sizes)
                st.caption(f"{sizes} works", width="content")


def _ranges(sizes: tuple[int, ...]) -> str:
    """Write sizes with runs joined: "252 to 255 and 300"."""
    runs: list[list[int]] = []
    for size in sizes:
        if runs and size == runs[-1][-1] + 1:
            runs[-1].append(size)
        else:
            runs.append([size])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _open(place: Place) -> None:
    notice = Notice(f"{place.network} at an input that leads to the pasted error.", is_error=False)
    state.change(
        notice, config=place.config, preset=nearest_preset(place.config), layer=place.problem.layer, tab=options.LAYERS
    )
