"""A few photos of a dataset with their masks drawn over them, to see at a glance whether they fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unet_core.classes import IGNORE_ID
from unet_core.data.own.folder import FolderExample
from unet_core.data.own.layouts import find_layout
from unet_core.data.own.report import DatasetReport, PairReport
from unet_core.errors import UNetError
from unet_core.images.render import Colour, overlay
from unet_core.settings import Settings

PREVIEWS = 6
_SIDE = 360  # pixels on the longer side
IGNORED_COLOUR: Colour = (128, 128, 128)


@dataclass(frozen=True, eq=False)
class Preview:
    """A photo with its mask drawn over it, (H, W, 3) uint8; `turned` if an EXIF orientation was or could be applied."""

    name: str
    picture: np.ndarray
    turned: bool = False
    stored: bool = False  # drawn as stored


def previews(report: DatasetReport, folder: Path, settings: Settings, count: int = PREVIEWS) -> list[Preview]:
    """Draw a few pairs that show all classes between them; a photo with an EXIF orientation is drawn both ways.

    Pairs that cannot be read are passed over.
    """
    if report.coding is None:
        return []
    pairs = {pair.name: pair for pair in find_layout(folder, settings, report.options).pairs}
    colours: dict[int, Colour | None] = dict(enumerate(report.coding.colours))
    colours[IGNORE_ID] = IGNORED_COLOUR
    colours[report.background] = None
    found: list[Preview] = []
    for chosen in telling_pairs(report, count):
        pair = pairs.get(chosen.name)
        if pair is None:
            continue
        ways = ("upright", "stored") if chosen.turned else (report.options.orientation,)
        for way in ways:
            options = report.options.replace(orientation=way)
            example = FolderExample(
                pair.name, pair.photo, pair.mask, report.coding, settings, options, pair.page, report.channels
            )
            picture = _drawn(example, colours)
            if picture is not None and len(found) < count:
                found.append(Preview(chosen.name, picture, chosen.turned, chosen.turned and way == "stored"))
    return found


def telling_pairs(report: DatasetReport, count: int) -> list[PairReport]:
    """Choose pairs: photos with an EXIF orientation first, then those that add most to the classes seen so far."""
    rest = sorted(report.pairs, key=lambda pair: (not pair.turned, pair.name))
    chosen: list[PairReport] = rest[:1] if rest and rest[0].turned else []
    seen = np.zeros(len(report.class_names))
    while rest and len(chosen) < count:
        shares = [np.array(report.class_shares(pair) or np.zeros(len(seen))) for pair in rest]
        gains = [float((np.sqrt(seen + share) - np.sqrt(seen)).sum()) for share in shares]
        best = int(np.argmax(gains))
        seen += shares[best]
        if rest[best] not in chosen:
            chosen.append(rest[best])
        del rest[best]
    return chosen


def _drawn(example: FolderExample, colours: dict[int, Colour | None]) -> np.ndarray | None:
    try:
        photo, ids = example.decode()
    except (UNetError, OSError):
        return None
    step = max(1, -(-max(ids.shape) // _SIDE))
    return overlay(photo[::step, ::step].copy(), ids[::step, ::step].copy(), opacity=0.5, colours=colours)
