"""The views of a segmented photo: drawn at display size, and at the original size on demand."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import streamlit as st
from PIL import Image, ImageColor
from streamlit import runtime

from ui.components.compare_slider import compare_slider
from ui.segment import options
from ui.segment.session_results import Result
from ui.segment.subject import choose_subject
from ui.shared import format as text
from ui.shared import frame, url
from ui.shared.lazy import alt, pd
from ui.shared.legend import MOST_LISTED, legend
from unet_core.classes import PET
from unet_core.images import render
from unet_core.images.mask_files import described_codes
from unet_core.images.render import Colour
from unet_core.segment import Segmentation, analysis, downloads
from unet_core.segment.segmentation import SegmentedPhoto
from unet_core.settings import Settings

OVERLAY, SLIDER, CUTOUT, MASK = "overlay", "before and after", "cut-out", "mask"
CLASSES, UNCERTAINTY, THRESHOLD = "probabilities", "uncertainty", "threshold"
OF_PROBABILITIES = (CLASSES, UNCERTAINTY, THRESHOLD)
VIEWS = (OVERLAY, SLIDER, CUTOUT, MASK, *OF_PROBABILITIES)
OPACITY, OUTLINE = options.OPACITY.default, options.OUTLINE.default
ACCENT, NEUTRAL = "#14857a", "#8a98a0"  # chart colours, readable on light and dark
LONGEST = 12  # aspect ratio; longer pictures are displayed wider than they are, to be visible at all


@dataclass(frozen=True)
class ViewOptions:
    """Everything that determines how a view is drawn.

    Attributes:
        view: one of `VIEWS`.
        colours: by class id; None leaves the photo's pixels unchanged.
        opacity, outline: of overlays.
        backdrop: of the cut-out.
        class_id: the class whose probability is shown.
        threshold, border: the least probability of the subject, and whether the border of pets belongs to it.
        subject: the class ids that cut-outs keep and the threshold counts; None are all but the background.
    """

    view: str
    colours: tuple[Colour | None, ...]
    opacity: float = OPACITY / 100
    outline: bool = OUTLINE
    backdrop: downloads.Background = "transparent"
    class_id: int = 0
    threshold: float = 0.5
    border: bool = True
    subject: tuple[int, ...] | None = None


def draw(shown: SegmentedPhoto, chosen: ViewOptions) -> np.ndarray:
    """Draw a view of a photo at the size of `shown`: (h, w, 3) uint8, or (h, w, 4) for a transparent cut-out.

    `shown` is a `Segmentation` for the views of probabilities.
    """
    if chosen.view in OF_PROBABILITIES and isinstance(shown, Segmentation):
        return _draw_probabilities(shown, chosen)
    if chosen.view == CUTOUT:
        keep = shown.pixel_classes.subject if chosen.subject is None else chosen.subject
        return downloads.cutout(shown.image, shown.mask, chosen.backdrop, keep=keep)
    if chosen.view == MASK:
        return mask_picture(shown.mask, chosen.colours)
    return render.overlay(
        shown.image, shown.mask, opacity=chosen.opacity, outline=chosen.outline, colours=chosen.colours
    )


def _draw_probabilities(shown: Segmentation, chosen: ViewOptions) -> np.ndarray:
    size = shown.size
    if chosen.view == CLASSES:
        return analysis.heat_map(shown, chosen.class_id, size=size)
    if chosen.view == UNCERTAINTY:
        return analysis.uncertainty(shown, size=size).picture()
    inside = analysis.threshold_mask(shown, chosen.threshold, border=chosen.border, subject=chosen.subject, size=size)
    mask = np.where(inside, np.uint8(0), np.uint8(1))
    first = (chosen.subject or analysis.subject_ids(shown.pixel_classes))[0]
    colours = chosen.colours[first] or shown.pixel_classes.colours[first], None
    return render.overlay(shown.image, mask, opacity=chosen.opacity, outline=chosen.outline, colours=colours)


def mask_picture(mask: np.ndarray, colours: tuple[Colour | None, ...]) -> np.ndarray:
    """Draw class ids (h, w) in their colours, including classes that overlays do not colour: (h, w, 3) uint8."""
    known = np.full((256, 3), 128, np.uint8)  # grey where a true mask has no class
    known[: len(colours)] = _solid(colours)
    return known[mask]


def encoded(picture: np.ndarray, *, lossless: bool = False) -> bytes:
    """Encode a picture for the browser; a very long and thin one is widened first by repeating pixels."""
    image = Image.fromarray(picture)
    least = -(-max(image.size) // LONGEST)
    if min(image.size) < least:
        image = image.resize((max(image.width, least), max(image.height, least)), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    if lossless or image.mode == "RGBA":
        image.save(buffer, "PNG", compress_level=1)
    else:
        image.save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def view_section(result: Result, colours: tuple[Colour | None, ...], settings: Settings) -> None:
    """Draw the choice of views and the chosen one, as a fragment."""

    @st.fragment
    def section() -> None:
        url.remember(frame.SEGMENT.name, options.OPTIONS)
        with st.container(key="views"):
            view = st.segmented_control(
                "View",
                VIEWS,
                default=options.SHOW.default,
                required=True,
                label_visibility="collapsed",
                **options.SHOW.widget,
            )
        picture, details = st.columns([7, 3], gap="medium")
        shown = result.shown() if view in OF_PROBABILITIES else result.photo_and_mask()
        with details:
            chosen = _controls(shown, ViewOptions(view, colours))
        with picture, st.container(key="stage"):
            if view == SLIDER:
                wipe(shown, draw(shown, chosen), "overlay", f"The photo {result.name} and its overlay", "view-slider")
            else:
                big_picture(
                    draw(shown, chosen), described(result, chosen), partial(_full_view, result, chosen, settings)
                )
        if is_thin(result):
            picture.caption(f":material/width: {text.pixels(result.width, result.height)}, displayed wider than it is.")
        with details:
            _download(result, chosen, settings)

    section()


def wipe(
    shown: SegmentedPhoto,
    after: np.ndarray,
    name: str,
    label: str,
    key: str,
    before: tuple[np.ndarray, str] | None = None,
) -> None:
    """Draw a slider between the photo, or the picture `before` with its name, and the picture `after`."""
    first, first_name = before or (shown.image, "photo")
    compare_slider(
        encoded(first),
        encoded(after),
        label=label,
        before_name=first_name,
        after_name=name,
        key=key,
    )


def big_picture(picture: np.ndarray, alt_text: str, full: Callable[[], np.ndarray]) -> None:
    """Show a picture that on click opens at the original size, which `full` draws."""
    kind = "clear" if picture.shape[-1] == 4 else "solid"
    with st.container(key=f"zoom-{kind}"):
        st.image(encoded(picture), width="stretch", alt=alt_text)
        if st.button("Full size", key="full-size", icon=":material/zoom_in:", type="tertiary"):
            _full_size(full, alt_text)


def described(result: Result, chosen: ViewOptions) -> str:
    """Describe a view for screen readers."""
    shares = ", ".join(f"{name} {text.percent(share)}" for name, share in result.shares.items())
    what = {
        OVERLAY: f"with its classes coloured: {shares}",
        SLIDER: f"with its classes coloured: {shares}",
        CUTOUT: f"cut out on a {chosen.backdrop if isinstance(chosen.backdrop, str) else 'coloured'} background",
        MASK: f"as its mask: {shares}",
        CLASSES: f"as the probability of {result.classes[chosen.class_id]}",
        UNCERTAINTY: "as a map of the model's uncertainty",
        THRESHOLD: f"with the {analysis.subject_name(result.pixel_classes)} at a threshold of {chosen.threshold:.2f}",
    }
    return f"{result.name} {what[chosen.view]}"


def is_thin(result: Result) -> bool:
    """Return whether a photo is so long and thin that it is displayed wider than it is."""
    return max(result.width, result.height) > LONGEST * min(result.width, result.height)


def overlay_controls() -> tuple[float, bool]:
    """Draw opacity (0…1) and outline and return them; at most once per page."""
    percent = st.slider("Opacity", 0, 100, OPACITY, 5, "%d %%", **options.OPACITY.widget)
    return percent / 100, st.toggle("Outline", OUTLINE, **options.OUTLINE.widget)


# --- what stands beside the picture ----------------------------------------------------------------------------------


def _controls(shown: SegmentedPhoto, chosen: ViewOptions) -> ViewOptions:
    """Draw the controls and figures of a view; return its options as chosen."""
    if chosen.view in OF_PROBABILITIES and isinstance(shown, Segmentation):
        return _controls_of_probabilities(shown, chosen)
    if chosen.view in (OVERLAY, SLIDER):
        opacity, outline = overlay_controls()
        legend(shown.shares, column=True, colours=chosen.colours)
        return replace(chosen, opacity=opacity, outline=outline)
    if chosen.view == CUTOUT:
        return replace(chosen, subject=choose_subject(shown.pixel_classes), backdrop=_backdrop())
    legend(shown.shares, column=True, colours=_solid(chosen.colours))
    st.caption(f"The file has the dataset's codes: {text.plain(described_codes(shown.pixel_classes))}.")
    return chosen


def _controls_of_probabilities(shown: Segmentation, chosen: ViewOptions) -> ViewOptions:
    if chosen.view == CLASSES:
        return replace(chosen, class_id=_class(shown))
    if chosen.view == THRESHOLD:
        return _threshold(shown, chosen)
    _uncertainty(shown)
    return chosen


def _backdrop() -> downloads.Background:
    name = st.segmented_control(
        "Background",
        options.BACKDROP.choices,
        default=options.BACKDROP.default,
        required=True,
        wrap=True,
        **options.BACKDROP.widget,
    )
    if name == "colour":
        colour = st.color_picker("Colour", "#0f766e", key="backdrop-colour", persist_state="session")
        red, green, blue = ImageColor.getrgb(colour)[:3]
        return red, green, blue
    st.caption("The edges of the subject are slightly softened.")
    return name


def _class(shown: Segmentation) -> int:
    classes = shown.classes
    if len(classes) > MOST_LISTED:
        name = st.selectbox("Probability of", classes, key="of-class")
    else:
        name = st.segmented_control(
            "Probability of", classes, default=classes[0], required=True, key="of-class", wrap=True
        )
    number = classes.index(name) if name in classes else 0
    share = analysis.probability(shown, [number]).mean()
    st.metric("Mean probability", text.percent(float(share)))
    _scale_bar("0", "1")
    return number


def _uncertainty(shown: Segmentation) -> None:
    found = analysis.uncertainty(shown)
    st.metric(
        "Uncertain pixels",
        text.percent(found.share),
        help=f"Pixels whose entropy exceeds {text.percent(found.limit, 0)} of the maximum",
    )
    _scale_bar("certain", "all classes equally likely")
    st.caption(f"Entropy of the class probabilities; on average {text.percent(found.mean)} of the maximum.")


def _threshold(shown: Segmentation, chosen: ViewOptions) -> ViewOptions:
    threshold = st.slider("Threshold", 0.0, 1.0, options.THRESHOLD.default, 0.01, "%.2f", **options.THRESHOLD.widget)
    border, subject, classes = True, None, shown.pixel_classes
    if PET.name not in classes.names:
        subject = choose_subject(classes)
    elif len(classes.subject) > 1:
        border = st.toggle("Count border as pet", options.WITH_BORDER.default, **options.WITH_BORDER.widget)
    curve = analysis.coverage_curve(shown, border=border, subject=subject)
    name = analysis.subject_name(classes) if subject in (None, classes.subject) else "subject"
    st.metric(f"{text.plain(name).capitalize()} share of the photo", text.percent(curve.at(threshold)))
    st.altair_chart(_coverage_chart(curve, threshold), alt="Coverage by threshold")
    st.caption(text.plain(curve.sentence(threshold)))
    return replace(chosen, threshold=threshold, border=border, subject=subject)


def _coverage_chart(curve: analysis.CoverageCurve, threshold: float) -> alt.LayerChart | alt.FacetChart:
    table = pd.DataFrame({"threshold": curve.thresholds, "coverage": curve.coverage})
    line = (
        alt.Chart(table)
        .mark_area(line={"color": ACCENT}, color=ACCENT, opacity=0.25)
        .encode(
            x=alt.X("threshold:Q", title=None, axis=alt.Axis(tickCount=5, grid=False)),
            y=alt.Y("coverage:Q", title=None, axis=alt.Axis(format="%", tickCount=3)),
            tooltip=[alt.Tooltip("threshold:Q", format=".2f"), alt.Tooltip("coverage:Q", format=".1%")],
        )
    )
    rule = (
        alt.Chart(pd.DataFrame({"threshold": [threshold]}))
        .mark_rule(strokeWidth=2, color=NEUTRAL)
        .encode(x="threshold:Q")
    )
    return (line + rule).properties(height=130)


def _scale_bar(low: str, high: str) -> None:
    st.image(encoded(analysis.colour_bar(), lossless=True), width="stretch", alt=f"Scale from {low} to {high}")
    st.html(f'<div class="scale-ends"><span>{low}</span><span>{high}</span></div>')


def _download(result: Result, chosen: ViewOptions, settings: Settings) -> None:
    """Draw the button that downloads this view at the original size."""
    st.download_button(
        "Download this view",
        partial(_view_file, result, chosen, settings),
        result.file_name("photo_overlay" if chosen.view == SLIDER else chosen.view.replace(" ", "_").replace("-", "")),
        "image/png",
        key="take-view",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
        width="stretch",
        help=f"PNG of {text.pixels(result.width, result.height)}, created when you click",
    )


def _view_file(result: Result, chosen: ViewOptions, settings: Settings) -> bytes:
    if chosen.view == MASK:
        return result.full(settings).to_mask_png()
    buffer = io.BytesIO()
    Image.fromarray(_full_view(result, chosen, settings)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _full_view(result: Result, chosen: ViewOptions, settings: Settings) -> np.ndarray:
    return draw(result.full(settings), chosen)


@st.dialog("Full size", width="large", icon=":material/zoom_in:")
def _full_size(full: Callable[[], np.ndarray], alt_text: str) -> None:
    """Show a picture at the original size: fitted here, and 1:1 in a new tab."""
    with st.spinner("Drawing at the original size…"):
        picture = full()
        data = encoded(picture)
    st.image(data, width="stretch", alt=f"{alt_text}, full size")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(text.pixels(picture.shape[1], picture.shape[0]))
        if runtime.exists():
            kind = "image/png" if picture.shape[-1] == 4 else "image/jpeg"
            address = runtime.get_instance().media_file_mgr.add(data, kind, "full-size")
            st.link_button("Open at 1:1", address, icon=":material/open_in_new:", type="tertiary")


def _solid(colours: tuple[Colour | None, ...]) -> list[Colour]:
    return [colour or render.class_colour(class_id) for class_id, colour in enumerate(colours)]
