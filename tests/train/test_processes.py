"""Real workers: killed, stopped, queued, out of disk, on two devices. Slow, and independent of the machine's speed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.processes import told, wait_for_end, wait_until
from tests.helpers.tiny_run import TINY, exact_config, tiny_config
from unet_core.jobs.tables import Row
from unet_core.settings import ROOT, Settings
from unet_core.train import queue
from unet_core.train.run_directory import RunDirectory

pytestmark = pytest.mark.slow

ENDLESS = 10_000  # epochs


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runs_dir=tmp_path / "runs", cache_dir=tmp_path / "cache")


def command_line(config_file: Path, run: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unet_core", "train", "--config", str(config_file), "--run", str(run), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def scores(run: RunDirectory) -> list[Row]:
    """Return the epochs without what the clock decides."""
    timed = {"seconds", "elapsed", "images_per_second"}
    return [{name: value for name, value in row.items() if name not in timed} for row in run.metrics.rows()]


def test_a_run_from_the_queue_and_one_from_the_command_line_are_the_same(tmp_path, settings):
    config = exact_config()
    queued = queue.submit(config, "from the page", settings=settings)
    (tmp_path / "config.json").write_text(config.to_json())
    finished = command_line(tmp_path / "config.json", tmp_path / "other")
    assert finished.returncode == 0, finished.stderr
    assert wait_for_end(queued) == "finished", told(queued)
    other = RunDirectory.open(tmp_path / "other")
    assert scores(queued) == scores(other)
    assert np.array_equal(queued.test().confusion, other.test().confusion)


def test_a_killed_worker_leaves_a_run_that_resumes_to_the_same_weights(settings):
    from tests.train.test_fit import assert_same_run

    config = exact_config().replace(epochs=ENDLESS, schedule="constant")
    run = queue.submit(config, settings=settings)
    wait_until(lambda: len(run.metrics.rows()) >= 2, "two epochs")
    os.kill(run.status().pid, signal.SIGKILL)
    wait_until(lambda: "killed (signal 9)" in run.status().reason, "what the queue says about the kill")
    assert run.status().state == "interrupted"
    epochs = len(run.metrics.rows()) + 2
    queue.resume(run, epochs, settings)
    whole = queue.submit(config.replace(epochs=epochs), settings=settings)
    assert wait_for_end(run) == "finished", told(run)
    assert wait_for_end(whole) == "finished", told(whole)
    assert_same_run(run, whole)


def test_a_second_run_waits_and_starts_when_the_first_is_stopped(settings):
    first = queue.submit(tiny_config(epochs=ENDLESS), "first", settings=settings)
    second = queue.submit(tiny_config(epochs=1), "second", settings=settings)
    wait_until(lambda: first.metrics.rows(), "the first epoch")
    assert (second.status().state, queue.position(second, settings)) == ("queued", 1)
    queue.stop(first, settings)
    assert wait_for_end(first) == "stopped", told(first)
    assert first.has_weights()
    assert wait_for_end(second) == "finished", told(second)
    assert second.status().launched >= first.status().finished


def test_two_apps_start_a_waiting_run_once(settings):
    idle = Settings(**{**settings.model_dump(), "workers": 0})
    run = queue.submit(tiny_config(epochs=1), settings=idle)
    look = (
        "from unet_core.settings import Settings; from unet_core.train import queue; import sys\n"
        "started = queue.advance(Settings(runs_dir=sys.argv[1]))\n"
        "print(len(started))"
    )
    apps = [
        subprocess.Popen([sys.executable, "-c", look, str(settings.runs_dir)], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    assert sorted(int(app.communicate()[0]) for app in apps) == [0, 0, 1]
    # The app that started it has ended, like one that is restarted: the run goes on and is found again.
    assert [found.id for found in queue.all_runs(settings)] == [run.id]
    assert wait_for_end(run) == "finished", told(run)


def test_the_worker_that_ends_starts_the_next_run_without_any_app(settings):
    idle = Settings(**{**settings.model_dump(), "workers": 0})
    runs = [queue.submit(tiny_config(epochs=1), name, settings=idle) for name in ("one", "two")]
    look = (
        "from unet_core.settings import Settings; from unet_core.train import queue; import os, sys\n"
        "queue.advance(Settings(runs_dir=sys.argv[1]))\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", look, str(settings.runs_dir)], cwd=ROOT, check=True)
    assert [wait_for_end(run) for run in runs] == ["finished", "finished"], told(runs[1])


def test_a_step_that_takes_long_does_not_delay_a_stop(settings):
    # One step of this takes a minute; only the first one is ever started.
    model = TINY.replace(height=256, width=256, base_filters=64, depth=4)
    run = queue.submit(tiny_config(model=model, batch_size=64, limit=64, epochs=2, previews=0), settings=settings)
    wait_until(lambda: run.status().phase == "training", "training")
    time.sleep(1)  # into the step
    asked = time.monotonic()
    queue.stop(run, settings)
    assert run.status().state in ("stopping", "stopped")
    assert wait_for_end(run) == "stopped", told(run)
    assert time.monotonic() - asked < 12, "it waited for the step"
    assert run.last_weights.exists()
    assert run.status().reason == "stopped on request"


def test_a_worker_that_has_just_been_started_can_be_stopped(settings):
    run = queue.submit(tiny_config(epochs=ENDLESS), settings=settings)
    queue.stop(run, settings)
    assert wait_for_end(run) == "stopped", told(run)
    wait_until(lambda: not run.is_held(), "the process's end")
    assert run.status().state == "stopped"
    queue.resume(run, 1, settings)
    assert wait_for_end(run) == "finished", told(run)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(filler: Path) -> None:
    with open(filler, "wb", buffering=0) as file:
        for block in (1_000_000, 1024):
            with contextlib.suppress(OSError):
                while file.write(bytes(block)) == block:
                    pass


def test_a_full_disk_is_reported_and_the_run_continues_once_there_is_space(small_disk, tmp_path):
    path = small_disk / "run"
    (tmp_path / "config.json").write_text(tiny_config(epochs=ENDLESS, previews=0).to_json())
    command = [sys.executable, "-m", "unet_core", "train", "--config", str(tmp_path / "config.json")]
    worker = subprocess.Popen([*command, "--run", str(path)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    run = RunDirectory(path)
    wait_until(lambda: run.metrics.rows(), "the first epoch")
    fill_up(small_disk / "filler")
    _, said = worker.communicate(timeout=240)
    assert worker.returncode == 1
    assert said.strip().splitlines()[-1].startswith("error: the disk is full"), said
    status = run.status()
    assert (status.state, "disk is full" in status.reason) == ("failed", True)
    assert not list(path.glob(".*")), "nothing half-written is left"
    (small_disk / "filler").unlink()
    from unet_core.train.fit import train

    epochs = len(run.metrics.rows()) + 1
    assert train(run.config().replace(epochs=epochs), path, resume=True).state == "finished"


def test_two_devices_share_a_batch_and_find_what_one_finds(tmp_path):
    results = []
    for replicas in (1, 2):
        config_file, path = tmp_path / f"{replicas}.json", tmp_path / f"run{replicas}"
        # One batch an epoch, the same whatever the order. The halves' gradients add up to that of the whole.
        config = tiny_config(replicas=replicas, optimizer="sgd", learning_rate=0.1, limit=8, epochs=2)
        model = config.model.replace(normalization="none")  # statistics would be those of half a batch
        config_file.write_text(config.replace(model=model).to_json())
        finished = command_line(config_file, path, "--json")
        assert finished.returncode == 0, finished.stderr
        assert json.loads(finished.stdout)["state"] == "finished"
        results.append(RunDirectory(path))
    one, two = (run.metrics.rows()[-1] for run in results)
    assert "2 devices share each batch" in "\n".join(results[1].log_tail())
    for name in ("loss", "mean_iou", "val_loss", "val_mean_iou"):
        assert two[name] == pytest.approx(one[name], abs=1e-5), name
    resumed = command_line(tmp_path / "2.json", tmp_path / "run2", "--resume", "--epochs", "3", "--json")
    assert json.loads(resumed.stdout)["epochs"] == 3, resumed.stderr


def test_timing_a_step_makes_the_estimate_measured(settings):
    from unet_core.train import estimate, step_timing

    config = tiny_config()
    assert not estimate.estimate(config, settings).measured
    job = step_timing.start_step_timing(config, settings)
    wait_until(lambda: job.status().state != "running", "the timing")
    assert job.status().state == "finished", job.status()
    found = estimate.estimate(config, settings)
    assert found.measured
    assert found.steps == 6
    assert 200 < found.memory_mb < 3000
    # A batch of another size is another measurement.
    assert not estimate.estimate(config.replace(batch_size=4), settings).measured
    assert dataclasses.asdict(found)["seconds"] > 0


def test_a_stopped_run_is_exported_on_demand_and_predicts_without_keras(settings):
    from unet_core.train import downloads
    from unet_core.train.find_model import find_model

    run = queue.submit(tiny_config(epochs=ENDLESS), settings=settings)
    wait_until(lambda: run.metrics.rows(), "the first epoch")
    queue.stop(run, settings)
    wait_for_end(run)
    assert downloads.export_path(run, "onnx") is None
    job = downloads.start_export(run, "onnx", settings)
    wait_until(lambda: job.status().state != "running", "the export")
    assert job.status().state == "finished", job.log.read_text()
    assert downloads.export_path(run, "onnx").is_file()
    engine = find_model(str(run.path), settings).engine("onnx", settings)
    assert engine.predict(np.zeros((1, 16, 16, 3), np.float32)).shape == (1, 16, 16, 3)
