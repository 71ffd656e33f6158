"""The views of a segmented photo: cut-out, overlay and mask, composed in the browser; files are drawn on demand."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import streamlit as st
from PIL import Image, ImageColor

from ui.components.photo_stage import TouchUp, View, photo_stage
from ui.segment import options
from ui.segment.cards import presence_sentence
from ui.segment.pictures import full_size, is_thin, mask_picture, take_button
from ui.segment.session_results import Result
from ui.segment.subject import choose_subject, chosen_subject
from ui.segment.touch_up import corrected, touch_up, touch_up_toggle
from ui.segment.workspace import Workspace
from ui.shared import format as text
from ui.shared import frame, url
from ui.shared.legend import legend
from unet_core.classes import BORDER, PET, PixelClasses
from unet_core.images import render
from unet_core.images.mask_files import described_codes
from unet_core.images.render import Colour
from unet_core.segment import ImageError, Segmentation, decode_image, downloads
from unet_core.segment.compressed import encode_jpeg
from unet_core.segment.segmentation import SegmentedPhoto
from unet_core.segment.shown import Selection, Stage
from unet_core.settings import Settings

CUTOUT, OVERLAY, MASK = VIEWS = options.SHOW.choices
STAGED: dict[str, View] = {CUTOUT: "cutout", OVERLAY: "overlay", MASK: "mask"}
BACKDROP_FILE, BACKDROP_PHOTO = "backdrop-file", "backdrop-photo"  # session keys: the uploader, and its photo as JPEG
BACKDROP_SIDE = 2000  # pixels at most of a photo that is put behind
MOST_LEFT_OUT = 50  # percent
OPACITY, OUTLINE = options.OPACITY.default, options.OUTLINE.default


@dataclass(frozen=True)
class ViewOptions(Selection):
    """Everything that determines how a view is drawn, beside what is selected of it.

    Attributes:
        view: one of `VIEWS`.
        colours: by class id; None leaves the photo's pixels unchanged.
        opacity, outline: of overlays.
        backdrop: of the cut-out; bytes are a photo.
    """

    view: str
    colours: tuple[Colour | None, ...]
    opacity: float = OPACITY / 100
    outline: bool = OUTLINE
    backdrop: downloads.Background | bytes = "transparent"

    @property
    def selection(self) -> Selection:
        """What is selected, whatever the view."""
        return Selection(subject=self.subject, animal=self.animal, least_share=self.least_share, anyway=self.anyway)


def draw(shown: Segmentation, chosen: ViewOptions) -> np.ndarray:
    """Draw a view of a photo at the size of `shown`: (h, w, 3) uint8, or (h, w, 4) for a transparent cut-out."""
    shown = chosen.settled(shown)
    if chosen.view == CUTOUT:
        return _cut_out(shown, chosen)
    if chosen.view == MASK:
        return mask_picture(shown.mask, chosen.colours)
    mask = divided(shown, chosen)
    return render.overlay(shown.image, mask, opacity=chosen.opacity, outline=chosen.outline, colours=chosen.colours)


def divided(shown: Segmentation, chosen: ViewOptions) -> np.ndarray:
    """Return the mask with the border of pets divided at the outline: inside it is pet, outside background."""
    if not _has_border(shown):
        return shown.mask
    inside = chosen.alpha(shown) > 0.5
    ground = shown.pixel_classes.background or 0
    return np.where(shown.mask == BORDER.id, np.where(inside, PET.id, ground), shown.mask).astype(np.uint8)


def view_section(found: Result, workspace: Workspace, colours: tuple[Colour | None, ...], settings: Settings) -> None:
    """Draw the choice of views and the chosen one, as a fragment; `found` is the result without corrections."""

    @st.fragment
    def section() -> None:
        url.remember(frame.SEGMENT.name, options.OPTIONS)
        result = corrected(found, workspace)
        with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="views"):
            drawn = result.correction is not None or _is_drawn(result)  # who corrects it wants to see it
            view, split = _choose_view() if drawn else (OVERLAY, False)
            editing = drawn and touch_up_toggle(found)
        picture, details = st.columns([7, 3], gap="medium")
        with details:
            chosen = ViewOptions(view, colours, anyway=drawn)
            chosen = _controls(result, chosen, settings) if drawn else _plain(result, chosen)
        with picture, st.container(key="stage"):
            touch = touch_up(found, workspace, active=editing) if drawn else None
            _stage(found, result, chosen, split, touch)
            if is_thin(result):
                st.caption(f":material/width: {text.pixels(result.width, result.height)}, displayed wider than it is.")
        if drawn:
            with details:
                _take(result, chosen, settings)

    section()


def _is_drawn(result: Result) -> bool:
    """Say if there may be no pet, and return whether to draw what was found: then only if the visitor wants it."""
    found = result.presence.found
    if found:
        return True
    icon = ":material/search_off:" if found is False else ":material/help:"
    st.markdown(f"{icon} **{presence_sentence(result)}**", width="content")
    return st.toggle("Show what was found", **options.ANYWAY.widget)


def _choose_view() -> tuple[str, bool]:
    """Draw the choice of a view and of the divider, and return both."""
    view = st.segmented_control(
        "View",
        VIEWS,
        default=options.SHOW.default,
        required=True,
        label_visibility="collapsed",
        **options.SHOW.widget,
    )
    return view, st.toggle("Before/after", **options.SPLIT.widget)


def _plain(result: Result, chosen: ViewOptions) -> ViewOptions:
    """Return the options with which a photo is shown as it is, and say why."""
    legend(result.shares, column=True, colours=chosen.colours)
    st.caption("Nothing is drawn over the photo. The mask under Download is the model's own.")
    return replace(chosen, view=OVERLAY, colours=(None,) * len(chosen.colours), outline=False)


def described(result: Result, chosen: ViewOptions) -> str:
    """Describe a view for screen readers."""
    if not any(chosen.colours):
        return f"{result.name} as it is"
    shares = ", ".join(f"{name} {text.percent(share)}" for name, share in result.shares.items())
    backdrop = chosen.backdrop if isinstance(chosen.backdrop, str) else "chosen"
    what = {
        OVERLAY: f"with its classes coloured: {shares}",
        CUTOUT: f"cut out on a {backdrop} background" + f", animal {chosen.animal} alone" * bool(chosen.animal),
        MASK: f"as its mask: {shares}",
    }
    return f"{result.name} {what[chosen.view]}"


def overlay_controls() -> tuple[float, bool]:
    """Draw opacity (0…1) and outline and return them; at most once per page."""
    percent = st.slider("Opacity", 0, 100, OPACITY, 5, "%d %%", **options.OPACITY.widget)
    return percent / 100, st.toggle("Outline", OUTLINE, **options.OUTLINE.widget)


def _stage(found: Result, result: Result, chosen: ViewOptions, split: bool, touch: TouchUp | None) -> None:
    """Show the picture: its parts are encoded once, and everything else about a view happens in the browser.

    The parts are those of `found`, without the corrections in `touch`, which `result` has; but the mask and an animal
    alone are those that there are after the corrections.
    """
    staged = STAGED[chosen.view]
    if touch is not None and touch.active:
        chosen = replace(chosen, animal=0)
    elif chosen.animal or chosen.view == MASK:
        found, touch = result, None
    photo_stage(
        *staged_pictures(found, chosen),
        colours=chosen.colours,
        view="slider" if split else staged,
        after=staged,
        backdrop=_staged_backdrop(chosen.backdrop),
        opacity=chosen.opacity,
        outline=chosen.outline,
        divide_border=_has_border(result),
        touch_up=touch,
        label=described(result, chosen),
        file_name=result.file_name(_file_kind(chosen)),
        key="view",
    )


def staged_pictures(found: Result, chosen: ViewOptions) -> tuple[bytes, bytes, bytes]:
    """Return the parts that the browser composes views from: photo, the subject's outline, and mask."""
    outline, mask = Stage(chosen.selection).pictures(found.presence)
    return found.shown_jpeg, found.picture(outline), found.picture(mask)


