"""Ground truth: read an uploaded mask, report how it was read, score a segmentation against it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from unet_core.classes import BACKGROUND, BORDER, CLASS_NAMES, CLASSES, IGNORE_ID, PET, PET_CLASSES, PixelClasses
from unet_core.data.own.coding import VOC_NAMES, CodedClass, has_voc_palette, infer_coding, mask_facts
from unet_core.data.sources import DataError
from unet_core.errors import UNetError
from unet_core.images.decode import MaskImage, decode_mask, photo_facts
from unet_core.images.mask_files import described_codes
from unet_core.images.mask_values import (
    SPLIT_LEVEL,
    as_colours,
    class_ids,
    full_palette,
    hexadecimal,
    is_nearly_black_and_white,
    packed,
    value_counts,
)
from unet_core.images.render import Colour
from unet_core.scores import Scores, confusion_matrix, scores_from_confusion
from unet_core.segment.analysis import subject_ids
from unet_core.segment.compare import MapEntry, draw_map, map_legend
from unet_core.segment.segmentation import Segmentation
from unet_core.settings import Settings
from unet_core.zoo.meaning import classes_named

Reading = Literal["auto", "trimap", "codes", "ids", "binary", "inverted"]

TWO_CLASSES = (PET.name, BACKGROUND.name)

_MAX_VALUES = 20  # distinct values; more mean a photo or a smoothly resized mask
_MOSTLY = 0.5  # a coding must explain more than this share of the pixels for the others to count as errors

_INVERTED_GAIN = 0.2  # of mean IoU
_VOID = "void"  # the name of what is not labelled; such pixels are not scored
_PETS = ("cat", "dog", PET.name, "object")  # names of what is a pet in other masks

_MISSED: Colour = (213, 94, 0)
_ADDED: Colour = (0, 114, 178)
_CONFUSED: Colour = (240, 228, 66)


class TruthError(UNetError):
    """A ground-truth mask that cannot be used; the message says what is wrong and what to do."""


@dataclass(frozen=True, eq=False)
class Truth:
    """A ground-truth mask that was read.

    Attributes:
        ids: (H, W) uint8, class ids as indices into `classes`, or `IGNORE_ID`.
        classes: pet, background and border, or the first two if the mask has no border; for other models, theirs.
        sentence: how the mask was read, for users.
    """

    ids: np.ndarray = field(repr=False)
    classes: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class ClassScore:
    """A class's scores: IoU, Dice, and accuracy, the share of its true pixels that were found.

    `share` is the class's share of the ground truth. Scores are NaN where the class does not occur.
    """

    name: str
    iou: float
    dice: float
    accuracy: float
    share: float


@dataclass(frozen=True, eq=False)
class TruthScore:
    """The scores of a segmentation against the ground truth.

    Attributes:
        scores: over all classes, see `unet_core.scores`.
        classes: scores by class.
        matrix: pixels by true class (row) and predicted class (column).
        errors: (H, W) uint8: 0 correct, otherwise a value of `legend`.
        legend: missed, added, border or class confused, each with its share of the photo.
        note: how mask and model were made comparable; empty if nothing was needed.
    """

    scores: Scores
    classes: tuple[ClassScore, ...]
    matrix: np.ndarray = field(repr=False)
    errors: np.ndarray = field(repr=False)
    legend: tuple[MapEntry, ...]
    note: str = ""

    @property
    def looks_inverted(self) -> bool:
        """Whether a mask of two classes agrees far better with the model if the two are exchanged."""
        if len(self.matrix) != 2:
            return False
        exchanged = scores_from_confusion(self.matrix[::-1])
        return exchanged.mean_iou > self.scores.mean_iou + _INVERTED_GAIN

    def picture(self, image: np.ndarray) -> np.ndarray:
        """Draw the errors over the photo in grey: (H, W, 3) uint8 to the same."""
        return draw_map(image, self.errors, self.legend)


@dataclass(frozen=True)
class _Coding:
    """How values are read: the coding's name, and the class name of each value."""

    title: str
    names: Mapping[int, str]
    label: Callable[[int], str] = str  # how a value is written


