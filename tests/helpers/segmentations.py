"""Hand-made segmentations whose every pixel is known."""

from __future__ import annotations

import numpy as np

from unet_core.classes import CLASS_NAMES
from unet_core.images.polygons import filled_polygon
from unet_core.segment import Segmentation
from unet_core.zoo.meaning import classes_named


def segmentation(
    mask: np.ndarray,
    probabilities: np.ndarray | None = None,
    classes: tuple[str, ...] = CLASS_NAMES,
    *,
    name: str = "photo",
    image: np.ndarray | None = None,
) -> Segmentation:
    """Wrap class ids (H, W); without probabilities each pixel is certain, without an image the photo is black."""
    mask = np.asarray(mask, np.uint8)
    if probabilities is None:
        probabilities = np.eye(len(classes), dtype=np.float32)[mask]
    shares = {name: float((mask == number).mean()) for number, name in enumerate(classes)}
    timings = {"preprocess": 1.0, "network": 2.0, "postprocess": 0.5, "total": 3.5}
    return Segmentation(
        name=name,
        photo_size=mask.shape,
        image=np.zeros((*mask.shape, 3), np.uint8) if image is None else image,
        mask=mask,
        probabilities=np.asarray(probabilities, np.float32),
        pixel_classes=classes_named(classes),
        shares=shares,
        timings=timings,
        model="m",
        engine="onnx",
        device="CPU",
    )


def random_segmentation(height: int, width: int, classes: tuple[str, ...] = CLASS_NAMES, seed: int = 0) -> Segmentation:
    """Noise: probabilities from a Dirichlet distribution, the mask their largest."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([0.5] * len(classes), (height, width)).astype(np.float32)
    return segmentation(probabilities.argmax(axis=-1), probabilities, classes)


def pet_shape(height: int = 60, width: int = 80) -> np.ndarray:
    """An ellipse of pet with a border around it and a hole of background in it, class ids (H, W)."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot((rows - height * 0.5) / (height * 0.35), (columns - width * 0.45) / (width * 0.35))
    mask = np.full((height, width), 1, np.uint8)
    mask[distance < 1.15] = 2
    mask[distance < 1] = 0
    mask[distance < 0.3] = 1
    return mask


def filled(shapes: list[list[float]], height: int, width: int) -> np.ndarray:
    """Fill COCO polygons at the pixels' centres."""
    result = np.zeros((height, width), bool)
    for shape in shapes:
        result |= filled_polygon(np.array(shape).reshape(-1, 2), height, width)
    return result


def iou(one: np.ndarray, two: np.ndarray) -> float:
    """Compare two masks (H, W) bool."""
    return (one & two).sum() / (one | two).sum()
