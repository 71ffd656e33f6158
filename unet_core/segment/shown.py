"""What a page shows of a photo: its segmentation at display size, and pictures drawn while the pixels are at hand.

A page draws the same photo again and again with other options, long after its pixels were let go. What it will show
first is drawn together with the segmentation: in this process, or in the one beside it that is for photos alone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Protocol

import numpy as np
from PIL import Image
from pydantic import Field

from unet_core.images import render
from unet_core.images.interpolate import resized
from unet_core.images.render import Colour
from unet_core.segment.compressed import CompressedSegmentation
from unet_core.segment.inference import WHOLE, InferenceMode, try_segment_bytes
from unet_core.segment.outline import subject_certainty
from unet_core.segment.presence import Presence
from unet_core.segment.segmentation import Failure, Segmentation
from unet_core.segment.segmenter import Segmenter
from unet_core.segment.tiles import Progress

SHOWN_SIDE = 1000  # pixels on the longer side of displayed pictures; downloads have the original size
CARD_SIDE = 320  # pixels; on the page a card is at most 250 wide

_SHARPNESS = 2.5  # of a quick outline: how fast opacity grows with certainty
_NARROWEST = 24  # pixels: a longer and thinner photo is drawn wider than it is, to be visible at all

# Compresses on another core while the outline is found.
_packer = ThreadPoolExecutor(1, thread_name_prefix="pack-segmentations")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which part of a segmentation is the subject.

    Attributes:
        subject: the class ids; None are all but the background.
        animal: the number of the only animal, 0 for all.
        least_share: smaller pieces are left out and smaller holes filled, as a share of the subject.
        anyway: what was found is the subject even if the model is sure that the photo does not show it.
    """

    subject: tuple[int, ...] | None = None
    animal: int = 0
    least_share: float = 0.0
    anyway: bool = False

    def settled(self, found: Segmentation) -> Segmentation:
        """Return the segmentation without small pieces and holes, and with a subject even if in doubt."""
        if self.anyway and found.presence.found is False:
            found = replace(found, presence=Presence())
        return found.cleaned(self.least_share) if self.least_share else found

    def alpha(self, settled: Segmentation) -> np.ndarray:
        """Return the outline in a segmentation that is `settled`, (H, W) float32 in 0…1."""
        if self.subject is not None:
            return settled.alpha_of(self.subject)
        animals = settled.animals if self.animal else None
        return animals.alpha_of(self.animal) if animals and self.animal <= animals.count else settled.alpha


class Picture(Protocol):
    """A picture of a segmentation; pictures that are equal look the same."""

    def draw(self, found: Segmentation) -> bytes:
        """Return it as a file."""
        ...


@dataclass(frozen=True)
class MaskPicture:
    """The class ids as an 8-bit PNG, without the pieces and holes below a share of the subject."""

    least_share: float = 0.0

    def draw(self, found: Segmentation) -> bytes:
        """See `Picture`."""
        return render.png(Selection(least_share=self.least_share).settled(found).mask)


@dataclass(frozen=True)
class OutlinePicture:
    """The subject's opacity as an 8-bit PNG: 0 background, 255 subject."""

    selection: Selection = Selection()

    def draw(self, found: Segmentation) -> bytes:
        """See `Picture`."""
        return render.png(render.alpha_levels(self.selection.alpha(self.selection.settled(found))))


@dataclass(frozen=True)
class QuickOutline:
    """The subject's opacity as an 8-bit PNG along the outline as found: to refine it takes longer than the network."""

    kind: Literal["quick outline"] = "quick outline"

    def draw(self, found: Segmentation) -> bytes:
        """See `Picture`."""
        if found.presence.found is False:
            return render.png(np.zeros(found.size, np.uint8))
        certainty = subject_certainty(resized(found.probabilities, *found.size), found.pixel_classes)
        return render.png(render.alpha_levels(np.clip(0.5 + _SHARPNESS * (certainty - 0.5), 0, 1)))


