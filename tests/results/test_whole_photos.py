"""Figures on whole photos: what is written, read, counted and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import own_datasets
from tests.helpers.tiny_model import write_tiny_model
from unet_core.cli.parser import main
from unet_core.errors import ConfigError
from unet_core.results.evaluation import provenance
from unet_core.results.failure_kinds import failure_kinds
from unet_core.results.files import ResultsError, write_result
from unet_core.results.whole_photos import WholePhotos, find_whole_photos, photos_path, whole_photos
from unet_core.scoring.outline import OutlineScore, _pieces
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


def test_failures_are_counted_by_kind_before_and_after(tiny: tuple[str, ModelEntry]) -> None:
    def described(name: str, iou: float | None, share: float, pieces: int = 1, coverage: float = 0.0) -> OutlineScore:
        return OutlineScore(name, share, iou, coverage, True, np.zeros(len(FIGURES)), pieces, cut=share > 0.5)

    before = [
        described("a", 0.4, 0.01),
        described("b", 0.2, 0.05, pieces=2),
        described("c", 0.9, 0.6),
        described("d", None, 0, coverage=0.3),
        described("e", None, 0, coverage=0.2),
    ]
    after = [
        described("a", 0.6, 0.01),
        described("b", 0.3, 0.05, pieces=2),
        described("c", 0.8, 0.6),
        described("d", None, 0, coverage=0.05),
        described("e", None, 0, coverage=0.11),
    ]
    measured = provenance("outline", 1.0)
    old = whole_photos(before, *tiny, "Five", measured)
    new = whole_photos(after, *tiny, "Five", measured, beside={"person": {"b", "d"}}, earlier=old)
    found = {(kind.title, kind.with_subject): kind for kind in failure_kinds(new)}
    counts = {key: (kind.photos, kind.failed_before, kind.failed) for key, kind in found.items()}
    assert counts == {
        ("all", True): (3, 2, 1),
        ("under 2 % of the photo", True): (1, 1, 0),
        ("2 % to 10 %", True): (1, 1, 1),
        ("over 50 %", True): (1, 0, 0),
        ("in several pieces", True): (1, 1, 1),
        ("cut by the photo's edge", True): (1, 0, 0),
        ("beside a person", True): (1, 1, 1),
        ("all", False): (2, 2, 1),
        ("with a person", False): (1, 1, 0),
        ("without a person", False): (1, 1, 1),
    }
    assert (found["all", True].iou_before, found["all", True].iou) == pytest.approx((0.5, 1.7 / 3))
    assert found["all", False].iou is None
    assert [kind.failed_before for kind in failure_kinds(old)] == [None] * len(failure_kinds(old))
    undescribed = old.replace(subject_share=(), pieces=(), cut=())
    assert failure_kinds(undescribed) == ()
    with pytest.raises(ResultsError, match="of other photos"):
        whole_photos(after[:3], *tiny, "Three", measured, earlier=old)
    with pytest.raises(ConfigError, match="one entry for each photo"):
        new.replace(pieces=(1,))


def test_the_command_takes_what_is_beside_the_subject_and_the_earlier_version(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(settings.weights_dir))
    leaves = own_datasets.black_and_white(tmp_path / "leaves", 6)
    table = leaves / "photos.csv"
    table.write_text("id,person\np00,0.5\np01,0.01\np03,0.02\n")
    common = ["outline", "--data", str(leaves), "--results", "Six leaves"]
    assert main(common) == 0
    name = load_manifest(settings).default
    earlier = tmp_path / "earlier.json"
    earlier.write_bytes(photos_path(name, settings).read_bytes())
    assert main([*common, "--beside", f"{table}:person", "--earlier", str(earlier)]) == 0
    found = find_whole_photos(name, load_manifest(settings).entry(None), settings).figures
    assert found is not None
    assert {photo for photo, shown in zip(found.name, found.beside["person"], strict=True) if shown} == {"p00", "p03"}
    assert found.earlier is not None
    assert found.earlier.iou == found.iou
    assert "--beside photos.csv:person" in found.measured.command
    assert str(tmp_path) not in found.measured.command
    assert main([*common, "--beside", f"{table}:dog"]) == 1
    assert "--beside: needs a CSV file" in capsys.readouterr().err
    assert main(["outline", "--data", str(leaves), "--earlier", str(earlier)]) == 1
    assert "need --results" in capsys.readouterr().err


def test_pieces_and_the_photos_edge_are_seen_in_the_true_mask() -> None:
    mask = np.zeros((40, 60), bool)
    mask[5:25, 5:25] = mask[5:15, 40:50] = mask[30:32, 30:32] = True  # 400, 100 and 4 pixels
    assert _pieces(mask) == 2
    assert _pieces(np.zeros((4, 4), bool)) == 0
