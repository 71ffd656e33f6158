"""Numbers as text: always with a unit, a thin space between thousands."""

from __future__ import annotations

from collections.abc import Mapping

from unet_core.jobs.disclosure import without_paths

THIN_SPACE = "\u202f"  # narrow and non-breaking, so that a number is never split at a line break
TIMES = "\u00d7"
SCALES = {"unit": "0 … 1", "symmetric": "−1 … 1", "raw": "0 … 255", "standardize": "mean 0, deviation 1"}
STAGES = {"decode": "decode", "preprocess": "prepare", "network": "network", "postprocess": "mask"}


def number(value: float, digits: int = 0) -> str:
    """Write `value` with `digits` decimals and thin-space thousands: 1862979 becomes "1 862 979"."""
    return f"{value:,.{digits}f}".replace(",", THIN_SPACE)


def quantity(value: float, unit: str, digits: int = 0) -> str:
    """Write a number with its unit, without a line break between them."""
    return f"{number(value, digits)}{THIN_SPACE}{unit}"


def percent(share: float, digits: int = 1) -> str:
    """Write a share 0…1 in percent."""
    return quantity(100 * share, "%", digits)


def milliseconds(value: float) -> str:
    """Write a duration in milliseconds, or in seconds from one second on."""
    if value >= 1000:
        return quantity(value / 1000, "s", 1)
    return quantity(value, "ms", 1 if value < 10 else 0)


def byte_size(count: int) -> str:
    """Write a number of bytes in the largest decimal unit that leaves at least 1."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return quantity(count / size, unit, 1 if count < 100 * size else 0)
    return quantity(count, "bytes")


def pixels(width: int, height: int) -> str:
    """Write a picture's size, width first."""
    return f"{number(width)}{THIN_SPACE}{TIMES}{THIN_SPACE}{number(height)}{THIN_SPACE}px"


def stages(timings: Mapping[str, float]) -> str:
    """Write the time of each measured stage, in order: "decode 4.1 ms · network 15 ms"."""
    return " · ".join(f"{label} {milliseconds(timings[key])}" for key, label in STAGES.items() if key in timings)


def ago(seconds: float) -> str:
    """Write how long ago something happened, in a suitable unit."""
    if seconds < 10:
        return "just now"
    if seconds < 90:
        return f"{seconds:.0f} seconds ago"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes ago"
    return f"{seconds / 3600:.0f} hours ago"


def duration(seconds: float) -> str:
    """Write a duration in a suitable unit."""
    if seconds < 90:
        return quantity(seconds, "s")
    return quantity(seconds / 60, "min") if seconds < 5400 else quantity(seconds / 3600, "h", 1)


def plain(text: str) -> str:
    """Escape Streamlit's Markdown in untrusted text, such as file names and errors, and hide the server's folders."""
    return escaped(without_paths(text))


def escaped(text: str) -> str:
    """Escape Streamlit's Markdown in untrusted text that has no paths but those its reader may know."""
    return "".join(f"\\{character}" if character in "\\`*_{}[]()<>#+-!|~$:" else character for character in text)


def words(name: str) -> str:
    """Write an identifier as words: american_bulldog becomes "american bulldog"."""
    return name.replace("_", " ")


def shape(value: tuple[int, ...]) -> str:
    """Write a feature map's shape: 572×572×64."""
    return TIMES.join(map(str, value))


def receptive_field(side: int, whole_image: bool) -> str:
    """Write the side of a receptive field, or that it is the whole image."""
    return "whole image" if whole_image else quantity(side, "px")


def short(value: int) -> str:
    """Write a count with an SI prefix: 31 030 658 becomes "31.0 M"."""
    for prefix, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return quantity(value / size, prefix, 1 if value < 100 * size else 0)
    return str(value)
