"""COCO annotations: polygons and run-length encodings in JSON, drawn as masks. NumPy only; the JSON is untrusted."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unet_core.data.own.archive import MAX_JSON_MB
from unet_core.data.sources import DataError
from unet_core.images.decode import MaskImage
from unet_core.images.polygons import filled_window

SizeOf = Callable[[str], "tuple[int, int] | None"]  # width and height of the photo of this name, None without one

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
                detail = str(problem) if isinstance(problem, DataError) else "a shape that cannot be read"
                raise DataError(f"{self.source} has {detail}: export the annotations again.") from None
        return MaskImage(values, "grey", "COCO", None, lossy=False)


@dataclass(frozen=True)
class CocoFile:
    """An annotation file: category names by number (from 1), and masks by the photo's file name.

    `left_out` counts the shapes that cannot be drawn, by the reason, with the name of the first.
    """

    path: Path
    categories: tuple[str, ...]
    masks: dict[str, CocoMask]
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)


def parsed_json(path: Path) -> Any:
    """Return the content of a JSON file, None if it is not JSON.

    Raises:
        DataError: it is too large.
    """
    if path.stat().st_size > MAX_JSON_MB * 1e6:
        raise DataError(f"{path.name} has more than the {MAX_JSON_MB:g} MB allowed for annotations: split the dataset.")
    text = path.read_bytes()
    if text.count(b",") > MAX_JSON_VALUES or text.count(b"[") + text.count(b"{") > MAX_JSON_CONTAINERS:
        raise DataError(f"{path.name} has too many values to be read: split the dataset.")
    try:
        return json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def is_coco(content: Any) -> bool:
    """Return whether the content of a JSON file has COCO's form and shapes; captions have only its form."""
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    ):
        return False
    annotations = [one for one in content["annotations"] if isinstance(one, dict)]
    return not annotations or not all("caption" in one and "segmentation" not in one for one in annotations)


def has_keypoints(content: dict[str, Any]) -> bool:
    """Return whether annotations in COCO's form are those of body joints."""
    return any(isinstance(one, dict) and "keypoints" in one for one in content["annotations"][:100])


def coco_of(content: dict[str, Any], path: Path, max_pixels: float, size_of: SizeOf | None = None) -> CocoFile:
    """Read annotations in COCO's form. Shapes that enclose no area or cannot be read are left out and counted.

    Args:
        content: of the file `path`.
        path: names the file in messages; its size bounds the work of drawing.
        max_pixels: that a photo may have.
        size_of: gives the size of a photo where the annotations do not.

    Raises:
        DataError: the annotations cannot be used; the text names the image, annotation or category, and the field.
    """
    names, numbers = _categories(path.name, content.get("categories", []))
    shapes, left_out = _shapes_by_image(path.name, content["annotations"], numbers)
    masks: dict[str, CocoMask] = {}
    work = 0.0
    for entry in _entries(path.name, "image", content["images"]):
        mask = _mask(entry, path.name, shapes, max_pixels, size_of, left_out)
        masks[_printable(entry.values["file_name"])] = mask
        work += max(0.0, _work(mask) - _ALLOWED_PER_PHOTO_PIXEL * mask.width * mask.height)
    if left_out and not any(mask.shapes for mask in masks.values()):
        problem, (_, first) = next(iter(left_out.items()))
        raise DataError(f"{path.name}: {first} has {problem}, like all others: export the annotations again.")
    if work > _ALLOWED + _ALLOWED_PER_BYTE * path.stat().st_size:
        raise DataError(f"{path.name} has shapes that would take too long to draw: simplify their outlines.")
    return CocoFile(path, names, masks, left_out)


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

    def key(self, field: str) -> str:
        """Return an id, a whole number or a text, as text.

        Raises:
            DataError: it is missing or something else.
        """
        value = self.values.get(field)
        if isinstance(value, str) and value.strip() and len(value) <= 200:
            return value.strip()
        return str(self.whole(field))

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


def _categories(file: str, listed: Any) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the categories' names in the order of their ids, and their numbers from 1 by id."""
    entries = sorted(_entries(file, "category", listed), key=lambda entry: _natural(entry.key("id")))
    numbers = {entry.key("id"): number for number, entry in enumerate(entries, start=1)}
    return tuple(
        _printable(entry.values.get("name") or f"class {number}")[:60] for number, entry in enumerate(entries, 1)
    ), numbers


def _natural(key: str) -> tuple[int, str]:
    return (int(key) if key.lstrip("-").isdecimal() else 0, key)


Shapes = dict[str, list[tuple[float, int, Any]]]  # by image: area, category number, segmentation


LeftOut = dict[str, tuple[int, str]]  # by the reason: how many shapes, and the name of the first


