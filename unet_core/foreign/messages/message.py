"""What an error message says, and what a text of one contains: shapes, a layer's name, the visitor's own line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from unet_core.foreign.mismatch import Dims

MAX_SHAPES = 8

Kind = Literal[
    "merge", "too_small", "target", "channels", "input_size", "axes", "memory", "labels", "nan", "metric", "type",
    "graph", "weights", "reshape",
]  # fmt: skip


@dataclass(frozen=True)
class ErrorMessage:
    """What a message says.

    Attributes:
        kind: the family of the error.
        title: what failed, in a few words.
        shapes: the shapes that do not fit, without the batch where the message has it; may be empty.
        why: the cause.
        changes: what to change, the best first.
        layer: the layer's name where the message has it, else "".
        frame: the last line of the visitor's own code in a traceback: "line 47 of unet.py, in build"; else "".
    """

    kind: Kind
    title: str
    shapes: tuple[Dims, ...]
    why: str
    changes: tuple[str, ...]
    layer: str = ""
    frame: str = ""


# --- shapes in a text -------------------------------------------------------------------------------------------------

_SIDE = r"(?:\d{1,9}|None|\?)"
SHAPE = re.compile(rf"[\[(]\s*({_SIDE}(?:,?\s{{1,4}}{_SIDE}|,{_SIDE}){{0,5}}),?\s*[\])]")


def shapes_in(text: str) -> list[Dims]:
    """Return the first shapes that a text contains, in brackets of either form."""
    found = []
    for match in SHAPE.finditer(text):
        sides = re.split(r"[,\s]+", match[1].strip())
        found.append(tuple(int(side) if side.isdigit() else None for side in sides))
        if len(found) == MAX_SHAPES:
            break
    return found


def shape_after(text: str, word: str) -> Dims | None:
    """Return the shape that follows a word at once."""
    place = re.search(rf"{word}\s*[=:]?\s*(?=[\[(])", text)
    if place is None:
        return None
    match = SHAPE.match(text, place.end())
    return shapes_in(match[0])[0] if match else None


def without_batch(shape: Dims) -> Dims:
    """Return a feature map's shape without its batch."""
    return shape[1:] if len(shape) == 4 else shape


def layer_name(text: str) -> str:
    """Return the layer that a message names, "" if it names none."""
    for pattern in (
        r"of layer ['\"]([\w./-]{1,80})['\"]",
        r"node (?:[\w.]{1,40}/)?([\w.]{1,60})/concat\b",
        r"node (?:[\w.]{1,40}/)?([\w.]{1,60})/(?:Conv2D|MaxPool|AvgPool|BiasAdd|convolution|add)",
        r"\(type ([\w.]{1,60})\)",
    ):
        found = re.search(pattern, text)
        if found:
            return found[1]
    return ""


_FRAME = re.compile(r'File "([^"\n]{1,300})", line (\d{1,7}), in ([\w.<>]{1,80})')
_LIBRARIES = ("site-packages", "dist-packages", "keras/src", "tensorflow/python", "<frozen", "/lib/python")


def own_frame(text: str) -> str:
    """Return the last line of a traceback that is not in a library, "" if there is none."""
    own = [frame for frame in _FRAME.findall(text) if not any(part in frame[0] for part in _LIBRARIES)]
    if not own:
        return ""
    path, line, function = own[-1]
    name = re.split(r"[/\\]", path)[-1]
    inside = "" if function == "<module>" else f", in {function}"
    return f"line {line} of {name}{inside}"


def from_last(text: str, patterns: tuple[str, ...]) -> str | None:
    """Return the text from the last place where one of the patterns occurs."""
    places = [match.start() for pattern in patterns for match in re.finditer(pattern, text)]
    return text[max(places) :] if places else None


def is_of_loss(text: str) -> bool:
    return re.search(r"compile_loss|[Ll]oss/|_loss\b|loss_fn|losses\.py", text) is not None
