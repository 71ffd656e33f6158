"""Small datasets as people upload them, one function for each layout and coding."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from unet_core.data.own.coco import CocoFile, coco_of, is_coco, parsed_json

SIZE = (40, 48)  # height, width


def read_coco(path: Path, max_pixels: float) -> CocoFile | None:
    """Read a COCO file as a dataset's layout does; None if the JSON is something else."""
    content = parsed_json(path)
    return coco_of(content, path, max_pixels) if is_coco(content) else None


def class_map(seed: int, classes: int = 2, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return class ids, (H, W) uint8: a disc or two on background, every class in reach of a few seeds."""
    random = np.random.default_rng(seed)
    ids = np.zeros(size, np.uint8)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    for _ in range(2):
        y, x, radius = random.uniform(8, 32), random.uniform(8, 40), random.uniform(5, 12)
        ids[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = random.integers(1, classes)
    return ids


def photo_of(ids: np.ndarray, seed: int) -> np.ndarray:
    """Return a photo, (H, W, 3) uint8, that shows the classes in front of a random pattern."""
    random = np.random.default_rng(1_000 + seed)
    cells = random.integers(40, 216, (6, 6, 3), dtype=np.uint8)
    pattern = np.asarray(Image.fromarray(cells).resize(ids.shape[::-1], Image.Resampling.BILINEAR))
    colours = np.random.default_rng(5).integers(0, 256, (256, 3), dtype=np.uint8)
    return np.where(ids[..., None] > 0, colours[ids] // 2 + pattern // 2, pattern).astype(np.uint8)


def save_photo(path: Path, ids: np.ndarray, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo_of(ids, seed)).save(path, quality=95)


def save_mask(path: Path, values: np.ndarray | Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (values if isinstance(values, Image.Image) else Image.fromarray(values)).save(path)


def folder(root: Path, count: int = 12, classes: int = 2, table: object = None, start: int = 0) -> Path:
    """Write `images/` and `masks/`; `table` maps class ids to values or colours."""
    values = np.arange(256, dtype=np.uint8) if table is None else np.asarray(table)
    for seed in range(start, start + count):
        ids = class_map(seed, classes)
        save_photo(root / "images" / f"p{seed:02}.jpg", ids, seed)
        save_mask(root / "masks" / f"p{seed:02}.png", values[ids].astype(np.uint8))
    return root


def black_and_white(root: Path, count: int = 12) -> Path:
    return folder(root, count, table=[0, 255])


def beside(root: Path, count: int = 12) -> Path:
    """Write `x.jpg` with `x_mask.png`."""
    for seed in range(count):
        ids = class_map(seed)
        save_photo(root / f"p{seed:02}.jpg", ids, seed)
        save_mask(root / f"p{seed:02}_mask.png", ids * np.uint8(255))
    return root


def voc(root: Path, count: int = 12, classes: int = 4) -> Path:
    """Write the Pascal VOC layout: palette masks with a void outline, photos without masks, other folders."""
    palette = voc_palette()
    for seed in range(count):
        ids = class_map(seed, classes)
        save_photo(root / "VOC2012" / "JPEGImages" / f"2007_{seed:06}.jpg", ids, seed)
        values = np.array([0, 8, 12, 15], np.uint8)[ids]
        values[ids != np.roll(ids, 1, axis=1)] = 255
        mask = Image.fromarray(values, "P")
        mask.putpalette(palette)
        save_mask(root / "VOC2012" / "SegmentationClass" / f"2007_{seed:06}.png", mask)
        save_mask(root / "VOC2012" / "SegmentationObject" / f"2007_{seed:06}.png", mask)
    save_photo(root / "VOC2012" / "JPEGImages" / "2007_999999.jpg", class_map(99), 99)
    (root / "VOC2012" / "Annotations").mkdir()
    (root / "VOC2012" / "Annotations" / "2007_000001.xml").write_text("<annotation/>")
    return root


def voc_palette() -> list[int]:
    """Pascal VOC's colours as its development kit computes them."""
    colours = []
    for index in range(256):
        colour, rest = [0, 0, 0], index
        for place in range(8):
            for channel in range(3):
                colour[channel] |= ((rest >> channel) & 1) << (7 - place)
            rest >>= 3
        colours += colour
    return colours


def coco(root: Path, count: int = 12) -> Path:
    """Write photos with a COCO file: boxes as polygons, and every third shape as run lengths."""
    images, annotations = [], []
    for seed in range(count):
        ids, shapes = boxes(seed)
        save_photo(root / "train" / f"{seed:012}.jpg", ids, seed)
        images.append({"id": seed, "file_name": f"{seed:012}.jpg", "width": SIZE[1], "height": SIZE[0]})
        for category, segmentation, area in shapes:
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": seed,
                    "category_id": category,
                    "segmentation": segmentation,
                    "area": area,
                    "bbox": [0, 0, 1, 1],
                    "iscrowd": int(isinstance(segmentation, dict)),
                }
            )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}, {"id": 90, "name": "toothbrush"}],
    }
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return root


def boxes(seed: int) -> tuple[np.ndarray, list[tuple[int, object, float]]]:
    """Return class ids (0, 1 cat, 2 dog) and their COCO shapes (category, segmentation, area), not sorted by size."""
    random = np.random.default_rng(seed)
    ids, shapes = np.zeros(SIZE, np.uint8), []
    for number, side in enumerate((random.integers(14, 20), random.integers(5, 9))):
        y, x = int(random.integers(0, SIZE[0] - side)), int(random.integers(0, SIZE[1] - side))
        which = int(random.integers(1, 3))
        ids[y : y + side, x : x + side] = which
        own = np.zeros(SIZE, bool)
        own[y : y + side, x : x + side] = True
        polygon = [[x, y, x + side, y, x + side, y + side, x, y + side]]
        segmentation = run_lengths(own) if (seed + number) % 3 == 0 else [list(map(int, polygon[0]))]
        shapes.append((16 + which, segmentation, float(side**2)))
    return ids, shapes[::-1]


def run_lengths(mask: np.ndarray) -> dict[str, object]:
    """Encode a mask as COCO's uncompressed run lengths."""
    flat = mask.T.reshape(-1)
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def zipped(root: Path) -> bytes:
    """Pack a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(root.parent))
    return buffer.getvalue()


def named(root: Path, names: tuple[str, ...], count: int = 12, table: object = None) -> Path:
    """Write `folder` with a class name for each value."""
    from unet_core.data.own.report import inspect_dataset, save_report

    folder(root, count, classes=len(names), table=table)
    save_report(inspect_dataset(root, class_names=list(names)), root)
    return root
