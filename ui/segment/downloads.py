"""What can be downloaded of one photo or of all: each file is made only when somebody asks for it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from ui.segment.session_results import Result
from ui.shared import format as text
from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.segment import Failure, Segmentation, downloads
from unet_core.segment.contact_sheet import Thumbnail, thumbnail
from unet_core.segment.downloads import Part
from unet_core.settings import Settings

Found = Sequence[Result | Failure]
Colours = tuple[Colour | None, ...]

PARTS: dict[str, Part] = {
    "masks": "mask",
    "overlays": "overlay",
    "cut-outs": "cutout",
    "probabilities": "probabilities",
    "COCO run lengths": "rle",
    "COCO polygons": "polygons",
    "statistics": "statistics",
    "contact sheet": "sheet",
}
DEFAULT_PARTS = ("masks", "overlays", "statistics", "contact sheet")
MOST_BYTES = 250e6  # of a ZIP, which is put together in memory
_BYTES_PER_PIXEL = {"overlay": 2.2, "cutout": 1.6, "mask": 0.05, "probabilities": 0.4}  # of camera photos as PNG


@dataclass(frozen=True)
class Offer:
    """One file: what it is, why one would want it, its name, its type, and what makes it."""

    label: str
    what: str
    icon: str
    file_name: str
    mime: str
    make: Callable[[], bytes]


def photo_section(result: Result, opacity: float, outline: bool, colours: Colours, settings: Settings) -> None:
    """Draw everything that can be downloaded of one photo."""
    st.caption(
        f":material/straighten: Everything at the photo's own size, {text.pixels(result.width, result.height)}; made "
        "when you click, from the photo itself."
    )
    with st.grid(3, min_column_width=250, gap="small"):
        for offer in offers(result, opacity, outline, colours, settings):
            with st.container(border=True, key=f"offer-{offer.label.lower().replace(' ', '-')}"):
                st.download_button(
                    offer.label,
                    offer.make,
                    offer.file_name,
                    offer.mime,
                    key=f"take-{offer.label}",
                    icon=offer.icon,
                    type="primary" if offer.label == "Everything" else "secondary",
                    on_click="ignore",
                    width="stretch",
                )
                st.caption(offer.what)


def batch_section(found: Found, opacity: float, outline: bool, colours: Colours, settings: Settings) -> None:
    """Draw what can be downloaded of all photos together."""
    good = [each for each in found if isinstance(each, Result)]
    if not good:
        return
    with st.container(border=True, key="batch"):
        st.markdown(f"**Download all {len(good)}**")
        chosen = st.pills(
            "In the ZIP",
            list(PARTS),
            selection_mode="multi",
            default=DEFAULT_PARTS,
            key="parts",
            persist_state="session",
        )
        parts = [PARTS[name] for name in chosen]
        size = estimated_bytes(good, parts)
        with st.container(horizontal=True, gap="small"):
            st.download_button(
                "Everything as one ZIP",
                partial(zip_file, found, parts, opacity, outline, colours, settings),
                "segmented.zip",
                "application/zip",
                key="batch-zip",
                icon=":material/folder_zip:",
                type="primary",
                on_click="ignore",
                disabled=not parts or size > MOST_BYTES,
            )
            for form, mime in (("pdf", "application/pdf"), ("png", "image/png")):
                st.download_button(
                    f"Contact sheet ({form.upper()})",
                    partial(sheet_file, found, form, opacity, colours, settings),
                    f"contact_sheet.{form}",
                    mime,
                    key=f"batch-{form}",
                    icon=":material/view_module:",
                    on_click="ignore",
                )
            st.download_button(
                "Statistics (CSV)",
                partial(csv_file, found, settings),
                "statistics.csv",
                "text/csv",
                key="batch-csv",
                icon=":material/table:",
                on_click="ignore",
            )
        if size > MOST_BYTES:
            st.caption(
                f":material/weight: About {text.byte_size(round(size))}, more than the "
                f"{text.byte_size(round(MOST_BYTES))} this server puts together at a time: leave overlays or cut-outs "
                "out, or remove some photos."
            )


def estimated_bytes(results: Sequence[Result], parts: Sequence[Part]) -> float:
    """Estimate how large a ZIP becomes, in bytes."""
    pixels = sum(result.width * result.height for result in results)
    return pixels * sum(_BYTES_PER_PIXEL.get(part, 0.05) for part in parts)


def zip_file(
    found: Found, parts: Sequence[Part], opacity: float, outline: bool, colours: Colours, settings: Settings
) -> bytes:
    """Return the ZIP of all photos, segmented again one by one at their own size."""
    buffer = io.BytesIO()
    photos = _full_size(found, settings)
    downloads.write_zip(buffer, photos, parts, opacity=opacity, outline=outline, colours=colours)
    return buffer.getvalue()


def sheet_file(found: Found, form: str, opacity: float, colours: Colours, settings: Settings) -> bytes:
    """Return the contact sheet of all photos, drawn from what is shown of them."""
    thumbs = [_small(each, opacity, colours) for each in found]
    return downloads.contact_sheet(thumbs, "pdf" if form == "pdf" else "png")


def csv_file(found: Found, settings: Settings) -> bytes:
    """Return the statistics of all photos, with those that have no result and why."""
    return downloads.statistics_csv(_full_size(found, settings)).encode("utf-8-sig")  # spreadsheets want the mark


def offers(result: Result, opacity: float, outline: bool, colours: Colours, settings: Settings) -> Iterator[Offer]:
    """Yield what can be downloaded of one photo."""

    def full(make: Callable[[Segmentation], bytes]) -> Callable[[], bytes]:
        return lambda: make(result.full(settings))

    def coco(form: str) -> Callable[[Segmentation], bytes]:
        return lambda done: downloads.coco_json([(result.name, done)], form)

    name, png = result.file_name, "image/png"
    keep = {"opacity": opacity, "outline": outline, "colours": colours}
    yield Offer(
        "Everything", "All of these in one ZIP", ":material/folder_zip:", name("all", "zip"),
        "application/zip", partial(zip_file, [result], downloads.ALL_PARTS, opacity, outline, colours, settings),
    )  # fmt: skip
    yield Offer(
        "Mask", "8-bit PNG of the codes 1 pet, 2 background, 3 border", ":material/layers:", name("mask"), png,
        full(lambda done: render.mask_png(done.mask)),
    )  # fmt: skip
    yield Offer(
        "Overlay", "PNG with the opacity, outline and colours chosen here", ":material/palette:", name("overlay"), png,
        full(lambda done: render.overlay_png(done.image, done.mask, **keep)),
    )  # fmt: skip
    yield Offer(
        "Cut-out", "PNG with a transparent background and soft edges", ":material/content_cut:", name("cutout"), png,
        full(lambda done: downloads.cutout_png(done.image, done.mask)),
    )  # fmt: skip
    yield Offer(
        "Probabilities", "NPZ for NumPy: every class's probability, mask and names", ":material/data_array:",
        name("probabilities", "npz"), "application/octet-stream",
        full(lambda done: downloads.probabilities_npz(done)),
    )  # fmt: skip
    yield Offer(
        "COCO run lengths", "Annotation JSON, exact to the pixel", ":material/data_object:",
        name("coco_rle", "json"), "application/json", full(coco("rle")),
    )  # fmt: skip
    yield Offer(
        "COCO polygons", "Annotation JSON with outlines, for labelling tools", ":material/polyline:",
        name("coco_polygons", "json"), "application/json", full(coco("polygons")),
    )  # fmt: skip
    yield Offer(
        "Statistics", "CSV: size, shares, pixels, uncertainty, milliseconds", ":material/table:",
        name("statistics", "csv"), "text/csv",
        full(lambda done: downloads.statistics_csv([done]).encode("utf-8-sig")),
    )  # fmt: skip
    yield Offer(
        "Contact sheet", "One page as PDF, with legend and shares", ":material/view_module:",
        name("contact_sheet", "pdf"), "application/pdf",
        full(lambda done: downloads.contact_sheet([thumbnail(done, opacity=opacity, colours=colours)], "pdf")),
    )  # fmt: skip


def _full_size(found: Found, settings: Settings) -> Iterator[Segmentation | Failure]:
    for each in found:
        yield each if isinstance(each, Failure) else each.full(settings)


def _small(each: Result | Failure, opacity: float, colours: Colours) -> Thumbnail:
    return thumbnail(each if isinstance(each, Failure) else each.shown(), opacity=opacity, colours=colours)
