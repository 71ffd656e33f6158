"""How the state of a run is put into words, icons and colours, the same everywhere."""

from __future__ import annotations

from unet_core.train.run_directory import Status

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
COLOURS = {
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
    "starting": "starting a process of its own, which takes some seconds",
    "reading photos": "reading the photos",
    "building": "building the network",
    "measuring": "measuring it on the test photos",
    "exporting": "writing the ONNX file",
}


def phase(status: Status) -> str:
    """Return what a worker does right now: the epoch and step it is at, or what comes before and after them."""
    if status.phase not in ("training", "validating"):
        return PHASES.get(status.phase, status.phase)
    now = f"epoch {min(status.epoch + 1, status.epochs)} of {status.epochs}"
    return f"{now}, validating" if status.phase == "validating" else f"{now}, step {status.step} of {status.steps}"
