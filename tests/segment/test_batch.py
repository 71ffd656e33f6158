from __future__ import annotations

import errno
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from tests.helpers.tiny_model import write_tiny_model
from tests.helpers.tiny_run import untrained_run
from unet_core.images import samples
from unet_core.jobs import storage
from unet_core.jobs.cluster import ClusterError, LocalCluster
from unet_core.segment import batch as module
from unet_core.segment.batch import (
    KINDS,
    RECORDS,
    Batch,
    Entry,
    LoadedModel,
    PackedModel,
    Photo,
    find_files,
    find_photos,
    recorded,
    segment_all,
    segment_part,
)
from unet_core.segment.inference import InferenceMode
from unet_core.segment.segmenter import Segmenter
from unet_core.settings import get_settings
from unet_core.train.find_model import find_model


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    return Segmenter(None, "onnx", get_settings({"UNET_WEIGHTS_DIR": str(write_tiny_model(tmp_path / "weights"))}))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(7):
        (folder / f"{number}.png").write_bytes(samples.cat_png())
    return folder


def photos_in(place: object, out: object) -> list[Photo]:
    return find_photos([str(place)], str(out))


def segmented(batch: Batch, photos: list[Photo]) -> dict[Photo, Entry]:
    with LocalCluster() as here:
        return {photo: entry for part in segment_all(here, batch, photos) for photo, entry in part.items()}


