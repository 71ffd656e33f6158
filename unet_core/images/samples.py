"""A sample photo that needs no download."""

from __future__ import annotations

from functools import cache
from importlib import resources

CAT_NAME = "chelsea.png"
CAT_CREDIT = "Photo: Chelsea the cat by Stefan van der Walt, public domain (CC0), from scikit-image."


@cache
def cat_png() -> bytes:
    """Return scikit-image's cat photo as PNG, 451 × 300 pixels."""
    return resources.files("skimage").joinpath("data", "chelsea.png").read_bytes()  # its own reader takes 10 MB
