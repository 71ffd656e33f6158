"""COCO annotations: polygons and run-length encodings in JSON, drawn as masks. NumPy only; the JSON is untrusted."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unet_core.data.own.archive import MAX_JSON_MB
from unet_core.data.sources import DataError
from unet_core.images.decode import MaskImage
from unet_core.images.polygons import filled_window

MAX_POLYGONS = 2_000  # of one photo
MAX_POINTS = 50_000  # of one photo
MAX_JSON_VALUES, MAX_JSON_CONTAINERS = 5_000_000, 1_000_000  # a list takes 56 bytes of memory for two in the file
_MAX_SIDE = 16_384
_MOST_CHARACTERS = 7  # of a packed length

# Drawing must not take much longer than reading the photos and the file does, by these measured nanoseconds:
_PER_PIXEL, _PER_CROSSING, _PER_VALUE, _PER_SHAPE = 4, 60, 100, 40_000
_ALLOWED_PER_PHOTO_PIXEL = 20  # of its own photo; what is above that is added up over the dataset …
_ALLOWED_PER_BYTE, _ALLOWED = 500, 1e9  # … and compared with this, by the file's size


@dataclass(frozen=True)
class CocoMask:
    """The shapes of one photo, drawn on demand: 0 where there is none, else the category's number counted from 1."""

    width: int
    height: int
    shapes: tuple[tuple[int, Any], ...]  # category number, COCO segmentation; large shapes first
    source: str  # its name in messages

    def draw(self) -> MaskImage:
        """Draw the shapes, small ones over large ones.

        Raises:
            DataError: a shape is not a valid polygon or run-length encoding for a photo of this size.
        """
        numbers = np.uint8 if all(category < 256 for category, _ in self.shapes) else np.uint16
        values = np.zeros((self.height, self.width), numbers)
        for category, segmentation in self.shapes:
            try:
                _draw(values, segmentation, category)
            except (ValueError, TypeError, KeyError, OverflowError, IndexError) as problem:
                detail = str(problem) if isinstance(problem, DataError) else "a shape cannot be read"
                raise DataError(f"{self.source}: {detail}; export the annotations again.") from None
        return MaskImage(values, "grey", "COCO", None, lossy=False)


@dataclass(frozen=True)
class CocoFile:
    """An annotation file: category names by number (from 1), and masks by the photo's file name."""

    path: Path
    categories: tuple[str, ...]
    masks: dict[str, CocoMask]


def read_coco(path: Path, max_pixels: float) -> CocoFile | None:
    """Read a COCO annotation file; None if the JSON is something else.

    Raises:
        DataError: it is a COCO file that cannot be used; the text names the image, annotation or category, and the
            field.
    """
    content = _json_object(path)
    if content is None or not all(isinstance(content.get(key), list) for key in ("images", "annotations")):
        return None
    names, numbers = _categories(path.name, content.get("categories", []))
    shapes = _shapes_by_image(path.name, content["annotations"], numbers)
    masks: dict[str, CocoMask] = {}
    work = 0.0
    for entry in _entries(path.name, "image", content["images"]):
        mask = _mask(entry, path.name, shapes, max_pixels)
        masks[_printable(entry.values["file_name"])] = mask
        work += max(0.0, _work(mask) - _ALLOWED_PER_PHOTO_PIXEL * mask.width * mask.height)
    if work > _ALLOWED + _ALLOWED_PER_BYTE * path.stat().st_size:
        raise DataError(f"{path.name} has shapes that would take too long to draw: simplify their outlines.")
    return CocoFile(path, names, masks)


def _json_object(path: Path) -> dict[str, Any] | None:
    if path.stat().st_size > MAX_JSON_MB * 1e6:
        raise DataError(f"{path.name} has more than the {MAX_JSON_MB:g} MB allowed for annotations: split the dataset.")
    text = path.read_bytes()
    if text.count(b",") > MAX_JSON_VALUES or text.count(b"[") + text.count(b"{") > MAX_JSON_CONTAINERS:
        raise DataError(f"{path.name} has too many values to be read: split the dataset.")
    try:
        content = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


