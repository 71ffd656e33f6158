"""A sample photo that needs no download."""

from __future__ import annotations

import io
from functools import cache

from PIL import Image

CAT_NAME = "chelsea.png"
CAT_CREDIT = "Photo: Chelsea the cat by Stefan van der Walt, public domain (CC0), from scikit-image."


@cache
def cat_png() -> bytes:
    """Return scikit-image's cat photo as PNG, 451 × 300 pixels."""
    from skimage import data

    buffer = io.BytesIO()
    Image.fromarray(data.chelsea()).save(buffer, "PNG")
    return buffer.getvalue()
