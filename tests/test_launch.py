"""A run is started in a process of its own, one at a time, and found again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.tiny_run import tiny_config
from unet_core.settings import Settings
from unet_core.train import launch
from unet_core.train.run_directory import RunDirectory, RunError, Status


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runs_dir=tmp_path / "runs")


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[RunDirectory]:
    started: list[RunDirectory] = []
    monkeypatch.setattr(launch, "_start_worker", started.append)
    return started


def test_a_started_run_is_queued_with_its_config_and_found_by_its_data(settings, workers) -> None:
    config = launch.short_run("photos/mine", 4)
    run = launch.start_run(config, settings)
    assert workers == [run]
    assert run.config() == config
    assert launch.is_active(run)
    assert launch.latest_run_on("photos/mine", settings).path == run.path
    assert launch.latest_run_on("photos/other", settings) is None


def test_a_second_run_has_to_wait_for_the_first(settings, workers) -> None:
    run = launch.start_run(launch.short_run("one", 2), settings)
    with pytest.raises(RunError, match="under way"):
        launch.start_run(launch.short_run("two", 2), settings)
    run.write_status(Status(state="finished"))
    assert launch.start_run(launch.short_run("two", 2), settings).path != run.path


def test_a_worker_that_never_began_does_not_block_for_ever(settings, workers, monkeypatch) -> None:
    run = launch.start_run(launch.short_run("one", 2), settings)
    now = time.time()
    monkeypatch.setattr(launch.time, "time", lambda: now + launch.QUEUED_SECONDS + 1)
    assert not launch.is_active(run)


def test_damaged_runs_are_passed_over(settings, workers) -> None:
    run = launch.start_run(launch.short_run("one", 2), settings)
    (run.path / "config.json").write_text("{}")
    assert launch.latest_run_on("one", settings) is None


@pytest.mark.slow
def test_a_real_worker_trains_to_the_end(settings) -> None:
    run = launch.start_run(tiny_config().replace(epochs=1), settings)
    end = time.monotonic() + 120
    while launch.is_active(run):
        assert time.monotonic() < end, (run.path / "worker.txt").read_text()
        time.sleep(0.5)
    assert run.status().state == "finished", run.status()
    assert run.best_weights.is_file()
