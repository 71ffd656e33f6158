"""Cards of a batch: a small picture of each segmented photo that opens on click, or why segmenting it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ui.components.photo_grid import Tile
from ui.segment.photos import Photo
from ui.segment.session_results import Result
from ui.shared import format as text
from unet_core.images.render import Colour
from unet_core.segment import Failure, analysis
from unet_core.segment.shown import CardPicture

CUT_OUTS, OVERLAYS = CARD_VIEWS = ("cut-outs", "overlays")
FLAGS = {True: "", False: "No {} found", None: "Not sure"}  # by presence


@dataclass(frozen=True)
class Look:
    """How the pictures on cards are drawn."""

    view: str  # one of CARD_VIEWS
    opacity: float
    outline: bool
    colours: tuple[Colour | None, ...]
    subject: tuple[int, ...]  # class ids of cut-outs

    @property
    def picture(self) -> CardPicture:
        """What is drawn of a photo."""
        return CardPicture(self.view == CUT_OUTS, self.opacity, self.outline, self.colours, self.subject)


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
    return Card(found.name, _note(found), found.picture(look.picture), flag, pixels=found.width * found.height)


def waiting_tile(photo: Photo) -> Tile:
    """Return the tile of a photo that is not segmented yet."""
    return Tile(photo.digest, photo.name)


def facts(result: Result) -> str:
    """Return a result's size and total time as Markdown."""
    runs = f" in {result.runs} runs" if result.runs > 1 else ""
    return f"{text.pixels(result.width, result.height)} · {text.milliseconds(result.timings['total'])}{runs}"


def presence_sentence(result: Result) -> str:
    """Say whether the subject or which kind of it was found, and how sure the model is, as Markdown."""
    return text.plain(result.presence.sentence(analysis.subject_name(result.pixel_classes)))


def _note(result: Result) -> str:
    name, share = largest_share(result)
    kind = "" if result.presence.kind is None else f"{result.presence.kind} · "
    return f"{kind}{name} {text.percent(share, 0)}"


def largest_share(result: Result) -> tuple[str, float]:
    """Return the subject's class with the largest share of the photo, and this share."""
    subject: Sequence[int] = analysis.subject_ids(result.pixel_classes, border=False) or range(len(result.classes))
    name = max((result.classes[number] for number in subject), key=lambda name: result.shares[name])
    return name, result.shares[name]
