"""The three classes of the Oxford-IIIT Pet masks: ids, trimap codes, names and colours."""

from __future__ import annotations

from typing import NamedTuple


class PixelClass(NamedTuple):
    """One class of the trimap: `id` in labels and logits, `code` in mask files, its name and its colour."""

    id: int
    code: int
    name: str
    colour: tuple[int, int, int]


# Okabe and Ito's palette (2008): distinguishable with every common colour vision deficiency, on light and dark.
PET = PixelClass(id=0, code=1, name="pet", colour=(230, 159, 0))
BACKGROUND = PixelClass(id=1, code=2, name="background", colour=(86, 180, 233))
BORDER = PixelClass(id=2, code=3, name="border", colour=(204, 121, 167))

CLASSES: tuple[PixelClass, ...] = (PET, BACKGROUND, BORDER)
CLASS_NAMES: tuple[str, ...] = tuple(pixel_class.name for pixel_class in CLASSES)