def test_a_packed_model_gives_the_same_files_as_the_loaded_one(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    packed = PackedModel.of(segmenter)
    assert packed.key == LoadedModel(segmenter).key
    for name, model in (("one", LoadedModel(segmenter)), ("two", packed)):
        (tmp_path / name).mkdir()
        batch = Batch(model, InferenceMode(), str(tmp_path / name), kinds=KINDS)
        found = segmented(batch, photos_in(photos, tmp_path / name))
        assert len(found) == 7
        assert all(entry["shares"] for entry in found.values())
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 4 * 7
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that are segmented."""
    found: list[str] = []
    original = module.segment_photo

    def counting(batch: Batch, segmenter: Segmenter, photo: Photo) -> Entry:
        found.append(photo.stem)
        return original(batch, segmenter, photo)

    monkeypatch.setattr(module, "segment_photo", counting)
    return found


def test_a_second_call_does_only_what_is_missing_or_has_changed(
    segmenter: Segmenter, photos: Path, tmp_path: Path, counted: list[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    batch = Batch(LoadedModel(segmenter), InferenceMode(), str(out), record=True)
    first = segmented(batch, photos_in(photos, out))
    assert recorded(batch, photos_in(photos, out)) == first

    (out / "2_alpha.png").unlink()
    os.utime(photos / "4.png", (1, 1))
    (photos / "00.png").write_bytes(samples.cat_png())
    counted.clear()
    again = photos_in(photos, out)
    done = recorded(batch, again)
    found = segmented(batch, [photo for photo in again if photo not in done])
    assert sorted(counted) == ["00", "2", "4"]
    assert (done | found).keys() == set(again)
    assert recorded(batch, again).keys() == set(again)

    flipped = Batch(LoadedModel(segmenter), InferenceMode(flip=True), str(out), record=True)
    assert recorded(flipped, again) == {}


def test_a_part_that_is_repeated_does_not_segment_its_photos_again(
    segmenter: Segmenter, photos: Path, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECORDED", 3)
    out = tmp_path / "out"
    out.mkdir()
    batch = Batch(LoadedModel(segmenter), InferenceMode(), str(out), record=True)
    part = photos_in(photos, out)
    segmented(batch, [])
    first = segment_part(batch, part)
    assert len(counted) == 7
    records = sorted((out / RECORDS).iterdir())
    counted.clear()
    segment_part(batch, part)
    assert counted == []
    smallest = min(records, key=lambda path: 1e9 if batch.key in path.name else path.stat().st_size)
    smallest.write_text("{")  # as a disk may leave it
    assert segment_part(batch, part).keys() == first.keys()
    assert counted == ["6"]


def test_what_a_killed_worker_left_half_written_is_removed(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".0_mask.png.123-456.part").write_bytes(b"half")
    (out / ".keep.part").write_bytes(b"somebody else's")
    segmented(Batch(LoadedModel(segmenter), InferenceMode(), str(out), record=True), photos_in(photos, out))
    assert {path.name for path in out.iterdir() if path.name.startswith(".")} == {".keep.part", RECORDS}


def fill_disk(patch: pytest.MonkeyPatch, for_path: Callable[[str], bool]) -> None:
    """Refuse to write to these paths, as a full disk does."""
    write = storage.write

    def full(path: str, data: bytes) -> None:
        if for_path(path):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        write(path, data)

    patch.setattr(storage, "write", full)


def test_a_full_disk_is_an_error_of_its_photos_and_a_later_call_does_them(
    segmenter: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    batch = Batch(LoadedModel(segmenter), InferenceMode(), str(out), record=True)
    with monkeypatch.context() as patch:
        fill_disk(patch, lambda path: "3_" in path)
        found = segmented(batch, photos_in(photos, out))
    (failed,) = [entry for entry in found.values() if "error" in entry]
    assert failed["error"] == f"{out}/3_mask.png: No space left on device"
    missing = [photo for photo in photos_in(photos, out) if photo not in recorded(batch, photos_in(photos, out))]
    assert [photo.stem for photo in missing] == ["3"]
    assert all("error" not in entry for entry in segmented(batch, missing).values())


def test_photos_that_cannot_be_recorded_are_errors(
    segmenter: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    batch = Batch(LoadedModel(segmenter), InferenceMode(), str(out), record=True)
    fill_disk(monkeypatch, lambda path: RECORDS in path and batch.key not in os.path.basename(path))
    found = segmented(batch, photos_in(photos, out))
    assert len(found) == 7
    assert all("No space left on device" in entry["error"] for entry in found.values())


def test_a_worker_that_does_not_share_the_results_folder_says_so(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    batch = Batch(PackedModel.of(segmenter), InferenceMode(), "masks", base=str(tmp_path / "elsewhere"), record=True)
    with pytest.raises(ClusterError, match="does not reach the results folder .*elsewhere/masks"):
        segment_part(batch, photos_in(photos, "masks"))


# --- object storage ---------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(photos: Path) -> str:
    """A folder of photos in an object store."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    for photo in photos.iterdir():
        store.pipe_file(f"/bucket/photos/{photo.name}", photo.read_bytes())
    store.pipe_file("/bucket/photos/notes.txt", b"no photo")
    return "memory://bucket/photos"


def test_photos_and_results_may_be_in_object_storage(
    segmenter: Segmenter, bucket: str, photos: Path, tmp_path: Path
) -> None:
    out, here = "memory://bucket/masks", tmp_path / "out"
    here.mkdir()
    batch = Batch(LoadedModel(segmenter), InferenceMode(), out, record=True)
    listed = photos_in(bucket, out)
    assert [photo.stem for photo in listed] == [str(number) for number in range(7)]
    assert recorded(batch, listed) == {}
    found = segmented(batch, listed)
    assert next(iter(found.values()))["mask"] == "memory://bucket/masks/0_mask.png"
    assert recorded(batch, photos_in(bucket, out)) == found

    segmented(Batch(LoadedModel(segmenter), InferenceMode(), str(here)), photos_in(photos, here))
    for path in here.iterdir():
        assert storage.read(f"{out}/{path.name}") == path.read_bytes()

    storage.write(f"{bucket}/3.png", samples.cat_png() + b" ")
    assert [photo.stem for photo in photos_in(bucket, out) if photo not in recorded(batch, photos_in(bucket, out))] == [
        "3"
    ]


def test_a_pattern_and_a_single_file_are_found_on_disks_and_in_object_storage(bucket: str, photos: Path) -> None:
    for folder in (bucket, str(photos), photos.as_uri()):
        assert [Path(file.path).name for file in find_files([f"{folder}/[23].*"])] == ["2.png", "3.png"]
        assert [Path(file.path).name for file in find_files([f"{folder}/5.png"])] == ["5.png"]
        assert all(file.stamp for file in find_files([folder]))
    assert [file.path for file in find_files([f"{bucket}/*.jpg"])] == [f"{bucket}/*.jpg"]  # to be reported


def test_a_photo_that_is_missing_in_object_storage_is_an_error_of_its_own(
    segmenter: Segmenter, bucket: str, tmp_path: Path
) -> None:
    batch = Batch(LoadedModel(segmenter), InferenceMode(), str(tmp_path))
    (entry,) = segmented(batch, photos_in(f"{bucket}/missing.png", tmp_path)).values()
    assert "missing.png" in entry["error"]


@pytest.mark.parametrize("url", ["http://example.org/cat.jpg", "ftp://host/cat.jpg", "simplecache::s3://a/b.png"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(storage.StorageError, match="must be a path or start with s3://"):
        find_files([url])


def test_a_store_without_its_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(storage.StorageError, match="s3:// needs the package s3fs"):
        find_files(["s3://bucket/photos"])


# --- a model of a run -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_only_keras_can_load_is_packed_too(photos: Path, tmp_path: Path) -> None:
    untrained_run(tmp_path / "run")
    loaded = find_model(str(tmp_path / "run"), get_settings()).segmenter()
    packed = PackedModel.of(loaded)
    assert packed.engine == "keras"
    shutil.rmtree(tmp_path / "run")  # a worker on another machine does not have it
    for name, model in (("one", LoadedModel(loaded)), ("two", pickle.loads(pickle.dumps(packed)))):
        (tmp_path / name).mkdir()
        segmented(Batch(model, InferenceMode(), str(tmp_path / name)), photos_in(photos, tmp_path / name))
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 3 * 7
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
