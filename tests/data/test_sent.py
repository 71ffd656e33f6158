from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from tests.helpers import own_datasets
from unet_core.architecture.presets import PRESETS
from unet_core.data.pipeline import open_source
from unet_core.data.sent import SentExamples, sent_examples
from unet_core.data.sources import Source
from unet_core.jobs.cluster import ClusterError

CONFIG = PRESETS["pets_fast"].config


def sent(source: Source, size: int = 4) -> list[SentExamples]:
    """Return the training examples as another process gets them."""
    parts = sent_examples(source, "train", len(source.names("train")), size)
    return pickle.loads(pickle.dumps(list(parts)))


def assert_same(source: Source, parts: list[SentExamples]) -> None:
    examples = list(source.examples("train"))
    found = [example for part in parts for example in part.checked()]
    assert [example.name for example in found] == [example.name for example in examples]
    for one, other in zip(found, examples, strict=True):
        assert all((a == b).all() for a, b in zip(one.decode(), other.decode(), strict=True))


@pytest.mark.parametrize("write", [own_datasets.folder, own_datasets.voc, own_datasets.coco])
def test_another_process_reads_the_same_examples_of_a_folder(tmp_path: Path, write: object) -> None:
    source = open_source(str(write(tmp_path / "own")), CONFIG)
    parts = sent(source)
    assert [(part.start, len(part)) for part in parts[:2]] == [(0, 4), (4, 4)]
    assert_same(source, parts)


def test_another_process_draws_the_same_synthetic_pets() -> None:
    source = open_source("synthetic", CONFIG.replace(height=32, width=32))
    parts = sent_examples(source, "test", 5, 2)
    received = [pickle.loads(pickle.dumps(part)) for part in parts]
    names = [example.name for part in received for example in part.checked()]
    assert names == list(source.names("test")[:5])


def test_what_is_sent_has_neither_photos_nor_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNET_API_TOKEN", "secret-token")
    monkeypatch.setenv("UNET_MAX_UPLOAD_MB", "3")
    source = open_source(str(own_datasets.folder(tmp_path / "own", 12)), CONFIG)
    assert b"secret-token" in pickle.dumps(source), "the settings of this machine are in its own examples"
    content = pickle.dumps(list(sent_examples(source, "train", 10, 10)))
    assert b"secret-token" not in content
    assert next(iter(source.examples("train"))).photo.read_bytes()[:200] not in content
    assert next(iter(pickle.loads(content)[0].examples)).settings.max_upload_mb == 3


def test_a_relative_folder_is_read_from_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_datasets.folder(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    parts = sent(open_source("own", CONFIG))
    monkeypatch.chdir("/")
    assert list(parts[0].checked())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = own_datasets.folder(tmp_path / "own")
    parts = sent(open_source(str(folder), CONFIG))
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ClusterError, match=rf"cannot read the folder {folder} .*No such file.*share the folder"):
        list(parts[0].checked())


@pytest.mark.parametrize(("kind", "ending"), [("images", "jpg"), ("masks", "png")])
def test_a_photo_or_mask_that_differs_is_refused(tmp_path: Path, kind: str, ending: str) -> None:
    folder = own_datasets.folder(tmp_path / "own")
    source = open_source(str(folder), CONFIG)
    parts = sent(source)
    first, second = source.names("train")[:2]
    shutil.copy(folder / kind / f"{first}.{ending}", folder / kind / f"{second}.{ending}")
    examples = parts[0].checked()
    assert next(examples).name == first
    with pytest.raises(ClusterError, match=rf"has other data in the folder {folder} .*photo 2 {second} differs.*same"):
        next(examples)


@pytest.mark.dataset
def test_oxford_pets_are_read_from_each_machines_own_folder(
    oxford_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source("oxford_iiit_pet", CONFIG, data_dir=oxford_dir)
    parts = list(sent_examples(source, "validation", 9, 4))
    content = pickle.dumps(parts)
    assert len(content) < 5_000, "photos are not sent"
    monkeypatch.setenv("UNET_DATA_DIR", str(oxford_dir))
    found = [example.name for part in pickle.loads(content) for example in part.checked()]
    assert found == list(source.names("validation")[:9])
    monkeypatch.setenv("UNET_DATA_DIR", str(tmp_path))
    with pytest.raises(ClusterError, match=rf"lacks the dataset. .* is not in {tmp_path}.*or set UNET_DATA_DIR"):
        list(parts[1].checked())
