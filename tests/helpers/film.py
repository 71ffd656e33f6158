"""A film for Chromium's fake camera."""

from __future__ import annotations

import io
import math
from pathlib import Path

from PIL import Image

from unet_core.images.samples import cat_png

SIZE = 640, 480


def film(path: Path, frames: int) -> Path:
    """Write a film in which the sample photo moves from side to side once, as Motion JPEG of `SIZE`."""
    cat = Image.open(io.BytesIO(cat_png())).convert("RGB").resize((760, 506))
    with path.open("wb") as file:
        for number in range(frames):
            left = round(60 * (1 + math.sin(2 * math.pi * number / frames)))
            buffer = io.BytesIO()
            cat.crop((left, 10, left + SIZE[0], 10 + SIZE[1])).save(buffer, "JPEG", quality=90)
            file.write(buffer.getvalue())
    return path
