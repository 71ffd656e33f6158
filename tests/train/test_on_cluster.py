"""Runs for a cluster that is only pretended; `test_cluster_processes` has a real one."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.processes import wait_until
from tests.helpers.tiny_run import tiny_config
from unet_core.errors import ConfigError
from unet_core.jobs.cluster import ClusterError
from unet_core.settings import Settings, get_settings
from unet_core.train import checks, on_cluster, queue, run_directory, workers
from unet_core.train.on_cluster import train_here
from unet_core.train.run_directory import STARTING, RunDirectory, Status

ADDRESS = "tcp://127.0.0.1:1"


class FakeTask:
    """A task that ends when it is told to."""

    def __init__(self, arguments: tuple[Any, ...], resources: dict[str, float]) -> None:
        self.arguments, self.resources = arguments, resources
        self.kept, self.ended = False, threading.Event()
        self.error: Exception | None = None

    def done(self) -> bool:
        return self.ended.is_set()

    def result(self) -> None:
        if self.error is not None:
            raise self.error

    def keep(self) -> None:
        self.kept = True


class FakeCluster:
    """Room for two trainings."""

    def __init__(self) -> None:
        self.tasks: list[FakeTask] = []
        self.problem = ""

    def missing(self, resources: dict[str, float]) -> str:
        return self.problem

    def capacity(self, resources: dict[str, float]) -> int:
        return 2

    def submit(self, function: Callable[..., None], *arguments: Any, resources: dict[str, float], key: str) -> FakeTask:
        assert function is queue.train_on_worker
        self.tasks.append(FakeTask(arguments, resources))
        return self.tasks[-1]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    found = FakeCluster()
    monkeypatch.setattr(on_cluster, "_connected", lambda _: found)
    monkeypatch.setattr(on_cluster, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(queue, "_watch", lambda _: None)
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        runs_dir=tmp_path / "runs", cache_dir=tmp_path / "cache", cluster=ADDRESS, cluster_training="gpu=1, training=1"
    )


def submitted(settings: Settings, *names: str) -> list[RunDirectory]:
    return [queue.submit(tiny_config(), name, settings=settings) for name in names]


# --- the queue --------------------------------------------------------------------------------------------------------


def test_runs_go_to_the_cluster_in_their_order_and_no_more_than_it_has_room_for(cluster, settings):
    first, second, third = submitted(settings, "a", "b", "c")
    assert cluster.tasks == [], "a page does not wait for the scheduler"
    assert [run.id for run in queue.advance(settings, wait=True)] == [first.id, second.id]
    assert [task.arguments[0] for task in cluster.tasks] == [str(first.path), str(second.path)]
    assert all(task.kept and task.resources == {"gpu": 1, "training": 1} for task in cluster.tasks)
    assert (first.status().state, first.status().phase, queue.position(third, settings)) == ("running", STARTING, 1)
    assert queue.advance(settings, wait=True) == []
    first.write_status(dataclasses.replace(first.status(), state="finished"))
    assert [run.id for run in queue.advance(settings, wait=True)] == [third.id]


def test_a_training_on_this_machine_takes_no_room_on_the_cluster(cluster, settings):
    here, *others = submitted(settings, "here", "b", "c")
    queue._write_order([run.id for run in others], settings)
    here.write_status(run_directory.this_process(here.status()))
    with here.held():
        assert len(queue.advance(settings, wait=True)) == 2


def test_a_run_says_why_it_waits_for_the_cluster_until_it_does_not(cluster, settings):
    (run,) = submitted(settings, "a")
    cluster.problem = "The cluster has no worker that offers gpu=1 now."
    assert queue.advance(settings, wait=True) == []
    assert (run.status().state, run.status().reason) == ("queued", cluster.problem)
    cluster.problem = ""
    queue.advance(settings, wait=True)
    assert (run.status().state, run.status().reason) == ("running", "")


def test_a_task_that_fails_before_it_trains_fails_its_run(cluster, settings):
    (run,) = submitted(settings, "a")
    queue.advance(settings, wait=True)
    cluster.tasks[0].error = ClusterError("other does not find the folder")
    cluster.tasks[0].ended.set()
    wait_until(lambda: run.status().state == "failed", "the failure", 20)
    assert run.status().reason == "other does not find the folder"


def test_the_memory_of_this_machine_does_not_limit_a_run_for_the_cluster(cluster, settings, monkeypatch):
    monkeypatch.setattr(checks, "memory_mb", lambda: 1.0)
    checks.check_start(tiny_config(), settings)


@pytest.mark.parametrize("needs", ["gpu", "gpu=much", "gpu=0", "=1", "gpu=inf"])
def test_needs_that_no_worker_can_offer_are_refused(needs):
    with pytest.raises(ConfigError, match="cluster_training: must be NAME=NUMBER"):
        get_settings({"UNET_CLUSTER": ADDRESS, "UNET_CLUSTER_TRAINING": needs})
    with pytest.raises(ConfigError, match="cluster_training: needs the scheduler's address"):
        get_settings({"UNET_CLUSTER_TRAINING": "gpu=1"})


# --- a run on another machine -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("silent", "state"), [(2.0, "running"), (40.0, "interrupted")])
def test_a_worker_elsewhere_is_alive_while_its_heartbeat_is_new(settings, monkeypatch, silent, state):
    run = RunDirectory.create(settings.runs_dir / "a", tiny_config())
    run.write_status(Status(state="running", phase="training", host="elsewhere", pid=1))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + silent)
    assert run.status().state == state
    if state == "interrupted":
        assert "nothing has been heard of its machine, elsewhere, for 30 seconds" in run.status().reason


@pytest.mark.parametrize("host", [socket.gethostname(), ""])  # older runs name no host
def test_a_worker_here_is_lost_at_once_when_nobody_holds_its_run(settings, host):
    run = RunDirectory.create(settings.runs_dir / "a", tiny_config())
    run.write_status(Status(state="running", phase="training", host=host, pid=1))
    assert "its process ended unexpectedly" in run.status().reason


# --- on the cluster's machine -----------------------------------------------------------------------------------------


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs whose worker was started here; it ends at once."""
    names: list[str] = []

    class Process:
        pid = 0

        def wait(self) -> int:
            return 0

    def start(run: RunDirectory, settings: Settings) -> Process:
        assert settings.runs_dir == run.path.parent
        names.append(run.label().name)
        run.write_status(dataclasses.replace(run.status(), state="finished", phase=""))
        return Process()

    monkeypatch.setattr(on_cluster, "start_worker", start)
    monkeypatch.setattr(on_cluster, "_POLL_SECONDS", 0.001)
    return names


