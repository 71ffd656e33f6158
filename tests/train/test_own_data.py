"""Every kind of dataset of one's own trains, with its own coding and class names, through the ordinary way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import own_datasets
from tests.helpers.tiny_run import TINY, tiny_config
from unet_core.data.own.report import inspect_dataset, save_report
from unet_core.data.pipeline import make_datasets, open_source, target_coding
from unet_core.data.sources import PARTS
from unet_core.train.parts import has_own_parts, parts_sentence


def plain_folder(root: Path) -> Path:
    return own_datasets.folder(root / "trimaps", 16, classes=3, table=[2, 1, 3])


def binary_zip(root: Path) -> Path:
    path = root / "pets.zip"
    path.write_bytes(own_datasets.zipped(own_datasets.black_and_white(root / "source", 16)))
    return path


def palette_voc(root: Path) -> Path:
    folder = own_datasets.voc(root / "voc", 16)
    report = inspect_dataset(folder).renamed(["background", "cat", "dog", "person", "background"])
    save_report(report, folder)
    return folder


def coco(root: Path) -> Path:
    return own_datasets.coco(root / "coco", 16)


KINDS = {
    plain_folder: ("class 1", "class 2", "class 3"),
    binary_zip: ("background", "object"),
    palette_voc: ("background", "cat", "dog", "person"),
    coco: ("background", "cat", "dog"),
}


@pytest.fixture(autouse=True)
def datasets_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_DATASETS_DIR", str(tmp_path / "datasets"))


@pytest.mark.parametrize("kind", KINDS)
def test_batches_hold_the_datasets_own_classes(tmp_path, kind):
    names = KINDS[kind]
    data = str(kind(tmp_path))
    datasets = make_datasets(data, TINY.replace(classes=len(names)), batch_size=4)
    assert datasets.coding.class_names == names
    assert sum(datasets.sizes.values()) == 16
    found = {int(label) for part in PARTS for _, labels in getattr(datasets, part) for label in np.unique(labels)}
    assert found == set(range(len(names)))


def test_a_one_class_head_learns_the_object_of_a_binary_dataset_under_its_own_name(tmp_path):
    folder = own_datasets.folder(tmp_path / "inverted", 8, table=[255, 0])
    report = inspect_dataset(folder, class_names=["leaf", "background"])
    save_report(report, folder)
    coding = target_coding(open_source(str(folder), TINY), 1)
    assert coding.class_names == ("background", "leaf")
    assert coding.table[[0, 1]].tolist() == [1, 0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [binary_zip, palette_voc])
def test_the_command_line_trains_and_measures_on_a_dataset_of_ones_own(tmp_path, capsys, kind):
    from unet_core.cli.parser import main

    names, data, run = KINDS[kind], str(kind(tmp_path)), str(tmp_path / "run")
    config = tmp_path / "config.json"
    config.write_text(TINY.replace(classes=len(names)).to_json())
    arguments = ["--config", str(config), "--data", data, "--epochs", "1", "--run", run, "--json"]
    assert main(["train", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "finished"
    assert main(["evaluate", "--model", run, "--data", data, "--split", "test", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["classes"] == list(names)
    assert set(measured["iou"]) == set(names)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_few_epochs_of_training_lower_the_loss(tmp_path, kind):
    from unet_core.train.fit import train
    from unet_core.train.run_directory import RunDirectory

    model = TINY.replace(classes=len(KINDS[kind]))
    config = tiny_config(model=model, data=str(kind(tmp_path)), epochs=8, batch_size=4, limit=None)
    summary = train(config, tmp_path / "run")
    assert summary.state == "finished"
    rows = RunDirectory.open(tmp_path / "run").metrics.rows()
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_a_preset_gets_as_many_classes_as_the_dataset_has(tmp_path):
    from unet_core.cli.parser import parse
    from unet_core.cli.training_config import train_config

    def classes(preset: str, *more: str) -> int:
        data = str(palette_voc(tmp_path / preset))
        return train_config(parse(["train", "--preset", preset, "--data", data, *more])).model.classes

    assert classes("machinecurve2022") == 4
    assert classes("subclassed") == 1
    assert classes("pets_fast", "--set", "model.classes=6") == 6


def test_a_recipe_is_fitted_to_the_dataset(tmp_path):
    from unet_core.cli.parser import parse
    from unet_core.cli.training_config import train_config

    data = str(palette_voc(tmp_path))
    for recipe in ("your_dataset", "pets", "demo_60s"):
        config = train_config(parse(["train", "--recipe", recipe, "--data", data]))
        assert (config.model.classes, config.data) == (4, data)
        assert config.background_class == config.augmentation.paste_background == 0


def divided(root: Path) -> Path:
    """Write a dataset whose folders name its parts: 6 to train, 3 to validate, 2 to test."""
    for part, count, start in (("train", 6, 0), ("val", 3, 20), ("test", 2, 40)):
        own_datasets.folder(root / part, count, start=start)
    save_report(inspect_dataset(root), root)
    return root


def test_a_datasets_own_parts_are_kept_unless_all_photos_are_split_again(tmp_path):
    data = str(divided(tmp_path / "divided"))
    config = tiny_config(model=TINY.replace(classes=2), data=data)
    own = open_source(data, config.model, config.split)
    assert [len(own.names(part)) for part in PARTS] == [6, 3, 2]
    assert parts_sentence(config) == "The dataset's own parts for training, validation and testing are kept."
    again = config.replace(split_scheme="percentage")
    assert [len(open_source(data, config.model, again.split).names(part)) for part in PARTS] != [6, 3, 2]
    assert parts_sentence(again) == "The dataset's own parts are set aside: all photos are split again."


def test_a_dataset_without_parts_is_never_said_to_have_some(tmp_path):
    data = str(own_datasets.folder(tmp_path / "plain", 12))
    save_report(inspect_dataset(Path(data)), Path(data))
    config = tiny_config(model=TINY.replace(classes=2), data=data, validation_fraction=0.2)
    assert parts_sentence(config).startswith(
        "The dataset has no parts of its own: 10 % of the photos are for testing, 20 %"
    )
    assert not has_own_parts(data)
    assert has_own_parts("oxford_iiit_pet")


@pytest.mark.slow
def test_masks_with_void_train_without_it(tmp_path):
    folder = tmp_path / "void"
    for seed in range(12):
        ids = own_datasets.class_map(seed)
        own_datasets.save_photo(folder / "images" / f"p{seed:02}.jpg", ids, seed)
        values = ids.copy()
        values[-8:] = 255
        own_datasets.save_mask(folder / "masks" / f"p{seed:02}.png", values)
    save_report(inspect_dataset(folder), folder)
    for classes in (1, 2, 3):  # one more than there are, too
        datasets = make_datasets(str(folder), TINY.replace(classes=classes), batch_size=4)
        labels = np.concatenate([labels for part in PARTS for _, labels in getattr(datasets, part)])
        assert set(np.unique(labels)) == {0, 1, 255}
        assert datasets.coding.class_names[:2] == ("background", "object")
