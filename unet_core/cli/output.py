"""What a command prints: text or one JSON document, and progress bars on stderr."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

    from unet_core.jobs.cluster import Cluster

_WAITING_SECONDS = 0.5  # between two looks for a cluster's first worker

OK, FAILED, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 130  # the exit codes


@dataclass(frozen=True)
class Output:
    """Where a command's result is written, and whether as JSON or as text."""

    stream: TextIO
    as_json: bool

    def result(self, document: Any, text: str) -> None:
        """Write the result: `document` with --json, else `text`."""
        if self.as_json:
            text = json.dumps(_finite(document), indent=2)
        self.stream.write(text + "\n")
        self.stream.flush()


def wait_for_workers(cluster: Cluster, waited: Callable[[], object] = lambda: None) -> None:
    """Say on stderr what a cluster needs, and wait for it: how photos are divided depends on the number of workers.

    Args:
        cluster: where the photos will be worked on.
        waited: called again and again meanwhile.
    """
    if needed := cluster.missing():
        print(needed, file=sys.stderr, flush=True)
        while cluster.missing():
            waited()
            time.sleep(_WAITING_SECONDS)


def say_rate(photos: int, seconds: float, where: str) -> None:
    """Say on stderr how fast photos were done, and where."""
    print(f"{photos:,} photos in {seconds:.1f} s, {photos / seconds:.1f} a second, on {where}", file=sys.stderr)


def shape_text(shape: tuple[int, ...] | None) -> str:
    """Return a shape as text, such as 572×572×1."""
    return "×".join(map(str, shape)) if shape else "–"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Align columns: the first to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))])
        for line in lines
    )


@contextlib.contextmanager
def progress_bars(prefix: str = "", unit: str = "it") -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function (phase, done, total) that draws a progress bar for each phase if stderr is a terminal."""
    from tqdm import tqdm

    bars: dict[str, tqdm[Any]] = {}

    def close() -> None:
        for bar in bars.values():
            bar.close()

    def draw(phase: str, done: int, total: int) -> None:
        if not total:
            return
        if phase not in bars:
            close()
            scaled = total > 1e6
            bars[phase] = tqdm(
                total=total, desc=prefix + phase, unit=unit, unit_scale=scaled, disable=None, leave=False
            )
        bars[phase].update(done - bars[phase].n)

    try:
        yield draw
    finally:
        close()


def _finite(value: Any) -> Any:
    """Replace the numbers that JSON does not have, NaN and infinities, with null."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
