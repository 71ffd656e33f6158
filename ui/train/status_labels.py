"""The words, icons and colours of a run's state, the same everywhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from unet_core.train.run_directory import RunLabel, State, Status

Colour = Literal["gray", "blue", "orange", "green", "red"]

WORDS: dict[State, str] = {
    "queued": "Waiting",
    "running": "Training",
    "stopping": "Stopping",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Failed",
    "interrupted": "Interrupted",
}
ICONS: dict[State, str] = {
    "queued": ":material/hourglass_top:",
    "running": ":material/play_circle:",
    "stopping": ":material/stop_circle:",
    "finished": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "interrupted": ":material/power_off:",
}
COLOURS: dict[State, Colour] = {
    "queued": "gray",
    "running": "blue",
    "stopping": "orange",
    "finished": "green",
    "stopped": "gray",
    "failed": "red",
    "interrupted": "orange",
}
PHASES = {
    "": "getting ready",
    "starting": "starting its process, which takes some seconds",
    "reading photos": "reading the photos",
    "building": "building the network",
    "measuring": "evaluating it on the test photos",
    "exporting": "writing the ONNX file",
}


def distinct_names(labels: Mapping[str, RunLabel]) -> dict[str, str]:
    """Return the runs' names by id; equal names get the time when the run was created: "Pets · 14:03"."""
    often = Counter(label.name for label in labels.values())
    names = {id_: label.name for id_, label in labels.items()}
    for name in (name for name, count in often.items() if count > 1):
        same = {id_: time.localtime(label.created) for id_, label in labels.items() if label.name == name}
        names |= {id_: f"{name} · {stamp}" for id_, stamp in _stamps(same).items()}
    return names


def _stamps(times: Mapping[str, time.struct_time]) -> dict[str, str]:
    """Return the shortest times that differ: with the day if there are several, with seconds within a minute."""
    stamps: dict[str, str] = {}
    one_day = len({(moment.tm_year, moment.tm_yday) for moment in times.values()}) == 1
    for form in ("%H:%M", "%H:%M:%S") if one_day else ("%d %b %H:%M", "%d %b %Y %H:%M", "%d %b %Y %H:%M:%S"):
        stamps = {id_: time.strftime(form, moment) for id_, moment in times.items()}
        if len(set(stamps.values())) == len(times):
            return stamps
    return {id_: f"{stamp} · {id_}" for id_, stamp in stamps.items()}


def phase(status: Status) -> str:
    """Return what a worker is doing: its epoch and step, or the phase before or after training."""
    if status.phase not in ("training", "validating"):
        return PHASES.get(status.phase, status.phase)
    now = f"epoch {min(status.epoch + 1, status.epochs)} of {status.epochs}"
    return f"{now}, validating" if status.phase == "validating" else f"{now}, step {status.step} of {status.steps}"
