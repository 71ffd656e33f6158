"""The report on an own dataset: whether it can be trained on, what was found, how its masks are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import pandas as pd
import streamlit as st

from ui.shared import format as text
from ui.shared.legend import legend
from unet_core.data.own.coding import CodedClass, MaskCoding
from unet_core.data.own.findings import Finding
from unet_core.data.own.report import DatasetReport
from unet_core.data.sources import DataError

NAMED_FILES = 2  # that a finding's sentence names; more are listed below it
SHOWN_CODES = 24  # that can be named in the page; masks with more are named in dataset.json


def report_card(report: DatasetReport, *, on_names: Callable[[list[str]], None]) -> None:
    """Show a report; `on_names` takes new class names, one for each value of the masks."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{text.plain(report.name)}**", width="content")
            words, icon, colour = _verdict(report)
            st.badge(words, icon=icon, color=colour)
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


def _verdict(report: DatasetReport) -> tuple[str, str, str]:
    """Return the badge's text, icon and colour."""
    if report.errors:
        return f"{_count(len(report.errors), 'error')} to fix", ":material/block:", "red"
    if report.warnings:
        return f"usable, {_count(len(report.warnings), 'warning')}", ":material/warning:", "orange"
    return "ready to train on", ":material/check:", "green"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"


def _figures(report: DatasetReport) -> None:
    alone = len(report.photos_without_mask) + len(report.masks_without_photo)
    counts = " · ".join(f"{text.number(count)} {part}" for part, count in report.counts.items())
    with st.grid(4, min_column_width=150):
        st.metric("Pairs", text.number(len(report.pairs)), border=True, help="Photos with their masks")
        st.metric(
            "Unpaired",
            text.number(alone),
            border=True,
            help=f"{len(report.photos_without_mask)} photos without a mask, "
            f"{len(report.masks_without_photo)} masks without a photo",
        )
        if report.sizes:
            smallest, largest = (text.pixels(*size) for size in (report.sizes.smallest, report.sizes.largest))
            width, height = report.sizes.median
            st.metric(
                "Middle size", f"{width} {text.TIMES} {height}", border=True, help=f"from {smallest} to {largest}"
            )
        st.metric("Classes", text.number(len(report.class_names)), border=True)
    if counts:
        st.caption(f"Split for training: {counts}. Near-duplicates stay in one part.")


def _finding(finding: Finding) -> None:
    show, icon = (st.error, ":material/block:") if finding.severity == "error" else (st.warning, ":material/warning:")
    show(text.plain(finding.message), icon=icon)
    if finding.count > NAMED_FILES or finding.positions:
        with st.expander(f"{_count(finding.count, 'file')}", icon=":material/description:"):
            st.dataframe(_files(finding), hide_index=True, width="stretch")
            if finding.count > len(finding.files):
                st.caption(f"The first {len(finding.files)} of {text.number(finding.count)}.")


def _files(finding: Finding) -> pd.DataFrame:
    table = pd.DataFrame({"file": finding.files})
    if finding.positions:
        table["x"], table["y"] = zip(*finding.positions, strict=True)
    return table


# --- the coding -------------------------------------------------------------------------------------------------------


def _naming(coding: MaskCoding, on_names: Callable[[list[str]], None]) -> None:
    """Show what each value of the masks stands for, and take other names."""
    st.markdown("**How the masks were read**")
    st.caption(f"{text.plain(_sentence(coding.sentence.partition(':')[0]))} Equal names make one class.")
    shown = coding.classes[:SHOWN_CODES]
    with st.form("class-names", border=False):
        with st.grid(3, min_column_width=150, gap="small"):
            names = [_name_field(entry, number) for number, entry in enumerate(shown)]
        submitted = st.form_submit_button("Save the names", icon=":material/label:")
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
    st.markdown("**What the pixels are**")
    classes = report.classes
    legend(
        {entry.name: entry.share for entry in classes},
        column=True,
        colours=[entry.colour for entry in classes],
    )
    rare = [entry for entry in classes if entry.masks < len(report.pairs)]
    for entry in rare[:6]:
        st.caption(f"{text.plain(entry.name)} is in {text.number(entry.masks)} of {len(report.pairs)} masks")
