"""How the values or colours of masks become class ids: inferred from all masks of a dataset. NumPy only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from unet_core.architecture.table import counted
from unet_core.classes import CLASSES, IGNORE_ID
from unet_core.data.own.blends import are_apart, blended_codes, is_edge_only, may_blend, nearest_known, solid_codes
from unet_core.data.own.class_tables import ClassTable
from unet_core.data.own.findings import Finding, error, named, warning
from unet_core.data.sources import DataError, LabelError
from unet_core.images.decode import MaskImage, MaskKind
from unet_core.images.mask_values import (
    SPLIT_LEVEL,
    as_colours,
    class_ids,
    full_palette,
    hexadecimal,
    is_nearly_black_and_white,
    packed,
    soft_levels,
    unpacked,
    value_counts,
)
from unet_core.strict import Strict

CodingKind = Literal["trimap", "ids", "binary", "values", "palette", "colours", "coco", "joined", "instances"]
ClassNames = Sequence[str] | Mapping[int | str, str]  # by position, or by value ("7", 7) or colour ("#ff0000")

MAX_CLASSES = 100
MAX_COLOURS = 64
_MAX_DISTINCT = 4096  # values of one mask that are counted; an image with more is not a mask
_MAJORITY = 0.75  # of the masks must agree on a coding before the others count as wrong
_BLEND_SAMPLES = 6  # masks that are looked at for blends
_RARE_SHARE = 0.02  # of the masks
_VOID = 255  # by convention "not labelled"
_FEWEST_INSTANCES = 5  # the largest number of a mask from which instance numbers are recognized
# Names of what annotators left open; classes of these names are left out of training and scores.
IGNORED_NAMES = frozenset(
    ["void", "ignore", "ignored", "__ignore__", "unlabeled", "unlabelled", "not labeled", "not labelled", "don't care"]
)
_TRIMAP = frozenset(pixel_class.code for pixel_class in CLASSES)

_VOC = (
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,"
    "pottedplant,sheep,sofa,train,tvmonitor"
)
VOC_NAMES = tuple(_VOC.split(","))
_VOC_PETS = tuple(VOC_NAMES.index(name) for name in ("cat", "dog"))
_COLOUR_NAMES = {
    "background": 0x000000,
    "white": 0xFFFFFF,
    "grey": 0x808080,
    "red": 0xFF0000,
    "green": 0x00FF00,
    "dark green": 0x008000,
    "blue": 0x0000FF,
    "dark blue": 0x000080,
    "yellow": 0xFFFF00,
    "olive": 0x808000,
    "cyan": 0x00FFFF,
    "teal": 0x008080,
    "magenta": 0xFF00FF,
    "purple": 0x800080,
    "orange": 0xFFA500,
    "maroon": 0x800000,
    "pink": 0xFFC0CB,
    "brown": 0xA52A2A,
}
# Okabe and Ito's palette (2008) without black, for classes whose masks have no colours of their own.
_COLOURS = (0x56B4E9, 0xE69F00, 0xCC79A7, 0x009E73, 0xF0E442, 0x0072B2, 0xD55E00, 0x999999)


class CodedClass(Strict):
    """One value or colour of the masks and its class."""

    code: int = Field(ge=0)  # the value, or 0xRRGGBB
    label: str  # the code as people write it: "255", "#ff0000"
    id: int = Field(ge=0, lt=256)
    name: str
    colour: tuple[int, int, int]
    share: float = 0.0  # of all pixels
    masks: int = 0  # that contain it

    @property
    def ignored(self) -> bool:
        """Whether its pixels are left out of training and scores; `id` is then `IGNORE_ID`."""
        return self.id == IGNORE_ID


class MaskCoding(Strict):
    """How masks are read. Codes with the same name are one class; ids count from 0 in the order of the codes.

    Codes whose name is one of `IGNORED_NAMES` have no class but `IGNORE_ID`.
    """

    kind: CodingKind
    classes: tuple[CodedClass, ...]
    one_bit: int = 1  # the value that 1 of a one-bit image stands for
    threshold: int | None = None  # of smoothed black-and-white masks: from this level on, a pixel is white
    nearest: bool = False  # whether pixels between classes, of resized masks, take the class of the nearest pixel
    from_alpha: bool = False  # whether the opacity holds the values

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by id."""
        return tuple(entry.name for entry in self.by_id)

    @property
    def by_id(self) -> tuple[CodedClass, ...]:
        """The first code of each class, by id; without what is ignored."""
        first = {entry.id: entry for entry in reversed(self.classes) if not entry.ignored}
        return tuple(first[number] for number in sorted(first))

    @property
    def ignored_names(self) -> tuple[str, ...]:
        """Names of what is left out of training and scores."""
        return tuple(dict.fromkeys(entry.name for entry in self.classes if entry.ignored))

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """A colour for each class id: that of the masks, where they have colours."""
        return tuple(entry.colour for entry in self.by_id)

    @property
    def sentence(self) -> str:
        """How masks were read, in words."""
        shown = ", ".join(f"{entry.label} = {entry.name}" for entry in self.classes[:12])
        shown += " …" if len(self.classes) > 12 else ""
        what = {
            "trimap": "trimap codes",
            "ids": f"class ids 0 to {len(self.classes) - 1}",
            "binary": "black and white",
            "values": "grey values",
            "palette": "palette indices",
            "colours": "colours",
            "coco": "categories of shapes",
            "joined": "files of one class or object each",
            "instances": "instance numbers, all of them one class",
        }[self.kind]
        smoothed = f", thresholded at {self.threshold}" if self.threshold is not None else ""
        smoothed += ", soft edges as the nearest class" if self.nearest else ""
        where = " in the alpha channel" if self.from_alpha else ""
        return f"masks read as {what}{where}{smoothed}: {shown}"

    def codes(self, mask: MaskImage) -> np.ndarray:
        """Return a mask's codes, (H, W) unsigned: values as this coding counts them, or colours 0xRRGGBB."""
        if self.from_alpha and mask.alpha is not None:
            values = mask.alpha
        elif self.kind == "colours":
            return as_colours(mask)
        else:
            values = mask.values
        if self.kind == "instances":
            return (values > 0).astype(np.uint8)
        if self.threshold is not None:
            peak = self.classes[-1].code
            limit = 1 if mask.kind == "bit" else self.threshold
            return np.where(values >= limit, np.uint16(peak), np.uint16(0))
        if mask.kind == "bit" and self.one_bit != 1:
            return values * np.uint8(self.one_bit)
        return values

    def wrong(self, mask: MaskImage) -> np.ndarray:
        """Return where a mask has codes without a class: (H, W) bool."""
        if self.nearest:
            return np.zeros(mask.values.shape, bool)
        return ~np.isin(self.codes(mask), [entry.code for entry in self.classes])

    def ids(self, mask: MaskImage, name: str) -> np.ndarray:
        """Turn a mask into class ids, (H, W) uint8, `IGNORE_ID` where nothing is labelled.

        Raises:
            LabelError: the mask `name` has codes without a class; the text says which and where.
        """
        codes = self.codes(mask)
        if mask.kind == "colour" and self.kind != "colours" and not self.from_alpha:
            raise LabelError(f"{name} is a colour image, but the dataset's {self.sentence}.")
        ids, known = class_ids(codes, {entry.code: entry.id for entry in self.classes})
        if self.nearest:
            return nearest_known(ids, known)
        if not known.all():
            y, x = (int(place[0]) for place in np.nonzero(~known))
            labels = [self.label(int(code)) for code in np.unique(codes[~known])[:5]]
            listed = ", ".join(labels)
            where = f"(first at x {x}, y {y})"
            raise LabelError(f"{name} contains {listed} {where}, which is not a class; {self.sentence}.")
        return ids

    def label(self, code: int) -> str:
        """Return a code as people write it: a number or "#rrggbb"."""
        return hexadecimal(code) if self.kind == "colours" else str(code)

    def renamed(self, names: ClassNames) -> MaskCoding:
        """Return the coding with other class names; codes with the same name become one class.

        Raises:
            DataError: the names do not fit the codes.
        """
        given = _names_by_code(names, self)
        return self.replace(classes=numbered([entry.replace(name=given[entry.code]) for entry in self.classes]))


