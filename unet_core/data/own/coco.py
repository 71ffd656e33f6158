"""COCO annotations: polygons and run-length encodings in JSON, drawn as masks. NumPy only; the JSON is untrusted."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unet_core.data.own.archive import MAX_JSON_MB
from unet_core.data.sources import DataError
from unet_core.images.decode import MaskImage
from unet_core.images.polygons import filled_polygon

MAX_POLYGONS = 2_000  # of one photo
MAX_POINTS = 50_000  # of one photo
_MAX_DRAWN_PIXELS = 5e9  # polygons times pixels of one photo; no real annotation has more
_MAX_SIDE = 16_384


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
        values = np.zeros((self.height, self.width), np.uint16)
        for category, segmentation in self.shapes:
            try:
                values[_shape(segmentation, self.height, self.width)] = category
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
        DataError: it is a COCO file that cannot be used.
    """
    content = _json_object(path)
    if content is None or not all(isinstance(content.get(key), list) for key in ("images", "annotations")):
        return None
    try:
        return _parsed(path, content, max_pixels)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(
            f"{path.name} is a COCO file with missing or invalid fields ({type(problem).__name__}: {problem}): "
            "export it again."
        ) from None


def _json_object(path: Path) -> dict[str, Any] | None:
    if path.stat().st_size > MAX_JSON_MB * 1e6:
        raise DataError(f"{path.name} has more than the {MAX_JSON_MB:g} MB allowed for annotations: split the dataset.")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _parsed(path: Path, content: dict[str, Any], max_pixels: float) -> CocoFile:
    categories = sorted(content.get("categories", []), key=lambda category: int(category["id"]))
    numbers = {int(category["id"]): number for number, category in enumerate(categories, start=1)}
    shapes: dict[int, list[tuple[float, int, Any]]] = {}
    for annotation in content["annotations"]:
        segmentation = annotation.get("segmentation")
        if not segmentation:
            raise DataError(
                f"{path.name}: annotation {annotation.get('id')} has no polygon or mask: export it with segmentation."
            )
        category = numbers.get(int(annotation["category_id"]))
        if category is None:
            raise DataError(
                f"{path.name}: category {annotation['category_id']} is used but not listed in the file's categories: "
                "add it there."
            )
        area = float(annotation.get("area") or _area(annotation.get("bbox")))
        shapes.setdefault(int(annotation["image_id"]), []).append((area, category, segmentation))
    masks = {}
    for image in content["images"]:
        name, width, height = _printable(image["file_name"]), int(image["width"]), int(image["height"])
        if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE and width * height <= max_pixels):
            raise DataError(
                f"{path.name}: the size given for {name}, {width}×{height}, is not a valid photo size: correct it."
            )
        own = shapes.get(int(image["id"]), [])
        _check_amount([segmentation for _, _, segmentation in own], width * height, f"{path.name}: {name}")
        ordered = sorted(own, key=lambda shape: -shape[0])
        drawn = tuple((category, segmentation) for _, category, segmentation in ordered)
        masks[name] = CocoMask(width, height, drawn, f"{path.name}, {name}")
    names = tuple(
        _printable(category.get("name") or f"class {number}")[:60] for number, category in enumerate(categories, 1)
    )
    return CocoFile(path, names, masks)


def _printable(text: Any) -> str:
    return "".join(character if character.isprintable() else "?" for character in str(text)[:500])


def _check_amount(segmentations: list[Any], pixels: int, name: str) -> None:
    polygons = [polygon for one in segmentations if isinstance(one, list) for polygon in one]
    count = len(polygons) + sum(not isinstance(one, list) for one in segmentations)
    points = sum(len(polygon) // 2 for polygon in polygons if isinstance(polygon, list))
    if count > MAX_POLYGONS or count * pixels > _MAX_DRAWN_PIXELS:
        raise DataError(f"{name} has {count} polygons, more than can be drawn on one photo: simplify them.")
    if points > MAX_POINTS:
        raise DataError(f"{name} has polygons of {points} points, more than {MAX_POINTS}: simplify them.")


def _area(box: Any) -> float:
    return float(box[2]) * float(box[3]) if box else math.inf


def _shape(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Draw one shape: (H, W) bool."""
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation, height, width)
    filled = np.zeros((height, width), bool)
    for polygon in segmentation:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
        if len(points) < 3 or not np.isfinite(points).all():
            raise DataError("a polygon has fewer than three points or a coordinate that is not a number")
        filled |= filled_polygon(points, height, width)
    return filled


def _run_lengths(code: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Decode a run-length encoding, which goes down the columns and starts with background: (H, W) bool."""
    if [int(side) for side in code["size"]] != [height, width]:
        raise DataError("a run-length encoding and its photo differ in size")
    counts = code["counts"]
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