def read_truth(
    data: bytes,
    size: tuple[int, int],
    *,
    classes: PixelClasses = PET_CLASSES,
    reading: Reading = "auto",
    name: str = "mask",
    settings: Settings | None = None,
) -> Truth:
    """Read an uploaded ground-truth mask.

    Accepts the codes of the model's data (trimap codes 1, 2, 3 for pets), class ids 0, 1, 2 …, 0 and 1, black and white
    (also with smoothed edges, or with another value than 255 for white, or with 255 for what is not labelled), palette
    images of these, the class colours of the overlays, and whatever the Data page reads, such as Pascal VOC's palette.
    A mask of only 0 and 1 is read as background and the other class, unless `reading` is "ids".

    Args:
        data: the file's bytes, which are untrusted.
        size: height and width of the photo.
        classes: the model's classes.
        reading: how to read the values; "auto" infers it from them.
        name: the file's name in messages.
        settings: limits, as for photos.

    Raises:
        ImageError: the file cannot be decoded.
        TruthError: its size differs from the photo's, it has unknown values, or it is not a mask.
    """
    facts = photo_facts(data, name=name, what="mask", settings=settings)
    _check_size((facts.height, facts.width), size, name)  # before any pixel is decoded
    mask = decode_mask(data, name=name, settings=settings)
    _check_size(mask.values.shape, size, name)
    if mask.kind == "colour" or (mask.kind == "palette" and classes.has_colour_codes):
        colours = as_colours(mask)
        coding = _colour_coding(colours, classes) or _as_dataset(mask, classes, name)
        if coding is None:
            count = len(value_counts(colours)[0])
            raise TruthError(f"{name} is not a mask but a colour image of {count} colours. {_wanted(classes)}")
        return _understood(colours, coding, "colours", name, classes)
    values, stored = _numbers(mask, classes)
    present, counts = value_counts(values)
    found = dict(zip(present.tolist(), counts.tolist(), strict=True))
    coding = _exact(_codings(classes, found), found, reading, classes, name)
    if coding is None:
        coding = _as_dataset(mask, classes, name)
        if coding is not None:
            values = mask.values
    if coding is None:
        coding, values = _approximate(values, found, classes, name, lossy=mask.lossy)
    return _understood(values, coding, stored, name, classes)


def _check_size(found: tuple[int, ...], size: tuple[int, int], name: str) -> None:
    height, width = found
    if (height, width) == tuple(size):
        return
    rotated = " It seems to be rotated: save it upright." if (width, height) == tuple(size) else ""
    raise TruthError(
        f"{name} has {width} × {height} pixels, its photo {size[1]} × {size[0]}: a mask must have the photo's "
        f"size.{rotated}"
    )


def score(segmentation: Segmentation, truth: Truth) -> TruthScore:
    """Score a segmentation against the ground truth of its photo.

    Against a mask without a border, pets are what their outline holds (`Segmentation.alpha`); a border that only the
    mask has counts as pet.

    Raises:
        TruthError: the sizes differ, or model and mask have different classes.
    """
    if truth.ids.shape != segmentation.size:
        raise TruthError(
            f"The mask has {truth.ids.shape[1]} × {truth.ids.shape[0]} pixels, the photo "
            f"{segmentation.size[1]} × {segmentation.size[0]}: they must be of one size."
        )
    common, note = _common_classes(segmentation.pixel_classes, truth.classes)
    classes = common.names
    true = _renumbered(truth.ids, truth.classes, classes)
    if BORDER.name in segmentation.classes and BORDER.name not in classes:
        predicted = np.where(segmentation.alpha > 0.5, classes.index(PET.name), classes.index(BACKGROUND.name))
    else:
        predicted = _renumbered(segmentation.mask, segmentation.classes, classes)
    matrix = confusion_matrix(true, predicted, len(classes))
    if not matrix.any():
        raise TruthError("All pixels of the mask are marked as not labelled: there is nothing to score.")
    scores = scores_from_confusion(matrix)
    totals = matrix.sum(axis=1)
    by_class = tuple(
        ClassScore(
            each,
            scores.iou[number],
            scores.dice[number],
            float(matrix[number, number] / totals[number]) if totals[number] else float("nan"),
            float(totals[number] / matrix.sum()),
        )
        for number, each in enumerate(classes)
    )
    errors = error_kinds(true, predicted, subject_ids(common))
    confused = "pet and border confused" if BORDER.name in classes else "class confused"
    meanings = (("missed", _MISSED), ("added", _ADDED), (confused, _CONFUSED))
    legend = map_legend(errors, meanings if len(classes) > 2 else meanings[:2])
    return TruthScore(scores, by_class, matrix, errors, legend, note)