# --- entries ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """An image, annotation or category of the file, and its name in messages."""

    file: str
    name: str
    values: dict[str, Any]

    def whole(self, field: str) -> int:
        """Return a field that must be a whole number.

        Raises:
            DataError: it is missing or something else.
        """
        value = self.values.get(field)
        try:
            return int(value)  # pyright: ignore[reportArgumentType] - what it cannot take is reported
        except (TypeError, ValueError, OverflowError):
            raise self.problem(field) from None

    def problem(self, field: str) -> DataError:
        what = "is missing" if field not in self.values else "has a value that cannot be used"
        return _invalid(self.file, f"the field {field} of {self.name} {what}")


def _invalid(file: str, problem: str) -> DataError:
    return DataError(f"{file} is a COCO file with missing or invalid fields: {problem}. Export it again.")


def _entries(file: str, kind: str, listed: Any) -> Iterator[_Entry]:
    """Yield the entries of one of the file's lists.

    Raises:
        DataError: it is not a list of objects.
    """
    if not isinstance(listed, list):
        raise _invalid(file, f"the field for every {kind} is not a list")
    for number, values in enumerate(listed, start=1):
        name = f"{kind} number {number}"
        if not isinstance(values, dict):
            raise _invalid(file, f"{name} is not an object with named fields")
        label = values.get("file_name") or values.get("name") or ""
        yield _Entry(file, f"{name} ({_printable(label)[:60]})" if isinstance(label, str) and label else name, values)


def _categories(file: str, listed: Any) -> tuple[tuple[str, ...], dict[int, int]]:
    """Return the categories' names in the order of their ids, and their numbers from 1 by id."""
    entries = sorted(_entries(file, "category", listed), key=lambda entry: entry.whole("id"))
    numbers = {entry.whole("id"): number for number, entry in enumerate(entries, start=1)}
    return tuple(
        _printable(entry.values.get("name") or f"class {number}")[:60] for number, entry in enumerate(entries, 1)
    ), numbers


def _shapes_by_image(file: str, listed: Any, numbers: Mapping[int, int]) -> dict[int, list[tuple[float, int, Any]]]:
    """Return each image's shapes: area, category number, segmentation."""
    shapes: dict[int, list[tuple[float, int, Any]]] = {}
    for entry in _entries(file, "annotation", listed):
        segmentation = entry.values.get("segmentation")
        if not segmentation:
            shown = _printable(entry.values.get("id"))[:40]
            raise DataError(f"{file}: annotation {shown} has no polygon or mask: export it with segmentation.")
        category = entry.whole("category_id")
        if category not in numbers:
            raise DataError(
                f"{file}: category {category} is used but not listed in the file's categories: add it there."
            )
        shapes.setdefault(entry.whole("image_id"), []).append((_area(entry), numbers[category], segmentation))
    return shapes


def _area(entry: _Entry) -> float:
    """Return what orders overlapping shapes: the field area, else the area of the box, else infinity."""
    box = entry.values.get("bbox")
    sides = box[2:4] if isinstance(box, list) and len(box) == 4 else []
    for factors in ([entry.values.get("area")], sides):
        numbers = [float(value) for value in factors if isinstance(value, (int, float)) and abs(value) < 1e12]
        if len(numbers) == len(factors) > 0 and math.prod(numbers):
            return math.prod(numbers)
    return math.inf


def _mask(
    entry: _Entry, file: str, shapes: Mapping[int, Sequence[tuple[float, int, Any]]], max_pixels: float
) -> CocoMask:
    """Return an image's mask.

    Raises:
        DataError: a field is missing, the size is not that of a photo, or there are too many shapes.
    """
    if not isinstance(entry.values.get("file_name"), str):
        raise entry.problem("file_name")
    name = _printable(entry.values["file_name"])
    width, height = entry.whole("width"), entry.whole("height")
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE and width * height <= max_pixels):
        size = f"{width}×{height}" if max(abs(width), abs(height)) < 10**12 else "a very large number"
        raise DataError(f"{file}: the size given for {name}, {size}, is not a valid photo size: correct it.")
    own = shapes.get(entry.whole("id"), ())
    _check_amount([segmentation for _, _, segmentation in own], f"{file}: {name}")
    ordered = sorted(own, key=lambda shape: -shape[0])
    drawn = tuple((category, segmentation) for _, category, segmentation in ordered)
    return CocoMask(width, height, drawn, f"{file}, {name}")


