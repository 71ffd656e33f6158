"""Starting a training run in a process of its own, and finding the runs of a dataset again. No TensorFlow import."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from unet_core.config import UNetConfig
from unet_core.data.augmentation import AugmentationConfig
from unet_core.settings import ROOT, Settings, get_settings
from unet_core.train.config import TrainConfig
from unet_core.train.run_directory import RunDirectory, RunError

QUEUED_SECONDS = 120  # a worker that has not begun by then never will
SHORT_RUN_MINUTES = 10


def short_run(data: str, classes: int, augmentation: AugmentationConfig | None = None) -> TrainConfig:
    """Return a run that shows within minutes whether a dataset can be learnt: a small U-Net, from scratch."""
    return TrainConfig(
        model=UNetConfig(
            height=128, width=128, classes=classes, depth=4, base_filters=16, normalization="batch", batch_momentum=0.9
        ),
        data=data,
        augmentation=augmentation or AugmentationConfig(),
        epochs=10,
        batch_size=8,
        learning_rate=2e-3,
        time_limit_minutes=SHORT_RUN_MINUTES,
    )


def start_run(config: TrainConfig, settings: Settings | None = None) -> RunDirectory:
    """Begin a run in a new run directory and return at once; its worker outlives this process.

    Raises:
        RunError: another run is under way on this machine, or the directory cannot be written.
    """
    settings = settings or get_settings()
    settings.runs_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.runs_dir / ".start.lock", timeout=5):  # two visitors may press the button at once
            busy = active_run(settings)
            if busy is not None:
                raise RunError(f"A training is under way already ({busy.path.name}): wait for it to end, or stop it.")
            run = RunDirectory.create(new_run_folder(Path(config.data).stem, settings), config)
            _start_worker(run)
    except Timeout:
        raise RunError("Another training is just being started: try again in a moment.") from None
    return run


def new_run_folder(name: str, settings: Settings | None = None) -> Path:
    """Return a path in the runs folder that is not taken: the time and `name`."""
    folder = (settings or get_settings()).runs_dir
    stamped = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    path, number = folder / stamped, 1
    while path.exists():
        number += 1
        path = folder / f"{stamped}-{number}"
    return path


def _start_worker(run: RunDirectory) -> None:
    with open(run.path / "worker.txt", "ab") as output:
        subprocess.Popen(
            [sys.executable, "-m", "unet_core", "train", "--run", str(run.path.resolve())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # closing the app does not end the run
        )


def is_active(run: RunDirectory) -> bool:
    """Say whether a run is being trained or about to be."""
    status = run.status()
    return status.state == "running" or (status.state == "queued" and time.time() - status.heartbeat < QUEUED_SECONDS)


def all_runs(settings: Settings | None = None) -> list[RunDirectory]:
    """Return the runs in the runs folder, the newest first."""
    folder = (settings or get_settings()).runs_dir
    runs = [RunDirectory(path) for path in folder.glob("*") if RunDirectory.exists(path)]
    return sorted(runs, key=lambda run: (run.path / "config.json").stat().st_mtime, reverse=True)


def active_run(settings: Settings | None = None) -> RunDirectory | None:
    """Return the run that is under way, None where none is."""
    return next((run for run in all_runs(settings) if is_active(run)), None)


def latest_run_on(data: str, settings: Settings | None = None) -> RunDirectory | None:
    """Return the newest run on a dataset, None where there is none."""
    for run in all_runs(settings):
        try:
            if run.config().data == data:
                return run
        except ValueError:
            continue  # a run of another version of this program
    return None
