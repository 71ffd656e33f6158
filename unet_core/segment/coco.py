"""Masks as COCO annotations: run-length encodings and polygons (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from unet_core.classes import PET
from unet_core.images.polygons import polygons
from unet_core.segment.outline import is_pets
from unet_core.segment.segmentation import Segmentation

CocoForm = Literal["rle", "polygons"]


def run_lengths(mask: np.ndarray) -> list[int]:
    """Return the run lengths of a mask (H, W) bool in column order, starting with background: COCO's "counts"."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *lengths] if flat.size and flat[0] else lengths


@dataclass
class CocoWriter:
    """Collects the annotations of photos: one per animal, or per class except the background for other models."""

    form: CocoForm
    tolerance: float = 0.75
    categories: dict[str, int] = field(default_factory=dict)
    supercategory: str = "object"
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def add(self, file_name: str, segmentation: Segmentation) -> None:
        """Add a photo's annotations."""
        height, width = segmentation.size
        image_id = len(self.images) + 1
        self.images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        self.supercategory = "pet" if PET.name in segmentation.classes else "object"
        for name, mask, single in _areas(segmentation):
            category = self.categories.setdefault(name, len(self.categories) + 1)
            if mask.any():
                self.annotations.append(self._annotation(mask, image_id, category, single))

    def document(self) -> dict[str, Any]:
        """Return the annotation file's content, ready for JSON."""
        return {
            "info": {"description": "Segmented with U-Net Studio"},
            "licenses": [],
            "images": self.images,
            "annotations": self.annotations,
            "categories": [
                {"id": number, "name": name, "supercategory": self.supercategory}
                for name, number in self.categories.items()
            ],
        }

    def _annotation(self, mask: np.ndarray, image_id: int, category: int, single: bool) -> dict[str, Any]:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        top, left = int(rows[0]), int(columns[0])
        # A "crowd" is any area of a class, for which COCO has run lengths only; a single object may have either form.
        is_rle = self.form == "rle"
        code = {"size": list(mask.shape), "counts": run_lengths(mask)} if is_rle else None
        return {
            "id": len(self.annotations) + 1,
            "image_id": image_id,
            "category_id": category,
            "segmentation": code or polygons(mask, tolerance=self.tolerance),
            "area": int(np.count_nonzero(mask)),
            "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
            "iscrowd": int(is_rle and not single),
        }


def _areas(segmentation: Segmentation) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Yield the areas to annotate: the name of their class, their pixels, and whether they are a single object."""
    if is_pets(segmentation.pixel_classes):
        animals = segmentation.animals
        for number in range(1, animals.count + 1):
            yield PET.name, animals.labels == number, True
        return
    for class_id in segmentation.pixel_classes.subject:
        yield segmentation.classes[class_id], segmentation.mask == class_id, False


def coco_document(
    photos: Sequence[tuple[str, Segmentation]], form: CocoForm = "rle", *, tolerance: float = 0.75
) -> dict[str, Any]:
    """Return the COCO annotations of photos (file name, segmentation), ready for JSON."""
    writer = CocoWriter(form, tolerance)
    for name, segmentation in photos:
        writer.add(name, segmentation)
    return writer.document()