def _printable(text: Any) -> str:
    return "".join(character if character.isprintable() else "?" for character in str(text)[:500])


def _check_amount(segmentations: list[Any], name: str) -> None:
    polygons = [polygon for one in segmentations if isinstance(one, list) for polygon in one]
    count = len(polygons) + sum(not isinstance(one, list) for one in segmentations)
    points = sum(len(polygon) // 2 for polygon in polygons if isinstance(polygon, list))
    if count > MAX_POLYGONS:
        raise DataError(f"{name} has {count} polygons, more than can be drawn on one photo: simplify them.")
    if points > MAX_POINTS:
        raise DataError(f"{name} has polygons of {points} points, more than {MAX_POINTS}: simplify them.")


# --- drawing ----------------------------------------------------------------------------------------------------------


def _work(mask: CocoMask) -> float:
    """Estimate from its numbers alone how many nanoseconds a mask takes to draw; invalid shapes count as nothing."""
    return sum(_shape_work(segmentation, mask.height, mask.width) for _, segmentation in mask.shapes)


def _shape_work(segmentation: Any, height: int, width: int) -> float:
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        length = len(counts) if isinstance(counts, (str, list)) else 0
        return _PER_SHAPE + _PER_PIXEL * height * width + _PER_VALUE * length
    total = 0.0
    for polygon in segmentation if isinstance(segmentation, list) else ():
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            points = _points(polygon).clip(0, [width, height])
            box = math.prod(np.ptp(points, axis=0).tolist())
            crossings = np.abs(np.diff(points[:, 1], append=points[0, 1])).sum()
            total += _PER_SHAPE + _PER_PIXEL * box + _PER_CROSSING * float(crossings) + _PER_VALUE * len(points)
    return total


def _draw(values: np.ndarray, segmentation: Any, category: int) -> None:
    """Draw one shape into a mask, (H, W)."""
    height, width = values.shape
    if isinstance(segmentation, dict):
        values[_run_lengths(segmentation, height, width)] = category
        return
    for polygon in segmentation:
        window, inside = filled_window(_points(polygon), height, width)
        values[window][inside] = category


def _points(polygon: Any) -> np.ndarray:
    """Return a polygon's corners, (N, 2) x and y.

    Raises:
        DataError: there are fewer than three, or a coordinate is not a finite number.
        ValueError, TypeError, OverflowError: it is not a list of numbers.
    """
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    if len(points) < 3 or not np.isfinite(points).all():
        raise DataError("a polygon has fewer than three points or a coordinate that is not a number")
    return points


def _run_lengths(code: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Decode a run-length encoding, which goes down the columns and starts with background: (H, W) bool."""
    if [int(side) for side in code["size"]] != [height, width]:
        raise DataError("a run-length encoding and its photo differ in size")
    counts = code["counts"]
    if len(counts) > (_MOST_CHARACTERS if isinstance(counts, str) else 1) * (height * width + 1):
        raise DataError("a run-length encoding has more lengths than its photo has pixels")
    lengths = np.asarray(_unpacked(counts) if isinstance(counts, str) else counts)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        raise DataError("a run-length encoding contains something other than lengths")
    if (lengths > height * width).any() or int(lengths.sum()) != height * width:
        raise DataError("a run-length encoding does not cover its photo exactly")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(width, height).T


def _unpacked(text: str) -> Sequence[int]:
    """Decode the COCO tools' compressed counts: six bits a character, five of them data; later ones are differences."""
    counts: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 35:
            raise DataError("a run-length encoding contains something other than lengths")
        number |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                number -= 1 << shift
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number = shift = 0
    return counts
