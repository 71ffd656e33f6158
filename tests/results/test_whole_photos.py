"""Figures on whole photos: what is written, read, counted and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import own_datasets
from tests.helpers.tiny_model import write_tiny_model
from unet_core.cli.parser import main
from unet_core.results.evaluation import provenance
from unet_core.results.files import write_result
from unet_core.results.whole_photos import WholePhotos, find_whole_photos, photos_path, whole_photos
from unet_core.scoring.outline import OutlineScore
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry, load_manifest
from unet_core.zoo.presence import FIGURES, PresenceCalibration

CALIBRATION = PresenceCalibration(
    weights=dict.fromkeys(FIGURES, 0.0) | {"peak": 1.0}, offset=0, absent_below=0.2, present_from=0.6, photos="a few"
)


def score(name: str, iou: float | None, found: bool | None, peak: float, coverage: float = 0.0) -> OutlineScore:
    figures = np.zeros(len(FIGURES))
    figures[0] = peak
    return OutlineScore(name, 0.2, iou, coverage, found, figures)


SCORES = [
    score("cup", None, True, 2.0, coverage=0.3),
    score("sofa", None, False, -3.0, coverage=0.05),
    score("tree", None, None, 0.0, coverage=0.2),
    score("cat", 0.9, True, 3.0),
    score("dog", 0.4, False, -2.0),
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(weights_dir=write_tiny_model(tmp_path / "weights"))


@pytest.fixture
def tiny(settings: Settings) -> tuple[str, ModelEntry]:
    manifest = load_manifest(settings)
    return manifest.default, manifest.entry(None).replace(presence=CALIBRATION)


@pytest.fixture
def figures(tiny: tuple[str, ModelEntry]) -> WholePhotos:
    return whole_photos(SCORES, *tiny, "Five photos", provenance("outline", 1.0))


def test_photos_are_counted_by_what_was_decided(figures: WholePhotos) -> None:
    assert figures.name == ("cat", "dog", "cup", "sofa", "tree")
    assert figures.ious == [0.9, 0.4]
    assert [figures.count(kind, with_subject=True) for kind in ("found", "not sure", "not found")] == [1, 0, 1]
    assert [figures.count(kind, with_subject=False) for kind in ("found", "not sure", "not found")] == [1, 1, 1]
    assert (figures.masked(0.1), figures.masked(0.25), figures.masked(0.5)) == (2, 1, 0)


def test_the_curve_says_what_each_threshold_would_do(figures: WholePhotos) -> None:
    curve = {round(limit, 2): (falsely, missed) for limit, falsely, missed in figures.curve()}
    assert curve[0.0] == (1.0, 0.0)
    assert curve[0.5] == (2 / 3, 0.5)
    assert curve[0.9] == (0.0, 0.5)
    assert curve[1.0] == (0.0, 1.0)


def test_without_a_calibration_there_is_no_curve(tiny: tuple[str, ModelEntry]) -> None:
    entry = tiny[1].replace(presence=None)
    assert whole_photos(SCORES, "tiny", entry, "Five photos", provenance("outline", 1.0)).curve() == []


def test_figures_come_back_as_written_and_only_for_the_model_that_was_measured(
    figures: WholePhotos, tiny: tuple[str, ModelEntry], settings: Settings
) -> None:
    name, entry = tiny
    assert "There is no" in find_whole_photos(name, entry, settings).problem
    path = write_result(photos_path(name, settings), figures)
    assert find_whole_photos(name, entry, settings).figures == figures
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"sha256": "0" * 64}))
    assert "another version" in find_whole_photos(name, entry, settings).problem
    path.write_text(json.dumps(values | {"decision": ["found"]}))
    assert "one entry for each photo" in find_whole_photos(name, entry, settings).problem


def test_the_command_writes_the_figures_of_the_page(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(settings.weights_dir))
    own_datasets.black_and_white(tmp_path / "leaves", 6)
    assert main(["outline", "--data", str(tmp_path / "leaves"), "--results", "Six leaves", "--json"]) == 0
    name = load_manifest(settings).default
    assert json.loads(capsys.readouterr().out)["results"] == str(photos_path(name, settings))
    found = find_whole_photos(name, load_manifest(settings).entry(None), settings).figures
    assert found is not None
    assert (found.photos, len(found.name)) == ("Six leaves", 6)
    assert "--data leaves" in found.measured.command


@pytest.mark.parametrize("name", list(load_manifest(Settings()).models))
def test_shipped_models_have_figures_of_their_present_version(name: str) -> None:
    found = find_whole_photos(name, load_manifest(Settings()).entry(name), Settings())
    assert found.figures is not None, found.problem
    assert len(found.figures.ious) == 300
    assert len(found.figures.curve()) == 101
