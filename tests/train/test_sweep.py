"""Sweeps: planning, and running them with workers that are only pretended. Real ones are in `test_sweep_processes`."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from tests.helpers.tiny_run import tiny_config
from unet_core.errors import ConfigError
from unet_core.settings import Settings
from unet_core.train import queue, sweep
from unet_core.train.run_directory import RunDirectory, RunError
from unet_core.train.sweep import Range, Rung, plan_rungs, plan_trials, read_grid, read_range, run_sweep, sweep_report

NINE = {"learning_rate": [number / 1000 for number in range(1, 10)]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runs_dir=tmp_path / "runs", cache_dir=tmp_path / "cache", data_dir=tmp_path / "data")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was trained: the run's name and its epochs then. A higher learning rate scores higher, at once."""
    done: list[tuple[str, int]] = []

    def train(run: RunDirectory, _: Settings) -> bool:
        status, config = run.status(), run.config()
        until = status.until or status.epochs
        for epoch in range(len(run.metrics.rows()), until):
            run.metrics.append({"epoch": epoch, "val_mean_iou": config.learning_rate * (epoch + 1), "seconds": 1.0})
        done.append((run.label().name, until))
        paused = until < status.epochs
        reason = f"paused after {until} of {status.epochs} epochs by its sweep" if paused else ""
        state = "stopped" if paused else "finished"
        run.write_status(dataclasses.replace(status, state=state, reason=reason, epoch=until, finished=time.time()))
        return True

    monkeypatch.setattr(queue, "_start_here", train)
    monkeypatch.setattr(sweep, "_POLL_SECONDS", 0.001)
    return done


# --- planning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("learning_rate=0.1,1e-3", "learning_rate", [0.1, 1e-3]),
        ("loss=dice, focal", "loss", ["dice", "focal"]),
        ("augmentation.enabled=true,false", "augmentation.enabled", [True, False]),
        ("class_weights=[1,2,1],null", "class_weights", [[1, 2, 1], None]),
        ("model.depth=3", "model.depth", [3]),
    ],
)
def test_a_grid_is_read_as_json_values_or_words(text, field, values):
    assert read_grid(text) == (field, values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate=1e-4..1e-1:log", Range(1e-4, 0.1, log=True)),
        ("batch_size=4..32", Range(4, 32, whole=True)),
        ("batch_size=4..32:log", Range(4, 32, whole=True, log=True)),
        ("momentum=-.5 .. 0.5", None),
        ("momentum=0.5", None),
        ("momentum=a..b", None),
        ("=1..2", None),
        ("momentum=1..0", None),
        ("momentum=0..1:log", None),
        ("momentum=0..1:cubic", None),
    ],
)
def test_a_range_is_read_or_refused(text, expected):
    if expected is not None:
        assert read_range(text) == (text.partition("=")[0], expected)
        return
    with pytest.raises(ConfigError, match="--random"):
        read_range(text)


def test_a_grid_tries_every_combination_with_the_same_seed():
    trials = plan_trials(tiny_config(seed=7), {"loss": ["dice", "focal"], "model.depth": [2, 3]})
    assert [trial.title for trial in trials] == [
        "loss dice, model.depth 2",
        "loss dice, model.depth 3",
        "loss focal, model.depth 2",
        "loss focal, model.depth 3",
    ]
    assert [(trial.config.loss, trial.config.model.depth) for trial in trials][2] == ("focal", 2)
    assert {trial.config.seed for trial in trials} == {7}
    assert trials[0].config == tiny_config(seed=7, loss="dice")


def test_random_values_lie_in_their_range_and_depend_on_the_seed_alone():
    ranges = {"learning_rate": Range(1e-4, 1e-1, log=True), "batch_size": Range(4, 9, whole=True)}
    first, second, other = (plan_trials(tiny_config(), {}, ranges, 200, seed) for seed in (0, 0, 1))
    assert first == second != other
    rates = sorted(trial.config.learning_rate for trial in first)
    assert 1e-4 <= rates[0] < rates[-1] <= 1e-1
    assert 1e-3 < rates[100] < 1e-2, "half of the values lie below the geometric mean"
    assert {trial.config.batch_size for trial in first} == {4, 5, 6, 7, 8, 9}