def error_kinds(true: np.ndarray, predicted: np.ndarray, subject: Sequence[int]) -> np.ndarray:
    """Return the kind of error in each pixel, (H, W) uint8.

    Returns:
        0 correct or not labelled; 1 missed: a class of `subject` predicted as another; 2 added: another class
        predicted as `subject`; 3 confused: wrong, but both or neither in `subject`, such as border for pet.
    """
    inside = np.isin(np.arange(256), list(subject))
    kinds = np.where(true != predicted, np.uint8(3), np.uint8(0))
    kinds[inside[true] & ~inside[predicted]] = 1
    kinds[~inside[true] & inside[predicted]] = 2
    kinds[true == IGNORE_ID] = 0
    return kinds


# --- reading the values ------------------------------------------------------------------------------------------


def _numbers(mask: MaskImage, classes: PixelClasses) -> tuple[np.ndarray, str]:
    """Return a mask's values and how they are stored: a palette of greys is read by its greys, others by index."""
    if mask.kind == "bit":
        return mask.values, "1-bit image"
    if mask.kind == "grey":
        return mask.values, "grey values"
    used = value_counts(mask.values)[0]
    palette = full_palette(mask.palette)
    colours = palette[used]
    own = {packed(colour): code for colour, code in zip(classes.colours, classes.codes)}
    if {int(colour) for colour in colours} <= set(own):
        table = np.zeros(256, np.uint16)
        table[used] = [own[int(colour)] for colour in colours]
        return table[mask.values], "palette of the class colours"
    greys = colours & 255
    all_grey = (colours == greys * 0x010101).all() and len(set(greys.tolist())) == len(used)
    if all_grey and greys.max() > 0:
        return palette.astype(np.uint8)[mask.values], "palette of greys"
    return mask.values, "palette indices"


def _exact(
    codings: Mapping[str, _Coding], found: Mapping[int, int], reading: Reading, classes: PixelClasses, name: str
) -> _Coding | None:
    """Return the coding that is asked for, or the first that explains all values."""
    if reading != "auto":
        if reading not in codings:
            raise TruthError(f"{name} cannot be read as {reading}: the model's classes are {', '.join(classes.names)}.")
        return codings[reading]
    automatic = (coding for key, coding in codings.items() if key != "inverted")
    return next((coding for coding in automatic if set(found) <= set(coding.names)), None)


def _approximate(
    values: np.ndarray, found: Mapping[int, int], classes: PixelClasses, name: str, *, lossy: bool
) -> tuple[_Coding, np.ndarray]:
    """Return the coding that explains most values; values of a smoothed mask become 0 and 255."""
    codings = _codings(classes, found)
    if is_nearly_black_and_white(found) and (lossy or len(found) > 8):
        sharp = np.where(values >= SPLIT_LEVEL, np.uint8(255), np.uint8(0))
        title = f"black and white with soft edges, split at level {SPLIT_LEVEL}"
        return _Coding(title, _binary(classes, 255)), sharp
    explained = {key: sum(found.get(value, 0) for value in coding.names) for key, coding in codings.items()}
    best = max(explained, key=lambda key: explained[key])
    if lossy:
        raise TruthError(f"{name} is a JPEG or WebP file, which changes the values of a mask: save it as PNG.")
    if len(found) > _MAX_VALUES or explained[best] <= _MOSTLY * values.size:
        raise TruthError(f"{name} is not a mask: it has {_listed(np.array(list(found)))}. {_wanted(classes)}")
    return codings[best], values


