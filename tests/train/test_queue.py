"""The queue of runs, with workers that are only pretended; `test_train_processes` has real ones."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.helpers.strategies import small_configs
from tests.helpers.tiny_run import TINY, tiny_config
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.errors import ConfigError
from unet_core.images.decode import ImageError
from unet_core.jobs.tables import write_atomically
from unet_core.settings import Settings
from unet_core.train import checks, queue, workers
from unet_core.train.checks import network_differences
from unet_core.train.estimate import estimate
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
    """Names of the runs whose worker was started; nothing checks the queue automatically."""
    names: list[str] = []
    monkeypatch.setattr(workers, "_start_process", lambda run, _: names.append(run.label().name) or Worker())
    monkeypatch.setattr(queue, "_watch", lambda _: None)
    return names


def end(run: RunDirectory, state: str = "finished") -> None:
    run.write_status(dataclasses.replace(run.status(), state=state, finished=time.time()))


def test_runs_start_one_at_a_time_in_the_order_in_which_they_came(settings, started):
    first, second, third = (queue.submit(tiny_config(), name, settings=settings) for name in "abc")
    assert started == ["a"]
    assert (first.status().state, first.status().phase) == ("running", STARTING)
    assert [queue.position(run, settings) for run in (first, second, third)] == [None, 1, 2]
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


def test_visitors_take_turns_in_the_queue(settings, started):
    owners = [("many", "a"), ("many", "b"), ("many", "c"), ("one", "d"), ("two", "e"), ("one", "f")]
    runs = [queue.submit(tiny_config(), name, settings=settings, owner=owner) for owner, name in owners]
    assert started == ["a"]
    assert [run.label().name for run in queue.waiting(settings)] == ["d", "e", "b", "f", "c"]
    end(runs[0])
    queue.advance(settings)
    assert started == ["a", "d"]


def test_a_stopped_run_leaves_the_queue_and_resumes_at_its_end(settings, started):
    first, second, third = (queue.submit(tiny_config(), name, settings=settings) for name in "abc")
    queue.stop(second, settings)
    assert second.status().state == "stopped"
    assert queue.position(third, settings) == 1
    queue.resume(second, settings=settings)
    assert (second.status().state, queue.position(second, settings)) == ("queued", 2)
    with pytest.raises(RunError, match="already running or waiting"):
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


def test_a_worker_that_dies_at_its_start_is_reported_and_blocks_no_run(settings, started, monkeypatch):
    process = subprocess.Popen(["true"])
    process.wait()

    class Dead(Worker):
        pid = process.pid

    monkeypatch.setattr(workers, "_start_process", lambda *_: Dead())
    run = queue.submit(tiny_config(), settings=settings)
    assert run.status().state == "interrupted"
    (run.path / "worker.txt").write_text("something\nerror: this command needs TensorFlow\n")
    workers.record_end(run, Dead.pid, 1)
    assert run.status() == dataclasses.replace(
        run.status(), state="failed", reason="this command needs TensorFlow", phase=""
    )
    other = queue.submit(tiny_config(), settings=settings)
    assert queue.position(other, settings) is None


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


@pytest.mark.parametrize("submit", [queue.submit, checks.check_start])
def test_a_run_that_needs_more_memory_or_disk_than_there_is_does_not_start(settings, started, monkeypatch, submit):
    config = short_run("synthetic", 3)
    with monkeypatch.context() as small:
        small.setattr(checks, "has_gpu_driver", lambda: False)
        small.setattr(checks, "memory_mb", lambda: 200.0)
        with pytest.raises(RunError, match=r"GB of memory and the machine has 0\.2 GB: choose a smaller batch_size"):
            submit(config, settings=settings)
        small.setattr(checks, "has_gpu_driver", lambda: True)  # its memory is not known here
        checks.check_start(config, settings)
    with monkeypatch.context() as full:
        needed = estimate(config, settings).disk_mb
        full.setattr(checks.shutil, "disk_usage", lambda _: SimpleNamespace(free=(needed + 99) * 1e6))
        with pytest.raises(RunError, match="free some space first"):
            submit(config, settings=settings)
    assert (started, queue.all_runs(settings)) == ([], [])


def masks(root: Path, values: list[int]) -> Path:
    from tests.helpers import own_datasets

    return own_datasets.folder(root / "own", 12, classes=3, table=values)


def test_labels_outside_the_classes_are_named_with_their_file(settings, tmp_path):
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


def test_a_run_of_another_machine_does_not_count_here(settings, started):
    run = queue.submit(tiny_config(), "a", settings=settings)
    run.write_status(Status(state="running", phase=STARTING, launched=time.time(), host="elsewhere", pid=1))
    queue.submit(tiny_config(), "b", settings=settings)
    assert started == ["a", "b"]


# --- what may happen at any moment ------------------------------------------------------------------------------------


def in_threads(*actions) -> None:
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_that_write_one_file_at_once_leave_one_of_their_texts(tmp_path):
    failures: list[OSError] = []

    def write(letter: str) -> None:
        for _ in range(20):
            try:
                write_atomically(tmp_path / "file", letter * 5000)
            except OSError as error:
                failures.append(error)

    in_threads(*(lambda letter=letter: write(letter) for letter in "abcd"))
    assert failures == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() in {letter * 5000 for letter in "abcd"}


def test_naming_and_pinning_a_run_at_once_does_both(settings):
    run = queue.submit(tiny_config(), settings=settings)
    for number in range(10):
        in_threads(lambda name=f"n{number}": queue.rename(run, name), lambda odd=number % 2: queue.pin(run, bool(odd)))
        assert (run.label().name, run.label().pinned) == (f"n{number}", bool(number % 2))


def test_any_number_may_ask_at_once_whether_a_run_is_trained(settings):
    run = queue.submit(tiny_config(), settings=settings)
    answers: list[bool] = []

    def ask() -> None:
        answers.extend(RunDirectory(run.path).is_held() for _ in range(100))

    with run.held():
        in_threads(*[ask] * 4)
        assert all(answers)
    answers.clear()
    in_threads(*[ask] * 4)
    assert not any(answers)


def test_a_deleted_run_that_is_still_open_is_reported_as_deleted(settings):
    run = queue.submit(tiny_config(), settings=settings)
    end(run)
    queue.delete(run, settings)
    for action in (
        lambda: queue.stop(run, settings),
        lambda: queue.resume(run, settings=settings),
        lambda: queue.delete(run, settings),
        lambda: queue.pin(run),
        lambda: queue.rename(run, "new"),
    ):
        with pytest.raises(RunError, match="has been deleted"):
            action()
    assert not run.path.exists()


def test_a_full_disk_starts_nothing_and_what_waits_starts_once_there_is_room(settings, started, monkeypatch):
    idle = Settings(**{**settings.model_dump(), "workers": 0})
    run = queue.submit(tiny_config(), "a", settings=idle)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(RunDirectory, "write_status", full)
        for _ in range(3):
            assert queue.advance(settings) == []
    assert started == []
    assert queue.position(run, settings) == 1
    assert [other.id for other in queue.advance(settings)] == [run.id]
    assert started == ["a"]


def test_a_worker_whose_number_cannot_be_noted_is_ended_and_its_run_waits(settings, started, monkeypatch):
    idle = Settings(**{**settings.model_dump(), "workers": 0})
    run = queue.submit(tiny_config(), settings=idle)
    processes = []

    def begin(*_: object) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen(["sleep", "60"]))
        return processes[-1]

    write = RunDirectory.write_status

    def filling(run: RunDirectory, status: Status) -> None:
        if processes and status.pid == processes[-1].pid:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(run, status)

    monkeypatch.setattr(workers, "_start_process", begin)
    monkeypatch.setattr(RunDirectory, "write_status", filling)
    assert queue.advance(settings) == []
    assert processes[0].poll() is not None
    assert (run.status().state, queue.position(run, settings)) == ("queued", 1)


def test_what_a_killed_deletion_has_left_is_no_run_and_goes_with_the_next_pruning(settings):
    run = queue.submit(tiny_config(), settings=settings)
    end(run)
    rest = run.path.with_name(f".deleted-{run.id}")
    run.path.rename(rest)
    assert queue.all_runs(settings) == []
    queue.prune(settings)
    assert not rest.exists()


def test_stopping_a_run_never_ends_a_process_that_has_only_its_number(settings):
    run = queue.submit(tiny_config(), settings=settings)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        run.write_status(dataclasses.replace(run.status(), pid=stranger.pid))
        queue.stop(run, settings)
        assert stranger.poll() is None
        assert run.status().state == "stopping"
        stranger.kill()


def test_a_clock_that_was_set_back_does_not_keep_a_dead_run_starting(settings):
    run = queue.submit(tiny_config(), settings=settings)
    run.write_status(dataclasses.replace(run.status(), launched=time.time() + 3600))
    assert run.status().state == "interrupted"


def test_training_on_forgets_the_scores_of_the_weights_that_it_changes(settings):
    run = queue.submit(tiny_config(epochs=1), settings=settings)
    run.metrics.append({"epoch": 0, "val_mean_iou": 0.5})
    run.write_test({"classes": ["a"], "confusion_matrix": [[1]], "images": 1, "of": 1, "milliseconds_per_image": 1})
    end(run)
    queue.resume(run, 2, Settings(**{**settings.model_dump(), "workers": 0}))
    assert run.test() is not None, "as long as it waits, nothing has changed"
    queue.advance(settings)
    assert run.test() is None


@pytest.mark.parametrize("order", [[], ["itself"]], ids=["lost its place", "kept its place"])
def test_a_run_between_queue_and_worker_when_all_were_killed_can_be_resumed(settings, started, order):
    idle = Settings(**{**settings.model_dump(), "workers": 0})
    run = queue.submit(tiny_config(), "a", settings=idle)
    if order:  # noted as running, but its process was never born
        status = dataclasses.replace(run.status(), state="running", phase=STARTING, launched=time.time(), pid=2**22 + 1)
        run.write_status(dataclasses.replace(status, host=this_process(status).host))
    (settings.runs_dir / "queue.json").write_text(json.dumps([run.id for _ in order]))
    assert not queue.is_pending(run, idle)
    queue.resume(run, settings=settings)
    assert started == ["a"]


def test_a_run_that_starts_while_the_runs_are_read_is_pending(settings, monkeypatch):
    idle = Settings(**{**settings.model_dump(), "workers": 0})
    run = queue.submit(tiny_config(), "a", settings=idle)
    read = RunDirectory.status

    def status_before_the_start(self: RunDirectory) -> Status:
        seen = read(self)
        self.write_status(dataclasses.replace(seen, state="running", phase=STARTING, pid=os.getpid()))
        queue._write_order([], idle)
        return seen

    monkeypatch.setattr(RunDirectory, "status", status_before_the_start)
    assert [found.id for found in queue.pending_on(run.config().data, idle)] == [run.id]


# --- starting from another model --------------------------------------------------------------------------------------


def trained(settings: Settings, **changes: object) -> RunDirectory:
    run = RunDirectory.create(settings.runs_dir / "earlier", tiny_config(model=TINY.replace(**changes)))
    run.best_weights.write_bytes(b"weights")
    return run


@pytest.mark.parametrize("changes", [{"height": 32}, {"spatial_dropout": 0.2}, {"classes": 5}])
def test_a_run_may_start_from_one_with_the_same_weights_whatever_its_size(settings, started, changes):
    earlier = trained(settings, **changes)
    for name in (earlier.id, str(earlier.path)):
        config = tiny_config(start_from=name)
        assert checks.problems(config, settings) == ()
        assert queue.submit(config, settings=settings).config().start_from == name


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"depth": 3}, "depth: 3 there, 2 here; filters: 4, 8, 16 there, 4, 8 here"),
        ({"normalization": "none"}, "normalization: none there, batch here"),
        ({"skip_mode": "none"}, "skip_mode: none there, crop here"),
    ],
)
def test_a_model_of_another_network_is_refused_with_what_differs(settings, started, changes, says):
    config = tiny_config(start_from=trained(settings, **changes).id)
    (sentence,) = checks.problems(config, settings)
    assert says in sentence
    with pytest.raises(RunError, match="has another network"):
        queue.submit(config, settings=settings)
    assert started == []


def test_a_model_to_start_from_that_is_not_there_is_refused(settings, tmp_path):
    from tests.helpers.tiny_model import write_tiny_model

    shipped = Settings(**{**settings.model_dump(), "weights_dir": write_tiny_model(tmp_path / "weights")})
    (tmp_path / "runs" / "young").mkdir(parents=True)
    RunDirectory.create(tmp_path / "runs" / "young", tiny_config())
    for name, says in [
        ("nothing-such", "There is no model 'nothing-such': choose one of tiny"),
        ("young", "no weights yet"),
        ("tiny", "has no Keras weights"),
    ]:
        (sentence,) = checks.problems(tiny_config(start_from=name), shipped)
        assert says in sentence
        assert sentence.startswith("start_from: ")


@given(config=small_configs(), other=small_configs(), field=st.sampled_from(sorted(UNetConfig.model_fields)))
@hypothesis_settings(max_examples=60, deadline=None)
def test_whatever_changes_the_weights_is_named(config, other, field):
    try:
        changed = config.replace(**{field: getattr(other, field)})
    except ConfigError:
        return
    shapes = [
        [(layer.name, layer.params) for layer in trace(model).layers if layer.params] for model in (config, changed)
    ]
    if field != "classes" and trace(config).valid and trace(changed).valid and shapes[0] != shapes[1]:
        assert network_differences(changed, config)


# --- a folder that cannot be written ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [(errno.EROFS, "cannot be written"), (errno.EACCES, "cannot be written"), (errno.ENOSPC, "full")],
)
def test_every_change_of_an_unwritable_runs_folder_is_refused_in_a_sentence(settings, monkeypatch, number, text):
    idle = Settings(**{**settings.model_dump(), "workers": 0})
    run = queue.submit(tiny_config(), "a", settings=idle)

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number), str(settings.runs_dir))

    monkeypatch.setattr("unet_core.train.queue.FileLock.acquire", refuse)
    changes = (
        lambda: queue.submit(tiny_config(), settings=idle),
        lambda: queue.rename(run, "b"),
        lambda: queue.pin(run),
        lambda: queue.stop(run, idle),
        lambda: queue.delete(run, idle),
        lambda: queue.prune(idle),
    )
    for change in changes:
        with pytest.raises(RunError, match=text) as caught:
            change()
        assert str(settings.runs_dir) not in str(caught.value)
    assert queue.advance(idle) == []
    assert [other.id for other in queue.all_runs(idle)] == [run.id]


def test_a_name_loses_what_deceives_and_has_a_limit(settings):
    run = queue.submit(tiny_config(), "a\u202eb\x00" + "c" * 10_000, settings=settings)
    assert run.label().name == "ab" + "c" * 118
    queue.rename(run, "x\x1b[31m\u2066y")
    assert run.label().name == "x[31my"
    with pytest.raises(RunError, match="needs a name"):
        queue.rename(run, "\u202e\x00")
