"""A photo's segmentation composed in the browser: cut-out, overlay, before and after, mask."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import streamlit as st
from PIL import ImageColor

from ui.components import element_key, frame_ratio, header, register, reserve, served
from unet_core.classes import BACKGROUND, BORDER, PET
from unet_core.images.render import Colour
from unet_core.segment.correction import Correction, CorrectionError, Sides

View = Literal["cutout", "overlay", "slider", "mask"]
Backdrop = str | bytes  # "transparent", "white", "blurred", a colour "#rrggbb", or an encoded photo

HEIGHT = "62vh"  # the tallest that the picture becomes
_LONGEST = 12  # width by height, or the reverse; longer pictures are displayed wider than they are
_DIVIDED = {"border": BORDER.id, "inside": PET.id, "outside": BACKGROUND.id}
_NAMES = {"cutout": "cut-out", "overlay": "overlay", "mask": "mask"}

_PARTS = ("addresses", "framed_picture", "photo_pixels", "photo_correction", "photo_touch_up")
_stage = register("photo_stage", parts=_PARTS)


@dataclass(frozen=True)
class TouchUp:
    """The correction of a photo's outline by a visitor.

    Attributes:
        sides: the class ids of what they keep and remove.
        correction: what they have changed so far; alpha and mask are given without it.
        active: the brush is at hand.
        on_correct: called with the whole new correction, before the page is drawn again.
    """

    sides: Sides
    correction: Correction | None = None
    active: bool = False
    on_correct: Callable[[Correction], None] | None = None


def photo_stage(
    photo: bytes,
    alpha: bytes,
    mask: bytes,
    *,
    colours: Sequence[Colour | None],
    view: View = "cutout",
    after: View = "cutout",
    backdrop: Backdrop = "transparent",
    opacity: float = 0.45,
    outline: bool = True,
    divide_border: bool = True,
    position: int = 50,
    touch_up: TouchUp | None = None,
    label: str,
    file_name: str = "picture.png",
    key: str,
) -> None:
    """Show a segmented photo, at most `HEIGHT` tall, which a visitor can enlarge, copy and drag out.

    The browser fetches each picture once; another view, background or opacity is drawn there.

    Args:
        photo: the photo as JPEG.
        alpha: the subject's outline, an 8-bit grey PNG of the photo's size: 0 background, 255 subject.
        mask: class ids, an 8-bit grey PNG of the photo's size.
        colours: by class id; None leaves the photo's pixels unchanged.
        view: "slider" is the photo left and the view `after` right of a divider.
        after: the slider's right side: "cutout", "overlay" or "mask".
        backdrop: of the cut-out; a photo is an encoded JPEG, PNG or WebP.
        opacity: of the overlay's colours, 0…1.
        outline: draw a line around the subject in overlays, or between classes where no border is divided.
        divide_border: overlays colour the border of pets as pet inside the outline and as background outside.
        position: where the divider starts, in percent from the left.
        touch_up: lets the visitor correct the outline by brush, and a click for whole pieces.
        label: describes the picture to screen readers.
        file_name: of the picture when it is dragged out of the browser.
        key: unique across all pages.

    Raises:
        CorrectionError: the browser has sent a damaged correction.
        ValueError: the pictures have other formats or differ in size, or an option is out of range.
    """
    _check(view, after, opacity, position)
    size = header(photo, ("JPEG",)).size
    planes = [header(picture, ("PNG",)) for picture in (alpha, mask)]
    if any(plane.mode != "L" or plane.size != size for plane in planes):
        raise ValueError(f"alpha, mask: must be 8-bit grey of the photo's size, {size}. Received: {planes}")
    ratio, element = frame_ratio(*size), element_key("photo_stage", key)
    reserve(element, ratio, HEIGHT)
    picture = f"{zlib.crc32(photo):08x}"
    _stage(
        key=element,
        on_correction_change=lambda: take_correction(element, picture, touch_up),
        data={
            "picture": picture,
            **_editing(touch_up),
            "key": key,
            "label": label,
            "file_name": file_name,
            "ratio": ratio,
            "real": round(min(_LONGEST, max(1 / _LONGEST, size[0] / size[1])), 6),
            "view": view,
            "drawn": after if view == "slider" else view,
            "after": _NAMES[after],
            "position": position,
            "opacity": opacity,
            "outline": outline,
            "colours": [list(colour) if colour else None for colour in colours],
            "divided": _DIVIDED if divide_border else None,
            "backdrop": _backdrop(backdrop, element),
            "pictures": {
                "photo": served(photo, "image/jpeg", f"{element}-photo"),
                "alpha": served(alpha, "image/png", f"{element}-alpha"),
                "mask": served(mask, "image/png", f"{element}-mask"),
            },
        },
    )


def _check(view: str, after: str, opacity: float, position: int) -> None:
    if view not in get_args(View) or after not in _NAMES:
        raise ValueError(f"view, after: must be one of {', '.join(get_args(View))}. Received: {view!r}, {after!r}")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity: must be 0 to 1. Received: {opacity}")
    if not 0 <= position <= 100:
        raise ValueError(f"position: must be from 0 to 100 percent. Received: {position}")


def _backdrop(backdrop: Backdrop, element: str) -> dict[str, Any]:
    if isinstance(backdrop, bytes):
        kind = header(backdrop, ("JPEG", "PNG", "WEBP")).kind
        return {"kind": "photo", "url": served(backdrop, kind, f"{element}-backdrop")}
    if backdrop in ("transparent", "blurred"):
        return {"kind": backdrop}
    red, green, blue = ImageColor.getrgb(backdrop)[:3]
    return {"kind": "colour", "colour": f"#{red:02x}{green:02x}{blue:02x}"}


def _editing(touch_up: TouchUp | None) -> dict[str, Any]:
    if touch_up is None:
        return {"editing": False, "ids": None, "correction": ""}
    held = touch_up.correction
    return {
        "editing": touch_up.active,
        "ids": {"inside": touch_up.sides.kept, "outside": touch_up.sides.removed},
        "correction": "" if held is None else base64.b64encode(held.to_bytes()).decode(),
    }


def take_correction(element: str, picture: str, touch_up: TouchUp | None) -> None:
    """Hand over the correction that the browser has sent for the component `element`, if it is of this picture.

    Raises:
        CorrectionError: it is damaged.
    """
    sent = st.session_state[element].get("correction")
    if touch_up is None or touch_up.on_correct is None or not isinstance(sent, dict) or sent.get("picture") != picture:
        return
    try:
        data = base64.b64decode(str(sent.get("changes")), validate=True)
    except binascii.Error:
        raise CorrectionError("The correction is damaged: make it again.") from None
    touch_up.on_correct(Correction.from_bytes(data))
