"""Class colours: palettes that suit colour vision deficiencies, and a check of custom colours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from unet_core.images.render import Colour

DEFAULT = "Okabe and Ito"
CUSTOM = "Your own"
# Okabe and Ito (2008) is the default; the others are Paul Tol's (2021): "high contrast" keeps its order in greyscale,
# "vibrant" stays distinct on small areas. Order: pet, background, border.
PALETTES: dict[str, tuple[Colour, ...]] = {
    DEFAULT: (),
    "Tol high contrast": ((221, 170, 51), (0, 68, 136), (187, 85, 102)),
    "Tol vibrant": ((238, 119, 51), (51, 187, 238), (238, 51, 119)),
}
TOO_CLOSE = 14.0  # CIE76 distance; the closest pair of the default colours is 17 apart, with tritanopia

# Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
_VISIONS = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


def palette(name: str, own: Sequence[Colour]) -> tuple[Colour, ...]:
    """Return the colours of classes in a palette; unknown names and further classes have their `own` ones."""
    chosen = PALETTES.get(name, ())[: len(own)]
    return (*chosen, *own[len(chosen) :])


def confusable_pair(colours: Sequence[Colour]) -> tuple[int, int, str] | None:
    """Return the indices of the first two colours that are hard to distinguish and for which vision, or None."""
    if len(colours) < 2:
        return None
    for vision, matrix in _VISIONS.items():
        seen = _lab(np.array(colours, np.float64) / 255, np.array(matrix))
        for first, second in combinations(range(len(colours)), 2):
            if np.linalg.norm(seen[first] - seen[second]) < TOO_CLOSE:
                return first, second, vision
    return None


def _lab(rgb: np.ndarray, vision: np.ndarray) -> np.ndarray:
    """Convert sRGB (N, 3), 0…1, as seen with a colour vision, to CIE L*a*b* (N, 3)."""
    from skimage.color import rgb2xyz, xyz2lab  # takes a while to import
    from skimage.color.colorconv import rgb_from_xyz, xyz_from_rgb

    linear = rgb2xyz(rgb) @ rgb_from_xyz.T
    return xyz2lab((linear @ vision.T).clip(0, 1) @ xyz_from_rgb.T)