@dataclass(frozen=True)
class CardPicture:
    """A small picture as WebP, which holds transparency in a tenth of a PNG's bytes.

    Attributes:
        cut_out: it shows the subject alone, else the photo with its classes coloured.
        opacity, outline, colours: of the colours; a class whose colour is None looks as in the photo.
        subject: class ids of cut-outs.
    """

    cut_out: bool
    opacity: float
    outline: bool
    colours: tuple[Colour | None, ...]
    subject: tuple[int, ...] | None
    kind: Literal["card"] = "card"

    def draw(self, found: Segmentation) -> bytes:
        """See `Picture`."""
        small = found.shrunk(CARD_SIDE) if self.cut_out else found
        scale = min(1.0, CARD_SIDE / max(small.size))
        height, width = (max(_NARROWEST, round(side * scale)) for side in small.size)
        drawn = _at_size(small.image, width, height)
        if small.presence.found and self.cut_out:
            alpha = small.alpha if self.subject is None else small.alpha_of(self.subject)
            drawn = render.cutout(drawn, _at_size(alpha, width, height))
        elif small.presence.found:
            mask = _at_size(small.mask, width, height, Image.Resampling.NEAREST)
            drawn = render.overlay(drawn, mask, opacity=self.opacity, outline=self.outline, colours=self.colours)
        buffer = io.BytesIO()
        Image.fromarray(drawn).save(buffer, "WEBP", quality=80, method=1)
        return buffer.getvalue()


def _at_size(
    picture: np.ndarray, width: int, height: int, way: Image.Resampling = Image.Resampling.BILINEAR
) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((width, height), way, reducing_gap=2.0))


@dataclass(frozen=True)
class Stage:
    """The parts of a photo's view that a browser composes: the subject's outline and the mask.

    Attributes:
        selection: the subject; `anyway` counts only where it decides.
        cut_out: the view is a cut-out, of one of several animals on request, so that they are counted.
    """

    selection: Selection = Selection()
    cut_out: bool = True
    kind: Literal["stage"] = "stage"

    def pictures(self, presence: Presence) -> tuple[OutlinePicture, MaskPicture]:
        """Return what is drawn of a photo, given whether it shows the subject: otherwise the subject is not chosen."""
        chosen = self.selection
        if not (presence.found or chosen.anyway):
            chosen = Selection()
        elif presence.found is not False:
            chosen = replace(chosen, anyway=False)
        return OutlinePicture(chosen), MaskPicture(chosen.least_share)


@dataclass(frozen=True, eq=False)
class Shown:
    """A photo's segmentation at display size, and what was drawn of it.

    Attributes:
        packed: the segmentation.
        pictures: the files, by what they show.
        animal_count: how many animals, or other pieces of the subject, there are; None if they were not counted.
    """

    packed: CompressedSegmentation
    pictures: dict[Picture, bytes] = field(default_factory=dict)
    animal_count: int | None = None


Wanted = Annotated[Stage | CardPicture | QuickOutline, Field(discriminator="kind")]


def draw(found: Segmentation, wanted: Sequence[Wanted] = ()) -> Shown:
    """Compress a segmentation, and draw what is wanted of it."""
    packed = _packer.submit(CompressedSegmentation.pack, found)
    pictures = {picture: picture.draw(found) for picture in pictures_of(wanted, found.presence)}
    counted = any(isinstance(each, Stage) and each.cut_out for each in wanted) and found.presence.found
    return Shown(packed.result(), pictures, found.animals.count if counted else None)


def pictures_of(wanted: Sequence[Wanted], presence: Presence) -> list[Picture]:
    """Return the pictures that `draw` draws, in its order."""
    pictures: list[Picture] = []
    for each in wanted:
        pictures += each.pictures(presence) if isinstance(each, Stage) else (each,)
    return pictures


@dataclass(frozen=True)
class Question:
    """What to do with a photo, whose file comes beside it.

    Attributes:
        name: the photo's file name.
        mode: how it is segmented.
        wanted: what to draw of it at display size; None is the segmentation at the original size, without the photo.
        side: the most pixels on its longer side at display size.
    """

    name: str = "photo"
    mode: InferenceMode = WHOLE
    wanted: tuple[Wanted, ...] | None = ()
    side: int = SHOWN_SIDE


def answered(
    segmenter: Segmenter, data: bytes, question: Question, progress: Progress | None = None
) -> Shown | Failure:
    """Segment a photo's file in this process, and draw what is wanted of it; any error is returned as a `Failure`."""
    side = None if question.wanted is None else question.side
    found = try_segment_bytes(segmenter, data, question.name, question.mode, largest_side=side, progress=progress)
    if isinstance(found, Failure):
        return found
    if question.wanted is None:
        return Shown(CompressedSegmentation.pack(found, with_photo=False))
    return draw(found, question.wanted)
