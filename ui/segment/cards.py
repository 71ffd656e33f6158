"""Cards of a batch: a small picture of each segmented photo that opens on click, or why segmenting it failed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ui.components.photo_grid import Tile
from ui.segment.photos import Photo
from ui.segment.session_results import Result
from ui.shared import format as text
from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.segment import Failure, Segmentation, analysis

CUT_OUTS, OVERLAYS = CARD_VIEWS = ("cut-outs", "overlays")
FLAGS = {True: "", False: "No {} found", None: "Not sure"}  # by presence
SIDE = 320  # pixels; on the page a card is at most 250 wide
_NARROWEST = 24  # pixels: a longer and thinner photo is drawn wider than it is, to be visible at all


@dataclass(frozen=True)
class Look:
    """How the pictures on cards are drawn."""

    view: str  # one of CARD_VIEWS
    opacity: float
    outline: bool
    colours: tuple[Colour | None, ...]
    subject: tuple[int, ...]  # class ids of cut-outs


@dataclass(frozen=True)
class Card:
    """A photo of a batch: what its card shows, and the photo's size in pixels."""

    name: str
    note: str = ""
    picture: bytes = field(default=b"", repr=False)
    flag: str = ""
    problem: str = ""
    pixels: int = 0

    def tile(self, digest: str) -> Tile:
        """Return the tile of a grid."""
        alt = f"{self.name}, {self.note}"
        return Tile(digest, self.name, self.picture, "image/webp", self.note, alt, self.flag, self.problem)


def card_of(found: Result | Failure, look: Look) -> Card:
    """Draw a photo's card; the result may be dropped afterwards."""
    if isinstance(found, Failure):
        return Card(found.name, problem=found.message)
    flag = FLAGS[found.presence.found].format(analysis.subject_name(found.pixel_classes))
    return Card(found.name, _note(found), _picture(found, look), flag, pixels=found.width * found.height)


def waiting_tile(photo: Photo) -> Tile:
    """Return the tile of a photo that is not segmented yet."""
    return Tile(photo.digest, photo.name)


def facts(result: Result) -> str:
    """Return a result's size and total time as Markdown."""
    runs = f" in {result.runs} runs" if result.runs > 1 else ""
    return f"{text.pixels(result.width, result.height)} · {text.milliseconds(result.timings['total'])}{runs}"


def _picture(result: Result, look: Look) -> bytes:
    """Draw a small picture as WebP, which holds transparency in a tenth of a PNG's bytes."""
    small = result.for_outline().shrunk(SIDE) if look.view == CUT_OUTS else result.photo_and_mask()
    image, mask = small.image, small.mask
    scale = min(1.0, SIDE / max(image.shape[:2]))
    size = max(_NARROWEST, round(image.shape[1] * scale)), max(_NARROWEST, round(image.shape[0] * scale))
    image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    if not small.presence.found:
        drawn = image
    elif isinstance(small, Segmentation):
        alpha = small.alpha if look.subject is None else small.alpha_of(look.subject)
        drawn = render.cutout(image, np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BILINEAR)))
    else:
        mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
        drawn = render.overlay(image, mask, opacity=look.opacity, outline=look.outline, colours=look.colours)
    buffer = io.BytesIO()
    Image.fromarray(drawn).save(buffer, "WEBP", quality=80, method=1)
    return buffer.getvalue()


def _note(result: Result) -> str:
    name, share = largest_share(result)
    return f"{name} {text.percent(share, 0)}"


def largest_share(result: Result) -> tuple[str, float]:
    """Return the subject's class with the largest share of the photo, and this share."""
    subject: Sequence[int] = analysis.subject_ids(result.pixel_classes, border=False) or range(len(result.classes))
    name = max((result.classes[number] for number in subject), key=lambda name: result.shares[name])
    return name, result.shares[name]
