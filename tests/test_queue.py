"""The queue of runs, with workers that are only pretended; `test_train_processes` has real ones."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.tiny_run import TINY, tiny_config
from unet_core.config import ConfigError
from unet_core.segment.decode import ImageError
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.presets import short_run
from unet_core.train.run_directory import STARTING, RunDirectory, RunError, Status, this_process


class Worker:
    """A process that never does anything."""

    pid = os.getpid()

    def wait(self) -> int:
        threading.Event().wait()
        raise AssertionError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runs_dir=tmp_path / "runs", cache_dir=tmp_path / "cache", data_dir=tmp_path / "data")


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs whose worker was started; nothing looks at the queue by itself."""
    names: list[str] = []
    monkeypatch.setattr(queue, "_start_worker", lambda run, _: names.append(run.label().name) or Worker())
    monkeypatch.setattr(queue, "_keep", lambda _: None)
    return names


def end(run: RunDirectory, state: str = "finished") -> None:
    run.write_status(dataclasses.replace(run.status(), state=state, finished=time.time()))


def test_runs_start_one_at_a_time_in_the_order_in_which_they_came(settings, started):
    first, second, third = (queue.submit(tiny_config(), name, settings=settings) for name in "abc")
    assert started == ["a"]
    assert (first.status().state, first.status().phase) == ("running", STARTING)
    assert [queue.place(run, settings) for run in (first, second, third)] == [None, 1, 2]
    queue.move(third, 1, settings)
    end(first)
    queue.advance(settings)
    assert started == ["a", "c"]
    assert [run.id for run in queue.waiting(settings)] == [second.id]
    assert [run.id for run in queue.all_runs(settings)][-1] == first.id


def test_several_run_where_the_setting_says_so_and_none_at_zero(settings, started):
    none, two = (Settings(**{**settings.model_dump(), "workers": workers}) for workers in (0, 2))
    for name in "abc":
        queue.submit(tiny_config(), name, settings=none)
    assert started == []
    queue.advance(two)
    assert started == ["a", "b"]


def test_a_stopped_run_leaves_the_queue_and_resumes_at_its_end(settings, started):
    first, second, third = (queue.submit(tiny_config(), name, settings=settings) for name in "abc")
    queue.stop(second, settings)
    assert second.status().state == "stopped"
    assert queue.place(third, settings) == 1
    queue.resume(second, settings=settings)
    assert (second.status().state, queue.place(second, settings)) == ("queued", 2)
    with pytest.raises(RunError, match="under way"):
        queue.resume(first, settings=settings)


def test_stopping_a_trained_run_asks_its_worker(settings):
    run = queue.submit(tiny_config(), settings=settings)
    run.write_status(dataclasses.replace(this_process(run.status()), phase="training"))
    with run.held():
        queue.stop(run, settings)
        assert run.stop_requested()
        assert run.status().state == "stopping"
        with pytest.raises(RunError, match="stop it first"):
            queue.delete(run, settings)


def test_a_finished_run_resumes_only_with_more_epochs(settings, started):
    run = queue.submit(tiny_config(epochs=2), settings=settings)
    for epoch in range(2):
        run.metrics.append({"epoch": epoch, "val_mean_iou": 0.5})
    end(run)
    with pytest.raises(RunError, match="all of its 2 epochs"):
        queue.resume(run, settings=settings)
    queue.resume(run, 5, settings)
    assert (run.config().epochs, len(started)) == (5, 2)


def test_a_worker_that_dies_at_its_start_is_told_and_blocks_nobody(settings, started, monkeypatch):
    process = subprocess.Popen(["true"])
    process.wait()

    class Dead(Worker):
        pid = process.pid

    monkeypatch.setattr(queue, "_start_worker", lambda *_: Dead())
    run = queue.submit(tiny_config(), settings=settings)
    assert run.status().state == "interrupted"
    (run.path / "worker.txt").write_text("something\nerror: this command needs TensorFlow\n")
    queue._record_end(run, Dead.pid, 1)
    assert run.status() == dataclasses.replace(
        run.status(), state="failed", reason="this command needs TensorFlow", phase=""
    )
    other = queue.submit(tiny_config(), settings=settings)
    assert queue.place(other, settings) is None


