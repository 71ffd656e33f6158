"""A few synthetic pets in the original archive's layout, prepared by TFDS' own builder: no download needed."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from unet_core.data.synthetic.pets import draw_pet

TRAIN = ("Bombay_146", "leonberger_189", *(f"Abyssinian_{index}" for index in range(200, 228)))
TEST = tuple(f"beagle_{index}" for index in range(300, 306))
_BREED_NUMBER = {"Abyssinian": 1, "Bombay": 8, "beagle": 5, "leonberger": 20}
_BOX = (
    "<annotation><size><width>40</width><height>30</height></size>"
    "<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)


def prepare(data_dir: Path) -> Path:
    """Write the archive's files and let TFDS build its dataset from them; returns `data_dir`."""
    import tensorflow_datasets as tfds

    archive = data_dir / "archive"
    for folder in ("images", "annotations/trimaps", "annotations/xmls"):
        (archive / folder).mkdir(parents=True)
    for number, name in enumerate((*TRAIN, *TEST)):
        photo, trimap = draw_pet(0, number, (30 + number % 3, 40))
        Image.fromarray(photo).save(archive / "images" / f"{name}.jpg", quality=95)
        Image.fromarray(trimap).save(archive / "annotations" / "trimaps" / f"{name}.png")
        (archive / "annotations" / "xmls" / f"{name}.xml").write_text(_BOX)
    for split, names in (("trainval", TRAIN), ("test", TEST)):
        (archive / "annotations" / f"{split}.txt").write_text("".join(f"{_line(name)}\n" for name in names))
    folders = {"images": str(archive), "annotations": str(archive)}
    with mock.patch.object(tfds.download.DownloadManager, "download_and_extract", return_value=folders):
        tfds.disable_progress_bar()
        tfds.builder("oxford_iiit_pet:4.0.0", data_dir=str(data_dir)).download_and_prepare()
    return data_dir


def write_folder(root: Path, count: int, size: tuple[int, int] = (24, 32), first_value: int = 1) -> Path:
    """Write `images/` and `masks/` with synthetic pets; masks start at `first_value` (1 trimap codes, 0 class ids)."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number in range(count):
        photo, trimap = draw_pet(7, number, size)
        Image.fromarray(photo).save(root / "images" / f"pet{number}.jpg", quality=95)
        Image.fromarray((trimap - 1 + first_value).astype(np.uint8)).save(root / "masks" / f"pet{number}.png")
    return root


def _line(name: str) -> str:
    breed = name.rsplit("_", 1)[0]
    return f"{name} {_BREED_NUMBER[breed]} {1 if breed[0].isupper() else 2} 1"