@dataclass(frozen=True)
class MaskFacts:
    """What one mask contains: its codes in order and their pixel counts, both empty if there are too many codes."""

    name: str
    kind: MaskKind
    mode: str
    width: int
    height: int
    codes: np.ndarray
    counts: np.ndarray
    palette: tuple[int, ...] | None
    lossy: bool
    solid: frozenset[int]  # codes that fill a small square somewhere; all of them if there are only two
    ringed: bool = False  # of the values 1, 2 and 3: whether 3 separates the others, as the pets' border does
    opacity: MaskFacts | None = None  # of an image of one colour: what its alpha channel contains


def mask_facts(mask: MaskImage, name: str) -> MaskFacts:
    """Count a mask's codes."""
    height, width = mask.values.shape
    codes, counts = value_counts(mask.values, _MAX_DISTINCT)
    if len(codes) > _MAX_DISTINCT:
        codes, counts = codes[:0], counts[:0]
    solid = frozenset(codes.tolist())
    if len(codes) > 2:
        solid = frozenset(solid_codes(mask.values).tolist())
    opacity = None
    if mask.alpha is not None:
        opacity = mask_facts(MaskImage(mask.alpha, "grey", mask.mode, None, mask.lossy), name)
    return MaskFacts(
        name,
        mask.kind,
        mask.mode,
        width,
        height,
        codes,
        counts,
        mask.palette,
        mask.lossy,
        solid,
        _TRIMAP.issubset(codes.tolist()) and _is_ringed(mask.values),
        opacity,
    )


