"""Outlines, missed and falsely found subjects in whole photos that neither training nor the dataset knows."""

from __future__ import annotations

import statistics

import streamlit as st

from ui.results import charts
from ui.results.methods import card
from ui.results.subject import Subject
from ui.shared import format as text
from unet_core.results.failure_kinds import FAILED_BELOW, MASKED_OVER, failure_kinds
from unet_core.results.whole_photos import FOUND, MISSED, NOT_SURE, WholePhotos, find_whole_photos, photos_path
from unet_core.segment import analysis
from unet_core.settings import Settings


def section(subject: Subject, settings: Settings) -> None:
    """Draw the figures, or say why there are none."""
    found = find_whole_photos(subject.name, subject.entry, settings)
    if found.figures is None:
        if photos_path(subject.name, settings).is_file():
            st.warning(text.plain(found.problem), icon=":material/update:")
        return
    name = analysis.subject_name(subject.entry.classes)
    with card(
        "Real everyday photos", key="whole-photos", how=_how(found.figures, subject), measured=found.figures.measured
    ):
        _figures(found.figures, name)
        left, right = st.columns(2, gap="medium")
        with left:
            st.markdown(f"**Outline in photos with a {text.plain(name)}**")
            st.vega_lite_chart(charts.iou_histogram(found.figures.ious), alt="Number of photos by IoU of the outline")
        with right:
            _curve(found.figures, subject, name)
        _failures(found.figures, name)


def _figures(figures: WholePhotos, name: str) -> None:
    ious, absent = figures.ious, len(figures.name) - len(figures.ious)
    with st.grid(4, min_column_width=150):
        if ious:
            st.metric("Outline IoU", text.percent(sum(ious) / len(ious)), help="Mean over photos, at their own size")
            st.metric("Median", text.percent(statistics.median(ious)))
            st.metric(
                f"{name.capitalize()} missed",
                _of(figures.count(MISSED, with_subject=True), len(ious)),
                help=f"“No {name} found” although there is one",
            )
        if absent:
            st.metric(
                "Found where none is",
                _of(figures.count(FOUND, with_subject=False), absent),
                help=f"Of {text.number(figures.count(NOT_SURE, with_subject=False))} more the model is not sure",
            )
    below = sum(iou < FAILED_BELOW for iou in ious)
    masked = f"in {_of(figures.masked(0.1), absent)} without one, more than a tenth is masked. " if absent else ""
    st.caption(
        f"{text.plain(figures.photos)}: in {_of(below, len(ious))} photos with a {text.plain(name)} the outline has an "
        f"IoU below {text.percent(FAILED_BELOW, 0)}; {masked}"
    )


def _of(count: int, total: int) -> str:
    return f"{text.number(count)} of {text.number(total)}"


def _curve(figures: WholePhotos, subject: Subject, name: str) -> None:
    points, calibration = figures.curve(), subject.entry.presence
    if not points or calibration is None:
        return
    st.markdown(f"**Is there a {text.plain(name)}? What a threshold would do**")
    limits = {"no": calibration.absent_below, "yes": calibration.present_from}
    st.vega_lite_chart(
        charts.presence(points, name, limits),
        alt=f"Share of photos with a {name} missed and without one found falsely, by threshold on the probability",
    )
    st.caption(
        f"Below {text.percent(limits['no'], 0)} the app says “no {text.plain(name)} found”, from "
        f"{text.percent(limits['yes'], 0)} on it shows the mask; between the dashed lines it says that it is not sure."
    )


def _failures(figures: WholePhotos, name: str) -> None:
    """Draw the failures by kind of photo, before and after where an earlier version was measured too."""
    kinds = failure_kinds(figures)
    if not kinds:
        return
    compared = figures.earlier is not None
    st.markdown("**Failures by what the photos show**")
    with st.grid(2, min_column_width=300):
        for with_subject, title, what in (
            (True, f"With a {name}", f"the outline's IoU is below {text.percent(FAILED_BELOW, 0)}"),
            (False, f"Without a {name}", f"more than {text.percent(MASKED_OVER, 0)} of the photo is masked"),
        ):
            rows = [kind for kind in kinds if kind.with_subject == with_subject]
            if not rows:
                continue
            with st.container(gap="xsmall"):
                head = [title, "Photos", "Before", "Now"] if compared else [title, "Photos", "Failed"]
                lines = [f"| {' | '.join(text.plain(word) for word in head)} |", f"|---{'|--:' * (len(head) - 1)}|"]
                for kind in rows:
                    counts = [kind.photos, kind.failed_before, kind.failed] if compared else [kind.photos, kind.failed]
                    written = ["–" if count is None else text.number(count) for count in counts]
                    lines.append(f"| {' | '.join([text.plain(kind.title), *written])} |")
                st.markdown("\n".join(lines))
                st.caption(f"Photos in which {what}. A photo may be of several kinds.")
    if figures.earlier is not None:
        st.caption(
            f"Before: the model's version before this one, SHA-256 {figures.earlier.sha256[:8]}…, on the same photos."
        )


def _how(figures: WholePhotos, subject: Subject) -> str:
    calibration = subject.entry.presence
    fitted = f" “No pet found” was fitted on {calibration.photos}." if calibration and calibration.photos else ""
    return (
        f"{figures.photos}. Each photo is segmented as an upload is. The outline, where a cut-out is more than half "
        "opaque, is compared with the true mask at the photo's own size; pixels that the mask leaves open do not count."
        f"{fitted}"
    )
