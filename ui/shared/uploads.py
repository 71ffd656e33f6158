"""Which files an uploader takes as photos, and the small uploader for one of the visitor's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from unet_core.settings import Settings

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

PHOTO_TYPES = "image"  # what a file picker offers: a phone then shows its camera and its photos instead of all files
# Of several at once: also archives, and formats that some systems do not know as pictures.
BATCH_TYPES = [PHOTO_TYPES, ".zip", ".heic", ".heif", ".avif"]


def own_photo(key: str, settings: Settings) -> UploadedFile | None:
    """Draw a button that opens an uploader for one photo, and return the photo."""
    with st.popover("Your own photo", icon=":material/add_photo_alternate:"):
        return st.file_uploader(
            "Photo",
            type=PHOTO_TYPES,
            key=key,
            label_visibility="collapsed",
            max_upload_size=max(1, int(settings.max_upload_mb)),
        )
