"""Downloads for all photos together: at once for a few, and with progress for many."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, Literal

import streamlit as st

from ui.segment.cards import Card, Look
from ui.segment.downloads import Found, csv_file, sheet_file, write_zip
from ui.segment.session_results import Result
from ui.shared import attention, download
from ui.shared import format as text
from unet_core.errors import UNetError
from unet_core.segment import Failure
from unet_core.segment.downloads import FileKind
from unet_core.settings import Settings

KINDS: dict[str, FileKind] = {
    "cut-outs": "cutout",
    "outlines": "alpha",
    "masks in codes": "mask",
    "black-and-white masks": "binary",
    "overlays": "overlay",
    "each animal": "animals",
    "probabilities": "probabilities",
    "COCO run lengths": "rle",
    "COCO polygons": "polygons",
    "statistics": "statistics",
    "contact sheet": "sheet",
}
DEFAULT_KINDS = ("cut-outs", "masks in codes", "statistics", "contact sheet")
MOST_BYTES = 250e6  # of a ZIP, which the server holds while the browser fetches it
_AT_ONCE = 4  # photos; files of more take long enough to show progress, and are prepared before the download
_PREPARED = "prepared-{}"  # session key by file name: the file of many photos, or why there is none
_BYTES_PER_PIXEL = {  # of camera photos as PNG
    "overlay": 2.2,
    "cutout": 1.6,
    "animals": 1.6,
    "mask": 0.05,
    "alpha": 0.15,
    "probabilities": 0.4,
}


@dataclass(frozen=True)
class File:
    """A file of all photos: its button's label, its name, MIME type and icon, and the function that writes it."""

    label: str
    name: str
    mime: str
    icon: str
    write: Callable[[IO[bytes], Found], object]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A file that has been written, on disk and without a name, so that it ends with its session.

    Attributes:
        of: what it was made of; another choice needs another file.
        content: the file.
        size: in bytes.
    """

    of: Hashable
    content: IO[bytes]
    size: int

    def read(self) -> bytes:
        """Return the whole file."""
        self.content.seek(0)
        return self.content.read()


def batch_section(
    cards: Sequence[Card], results: Callable[[], Iterator[Result | Failure]], look: Look, settings: Settings
) -> None:
    """Draw the downloads for all photos together; `results` yields the photos' results, one by one."""
    good = [card for card in cards if not card.problem]
    if not good:
        return
    with st.container(border=True, key="batch"):
        st.markdown(f"**Download all {len(good)} photo{'s' * (len(good) > 1)}**")
        chosen = st.pills(
            "In the ZIP",
            list(KINDS),
            selection_mode="multi",
            default=DEFAULT_KINDS,
            key="parts",
            persist_state="session",
        )
        kinds: list[FileKind] = [KINDS[name] for name in chosen]
        size = estimated_bytes([card.pixels for card in good], kinds)
        archive = File(
            "Everything as one ZIP", "segmented.zip", "application/zip", ":material/folder_zip:",
            lambda target, found: write_zip(target, found, kinds, look, settings),
        )  # fmt: skip
        table = File(
            "Statistics (CSV)", "statistics.csv", "text/csv", ":material/table:",
            lambda target, found: target.write(csv_file(found, settings)),
        )  # fmt: skip
        with st.container(horizontal=True, gap="small"):
            draw = partial(_at_once, results) if len(good) <= _AT_ONCE else partial(_prepared, cards, results)
            draw(archive, (tuple(kinds), look), disabled=not kinds or size > MOST_BYTES)
            for form, mime in (("pdf", "application/pdf"), ("png", "image/png")):
                download.button(
                    f"Contact sheet ({form.upper()})",
                    partial(_sheet, results, form, look),
                    f"contact_sheet.{form}",
                    mime,
                    key=f"batch-{form}",
                    icon=":material/view_module:",
                )
            draw(table, (), disabled=False)
        if size > MOST_BYTES:
            st.caption(
                f":material/weight: About {text.byte_size(round(size))}, more than the limit of "
                f"{text.byte_size(round(MOST_BYTES))}: leave out overlays or cut-outs, or remove some photos."
            )


def estimated_bytes(pixels: Sequence[int], kinds: Sequence[FileKind]) -> float:
    """Estimate the size in bytes of a ZIP of photos with these numbers of pixels."""
    return sum(pixels) * sum(_BYTES_PER_PIXEL.get(kind, 0.05) for kind in kinds)


def _at_once(
    results: Callable[[], Iterator[Result | Failure]], file: File, _options: Hashable, *, disabled: bool
) -> None:
    """Offer a file of a few photos, which is made on the click."""

    def make() -> bytes:
        target = io.BytesIO()
        file.write(target, results())
        return target.getvalue()

    download.button(
        file.label, make, file.name, file.mime, key=f"batch-{file.name}", icon=file.icon, disabled=disabled,
        type=_type(file),
    )  # fmt: skip


def _prepared(
    cards: Sequence[Card],
    results: Callable[[], Iterator[Result | Failure]],
    file: File,
    options: Hashable,
    *,
    disabled: bool,
) -> None:
    """Offer to write a file of many photos, or the file that has been written."""
    slot = _PREPARED.format(file.name)
    of = options, tuple(zlib.crc32(card.picture + card.name.encode()) for card in cards)
    held: Prepared | str | None = st.session_state.get(slot)
    if isinstance(held, Prepared) and held.of == of:
        label = f"Download {file.name} ({text.byte_size(held.size)})"
        download.button(label, held.read, file.name, file.mime, key=f"batch-{file.name}", type="primary")
        return
    if st.button(file.label, key=f"prepare-{file.name}", icon=file.icon, disabled=disabled, type=_type(file)):
        st.session_state[slot] = _write(file, of, results(), len(cards))
        st.rerun()
    if isinstance(held, str):
        st.error(text.plain(held), icon=":material/error:")


def _write(file: File, of: Hashable, found: Found, count: int) -> Prepared | str:
    """Write a file photo by photo, and return it, or why there is none."""
    bar = st.progress(0.0, "Preparing…", width=360)

    def shown() -> Iterator[Result | Failure]:
        for number, each in enumerate(found):
            attention.stop_if_gone()
            bar.progress(number / count, f"Preparing photo {number + 1} of {count}")
            yield each

    target = tempfile.TemporaryFile()  # noqa: SIM115  open as long as it can be downloaded
    try:
        file.write(target, shown())
    except UNetError as error:
        return str(error)
    return Prepared(of, target, target.tell())


def _type(file: File) -> Literal["primary", "secondary"]:
    return "primary" if file.mime == "application/zip" else "secondary"


def _sheet(results: Callable[[], Iterator[Result | Failure]], form: str, look: Look) -> bytes:
    return sheet_file(results(), form, look)