def _count(left_out: LeftOut, problem: str, name: str) -> None:
    count, first = left_out.get(problem, (0, name))
    left_out[problem] = count + 1, first


def _shapes_by_image(file: str, listed: Any, numbers: Mapping[str, int]) -> tuple[Shapes, LeftOut]:
    """Return each image's shapes, and how many were left out for which reason.

    Raises:
        DataError: a field is missing or invalid.
    """
    shapes: Shapes = {}
    left_out: LeftOut = {}
    for entry in _entries(file, "annotation", listed):
        image, category = entry.key("image_id"), entry.key("category_id")
        if category not in numbers:
            raise DataError(
                f"{file}: category {_printable(category)[:40]} is used but not listed in the file's categories: "
                "add it there."
            )
        segmentation, problem = _usable(entry.values.get("segmentation"))
        if problem:
            _count(left_out, problem, entry.name)
        if segmentation:
            shapes.setdefault(image, []).append((_area(entry), numbers[category], segmentation))
    return shapes, left_out


def _usable(segmentation: Any) -> tuple[Any, str]:
    """Return what of a segmentation can be drawn, and what is wrong with the rest."""
    if not segmentation:
        return None, "no polygon or mask, only a box or a point"
    if isinstance(segmentation, dict):
        return segmentation, ""  # checked where it is drawn, which knows the photo's size
    if not isinstance(segmentation, list):
        return None, "a segmentation that cannot be read"
    polygons = [segmentation] if isinstance(segmentation[0], (int, float)) else segmentation
    usable = []
    problem = ""
    for polygon in polygons:
        try:
            _points(polygon)
            usable.append(polygon)
        except DataError as error:
            problem = str(error)
        except (ValueError, TypeError, OverflowError):
            problem = "a polygon that cannot be read"
    return usable, problem


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
    entry: _Entry, file: str, shapes: Shapes, max_pixels: float, size_of: SizeOf | None, left_out: LeftOut
) -> CocoMask:
    """Return an image's mask.

    Raises:
        DataError: a field is missing, the size is not that of a photo, or there are too many shapes.
    """
    if not isinstance(entry.values.get("file_name"), str):
        raise entry.problem("file_name")
    name = _printable(entry.values["file_name"])
    found = size_of(name) if size_of and not {"width", "height"} & entry.values.keys() else None
    width, height = found or (entry.whole("width"), entry.whole("height"))
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE and width * height <= max_pixels):
        size = f"{width}×{height}" if max(abs(width), abs(height)) < 10**12 else "a very large number"
        raise DataError(f"{file}: the size given for {name}, {size}, is not a valid photo size: correct it.")
    own = shapes.get(entry.key("id"), ())
    _check_amount([segmentation for _, _, segmentation in own], f"{file}: {name}")
    drawn = []
    for _, category, segmentation in sorted(own, key=lambda shape: -shape[0]):
        if problem := _run_length_problem(segmentation, height, width):
            _count(left_out, problem, f"a shape of {name}")
        else:
            drawn.append((category, segmentation))
    return CocoMask(width, height, tuple(drawn), f"{file}, {name}")


def _run_length_problem(segmentation: Any, height: int, width: int) -> str:
    try:
        if isinstance(segmentation, dict):
            _lengths(segmentation, height, width)
    except DataError as problem:
        return str(problem)
    except (ValueError, TypeError, KeyError, OverflowError, IndexError):
        return "a run-length encoding that cannot be read"
    return ""


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
        raise DataError("a polygon of fewer than three points, or with a coordinate that is not a number")
    return points


def _run_lengths(code: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Decode a run-length encoding, which goes down the columns and starts with background: (H, W) bool."""
    lengths = _lengths(code, height, width)
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(width, height).T


def _lengths(code: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Return the lengths of a run-length encoding, whose sum is the number of pixels.

    Raises:
        DataError: it does not fit a photo of this size.
    """
    if [int(side) for side in code["size"]] != [height, width]:
        raise DataError("a run-length encoding whose size is not its photo's")
    counts = code["counts"]
    if len(counts) > (_MOST_CHARACTERS if isinstance(counts, str) else 1) * (height * width + 1):
        raise DataError("a run-length encoding with more lengths than its photo has pixels")
    lengths = np.asarray(_unpacked(counts) if isinstance(counts, str) else counts)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
        raise DataError("a run-length encoding that contains something other than lengths")
    if (lengths > height * width).any() or int(lengths.sum()) != height * width:
        raise DataError("a run-length encoding that does not cover its photo exactly")
    return lengths


def _unpacked(text: str) -> Sequence[int]:
    """Decode the COCO tools' compressed counts: six bits a character, five of them data; later ones are differences."""
    counts: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 35:
            raise DataError("a run-length encoding that contains something other than lengths")
        number |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                number -= 1 << shift
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number = shift = 0
    return counts
