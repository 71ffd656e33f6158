"""Compare two segmentations of a photo: where they differ and how well they agree. NumPy and Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from unet_core.classes import BACKGROUND, BORDER, PET, PixelClasses
from unet_core.errors import UNetError
from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.scores import confusion_matrix, scores_from_confusion
from unet_core.segment.analysis import subject_ids, subject_name
from unet_core.segment.segmentation import Segmentation
from unet_core.zoo.meaning import classes_named


@dataclass(frozen=True)
class MapEntry:
    """One line of a map's legend: the value in the map, its meaning, its colour, its share of the photo (0…1)."""

    value: int
    name: str
    colour: Colour
    share: float


@dataclass(frozen=True)
class ClassAgreement:
    """How well two segmentations agree on a class; IoU and Dice are NaN where it occurs in neither."""

    name: str
    first_share: float  # of the photo, 0…1
    second_share: float
    iou: float
    dice: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two segmentations of a photo compare.

    Attributes:
        agreement: the share of pixels with the same class, 0…1.
        classes: agreement by class.
        differences: (H, W) uint8; 0 where both agree, otherwise a value of `legend`.
        legend: the kinds of difference, with their share of the photo.
        note: how they were made comparable; empty if nothing was needed.
    """

    agreement: float
    classes: tuple[ClassAgreement, ...]
    differences: np.ndarray = field(repr=False)
    legend: tuple[MapEntry, ...]
    note: str = ""

    def picture(self, image: np.ndarray) -> np.ndarray:
        """Draw the differences over the photo in grey: (H, W, 3) uint8 to the same."""
        return draw_map(image, self.differences, self.legend)


# From Okabe and Ito's palette, but none of the classes' colours.
_ONLY_FIRST: Colour = (213, 94, 0)
_ONLY_SECOND: Colour = (0, 114, 178)
_OTHER: Colour = (240, 228, 66)


def compare(first: Segmentation, second: Segmentation, *, names: tuple[str, str] = ("first", "second")) -> Comparison:
    """Compare two segmentations of a photo, by any models and inference modes.

    Classes are matched by name. Where only one of two models of pets has the class "border", it counts as pet.

    Args:
        first, second: the segmentations.
        names: their names in the legend.

    Raises:
        UNetError: the sizes differ, or the classes do not match.
    """
    if first.size != second.size:
        raise UNetError(f"Both segmentations must be of one photo. Received sizes: {first.size} and {second.size}")
    classes, one, two, note = _alike(first, second)
    matrix = confusion_matrix(one, two, len(classes.names))
    scores = scores_from_confusion(matrix)
    shares = matrix.sum(axis=1) / matrix.sum(), matrix.sum(axis=0) / matrix.sum()
    agreements = tuple(
        ClassAgreement(name, float(shares[0][i]), float(shares[1][i]), scores.iou[i], scores.dice[i])
        for i, name in enumerate(classes.names)
    )
    differences = difference_kinds(one, two, subject_ids(classes))
    subject = subject_name(classes)
    meanings = (
        (f"{subject} only in {names[0]}", _ONLY_FIRST),
        (f"{subject} only in {names[1]}", _ONLY_SECOND),
        ("another class", _OTHER),
    )
    return Comparison(scores.pixel_accuracy, agreements, differences, map_legend(differences, meanings), note)


def difference_kinds(first: np.ndarray, second: np.ndarray, subject: Sequence[int]) -> np.ndarray:
    """Return how two masks of class ids differ in each pixel, (H, W) uint8.

    Returns:
        0 the same class, 1 a class of `subject` only in the first, 2 only in the second, 3 any other difference.
    """
    inside = np.isin(np.arange(256), list(subject))
    in_first, in_second = inside[first], inside[second]
    kinds = np.where(first != second, np.uint8(3), np.uint8(0))
    kinds[in_first & ~in_second] = 1
    kinds[in_second & ~in_first] = 2
    return kinds


def map_legend(kinds: np.ndarray, meanings: Sequence[tuple[str, Colour]]) -> tuple[MapEntry, ...]:
    """Return the legend of a map's values 1, 2, …, with their shares."""
    counts = np.bincount(kinds.reshape(-1), minlength=len(meanings) + 1)
    return tuple(
        MapEntry(value, name, colour, int(counts[value]) / kinds.size)
        for value, (name, colour) in enumerate(meanings, start=1)
    )


def draw_map(image: np.ndarray, kinds: np.ndarray, legend: Sequence[MapEntry]) -> np.ndarray:
    """Draw the values of a map over the photo in pale grey, so that the photo's colours do not mislead.

    Args:
        image: the photo, (H, W, 3) uint8.
        kinds: (H, W) uint8; 0 shows the photo.
        legend: the colours of the other values.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: photo and map differ in size.
    """
    grey = Image.fromarray(image).convert("L").point([round(0.6 * level + 0.4 * 255) for level in range(256)])
    pale = np.asarray(grey.convert("RGB"))
    colours: dict[int, Colour | None] = {0: None, **{entry.value: entry.colour for entry in legend}}
    return render.overlay(pale, kinds, opacity=0.85, outline=False, colours=colours)


def _alike(first: Segmentation, second: Segmentation) -> tuple[PixelClasses, np.ndarray, np.ndarray, str]:
    """Return the classes that both have, both masks in ids of these, and a note."""
    if first.classes == second.classes:
        return first.pixel_classes, first.mask, second.mask, ""
    if set(first.classes) == set(second.classes):
        table = np.zeros(256, np.uint8)
        table[: len(second.classes)] = [first.classes.index(name) for name in second.classes]
        return first.pixel_classes, first.mask, table[second.mask], ""
    pet_classes = {PET.name, BACKGROUND.name, BORDER.name}
    if not all({PET.name, BACKGROUND.name} <= set(one.classes) <= pet_classes for one in (first, second)):
        raise UNetError(
            "Only models with the same classes can be compared. Received: "
            f"{', '.join(first.classes)}; and {', '.join(second.classes)}"
        )
    note = "Only one of the two models has the class border, so it counts as pet."
    return classes_named((PET.name, BACKGROUND.name)), border_as_pet(first), border_as_pet(second), note


def border_as_pet(segmentation: Segmentation) -> np.ndarray:
    """Return the mask with two classes: 0 pet and border, 1 the rest; (H, W) uint8."""
    table = np.ones(256, np.uint8)
    table[list(subject_ids(segmentation.pixel_classes))] = 0
    return table[segmentation.mask]
