"""The views of a segmented photo: cut-out, overlay and mask, composed in the browser; files are drawn on demand."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import streamlit as st
from PIL import Image, ImageColor

from ui.components.photo_stage import View, photo_stage
from ui.segment import options
from ui.segment.pictures import full_size, is_thin, mask_picture, take_button
from ui.segment.session_results import Result
from ui.segment.subject import choose_subject
from ui.shared import format as text
from ui.shared import frame, url
from ui.shared.legend import legend
from unet_core.classes import BORDER, PET
from unet_core.images import render
from unet_core.images.mask_files import described_codes
from unet_core.images.render import Colour
from unet_core.segment import ImageError, Segmentation, decode_image, downloads
from unet_core.segment.compressed import encode_jpeg
from unet_core.segment.segmentation import SegmentedPhoto
from unet_core.settings import Settings

CUTOUT, OVERLAY, MASK = VIEWS = options.SHOW.choices
STAGED: dict[str, View] = {CUTOUT: "cutout", OVERLAY: "overlay", MASK: "mask"}
BACKDROP_FILE, BACKDROP_PHOTO = "backdrop-file", "backdrop-photo"  # session keys: the uploader, and its photo as JPEG
BACKDROP_SIDE = 2000  # pixels at most of a photo that is put behind
OPACITY, OUTLINE = options.OPACITY.default, options.OUTLINE.default


@dataclass(frozen=True)
class ViewOptions:
    """Everything that determines how a view is drawn.

    Attributes:
        view: one of `VIEWS`.
        colours: by class id; None leaves the photo's pixels unchanged.
        opacity, outline: of overlays.
        backdrop: of the cut-out; bytes are a photo.
        subject: the class ids that cut-outs keep; None are all but the background.
    """

    view: str
    colours: tuple[Colour | None, ...]
    opacity: float = OPACITY / 100
    outline: bool = OUTLINE
    backdrop: downloads.Background | bytes = "transparent"
    subject: tuple[int, ...] | None = None


def draw(shown: Segmentation, chosen: ViewOptions) -> np.ndarray:
    """Draw a view of a photo at the size of `shown`: (h, w, 3) uint8, or (h, w, 4) for a transparent cut-out."""
    if chosen.view == CUTOUT:
        return _cut_out(shown, chosen)
    if chosen.view == MASK:
        return mask_picture(shown.mask, chosen.colours)
    mask = divided(shown, chosen)
    return render.overlay(shown.image, mask, opacity=chosen.opacity, outline=chosen.outline, colours=chosen.colours)


def outline_of(shown: Segmentation, chosen: ViewOptions) -> np.ndarray:
    """Return the subject's outline at the size of `shown`, (h, w) uint8: 0 background, 255 subject."""
    return render.alpha_levels(_alpha(shown, chosen))


def divided(shown: Segmentation, chosen: ViewOptions) -> np.ndarray:
    """Return the mask with the border of pets divided at the outline: inside it is pet, outside background."""
    if not _has_border(shown):
        return shown.mask
    inside = _alpha(shown, chosen) > 0.5
    ground = shown.pixel_classes.background or 0
    return np.where(shown.mask == BORDER.id, np.where(inside, PET.id, ground), shown.mask).astype(np.uint8)


def view_section(result: Result, colours: tuple[Colour | None, ...], settings: Settings) -> None:
    """Draw the choice of views and the chosen one, as a fragment."""

    @st.fragment
    def section() -> None:
        url.remember(frame.SEGMENT.name, options.OPTIONS)
        with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="views"):
            view = st.segmented_control(
                "View",
                VIEWS,
                default=options.SHOW.default,
                required=True,
                label_visibility="collapsed",
                **options.SHOW.widget,
            )
            split = st.toggle("Before/after", **options.SPLIT.widget)
        picture, details = st.columns([7, 3], gap="medium")
        with details:
            chosen = _controls(result, ViewOptions(view, colours), settings)
        with picture, st.container(key="stage"):
            _stage(result, chosen, split)
            if is_thin(result):
                st.caption(f":material/width: {text.pixels(result.width, result.height)}, displayed wider than it is.")
        with details:
            _take(result, chosen, settings)

    section()


def described(result: Result, chosen: ViewOptions) -> str:
    """Describe a view for screen readers."""
    shares = ", ".join(f"{name} {text.percent(share)}" for name, share in result.shares.items())
    backdrop = chosen.backdrop if isinstance(chosen.backdrop, str) else "chosen"
    what = {
        OVERLAY: f"with its classes coloured: {shares}",
        CUTOUT: f"cut out on a {backdrop} background",
        MASK: f"as its mask: {shares}",
    }
    return f"{result.name} {what[chosen.view]}"


def overlay_controls() -> tuple[float, bool]:
    """Draw opacity (0…1) and outline and return them; at most once per page."""
    percent = st.slider("Opacity", 0, 100, OPACITY, 5, "%d %%", **options.OPACITY.widget)
    return percent / 100, st.toggle("Outline", OUTLINE, **options.OUTLINE.widget)


