"""`inspect` reports on a dataset as JSON, the same for a folder and its ZIP, and keeps a person's decisions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import own_datasets
from unet_core.cli.parser import main
from unet_core.data.own.folder import ImageFolder


def inspected(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["inspect", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_folder_and_its_zip_have_the_same_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = own_datasets.folder(tmp_path / "set", 12, classes=3, table=[0, 1, 255])
    (tmp_path / "set.zip").write_bytes(own_datasets.zipped(root))
    found = inspected(capsys, root)
    assert (found["usable"], found["pairs"], sum(found["splits"].values())) == (True, 12, 12)
    assert [(entry["name"], entry["value"], entry["ignored"]) for entry in found["classes"]] == [
        ("background", 0, False),
        ("object", 1, False),
        ("void", 255, True),
    ]
    assert [entry["background"] for entry in found["classes"]] == [True, False, False]
    assert sum(entry["share"] for entry in found["classes"]) == pytest.approx(1)
    assert inspected(capsys, tmp_path / "set.zip") == found


def test_what_is_decided_applies_and_can_be_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = own_datasets.folder(tmp_path / "set", 12)
    for seed in range(12):
        own_datasets.save_mask(root / "masks_machine" / f"p{seed:02}.png", own_datasets.class_map(seed + 50))
    (root / "images" / "p05.jpg").write_bytes(b"no photo")
    (root / "notes.docx").write_bytes(b"x")
    found = inspected(capsys, root)
    assert not found["usable"]
    assert set(found["candidates"]) == {"masks", "masks_machine"}
    assert "--masks" in found["errors"][0]
    assert {"path": "notes.docx", "why": "neither a photo nor annotations"} in found["ignored"]
    chosen = inspected(capsys, root, "--masks", "masks", "--skip-bad", "--save")
    assert (chosen["usable"], chosen["pairs"]) == (True, 11)
    assert [file["path"] for file in chosen["left_out"]] == ["images/p05.jpg"]
    source = ImageFolder(root)
    for example in source.examples("train"):
        np.testing.assert_array_equal(example.decode()[1], own_datasets.class_map(int(example.name[1:])))


def test_the_text_names_classes_and_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = own_datasets.black_and_white(tmp_path / "set", 5)
    assert main(["inspect", str(root)]) == 0
    shown = capsys.readouterr().out
    assert "set: usable, 5 pairs" in shown
    assert "background" in shown
    assert "warning: Only 5 photos" in shown


def test_a_missing_path_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nothing")]) == 1
    assert "nothing" in capsys.readouterr().err


@pytest.mark.slow
def test_training_keeps_what_was_left_out_in_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = own_datasets.folder(tmp_path / "set", 8)
    (root / "images" / "p05.jpg").write_bytes(b"no photo")
    (tmp_path / "net.json").write_text(
        json.dumps({"height": 32, "width": 32, "channels": 3, "classes": 2, "depth": 2, "base_filters": 4})
    )
    run = tmp_path / "run"
    arguments = ["--config", tmp_path / "net.json", "--data", root, "--epochs", 1, "--batch-size", 4, "--run", run]
    assert main(["train", *map(str, arguments)]) == 1
    assert "p05.jpg" in capsys.readouterr().err
    assert main(["train", *map(str, arguments), "--skip-bad"]) == 0
    kept = json.loads((run / "dataset.json").read_text())
    assert [file["path"] for file in kept["left_out"]] == ["images/p05.jpg"]
