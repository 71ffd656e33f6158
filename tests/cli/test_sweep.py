"""The command `sweep` with workers that are only pretended; `tests/train/test_sweep_processes` has real ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.helpers.tiny_run import tiny_config
from unet_core.cli.parser import main
from unet_core.settings import Settings
from unet_core.train import queue, sweep
from unet_core.train.run_directory import RunDirectory

RATES = ("--grid", "learning_rate=0.01,0.02")


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("UNET_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("UNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sweep, "_POLL_SECONDS", 0.001)
    path = tmp_path / "tiny.json"
    path.write_text(tiny_config().to_json())
    return str(path)


def pretend(monkeypatch: pytest.MonkeyPatch, state: str, reason: str = "") -> None:
    def launch(run: RunDirectory, _: Settings) -> bool:
        run.metrics.append({"epoch": 0, "val_mean_iou": run.config().learning_rate})
        run.write_status(dataclasses.replace(run.status(), state=state, reason=reason))
        return True

    monkeypatch.setattr(queue, "_start_here", launch)


def test_a_sweep_prints_its_trials_best_first_as_json_and_as_a_table(config_file, monkeypatch, capsys):
    pretend(monkeypatch, "finished")
    assert main(["sweep", "--config", config_file, *RATES, "--name", "rates", "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["name"], report["fields"]) == ("rates", ["learning_rate"])
    assert [(trial["values"], trial["score"]) for trial in report["trials"]] == [
        ({"learning_rate": 0.02}, 0.02),
        ({"learning_rate": 0.01}, 0.01),
    ]
    assert "2 of 2: learning_rate 0.02: validation mean IoU 0.0200, finished" in printed.err
    assert main(["sweep", "--name", "rates"]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["run", "learning_rate"]
    assert (first.split()[1], second.split()[1]) == ("0.02", "0.01")


def test_a_sweep_without_a_name_is_named_after_what_it_varies(config_file, monkeypatch, capsys):
    pretend(monkeypatch, "finished")
    assert main(["sweep", "--config", config_file, *RATES, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "tiny by learning_rate"


def test_trials_that_were_stopped_make_the_command_fail_with_what_to_do(config_file, monkeypatch, capsys):
    pretend(monkeypatch, "stopped", "stopped on request")
    assert main(["sweep", "--config", config_file, *RATES, "--json"]) == 1
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["trials"]) == 2
    assert printed.err.strip().splitlines()[-1] == "error: 2 trials did not end: the same command continues them"


def test_an_interrupt_stops_the_runs_that_train_or_wait(config_file, monkeypatch, capsys):
    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(queue, "_start_here", interrupt)
    assert main(["sweep", "--config", config_file, *RATES, "--name", "s"]) == 130
    assert "the same command continues" in capsys.readouterr().err
    assert [run.status().state for run in sweep.sweep_runs("s")] == ["stopped"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grid", "learning_rate=0.1,100"], "learning_rate: must be at most 10"),
        (["--grid", "depth=3,4"], "depth: the training configuration has no such field"),
        (["--grid", "learning_rate"], "--grid: needs FIELD=VALUE,VALUE"),
        (["--random", "learning_rate=0.1..1"], "--random and --trials go together"),
        ([*RATES, "--trials", "3"], "--random and --trials go together"),
        ([*RATES, *RATES], "give all values of a field at once"),
        ([*RATES, "--halving"], "at least 3 trials and 3 epochs"),
        (["--name", "nobody"], "no sweep 'nobody'"),
        (["--stop"], "name the sweep"),
        ([], "name what varies"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(config_file, capsys, arguments, words):
    assert main(["sweep", "--config", config_file, *arguments]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert words in said[0]
    assert queue.all_runs() == []
