"""The queue of training runs: each run is trained in its own process, at most `UNET_WORKERS` at a time.

The order is stored in `queue.json` of the runs folder, protected by a lock between processes. No process has to keep
running: a worker that ends starts the next run, and so does every call of `advance`. Imports no TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import math
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from unet_core.errors import UNetError
from unet_core.jobs.cluster import ClusterError
from unet_core.jobs.disclosure import data_title
from unet_core.jobs.names import MAX_NAME, is_file_name, one_line
from unet_core.jobs.process import when_ended
from unet_core.jobs.tables import write_atomically
from unet_core.settings import Settings, get_settings
from unet_core.train import on_cluster
from unet_core.train.checks import check_start
from unet_core.train.config import TrainConfig
from unet_core.train.run_directory import (
    STARTING,
    RunDirectory,
    RunError,
    RunLabel,
    new_run_folder,
)
from unet_core.train.workers import is_worker, record_end, start_worker

LOCK_SECONDS = 20.0
_CHECK_SECONDS = 2.0
_GONE = ".deleted-"  # first part of the name of a folder that is being removed


# --- reading ----------------------------------------------------------------------------------------------------------


def all_runs(
    settings: Settings | None = None, is_listed: Callable[[RunLabel], bool] | None = None
) -> list[RunDirectory]:
    """Return the runs in the runs folder, or those whose label `is_listed` accepts, the newest first."""
    folder = (settings or get_settings()).runs_dir
    runs = [RunDirectory(path) for path in folder.glob("[!.]*") if RunDirectory.exists(path)]
    labelled = [(run, run.label()) for run in runs]
    listed = [(label.created, run.id, run) for run, label in labelled if is_listed is None or is_listed(label)]
    return [run for _, _, run in sorted(listed, key=lambda entry: entry[:2], reverse=True)]


def find_run(run_id: str, settings: Settings | None = None) -> RunDirectory:
    """Return a run by its id.

    Raises:
        RunError: there is no such run, or the text is not an id.
    """
    path = (settings or get_settings()).runs_dir / run_id
    if not is_file_name(run_id) or not RunDirectory.exists(path):
        raise RunError(f"There is no run {run_id[:MAX_NAME]!r}: it may have been deleted.")
    return RunDirectory(path)


def active_runs(settings: Settings | None = None) -> list[RunDirectory]:
    """Return the runs that are being trained."""
    return [run for run in all_runs(settings) if run.status().active]


def waiting(settings: Settings | None = None) -> list[RunDirectory]:
    """Return the waiting runs, the next one first."""
    settings = settings or get_settings()
    runs = [RunDirectory(settings.runs_dir / run_id) for run_id in _order(settings)]
    return [run for run in runs if RunDirectory.exists(run.path) and run.status().state == "queued"]


def position(run: RunDirectory, settings: Settings | None = None) -> int | None:
    """Return a run's position in the queue, 1 for the next one; None if it is not waiting."""
    ids = [other.id for other in waiting(settings)]
    return ids.index(run.id) + 1 if run.id in ids else None


def is_pending(run: RunDirectory, settings: Settings | None = None) -> bool:
    """Return whether a run is being trained or waits in the queue."""
    status = run.status()
    if status.state == "queued" and position(run, settings) is None:
        status = run.status()  # it may have left the queue this instant, because it has started
        return status.active
    return status.active or status.state == "queued"


def pending_runs(settings: Settings | None = None) -> list[RunDirectory]:
    """Return the runs that are being trained or wait in the queue, the newest first, also one that starts meanwhile."""
    settings = settings or get_settings()
    order, found = _order(settings), []
    for run in all_runs(settings):
        status = run.status()  # once: between two looks a waiting run may have started
        if status.active or (status.state == "queued" and run.id in order):
            found.append(run)
    return found


def latest_run_on(
    data: str, settings: Settings | None = None, is_listed: Callable[[RunLabel], bool] | None = None
) -> RunDirectory | None:
    """Return the newest run on a dataset, of all runs or those of `all_runs`; None if there is none."""
    for run in all_runs(settings, is_listed):
        try:
            if data in run.config().sources:
                return run
        except ValueError:
            continue  # a run of another version of this program
    return None


def pending_on(data: str, settings: Settings | None = None) -> list[RunDirectory]:
    """Return the runs on a dataset that are being trained or wait."""
    found = []
    for run in pending_runs(settings):
        with contextlib.suppress(UNetError):  # a run of another version of this program
            if data in run.config().sources:
                found.append(run)
    return found


# --- changing ---------------------------------------------------------------------------------------------------------