def sent(settings: Settings, **changes: Any) -> RunDirectory:
    run = RunDirectory.create(settings.runs_dir / "a", tiny_config(), "a")
    on_cluster.mark(run)
    run.write_status(dataclasses.replace(run.status(), task="mine", **changes))
    return run


def test_a_machine_without_the_shared_folder_says_so(tmp_path):
    with pytest.raises(ClusterError, match=f"{socket.gethostname()} does not find .*nowhere: UNET_RUNS_DIR"):
        train_here(str(tmp_path / "nowhere"), "mine", {})


def test_a_task_trains_its_run_once(settings, trained):
    run = sent(settings)
    train_here(str(run.path), "mine", {})
    train_here(str(run.path), "mine", {})
    assert trained == ["a"]


def test_a_run_that_was_started_again_or_stopped_meanwhile_is_left_alone(settings, trained):
    run = sent(settings)
    train_here(str(run.path), "of an earlier start", {})
    run.request_stop()
    train_here(str(run.path), "mine", {})
    assert (trained, run.status().state, run.status().reason) == ([], "stopped", "stopped on request")


def test_a_run_that_a_lost_machine_still_trains_is_waited_for(settings, trained, monkeypatch):
    run = sent(settings, phase="training", host="elsewhere", pid=7)
    looks: list[str] = []

    def sleep(_: float) -> None:
        looks.append(run.status().state)
        run.write_status(dataclasses.replace(run.status(), state="finished"))

    monkeypatch.setattr(on_cluster.time, "sleep", sleep)
    train_here(str(run.path), "mine", {})
    assert (looks, trained) == (["running"], [])


def test_a_run_whose_machine_is_lost_is_continued(settings, trained):
    run = sent(settings, phase="training", host=socket.gethostname(), pid=7)
    assert run.status().state == "interrupted", "nobody holds it"
    train_here(str(run.path), "mine", {})
    assert trained == ["a"]


def test_a_killed_worker_does_not_start_by_itself_again(settings):
    run = sent(settings, phase="training", host=socket.gethostname(), pid=7)
    workers.record_end(run, 7, -9)
    assert (run.status().state, run.status().task) == ("interrupted", "")
    assert "killed (signal 9)" in run.status().reason