def _stage(result: Result, chosen: ViewOptions, split: bool) -> None:
    """Show the picture: its parts are encoded once, and everything else about a view happens in the browser."""
    staged = STAGED[chosen.view]
    jpeg = result.shown_jpeg
    alpha = result.plane(("outline", chosen.subject), lambda: outline_of(result.shown(), chosen))
    mask = result.plane("mask", lambda: result.pictures()[1])
    photo_stage(
        jpeg,
        alpha,
        mask,
        colours=chosen.colours,
        view="slider" if split else staged,
        after=staged,
        backdrop=_staged_backdrop(chosen.backdrop),
        opacity=chosen.opacity,
        outline=chosen.outline,
        divide_border=_has_border(result),
        label=described(result, chosen),
        file_name=result.file_name(_file_kind(chosen)),
        key="view",
    )


def _staged_backdrop(backdrop: downloads.Background | bytes) -> str | bytes:
    return "#{:02x}{:02x}{:02x}".format(*backdrop) if isinstance(backdrop, tuple) else backdrop


def _has_border(photo: SegmentedPhoto | Result) -> bool:
    return {PET.name, BORDER.name} <= set(photo.classes)


# --- what stands beside the picture ----------------------------------------------------------------------------------


def _controls(result: Result, chosen: ViewOptions, settings: Settings) -> ViewOptions:
    """Draw the controls and figures of a view; return its options as chosen."""
    colours: tuple[Colour | None, ...] = chosen.colours
    if chosen.view == OVERLAY:
        opacity, outline = overlay_controls()
        chosen = replace(chosen, opacity=opacity, outline=outline)
    elif chosen.view == CUTOUT:
        subject = None if PET.name in result.classes else choose_subject(result.pixel_classes)
        chosen = replace(chosen, subject=subject, backdrop=_backdrop(settings))
    legend(result.shares, column=True, colours=colours)
    if chosen.view == MASK:
        st.caption(f"The file has the dataset's codes: {text.plain(described_codes(result.pixel_classes))}.")
    return chosen


def _backdrop(settings: Settings) -> downloads.Background | bytes:
    name = st.segmented_control(
        "Background",
        options.BACKDROP.choices,
        default=options.BACKDROP.default,
        required=True,
        wrap=True,
        **options.BACKDROP.widget,
    )
    if name == "photo":
        return _backdrop_photo(settings) or "transparent"
    if name == "colour":
        colour = st.color_picker("Colour", "#0f766e", key="backdrop-colour", persist_state="session")
        red, green, blue = ImageColor.getrgb(colour)[:3]
        return red, green, blue
    return name


def _backdrop_photo(settings: Settings) -> bytes | None:
    """Draw the choice of a photo to put behind, and return it as JPEG, None if there is none."""
    st.file_uploader(
        "A photo to put behind",
        type="image",
        key=BACKDROP_FILE,
        max_upload_size=max(1, math.ceil(settings.max_upload_mb)),
        on_change=_take_backdrop,
        args=(settings,),
        label_visibility="collapsed",
    )
    found: bytes | str | None = st.session_state.get(BACKDROP_PHOTO)
    if isinstance(found, str):
        st.error(text.plain(found), icon=":material/broken_image:")
        return None
    return found


def _take_backdrop(settings: Settings) -> None:
    file = st.session_state.get(BACKDROP_FILE)
    if file is None:
        return  # removed from the uploader, which a page change does too: the photo stays until another is chosen
    try:
        photo = decode_image(file.getvalue(), name=file.name, max_side=BACKDROP_SIDE, settings=settings)
        st.session_state[BACKDROP_PHOTO] = encode_jpeg(photo)
    except ImageError as error:
        st.session_state[BACKDROP_PHOTO] = str(error)


# --- files -----------------------------------------------------------------------------------------------------------


def _file_kind(chosen: ViewOptions) -> str:
    return chosen.view.replace("-", "")


def _take(result: Result, chosen: ViewOptions, settings: Settings) -> None:
    """Draw the button that downloads this view at the original size, and the one that opens it."""
    full = partial(_full_view, result, chosen, settings)
    data = partial(_mask_file, result, settings) if chosen.view == MASK else None
    take_button(result, _file_kind(chosen), full, data)
    if st.button("Full size", key="full-size", icon=":material/zoom_in:", type="tertiary", width="stretch"):
        full_size(full, described(result, chosen))


def _mask_file(result: Result, settings: Settings) -> bytes:
    return result.full(settings).to_mask_png()


def _full_view(result: Result, chosen: ViewOptions, settings: Settings) -> np.ndarray:
    return draw(result.full(settings), chosen)


def _alpha(shown: Segmentation, chosen: ViewOptions) -> np.ndarray:
    return shown.alpha if chosen.subject is None else shown.alpha_of(chosen.subject)


def _cut_out(shown: Segmentation, chosen: ViewOptions) -> np.ndarray:
    if isinstance(chosen.backdrop, bytes):
        behind = np.asarray(Image.open(io.BytesIO(chosen.backdrop)).convert("RGB"))
        return downloads.cutout(shown.image, _alpha(shown, chosen), behind)
    return downloads.cutout(shown.image, _alpha(shown, chosen), chosen.backdrop)
