"""A video as a source: its pictures become an animation in the workspace, which can be cut out frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

import streamlit as st

from ui.components.video_frames import Pictures, video_frames
from ui.segment.photos import Photo
from unet_core.segment import ImageError
from unet_core.segment.moving import MOST_FRAMES, MOST_SECONDS, animated
from unet_core.settings import Settings


def video(settings: Settings, on_photo: Callable[[Photo], None], on_problem: Callable[[str], None]) -> None:
    """Draw the choice of a video; `on_photo` gets its pictures as an animation, `on_problem` why there is none."""

    def take(pictures: Pictures) -> None:
        name = f"{PurePath(pictures.name).stem or 'video'}.webp"
        try:
            data = animated(pictures.files, pictures.milliseconds, name, settings)
        except ImageError as error:
            on_problem(str(error))
            return
        on_photo(Photo.of(name, data))

    video_frames(
        seconds=MOST_SECONDS,
        most=MOST_FRAMES,
        most_bytes=int(settings.max_upload_mb * 1e6),
        on_pictures=take,
        key="video",
    )
    st.caption(
        f":material/movie: MP4, MOV, WebM, whatever your browser plays. It takes 12 pictures a second out of the first "
        f"{MOST_SECONDS:.0f} seconds and sends only those, small; the video itself stays with you."
    )
