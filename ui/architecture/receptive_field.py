"""The receptive field of one output pixel, drawn to scale on the sample photo."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageDraw

from unet_core.classes import PET
from unet_core.images.samples import cat_png

LONGEST = 320  # pixels of the picture's longer side: twice what the page gives it
BACKGROUND = (128, 144, 152, 60)
SHADE = 150  # of 255, outside the receptive field


@lru_cache(maxsize=64)
def field_picture(height: int, width: int, field: int, stride: int) -> bytes:
    """Return the photo as WebP, in the input's proportions, with the receptive field of the centre pixel.

    `field` and `stride` are in input pixels, as in a layer's trace. The area outside the field is shaded; a field
    larger than the photo extends beyond it on all sides, into the padding.
    """
    whole = (max(width, field), max(height, field))
    scale = LONGEST / max(whole)
    size = max(1, round(whole[0] * scale)), max(1, round(whole[1] * scale))
    photo_size = max(1, round(width * scale)), max(1, round(height * scale))
    photo = Image.open(io.BytesIO(cat_png())).convert("RGBA").resize(photo_size, Image.Resampling.BILINEAR)
    picture = Image.new("RGBA", size, BACKGROUND)
    picture.paste(photo, ((size[0] - photo_size[0]) // 2, (size[1] - photo_size[1]) // 2))
    window = _centred(size, max(2.0, field * scale))
    shade = Image.new("L", size, SHADE)
    ImageDraw.Draw(shade).rectangle(window, fill=0)
    picture.alpha_composite(Image.merge("RGBA", (*[Image.new("L", size, 0)] * 3, shade)))
    draw = ImageDraw.Draw(picture)
    draw.rectangle(window, outline=(*PET.colour, 255), width=3)
    draw.rectangle(_centred(size, max(4.0, stride * scale)), fill=(*PET.colour, 255), outline=(16, 24, 29, 255))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=90)
    return buffer.getvalue()


def _centred(size: tuple[int, ...], side: float) -> tuple[int, int, int, int]:
    left, top = ((whole - side) / 2 for whole in size)
    return round(left), round(top), round(left + side) - 1, round(top + side) - 1
