"""A photo's way through a network, played in the boxes of the U diagram: play, pause, step, by mouse and keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ui.components import element_key, header, register, served
from unet_core.explain.diagram import Diagram, bare_svg, diagram, theme_rules

_READABLE = 0.7  # smallest scale at which a diagram's texts can be read
_LARGEST = 1.25  # times its natural size

_player = register("play_diagram", css=theme_rules(), parts=("addresses",))


@dataclass(frozen=True)
class Shown:
    """One step of the way.

    Attributes:
        key: of the box in the diagram.
        source: key of the box that its picture comes from.
        travels: it crosses the U on a skip connection.
        known: it has a picture.
        title, shape, text: what it is, in words.
    """

    key: str
    source: str
    travels: bool
    known: bool
    title: str
    shape: str
    text: str


@dataclass(frozen=True)
class Sheet:
    """The pictures of all steps in one, row by row; `picture` is a JPEG."""

    picture: bytes
    columns: int
    rows: int


def play_diagram(
    drawn: Diagram, steps: Sequence[Shown], sheet: Sheet, *, photo: bytes, mask: bytes, label: str, key: str
) -> None:
    """Show a diagram whose boxes are filled with pictures one after the other.

    Pictures appear without motion where the visitor's system asks for that. What plays goes on while the page runs
    again.

    Args:
        drawn: the full diagram; smaller ones replace it where it would be unreadable.
        steps: in the order of the computation; their keys are those of the diagram's boxes.
        sheet: one picture a step, in that order.
        photo: JPEG, shown at the end.
        mask: PNG with transparency, which grows over the photo.
        label: describes it to screen readers.
        key: unique across all pages, and for every photo and network.
    """
    element = element_key("play_diagram", "play")
    kinds = ("JPEG", "PNG")
    addresses = {
        name: served(picture, header(picture, kinds).kind, f"{element}-{name}")
        for name, picture in (("sheet", sheet.picture), ("photo", photo), ("mask", mask))
    }
    _player(
        key=element,
        data={
            "key": key,
            "label": label,
            "pictures": _pictures(drawn),
            "readable": _READABLE,
            "largest": _LARGEST,
            "steps": [
                {
                    "key": step.key,
                    "from": step.source,
                    "travels": step.travels,
                    "known": step.known,
                    "title": step.title,
                    "shape": step.shape,
                    "text": step.text,
                }
                for step in steps
            ],
            "sheet": {"url": addresses["sheet"], "columns": sheet.columns, "rows": sheet.rows},
            "photo": addresses["photo"],
            "mask": addresses["mask"],
        },
    )


@lru_cache(maxsize=16)
def _pictures(drawn: Diagram) -> list[dict[str, object]]:
    """Return the diagram and the smaller ones that replace it, with the places of their boxes."""
    return [
        {
            "svg": bare_svg(one),
            "width": round(one.width, 1),
            "height": round(one.height, 1),
            "boxes": {box.key: [round(side, 1) for side in (box.x, box.y, box.w, box.h)] for box in one.boxes},
        }
        for one in (drawn, *(diagram(drawn.trace, detail=detail) for detail in ("medium", "compact")))
    ]
