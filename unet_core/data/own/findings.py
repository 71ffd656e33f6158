"""What an inspection of a dataset finds wrong or odd, in words and with the files it concerns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from unet_core.strict import Strict

SHOWN_FILES = 100  # names that a finding lists; `count` tells how many there are

Severity = Literal["error", "warning"]


class Finding(Strict):
    """One thing to fix (an error: nothing trains before) or to look at (a warning).

    `positions`, where given, has one (x, y) in pixels for each of `files`: the first place where it shows.
    """

    severity: Severity
    code: str
    message: str
    files: tuple[str, ...] = ()
    positions: tuple[tuple[int, int], ...] = ()
    count: int = 0


def error(code: str, message: str, files: Iterable[str] = (), positions: Sequence[tuple[int, int]] = ()) -> Finding:
    """Return a finding that keeps the dataset from being used."""
    return _finding("error", code, message, files, positions)


def warning(code: str, message: str, files: Iterable[str] = (), positions: Sequence[tuple[int, int]] = ()) -> Finding:
    """Return a finding that a person should look at."""
    return _finding("warning", code, message, files, positions)


def named(files: Sequence[str]) -> str:
    """Name a few files in a sentence: "a.png", "a.png and b.png", "a.png, b.png and 7 more"."""
    if len(files) <= 2:
        return " and ".join(files)
    return f"{files[0]}, {files[1]} and {len(files) - 2} more"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Count things in words: "1 photo", "3 photos"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}".replace(",", "\u2009")


def _finding(
    severity: Severity, code: str, message: str, files: Iterable[str], positions: Sequence[tuple[int, int]]
) -> Finding:
    listed = tuple(files)
    return Finding(
        severity=severity,
        code=code,
        message=message,
        files=listed[:SHOWN_FILES],
        positions=tuple(positions[:SHOWN_FILES]),
        count=len(listed),
    )
