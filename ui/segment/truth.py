"""The truth about one photo: the gallery's own or an uploaded mask, scores by class, and where the model is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from ui.segment.session_results import Result
from ui.segment.views import OPACITY, big_picture, mask_picture, wipe
from ui.shared import format as text
from ui.shared.legend import legend
from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.segment import ImageError, Segmentation
from unet_core.segment.truth import Reading, Truth, TruthError, TruthScore, read_truth, score
from unet_core.settings import Settings
from unet_core.zoo.manifest import WeightsError

ERRORS, TRUE, WIPE = "errors", "true mask", "slider"
READINGS: dict[str, Reading] = {
    "automatically": "auto",
    "as 1 pet, 2 background, 3 border": "trimap",
    "as class ids from 0": "ids",
    "as 0 background, 1 pet": "binary",
}
UPLOADED = "truths"  # session key: masks that were uploaded, by photo
FORGOTTEN = "truths-forgotten"  # session key: how often; a new number empties the uploader
MEASURED = "truth-score"  # session key: the last measurement, so that a rerun does not repeat it


@dataclass(frozen=True)
class Measured:
    """A photo's truth and its scores, with the pictures' raw material at the size that is shown."""

    truth: Truth
    score: TruthScore


def truth_section(result: Result, colours: tuple[Colour | None, ...], settings: Settings) -> None:
    """Draw the truth's upload, and once there is one the scores and the error map."""
    uploaded: dict[str, tuple[str, bytes]] = st.session_state.setdefault(UPLOADED, {})
    given = uploaded.get(result.photo.digest)
    own = ("the gallery's own mask", result.photo.truth) if result.photo.truth else None
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
    picture, words = st.columns([7, 3], gap="medium")
    with words:
        reading = _reading(result, name, given is not None)
    measured = _measure(result, name, data, reading, settings)
    if isinstance(measured, str):
        with picture:
            st.error(text.plain(measured), icon=":material/broken_image:")
            _uploader(result, settings)
        return
    with picture, st.container(key="stage"):
        _picture(kind, result, measured, colours)
    with words:
        _numbers(measured)
    with st.expander("Another mask", icon=":material/upload:"):
        _uploader(result, settings)


def forget_truths(digests: set[str]) -> None:
    """Drop the uploaded masks of all photos but these."""
    held = st.session_state.get(UPLOADED, {})
    for gone in held.keys() - digests:
        del held[gone]
    if st.session_state.get(MEASURED, ((None,),))[0][0] not in digests:
        st.session_state.pop(MEASURED, None)


def _ask_for_mask(result: Result, settings: Settings) -> None:
    upload, words = st.columns([3, 2], gap="medium")
    with upload:
        _uploader(result, settings)
    words.markdown(
        "**How right is it?** Give this photo's true mask and see IoU, Dice and accuracy of every class, and where the "
        "model is wrong.\n\nUnderstood are the codes 1 pet, 2 background, 3 border; 0 and 1; black and white; class "
        "ids; palette PNGs. The mask must have the photo's size: "
        f"{text.pixels(result.width, result.height)}."
    )


def _uploader(result: Result, settings: Settings) -> None:
    digest = result.photo.digest
    key = f"truth-{digest[:16]}-{st.session_state.get(FORGOTTEN, 0)}"
    with st.container(key="drop-truth"):
        st.file_uploader(
            "The true mask, best as PNG",
            key=key,
            max_upload_size=max(1, math.ceil(settings.max_upload_mb)),
            type=["png", "bmp", "gif", "tif", "tiff", "webp", "jpg", "jpeg"],
            on_change=_take_truth,
            args=(digest, key),
        )


def _take_truth(digest: str, key: str) -> None:
    file = st.session_state.get(key)
    if file is not None:  # removed from the uploader it stays until "Remove this mask"
        st.session_state.setdefault(UPLOADED, {})[digest] = (file.name, file.getvalue())


def _reading(result: Result, name: str, uploaded: bool) -> Reading:
    """Name the mask that is used; how the values of an uploaded one are read can be chosen."""
    st.markdown(f":material/fact_check: Measured against **{text.plain(name)}**")
    if not uploaded:
        return "trimap"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Read the values", list(READINGS), key="reading", width=240)
        st.button("Remove this mask", icon=":material/close:", on_click=_forget, args=(result.photo.digest,))
    return READINGS[chosen]


def _forget(digest: str) -> None:
    st.session_state[UPLOADED].pop(digest, None)
    st.session_state.pop(MEASURED, None)
    st.session_state[FORGOTTEN] = st.session_state.get(FORGOTTEN, 0) + 1


def _measure(result: Result, name: str, data: bytes, reading: Reading, settings: Settings) -> Measured | str:
    """Score the photo at its own size, once; where that cannot be done, say why."""
    key = result.photo.digest, result.choice.key, result.model, result.engine, hash(data), reading
    held = st.session_state.get(MEASURED)
    if held is None or held[0] != key:
        try:
            size = result.height, result.width
            truth = read_truth(data, size, classes=result.classes, reading=reading, name=name, settings=settings)
            with st.spinner("Measuring at the photo's own size…"):
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
    true = render.overlay(shown.image, ids, opacity=OPACITY / 100, colours=true_colours)
    if kind == WIPE:
        predicted = render.overlay(shown.image, shown.mask, opacity=OPACITY / 100, colours=colours)
        label = f"{result.name}: the model's mask and the true one"
        wipe(shown, true, "truth", label, "truth-slider", before=(predicted, "model"))
    elif kind == TRUE:
        big_picture(true, f"{result.name} with its true mask", partial(_true_mask, measured, true_colours))
    else:
        errors = TruthScore.picture(_shrunk(measured.score, shown), shown.image)
        big_picture(errors, f"Where the model is wrong in {result.name}", partial(_full_errors, measured))


def _shrunk(found: TruthScore, shown: Segmentation) -> TruthScore:
    return TruthScore(
        found.scores, found.classes, found.matrix, _at_shown_size(found.errors, shown), found.legend, found.note
    )


def _at_shown_size(values: np.ndarray, shown: Segmentation) -> np.ndarray:
    """Take the nearest pixels of a map (H, W) for the size that is shown."""
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
    import pandas as pd  # large and slow to import: only who looks at a chart pays for it

    found = measured.score
    with st.container(horizontal=True):
        st.metric("mean IoU", f"{found.scores.mean_iou:.3f}")
        st.metric("pixels right", text.percent(found.scores.pixel_accuracy))
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