def _is_ringed(values: np.ndarray) -> bool:
    """Return whether pixels of 1 and 2 hardly ever touch, because 3 lies between them."""
    touching = ringed = 0
    for one, other in ((values[:, 1:], values[:, :-1]), (values[1:], values[:-1])):
        edges = one != other
        sums = one[edges].astype(np.int16) + other[edges]
        touching += int((sums == 3).sum())  # 1 beside 2
        ringed += int((sums != 3).sum())
    return touching <= 0.2 * ringed


def infer_coding(
    masks: Sequence[MaskFacts],
    read: Callable[[str], MaskImage],
    class_names: ClassNames | None = None,
    categories: Sequence[str] = (),
    table: ClassTable | None = None,
    *,
    is_voc: bool = False,
) -> tuple[MaskCoding | None, list[Finding]]:
    """Decide how all masks of a dataset are read.

    Args:
        masks: what each of them contains.
        read: opens a mask again by name, to locate a wrong value.
        class_names: by position, or by code; codes named here are always classes.
        categories: of shapes and joined masks, by code from 1.
        table: class names that the dataset keeps beside its masks.
        is_voc: whether the folders are Pascal VOC's, so that its palette stands for its classes.

    Returns:
        The coding, or None if the masks cannot be read, and the findings.

    Raises:
        DataError: `class_names` do not fit the masks.
    """
    from_alpha = _masks_in_alpha(masks)
    union = _Union([mask.opacity or mask for mask in masks] if from_alpha else masks, is_voc and table is None)
    if union.too_many:
        return None, [_too_many_values(union)]
    blends = set[int]() if categories else _blends(union, read)
    findings = _without_blends(union, blends)
    coding, more = _inferred(union, class_names, categories)
    findings += more
    if coding is None:
        return None, findings
    if table is not None:
        coding, named_by_table = _named_by_table(coding, table, union)
        findings += named_by_table
    if class_names is not None:
        coding = coding.renamed(class_names)
    coding = coding.replace(one_bit=union.one_bit, nearest=bool(blends), from_alpha=from_alpha)
    coding, outside = _with_counts(coding.replace(classes=numbered(coding.classes)), union)
    if outside and all(finding.code != "mixed_codings" for finding in findings):
        findings.append(_out_of_range(coding, outside, read))
    if from_alpha:
        text = "The masks have one colour only, so they are read from their transparency: opaque pixels are 255."
        findings.append(warning("masks_in_alpha", text))
    return coding, [*findings, *_mixed_modes(union), *class_findings(coding, len(masks))]


def _masks_in_alpha(masks: Sequence[MaskFacts]) -> bool:
    """Return whether the masks are in the alpha channel: images of one colour, at least one partly transparent."""
    return any(mask.opacity is not None and len(mask.opacity.codes) > 1 for mask in masks) and all(
        mask.opacity is not None for mask in masks
    )