def wanted(classes: PixelClasses) -> Stage:
    """Return what `view_section` will show of a new result with the options last chosen on the page."""
    page = frame.SEGMENT.name
    cut_out = url.remembered(page).get(options.SHOW.name, options.SHOW.default) == CUTOUT
    return Stage(
        Selection(
            subject=chosen_subject(classes) if cut_out and PET.name not in classes.names else None,
            least_share=url.last_number(page, options.LEAST, 0, MOST_LEFT_OUT) / 100,
            anyway=url.last_switch(page, options.ANYWAY),
        ),
        cut_out,
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
        chosen = replace(chosen, subject=subject, backdrop=_backdrop(settings), animal=_animal(result))
    if result.pixel_classes.background is not None:
        chosen = replace(chosen, least_share=_least_share())
    legend(result.shares, column=True, colours=colours)
    if chosen.view == MASK:
        st.caption(f"The file has the dataset's codes: {text.plain(described_codes(result.pixel_classes))}.")
    return chosen


def _animal(result: Result) -> int:
    """Draw the choice of one animal, if there are several, and return its number, 0 for all."""
    count = result.animal_count
    if count < 2:
        return 0
    name = "Animal" if PET.name in result.classes else "Piece"
    choices = ["all", *map(str, range(1, count + 1))]
    key = f"animal-{result.photo.digest[:8]}"
    chosen = st.segmented_control(name, choices, default="all", required=True, wrap=True, key=key)
    return choices.index(chosen)


def _least_share() -> float:
    percent = st.slider(
        "Leave out pieces and holes below",
        0,
        MOST_LEFT_OUT,
        options.LEAST.default,
        1,
        "%d %%",
        help="Of the animal's largest piece: smaller pieces are left out, and smaller holes filled",
        **options.LEAST.widget,
    )
    return percent / 100


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
    kind = chosen.view.replace("-", "")
    return f"{kind}-{chosen.animal}" if chosen.view == CUTOUT and chosen.animal else kind


def _take(result: Result, chosen: ViewOptions, settings: Settings) -> None:
    """Draw the button that downloads this view at the original size, and the one that opens it."""
    full = partial(_full_view, result, chosen, settings)
    data = partial(_mask_file, result, chosen, settings) if chosen.view == MASK else None
    take_button(result, _file_kind(chosen), full, data)
    if st.button("Full size", key="full-size", icon=":material/zoom_in:", type="tertiary", width="stretch"):
        full_size(full, described(result, chosen))


def _mask_file(result: Result, chosen: ViewOptions, settings: Settings) -> bytes:
    return chosen.settled(result.full(settings)).to_mask_png()


def _full_view(result: Result, chosen: ViewOptions, settings: Settings) -> np.ndarray:
    return draw(result.full(settings), chosen)


def _cut_out(shown: Segmentation, chosen: ViewOptions) -> np.ndarray:
    if isinstance(chosen.backdrop, bytes):
        behind = np.asarray(Image.open(io.BytesIO(chosen.backdrop)).convert("RGB"))
        return downloads.cutout(shown.image, chosen.alpha(shown), behind)
    return downloads.cutout(shown.image, chosen.alpha(shown), chosen.backdrop)
