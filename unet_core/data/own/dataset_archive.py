"""A dataset as a ZIP in the simplest layout: photos, masks of their names, and a list of the classes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

CLASS_LIST = "classes.txt"


class Labelled(NamedTuple):
    """A photo with its mask: a name without ending, the photo as JPEG, and class ids (h, w) uint8."""

    name: str
    jpeg: bytes
    ids: np.ndarray


def dataset_archive(photos: Iterable[Labelled], class_names: Sequence[str] = ()) -> bytes:
    """Return a ZIP of images/NAME.jpg and masks/NAME.png, which the reader of own datasets understands.

    A mask's grey value is the class id plus 1, which for pets is the code of the Oxford trimaps; `class_names` by id
    go into classes.txt, if there are any.

    Raises:
        ValueError: a name repeats, or a mask has another size than its photo.
    """
    archive, names = io.BytesIO(), set()
    with zipfile.ZipFile(archive, "w") as file:
        for name, jpeg, ids in photos:
            with Image.open(io.BytesIO(jpeg)) as photo:
                if name in names or photo.size != (ids.shape[1], ids.shape[0]):
                    raise ValueError(f"photos: {name!r} repeats, or differs in size from its mask")
            names.add(name)
            file.writestr(f"images/{name}.jpg", jpeg)
            file.writestr(f"masks/{name}.png", _png((ids + np.uint8(1)).astype(np.uint8)))
        if class_names:
            file.writestr(CLASS_LIST, "".join(f"{number + 1}: {name}\n" for number, name in enumerate(class_names)))
    return archive.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
