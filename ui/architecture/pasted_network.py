"""A pasted or uploaded network: whether it works, the line that breaks, the U that was found, and its layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from ui.architecture import options, state
from ui.components.drawing import drawing
from ui.shared import background
from ui.shared import format as text
from unet_core.architecture.config import MAX_SIDE, UNetConfig
from unet_core.architecture.doctor import diagnose
from unet_core.architecture.query import nearest_preset
from unet_core.architecture.table import counted
from unet_core.errors import ConfigError
from unet_core.foreign.dictionary import dictionary_config
from unet_core.foreign.drawing import draw
from unet_core.foreign.files import read_file
from unet_core.foreign.keras_config import NetworkFileError, read_config
from unet_core.foreign.match import matching_config
from unet_core.foreign.mismatch import written
from unet_core.foreign.network import Failure, Note, ReadNetwork
from unet_core.foreign.source import SourceError, read_source
from unet_core.foreign.u_shape import UShape, find_u

KEY = "architecture-network"
HEIGHT_KEY, WIDTH_KEY = f"{KEY}-height", f"{KEY}-width"
CONTEXT = 3  # lines shown before and after the one that breaks
TABLE_HEIGHT = 420  # pixels


def forget_size() -> None:
    """Go back to the network's own input size; for callbacks."""
    for key in (HEIGHT_KEY, WIDTH_KEY):
        st.session_state.pop(key, None)


def source(pasted: str) -> ReadNetwork | None:
    """Show whether the network that pasted source builds works, and return it; None if there is none."""
    size = _size()
    network = _result(lambda: read_source(pasted, size), pasted.expandtabs(4).splitlines())
    if network is not None:
        _offer(network, lambda other: read_source(pasted, other))
    return network


def config(pasted: str) -> ReadNetwork | None:
    """Show whether the network of a pasted Keras config works, and return it; None if there is none."""
    size = _size()
    network = _result(lambda: read_config(pasted.encode(), size), [])
    if network is not None:
        _offer(network, lambda other: read_config(pasted.encode(), other))
    return network


def dictionary(pasted: str) -> None:
    """Show the network that a tutorial's dictionary of settings stands for."""
    try:
        found = dictionary_config(pasted)
    except (ConfigError, SourceError) as error:
        st.info(text.plain(str(error)), icon=":material/search_off:")
        return
    if found is None:
        st.info("No dictionary of settings can be read in this text.", icon=":material/search_off:")
        return
    diagnosis = diagnose(found)
    st.markdown("#### The settings of the three-block U-Net (2022)")
    st.markdown(text.plain(f"{text.shape(found.input_shape)}; {counted(found.depth, 'level')}. {diagnosis.sentence}"))
    _show_button(found)


def uploaded(file: UploadedFile) -> ReadNetwork | None:
    """Show whether the network in a file works, and return it; None while it is read, or if there is none."""
    size = _size()
    work = background.ask(f"{KEY}-file", (file.file_id, size), read_file, file.getvalue(), file.name, size)
    if background.done(work):
        return _result(work.result, [])
    background.await_quietly(work, "The file is being read in a separate process.")
    return None


def _offer(network: ReadNetwork, at: Callable[[tuple[int, int]], ReadNetwork]) -> None:
    """Offer the page's own diagram, if it can draw this network; `at` reads the network at another input size."""
    found, size = network, _input_size(network)
    if network.failure is not None and network.failure.suggested_sizes:
        found = at(network.failure.suggested_sizes[0])
    config = _config_of(found)
    if config is not None and size is not None:
        _show_button(config.replace(height=size[0], width=size[1]))


def _show_button(config: UNetConfig) -> None:
    st.button(
        "Show it in the diagram", icon=":material/account_tree:", key=f"{KEY}-open", on_click=_open, args=(config,),
        help="The same layers with the same shapes and parameters, as a configuration of this page: with the shape "
        "doctor, cost and code. Dropout and initializers are not compared.",
    )  # fmt: skip


def _input_size(network: ReadNetwork) -> tuple[int, int] | None:
    shape = network.inputs[0].output_shape if network.inputs else None
    if shape is None or len(shape) != 3 or shape[0] is None or shape[1] is None:
        return None
    return shape[0], shape[1]


@lru_cache(maxsize=32)
def _config_of(network: ReadNetwork) -> UNetConfig | None:
    return matching_config(network)


def _open(config: UNetConfig) -> None:
    notice = state.Notice("This is the network that you brought.", is_error=False)
    state.change(notice, config=config, preset=nearest_preset(config), layer="", tab=options.LAYERS)


def _result(read: Callable[[], ReadNetwork], lines: list[str]) -> ReadNetwork | None:
    try:
        network = read()
    except (NetworkFileError, SourceError) as error:
        st.info(text.plain(str(error)), icon=":material/search_off:")
        return None
    verdict(network, lines)
    return network


