"""Masks as COCO annotations: run-length codes and polygons (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from unet_core.classes import BACKGROUND
from unet_core.segment.segmentation import Segmentation

CocoForm = Literal["rle", "polygons"]

_FAITHFUL = 0.99  # IoU that a simplified outline keeps with its region; otherwise it stays as it is
MAX_OUTLINES = 2_000  # of one class of one photo; of more, which are specks of noise, the largest are kept
_FEW_CORNERS = 12  # an outline of so few is not simplified


def run_lengths(mask: np.ndarray) -> list[int]:
    """Return the run lengths of a mask (H, W) bool down its columns, beginning with those outside: COCO's "counts"."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *lengths] if flat.size and flat[0] else lengths


def polygons(mask: np.ndarray, *, tolerance: float = 0.75) -> list[list[float]]:
    """Return the outlines of a mask's regions as COCO polygons [x1, y1, x2, y2, …]; pixel (0, 0) covers 0 to 1.

    A region with holes is one polygon that goes to each hole and back on the same line, which fills rightly by the
    even-odd rule. Outlines follow the pixels' edges; they are simplified where the region hardly changes. There are at
    most `MAX_OUTLINES`, those of the largest regions.

    Args:
        mask: (H, W) bool.
        tolerance: how many pixels a simplified outline may leave its place; 0 keeps every corner.
    """
    from skimage.measure import label, regionprops  # takes a while to import

    regions = label(np.pad(np.asarray(mask, bool), 1), connectivity=1)
    found = []
    facts = regionprops(regions)
    sizes = np.bincount(regions.reshape(-1))
    if len(facts) > MAX_OUTLINES:
        facts = sorted(facts, key=lambda region_facts: -sizes[region_facts.label])[:MAX_OUTLINES]
    for region_facts in facts:
        rows, columns = (slice(side.start - 1, side.stop + 1) for side in region_facts.slice)
        region = regions[rows, columns] == region_facts.label
        corner = np.array([columns.start - 1, rows.start - 1])
        points = corner + _outline(region, tolerance)
        found.append(points.reshape(-1).tolist())
    return found


@dataclass
class CocoWriter:
    """Collects the annotations of one photo after the other; every class but the background, one annotation each."""

    form: CocoForm
    tolerance: float = 0.75
    categories: dict[str, int] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def add(self, file_name: str, segmentation: Segmentation) -> None:
        """Add a photo's annotations."""
        height, width = segmentation.size
        image_id = len(self.images) + 1
        self.images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        for class_id, name in enumerate(segmentation.classes):
            if name == BACKGROUND.name:
                continue
            category = self.categories.setdefault(name, len(self.categories) + 1)
            mask = segmentation.mask == class_id
            if mask.any():
                self.annotations.append(self._annotation(mask, image_id, category))

    def document(self) -> dict[str, Any]:
        """Return the whole annotation file, ready for JSON."""
        return {
            "info": {"description": "Segmented with U-Net Studio"},
            "licenses": [],
            "images": self.images,
            "annotations": self.annotations,
            "categories": [
                {"id": number, "name": name, "supercategory": "pet"} for name, number in self.categories.items()
            ],
        }

    def _annotation(self, mask: np.ndarray, image_id: int, category: int) -> dict[str, Any]:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        top, left = int(rows[0]), int(columns[0])
        # COCO writes a run-length code for a "crowd", that is any area of a class, and polygons for one object.
        as_code = self.form == "rle"
        code = {"size": list(mask.shape), "counts": run_lengths(mask)} if as_code else None
        return {
            "id": len(self.annotations) + 1,
            "image_id": image_id,
            "category_id": category,
            "segmentation": code or polygons(mask, tolerance=self.tolerance),
            "area": int(np.count_nonzero(mask)),
            "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
            "iscrowd": int(as_code),
        }


def coco_document(
    photos: Sequence[tuple[str, Segmentation]], form: CocoForm = "rle", *, tolerance: float = 0.75
) -> dict[str, Any]:
    """Return the COCO annotations of photos (file name, segmentation), ready for JSON."""
    writer = CocoWriter(form, tolerance)
    for name, segmentation in photos:
        writer.add(name, segmentation)
    return writer.document()


def _outline(region: np.ndarray, tolerance: float) -> np.ndarray:
    """Return one region's outline with its holes as one polygon, (N, 2) x and y."""
    from skimage.measure import approximate_polygon

    rings = _rings(region)
    if tolerance > 0 and sum(map(len, rings)) > _FEW_CORNERS:
        smooth = [_without_steps(ring) for ring in rings]
        for allowed in (tolerance, tolerance / 2):
            simple = [approximate_polygon(np.vstack([ring, ring[:1]]), allowed)[:-1] for ring in smooth]
            simple = [ring for ring in simple if len(ring) >= 3]
            if simple and _same_region(_joined(simple), region):
                return _joined(simple)
    return _joined(rings)