def submit(
    config: TrainConfig,
    name: str = "",
    photo: bytes | None = None,
    settings: Settings | None = None,
    owner: str = "",
    *,
    sweep: str = "",
    until: int = 0,
) -> RunDirectory:
    """Add a new run to the queue, and start it if it is its turn; returns at once.

    Args:
        config: what to train.
        name: shown to people; by default that of the dataset.
        photo: a photo whose mask is predicted after each epoch.
        settings: folders and limits.
        owner: identifies the visitor who starts it, see `RunLabel`; the limits for visitors then apply.
        sweep: the sweep that it is a trial of.
        until: whole epochs after which it pauses, until it is resumed; 0 trains them all.

    Raises:
        ConfigError: the network does not work at its size.
        ImageError: the photo cannot be used.
        RunError: the dataset, the model to start from or the teacher is missing or does not fit; memory or disk are too
            small; the runs folder cannot be written; or the visitor may start no further run.
    """
    from unet_core.train.previews import keep_photo

    settings = settings or get_settings()
    if owner:
        config = _for_visitor(config, settings)
        _check_pending(owner, settings)
    check_start(config, settings)
    with _locked(settings):
        path = new_run_folder(name or data_title(config.primary), settings)
        run = RunDirectory.create(path, config, name, owner, sweep=sweep, until=until)
    try:
        if photo is not None:
            keep_photo(run, photo, settings)
        with _locked(settings):
            _write_order(_with_turn(run, settings), settings)
    except OSError as error:
        shutil.rmtree(run.path, ignore_errors=True)
        raise RunError(_cannot_write(error)) from None
    except ValueError:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
    prune(settings)
    advance(settings)
    return run


def _with_turn(run: RunDirectory, settings: Settings) -> list[str]:
    """Return the order of the queue with a run that joins it: visitors take turns, one with many runs delays nobody.

    A visitor's second run comes behind the first of everybody else, their third behind the second.
    """
    before = Counter(active.label().owner for active in active_runs(settings))
    order, turns = [], []
    for waits in waiting(settings):
        owner = waits.label().owner
        order.append(waits.id)
        turns.append(before[owner])
        before[owner] += 1
    turn = before[run.label().owner]
    place = next((place for place, other in enumerate(turns) if other > turn), len(order))
    return [*order[:place], run.id, *order[place:]]


def _for_visitor(config: TrainConfig, settings: Settings) -> TrainConfig:
    """Return the configuration with the time limit of visitors' runs.

    Raises:
        RunError: visitors may not train.
    """
    if settings.training == "off":
        raise RunError("Training is turned off on this server.")
    if not settings.visitor_run_minutes:
        return config
    minutes = min(config.time_limit_minutes or math.inf, settings.visitor_run_minutes)
    return config.replace(time_limit_minutes=minutes)


def _check_pending(owner: str, settings: Settings) -> None:
    """Refuse a further run of a visitor who has as many as they may have.

    Raises:
        RunError: they have.
    """
    pending = [run for run in pending_runs(settings) if run.label().owner == owner]
    if settings.visitor_runs and len(pending) >= settings.visitor_runs:
        have = f"{len(pending)} run{'s' * (len(pending) > 1)}"
        raise RunError(
            f"You have {have} training or waiting, as many as a visitor may have at a time: wait until one ends, or "
            "stop one."
        )


def advance(settings: Settings | None = None, *, wait: bool = False) -> list[RunDirectory]:
    """Start the runs whose turn it is, and return them; may be called at any time.

    If the disk is full, the queue is locked or the cluster cannot be used, the runs keep waiting for the next call.

    Args:
        settings: folders and limits.
        wait: for the cluster's scheduler, if runs are trained on one. By default a thread does, which returns no runs.
    """
    settings = settings or get_settings()
    if not _order(settings):
        return []
    started: list[RunDirectory] = []
    if settings.cluster_training:
        started = _start_on_cluster(settings) if wait else []
    else:
        with contextlib.suppress(RunError, OSError), _locked(settings):
            here = [run for run in active_runs(settings) if not run.status().is_elsewhere]
            started = _take(settings.workers - len(here), settings, _start_here)
    if _order(settings) and settings.starts_runs:
        _watch(settings)
    return started


def _take(count: int, settings: Settings, start: Callable[[RunDirectory, Settings], bool]) -> list[RunDirectory]:
    """Take up to `count` runs out of the queue, whose lock is held, and return those that `start` has started."""
    started = []
    order = [run.id for run in waiting(settings)]
    while order and len(started) < count:
        run = RunDirectory(settings.runs_dir / order[0])
        if start(run, settings):
            started.append(run)
        del order[0]
    _write_order(order, settings)
    return started


def move(run: RunDirectory, position: int, settings: Settings | None = None) -> None:
    """Move a waiting run to another position, 1 for the next one.

    Raises:
        RunError: it is not waiting.
    """
    settings = settings or get_settings()
    with _locked(settings):
        order = [other.id for other in waiting(settings)]
        if run.id not in order:
            raise RunError(f"{run.label().name} is not waiting: it has started or ended.")
        order.remove(run.id)
        order.insert(max(0, position - 1), run.id)
        _write_order(order, settings)


