"""Training on the machines of a cluster, which share the runs folder; `UNET_CLUSTER_TRAINING` turns it on.

The scheduler chooses the machine; the worker there is the same process as on one host, and everything about the run is
in its directory. Where a machine is lost, Dask starts the task again on another one, which goes on after the last whole
epoch. Imports no TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from unet_core.jobs.cluster import Cluster, ClusterError, Task, open_cluster
from unet_core.settings import Settings, get_settings
from unet_core.train.run_directory import STARTING, RunDirectory
from unet_core.train.workers import record_end, start_worker

NO_MACHINE_YET = "a machine of the cluster"  # the host of a run until one has taken it
_POLL_SECONDS = 1.0
_PASSED_ON = (
    "cluster",
    "cluster_training",
    "keep_runs",
    "max_run_mb",
)  # the rest of the settings is each machine's own
_connections: dict[str, Cluster] = {}
_CONNECTING = threading.Lock()


# --- here -------------------------------------------------------------------------------------------------------------


def capacity(settings: Settings) -> int:
    """Return how many trainings the cluster's workers run at a time now.

    Raises:
        ClusterError: it cannot be reached, or no worker offers what a training needs.
    """
    cluster, needs = _connected(settings), settings.training_resources
    if missing := cluster.missing(needs):
        raise ClusterError(missing)
    return cluster.capacity(needs)


def mark(run: RunDirectory) -> bool:
    """Record that a run has left the queue for the cluster."""
    now = time.time()
    status = dataclasses.replace(run.status(), state="running", phase=STARTING, reason="", pid=0, host=NO_MACHINE_YET)
    run.write_status(dataclasses.replace(status, task=secrets.token_hex(8), launched=now, started=now, finished=0.0))
    run.forget_test()
    return True


def submit(run: RunDirectory, settings: Settings, train: Callable[..., object]) -> None:
    """Send a run that `mark` has recorded to the cluster, which trains it even if this process ends.

    Args:
        run: the run.
        settings: the cluster's, and what `train` gets of them.
        train: importable on the workers; called there with the arguments of `train_here`.

    Raises:
        ClusterError: the cluster cannot be reached.
    """
    token = run.status().task
    passed_on = {name: getattr(settings, name) for name in _PASSED_ON}
    try:
        task = _connected(settings).submit(
            train, str(run.path.resolve()), token, passed_on, resources=settings.training_resources, key=run.id
        )
    except ClusterError as error:
        _fail(run, token, error)
        raise
    task.keep()
    threading.Thread(target=_report, args=(run, token, task), daemon=True, name="cluster run").start()


def _report(run: RunDirectory, token: str, task: Task) -> None:
    """Wait for a task, and record why it failed before it could: a lost scheduler gets it again meanwhile."""
    try:
        while not task.done():
            time.sleep(_POLL_SECONDS)
        task.result()
    except Exception as error:
        _fail(run, token, error)


def _fail(run: RunDirectory, token: str, error: Exception) -> None:
    status = run.status()
    if status.task != token or status.state in ("finished", "stopped", "failed"):
        return
    if not status.active or not status.pid:  # else a worker trains it, although its task is lost
        with contextlib.suppress(OSError):
            run.write_status(dataclasses.replace(status, state="failed", reason=str(error), phase="", task=""))


def _connected(settings: Settings) -> Cluster:
    with _CONNECTING:
        if settings.cluster not in _connections:
            _connections[settings.cluster] = open_cluster(settings)
        return _connections[settings.cluster]


# --- on the cluster's machine -----------------------------------------------------------------------------------------


def train_here(path: str, token: str, passed_on: dict[str, str]) -> Settings | None:
    """Train a run on this machine of the cluster, in a process of its own; returns when it has ended.

    Returns the settings with which it was trained, None if there was nothing to train.

    A run that another machine still trains, which the scheduler has lost, is waited for; a lost one is continued.

    Args:
        path: of the run directory.
        token: `Status.task`; if the run has another one, it was started again by other means.
        passed_on: settings of the machine that submits; those of folders are this machine's own.

    Raises:
        ClusterError: this machine does not find the run directory.
    """
    run = RunDirectory(path)
    if not RunDirectory.exists(run.path):
        raise ClusterError(
            f"{socket.gethostname()} does not find {path}: UNET_RUNS_DIR must be the same folder on all machines."
        )
    settings = get_settings().replace(runs_dir=Path(path).parent, **passed_on)
    while (status := run.status()).active and status.pid and status.task == token:
        time.sleep(_POLL_SECONDS)
    if status.task != token or not (status.active or status.state == "interrupted"):
        return None
    if run.stop_requested():
        run.write_status(dataclasses.replace(status, state="stopped", reason="stopped on request", phase="", task=""))
        return None
    run.log(f"{'continues' if run.resume_state.exists() else 'trains'} on {socket.gethostname()}")
    if (process := start_worker(run, settings)) is not None:
        record_end(run, process.pid, process.wait())
    return settings