def _without_steps(ring: np.ndarray) -> np.ndarray:
    """Cut every corner by half a pixel both ways, which turns staircases into the slanted lines that they stand for."""
    ends = np.roll(ring, -1, axis=0)
    half = np.sign(ends - ring) / 2
    points = np.stack([ring + half, ends - half], axis=1).reshape(-1, 2)
    return points[(points != np.roll(points, 1, axis=0)).any(axis=1)]


def _rings(region: np.ndarray) -> list[np.ndarray]:
    """Follow a region's borders along the pixels' edges: closed rings of corners (N, 2) x and y, the largest first.

    The region has a margin of one pixel outside it.
    """
    following = _edges(region)
    rings = []
    while following:
        start = next(iter(following))
        ring, step, place = [], (0, 0), start
        while True:
            turn = _take(following, place, step)
            if turn != step:
                ring.append(place)
            place, step = (place[0] + turn[0], place[1] + turn[1]), turn
            if place == start:
                break
        if len(ring) > 4 and _straight(ring[-1], ring[0], ring[1]):
            ring = ring[1:]
        rings.append(np.array(ring, np.float64))
    return sorted(rings, key=lambda ring: -np.ptp(ring, axis=0).prod())


def _edges(region: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return by corner (x, y) the steps that leave it, with the region at their right-hand side."""
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    inside = region.view(np.int8)
    across, along = np.diff(inside, axis=1), np.diff(inside, axis=0)
    for rows_columns, offset, step in (
        (np.nonzero(along == 1), (0, 1), (1, 0)),  # the upper side: to the right
        (np.nonzero(along == -1), (1, 1), (-1, 0)),  # the lower side: to the left
        (np.nonzero(across == 1), (1, 1), (0, -1)),  # the left side: up
        (np.nonzero(across == -1), (1, 0), (0, 1)),  # the right side: down
    ):
        rows, columns = rows_columns
        for y, x in zip((rows + offset[1]).tolist(), (columns + offset[0]).tolist()):
            following.setdefault((x, y), []).append(step)
    return following


def _take(
    following: dict[tuple[int, int], list[tuple[int, int]]], place: tuple[int, int], step: tuple[int, int]
) -> tuple[int, int]:
    """Take the next step from a corner off the list; where two leave it, the right turn, which stays at the pixel."""
    steps = following[place]
    right = (-step[1], step[0])
    turn = steps.pop(steps.index(right) if right in steps else 0)
    if not steps:
        del following[place]
    return turn


def _straight(before: np.ndarray, here: np.ndarray, after: np.ndarray) -> bool:
    return (here[0] - before[0]) * (after[1] - here[1]) == (here[1] - before[1]) * (after[0] - here[0])


def _joined(rings: list[np.ndarray]) -> np.ndarray:
    """Join holes to the outer ring by a line there and back, from each hole's first corner to the nearest one."""
    outer = rings[0]
    if len(rings) == 1:
        return outer
    detours: dict[int, list[np.ndarray]] = {}
    for hole in rings[1:]:
        nearest = int(np.square(outer - hole[0]).sum(axis=1).argmin())
        detours.setdefault(nearest, []).extend([hole, hole[:1], outer[nearest : nearest + 1]])
    parts = []
    for number, point in enumerate(outer):
        parts.extend([point[None], *detours.get(number, ())])
    return np.concatenate(parts)


def _same_region(points: np.ndarray, region: np.ndarray) -> bool:
    filled = filled_polygon(points, *region.shape)
    return np.count_nonzero(filled & region) >= _FAITHFUL * np.count_nonzero(filled | region)


def filled_polygon(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Fill a polygon (N, 2) of x and y inside the picture by the even-odd rule, at pixel centres: (H, W) bool."""
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    low, high = np.ceil(np.minimum(y0, y1) - 0.5).astype(int), np.ceil(np.maximum(y0, y1) - 0.5).astype(int)
    counts = high - low  # rows whose centre an edge crosses
    edge = np.repeat(np.arange(len(points)), counts)
    rows = np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts) + low[edge]
    slope = np.divide(x1 - x0, y1 - y0, out=np.zeros(len(points)), where=y1 != y0)
    columns = np.ceil(x0[edge] + (rows + 0.5 - y0[edge]) * slope[edge] - 0.5).astype(int)
    toggles = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1)).reshape(height, width + 1)
    return (toggles[:, :width].cumsum(axis=1) & 1).astype(bool)
