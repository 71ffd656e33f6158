"""Trainings on a cluster: a real scheduler, workers and trainings, each a process of its own. Slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.dask_cluster import DaskProcesses
from tests.helpers.pages import readme_block
from tests.helpers.processes import told, wait_for_end, wait_until
from tests.helpers.server import free_port
from tests.helpers.tiny_run import tiny_config
from unet_core.jobs.process import settings_environment
from unet_core.jobs.tables import Row
from unet_core.settings import ROOT, Settings
from unet_core.train import on_cluster, queue
from unet_core.train.run_directory import RunDirectory
from unet_core.train.sweep import plan_rungs, plan_trials, run_sweep, sweep_runs

pytestmark = pytest.mark.slow

ENDLESS = 10_000  # epochs
NEEDS = "training=1"


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskProcesses]:
    with DaskProcesses(tmp_path, environment={"UNET_CACHE_DIR": str(tmp_path / "cache")}) as processes:
        yield processes
        for connection in on_cluster._connections.values():  # it would look for its scheduler for two minutes
            connection.close()
        on_cluster._connections.clear()


@pytest.fixture
def settings(tmp_path: Path, dask: DaskProcesses) -> Settings:
    return Settings(
        runs_dir=tmp_path / "runs",
        cache_dir=tmp_path / "cache",
        workers=0,
        cluster=dask.address,
        cluster_training=NEEDS,
    )


def scores(run: RunDirectory) -> list[Row]:
    """Return the epochs without what the clock decides."""
    timed = {"seconds", "elapsed", "images_per_second"}
    return [{name: value for name, value in row.items() if name not in timed} for row in run.metrics.rows()]


def trainer_of(run: RunDirectory) -> psutil.Process:
    return psutil.Process(run.status().pid)


def test_a_sweep_over_two_workers_equals_runs_trained_one_by_one(tmp_path, settings, dask):
    from unet_core.train.fit import train

    for _ in range(2):
        dask.start_worker("--resources", NEEDS)
    base = tiny_config(previews=0, test_limit=0)
    trials = plan_trials(base, {"learning_rate": [0.003, 0.01, 0.02]})
    report = run_sweep("s", trials, plan_rungs(trials, False), settings, say=print)
    assert [trial.state for trial in report.trials] == ["finished"] * 3, dask.logs()
    runs = {run.config().to_json(): run for run in sweep_runs("s", settings)}
    for number, trial in enumerate(trials):
        alone = tmp_path / f"alone{number}"
        train(trial.config, alone)
        assert scores(runs[trial.config.to_json()]) == scores(RunDirectory.open(alone)), trial.title
    times = sorted((run.status().launched, run.status().finished) for run in runs.values())
    assert times[1][0] < times[0][1], "two are trained at a time"
    assert times[2][0] >= min(times[0][1], times[1][1]) - 1, "no third one before a worker is free"


def test_a_run_on_the_cluster_survives_kills_and_stops_on_request(settings, dask):
    first = dask.start_worker("--resources", NEEDS)
    run = queue.submit(tiny_config(epochs=ENDLESS, schedule="constant"), settings=settings)
    wait_until(run.resume_state.exists, "the first epoch")
    trainer = trainer_of(run)
    assert trainer.parent().pid == first, "it is the worker's"

    os.kill(trainer.pid, signal.SIGKILL)
    wait_until(lambda: "killed (signal 9)" in run.status().reason, "what is said about the kill")
    assert run.status().state == "interrupted"
    queue.resume(run, settings=settings)
    wait_until(lambda: run.status().phase == "training", "training again")

    epochs = len(run.metrics.rows())
    trainer = trainer_of(run)
    for pid in (first, trainer.pid):  # as if the machine had lost its power
        os.kill(pid, signal.SIGKILL)
    assert wait_for_lost(run), told(run)
    dask.start_worker("--resources", NEEDS)
    wait_until(lambda: len(run.metrics.rows()) > epochs + 1, "epochs on another worker")
    assert "continues on" in "\n".join(run.log_tail())
    assert [row["epoch"] for row in run.metrics.rows()] == list(range(len(run.metrics.rows())))

    queue.stop(run, settings)
    assert wait_for_end(run) == "stopped", told(run)
    assert run.has_weights()


def test_runs_go_on_and_follow_each_other_without_the_process_that_sent_them(settings, dask):
    dask.start_worker("--resources", NEEDS)
    waiting = settings.replace(cluster_training="")  # nothing is sent yet
    runs = [queue.submit(tiny_config(epochs=1, previews=0), name, settings=waiting) for name in ("one", "two")]
    send = (
        "from unet_core.settings import get_settings; from unet_core.train import queue; import os\n"
        "assert len(queue.advance(get_settings(), wait=True)) == 1\n"
        "os._exit(0)"
    )
    environment = {**os.environ, **settings_environment(settings)}
    subprocess.run([sys.executable, "-c", send], cwd=ROOT, env=environment, check=True)
    assert [wait_for_end(run) for run in runs] == ["finished", "finished"], told(runs[1])


def wait_for_lost(run: RunDirectory) -> bool:
    wait_until(lambda: run.status().state == "interrupted", "the loss of the machine")
    return "resume it from the last whole epoch" in run.status().reason


def test_a_run_waits_for_a_worker_with_its_resources_and_says_so(settings, dask):
    dask.start_worker("--resources", "gpu=1")
    run = queue.submit(tiny_config(epochs=1), settings=settings)
    wait_until(lambda: "no worker that offers training=1" in run.status().reason, "the reason")
    assert (run.status().state, queue.position(run, settings)) == ("queued", 1)
    dask.start_worker("--resources", NEEDS)
    assert wait_for_end(run) == "finished", told(run)
    assert run.status().reason == ""


def test_the_readmes_commands_train_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "unet_core").symlink_to(ROOT / "unet_core")
    (tmp_path / "tiny.json").write_text(tiny_config(epochs=1, previews=0, test_limit=0).to_json(), encoding="utf-8")
    script = (
        readme_block("cluster-training").replace(".venv/bin/python", sys.executable).replace("8786", str(free_port()))
    )
    assert "demo_60s" in script
    with (tmp_path / "log").open("wb") as log:
        shell = subprocess.Popen(
            ["bash", "-euc", script.replace("demo_60s", "tiny.json")],
            cwd=tmp_path,
            env={**os.environ, **{f"UNET_{name}_DIR": str(tmp_path / name.lower()) for name in ("RUNS", "CACHE")}},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        code = shell.wait(timeout=180)
    finally:
        os.killpg(shell.pid, signal.SIGKILL)
    assert code == 0, (tmp_path / "log").read_text()
    runs = [RunDirectory.open(folder) for folder in (tmp_path / "runs").glob("2*")]
    assert sorted(run.config().learning_rate for run in runs) == [0.002, 0.02]
    assert {run.status().state for run in runs} == {"finished"}
