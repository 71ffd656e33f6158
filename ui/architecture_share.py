"""What a visitor takes away from the Architecture page or brings to it: link, configuration, table, pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from ui import architecture_state as state
from ui import frame
from ui.architecture_cached import drawn
from ui.architecture_state import Notice, View
from ui.train_place import BUILT, BUILT_NETWORK
from unet_core.config import ConfigError
from unet_core.config_address import MAX_JSON_BYTES, from_json, nearest_preset
from unet_core.diagram import to_png, to_svg
from unet_core.summary import model_plot_svg, model_summary
from unet_core.trace import Trace
from unet_core.trace_table import to_csv

UPLOAD = "architecture-upload"
_ASSETS = Path(__file__).parent / "assets" / "copy_link"

_copy_link = st.components.v2.component(
    "copy_link",
    html=(_ASSETS / "copy.html").read_text(encoding="utf-8"),
    css=(_ASSETS / "copy.css").read_text(encoding="utf-8"),
    js=(_ASSETS / "copy.js").read_text(encoding="utf-8"),
)


def share(view: View, traced: Trace) -> None:
    """Draw "Copy link", the menu of files, and the way to the Train page."""
    _copy_link(
        key="architecture-copy",
        data={"label": "Copy link", "help": "A link that opens this page as it is now", "query": _query(view)},
        width="content",
    )
    with st.popover("Files", icon=":material/folder_open:", help="Take this network away, or bring one"):
        name = f"unet_{view.preset.replace('+', '_')}"
        st.markdown("**The configuration**")
        _file("Download config (JSON)", view.config.to_json, f"{name}.json", "application/json")
        st.file_uploader(
            "Upload config (JSON)",
            "json",
            key=UPLOAD,
            on_change=_take_upload,
            max_upload_size=1,
            help=f"As the button above writes it, at most {MAX_JSON_BYTES // 1024} KiB",
        )
        st.markdown("**The diagram and the layers**")
        with st.container(horizontal=True, gap="xsmall"):
            theme = st.context.theme.type or "light"
            _file("SVG", partial(to_svg, drawn(traced), theme), f"{name}.svg", "image/svg+xml")
            _file("PNG", partial(to_png, drawn(traced), theme), f"{name}.png", "image/png")
            _file("Table (CSV)", partial(to_csv, traced), f"{name}.csv", "text/csv")
        if traced.valid:
            st.markdown("**As Keras shows it**")
            with st.container(horizontal=True, gap="xsmall"):
                _file("model.summary()", partial(model_summary, traced, name), f"{name}_summary.txt", "text/plain")
                _file("plot_model", partial(model_plot_svg, traced, theme), f"{name}_plot.svg", "image/svg+xml")
    if traced.valid:
        with st.container(key="architecture-train", width="content"):
            address = {BUILT: state.written(view.config, view.preset), "unet": BUILT_NETWORK}
            frame.link_to(frame.TRAIN, "Train it", address)


def _query(view: View) -> str:
    return f"?{urlencode(view.parameters, safe=',')}"


def _file(label: str, data: object, name: str, kind: str) -> None:
    st.download_button(
        label, data, name, kind, key=f"architecture-file-{name}", icon=":material/download:", on_click="ignore"
    )


def _take_upload() -> None:
    """Show an uploaded configuration, with the preset that it is nearest to."""
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
    loaded = Notice(f"{upload.name} is what you see now.", is_error=False)
    state.change(loaded, config=config, preset=nearest_preset(config), layer="")
