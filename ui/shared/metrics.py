"""Figures for the operators of a server, which Streamlit's own metrics endpoint serves; none says who did what."""

from __future__ import annotations

import contextlib
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import psutil
from streamlit.runtime.stats import CounterStat, GaugeStat, HistogramStat, Stat

from unet_core.errors import UNetError
from unet_core.jobs.photo_work import PHOTOS, SECONDS
from unet_core.settings import Settings
from unet_core.train import queue

_WEB = "web"  # the name of this process beside those of jobs
_JOB = re.compile(r"unet_core(\.\w+)*|[a-z][a-z-]{0,30}")  # what may stand in a label: a module or a command


class Metrics:
    """Provides the figures to Streamlit, family by family (see `streamlit.runtime.stats.StatsProvider`).

    Args:
        settings: the folders to look into.
        held_bytes: counts what all sessions hold in memory, by kind.
    """

    def __init__(self, settings: Settings, held_bytes: Mapping[str, Callable[[], int]]) -> None:
        self._families: dict[str, Callable[[str], Sequence[Stat]]] = {
            "unet_photos": _photos,
            "unet_photo_duration_seconds": _durations,
            "unet_photos_pending": _pending,
            "unet_training_runs": lambda family: _training_runs(family, settings),
            "unet_processes": _processes,
            "unet_memory_bytes": _memory,
            "unet_held_bytes": lambda family: _held(family, held_bytes),
        }

    @property
    def stats_families(self) -> Sequence[str]:
        """The names of the families."""
        return list(self._families)

    def get_stats(self, family_names: Sequence[str] | None = None) -> Mapping[str, Sequence[Stat]]:
        """Return the figures of these families, by default of all."""
        return {
            family: figures(family)
            for family, figures in self._families.items()
            if family_names is None or family in family_names
        }


def _photos(family: str) -> Sequence[Stat]:
    return [
        CounterStat(family, number, {"outcome": outcome}, help="Photos since the start, by how they ended.")
        for outcome, number in PHOTOS.counts().outcomes.items()
    ]


def _durations(family: str) -> Sequence[Stat]:
    counts = PHOTOS.counts()
    below = list(accumulate(counts.buckets))
    buckets = tuple(zip((*SECONDS, math.inf), below, strict=True))
    text = "Time from a photo's acceptance to its result, waiting included."
    return [HistogramStat(family, buckets, counts.seconds, below[-1], unit="seconds", help=text)]


def _pending(family: str) -> Sequence[Stat]:
    counts = PHOTOS.counts()
    return [
        GaugeStat(family, number, {"state": state}, help="Photos that are accepted and have no result yet.")
        for state, number in {"waiting": counts.waiting, "running": counts.running}.items()
    ]


def _training_runs(family: str, settings: Settings) -> Sequence[Stat]:
    numbers = {"active": 0, "waiting": 0}
    with contextlib.suppress(OSError, UNetError):  # the runs folder cannot be read: nothing can be trained either
        numbers = {"active": len(queue.active_runs(settings)), "waiting": len(queue.waiting(settings))}
    return [
        GaugeStat(family, number, {"state": state}, help="Training runs in the runs folder that have not ended.")
        for state, number in numbers.items()
    ]


def _processes(family: str) -> Sequence[Stat]:
    return [
        GaugeStat(family, len(sizes), {"job": job}, help="Processes: the web process, and those it started, by job.")
        for job, sizes in sorted(_process_tree().items())
    ]


def _memory(family: str) -> Sequence[Stat]:
    text = "Resident memory of the web process, and of those it started, by job."
    return [
        GaugeStat(family, sum(sizes), {"job": job}, unit="bytes", help=text)
        for job, sizes in sorted(_process_tree().items())
    ]


def _held(family: str, held_bytes: Mapping[str, Callable[[], int]]) -> Sequence[Stat]:
    text = "What all sessions hold in the web process's memory, by kind."
    return [
        GaugeStat(family, count(), {"kind": kind}, unit="bytes", help=text)
        for kind, count in sorted(held_bytes.items())
    ]


def _process_tree() -> dict[str, list[int]]:
    """Return the resident bytes of each process by its job."""
    this = psutil.Process()
    found = defaultdict(list, {_WEB: [this.memory_info().rss]})
    for child in this.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            found[_job(child.cmdline())].append(child.memory_info().rss)
    return dict(found)


def _job(command: Sequence[str]) -> str:
    """Name what `python -m …` runs: a command of ours, or the last part of a module's name."""
    words = command[command.index("-m") + 1 :] if "-m" in command else []
    if not words or not _JOB.fullmatch(words[0]):
        return "other"
    if words[0] == "unet_core" and len(words) > 1 and _JOB.fullmatch(words[1]):
        return words[1]
    return words[0].rpartition(".")[2]