def test_each_draw_is_tried_with_the_whole_grid_and_equal_trials_once():
    trials = plan_trials(tiny_config(), {"loss": ["dice", "focal"]}, {"batch_size": Range(4, 5, whole=True)}, 50)
    assert sorted((trial.config.loss, trial.config.batch_size) for trial in trials) == [
        ("dice", 4),
        ("dice", 5),
        ("focal", 4),
        ("focal", 5),
    ]


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"learning_rate": [0.1, -1]}, "learning_rate: must be greater than 0"),
        ({"learning.rate": [1]}, "no such field"),
        ({"loss": ["dice", "dise"]}, "loss: must be"),
        ({}, "name what varies"),
    ],
)
def test_what_training_would_refuse_is_refused_in_the_plan(grid, words):
    with pytest.raises(ConfigError, match=words):
        plan_trials(tiny_config(), grid)


def test_halving_leaves_a_third_for_three_times_as_many_epochs():
    trials = plan_trials(tiny_config(epochs=20), NINE)
    assert plan_rungs(trials, halving=False) == [Rung(9, None)]
    assert plan_rungs(trials, halving=True) == [Rung(9, 3), Rung(3, 7), Rung(1, None)]
    with pytest.raises(ConfigError, match="at least 3 trials and 3 epochs. Received: 9 trials of 2 epochs"):
        plan_rungs(plan_trials(tiny_config(epochs=2), NINE), halving=True)
    with pytest.raises(ConfigError, match="same number of epochs"):
        plan_rungs(plan_trials(tiny_config(), {"epochs": [3, 6, 9]}), halving=True)


# --- running ----------------------------------------------------------------------------------------------------------


def run(settings: Settings, *, halving: bool = False, epochs: int = 9, **grid: list[object]) -> sweep.SweepReport:
    trials = plan_trials(tiny_config(epochs=epochs), grid)
    return run_sweep("s", trials, plan_rungs(trials, halving), settings, say=lambda _: None)


def test_every_trial_is_a_run_of_the_queue_and_the_best_comes_first(settings, trained):
    report = run(settings, learning_rate=[0.01, 0.03, 0.02], loss=["dice"])
    assert [(trial.values["learning_rate"], trial.epochs) for trial in report.trials] == [
        (0.03, 9),
        (0.02, 9),
        (0.01, 9),
    ]
    assert report.fields == ("learning_rate",), "one loss does not vary"
    assert [trial.score for trial in report.trials] == pytest.approx([0.27, 0.18, 0.09])
    runs = queue.all_runs(settings)
    assert {found.label().sweep for found in runs} == {"s"}
    assert "s: learning_rate 0.03, loss dice" in {found.label().name for found in runs}
    assert report.unfinished == 0


def test_a_second_call_trains_only_what_is_missing(settings, trained):
    run(settings, learning_rate=[0.01, 0.02])
    queue.submit(tiny_config(epochs=9, learning_rate=0.03), "not of the sweep", settings=settings)
    trained.clear()
    report = run(settings, learning_rate=[0.01, 0.02, 0.03])
    assert trained == [("s: learning_rate 0.03", 9)]
    assert len(report.trials) == 3


def test_a_stopped_and_a_failed_trial_are_continued_by_the_next_call(settings, trained):
    run(settings, learning_rate=[0.01, 0.02])
    for found, state in zip(sweep.sweep_runs("s", settings), ("stopped", "failed"), strict=True):
        text = "".join(found.metrics.path.read_text().splitlines(keepends=True)[:3])
        found.metrics.path.write_text(text)
        found.write_status(dataclasses.replace(found.status(), state=state, reason="on request", epoch=2))
    assert sweep_report("s", settings).unfinished == 1
    trained.clear()
    report = run(settings, learning_rate=[0.01, 0.02])
    assert len(trained) == 2
    assert [(trial.state, trial.epochs) for trial in report.trials] == [("finished", 9)] * 2


