"""What operators are shown: complete families, whose labels hold nothing of a visitor's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ui.shared.metrics import Metrics, _job
from unet_core.settings import Settings


def test_only_the_families_that_are_asked_for_are_computed(tmp_path: Path):
    metrics = Metrics(Settings(runs_dir=tmp_path / "runs"), {"photos": lambda: 7})
    assert set(metrics.get_stats()) == set(metrics.stats_families)
    assert set(metrics.get_stats(["unet_photos", "active_sessions"])) == {"unet_photos"}


def test_a_runs_folder_that_cannot_be_read_counts_as_empty(tmp_path: Path):
    (tmp_path / "runs").write_text("a file")
    metrics = Metrics(Settings(runs_dir=tmp_path / "runs"), {"photos": lambda: 7})
    (runs, waiting) = metrics.get_stats(["unet_training_runs"])["unet_training_runs"]
    assert runs.to_metric_str() == 'unet_training_runs{state="active"} 0'
    assert waiting.to_metric_str() == 'unet_training_runs{state="waiting"} 0'


@pytest.mark.parametrize(
    ("command", "job"),
    [
        (["python", "-m", "unet_core", "train", "--run", "/runs/my-cat"], "train"),
        (["python", "-m", "unet_core.segment.keras_process", "/weights/a.keras"], "keras_process"),
        (["python", "-m", "unet_core", "/home/me"], "unet_core"),
        (["python", "-m", "/home/me/tool.py"], "other"),
        (["chromium", "--headless"], "other"),
        (["python", "-m"], "other"),
        ([], "other"),
    ],
)
def test_a_process_is_named_after_its_job_and_never_after_its_files(command: list[str], job: str):
    assert _job(command) == job
