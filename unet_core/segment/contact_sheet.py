"""A contact sheet: a batch of segmented photos on one page, as PNG or PDF."""

from __future__ import annotations

import io
import math
import textwrap
import threading
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image

from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.segment.segmentation import Failure, Segmentation

SheetForm = Literal["png", "pdf"]

_THUMB_SIDE = 480  # pixels; on the page at most a third of its width
_PAGE = (8.27, 11.69)  # A4 upright, in inches
_MARGIN, _HEADER = 0.5, 0.8  # inches
_NAME_LENGTH = 34
_REASON_WIDTH = 26  # characters in a line of a cell
_DPI = 150
_FINER = 2  # than the page's resolution, at most, so that a PDF can be enlarged
DRAWING = threading.Lock()  # matplotlib's font cache and settings are global to the process


@dataclass(frozen=True)
class Thumbnail:
    """One photo on the sheet: a small overlay, or why there is none."""

    name: str
    classes: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    picture: np.ndarray | None = field(default=None, repr=False)
    error: str | None = None
    colours: tuple[Colour | None, ...] | None = None  # of the classes


def thumbnail(
    found: Segmentation | Failure, *, opacity: float = 0.45, colours: Sequence[Colour | None] | None = None
) -> Thumbnail:
    """Draw a photo's small overlay, see `render.overlay`, so that the photo need not be kept."""
    if isinstance(found, Failure):
        return Thumbnail(found.name, error=found.message)
    height, width = found.size
    scale = min(1.0, _THUMB_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = np.asarray(Image.fromarray(found.image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    mask = np.asarray(Image.fromarray(found.mask).resize(size, Image.Resampling.NEAREST))
    shares = tuple(found.shares.values())
    chosen = tuple(found.pixel_classes.colours if colours is None else colours)
    picture = render.overlay(image, mask, opacity=opacity, colours=chosen)
    return Thumbnail(found.name, tuple(found.classes), shares, picture, colours=chosen)


def contact_sheet(
    photos: Iterable[Segmentation | Failure | Thumbnail], form: SheetForm = "png", *, title: str = "Segmented photos"
) -> bytes:
    """Draw a batch of photos with names, shares and legend on one A4 page.

    Args:
        photos: segmentations and failures, or thumbnails made earlier.
        form: "png" (150 dots per inch) or "pdf".
        title: the page's heading.

    Raises:
        ValueError: there are no photos, or the form is unknown.
    """
    if form not in ("png", "pdf"):
        raise ValueError(f"form: must be png or pdf. Received: {form!r}")
    thumbs = [photo if isinstance(photo, Thumbnail) else thumbnail(photo) for photo in photos]
    if not thumbs:
        raise ValueError("A contact sheet needs at least one photo.")
    buffer = io.BytesIO()
    with DRAWING, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that no installed font has
        figure = _page(thumbs, title)
        figure.savefig(buffer, format=form, dpi=_DPI, metadata={"Title": title} if form == "pdf" else None)
        figure.clear()  # it refers to itself, and would keep all pictures until the next garbage collection
    return buffer.getvalue()


def _page(thumbs: Sequence[Thumbnail], title: str) -> Any:
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and picks a window system

    width, height = _PAGE
    columns = _columns(len(thumbs))
    rows = math.ceil(len(thumbs) / columns)
    figure = Figure(figsize=_PAGE, facecolor="white")
    _words(figure, _MARGIN / width, 1 - _MARGIN / height, title, size=16, va="top", weight="bold")
    good = [thumb for thumb in thumbs if thumb.picture is not None]
    ratios = [thumb.picture.shape[0] / thumb.picture.shape[1] for thumb in thumbs if thumb.picture is not None]
    counted = f"{len(thumbs)} photo{'s' * (len(thumbs) != 1)}"
    if len(good) < len(thumbs):
        counted += f", {len(thumbs) - len(good)} of which could not be segmented"
    _words(figure, _MARGIN / width, 1 - (_MARGIN + 0.35) / height, counted, size=9, va="top", color="#555555")
    _legend(figure, good)
    cell_width = (width - 2 * _MARGIN) / columns
    tallest = max([0.5, *ratios])
    cell_height = min((height - 2 * _MARGIN - _HEADER) / rows, min(tallest + 0.25, 1.25) * cell_width)
    for number, thumb in enumerate(thumbs):
        row, column = divmod(number, columns)
        left = _MARGIN + column * cell_width
        bottom = height - _MARGIN - _HEADER - (row + 1) * cell_height
        _cell(figure, thumb, (left, bottom, cell_width, cell_height))
    return figure


def _columns(count: int) -> int:
    """Return the number of columns for which cells of 1 : 1.25 are largest."""
    width, height = _PAGE[0] - 2 * _MARGIN, _PAGE[1] - 2 * _MARGIN - _HEADER

    def cell(columns: int) -> float:
        return min(width / columns, height / math.ceil(count / columns) / 1.25)

    return max(range(1, count + 1), key=lambda columns: (cell(columns), -columns))


def _cell(figure: Any, thumb: Thumbnail, box: tuple[float, float, float, float]) -> None:
    """Draw a photo with its name and shares in a box: left, bottom, width and height in inches."""
    width, height = _PAGE
    left, bottom, cell_width, cell_height = box
    size = max(3.0, min(9.0, 3.2 * cell_width))  # points
    text_height = 3.0 * size / 72
    pad = 0.05 * cell_width
    area = (
        (left + pad) / width,
        (bottom + text_height) / height,
        (cell_width - 2 * pad) / width,
        (cell_height - text_height - pad) / height,
    )
    axes = figure.add_axes(area)
    axes.set_axis_off()
    middle, top = (left + cell_width / 2) / width, (bottom + text_height - 0.04) / height
    if thumb.picture is None:
        reason = textwrap.fill(_shortened(thumb.error or "not segmented", 160), _REASON_WIDTH)
        axes.text(0.5, 0, reason, ha="center", va="bottom", fontsize=size, color="#a33", parse_math=False)
        second = "not segmented"
    else:
        axes.imshow(
            _fitted(thumb.picture, round(_FINER * _DPI * cell_width)), interpolation="antialiased", aspect="equal"
        )
        axes.set_anchor("S")
        second = " · ".join(f"{name} {100 * share:.1f} %" for name, share in _main_shares(thumb))
    _words(figure, middle, top, _shortened(thumb.name, _NAME_LENGTH), size=size, ha="center", va="top")
    lower = top - 1.35 * size / 72 / height
    _words(figure, middle, lower, second, size=0.8 * size, ha="center", va="top", color="#555555")


def _fitted(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture no longer than `side` pixels: matplotlib takes many times the memory of what it is given."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(image)


def _main_shares(thumb: Thumbnail) -> list[tuple[str, float]]:
    """Return the classes with their shares in their order, of many only the largest four."""
    shares = list(zip(thumb.classes, thumb.shares, strict=True))
    return shares if len(shares) <= 4 else sorted(shares, key=lambda pair: -pair[1])[:4]


def _legend(figure: Any, thumbs: Sequence[Thumbnail]) -> None:
    from matplotlib.patches import Patch

    most = max(thumbs, key=lambda thumb: len(thumb.classes), default=Thumbnail(""))
    colours = most.colours or [render.class_colour(number) for number in range(len(most.classes))]
    named = [(name, colour) for name, colour in zip(most.classes, colours, strict=True) if colour is not None]
    patches = [
        Patch(color=(red / 255, green / 255, blue / 255), label=_shortened(name, 20))
        for name, (red, green, blue) in named[:8]
    ]
    if patches:
        corner = (1 - _MARGIN / _PAGE[0], 1 - _MARGIN / _PAGE[1])
        figure.legend(
            handles=patches, loc="upper right", bbox_to_anchor=corner, ncols=4, fontsize=9, frameon=False, borderpad=0
        )


def _words(figure: Any, x: float, y: float, text: str, *, size: float, **style: Any) -> None:
    figure.text(x, y, text, fontsize=size, parse_math=False, **style)  # a "$" in a name does not start a formula


def _shortened(text: str, length: int) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= length else f"{printable[: length - 9]}…{printable[-8:]}"