def test_a_trial_killed_after_its_last_epoch_is_not_trained_again(settings, trained):
    run(settings, learning_rate=[0.01, 0.02])
    found = sweep.sweep_runs("s", settings)[0]
    found.write_status(dataclasses.replace(found.status(), state="interrupted", reason="killed"))
    trained.clear()
    assert run(settings, learning_rate=[0.01, 0.02]).unfinished == 0
    assert trained == []


def test_halving_gives_the_best_the_rest_of_the_epochs(settings, trained):
    report = run(settings, halving=True, **NINE)
    assert [trial.epochs for trial in report.trials] == [9, 3, 3, 1, 1, 1, 1, 1, 1]
    assert report.trials[0].values == {"learning_rate": 0.009}
    assert [trial.paused for trial in report.trials] == [False] + [True] * 8
    assert report.unfinished == 0
    trained.clear()
    assert run(settings, halving=True, **NINE) == report
    assert trained == [], "everybody has got as far as they should"


def test_without_halving_the_trials_left_behind_are_trained_to_their_end(settings, trained):
    run(settings, halving=True, **NINE)
    trained.clear()
    assert [trial.epochs for trial in run(settings, **NINE).trials] == [9] * 9
    assert len(trained) == 8


def test_a_failed_trial_never_goes_on(settings, trained, monkeypatch):
    pretended = queue._start_here

    def best_fails(run: RunDirectory, settings: Settings) -> bool:
        pretended(run, settings)
        if run.config().learning_rate == 0.009:
            run.write_status(dataclasses.replace(run.status(), state="failed", reason="the loss became nan"))
        return True

    monkeypatch.setattr(queue, "_start_here", best_fails)
    report = run(settings, halving=True, **NINE)
    states = {trial.values["learning_rate"]: (trial.state, trial.epochs) for trial in report.trials}
    assert states[0.009] == ("failed", 1)
    assert states[0.008] == ("finished", 9)


def test_nothing_starts_when_one_trial_cannot(settings, trained):
    few = settings.replace(keep_runs=2)
    with pytest.raises(RunError, match="3 trials and UNET_KEEP_RUNS keeps 2"):
        run(few, learning_rate=[0.01, 0.02, 0.03])
    with pytest.raises(RunError, match="UNET_WORKERS is 0"):
        run(settings.replace(workers=0), learning_rate=[0.01])
    with pytest.raises(RunError, match="data /nowhere.*nor an existing folder"):
        run(settings, data=["synthetic", "/nowhere"])
    assert (trained, queue.all_runs(settings)) == ([], [])


def test_runs_deleted_to_make_room_are_named(settings, trained):
    old = queue.submit(tiny_config(), "old", settings=settings)
    said: list[str] = []
    trials = plan_trials(tiny_config(), {"learning_rate": [0.01, 0.02]})
    run_sweep("s", trials, plan_rungs(trials, False), settings.replace(keep_runs=2), say=said.append)
    assert any("older runs were deleted" in sentence and old.id in sentence for sentence in said)


def test_stopping_removes_the_waiting_trials(settings, monkeypatch):
    monkeypatch.setattr(queue, "_start_here", lambda *_: True)
    idle = settings.replace(workers=0)
    for number in range(3):
        queue.submit(tiny_config(seed=number), settings=idle, sweep="s" if number else "other")
    assert sweep.stop_sweep("s", idle) == 2
    assert [found.label().sweep for found in queue.waiting(idle)] == ["other"]
    with pytest.raises(RunError, match="no sweep 'nobody'"):
        sweep_report("nobody", settings)
