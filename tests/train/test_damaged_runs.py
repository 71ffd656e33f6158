"""Damaged run directories: whatever is wrong with a file of one, its readers give a sentence or what can be read."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.damage import damaged_copies
from tests.helpers.made_runs import made_run
from unet_core.errors import UNetError
from unet_core.settings import Settings
from unet_core.train import previews, queue
from unet_core.train.curves import Curves
from unet_core.train.downloads import report
from unet_core.train.run_directory import RunDirectory, Status, best_epoch, remaining_seconds

pytestmark = pytest.mark.slow


def read_everything(run: RunDirectory, settings: Settings) -> None:
    """Read a run as the pages do; only errors that are meant for people may come out of it."""
    label, status = run.label(), run.status()
    assert label.name.isprintable()
    assert label.name
    assert isinstance(status, Status)
    assert 0 <= status.share <= 1
    with contextlib.suppress(UNetError):
        run.config()
    with contextlib.suppress(UNetError):
        remaining_seconds(run)
    for value in run.environment().values():
        str(value).encode()
    result = run.test()
    if result is not None:
        assert 0 <= result.pixel_accuracy <= 1 or np.isnan(result.pixel_accuracy)
        assert list(result.iou)
    curves = Curves()
    curves.refresh(run)
    best_epoch(curves.epochs)
    for sample in previews.samples(run):
        for epoch in previews.epochs(run):
            with contextlib.suppress(UNetError):
                previews.mask(run, epoch, sample.index)
                previews.picture(run, sample.index)
                previews.truth(run, sample.index)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("damaged")
    run = made_run(folder / "whole", name="Whole")
    (folder / "runs").mkdir()
    return damaged_copies(run.path, folder / "runs")


def test_every_reader_survives_every_damage(copies):
    settings = Settings(runs_dir=next(iter(copies.values())).parent)
    for damage, path in copies.items():
        try:
            read_everything(RunDirectory(path), settings)
        except Exception as error:
            raise AssertionError(f"{damage}: {error!r}") from error


def test_the_queue_lists_damaged_runs_with_the_others(copies):
    settings = Settings(runs_dir=next(iter(copies.values())).parent, workers=0)
    listed = {run.path for run in queue.all_runs(settings)}
    readable = {path for path in copies.values() if (path / "config.json").is_file()}
    assert listed == readable
    assert queue.waiting(settings) == []
    assert queue.active_runs(settings) == []
    assert queue.latest_run_on("nothing", settings) is None


@pytest.mark.slow
def test_the_report_of_a_damaged_run_is_drawn_or_refused_in_a_sentence(copies):
    for damage, path in list(copies.items())[::9]:
        try:
            report(RunDirectory(path), "png")
        except UNetError:
            pass
        except Exception as error:
            raise AssertionError(f"{damage}: {error!r}") from error


def test_a_damaged_status_is_interrupted_and_says_so(tmp_path):
    run = made_run(tmp_path / "run")
    (run.path / "status.json").write_text('{"state": "dancing"}')
    assert run.status() == Status(state="interrupted", reason="status.json is missing or damaged")


def test_damaged_lines_of_a_table_are_left_out_and_the_rest_is_read(tmp_path):
    run = made_run(tmp_path / "run", epochs=3)
    lines = run.metrics.path.read_bytes().splitlines(keepends=True)
    run.metrics.path.write_bytes(lines[0] + lines[1] + b"\xff\xfe,x\n" + lines[2] + b",\n" + lines[3] + b"4,")
    assert [row["epoch"] for row in run.metrics.rows()] == [0, 1, 2]


def test_a_damaged_table_can_be_cut_back_and_continued(tmp_path):
    run = made_run(tmp_path / "run", epochs=3)
    with open(run.metrics.path, "ab") as file:
        file.write(b"\xff,\xfe,not a number\n")
    run.metrics.keep_below(2)
    assert [row["epoch"] for row in run.metrics.rows()] == [0, 1]
