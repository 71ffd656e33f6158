"""Downloads for one photo, and the files of several; each is created only on click."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO

import streamlit as st

from ui.segment.cards import Look
from ui.segment.session_results import Result
from ui.shared import download
from ui.shared import format as text
from unet_core.classes import BORDER
from unet_core.images import render
from unet_core.images.mask_files import described_codes, described_file
from unet_core.segment import Failure, Segmentation, downloads
from unet_core.segment.coco import CocoForm
from unet_core.segment.contact_sheet import Thumbnail, thumbnail
from unet_core.segment.downloads import FileKind
from unet_core.settings import Settings

Found = Iterable[Result | Failure]

STATISTICS = ("width", "height", "model", "share", "pixels", "found", "probability", "coverage", "pieces", "ms")
_SHOWN = 6  # classes in a description


@dataclass(frozen=True)
class Offer:
    """One file to download: its label, description, icon, name, type, and the function that creates it."""

    label: str
    description: str
    icon: str
    file_name: str
    mime: str
    make: Callable[[], bytes]


def photo_section(result: Result, look: Look, settings: Settings) -> None:
    """Draw all downloads for one photo."""
    st.caption(
        f":material/straighten: All files have the original size, {text.pixels(result.width, result.height)}, and are "
        "created when you click."
    )
    cut = _mask_cut(result)
    with st.grid(3, min_column_width=250, gap="small"):
        for offer in offers(result, look, settings, cut):
            with st.container(border=True, key=f"offer-{offer.label.lower().replace(' ', '-')}"):
                download.button(
                    offer.label,
                    offer.make,
                    offer.file_name,
                    offer.mime,
                    key=f"take-{offer.label}",
                    icon=offer.icon,
                    type="primary" if offer.label == "Everything" else "secondary",
                    width="stretch",
                )
                st.caption(offer.description)


@dataclass(frozen=True)
class MaskCut:
    """Where a black-and-white mask is cut; `border` as in `downloads.binary_mask`."""

    threshold: float = 0.5
    border: bool | None = None


BORDERS: dict[str, bool | None] = {"along the outline": None, "with the border": True, "without the border": False}


def _mask_cut(result: Result) -> MaskCut:
    """Draw where the black-and-white mask is cut, and return it."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="mask-cut"):
        border = None
        if BORDER.name in result.classes:
            chosen = st.segmented_control(
                "Black-and-white mask", list(BORDERS), default=next(iter(BORDERS)), required=True, key="mask-border"
            )
            border = BORDERS[chosen]
        threshold = st.slider(
            "Cut at",
            0.0,
            1.0,
            MaskCut.threshold,
            0.05,
            "%.2f",
            key="mask-threshold",
            width=220,
            help="Of the outline's opacity, or of the probability",
        )
    return MaskCut(threshold, border)


def zip_file(
    found: Found, kinds: Sequence[FileKind], look: Look, settings: Settings, cut: MaskCut = MaskCut()
) -> bytes:
    """Return the ZIP of all photos, see `write_zip`."""
    buffer = io.BytesIO()
    write_zip(buffer, found, kinds, look, settings, cut)
    return buffer.getvalue()


def write_zip(
    target: IO[bytes],
    found: Found,
    kinds: Sequence[FileKind],
    look: Look,
    settings: Settings,
    cut: MaskCut = MaskCut(),
) -> None:
    """Write the ZIP of all photos, segmented again one by one at their original size."""
    downloads.write_zip(
        target,
        _full_size(found, settings),
        kinds,
        opacity=look.opacity,
        outline=look.outline,
        colours=look.colours,
        keep=look.subject,
        threshold=cut.threshold,
        border=cut.border,
    )


def sheet_file(found: Found, form: str, look: Look) -> bytes:
    """Return the contact sheet of all photos, drawn from their displayed results."""
    thumbs = [_small(each, look) for each in found]
    return downloads.contact_sheet(thumbs, "pdf" if form == "pdf" else "png")


def csv_file(found: Found, settings: Settings) -> bytes:
    """Return the statistics of all photos; failures have their reason."""
    return downloads.statistics_csv(_full_size(found, settings)).encode("utf-8-sig")  # for spreadsheets, with a BOM