def _as_dataset(mask: MaskImage, classes: PixelClasses, name: str) -> _Coding | None:
    """Read a mask as the Data page reads those of a dataset; None if its classes are not the model's.

    In a mask of many things, such as Pascal VOC's, cats and dogs are pets, and all else is background.
    """
    try:
        coding, _ = infer_coding([mask_facts(mask, name)], lambda _: mask, is_voc=has_voc_palette(mask))
    except DataError:
        return None
    if coding is None or coding.threshold is not None or coding.nearest or coding.from_alpha:
        return None
    names = {entry.code: _meaning(entry, classes) for entry in coding.classes}
    if any(each is None for each in names.values()) or len(set(names.values())) < 2:
        return None
    listed = {entry.code: entry.name for entry in coding.classes}
    title = f"a mask of {', '.join(listed.values())}"
    label = hexadecimal if coding.kind == "colours" else str
    return _Coding(title, {code: str(each) for code, each in names.items()}, label)


def _meaning(entry: CodedClass, classes: PixelClasses) -> str | None:
    """Return the model's class that a class of another mask stands for; None if there is none."""
    if entry.ignored:
        return _VOID
    if entry.name in classes.names:
        return entry.name
    if not _are_pet_classes(classes.names):
        return None
    if entry.name in _PETS:
        return PET.name
    return BACKGROUND.name if entry.name in VOC_NAMES else None


def _codings(classes: PixelClasses, found: Mapping[int, int]) -> dict[str, _Coding]:
    """Return the codings that fit a model's classes, the most likely first."""
    one = _one_of(found)
    void = {255: _VOID} if one == 1 else {}
    codings: dict[str, _Coding] = {}
    pets = _are_pet_classes(classes.names)
    if not pets:
        own = dict(zip(classes.codes, classes.names))
        codings["codes"] = _Coding("the values of the model's data", own | _not_labelled(classes))
    if pets or (len(classes.names) == 2 and classes.background is not None):
        title = {1: "0 and 1", 255: "black and white"}.get(one, f"0 and {one}")
        dark, bright = _binary(classes, one).values()
        codings["binary"] = _Coding(title, {0: dark, one: bright} | (void if 255 in found else {}))
        codings["inverted"] = _Coding(f"{title}, inverted", {0: bright, one: dark} | (void if 255 in found else {}))
    if pets:
        codings["trimap"] = _Coding("trimap codes", {each.code: each.name for each in CLASSES})
    ids = {each.id: each.name for each in CLASSES} if pets else dict(enumerate(classes.names))
    return {**codings, "ids": _Coding("class ids", ids | _not_labelled(classes))}


def _one_of(found: Collection[int]) -> int:
    """Return the value that stands for 1 in a mask of two values; 255 beside 0 and 1 is what is not labelled."""
    others = set(found) - {0}
    if len(others) == 1 and len(found) == 2:
        return next(iter(others))
    return 255 if 255 in others and 1 not in others else 1


def _not_labelled(classes: PixelClasses) -> dict[int, str]:
    """Return the value of unlabelled pixels, if the model's data have such pixels and no class of that value."""
    taken = IGNORE_ID in classes.codes or not classes.ignored
    return {} if taken else {IGNORE_ID: classes.ignored[0]}


def _binary(classes: PixelClasses, one: int) -> dict[int, str]:
    background = BACKGROUND.name if classes.background is None else classes.names[classes.background]
    return {0: background, one: classes.names[subject_ids(classes, border=False)[0]]}


def _are_pet_classes(classes: Sequence[str]) -> bool:
    return {PET.name, BACKGROUND.name} <= set(classes) <= set(CLASS_NAMES)


