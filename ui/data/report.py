"""The report on an uploaded dataset: whether it can be trained on, its problems, and how its masks are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import streamlit as st

from ui.data.catalogue import jpeg
from ui.shared import format as text
from ui.shared.lazy import pd
from ui.shared.legend import legend
from unet_core.architecture.table import counted
from unet_core.data.own.coding import CodedClass, MaskCoding
from unet_core.data.own.findings import Finding
from unet_core.data.own.options import DEFAULT_OPTIONS, ReadOptions
from unet_core.data.own.preview import IGNORED_COLOUR, Preview
from unet_core.data.own.report import LEAVABLE, DatasetReport
from unet_core.data.sources import DataError

NAMED_FILES = 2  # in a finding's sentence; more are listed below it
SHOWN_CODES = 24  # that can be named on the page; further ones are named in dataset.json


@dataclass(frozen=True)
class Picture:
    """A photo with its mask drawn over it, as JPEG, and its caption."""

    jpeg: bytes
    caption: str


@dataclass(frozen=True)
class Changes:
    """What a dataset's owner may do: `names` takes a name for each value of the masks, `read` other options."""

    names: Callable[[list[str]], None]
    read: Callable[[ReadOptions], None]


def drawn(found: Sequence[Preview]) -> list[Picture]:
    """Encode previews for the page."""
    return [Picture(jpeg(one.picture), f"{one.name}{_how(one)}") for one in found]


def _how(preview: Preview) -> str:
    return "" if not preview.turned else ", as stored" if preview.stored else ", turned as EXIF says"


def report_card(report: DatasetReport, pictures: Sequence[Picture], changes: Changes | None) -> None:
    """Show a report: first a few photos with their masks, then what was found, and what may be decided."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**{text.plain(report.name)}**", width="content")
            _verdict(report)
        if pictures:
            with st.grid(len(pictures), min_column_width=140, gap="small"):
                for picture in pictures:
                    alt = f"{picture.caption} under its mask"
                    st.image(picture.jpeg, caption=text.plain(picture.caption), width="stretch", alt=alt)
        st.caption(text.plain(_sentence(report.layout_sentence)))
        if changes is not None:
            _decisions(report, changes.read)
        _figures(report)
        for finding in report.problems:
            _finding(finding)
        _unused(report)
        if report.coding is not None:
            left, right = st.columns([3, 2], gap="large")
            with left:
                _naming(report.coding, changes.names if changes else None)
            with right:
                _classes(report)


def _decisions(report: DatasetReport, read: Callable[[ReadOptions], None]) -> None:
    """Offer what a person can decide where the files alone leave it open."""
    options = report.options
    if report.candidates:
        st.markdown("**Which masks hold the classes?**")
        with st.container(horizontal=True):
            for title in report.candidates:
                st.button(
                    text.plain(title),
                    key=f"masks-{title}",
                    type="primary" if title == options.masks else "secondary",
                    on_click=read,
                    args=(options.replace(masks=title),),
                )
    codes = {finding.code: finding for finding in report.errors}
    with st.container(horizontal=True):
        bad = sum(finding.count for code, finding in codes.items() if code in LEAVABLE)
        if bad and not options.skip_bad:
            label = f"Leave {counted(bad, 'file')} out and continue"
            st.button(label, icon=":material/playlist_remove:", on_click=read, args=(options.replace(skip_bad=True),))
        if "size_mismatch" in codes:
            st.button(
                "Resize masks to their photos",
                icon=":material/aspect_ratio:",
                on_click=read,
                args=(options.replace(resize_masks=True),),
            )
        if any(pair.turned for pair in report.pairs) or any("EXIF" in finding.message for finding in codes.values()):
            other = "upright" if options.orientation == "stored" else "stored"
            label = "Turn photos upright" if other == "upright" else "Read photos as stored"
            st.button(
                label,
                icon=":material/screen_rotation:",
                help="Choose what fits the masks: photos are stored with an EXIF orientation.",
                on_click=read,
                args=(options.replace(orientation=other),),
            )
        if options != DEFAULT_OPTIONS:
            st.button("Undo", icon=":material/undo:", type="tertiary", on_click=read, args=(DEFAULT_OPTIONS,))


def _unused(report: DatasetReport) -> None:
    """List what is not used, with the reasons."""
    files = [*report.left_out, *report.ignored]
    if not files:
        return
    with st.expander(f"{counted(len(files), 'file')} not used", icon=":material/visibility_off:"):
        rows = {"file": [file.path for file in files], "why": [file.why for file in files]}
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")


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
        how = "The dataset's own splits" if report.has_own_parts else "Splits"
        st.caption(f"{how}: {counts}.{'' if report.has_own_parts else ' Near-duplicates stay in one split.'}")


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
    how = text.plain(_sentence(coding.sentence.partition(":")[0]))
    st.caption(f"{how} Equal names make one class; what is called “void” is left out of training.")
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
    meaning, colour = ("not labelled", IGNORED_COLOUR) if entry.ignored else (f"class {entry.id}", entry.colour)
    with st.container(gap="xxsmall"):
        value = f"<span>{escape(entry.label)} → {meaning}</span><b>{text.percent(entry.share)}</b>"
        st.html(f'<div class="legend"><div class="legend-class">{swatch(colour)}{value}</div></div>')
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
