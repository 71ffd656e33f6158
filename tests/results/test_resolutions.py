"""Figures at several sizes: the same as those of a single evaluation, and masks without finer detail are counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.scoring.test_evaluate import CONFIG, ColourNetwork, Painted, blocks, coding
from unet_core.cli.parser import main
from unet_core.images.square import resized_mask
from unet_core.results.files import write_result
from unet_core.results.resolutions import AtSize, Resolutions, Size, at_sizes, find_resolutions
from unet_core.scoring.evaluate import Comparison, Counts, EvaluationError, counted, evaluate, is_coarse, report
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import load_manifest


def measured(network: ColourNetwork, examples: list[Painted], *sizes: Size) -> tuple[Counts, tuple[AtSize, ...]]:
    comparison = Comparison(CONFIG, coding(), sizes)
    counts = counted(network, comparison, examples)
    return counts, at_sizes(counts, comparison)


def test_each_size_has_the_figures_of_an_evaluation_at_that_size() -> None:
    network, examples = ColourNetwork(weights=(1, 0.9, 1.2)), [blocks(0), blocks(1, side=64)]
    counts, found = measured(network, examples, (16, 24), (40, 40), "own")
    for at, size in zip(found, [(16, 24), (40, 40)], strict=False):
        alone = report(evaluate(network, CONFIG, examples, coding(), size=size))
        assert at.size == size
        assert (at.pixel_accuracy, at.mean_iou, at.iou) == (alone["pixel_accuracy"], alone["mean_iou"], alone["iou"])
        assert {"dataset": at.pet_iou, "per_image_mean": at.photo_iou} == alone["pet_iou"]
    assert counts.images == 2


def test_the_own_size_is_each_masks() -> None:
    _, (one,) = measured(ColourNetwork(), [blocks(3)], "own")
    alone = report(evaluate(ColourNetwork(), CONFIG, [blocks(3)], coding(), size=(32, 32)))
    assert (one.size, one.pixel_accuracy, one.mean_iou) == ("own", alone["pixel_accuracy"], alone["mean_iou"])
    with pytest.raises(EvaluationError, match="no photo"):
        measured(ColourNetwork(), [], "own")


def test_masks_that_are_no_more_than_an_enlargement_are_counted() -> None:
    fine = np.random.default_rng(0).integers(0, 3, (40, 60), dtype=np.uint8)
    coarse = resized_mask(resized_mask(fine, (16, 16)), (40, 60))
    assert is_coarse(coarse, 16)
    assert not is_coarse(fine, 16)
    assert not is_coarse(coarse[:16], 16), "no larger than that, so nothing was enlarged"
    large = resized_mask(np.random.default_rng(1).integers(0, 3, (128, 128), dtype=np.uint8), (200, 180))
    counts, _ = measured(ColourNetwork(), [Painted(large), blocks(0)], (32, 32))
    assert (counts.images, counts.coarse) == (2, 1)


@pytest.mark.slow
def test_the_command_writes_what_the_results_page_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    entry, real = load_manifest(get_settings()).entry("pets_fast"), get_settings().weights_dir
    monkeypatch.setattr("unet_core.results.resolutions.resolutions_path", lambda model, settings: tmp_path / model)
    common = [
        "evaluate",
        "--model",
        "pets_fast",
        "--data",
        "synthetic",
        "--limit",
        "3",
        "--sizes",
        "128",
        "64x96",
        "own",
    ]
    assert main([*common, "--results", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    written = Resolutions.from_json((tmp_path / "pets_fast").read_bytes())
    assert [at.size for at in written.sizes] == [(128, 128), (64, 96), "own"]
    assert (written.images, written.sha256) == (3, entry.files["onnx"].sha256)
    assert "--sizes 128x128 64x96 own --results --limit 3" in written.measured.command
    assert document["sizes"] == written.model_dump(mode="json")["sizes"]
    assert main(common) == 0
    assert "0 of 3 masks are enlarged" in capsys.readouterr().out
    monkeypatch.undo()
    settings = Settings(weights_dir=tmp_path / "weights")
    assert find_resolutions("pets_fast", entry, settings) is None
    write_result(tmp_path / "weights" / "results" / "pets_fast_resolutions.json", written)
    assert find_resolutions("pets_fast", entry, settings) == written
    assert find_resolutions("pets_fast", load_manifest(Settings(weights_dir=real)).entry("pets"), settings) is None


def test_results_need_sizes(capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", "--model", "pets_fast", "--results"]) == 1
    assert "--results: needs --sizes" in capsys.readouterr().err