def _colour_coding(values: np.ndarray, classes: PixelClasses) -> _Coding | None:
    """Choose the coding of a colour image: the class colours, those of the data, or black and one other colour."""
    found, counts = value_counts(values)
    own = {packed(colour): each for colour, each in zip(classes.colours, classes.names)}
    if classes.has_colour_codes:
        own |= dict(zip(classes.codes, classes.names))
    is_binary = _are_pet_classes(classes.names) or (len(classes.names) == 2 and classes.background is not None)
    if is_binary and len(found) == 2 and found[0] == 0 and not set(found.tolist()) <= set(own):
        return _Coding("black and one colour", _binary(classes, int(found[1])), hexadecimal)
    if len(found) <= _MAX_VALUES and counts[np.isin(found, list(own))].sum() > _MOSTLY * values.size:
        return _Coding("class colours", own, hexadecimal)
    return None


def _understood(values: np.ndarray, coding: _Coding, stored: str, name: str, classes: PixelClasses) -> Truth:
    """Map values to class ids, and describe how."""
    names = _truth_classes(coding.names.values(), classes.names)
    table = {value: names.index(each) if each in names else IGNORE_ID for value, each in coding.names.items()}
    ids, known = class_ids(values, table)
    meanings = ", ".join(f"{coding.label(value)} = {each}" for value, each in coding.names.items())
    if not known.all():
        raise TruthError(
            f"{name} has {_locations(values, ~known, coding.label)} in {_pixels(~known)}, which is no class "
            f"({meanings}): correct the mask and try again."
        )
    return Truth(ids, names, f"Read as {coding.title} ({stored}): {meanings}.")


def _pixels(chosen: np.ndarray) -> str:
    count = int(np.count_nonzero(chosen))
    return f"{count} pixel{'s' * (count != 1)}"


def _locations(values: np.ndarray, unknown: np.ndarray, label: Callable[[int], str]) -> str:
    """List the unknown values with the pixel where each is first found."""
    values_found = value_counts(values[unknown])[0]
    locations = []
    for value in values_found[:3]:
        y, x = np.unravel_index(int(np.argmax(values == value)), values.shape)
        locations.append(f"{label(int(value))} (first at x {x}, y {y})")
    more = f" and {len(values_found) - 3} more values" if len(values_found) > 3 else ""
    return ", ".join(locations) + more


def _truth_classes(found: Collection[str], classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes of a ground truth in the order of their ids."""
    if not _are_pet_classes(classes):
        return classes
    return CLASS_NAMES if BORDER.name in found else TWO_CLASSES


def _common_classes(classes: PixelClasses, truth: tuple[str, ...]) -> tuple[PixelClasses, str]:
    model = classes.names
    if set(model) == set(truth):
        return classes, ""
    if _are_pet_classes(model) and _are_pet_classes(truth):
        if BORDER.name in model:
            return classes_named(TWO_CLASSES), "The mask has no class border, so the pet's outline is scored."
        return classes_named(TWO_CLASSES), "The model has no class border, so border counts as pet."
    raise TruthError(
        f"The mask has the classes {', '.join(truth)}, the model {', '.join(model)}: choose a model that fits."
    )


def _renumbered(ids: np.ndarray, old: tuple[str, ...], new: tuple[str, ...]) -> np.ndarray:
    """Map ids of the classes `old` to ids of `new`; border becomes pet where `new` has no border."""
    table = np.zeros(256, np.uint8)
    table[IGNORE_ID] = IGNORE_ID
    for number, each in enumerate(old):
        table[number] = new.index(each if each in new else PET.name)
    return table[ids]


def _listed(values: np.ndarray) -> str:
    if len(values) > 5:
        return f"{len(values)} different values, from {values[0]} to {values[-1]}"
    return f"the values {', '.join(map(str, values.tolist()))}" if len(values) > 1 else f"only the value {values[0]}"


def _wanted(classes: PixelClasses) -> str:
    if _are_pet_classes(classes.names):
        return "Save it as PNG with 1 pet, 2 background, 3 border; or 0 and 1; or black and white."
    return f"Save it as PNG with {described_codes(classes)}; or with the class ids 0 to {len(classes.names) - 1}."