def verdict(network: ReadNetwork, lines: list[str]) -> None:
    """Show whether a network works, and what was assumed or not read; `lines` is its source, empty if it has none."""
    _headline(network)
    if network.failure is not None:
        _failure(network.failure, lines)
    _notes("Assumed", network.assumed, ":material/help:")
    _notes("Not read, and therefore left out", network.unread, ":material/visibility_off:")


def anatomy(network: ReadNetwork) -> None:
    """Show the U that was found and all layers."""
    shape = _u_of(network)
    if shape.is_u and network.failure is None:
        across = counted(len(shape.skips), "connection")
        st.markdown(f"**A U of {counted(shape.depth, 'level')}** with {across} across")
    picture = _drawn(network)
    if picture:
        drawing(picture, key=f"{KEY}-drawing")
    _layers(network)


def _size() -> tuple[int, int] | None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        sides = [
            st.number_input(
                name, 1, MAX_SIDE, value=None, key=key, placeholder="its own", width=170,
                persist_state="session", help="Traces the network at this input size instead of its own",
            )
            for name, key in (("Input height", HEIGHT_KEY), ("Input width", WIDTH_KEY))
        ]  # fmt: skip
    height, width = sides
    if height is None and width is None:
        return None
    return int(height or width or 1), int(width or height or 1)


def _headline(network: ReadNetwork) -> None:
    inputs = ", ".join(_shape(layer.output_shape) for layer in network.inputs) or "its input"
    outputs = ", ".join(_shape(shape) for shape in network.output_shapes)
    params = text.number(network.total_params)
    count = counted(len(network.layers), "layer")
    if network.failure is not None:
        st.markdown(f"#### {text.plain(network.title)} breaks at {text.plain(network.failure.layer)}")
        st.caption(text.plain(f"{inputs}; {count} before it"))
        return
    known = "" if network.params_known else "at least "
    st.markdown(f"#### :material/check_circle: {text.plain(network.title)} works")
    st.markdown(text.plain(f"{inputs} → {outputs or 'unknown'}; {count}, {known}{params} parameters"))


def _shape(shape: Any) -> str:
    return "unknown" if shape is None else written(shape)


def _failure(failure: Failure, lines: list[str]) -> None:
    shapes = " and ".join(written(shape) for shape in failure.shapes)
    st.error(text.plain(f"{failure.why}" + (f" It gets {shapes}." if shapes else "")), icon=":material/broken_image:")
    if lines and failure.line:
        st.code(excerpt(lines, failure.line), language=None)
        callers = [line for line in failure.lines[:-1] if line]
        if callers:
            st.caption(f"Called from line {', then line '.join(map(str, callers))}")
    if failure.suggested_sizes:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("**Sizes that work**", width="content")
            for height, width in failure.suggested_sizes:
                st.button(
                    f"{height}{text.TIMES}{width}",
                    key=f"{KEY}-size-{height}-{width}",
                    help="Traces the network at this input size",
                    on_click=_use,
                    args=(height, width),
                )
    st.markdown("**What to change**")
    st.markdown("\n".join(f"{number}. {text.plain(change)}" for number, change in enumerate(failure.changes, 1)))


def excerpt(lines: list[str], line: int) -> str:
    """Return the lines around one, numbered, with an arrow at it."""
    first, last = max(1, line - CONTEXT), min(len(lines), line + CONTEXT)
    return "\n".join(
        f"{'→' if number == line else ' '} {number:>{len(str(last))}}  {lines[number - 1][:160]}"
        for number in range(first, last + 1)
    )


def _use(height: int, width: int) -> None:
    st.session_state[HEIGHT_KEY], st.session_state[WIDTH_KEY] = height, width


def _notes(title: str, notes: tuple[Note, ...], icon: str) -> None:
    if not notes:
        return
    listed = "\n".join(f"- {text.plain(str(note))}" for note in notes)
    if len(notes) <= 3:
        st.markdown(f"{icon} **{title}**\n{listed}")
        return
    with st.expander(f"{title}: {len(notes)}", icon=icon):
        st.markdown(listed)


@lru_cache(maxsize=32)
def _u_of(network: ReadNetwork) -> UShape:
    return find_u(network)


@lru_cache(maxsize=32)
def _drawn(network: ReadNetwork) -> str:
    return draw(network)


def _layers(network: ReadNetwork) -> None:
    columns: dict[str, Callable[[Any], Any]] = {
        "Line": lambda layer: layer.line or None,
        "Layer": lambda layer: layer.name,
        "Class": lambda layer: layer.kind,
        "Arguments": lambda layer: layer.label,
        "Output": lambda layer: _shape(layer.output_shape),
        "Parameters": lambda layer: layer.params,
    }
    table = {name: [read(layer) for layer in network.layers] for name, read in columns.items()}
    if not any(table["Line"]):
        table.pop("Line")
    st.dataframe(
        table, height=min(TABLE_HEIGHT, 36 * (len(network.layers) + 1) + 3), hide_index=True, key=f"{KEY}-table"
    )
