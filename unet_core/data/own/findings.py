"""Errors and warnings of a dataset inspection: a sentence, and the files it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from unet_core.strict import Strict

SHOWN_FILES = 100  # names that a finding lists; `count` is the total

Severity = Literal["error", "warning"]


class Finding(Strict):
    """An error, which must be fixed before training, or a warning, which should be checked.

    `positions`, if given, are the first (x, y) in pixels where the problem shows, one for each of the first `files`.
    """

    severity: Severity
    code: str
    message: str
    files: tuple[str, ...] = ()
    positions: tuple[tuple[int, int], ...] = ()
    count: int = 0


class Unused(Strict):
    """A file or shape of a dataset that is not used, and the reason."""

    path: str
    why: str


def unused(path: str, why: str) -> Unused:
    """Return what is not used, and why."""
    return Unused(path=path, why=why)


def error(code: str, message: str, files: Iterable[str] = (), positions: Sequence[tuple[int, int]] = ()) -> Finding:
    """Return a finding that makes the dataset unusable."""
    return _finding("error", code, message, files, positions)


def warning(code: str, message: str, files: Iterable[str] = (), positions: Sequence[tuple[int, int]] = ()) -> Finding:
    """Return a finding that a person should check."""
    return _finding("warning", code, message, files, positions)


def named(files: Sequence[str]) -> str:
    """Name a few files in a sentence: "a.png", "a.png and b.png", "a.png, b.png and 7 more"."""
    if len(files) <= 2:
        return " and ".join(files)
    return f"{files[0]}, {files[1]} and {len(files) - 2} more"


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
