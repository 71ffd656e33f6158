"""How much of the input one output pixel sees, drawn to scale on the sample photo."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageDraw

from unet_core.classes import PET
from unet_core.images.samples import cat_png

LONGEST = 640  # pixels of the picture's longer side
GROUND = (128, 144, 152, 60)
SHADE = 150  # of 255, over what is not seen


@lru_cache(maxsize=64)
def field_png(height: int, width: int, field: int, stride: int) -> bytes:
    """Return a PNG: the photo at the input's proportions, and on it the window that the centre pixel sees.

    `field` and `stride` are in input pixels, as in a layer's trace. What lies outside the window is shaded; a window
    that is larger than the photo reaches beyond it on all sides, where the network sees the padding.
    """
    whole = (max(width, field), max(height, field))
    scale = LONGEST / max(whole)
    size = tuple(max(1, round(side * scale)) for side in whole)
    photo_size = max(1, round(width * scale)), max(1, round(height * scale))
    photo = Image.open(io.BytesIO(cat_png())).convert("RGBA").resize(photo_size, Image.Resampling.BILINEAR)
    picture = Image.new("RGBA", size, GROUND)
    picture.paste(photo, ((size[0] - photo_size[0]) // 2, (size[1] - photo_size[1]) // 2))
    window = _centred(size, max(2.0, field * scale))
    shade = Image.new("L", size, SHADE)
    ImageDraw.Draw(shade).rectangle(window, fill=0)
    picture.alpha_composite(Image.merge("RGBA", (*[Image.new("L", size, 0)] * 3, shade)))
    draw = ImageDraw.Draw(picture)
    draw.rectangle(window, outline=(*PET.colour, 255), width=3)
    draw.rectangle(_centred(size, max(4.0, stride * scale)), fill=(*PET.colour, 255), outline=(16, 24, 29, 255))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _centred(size: tuple[int, ...], side: float) -> tuple[int, int, int, int]:
    left, top = ((whole - side) / 2 for whole in size)
    return round(left), round(top), round(left + side) - 1, round(top + side) - 1
