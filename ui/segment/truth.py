"""Ground truth of one photo: the gallery's or an uploaded mask, scores by class, and the model's errors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import streamlit as st

from ui.segment import options
from ui.segment.pictures import big_picture, mask_picture, wipe
from ui.segment.session_results import Result
from ui.shared import format as text
from ui.shared.lazy import pd
from ui.shared.legend import legend
from unet_core.classes import BACKGROUND, CLASS_NAMES, PET, PixelClasses
from unet_core.images import render
from unet_core.images.mask_files import described_codes
from unet_core.images.render import Colour
from unet_core.scoring.truth import Reading, Truth, TruthError, TruthScore, read_truth, score
from unet_core.segment import ImageError, Segmentation
from unet_core.settings import Settings
from unet_core.zoo.manifest import WeightsError

ERRORS, TRUE, WIPE = "errors", "true mask", "slider"
INVERTED = "inverted: 0 pet, 1 background"
READINGS: dict[str, Reading] = {
    "automatic": "auto",
    "1 pet, 2 background, 3 border": "trimap",
    "class ids from 0": "ids",
    "0 background, 1 pet": "binary",
    INVERTED: "inverted",
}
READINGS_OF_OTHERS: dict[str, Reading] = {
    "automatic": "auto",
    "the dataset's codes": "codes",
    "class ids from 0": "ids",
    "0 and 1, inverted": "inverted",
}
READING = "reading"  # session key
UPLOADED = "truths"  # session key: uploaded masks by photo
REMOVED = "truths-removed"  # session key: number of removals; a new number empties the uploader
MEASURED = "truth-score"  # session key: the last score, so that a rerun does not repeat it


@dataclass(frozen=True)
class Measured:
    """A photo's ground truth and the scores against it."""

    truth: Truth
    score: TruthScore


def truth_section(result: Result, colours: tuple[Colour | None, ...], settings: Settings) -> None:
    """Draw the upload of a ground-truth mask, and with a mask the scores and the error map."""
    uploaded: dict[str, tuple[str, bytes]] = st.session_state.setdefault(UPLOADED, {})
    given = uploaded.get(result.photo.digest)
    own = ("the gallery's mask", result.photo.truth) if result.photo.truth and _knows_pets(result) else None
    name, data = given or own or ("", b"")
    if not data:
        _ask_for_mask(result, settings)
        return
    kind = st.segmented_control(
        "Show",
        (ERRORS, TRUE, WIPE),
        default=ERRORS,
        required=True,
        key="truth-view",
        label_visibility="collapsed",
    )
    picture, details = st.columns([7, 3], gap="medium")
    with details:
        reading = _reading(result, name, given is not None)
    measured = _measure(result, name, data, reading, settings)
    if isinstance(measured, str):
        with picture:
            st.error(text.plain(measured), icon=":material/broken_image:")
            _uploader(result, settings)
        return
    with picture, st.container(key="stage"):
        _picture(kind, result, measured, colours)
    with details:
        if measured.score.looks_inverted and reading == "auto":
            _offer_inverted(result)
        _numbers(measured)
    with st.expander("Another mask", icon=":material/upload:"):
        _uploader(result, settings)


def forget_truths(digests: set[str]) -> None:
    """Drop the uploaded masks of all other photos."""
    held = st.session_state.get(UPLOADED, {})
    for gone in held.keys() - digests:
        del held[gone]
    if st.session_state.get(MEASURED, ((None,),))[0][0] not in digests:
        st.session_state.pop(MEASURED, None)


def _ask_for_mask(result: Result, settings: Settings) -> None:
    upload, about = st.columns([3, 2], gap="medium")
    with upload:
        _uploader(result, settings)
    about.markdown(
        "**How accurate is it?** Upload this photo's ground-truth mask to see IoU, Dice and accuracy by class, and "
        f"where the model is wrong.\n\nAccepted values: {_accepted(result.pixel_classes)}. The mask must have "
        f"the photo's size: {text.pixels(result.width, result.height)}."
    )


def _knows_pets(result: Result) -> bool:
    return {PET.name, BACKGROUND.name} <= set(result.classes) <= set(CLASS_NAMES)


def _accepted(classes: PixelClasses) -> str:
    """Return the values of masks that can be read, for a sentence."""
    codes = text.plain(described_codes(classes))
    binary = "; 0 and 1; black and white" if len(classes.names) == 2 or PET.name in classes.names else ""
    return f"the codes {codes}{binary}; class ids; palette PNGs"


def _uploader(result: Result, settings: Settings) -> None:
    digest = result.photo.digest
    key = f"truth-{digest[:16]}-{st.session_state.get(REMOVED, 0)}"
    with st.container(key="drop-truth"):
        st.file_uploader(
            "Ground-truth mask, preferably PNG",
            key=key,
            max_upload_size=max(1, math.ceil(settings.max_upload_mb)),
            type=["png", "bmp", "gif", "tif", "tiff", "webp", "jpg", "jpeg"],
            on_change=_take_truth,
            args=(digest, key),
        )


def _take_truth(digest: str, key: str) -> None:
    file = st.session_state.get(key)
    if file is not None:  # a mask removed from the uploader stays until "Remove this mask"
        st.session_state.setdefault(UPLOADED, {})[digest] = (file.name, file.getvalue())


