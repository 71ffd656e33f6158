"""Downloads and uploads of the Architecture page: link, configuration, table, figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

import streamlit as st

from ui.architecture import state
from ui.architecture.cached import drawn
from ui.architecture.state import Notice, View
from ui.components.copy_link import copy_link
from ui.shared import download, frame
from ui.train.options import BUILT, BUILT_NETWORK, NETWORK
from unet_core.architecture.query import MAX_JSON_BYTES, from_json, nearest_preset
from unet_core.architecture.table import to_csv
from unet_core.architecture.trace import Trace
from unet_core.errors import ConfigError
from unet_core.explain.diagram import to_png, to_svg
from unet_core.explain.diagram.palette import Theme
from unet_core.explain.model_plot import model_plot_png, model_plot_svg
from unet_core.explain.summary import model_summary

UPLOAD = "architecture-upload"


def share(view: View, traced: Trace) -> None:
    """Show "Copy link", the menu of files, and the link to the Train page."""
    with st.container(
        horizontal=True, vertical_alignment="bottom", gap="xsmall", width="content", key="architecture-share"
    ):
        copy_link(_query(view), help="A link to this page with all current choices", key="architecture-copy")
        with st.popover("Files", icon=":material/folder_open:", help="Download this network, or upload one"):
            listed = files(view, traced, st.context.theme.type or "light")
            st.markdown("**Configuration**")
            _downloads(listed[:1])
            st.file_uploader(
                "Upload config (JSON)",
                "json",
                key=UPLOAD,
                on_change=_load_upload,
                max_upload_size=1,
                help=f"A file from the button above, at most {MAX_JSON_BYTES // 1024} KiB",
            )
            st.markdown("**Diagram and layers**")
            _downloads(listed[1:4])
            if traced.valid:
                st.markdown("**Keras summary and plot**")
                _downloads(listed[4:])
        if traced.valid:
            with st.container(key="architecture-train", width="content"):
                address = {BUILT.name: state.written(view.config, view.preset), NETWORK.name: BUILT_NETWORK}
                frame.link_to(frame.TRAIN, "Train it", address)


def _query(view: View) -> str:
    return f"?{urlencode(view.parameters, safe=',')}"


class File(NamedTuple):
    """A download: its button's label, its name, its MIME type, and the function that creates it on demand."""

    label: str
    name: str
    kind: str
    make: Callable[[], str | bytes]


def files(view: View, traced: Trace, theme: Theme) -> tuple[File, ...]:
    """Return the files of a network: configuration, diagram, layers; and Keras' summary and plot, if it works."""
    name = state.file_stem(view)
    own = (
        File("Download config (JSON)", f"{name}.json", "application/json", view.config.to_json),
        File("SVG", f"{name}.svg", "image/svg+xml", partial(to_svg, drawn(traced), theme)),
        File("PNG", f"{name}.png", "image/png", partial(to_png, drawn(traced), theme)),
        File("Table (CSV)", f"{name}.csv", "text/csv", partial(to_csv, traced)),
    )
    if not traced.valid:
        return own
    return (
        *own,
        File("model.summary()", f"{name}_summary.txt", "text/plain", partial(model_summary, traced, name)),
        File("plot_model (SVG)", f"{name}_plot.svg", "image/svg+xml", partial(model_plot_svg, traced, theme)),
        File("plot_model (PNG)", f"{name}_plot.png", "image/png", partial(model_plot_png, traced, theme)),
    )


def _downloads(listed: tuple[File, ...]) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        for file in listed:
            download.button(
                file.label,
                file.make,
                file.name,
                file.kind,
                key=f"architecture-file-{file.name}",
            )


def _load_upload() -> None:
    """Show an uploaded configuration, relative to the nearest preset."""
    upload = st.session_state.get(UPLOAD)
    if upload is None:
        return
    try:
        if upload.size > MAX_JSON_BYTES:
            raise ConfigError(f"{upload.name} is too large for a configuration: at most {MAX_JSON_BYTES} bytes.")
        config = from_json(upload.getvalue())
    except ConfigError as error:
        state.refuse(error)
        return
    loaded = Notice(f"Loaded {upload.name}.", is_error=False)
    state.change(loaded, config=config, preset=nearest_preset(config), layer="")
