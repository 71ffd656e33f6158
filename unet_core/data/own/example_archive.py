"""A small example dataset as a ZIP archive: synthetic pets in the simplest layout."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from PIL import Image

from unet_core.data.synthetic.pets import SyntheticPets

NAME = "example_pets.zip"


def example_archive(photos: int = 24, side: int = 160) -> bytes:
    """Return a ZIP of `photos` synthetic pets: images/NAME.jpg and masks/NAME.png with the trimap codes 1, 2, 3."""
    archive = io.BytesIO()
    examples = SyntheticPets(seed=1, size=(side, side)).examples("train")
    with zipfile.ZipFile(archive, "w") as file:
        for _, example in zip(range(photos), examples):
            photo, ids = example.decode()
            file.writestr(f"images/{example.name}.jpg", _encoded(photo, "JPEG", quality=88))
            file.writestr(f"masks/{example.name}.png", _encoded(ids + 1, "PNG"))
    return archive.getvalue()


def _encoded(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
