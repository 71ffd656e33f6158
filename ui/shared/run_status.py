"""The words, icons and colours for the state of a training run, and its parameter in the address."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from ui.shared.url import Option
from unet_core.train.run_directory import RunLabel, Status

RUN = Option("run")  # the id of the run that the Train page shows

WORDS = {
    "queued": "Waiting",
    "running": "Training",
    "stopping": "Stopping",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Failed",
    "interrupted": "Interrupted",
}
ICONS = {
    "queued": ":material/hourglass_top:",
    "running": ":material/play_circle:",
    "stopping": ":material/stop_circle:",
    "finished": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "interrupted": ":material/power_off:",
}
COLOURS: dict[str, Literal["gray", "blue", "orange", "green", "red"]] = {
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
    "starting": "starting a separate process, which takes some seconds",
    "reading photos": "reading the photos",
    "building": "building the network",
    "measuring": "evaluating it on the test photos",
    "exporting": "writing the ONNX file",
}


def distinct_names(labels: Mapping[str, RunLabel]) -> dict[str, str]:
    """Return the runs' names by id; runs that share a name get the time they were created: "Pets · 14:03"."""
    uses = Counter(label.name for label in labels.values())
    names = {id_: label.name for id_, label in labels.items()}
    for name in (name for name, count in uses.items() if count > 1):
        same = {id_: time.localtime(label.created) for id_, label in labels.items() if label.name == name}
        names |= {id_: f"{name} · {stamp}" for id_, stamp in _stamps(same).items()}
    return names


def _stamps(times: Mapping[str, time.struct_time]) -> dict[str, str]:
    """Write the shortest distinct form of the times: with the day if the days differ, with seconds if needed."""
    one_day = len({(moment.tm_year, moment.tm_yday) for moment in times.values()}) == 1
    stamps: dict[str, str] = {}
    for form in ("%H:%M", "%H:%M:%S") if one_day else ("%d %b %H:%M", "%d %b %Y %H:%M", "%d %b %Y %H:%M:%S"):
        stamps = {id_: time.strftime(form, moment) for id_, moment in times.items()}
        if len(set(stamps.values())) == len(times):
            return stamps
    return {id_: f"{stamp} · {id_}" for id_, stamp in stamps.items()}


def phase(status: Status) -> str:
    """Describe what a worker is doing: its epoch and step, or the phase before or after training."""
    if status.phase not in ("training", "validating"):
        return PHASES.get(status.phase, status.phase)
    now = f"epoch {min(status.epoch + 1, status.epochs)} of {status.epochs}"
    return f"{now}, validating" if status.phase == "validating" else f"{now}, step {status.step} of {status.steps}"
