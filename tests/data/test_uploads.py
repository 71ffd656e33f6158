"""Uploaded datasets: random keys, owners, limits for each of them, and the end of their time."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from unet_core.data import uploads
from unet_core.data.own.archive import ArchiveError
from unet_core.data.own.example_archive import example_archive
from unet_core.data.own.report import inspect_dataset
from unet_core.data.sources import DataError
from unet_core.jobs.tables import write_record
from unet_core.settings import Settings


@pytest.fixture(scope="module")
def archive() -> bytes:
    return example_archive(12, 48)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(datasets_dir=tmp_path / "datasets", cache_dir=tmp_path / "cache")


def test_each_upload_has_a_random_key_and_its_owner(settings: Settings, archive: bytes) -> None:
    first, second = (uploads.store(archive, "My cats.zip", settings, owner="anna") for _ in range(2))
    assert first != second
    assert all(re.fullmatch("my-cats-[0-9a-f]{32}", folder.name) for folder in (first, second))
    assert uploads.upload_of(first).owner == "anna"
    assert uploads.upload_of(first).title == "my-cats"
    assert inspect_dataset(first, settings=settings).usable  # the record is not taken for data


def test_a_dataset_is_listed_for_its_owner(settings: Settings, archive: bytes) -> None:
    first, second = (uploads.store(archive, "x.zip", settings, owner=owner) for owner in ("anna", "bob"))
    assert uploads.listed(settings, lambda owner: owner == "anna") == [first]
    assert uploads.listed(settings, lambda owner: owner == "bob") == [second]
    (settings.datasets_dir / ".unpacking-x").mkdir()
    assert set(uploads.listed(settings, lambda _: True)) == {first, second}


def test_a_visitor_has_a_limited_number_of_datasets_and_others_have_their_own(
    settings: Settings, archive: bytes
) -> None:
    settings = settings.replace(visitor_datasets=1)
    uploads.store(archive, "x.zip", settings, owner="anna")
    with pytest.raises(DataError, match="1 dataset on this server, as many as a visitor may have"):
        uploads.store(archive, "x.zip", settings, owner="anna")
    uploads.store(archive, "x.zip", settings, owner="bob")
    uploads.store(archive, "x.zip", settings.replace(visitor_datasets=0), owner="anna")


def test_a_visitor_has_limited_space_over_all_datasets(settings: Settings, archive: bytes) -> None:
    folder = uploads.store(archive, "x.zip", settings, owner="anna")
    (folder / "large.png").write_bytes(bytes(5_000_000))
    with pytest.raises(DataError, match="the 5 MB that a visitor may have"):
        uploads.store(archive, "x.zip", settings.replace(visitor_datasets_mb=5), owner="anna")
    photo = bytes(3_000_000)
    left = settings.replace(visitor_datasets_mb=7, max_upload_mb=100)
    with pytest.raises(ArchiveError, match="would unpack to more than"):
        uploads.store(_zip_of(photo), "x.zip", left, owner="anna")


def _zip_of(photo: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("images/a.png", photo)
    return buffer.getvalue()


def test_an_expired_dataset_is_deleted_and_its_owner_reads_it_once(settings: Settings, archive: bytes) -> None:
    kept, old, used = (
        uploads.store(archive, f"{name}.zip", settings, owner="anna") for name in ("kept", "old", "used")
    )
    for folder in (old, used):
        _expire(folder)
    uploads.remove_expired(settings, lambda folder: folder == used)
    assert kept.exists()
    assert used.exists()
    assert not old.exists()
    assert uploads.expired_titles("bob", settings) == []
    assert uploads.expired_titles("anna", settings) == ["old"]
    assert uploads.expired_titles("anna", settings) == []
    assert {path.name for path in settings.datasets_dir.glob("[!.]*")} == {kept.name, used.name}


def _expire(folder: Path) -> None:
    write_record(folder / uploads.RECORD, replace(uploads.upload_of(folder), expires=1.0))


def test_without_a_lifetime_nothing_expires(settings: Settings, archive: bytes) -> None:
    lasting = uploads.store(archive, "x.zip", settings)
    unlimited = uploads.store(archive, "x.zip", settings.replace(dataset_days=0), owner="anna")
    assert [uploads.upload_of(folder).expires for folder in (lasting, unlimited)] == [0, 0]


def test_a_damaged_record_leaves_a_dataset_without_an_owner(settings: Settings, archive: bytes) -> None:
    folder = uploads.store(archive, "x.zip", settings, owner="anna")
    (folder / uploads.RECORD).write_text("{")
    assert uploads.upload_of(folder).owner == ""
    uploads.remove_expired(settings, lambda _: False)
    assert folder.exists()


def test_removal_leaves_nothing_and_may_be_repeated(settings: Settings, archive: bytes) -> None:
    folder = uploads.store(archive, "x.zip", settings, owner="anna")
    uploads.remove(folder, settings)
    uploads.remove(folder, settings)
    assert list(settings.datasets_dir.iterdir()) == []
    shutil.rmtree(settings.datasets_dir)
    uploads.remove_expired(settings, lambda _: False)
    assert uploads.listed(settings, lambda _: True) == []