def _blends(union: _Union, read: Callable[[str], MaskImage]) -> set[int]:
    """Return the codes that are only blends of others along edges."""
    candidates = set(union.values) - union.solid
    pixels, total = sum(union.pixels[code] for code in candidates), sum(union.pixels.values())
    if not candidates or union.two_tone or not is_edge_only(pixels, total):
        return set()
    if not may_blend(candidates, union.solid, union.colours):
        return set()
    if union.lossy and not are_apart(union.solid, union.colours):
        return set()  # compression has also changed the values inside
    holders = [mask for mask, codes in zip(union.masks, union.codes) if candidates & set(codes)]
    step = max(1, len(holders) // _BLEND_SAMPLES)
    images = [read(mask.name) for mask in holders[::step][:_BLEND_SAMPLES]]
    codes = [as_colours(image) if union.colours else image.values for image in images]
    seen = candidates & {int(code) for one in codes for code in np.unique(one)}
    found = blended_codes(codes, seen, union.solid, colours=union.colours)
    # A mask that was not looked at has other blends of the same classes.
    return candidates - (seen - found) if found else set()


def _without_blends(union: _Union, blends: set[int]) -> list[Finding]:
    """Take blends out of the union's codes, and report them."""
    if not blends:
        return []
    soft = [mask.name for mask, codes in zip(union.masks, union.codes) if blends & set(codes)]
    union.drop(blends)
    kept = counted(len(union.values), "value")
    text = (
        f"{counted(len(soft), 'mask has', 'masks have')} soft edges, as after smooth resizing or lossy compression: "
        f"{counted(len(blends), 'value')} between classes are read as the nearest of the other {kept}. "
        "Resize masks with nearest neighbour and save them as PNG."
    )
    return [warning("soft_edges", text, soft)]


def _named_by_table(coding: MaskCoding, table: ClassTable, union: _Union) -> tuple[MaskCoding, list[Finding]]:
    """Name classes as the dataset's own table does, where its values are those of the masks."""
    names = {_parsed_code(key): name for key, name in table.names.items()}
    codes = {entry.code: entry.code for entry in coding.classes}
    if table.in_colours and coding.kind != "colours":
        codes = {code: (union.palette or {}).get(code, -1) for code in codes}
    elif not table.in_colours and coding.kind == "colours":
        return coding, []
    elif coding.kind == "binary" and len(names) == 2 and set(names) == {0, 1}:
        codes = {code: int(code > 0) for code in codes}
    given = {code: names[key] for code, key in codes.items() if names.get(key)}
    if len(given) < 2 or len(set(given.values())) < 2:
        text = f"{table.file} names classes, but not the values of these masks: its names are not used."
        return coding, [warning("class_table_differs", text, [table.file])]
    findings = []
    missing = [entry.label for entry in coding.classes if entry.code not in given and not entry.ignored]
    if missing:
        text = f"{table.file} has no name for the values {named(missing)} of the masks."
        findings.append(warning("class_table_differs", text, [table.file]))
    unused = [name for key, name in names.items() if key not in codes.values() and name.lower() not in IGNORED_NAMES]
    if unused:
        text = f"No mask contains {named(unused)}, which {table.file} lists: left out."
        findings.append(warning("category_unused", text))
    classes = [entry.replace(name=given.get(entry.code, entry.name)) for entry in coding.classes]
    kind = "values" if coding.kind == "trimap" else coding.kind
    return coding.replace(kind=kind, classes=numbered(classes)), findings


def numbered(classes: Sequence[CodedClass]) -> tuple[CodedClass, ...]:
    """Assign ids 0, 1, … in order; equal names share one.

    What is not labelled has `IGNORE_ID`, if two classes remain.
    """
    names = dict.fromkeys(entry.name for entry in classes)
    kept = [name for name in names if name.lower() not in IGNORED_NAMES]
    ids = {name: number for number, name in enumerate(kept if len(kept) > 1 else names)}
    return tuple(entry.replace(id=ids.get(entry.name, IGNORE_ID)) for entry in classes)


# --- what all masks contain together ---------------------------------------------------------------------------------


class _Union:
    """All masks' codes, as colours if any mask needs colours."""

    def __init__(self, masks: Sequence[MaskFacts], is_voc: bool = False) -> None:
        self.masks = masks
        self.is_voc = is_voc
        self.lossy = [mask.name for mask in masks if mask.lossy]
        self.too_many = [mask.name for mask in masks if not len(mask.codes)]
        self.palettes = [mask for mask in masks if mask.kind == "palette"]
        self.palette = self._shared_palette()
        in_colour = [mask for mask in masks if mask.kind == "colour"]
        self.colours = bool(in_colour) or (bool(self.palettes) and self.palette is None)
        eight_bit = {code for mask in masks if mask.kind != "bit" for code in mask.codes.tolist()}
        # Programs store a black-and-white image with one bit a pixel even if the other masks have 0 and 255.
        others = eight_bit - {0}
        self.one_bit = max(others) if 1 not in others and (len(others) == 1 or 255 in others) else 1
        self.codes = [self._codes(mask) for mask in masks]
        self.pixels: Counter[int] = Counter()
        for mask, codes in zip(masks, self.codes):
            for code, count in zip(codes, mask.counts):
                self.pixels[code] += int(count)
        self.values = sorted(self.pixels)
        self.holders: Counter[int] = Counter(code for codes in self.codes for code in set(codes))
        self.solid = {code for mask in masks for code in self._codes_of(mask, sorted(mask.solid))}

    @property
    def ringed(self) -> bool:
        """Whether 3 separates 1 and 2 in all masks that have the three values."""
        return all(mask.ringed for mask in self.masks if _TRIMAP.issubset(mask.codes.tolist()))

    @property
    def two_tone(self) -> bool:
        """Whether the masks are black and white with soft edges, which have a threshold."""
        return not self.colours and not self.palettes and is_nearly_black_and_white(self.pixels)

    def drop(self, codes: set[int]) -> None:
        """Leave out codes that are no classes."""
        self.values = [value for value in self.values if value not in codes]
        self.codes = [[code for code in found if code not in codes] for found in self.codes]
        self.pixels = Counter({code: count for code, count in self.pixels.items() if code not in codes})
        self.holders = Counter({code: count for code, count in self.holders.items() if code not in codes})
        self.lossy = []

    def _shared_palette(self) -> dict[int, int] | None:
        """Return the colour of each index used, None if two masks give one index different colours."""
        shared: dict[int, int] = {}
        for mask in self.palettes:
            palette = full_palette(mask.palette).tolist()
            for index in mask.codes.tolist():
                if shared.setdefault(index, palette[index]) != palette[index]:
                    return None
        return shared

    def _codes(self, mask: MaskFacts) -> list[int]:
        return self._codes_of(mask, mask.codes.tolist())

    def _codes_of(self, mask: MaskFacts, stored: Sequence[int]) -> list[int]:
        found = np.array(stored, np.int64)
        if self.colours:
            values = found.astype(np.uint32).reshape(1, -1)
            if mask.kind == "grey":
                values = values.clip(max=255)
            return as_colours(MaskImage(values, mask.kind, mask.mode, mask.palette, mask.lossy))[0].tolist()
        factor = self.one_bit if mask.kind == "bit" else 1
        return (found * factor).tolist()

    def share_of(self, codes: set[int] | frozenset[int]) -> float:
        """Return the share of masks that contain only `codes`."""
        return sum(set(found) <= codes for found in self.codes) / max(1, len(self.codes))


def _inferred(
    union: _Union, class_names: ClassNames | None, categories: Sequence[str]
) -> tuple[MaskCoding | None, list[Finding]]:
    if categories:
        return _categories(union, categories)
    explicit = _explicit_codes(class_names)
    if union.colours:
        return _colours(union, explicit)
    coding, findings = _grey(union)
    if explicit is not None and (coding is None or {entry.code for entry in coding.classes} != explicit):
        return _values(union, sorted(explicit)), []
    return coding, findings


def _categories(union: _Union, categories: Sequence[str]) -> tuple[MaskCoding | None, list[Finding]]:
    used = [code for code in union.values if code]
    if len(used) >= MAX_CLASSES:
        return None, [_many_classes(len(used))]
    names = {0: "background", **{code: categories[code - 1] for code in used}}
    findings = []
    unused = [name for number, name in enumerate(categories, 1) if number not in used]
    if unused:
        findings.append(warning("category_unused", f"No shape has the category {named(unused)}: it is left out."))
    kind: CodingKind = "joined" if any(mask.mode == "joined" for mask in union.masks) else "coco"
    return _coding(kind, names, _cycled(names)), findings


def _colours(union: _Union, explicit: set[int] | None) -> tuple[MaskCoding | None, list[Finding]]:
    codes = sorted(explicit) if explicit is not None else union.values
    if union.lossy and explicit is None:
        return None, [_lossy(union)]
    if len(codes) > MAX_COLOURS:
        lossy = " JPEG and lossy WebP blend colours at edges." if union.lossy else ""
        return None, [
            error(
                "too_many_colours",
                f"The masks contain {len(codes)} colours; at most {MAX_COLOURS} can be classes.{lossy} "
                "Save the masks as PNG without anti-aliasing, with one colour per class.",
                union.lossy,
            )
        ]
    names = _colour_names(codes)
    findings = []
    if union.palettes and union.palette is None:
        text = "The palettes differ from mask to mask, so classes are read from the colours instead of the indices."
        findings.append(warning("palettes_differ", text, [mask.name for mask in union.palettes]))
    return _coding("colours", names, {code: code for code in codes}), findings


def _values(union: _Union, codes: Sequence[int]) -> MaskCoding:
    """Make each value a class: palette indices with their colours, or grey values."""
    names = {code: ("background" if code == 0 else f"class {code}") for code in codes}
    if len(codes) == 2 and codes[0] == 0:
        names[codes[1]] = "object"
    if union.palette:
        voc, names_by_index = _voc_palette(), VOC_NAMES
        shown = all(voc[index] == colour for index, colour in union.palette.items())
        if union.is_voc and shown and set(codes) <= {*range(21), _VOID}:
            names = {code: "void" if code == _VOID else names_by_index[code] for code in codes}
        return _coding("palette", names, {**_cycled(names), **union.palette})
    return _coding("values", names, _cycled(names))


def _grey(union: _Union) -> tuple[MaskCoding | None, list[Finding]]:
    """Read numbers: try the common codings, the simplest first."""
    values = set(union.values)
    if len(values) == 1:
        text = f"All pixels of all masks have the value {union.values[0]}: a dataset needs at least two classes."
        return None, [error("single_class", text)]
    smoothed = _smoothed(union)
    if smoothed is not None:
        return smoothed
    if union.lossy:
        return None, [_lossy(union)]
    if values == _TRIMAP and union.ringed:
        return _trimap(), []
    if values == {1, 2}:
        coding = _coding("values", {1: "background", 2: "object"})
        text = "The masks have the values 1 and 2: 1 is assumed to be the background. Exchange the names if it is not."
        return coding, [warning("assumed_background", text)]
    if _are_instances(union):
        names = {0: "background", 1: "object"}
        text = (
            "The values number the objects of each photo (1, 2, 3 …) instead of naming classes: all objects are read "
            "as one class. Save one value for each class if there are several."
        )
        return _coding("instances", names), [warning("instance_numbers", text)]
    if not union.palettes:
        mixed = _mixed(union)
        if mixed is not None:
            return mixed
    if len(values) == 2 and 0 in values and values != {0, 1} and not union.palettes:
        return _coding("binary", {0: "background", max(values): "object"}), []
    if len(values) > MAX_CLASSES:
        return None, [_too_many_values(union)]
    if _is_counted(values) or _is_counted(values - {_VOID}):
        return _ids(union), []
    agreed = None if union.palettes else _agreed(union)
    return (agreed or _values(union, union.values)), [] if agreed or union.palettes else _perhaps_smoothed(union)


def _are_instances(union: _Union) -> bool:
    """Return whether each mask's values count up from 1 without a gap, to a number that differs from mask to mask."""
    largest = {max(codes) for codes in union.codes}
    counted_up = all(set(codes) - {0} == set(range(1, max(codes) + 1)) for codes in union.codes)
    many = max(largest) >= _FEWEST_INSTANCES and len(largest) >= min(3, len(union.codes))
    return counted_up and many and not union.palettes and not _same_in_most(union)


def _same_in_most(union: _Union) -> bool:
    return 2 * sum(max(codes) == max(union.values) for codes in union.codes) > len(union.codes)


def _is_counted(values: set[int]) -> bool:
    return len(values) >= 2 and values == set(range(len(values)))


def _ids(union: _Union) -> MaskCoding:
    palette = union.palette or {}
    if any(palette.get(code, 0) for code in union.values):
        return _values(union, union.values)
    names = {code: "void" if code == _VOID else f"class {code}" for code in union.values}
    if set(union.values) - {_VOID} == {0, 1}:
        names |= {0: "background", 1: "object"}
    return _coding("values" if _VOID in names else "ids", names, _cycled(names))


def _trimap() -> MaskCoding:
    return MaskCoding(
        kind="trimap",
        classes=tuple(
            CodedClass(
                code=pixel_class.code,
                label=str(pixel_class.code),
                id=pixel_class.id,
                name=pixel_class.name,
                colour=pixel_class.colour,
            )
            for pixel_class in CLASSES
        ),
    )


def _smoothed(union: _Union) -> tuple[MaskCoding, list[Finding]] | None:
    """Recognize black-and-white masks whose edges were smoothed or compressed as JPEG."""
    if union.palettes or not is_nearly_black_and_white(union.pixels):
        return None
    few = len(union.values) <= 8 or 2 * len(soft_levels(union.values)) < len(union.values) - 2
    if few and not union.lossy:
        return None
    names = {0: "background", 255: "object"}
    coding = _coding("binary", names, _cycled(names)).replace(threshold=SPLIT_LEVEL)
    if union.lossy:
        text = (
            "The masks were saved with lossy compression (JPEG or WebP), which changes values at edges: they are "
            f"thresholded at {SPLIT_LEVEL}. Save masks as PNG."
        )
        return coding, [warning("lossy_masks", text, union.lossy)]
    soft = [mask.name for mask, codes in zip(union.masks, union.codes) if soft_levels(codes)]
    text = (
        f"{counted(len(soft), 'mask has', 'masks have')} soft edges, as after smooth resizing: thresholded at "
        f"{SPLIT_LEVEL}. Resize masks with nearest neighbour."
    )
    return coding, [warning("soft_edges", text, soft)]


def _perhaps_smoothed(union: _Union) -> list[Finding]:
    """Report a few levels between black and white: small classes, or the edges of smoothed masks."""
    between = soft_levels(union.values)
    if not between or not {0, 255} <= set(union.values) or not is_nearly_black_and_white(union.pixels):
        return []
    share = sum(union.pixels[value] for value in between) / sum(union.pixels.values())
    levels = ", ".join(map(str, between[:8]))
    text = (
        f"The values {levels} between black and white make up only {share:.1%} of the pixels. If they are edges "
        "smoothed by resizing, give them the name of a neighbouring class, or resize the masks with nearest neighbour."
    )
    return [warning("levels_between", text)]


def _mixed(union: _Union) -> tuple[MaskCoding, list[Finding]] | None:
    """Recognize that some masks have the values 0 and 1 and others 0 and 255."""
    if set(union.values) != {0, 1, _VOID}:
        return None
    ones = [mask.name for mask, codes in zip(union.masks, union.codes) if 1 in codes]
    whites = [mask.name for mask, codes in zip(union.masks, union.codes) if _VOID in codes]
    if set(ones) & set(whites):
        return None
    names = {0: "background", (1 if len(ones) > len(whites) else 255): "object"}
    fewer = min(ones, whites, key=len)
    text = f"{named(fewer)}: masks with values 0 and 1 are mixed with masks of 0 and 255; save all of them alike."
    return _coding("binary", names, _cycled(names)), [error("mixed_codings", text, fewer)]


def _agreed(union: _Union) -> MaskCoding | None:
    """Return the coding that most masks agree on, if only a few others have values outside it."""
    first = 0 if 0 in union.pixels else 1
    run = first
    while run in union.pixels:
        run += 1
    for codes, coding in (
        *([(_TRIMAP, _trimap())] if union.ringed else []),
        (frozenset({0, 255}), _coding("binary", {0: "background", 255: "object"})),
        (frozenset(range(first, run)), None),
    ):
        if len(codes) >= 2 and set(codes) <= set(union.values) and union.share_of(codes) >= _MAJORITY:
            if coding is not None:
                return coding
            names = {code: f"class {code}" for code in sorted(codes)}
            if len(codes) == 2:
                names = {first: "background", first + 1: "object"}
            return _coding("values" if first else "ids", names)
    return None


# --- findings -----------------------------------------------------------------------------------------------------


def _with_counts(coding: MaskCoding, union: _Union) -> tuple[MaskCoding, list[tuple[str, list[int]]]]:
    """Fill in shares and counts; also return the masks that have codes without a class, with those codes."""
    total = max(1, sum(union.pixels.values()))
    if coding.kind == "instances":
        inside = sum(count for code, count in union.pixels.items() if code)
        sums = {0: union.pixels[0], 1: inside}
        holders = {0: union.holders[0], 1: sum(any(codes) for codes in union.codes)}
        outside: list[tuple[str, list[int]]] = []
    elif coding.threshold is not None:
        limit = coding.threshold
        sums = {entry.code: 0 for entry in coding.classes}
        holders = dict.fromkeys(sums, 0)
        low, high = coding.classes[0].code, coding.classes[-1].code
        for value, count in union.pixels.items():
            sums[high if value >= limit else low] += count
        for codes in union.codes:
            for code in {high if value >= limit else low for value in codes}:
                holders[code] += 1
        outside = []
    else:
        sums, holders = dict(union.pixels), dict(union.holders)
        known = {entry.code for entry in coding.classes}
        outside = [
            (mask.name, wrong)
            for mask, codes in zip(union.masks, union.codes)
            if (wrong := [code for code in codes if code not in known])
        ]
    classes = tuple(
        entry.replace(share=sums.get(entry.code, 0) / total, masks=holders.get(entry.code, 0))
        for entry in coding.classes
    )
    return coding.replace(classes=classes), outside


def _out_of_range(
    coding: MaskCoding, outside: list[tuple[str, list[int]]], read: Callable[[str], MaskImage]
) -> Finding:
    files, positions = [name for name, _ in outside], []
    for name in files[:20]:
        y, x = (int(place[0]) for place in np.nonzero(coding.wrong(read(name))))
        positions.append((x, y))
    labels = sorted({coding.label(code) for _, codes in outside for code in codes})
    shown = ", ".join(labels[:8]) + (" …" if len(labels) > 8 else "")
    x, y = positions[0]
    verb = "contains" if len(files) == 1 else "contain"
    return error(
        "values_out_of_range",
        f"{named(files)} {verb} {shown} (first at x {x}, y {y}), which is not a class; {coding.sentence}. "
        "Correct the masks, or name these values as classes too.",
        files,
        positions,
    )


def class_findings(coding: MaskCoding, masks: int) -> list[Finding]:
    """Return the findings about the classes of a dataset with `masks` masks; they depend on the class names."""
    findings = []
    used = {entry.id for entry in coding.classes if entry.masks and not entry.ignored}
    if len(used) < 2:
        findings.append(error("single_class", "All pixels of all masks are one class: a dataset needs at least two."))
    missing = [name for number, name in enumerate(coding.names) if number not in used]
    if missing and len(used) >= 2:
        findings.append(warning("class_unused", f"No mask contains the class {named(missing)}: no model can learn it."))
    ignored = [entry for entry in coding.classes if entry.ignored]
    if ignored:
        listed = named([f"{entry.label} ({entry.name})" for entry in ignored])
        text = (
            f"{listed} means “not labelled”: {sum(entry.share for entry in ignored):.1%} of the pixels are left out of "
            "training and scores. Give it another name to make it a class."
        )
        findings.append(warning("ignored_class", text))
    rare = [entry.name for entry in coding.by_id if 0 < entry.masks < _RARE_SHARE * masks]
    if rare:
        text = f"Fewer than {_RARE_SHARE:.0%} of the masks contain the class {named(rare)}: it is hard to learn."
        findings.append(warning("rare_class", text))
    return findings


CLASS_FINDINGS = frozenset({"single_class", "class_unused", "ignored_class", "rare_class"})


def _mixed_modes(union: _Union) -> list[Finding]:
    grey = [mask.name for mask in union.masks if mask.kind == "grey" and not set(mask.codes.tolist()) <= {0, 255}]
    if not grey or all(mask.kind != "colour" for mask in union.masks):
        return []
    return [warning("modes_differ", "These greyscale masks are mixed with colour masks: save all masks alike.", grey)]


def _lossy(union: _Union) -> Finding:
    return error(
        "lossy_masks",
        f"{named(union.lossy)}: JPEG and lossy WebP change the values of a mask, so its classes cannot be recovered; "
        "save masks as PNG.",
        union.lossy,
    )


def _too_many_values(union: _Union) -> Finding:
    files = union.too_many or sorted(
        mask.name for mask, codes in zip(union.masks, union.codes) if len(codes) > MAX_CLASSES
    )
    where = f" (see {named(files)})" if files else ""
    if not union.too_many and set(union.values) <= union.solid:
        return _many_classes(len(union.values))
    return error(
        "too_many_values",
        f"The masks contain more than {MAX_CLASSES} different values{where}, as photos, smoothly resized masks or "
        "instance numbers do. Save one value per class.",
        files,
    )


def _many_classes(count: int) -> Finding:
    text = f"The dataset has {count} classes; at most {MAX_CLASSES} are supported: merge some, or save fewer values."
    return error("too_many_values", text)


# --- classes and names --------------------------------------------------------------------------------------------


def _coding(kind: CodingKind, names: Mapping[int, str], colours: Mapping[int, int] | None = None) -> MaskCoding:
    colours = colours or _cycled(names)
    classes = [
        CodedClass(
            code=code,
            label=hexadecimal(code) if kind == "colours" else str(code),
            id=0,
            name=name,
            colour=unpacked(colours[code]),
        )
        for code, name in names.items()
    ]
    return MaskCoding(kind=kind, classes=numbered(classes))


def _cycled(names: Mapping[int, str]) -> dict[int, int]:
    return {code: _COLOURS[index % len(_COLOURS)] for index, code in enumerate(names)}


def has_voc_palette(mask: MaskImage) -> bool:
    """Return whether a mask has Pascal VOC's palette, which many programs use, and one of its later classes."""
    own = (mask.palette or ())[: len(VOC_NAMES)]
    return (
        len(own) == len(VOC_NAMES) and own == _voc_palette()[: len(own)] and bool(np.isin(mask.values, _VOC_PETS).any())
    )


def _voc_palette() -> tuple[int, ...]:
    """Return Pascal VOC's colours: the bits of an index, three at a time, from the top of red, green and blue."""
    colours = []
    for index in range(256):
        red = green = blue = 0
        for place in range(8):
            bits = index >> (3 * place)
            red |= (bits & 1) << (7 - place)
            green |= (bits >> 1 & 1) << (7 - place)
            blue |= (bits >> 2 & 1) << (7 - place)
        colours.append(packed((red, green, blue)))
    return tuple(colours)


def _colour_names(codes: Sequence[int]) -> dict[int, str]:
    """Name colours by the nearest common one, each name once; black is background."""
    names: dict[int, str] = {}
    for code in codes:
        rgb = np.array(unpacked(code))
        distance = {name: np.square(rgb - unpacked(known)).sum() for name, known in _COLOUR_NAMES.items()}
        name = min(distance, key=lambda name: distance[name])
        exact = name != "background" or code == 0
        names[code] = name if exact and name not in names.values() else hexadecimal(code)
    return names


def _explicit_codes(class_names: ClassNames | None) -> set[int] | None:
    if not isinstance(class_names, Mapping):
        return None
    return {_parsed_code(key) for key in class_names}


def _parsed_code(key: int | str) -> int:
    text = str(key).strip()
    if re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
        return int(text[1:], 16)
    if re.fullmatch(r"\d{1,8}", text):
        return int(text)
    raise DataError(f"class names: {key!r} is neither a value such as 7 nor a colour such as #ff0000.")


def _names_by_code(names: ClassNames, coding: MaskCoding) -> dict[int, str]:
    if isinstance(names, Mapping):
        given = {_parsed_code(key): str(name).strip() for key, name in names.items()}
        given = {entry.code: given.get(entry.code, entry.name) for entry in coding.classes}
    else:
        if isinstance(names, str) or len(names) != len(coding.classes):
            labels = ", ".join(entry.label for entry in coding.classes)
            raise DataError(f"class names: needs {len(coding.classes)}, one for each of {labels}. Received: {names!r}")
        given = {entry.code: str(name).strip() for entry, name in zip(coding.classes, names)}
    for name in given.values():
        if not name or len(name) > 60 or not name.isprintable():
            raise DataError(f"class names: a name must have 1 to 60 printable characters. Received: {name!r}")
    if len(set(given.values())) < 2:
        raise DataError("class names: at least two must differ.")
    return given
