"""Live: the camera's pictures segmented continuously; one of them becomes a photo of the workspace."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ui.components.live_camera import live_camera
from ui.shared import attention, models
from ui.shared import format as text
from unet_core.api.live import VISITS
from unet_core.settings import Settings
from unet_core.zoo.manifest import WeightsError, load_manifest

FAST = "pets_fast"  # the shipped model that is made for speed
ROUTE = "/api/live"
_TICKET = "live-ticket"  # session key


def live(settings: Settings, on_photo: Callable[[bytes], None]) -> None:
    """Draw the live camera; `on_photo` gets the JPEG of a picture that the visitor takes."""
    try:
        name = FAST if FAST in load_manifest(settings).models else None
        model = models.load(name, "auto", settings)
    except WeightsError as error:
        st.error(text.plain(str(error)), title="Live needs a model", icon=":material/heart_broken:")
        return
    subject = model.segmenter.pixel_classes.subject
    live_camera(
        _ticket(model),
        route=ROUTE,
        colour=model.segmenter.pixel_classes.colours[subject[0]],
        subject=model.segmenter.classes[subject[0]],
        most_bytes=int(settings.max_upload_mb * 1e6),
        on_photo=on_photo,
        key="live",
    )
    st.caption(
        f":material/videocam: {text.plain(model.entry.title or model.name)} · pictures are sent to this server small, "
        "segmented and forgotten; what you use is taken at the camera's full size."
    )


def _ticket(model: models.Model) -> str:
    """Return this session's ticket to send pictures to the model, which ends with the session."""
    held: tuple[str, str] | None = st.session_state.get(_TICKET)
    if held is None or held[0] != model.key or not VISITS.holds(held[1]):
        session, owner = attention.session_id(), attention.visitor_key()
        ticket = VISITS.admit(owner, model.segmenter, lambda: not attention.is_gone(session))
        held = st.session_state[_TICKET] = (model.key, ticket)
    return held[1]