def _reading(result: Result, name: str, uploaded: bool) -> Reading:
    """Show which mask is used; for an uploaded one, draw the choice of how to read its values."""
    st.markdown(f":material/fact_check: Scored against **{text.plain(name)}**")
    if not uploaded:
        return "trimap"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        readings = READINGS if _knows_pets(result) else READINGS_OF_OTHERS
        chosen = st.selectbox("Read values as", list(readings), key=READING, width=240)
        st.button("Remove this mask", icon=":material/close:", on_click=_remove, args=(result.photo.digest,))
    return readings[chosen]


def _offer_inverted(result: Result) -> None:
    """Say that the mask's two classes seem to be exchanged, and offer to read it so."""
    st.warning(
        "The mask looks inverted: it agrees far better with black and white exchanged.", icon=":material/contrast:"
    )
    readings = READINGS if _knows_pets(result) else READINGS_OF_OTHERS
    inverted = next(name for name, reading in readings.items() if reading == "inverted")
    st.button("Read it inverted", icon=":material/invert_colors:", on_click=_read_as, args=(inverted,))


def _read_as(name: str) -> None:
    st.session_state[READING] = name


def _remove(digest: str) -> None:
    st.session_state[UPLOADED].pop(digest, None)
    st.session_state.pop(MEASURED, None)
    st.session_state[REMOVED] = st.session_state.get(REMOVED, 0) + 1


def _measure(result: Result, name: str, data: bytes, reading: Reading, settings: Settings) -> Measured | str:
    """Score the photo at its original size, once; return the reason if that fails."""
    key = result.photo.digest, result.choice.key, result.model, result.engine, hash(data), reading
    held = st.session_state.get(MEASURED)
    if held is None or held[0] != key:
        try:
            size = result.height, result.width
            truth = read_truth(data, size, classes=result.pixel_classes, reading=reading, name=name, settings=settings)
            with st.spinner("Scoring at the original size…"):
                full = result.full(settings)
            found: Measured | str = Measured(truth, score(full, truth))
        except (ImageError, TruthError, WeightsError) as error:
            found = str(error)
        held = st.session_state[MEASURED] = key, found
    return held[1]


def _picture(kind: str, result: Result, measured: Measured, colours: tuple[Colour | None, ...]) -> None:
    shown = result.shown()
    names = dict(zip(result.classes, colours, strict=True))
    true_colours = tuple(names.get(name) for name in measured.truth.classes)
    ids = _at_shown_size(measured.truth.ids, shown)
    overlaid = dict.fromkeys(range(len(true_colours), 256)) | dict(enumerate(true_colours))
    true = render.overlay(shown.image, ids, opacity=options.OPACITY.default / 100, colours=overlaid)
    if kind == WIPE:
        predicted = render.overlay(shown.image, shown.mask, opacity=options.OPACITY.default / 100, colours=colours)
        label = f"{result.name}: the model's mask and the ground truth"
        wipe(shown, true, "ground truth", label, "truth-slider", before=(predicted, "model"))
    elif kind == TRUE:
        big_picture(true, f"{result.name} with its true mask", partial(_true_mask, measured, true_colours))
    else:
        errors = _shrunk(measured.score, shown).picture(shown.image)
        big_picture(errors, f"The model's errors in {result.name}", partial(_full_errors, measured))


def _shrunk(found: TruthScore, shown: Segmentation) -> TruthScore:
    return replace(found, errors=_at_shown_size(found.errors, shown))


def _at_shown_size(values: np.ndarray, shown: Segmentation) -> np.ndarray:
    """Resize a map (H, W) to display size by nearest neighbour."""
    height, width = shown.mask.shape
    rows = (np.arange(height) + 0.5) * values.shape[0] // height
    columns = (np.arange(width) + 0.5) * values.shape[1] // width
    return values[rows.astype(int)[:, None], columns.astype(int)]


def _true_mask(measured: Measured, colours: tuple[Colour | None, ...]) -> np.ndarray:
    return mask_picture(measured.truth.ids, colours)


def _full_errors(measured: Measured) -> np.ndarray:
    white = np.full((*measured.score.errors.shape, 3), 255, np.uint8)
    return measured.score.picture(white)


def _numbers(measured: Measured) -> None:
    found = measured.score
    with st.container(horizontal=True):
        st.metric("Mean IoU", f"{found.scores.mean_iou:.3f}")
        st.metric("Pixel accuracy", text.percent(found.scores.pixel_accuracy))
    table = pd.DataFrame(
        {
            "class": [each.name for each in found.classes],
            "IoU": [_or_none(each.iou) for each in found.classes],
            "Dice": [_or_none(each.dice) for each in found.classes],
            "accuracy": [_or_none(each.accuracy) for each in found.classes],
        }
    )
    figures = {name: st.column_config.NumberColumn(format="%.3f") for name in ("IoU", "Dice", "accuracy")}
    st.dataframe(table, hide_index=True, column_config=figures, alt="Scores by class")
    legend(
        {entry.name: entry.share for entry in found.legend},
        column=True,
        colours=[entry.colour for entry in found.legend],
        digits=2,
    )
    st.caption(" ".join(part for part in (measured.truth.sentence, found.note) if part))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