def stop(run: RunDirectory, settings: Settings | None = None) -> None:
    """Stop a run: a waiting one leaves the queue, a running one ends within two seconds and keeps its weights.

    Raises:
        RunError: it has been deleted.
    """
    settings = settings or get_settings()
    with _locked(settings):
        _must_exist(run)
        order = _order(settings)
        if run.id in order:
            _write_order([run_id for run_id in order if run_id != run.id], settings)
        status = run.status()
        if status.state == "queued":
            run.write_status(dataclasses.replace(status, state="stopped", reason="removed from the queue"))
            return
        if not status.active:
            return
        run.request_stop()
        # Still importing: the process does not check for the request yet.
        if status.phase == STARTING and not status.is_elsewhere and is_worker(status.pid, run):
            with contextlib.suppress(OSError):
                os.kill(status.pid, signal.SIGTERM)
            ended = dataclasses.replace(status, state="stopped", reason="stopped on request", phase="")
            run.write_status(dataclasses.replace(ended, finished=time.time()))
    advance(settings)


def resume(run: RunDirectory, epochs: int | None = None, settings: Settings | None = None, *, until: int = 0) -> None:
    """Queue a run again; it continues after its last whole epoch.

    Args:
        run: one that was stopped or interrupted, or has failed or finished.
        epochs: a new total; for a finished run, more than it has.
        settings: folders and limits.
        until: whole epochs after which it pauses again; 0 trains them all.

    Raises:
        RunError: it is being trained, has nothing left to do, or has been deleted.
    """
    settings = settings or get_settings()
    with _locked(settings):
        _must_exist(run)
        status = run.status()
        if status.active or position(run, settings) is not None:
            raise RunError(f"{run.label().name} is already running or waiting.")
        config = run.config()
        if any(Path(name).is_absolute() and not Path(name).exists() for name in config.sources):
            raise RunError(
                f"The dataset of {run.label().name} has been deleted: upload it again, and start another run on it."
            )
        if owner := run.label().owner:
            config = _for_visitor(config, settings)
            _check_pending(owner, settings)
        wanted = epochs or config.epochs
        if wanted <= len(run.metrics.rows()):
            raise RunError(f"{run.label().name} has trained all of its {wanted} epochs: resume it with more.")
        if wanted != config.epochs:
            run.write_config(config.replace(epochs=wanted))
        run.clear_stop()
        again = dataclasses.replace(
            status, state="queued", reason="", phase="", step=0, epochs=wanted, until=until, task=""
        )
        run.write_status(again)
        _write_order(_with_turn(run, settings), settings)
    advance(settings)


def rename(run: RunDirectory, name: str) -> None:
    """Rename a run.

    Raises:
        RunError: the name is empty, or the run has been deleted.
    """
    plain = one_line(name)
    if not plain:
        raise RunError("A run needs a name.")
    _relabel(run, name=plain)


def pin(run: RunDirectory, pinned: bool = True) -> None:
    """Set whether a run is kept when old runs are pruned.

    Raises:
        RunError: it has been deleted.
    """
    _relabel(run, pinned=pinned)


def _relabel(run: RunDirectory, **changes: str | bool) -> None:
    with _locked_folder(run.path.parent):  # so that changes of different fields are both kept
        _must_exist(run)
        run.write_label(dataclasses.replace(run.label(), **changes))


def delete(run: RunDirectory, settings: Settings | None = None) -> None:
    """Remove a run with everything in it.

    Raises:
        RunError: it is being trained, or has been deleted already.
    """
    settings = settings or get_settings()
    with _locked(settings):
        _must_exist(run)
        if run.status().active or run.is_held():
            raise RunError(f"{run.label().name} is being trained: stop it first.")
        _write_order([run_id for run_id in _order(settings) if run_id != run.id], settings)
        _remove(run)


def prune(settings: Settings | None = None) -> list[str]:
    """Delete old runs beyond `UNET_KEEP_RUNS` and return their ids; pinned and pending ones always stay.

    Each time, the oldest run of the visitor who has the most goes, so that nobody pushes out the runs of others.
    """
    settings = settings or get_settings()
    removed = []
    with _locked(settings):
        for rest in settings.runs_dir.glob(f"{_GONE}*"):  # left by a process that was killed while it deleted
            shutil.rmtree(rest, ignore_errors=True)
        order = _order(settings)
        runs = all_runs(settings)
        if len(runs) <= settings.keep_runs:
            return []
        owners = Counter(run.label().owner for run in runs)
        removable = [run for run in runs if _may_go(run, order)]
        beyond = {run.id for run in runs[settings.keep_runs :]}
        for _ in range(len([run for run in removable if run.id in beyond])):
            oldest_first = reversed(removable)
            run = max(oldest_first, key=lambda run: owners[run.label().owner])  # of equal ones the first
            removable.remove(run)
            owners[run.label().owner] -= 1
            _remove(run)
            removed.append(run.id)
    return removed


