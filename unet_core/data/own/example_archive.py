"""A small example dataset as a ZIP archive: synthetic pets in the simplest layout."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image

from unet_core.data.own.dataset_archive import Labelled, dataset_archive
from unet_core.data.synthetic.pets import SyntheticPets

NAME = "example_pets.zip"


def example_archive(photos: int = 24, side: int = 160) -> bytes:
    """Return a ZIP of `photos` synthetic pets, see `dataset_archive`."""
    return dataset_archive(_drawn(photos, side))


def _drawn(photos: int, side: int) -> Iterator[Labelled]:
    examples = SyntheticPets(seed=1, size=(side, side)).examples("train")
    for _, example in zip(range(photos), examples):
        photo, ids = example.decode()
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, "JPEG", quality=88)
        yield Labelled(example.name, buffer.getvalue(), ids)
