"""Corrections of outlines by the visitor: kept with their photos in the session, and part of all that is downloaded."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

import streamlit as st

from ui.components.photo_stage import TouchUp
from ui.segment.session_results import Result
from ui.segment.workspace import Workspace
from unet_core.segment import Failure
from unet_core.segment.correction import Correction, sides

F = TypeVar("F", Result, Result | Failure)


def corrected(found: F, workspace: Workspace) -> F:
    """Return a result with the visitor's correction of its photo, if there is one and the model's classes allow it."""
    if isinstance(found, Failure) or sides(found.pixel_classes) is None:
        return found
    return found.corrected(workspace.corrections.get(found.photo.digest))


def touch_up_toggle(found: Result) -> bool:
    """Draw the switch that puts the brush at hand, and return whether it is."""
    possible = sides(found.pixel_classes) is not None
    wanted = st.toggle(
        "Touch up",
        key="touch-up",
        disabled=not possible,
        help="Correct the outline with a brush, or click whole pieces. All downloads follow."
        if possible
        else "This model knows several subjects, or no background: a brush could mean any of them.",
    )
    return wanted and possible


def touch_up(found: Result, workspace: Workspace, *, active: bool) -> TouchUp | None:
    """Return what lets the visitor correct a result, None if the model's classes do not allow it.

    `found` is the result without corrections.
    """
    allowed = sides(found.pixel_classes)
    if allowed is None:
        return None
    held = workspace.corrections.get(found.photo.digest)
    return TouchUp(allowed, held, active, partial(_keep, workspace, found.photo.digest))


def _keep(workspace: Workspace, digest: str, correction: Correction) -> None:
    if digest not in workspace.store.photos:  # removed meanwhile
        return
    if correction.is_empty:
        workspace.corrections.pop(digest, None)
    else:
        workspace.corrections[digest] = correction
    workspace.results.drop_cards(digest)