def _may_go(run: RunDirectory, order: Sequence[str]) -> bool:
    """Return whether a run is neither pinned nor pending."""
    return not run.label().pinned and run.id not in order and not run.status().active and not run.is_held()


# --- starting ---------------------------------------------------------------------------------------------------------


def _start_here(run: RunDirectory, settings: Settings) -> bool:
    """Start the run's worker on this machine; False if the system refuses.

    Raises:
        OSError: the status cannot be written; then nothing was started.
    """
    process = start_worker(run, settings)
    if process is None:
        return False
    when_ended(process, lambda code: _worker_ended(run, process.pid, code, settings))
    return True


def train_on_worker(path: str, token: str, passed_on: dict[str, str]) -> None:
    """Train a run on this machine of a cluster, see `on_cluster.train_here`, and then send those whose turn it is.

    This process stays: what one that ends sends may be lost.
    """
    settings = on_cluster.train_here(path, token, passed_on)
    if settings is not None:
        advance(settings, wait=True)


def _start_on_cluster(settings: Settings) -> list[RunDirectory]:
    """Start runs on the cluster, and return them; if it cannot be used, the next run says why it waits."""
    problem, started = "", []
    with contextlib.suppress(RunError, OSError):
        try:
            capacity = on_cluster.capacity(settings)  # without the lock, for which pages wait
            with _locked(settings):
                busy = [run for run in active_runs(settings) if run.status().task]
                started = _take(capacity - len(busy), settings, lambda run, _: on_cluster.mark(run))
            for run in started:
                on_cluster.submit(run, settings, train_on_worker)
        except ClusterError as error:
            problem = str(error)
        with _locked(settings):
            for run in waiting(settings)[:1]:
                if (status := run.status()).reason != problem:
                    run.write_status(dataclasses.replace(status, reason=problem))
    return started


def _worker_ended(run: RunDirectory, pid: int, code: int, settings: Settings) -> None:
    """Record how a worker ended if it could not, and start the next one."""
    with contextlib.suppress(RunError, OSError):
        with _locked(settings):
            record_end(run, pid, code)
        advance(settings)


def _watch(settings: Settings) -> None:
    """Have this process check the queue every few seconds, even if no page does."""
    with _WATCHING:
        if settings.runs_dir in _watched:
            return
        _watched.add(settings.runs_dir)

    def check() -> None:
        while True:
            time.sleep(_CHECK_SECONDS)
            if settings.cluster_training:  # not at once: a process that ends now would take a run with it
                _start_on_cluster(settings)
            with contextlib.suppress(RunError, OSError):
                advance(settings)
            with _WATCHING:
                if not _order(settings):
                    _watched.discard(settings.runs_dir)
                    return

    threading.Thread(target=check, daemon=True, name="queue").start()


_WATCHING = threading.Lock()
_watched: set[Path] = set()


def _must_exist(run: RunDirectory) -> None:
    if not RunDirectory.exists(run.path):
        raise RunError(f"There is no run {run.id!r}: it has been deleted.")


# --- files ------------------------------------------------------------------------------------------------------------


def _locked(settings: Settings) -> contextlib.AbstractContextManager[None]:
    return _locked_folder(settings.runs_dir)


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Lock the queue of a runs folder between processes; may be nested within a thread.

    Raises:
        RunError: another process holds it for too long, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".queue.lock", timeout=LOCK_SECONDS, is_singleton=True)
        with lock:
            yield
    except Timeout:
        raise RunError("Another process is busy with the queue of runs: try again in a moment.") from None
    except OSError as error:
        raise RunError(_cannot_write(error)) from None


def _cannot_write(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The server's disk is full: free some space, such as that of old runs, and try again."
    return f"The server's folder of runs cannot be written ({error.strerror or error}): make it writable and try again."


def _order(settings: Settings) -> list[str]:
    try:
        ids = json.loads((settings.runs_dir / "queue.json").read_text(encoding="utf-8"))
        return [run_id for run_id in ids if isinstance(run_id, str)]
    except (OSError, ValueError, TypeError):
        return []


def _write_order(ids: list[str], settings: Settings) -> None:
    if ids != _order(settings):
        write_atomically(settings.runs_dir / "queue.json", json.dumps(ids) + "\n")


def _remove(run: RunDirectory) -> None:
    """Remove a run: for readers in one step, then from the disk."""
    gone = run.path.with_name(f"{_GONE}{run.id}")
    os.replace(run.path, gone)
    shutil.rmtree(gone, ignore_errors=True)
