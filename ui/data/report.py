"""The report on an uploaded dataset: whether it can be trained on, its problems, and how its masks are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import streamlit as st

from ui.shared import format as text
from ui.shared.lazy import pd
from ui.shared.legend import legend
from unet_core.architecture.table import counted
from unet_core.data.own.coding import CodedClass, MaskCoding
from unet_core.data.own.findings import Finding
from unet_core.data.own.report import DatasetReport
from unet_core.data.sources import DataError

NAMED_FILES = 2  # in a finding's sentence; more are listed below it
SHOWN_CODES = 24  # that can be named on the page; further ones are named in dataset.json


def report_card(report: DatasetReport, *, on_names: Callable[[list[str]], None] | None) -> None:
    """Show a report; `on_names` is called with new class names, one for each value of the masks, if they may change."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{text.plain(report.name)}**", width="content")
            _verdict(report)
        st.caption(text.plain(_sentence(report.layout_sentence)))
        _figures(report)
        for finding in report.problems:
            _finding(finding)
        if report.coding is not None:
            left, right = st.columns([3, 2], gap="large")
            with left:
                _naming(report.coding, on_names)
            with right:
                _classes(report)


def _sentence(phrase: str) -> str:
    return f"{phrase[:1].upper()}{phrase[1:]}."


def _verdict(report: DatasetReport) -> None:
    if report.errors:
        st.badge(f"{counted(len(report.errors), 'error')} to fix", icon=":material/block:", color="red")
    elif report.warnings:
        words = f"usable, {counted(len(report.warnings), 'warning')}"
        st.badge(words, icon=":material/warning:", color="orange")
    else:
        st.badge("ready for training", icon=":material/check:", color="green")


def _figures(report: DatasetReport) -> None:
    unpaired = len(report.photos_without_mask) + len(report.masks_without_photo)
    counts = " · ".join(f"{text.number(count)} {part}" for part, count in report.counts.items())
    with st.grid(4, min_column_width=150):
        st.metric("Pairs", text.number(len(report.pairs)), border=True, help="Photos with their masks")
        st.metric(
            "Unpaired",
            text.number(unpaired),
            border=True,
            help=f"{counted(len(report.photos_without_mask), 'photo')} without a mask, "
            f"{counted(len(report.masks_without_photo), 'mask')} without a photo",
        )
        if report.sizes:
            smallest, largest = (text.pixels(*size) for size in (report.sizes.smallest, report.sizes.largest))
            width, height = report.sizes.median
            st.metric(
                "Median size", f"{width} {text.TIMES} {height}", border=True, help=f"from {smallest} to {largest}"
            )
        st.metric("Classes", text.number(len(report.class_names)), border=True)
    if counts:
        st.caption(f"Splits: {counts}. Near-duplicates stay in one split.")


def _finding(finding: Finding) -> None:
    show, icon = (st.error, ":material/block:") if finding.severity == "error" else (st.warning, ":material/warning:")
    show(text.plain(finding.message), icon=icon)
    if finding.count > NAMED_FILES or finding.positions:
        with st.expander(counted(finding.count, "file"), icon=":material/description:"):
            st.dataframe(_files(finding), hide_index=True, width="stretch")
            if finding.count > len(finding.files):
                st.caption(f"The first {len(finding.files)} of {text.number(finding.count)}.")


def _files(finding: Finding) -> pd.DataFrame:
    table = pd.DataFrame({"file": finding.files})
    if finding.positions:
        table["x"], table["y"] = zip(*finding.positions, strict=True)
    return table


# --- the coding -------------------------------------------------------------------------------------------------------


def _naming(coding: MaskCoding, on_names: Callable[[list[str]], None] | None) -> None:
    """Show the class of each value of the masks, with fields to rename it."""
    st.markdown("**How the masks were read**")
    st.caption(f"{text.plain(_sentence(coding.sentence.partition(':')[0]))} Equal names make one class.")
    if on_names is None:
        return
    shown = coding.classes[:SHOWN_CODES]
    with st.form("class-names", border=False):
        with st.grid(3, min_column_width=150, gap="small"):
            names = [_name_field(entry, number) for number, entry in enumerate(shown)]
        submitted = st.form_submit_button("Save names", icon=":material/label:")
    names += [entry.name for entry in coding.classes[SHOWN_CODES:]]
    if not submitted:
        return
    try:
        on_names([name.strip() for name in names])
    except DataError as error:
        st.error(text.plain(str(error)))
    else:
        st.rerun()


def _name_field(entry: CodedClass, number: int) -> str:
    with st.container(gap="xxsmall"):
        value = f"<span>{escape(entry.label)} → class {entry.id}</span><b>{text.percent(entry.share)}</b>"
        st.html(f'<div class="legend"><div class="legend-class">{swatch(entry.colour)}{value}</div></div>')
        return st.text_input(
            f"Name of {entry.label}",
            entry.name,
            key=f"class-name-{number}-{entry.label}-{entry.name}",
            label_visibility="collapsed",
            max_chars=60,
        )


def swatch(colour: Sequence[int]) -> str:
    """Return a colour as HTML."""
    return '<span class="legend-swatch" style="background:rgb({},{},{})"></span>'.format(*colour)


def _classes(report: DatasetReport) -> None:
    st.markdown("**Class shares**")
    classes = report.classes
    legend(
        {entry.name: entry.share for entry in classes},
        column=True,
        colours=[entry.colour for entry in classes],
    )
    rare = [entry for entry in classes if entry.masks < len(report.pairs)]
    for entry in rare[:6]:
        st.caption(f"{text.plain(entry.name)} occurs in {text.number(entry.masks)} of {len(report.pairs)} masks")
