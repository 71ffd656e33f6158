"""A run carries the meaning of its model: classes, data and licence; wherever the model is used, they are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unet_core as unet
from tests.helpers import own_datasets
from tests.helpers.tiny_run import TINY, tiny_config, untrained_run
from unet_core.classes import PET_CLASSES, PixelClasses
from unet_core.cli.parser import main
from unet_core.data.pipeline import open_source, target_coding
from unet_core.errors import UNetError
from unet_core.scoring.matching import matched_coding, never_there_warning
from unet_core.settings import get_settings
from unet_core.train.find_model import find_model
from unet_core.train.meaning import OXFORD_LICENCE, origin_of, record_meaning
from unet_core.train.publish import publish
from unet_core.train.run_directory import RunDirectory
from unet_core.zoo.manifest import load_manifest
from unet_core.zoo.meaning import classes_named

NAMES = ("background", "tree", "cat")
CODES = (0, 7, 9)


def own_data(root: Path, names: tuple[str, ...] = NAMES, codes: tuple[int, ...] = CODES) -> Path:
    return own_datasets.named(root, names, 16, table=codes)


def own_run(root: Path, outputs: int = 3, *, recorded: bool = True, data: Path | None = None) -> RunDirectory:
    """A run as if trained on own data; its weights are random."""
    model = TINY.replace(classes=outputs)
    folder = data or own_data(root / "trees")
    run = untrained_run(root / "run", model)
    run.write_config(tiny_config(model=model, data=str(folder), epochs=1, limit=None))
    if recorded:
        source = open_source(str(folder), model)
        record_meaning(run, source, target_coding(source, outputs))
    return run


def photo(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    return path


# --- recorded ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_records_its_classes_and_its_data_when_it_starts(tmp_path):
    data = own_data(tmp_path / "trees")
    unet.train(tiny_config(model=TINY, data=str(data), epochs=1, limit=None, test_limit=0), tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "classes.json").read_text())
    assert (stored["names"], stored["codes"], stored["background"]) == (list(NAMES), list(CODES), 0)
    origin = RunDirectory.open(tmp_path / "run").origin()
    assert (origin.name, origin.licence, origin.pictures) == ("trees", "unknown", "photos")
    assert str(tmp_path) not in (tmp_path / "run" / "data.json").read_text()


def test_a_model_is_found_with_the_classes_and_the_data_of_its_run(tmp_path):
    source = find_model(own_run(tmp_path).path)
    assert source.classes.names == NAMES
    assert source.classes.codes == CODES
    assert source.classes.subject == (1, 2)
    assert source.origin.licence == "unknown"


def test_the_weights_that_training_started_from_are_credited_and_no_others():
    config = tiny_config(data="/data/trees", start_from="pets_fast")
    assert origin_of(config).credit == ("Training started from the weights of pets_fast, whose licence applies too",)
    assert not origin_of(config.replace(start_from=None)).credit
    assert "Oxford-IIIT" in origin_of(config.replace(data="oxford_iiit_pet")).credit[0]
    assert "Oxford" not in origin_of(config).licence


def test_a_model_of_crops_asks_for_tiles():
    assert "--way tiles" in origin_of(tiny_config(crops=True)).note
    assert "--way tiles" not in origin_of(tiny_config()).note


def test_shipped_models_have_the_pet_classes():
    assert all(entry.classes == PET_CLASSES for entry in load_manifest().models.values())


def test_an_older_run_on_pets_has_the_pet_classes_and_one_on_own_data_numbered_ones(tmp_path):
    drawn = find_model(untrained_run(tmp_path / "drawn").path)
    assert drawn.classes == PET_CLASSES
    assert drawn.origin.note
    old = find_model(own_run(tmp_path / "own", recorded=False).path)
    assert old.classes.names == ("class 0", "class 1", "class 2")
    assert not old.has_names
    assert not old.origin.note


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"names": ["a"]}', '{"names": ["a", "b"], "colours": 3}', "\x00"])
def test_damaged_classes_are_read_as_if_they_were_missing(tmp_path, damage):
    run = own_run(tmp_path)
    (run.path / "classes.json").write_text(damage)
    (run.path / "data.json").write_text(damage)
    assert find_model(run.path).classes.names == ("class 0", "class 1", "class 2")
    assert find_model(run.path).origin.licence == "unknown"


def test_a_one_class_head_finds_its_object_first_and_the_rest_second(tmp_path):
    run = own_run(tmp_path, 1, data=own_data(tmp_path / "leaves", ("background", "leaf"), (0, 255)))
    assert find_model(run.path).classes.names == ("leaf", "background")
    assert find_model(run.path).classes.codes == (255, 0)
    assert find_model(run.path).classes.background == 1


# --- the same names everywhere ----------------------------------------------------------------------------------------


def test_the_library_and_the_command_line_segment_with_a_run_in_its_own_terms(tmp_path, capsys, monkeypatch):
    run, picture = own_run(tmp_path), photo(tmp_path / "x.png")
    monkeypatch.setenv("UNET_RUNS_DIR", str(tmp_path))
    found = unet.segment(picture, model=run.path)
    assert tuple(found.shares) == NAMES
    for name in (str(run.path), run.id, str(run.best_weights)):
        assert main(["predict", str(picture), "--out", str(tmp_path / "out"), "--model", name, "--json"]) == 0
        (entry,) = json.loads(capsys.readouterr().out)
        assert tuple(entry["shares"]) == NAMES
        assert "note" not in entry
        codes = np.asarray(Image.open(entry["mask"]))
        assert np.array_equal(codes, np.array(CODES, np.uint8)[found.mask])


def test_predict_notes_that_a_model_of_drawn_pets_was_not_made_for_photos(tmp_path, capsys):
    run = untrained_run(tmp_path / "drawn")
    arguments = ["predict", str(photo(tmp_path / "x.png")), "--out", str(tmp_path), "--model", str(run.path)]
    assert main([*arguments, "--json"]) == 0
    assert "drawn pets" in json.loads(capsys.readouterr().out)[0]["note"]
    assert main(arguments) == 0
    assert "drawn pets" in capsys.readouterr().out


# --- compared by name -------------------------------------------------------------------------------------------------


def evaluated(capsys, run: RunDirectory, data: Path | str, *more: str) -> tuple[int, dict, str]:
    capsys.readouterr()
    code = main(["evaluate", "--model", str(run.path), "--data", str(data), "--json", *more])
    told = capsys.readouterr()
    return code, json.loads(told.out) if code == 0 else {}, told.err


@pytest.mark.slow
def test_classes_in_another_order_are_compared_by_name(tmp_path, capsys):
    run = own_run(tmp_path)
    _, same, _ = evaluated(capsys, run, tmp_path / "trees", "--split", "train")
    # The same pictures, whose masks have the codes of tree and cat exchanged, and their names with them.
    other = own_data(tmp_path / "other" / "trees", ("cat", "background", "tree"), (9, 0, 7))
    for seed in range(16):
        ids = own_datasets.class_map(seed, 3)
        own_datasets.save_mask(other / "masks" / f"p{seed:02}.png", np.array([1, 2, 0], np.uint8)[ids])
    from unet_core.data.own.report import inspect_dataset, save_report

    save_report(inspect_dataset(other, class_names=["cat", "background", "tree"]), other)
    _, changed, _ = evaluated(capsys, run, other, "--split", "train")
    assert changed["classes"] == list(NAMES)
    assert changed["images"] == same["images"]
    assert changed["iou"] == same["iou"]
    assert changed["confusion_matrix"] == same["confusion_matrix"]


def test_other_classes_are_refused_by_name(tmp_path, capsys):
    run = own_run(tmp_path)
    code, _, error = evaluated(capsys, run, own_data(tmp_path / "roads", ("background", "tree", "road")))
    assert code != 0
    assert "The model has no road" in error
    assert "background, tree, cat" in error
    code, _, error = evaluated(capsys, run, "synthetic")
    assert code != 0
    assert "pet, background, border" in error


def test_a_class_that_the_data_never_have_is_named(tmp_path, capsys):
    run = own_run(tmp_path)
    code, document, _ = evaluated(capsys, run, own_data(tmp_path / "few", ("background", "cat"), (0, 1)))
    assert code == 0
    assert document["warnings"] == [
        "The network has 3 classes, the data only 2 (background, cat): tree is never there."
    ]
    assert document["pet_iou"] is None
    assert document["classes"] == list(NAMES)


def test_a_network_with_more_classes_than_its_own_data_warns(tmp_path):
    source = open_source(str(own_data(tmp_path, ("background", "tree"), (0, 1))), TINY)
    coding = target_coding(source, 3)
    assert "padding is never there" in never_there_warning(coding, source)
    assert not never_there_warning(target_coding(source, 2), source)


def test_a_run_without_names_is_measured_on_its_own_data_alone(tmp_path, capsys):
    run = own_run(tmp_path, recorded=False)
    code, document, _ = evaluated(capsys, run, tmp_path / "trees")
    assert code == 0
    assert "by number" in document["warnings"][0]
    code, _, error = evaluated(capsys, run, own_data(tmp_path / "again"))
    assert code != 0
    assert "did not record the names" in error


def test_pets_of_two_classes_are_matched_whatever_their_order(tmp_path):
    source = open_source("synthetic", TINY)
    coding = matched_coding(classes_named(("background", "pet")), 2, source)
    assert coding.table[:3].tolist() == [1, 0, 1]
    assert coding.foreground == (1,)
    two = open_source(str(own_data(tmp_path, ("background", "pet"), (0, 1))), TINY)
    assert matched_coding(PET_CLASSES, 3, two).table[:2].tolist() == [1, 0]
    with pytest.raises(UNetError, match="no background, border"):
        matched_coding(PixelClasses(names=("pet", "x", "y"), colours=[(0, 0, 0)] * 3, codes=(0, 1, 2)), 3, source)


# --- published --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_on_own_data_is_published_with_its_own_classes_and_licence(tmp_path, capsys, monkeypatch):
    weights = tmp_path / "weights"
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(weights))
    run = own_run(tmp_path)
    assert main(["publish", str(run.path), "--name", "trees", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)["entry"]
    assert entry["licence"] == "unknown"
    assert entry["classes"]["names"] == list(NAMES)
    assert entry["data"]["name"] == "trees"
    assert entry["metrics"]["test"]["classes"] == list(NAMES)
    assert OXFORD_LICENCE not in json.dumps(entry)
    assert not entry["credit"]
    assert str(tmp_path) not in json.dumps(entry)
    assert main(["predict", str(photo(tmp_path / "x.png")), "--out", str(tmp_path), "--model", "trees", "--json"]) == 0
    assert tuple(json.loads(capsys.readouterr().out)[0]["shares"]) == NAMES


@pytest.mark.slow
def test_publishing_changes_nothing_where_it_fails(tmp_path):
    settings = get_settings().replace(weights_dir=tmp_path / "weights")
    publish(untrained_run(tmp_path / "drawn").path, "first", settings=settings)
    before = {path.name: path.read_bytes() for path in settings.weights_dir.iterdir()}
    run = own_run(tmp_path)
    for path in sorted((tmp_path / "trees" / "masks").iterdir())[:-1]:
        path.unlink()
    (tmp_path / "trees" / "dataset.json").unlink()
    with pytest.raises(UNetError):
        publish(run.path, "first", measure_on=["validation"], settings=settings)
    with pytest.raises(UNetError, match="shipped model already"):
        publish("first", "second", settings=settings)
    assert {path.name: path.read_bytes() for path in settings.weights_dir.iterdir()} == before
