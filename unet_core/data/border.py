"""The border of pet masks, drawn around masks that have none: as wide as annotators of the Oxford pets left it."""

from __future__ import annotations

import numpy as np

from unet_core.classes import BACKGROUND, BORDER, IGNORE_ID, PET

_SIDE = 256  # pixels of a square photo in which the following are measured
_WIDTH, _NARROWEST, _WIDEST = 9.5, 1.5, 6.0  # half of the border: for an animal that fills the photo, and its limits
_NEAR = 8  # unlabelled pixels this close to an animal are part of its outline


def with_border(ids: np.ndarray) -> np.ndarray:
    """Draw the border along each animal's outline, as wide as Oxford's for an animal of that size.

    Pixels without a label near an animal belong to the closer of animal and background, as masks often leave the
    outline itself open; those elsewhere stay without a label. On a photo that is not square the border has the same
    width in both directions.

    Args:
        ids: (H, W) uint8, pet and background, `IGNORE_ID` without a label.

    Returns:
        (H, W) uint8, pet, background and border, `IGNORE_ID` without a label.
    """
    from scipy import ndimage  # slow to import

    scale = np.sqrt(ids.size) / _SIDE
    unlabelled = ids == IGNORE_ID
    animal = ids == PET.id
    if not animal.any():
        return ids.copy()
    to_animal = ndimage.distance_transform_edt(~animal)
    no_background = not (ids == BACKGROUND.id).any()
    to_background = np.full(ids.shape, np.inf) if no_background else ndimage.distance_transform_edt(animal | unlabelled)
    near = unlabelled & (to_animal <= _NEAR * scale)
    solid = animal | (near & (to_animal <= to_background))
    found = np.full(ids.shape, BACKGROUND.id, np.uint8)
    found[unlabelled & ~near] = IGNORE_ID
    found[solid] = PET.id
    pieces, count = ndimage.label(solid, np.ones((3, 3)))
    for number in range(1, count + 1):
        piece = pieces == number
        half_width = scale * np.clip(_WIDTH * np.sqrt(piece.mean()), _NARROWEST, _WIDEST)
        outside = ndimage.distance_transform_edt(~piece)
        inside = ndimage.distance_transform_edt(np.pad(piece, 1, mode="edge"))[1:-1, 1:-1]
        ring = np.where(piece, inside, outside) - 0.5 <= half_width
        found[ring & (piece | ~solid)] = BORDER.id
    return found