def offers(result: Result, look: Look, settings: Settings, cut: MaskCut = MaskCut()) -> Iterator[Offer]:
    """Yield the downloads for one photo."""

    def full(make: Callable[[Segmentation], bytes]) -> Callable[[], bytes]:
        return lambda: make(result.full(settings))

    def coco(form: CocoForm) -> Callable[[Segmentation], bytes]:
        return lambda done: downloads.coco_json([(result.name, done)], form)

    name, png = result.file_name, "image/png"
    style = {"opacity": look.opacity, "outline": look.outline, "colours": look.colours}
    classes, subject = result.pixel_classes, look.subject
    kept = ", ".join(classes.names[number] for number in subject[:_SHOWN]) + " …" * (len(subject) > _SHOWN)
    yield Offer(
        "Everything", "All these files in one ZIP", ":material/folder_zip:", name("all", "zip"),
        "application/zip", partial(zip_file, [result], downloads.ALL_FILES, look, settings, cut),
    )  # fmt: skip
    yield Offer(
        "Cut-out", f"{text.plain(kept)}: PNG with a transparent background, soft edges and no old background in them",
        ":material/content_cut:", name("cutout"), png,
        full(lambda done: downloads.cutout_png(done.image, done.alpha_of(subject))),
    )  # fmt: skip
    if result.animal_count > 1:
        yield Offer(
            "Each animal", f"{result.animal_count} cut-outs, each cropped to one animal", ":material/pets:",
            name("animals", "zip"), "application/zip", partial(zip_file, [result], ["animals"], look, settings),
        )  # fmt: skip
    yield Offer(
        "Outline", "8-bit PNG of the soft outline: 0 background, 255 subject", ":material/blur_on:",
        name("alpha"), png, full(lambda done: done.to_alpha_png()),
    )  # fmt: skip
    yield Offer(
        "Mask in codes", f"{described_file(classes)} with {text.plain(described_codes(classes))}", ":material/layers:",
        name("mask"), png, full(lambda done: done.to_mask_png()),
    )  # fmt: skip
    yield Offer(
        "Mask in black and white", f"8-bit PNG: 0 background, 255 subject, cut at {cut.threshold:.2f} as chosen above",
        ":material/contrast:", name("binary"), png,
        full(lambda done: downloads.binary_png(done, cut.threshold, border=cut.border)),
    )  # fmt: skip
    yield Offer(
        "Overlay", "PNG with the opacity, outline and colours chosen here", ":material/palette:", name("overlay"), png,
        full(lambda done: render.overlay_png(done.image, done.mask, **style)),
    )  # fmt: skip
    yield Offer(
        "Probabilities", "NPZ for NumPy: class probabilities, mask and class names", ":material/data_array:",
        name("probabilities", "npz"), "application/octet-stream",
        full(lambda done: downloads.probabilities_npz(done)),
    )  # fmt: skip
    yield Offer(
        "COCO run lengths", "Annotation JSON, pixel-exact", ":material/data_object:",
        name("coco_rle", "json"), "application/json", full(coco("rle")),
    )  # fmt: skip
    yield Offer(
        "COCO polygons", "Annotation JSON with outlines, for labelling tools", ":material/polyline:",
        name("coco_polygons", "json"), "application/json", full(coco("polygons")),
    )  # fmt: skip
    yield Offer(
        "Statistics", f"CSV: {', '.join(STATISTICS)}", ":material/table:",
        name("statistics", "csv"), "text/csv",
        full(lambda done: downloads.statistics_csv([done]).encode("utf-8-sig")),
    )  # fmt: skip
    yield Offer(
        "Contact sheet", "One page as PDF, with legend and shares", ":material/view_module:",
        name("contact_sheet", "pdf"), "application/pdf",
        full(lambda done: sheet_of(done, look)),
    )  # fmt: skip


def sheet_of(done: Segmentation, look: Look) -> bytes:
    """Return the contact sheet of one photo as PDF."""
    return downloads.contact_sheet([thumbnail(done, opacity=look.opacity, colours=look.colours)], "pdf")


def _full_size(found: Found, settings: Settings) -> Iterator[Segmentation | Failure]:
    for each in found:
        yield each if isinstance(each, Failure) else each.full(settings)


def _small(each: Result | Failure, look: Look) -> Thumbnail:
    shown = each if isinstance(each, Failure) else each.shown()
    return thumbnail(shown, opacity=look.opacity, colours=look.colours)
