"""The segmentation of a photo: the photo, its mask, its probabilities and what computed them; or why it failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from PIL import Image

from unet_core.classes import PixelClasses
from unet_core.images import render
from unet_core.images.decode import ImageError
from unet_core.images.interpolate import class_map, resized
from unet_core.images.mask_files import mask_codes, mask_png
from unet_core.segment import outline, pieces
from unet_core.segment.correction import Correction, apply, sides
from unet_core.segment.presence import MASK_ALONE, Presence

FULL_PROBABILITIES_PIXELS = 1_000_000  # up to this size, a photo's probabilities are kept at its original size


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentationFacts:
    """The facts about a segmented photo apart from its pixels.

    Attributes:
        name: the photo's file name.
        photo_size: the photo's original height and width, even if the arrays are smaller.
        pixel_classes: what the C class ids mean.
        shares: the share of the photo's pixels by class name, 0…1.
        timings: milliseconds of "decode" (if decoded here), "preprocess", "network", "postprocess" and "total".
        model, engine, device: what computed it, in words.
        runs: how often the network ran: once per photo or tile, twice with horizontal-flip averaging, and at least
            twice with a zoomed second pass.
        presence: whether the photo shows what the model looks for.
        correction: what a person has changed; mask and shares are as corrected.
    """

    name: str = "photo"
    photo_size: tuple[int, int]
    pixel_classes: PixelClasses
    shares: Mapping[str, float]
    timings: Mapping[str, float]
    model: str
    engine: str
    device: str
    runs: int = 1
    presence: Presence = MASK_ALONE
    correction: Correction | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, by id."""
        return self.pixel_classes.names

    def facts(self) -> dict[str, Any]:
        """Return these attributes as arguments for another form of the same segmentation."""
        return {each.name: getattr(self, each.name) for each in fields(SegmentationFacts)}


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentedPhoto(SegmentationFacts):
    """A photo with its mask, which is all that most pictures are drawn from.

    Attributes:
        image: the photo, (H, W, 3) uint8.
        mask: (H, W) uint8 class ids.
    """

    image: np.ndarray = field(repr=False)
    mask: np.ndarray = field(repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image and its mask."""
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def trimap(self) -> np.ndarray:
        """The mask in the dataset's codes, for pets 1 pet, 2 background, 3 border: see `mask_codes`."""
        return mask_codes(self.mask, self.pixel_classes)

    def to_mask_png(self) -> bytes:
        """Return the mask in the dataset's codes as PNG, see `mask_png`."""
        return mask_png(self.mask, self.pixel_classes)

    to_trimap_png = to_mask_png

    def to_overlay_png(self, *, opacity: float = 0.45, outline: bool = True) -> bytes:
        """Return the photo with its classes coloured, as PNG."""
        colours = self.pixel_classes.colours
        return render.overlay_png(self.image, self.mask, opacity=opacity, outline=outline, colours=colours)


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation(SegmentedPhoto):
    """A model's segmentation of a photo.

    Attributes:
        probabilities: (h, w, C) float32, summing to 1; at the mask's size up to `FULL_PROBABILITIES_PIXELS`, at the
            network's size for larger photos.
    """

    probabilities: np.ndarray = field(repr=False)

    @cached_property
    def alpha(self) -> np.ndarray:
        """The subject's soft outline, (H, W) float32 in 0…1: see `unet_core.segment.outline`.

        Zero everywhere if the model found nothing.
        """
        return self.alpha_of(self.pixel_classes.subject)

    @cached_property
    def animals(self) -> pieces.Animals:
        """The separate animals in the outline, or the pieces of another subject: see `unet_core.segment.pieces`."""
        return pieces.separated(self.probabilities, self.pixel_classes, self.alpha)

    @property
    def coverage(self) -> float:
        """The share of the photo that the subject covers, 0…1, by its outline."""
        return float(self.alpha.mean(dtype=np.float64))

    def alpha_of(self, subject: Collection[int]) -> np.ndarray:
        """Return the soft outline of the classes `subject` together, (H, W) float32 in 0…1.

        Raises:
            ValueError: there is no such class.
        """
        if not set(subject) <= set(range(len(self.classes))):
            raise ValueError(f"subject: must be among 0 to {len(self.classes) - 1}. Received: {sorted(subject)}")
        return np.zeros(self.size, np.float32) if self.presence.found is False else self.outline(subject)

    def outline(self, subject: Collection[int] | None = None) -> np.ndarray:
        """Return what the outline would be if the photo showed the subject, whatever `presence` says."""
        certainty = outline.subject_certainty(self.probabilities, self.pixel_classes, subject)
        alpha = outline.soft_outline(self.image, certainty)
        shown, meant = self.pixel_classes.subject if subject is None else subject, sides(self.pixel_classes)
        if self.correction is None or meant is None or meant.kept not in shown or meant.removed in shown:
            return alpha
        return self.correction.applied_to(alpha)

    def to_alpha_png(self) -> bytes:
        """Return the soft outline as an 8-bit greyscale PNG."""
        return render.alpha_png(self.alpha)

    def to_cutout_png(self, subject: Collection[int] | None = None) -> bytes:
        """Return the subject on a transparent background, as PNG; by default all classes but the background."""
        alpha = self.alpha if subject is None else self.alpha_of(subject)
        return render.cutout_png(outline.foreground(self.image, alpha), alpha)

    def cleaned(self, least_share: float) -> Self:
        """Return a copy in which holes belong to the subject, and islands to the background.

        Args:
            least_share: islands smaller than this share of the subject's largest piece go, and holes smaller than this
                share of the subject are filled; 0 changes nothing.

        Raises:
            ValueError: the share is not in 0…1, or none of the classes is the background.
        """
        background = self.pixel_classes.background
        if not 0 <= least_share <= 1 or background is None:
            raise ValueError(f"least_share: needs a background class and 0 to 1. Received: {least_share}")
        certain = outline.subject_certainty(self.probabilities, self.pixel_classes) > 0.5
        probabilities = pieces.without_islands(self.probabilities, certain, background, least_share)
        certain = outline.subject_certainty(probabilities, self.pixel_classes) > 0.5
        filling = self.pixel_classes.subject[0]
        probabilities = pieces.without_holes(probabilities, certain, background, filling, least_share)
        if probabilities is self.probabilities:
            return self
        cleaned = self.with_probabilities(probabilities)
        return (
            cleaned if self.correction is None else cleaned.corrected(self.correction)
        )  # what a person has drawn stays

    def with_probabilities(self, probabilities: np.ndarray) -> Self:
        """Return a copy with other class probabilities (h, w, C); its mask and shares follow from them."""
        mask = class_map(probabilities, *self.size)
        shares = {name: np.count_nonzero(mask == number) / mask.size for number, name in enumerate(self.classes)}
        return replace(self, probabilities=probabilities, mask=mask, shares=shares)

    def corrected(self, correction: Correction) -> Self:
        """Return a copy as a person has corrected it: mask, probabilities, outline and shares follow.

        Raises:
            CorrectionError: see `unet_core.segment.correction.apply`.
        """
        return apply(self, correction)

    def with_decoding(self, milliseconds: float) -> Self:
        """Return a copy whose timings include decoding the photo."""
        timings = {"decode": milliseconds, **self.timings}
        return replace(self, timings={**timings, "total": timings["total"] + milliseconds})

    def shrunk(self, largest_side: int) -> Self:
        """Return a copy with no array longer than `largest_side` pixels; the shares stay those of the full mask."""
        height, width = self.size
        scale = min(1.0, largest_side / max(height, width))
        size = max(1, round(height * scale)), max(1, round(width * scale))
        image, mask, probabilities = self.image, self.mask, self.probabilities
        if size != self.size:
            image = _pillow_resized(image, size, Image.Resampling.BILINEAR)
            mask = _pillow_resized(mask, size, Image.Resampling.NEAREST)
        if max(probabilities.shape[:2]) > largest_side:
            probabilities = resized(probabilities, *size)
        return replace(self, image=image, mask=mask, probabilities=probabilities)


@dataclass(frozen=True)
class Failure:
    """Why a photo has no segmentation, as a sentence for users."""

    name: str
    message: str


def check_photo(image: np.ndarray, channels: int) -> None:
    """Check that an array is a photo as `decode_image` returns it, (H, W, 3) uint8, for a network's channels.

    Networks of other numbers than 1 and 3 take (H, W, channels), uint8 or uint16.

    Raises:
        ImageError: it has another shape or type.
    """
    if channels not in (1, 3):
        if image.dtype not in (np.uint8, np.uint16) or image.shape[2:] != (channels,) or image.size == 0:
            raise ImageError(
                f"This model takes arrays (height, width, {channels}) of uint8 or uint16, not ordinary photos. "
                f"Received: {image.shape} {image.dtype}"
            )
        return
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(
            f"A photo must be an array (height, width, 3) of uint8: use decode_image. Received: {image.shape} "
            f"{image.dtype}"
        )


def _pillow_resized(picture: np.ndarray, size: tuple[int, int], filter_: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), filter_, reducing_gap=3.0))
