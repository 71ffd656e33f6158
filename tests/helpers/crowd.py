"""Many visitors at once, each with a connection of its own, and what they met together."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance, ImageOps

from tests.helpers.visitor import Visitor
from unet_core.images.decode import decode_image
from unet_core.images.samples import cat_png

TOLERANCE = 0.01  # of a share: the page rounds to 0.1 %


@dataclass
class Log:
    """What a group of visitors met."""

    page_seconds: list[float] = field(default_factory=list)
    photo_seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unread: int = 0
    right: int = 0
    visits: int = 0
    message_bytes: int = 0

    def figures(self) -> dict[str, Any]:
        """Return counts, and the median and 95th percentile of the waiting times in seconds."""
        return {
            "visits": self.visits,
            "right": self.right,
            "wrong": len(self.wrong),
            "unread": self.unread,
            "errors": len(self.errors),
            "photo_p50_s": quantile(self.photo_seconds, 0.5),
            "photo_p95_s": quantile(self.photo_seconds, 0.95),
            "page_p50_s": quantile(self.page_seconds, 0.5),
            "page_p95_s": quantile(self.page_seconds, 0.95),
            "kb_per_visit": round(self.message_bytes / 1000 / max(1, self.visits), 1),
            "first_errors": sorted(set(self.errors))[:4],
            "first_wrong": self.wrong[:4],
        }


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which `share` of the values lie, None if there are none."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 3) if values else None


# --- photos and the truth about them ----------------------------------------------------------------------------------


def make_photos(folder: Path, count: int = 24) -> list[Path]:
    """Write variations of the sample photo: cut, mirrored and tinted, so that no two have the same result."""
    original = Image.fromarray(decode_image(cat_png()))
    chance, paths = random.Random(0), []
    for number in range(count):
        width, height = original.size
        share = chance.uniform(0.55, 1.0)
        left, top = chance.uniform(0, 1 - share) * width, chance.uniform(0, 1 - share) * height
        photo = original.crop((int(left), int(top), int(left + share * width), int(top + share * height)))
        photo = ImageOps.mirror(photo) if number % 2 else photo
        photo = ImageEnhance.Brightness(photo).enhance(chance.uniform(0.8, 1.2))
        paths.append(folder / f"photo-{number:02}.jpg")
        photo.save(paths[-1], quality=90)
    return paths


def truth_of(photos: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Return each photo's shares by class as the library computes them."""
    import unet_core as unet

    return {photo.name: dict(unet.segment(photo).shares) for photo in photos}


# --- visitors ---------------------------------------------------------------------------------------------------------


async def visit(
    address: str,
    number: int,
    stop: float,
    photos: Sequence[Path],
    truth: Mapping[str, Mapping[str, float]],
    log: Log,
    page: str,
    others: Sequence[str],
) -> None:
    """Visit until the time `stop`, and write down what was met."""
    chance = random.Random(number)
    while time.monotonic() < stop:
        try:
            async with Visitor(address) as visitor:
                opened = await visitor.run(page)
                log.page_seconds.append(opened.seconds)
                photo = chance.choice(photos)
                started = time.perf_counter()
                state = await visitor.upload(opened.element("file_uploader"), photo)
                shown = await visitor.run(page, states=(state,))
                log.photo_seconds.append(time.perf_counter() - started)
                log.errors += opened.errors + shown.errors
                log.message_bytes += opened.message_bytes + shown.message_bytes
                _compare(shown.shares(("pet", "background", "border")), photo.name, truth, log)
                if others:
                    other = await visitor.run(chance.choice(others))
                    log.page_seconds.append(other.seconds)
                    log.errors += other.errors
            log.visits += 1
        except Exception as error:  # whatever a visitor may meet is a figure
            log.errors.append(f"{type(error).__name__}: {error}"[:200])
            await asyncio.sleep(0.5)


def _compare(found: Mapping[str, float], name: str, truth: Mapping[str, Mapping[str, float]], log: Log) -> None:
    wanted = truth.get(name)
    if not found:
        log.unread += 1
    elif wanted is None or all(abs(found.get(label, 0) - share) <= TOLERANCE for label, share in wanted.items()):
        log.right += 1
    else:
        log.wrong.append(f"{name}: {found} instead of {dict(wanted)}")


def crowd(
    address: str,
    visitors: int,
    seconds: float,
    photos: Sequence[Path],
    truth: Mapping[str, Mapping[str, float]],
    *,
    page: str = "Segment",
    others: Sequence[str] = (),
) -> Log:
    """Let `visitors` come at once for `seconds`; return what they met together."""
    log, stop = Log(), time.monotonic() + seconds

    async def everybody() -> None:
        await asyncio.gather(
            *(visit(address, number, stop, photos, truth, log, page, others) for number in range(visitors))
        )

    asyncio.run(everybody())
    return log
