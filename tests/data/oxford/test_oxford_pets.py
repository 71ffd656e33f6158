"""The Oxford-IIIT Pet source: read through TFDS, split reproducibly, with a clear error if it is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import miniature_pets
from unet_core.data.oxford import oxford_pets
from unet_core.data.oxford.near_duplicates import NEAR_DUPLICATES_IN_TRAIN
from unet_core.data.oxford.oxford_pets import DatasetMissing, DownloadFailed, OxfordPets, in_part, status
from unet_core.data.sources import PARTS, LabelError, trimap_to_ids
from unet_core.data.splits import SplitConfig


@pytest.fixture(scope="module")
def pets_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature_pets.prepare(tmp_path_factory.mktemp("tfds"))


def test_status_of_a_prepared_dataset(pets_dir: Path) -> None:
    found = status(pets_dir)
    assert found.present
    assert found.problem is None
    assert found.version == "4.0.0"
    assert found.splits == {"train": len(miniature_pets.TRAIN), "test": len(miniature_pets.TEST)}
    assert found.bytes > 10_000


def test_status_imports_no_tensorflow(pets_dir: Path) -> None:
    code = (
        "import sys; from unet_core.data.oxford.oxford_pets import status;"
        f"assert status({str(pets_dir)!r}).present;"
        "sys.exit(bool({'keras', 'tensorflow', 'tensorflow_datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_dataset_says_where_it_looked_and_how_to_get_it(tmp_path: Path) -> None:
    assert not status(tmp_path).present
    with pytest.raises(DatasetMissing) as caught:
        OxfordPets(tmp_path)
    assert f"4.0.0 is not in {tmp_path}." in str(caught.value)
    assert "the folder that holds oxford_iiit_pet/" in str(caught.value)
    assert "python -m unet_core download" in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_another_version_and_damaged_folders_are_named(pets_dir: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(pets_dir / "oxford_iiit_pet", tmp_path / "oxford_iiit_pet") / "4.0.0"
    (copied / "oxford_iiit_pet-test.tfrecord-00000-of-00001").unlink()
    assert "lacks oxford_iiit_pet-test.tfrecord" in status(tmp_path).problem
    (copied / "dataset_info.json").write_text("{")
    assert "cannot be read" in status(tmp_path).problem
    (copied / "dataset_info.json").write_text(json.dumps({"splits": "none"}))
    assert "cannot be read" in status(tmp_path).problem
    (copied / "dataset_info.json").write_text("{}")
    copied.rename(copied.with_name("3.2.0"))
    assert "found version 3.2.0" in status(tmp_path).problem


def test_official_parts_are_disjoint_complete_and_without_near_duplicates(pets_dir: Path) -> None:
    source = OxfordPets(pets_dir)
    names = {part: source.names(part) for part in PARTS}
    trained = set(names["train"]) | set(names["validation"])
    everything = {f"{name}.jpg" for name in miniature_pets.TRAIN}
    assert set(names["test"]) == {f"{name}.jpg" for name in miniature_pets.TEST}
    assert trained == everything - NEAR_DUPLICATES_IN_TRAIN
    assert everything - trained == {"Bombay_146.jpg", "leonberger_189.jpg"}
    assert not set(names["train"]) & set(names["validation"])
    assert min(map(len, names.values())) > 0
    with_them = OxfordPets(pets_dir, SplitConfig(drop_near_duplicates=False))
    assert set(with_them.names("train")) | set(with_them.names("validation")) == everything


def test_a_photo_stays_in_its_part_whatever_else_is_there() -> None:
    """These choices were published with trained models: they may never change."""
    chosen = [name for name in (f"Birman_{index}.jpg" for index in range(1, 60)) if _in_validation(name)]
    numbers = [int(name.removeprefix("Birman_").removesuffix(".jpg")) for name in chosen]
    assert numbers == [26, 33, 44, 55, 56, 57]


def _in_validation(name: str) -> bool:
    return in_part(name, "validation", SplitConfig())


def test_percentage_split_slices_train_and_test_together_as_the_tutorial_does(pets_dir: Path) -> None:
    source = OxfordPets(pets_dir, SplitConfig(split_scheme="percentage"))
    names = [set(source.names(part)) for part in PARTS]
    assert [len(part) for part in names] == [24 + 5, 3 + 0, 3 + 1]
    assert len(set.union(*names)) == len(miniature_pets.TRAIN) + len(miniature_pets.TEST)


def test_examples_carry_photo_mask_name_breed_and_species_in_the_order_of_names(pets_dir: Path) -> None:
    source = OxfordPets(pets_dir)
    examples = list(source.examples("test"))
    assert tuple(example.name for example in examples) == source.names("test")
    assert {(example.breed, example.species) for example in examples} == {("beagle", "Dog")}
    trained = list(OxfordPets(pets_dir).examples("train"))
    assert {(example.breed, example.label, example.species) for example in trained} == {("Abyssinian", 0, "Cat")}
    photo, ids = examples[0].decode()
    assert photo.dtype == ids.dtype == np.uint8
    assert photo.shape == (*ids.shape, 3)
    assert set(np.unique(ids)) == {0, 1, 2}


def test_trimap_codes_become_class_ids_and_anything_else_is_refused_by_value() -> None:
    assert trimap_to_ids(np.array([[1, 2, 3]], np.uint8), "cat").tolist() == [[0, 1, 2]]
    for values in ([0, 1, 2], [0, 255], [1, 2, 3, 4]):
        with pytest.raises(LabelError, match="cat.jpg: the mask has the values") as caught:
            trimap_to_ids(np.array([values], np.uint8), "cat.jpg")
        assert str(values) in str(caught.value)


def test_download_without_network_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    def unreachable(*_args: object, **_options: object) -> None:
        raise requests.ConnectionError("name or service not known")

    monkeypatch.setattr(requests, "head", unreachable)
    with pytest.raises(DownloadFailed, match="server cannot be reached: check the network connection"):
        oxford_pets.download(tmp_path)
    assert not status(tmp_path).present


def test_a_download_that_breaks_off_says_why(tmp_path, monkeypatch) -> None:
    import errno

    import requests
    import tensorflow_datasets as tfds

    def lost_connection() -> Exception:
        error = RuntimeError("could not download")
        error.__cause__ = requests.ConnectionError("reset by peer")
        return error

    monkeypatch.setattr(requests, "head", lambda *_args, **_options: None)
    for error, message in (
        (lost_connection(), "server cannot be reached"),
        (PermissionError(errno.EACCES, "denied"), "No permission to write to"),
        (OSError(errno.ENOSPC, "full"), "is full"),
        (RuntimeError("checksum differs\nlong story"), "RuntimeError: checksum differs"),
    ):
        with monkeypatch.context() as patched:

            def failing(*_args: object, error: Exception = error, **_options: object) -> None:
                raise error

            patched.setattr(tfds.download.DownloadManager, "download_and_extract", failing)
            with pytest.raises(DownloadFailed, match=message):
                oxford_pets.download(tmp_path / str(id(error)))


def test_download_of_what_is_there_does_nothing(pets_dir: Path) -> None:
    said: list[str] = []
    assert oxford_pets.download(pets_dir, said.append).present
    assert "already" in said[0]


@pytest.mark.dataset
def test_the_real_dataset_has_the_near_duplicates_in_train_and_a_tenth_of_it_for_validation(oxford_dir: Path) -> None:
    found = status(oxford_dir)
    all_of_train = OxfordPets(oxford_dir, SplitConfig(drop_near_duplicates=False))
    names = set(all_of_train.names("train")) | set(all_of_train.names("validation"))
    assert len(names) == found.splits["train"]
    assert names >= NEAR_DUPLICATES_IN_TRAIN
    source = OxfordPets(oxford_dir)
    sizes = {part: len(source.names(part)) for part in PARTS}
    assert sizes["train"] + sizes["validation"] == found.splits["train"] - len(NEAR_DUPLICATES_IN_TRAIN)
    assert 0.08 < sizes["validation"] / found.splits["train"] < 0.12
    assert sizes["test"] == found.splits["test"]


@pytest.mark.dataset
def test_the_real_dataset_decodes_to_photos_with_three_classes(oxford_dir: Path) -> None:
    for _, example in zip(range(20), OxfordPets(oxford_dir).examples("validation")):
        photo, ids = example.decode()
        assert photo.shape == (*ids.shape, 3)
        assert set(np.unique(ids)) <= {0, 1, 2}