def test_nothing_starts_that_cannot_work(settings, started, tmp_path):
    with pytest.raises(ConfigError, match="does not work at 100×100.*Sizes that work"):
        queue.submit(
            tiny_config(model=TINY.replace(height=100, width=100, depth=4, skip_mode="strict")), "", settings=settings
        )
    with pytest.raises(RunError, match="python -m unet_core download"):
        queue.submit(tiny_config(data="oxford_iiit_pet"), settings=settings)
    with pytest.raises(RunError, match="nor an existing folder"):
        queue.submit(tiny_config(data=str(tmp_path / "nowhere")), settings=settings)
    with pytest.raises(RunError, match="the model has only 2"):
        queue.submit(
            tiny_config(model=TINY.replace(classes=2), data=str(masks(tmp_path, [0, 1, 2]))), settings=settings
        )
    with pytest.raises(ImageError):
        queue.submit(tiny_config(), photo=b"no photo", settings=settings)
    assert (started, queue.all_runs(settings)) == ([], [])


def masks(root: Path, values: list[int]) -> Path:
    from tests import own_datasets

    return own_datasets.folder(root / "own", 12, classes=3, table=values)


def test_labels_outside_the_classes_are_named_with_their_place(settings, tmp_path):
    import numpy as np
    from PIL import Image

    folder = masks(tmp_path, [1, 2, 3])
    damaged = sorted((folder / "masks").glob("*.png"))[3]
    ids = np.asarray(Image.open(damaged)).copy()
    ids[:4] = 77
    Image.fromarray(ids).save(damaged)
    with pytest.raises(RunError, match="77") as failure:
        queue.submit(tiny_config(data=str(folder)), settings=settings)
    assert damaged.stem in str(failure.value)


def test_old_runs_are_pruned_but_never_pinned_or_waiting_ones(settings):
    few = Settings(**{**settings.model_dump(), "keep_runs": 2, "workers": 0})
    runs = [
        queue.submit(tiny_config(), name, settings=Settings(**{**few.model_dump(), "keep_runs": 50}))
        for name in "abcde"
    ]
    for age, run in enumerate(runs):
        run.write_label(dataclasses.replace(run.label(), created=float(age)))
    for run in runs[1:]:
        queue.stop(run, few)
    queue.pin(runs[1])
    assert set(queue.prune(few)) == {runs[2].id}
    assert [run.label().name for run in queue.all_runs(few)] == ["e", "d", "b", "a"]
    queue.pin(runs[1], False)
    assert queue.prune(few) == [runs[1].id]


def test_a_run_is_renamed_found_and_deleted(settings):
    run = queue.submit(tiny_config(), "My first run!", settings=settings)
    end(run)
    queue.rename(run, "  A   better name ")
    assert queue.find_run(run.id, settings).label().name == "A better name"
    with pytest.raises(RunError, match="needs a name"):
        queue.rename(run, "  ")
    queue.delete(run, settings)
    for nothing in (run.id, "", "..", "../secret", ".queue.lock"):
        with pytest.raises(RunError, match="no run"):
            queue.find_run(nothing, settings)


def test_the_newest_run_on_a_dataset_is_found_past_damaged_ones(settings):
    folder = str(masks(settings.runs_dir.parent, [1, 2, 3]))
    config = short_run(folder, 3)
    run = queue.submit(config, settings=settings)
    assert queue.latest_run_on(folder, settings).id == run.id
    assert queue.latest_run_on("elsewhere", settings) is None
    (run.path / "config.json").write_text("{}")
    assert queue.latest_run_on(folder, settings) is None


def test_a_damaged_queue_is_an_empty_one(settings, started):
    queue.submit(tiny_config(), "a", settings=settings)
    (settings.runs_dir / "queue.json").write_text("{[")
    queue.submit(tiny_config(), "b", settings=settings)
    assert [run.label().name for run in queue.waiting(settings)] == ["b"]


def test_two_threads_start_a_run_once(settings, started):
    idle = Settings(**{**settings.model_dump(), "workers": 0})
    queue.submit(tiny_config(), "a", settings=idle)
    threads = [threading.Thread(target=queue.advance, args=(settings,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started == ["a"]


def test_a_run_of_another_machine_takes_no_place_here(settings, started):
    run = queue.submit(tiny_config(), "a", settings=settings)
    run.write_status(Status(state="running", phase=STARTING, launched=time.time(), host="elsewhere", pid=1))
    queue.submit(tiny_config(), "b", settings=settings)
    assert started == ["a", "b"]
