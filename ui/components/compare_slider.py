"""A divider that wipes between two pictures of the same size, moved by mouse, touch or keyboard."""

from __future__ import annotations

from ui.components import element_key, frame_ratio, header, register, reserve, served

_KINDS = ("JPEG", "PNG", "WEBP", "GIF")  # supported by every browser

_slider = register("compare_slider", parts=("addresses", "framed_picture"))


def compare_slider(
    before: bytes,
    after: bytes,
    *,
    label: str,
    before_name: str,
    after_name: str,
    key: str,
    position: int = 50,
) -> None:
    """Show `before` left and `after` right of a divider, which a visitor can move without a rerun.

    Both are encoded pictures (JPEG, PNG, WebP or GIF) of the same size in pixels, made by the app; the browser fetches
    each content once. `label` describes the comparison to screen readers. The divider starts at `position`, in percent
    from the left, and stays where the visitor moves it until `position` changes. `key` is unique across all pages.

    Raises:
        ValueError: the pictures differ in size or have another format, or the position is out of range.
    """
    if not 0 <= position <= 100:
        raise ValueError(f"position must be from 0 to 100 percent. Received: {position}")
    first, second = (header(picture, _KINDS) for picture in (before, after))
    if first.size != second.size:
        raise ValueError(f"Both pictures must have the same size in pixels. Received: {first.size} and {second.size}")
    ratio = frame_ratio(*first.size)
    element = element_key("compare_slider", key)
    reserve(element, ratio, "85vh")
    _slider(
        key=element,
        data={
            "key": key,
            "label": label,
            "position": position,
            "ratio": ratio,
            "before": {"name": before_name, "url": served(before, first.kind, f"{element}-before")},
            "after": {"name": after_name, "url": served(after, second.kind, f"{element}-after")},
        },
    )
