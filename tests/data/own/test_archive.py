"""Uploaded archives: unpacked into their own folder, or refused with a sentence and without a trace."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.helpers.zips import Entry, plain_zip, png, raw_zip
from unet_core.data.own import archive
from unet_core.data.own.archive import ArchiveError, photos_in, unpack_upload
from unet_core.settings import Settings


@pytest.fixture
def limits(tmp_path: Path) -> Settings:
    """Settings with the datasets one folder below the test's."""
    return Settings(datasets_dir=tmp_path / "datasets", max_archive_files=50, max_archive_mb=2, max_unpacked_mb=4)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_clean(settings: Settings) -> None:
    """No file is outside finished dataset folders, and none in them is a link or beyond the limits."""
    root = settings.datasets_dir.parent
    assert {path.name for path in root.iterdir()} <= {settings.datasets_dir.name}
    for path in root.rglob("*"):
        assert not path.is_symlink()
        assert not path.name.startswith(".")
    total = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert total <= settings.max_unpacked_mb * 1e6


def refusal(data: bytes, settings: Settings, name: str = "pets.zip") -> str:
    with pytest.raises(ArchiveError) as caught:
        unpack_upload(data, name, settings)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert name in text
    check_clean(settings)
    assert not list(settings.datasets_dir.glob("*"))
    return text


# --- good archives ------------------------------------------------------------------------------------------------


def test_photos_masks_and_annotations_are_unpacked_and_nothing_else(limits):
    files = {"set/images/a.png": png(1), "set/masks/a.png": png(2), "set/labels.json": b"{}", "set/names.txt": b"cat"}
    clutter = {"__MACOSX/set/images/._a.png": b"x", "set/.DS_Store": b"x", "set/readme.md": b"x", "set/run.py": b"x"}
    folder = unpack_upload(plain_zip(files | clutter), "My Pets.zip", limits)
    assert folder.parent == limits.datasets_dir
    assert folder.name.startswith("my-pets-")
    assert contents(folder) == files
    check_clean(limits)


def test_the_same_archive_gives_the_same_folder_and_another_one_its_own(limits):
    first, other = plain_zip({"a.png": png(1)}), plain_zip({"a.png": png(2)})
    folder = unpack_upload(first, "pets.zip", limits)
    assert unpack_upload(io.BytesIO(first), "pets.zip", limits) == folder
    assert unpack_upload(other, "pets.zip", limits) != folder


@pytest.mark.parametrize("name", ["../../etc/x.zip", "..", "", "a/b\\c.zip", "\0.zip", "é" * 300 + ".zip", "con.zip"])
def test_the_archives_own_name_never_leads_outside(limits, name):
    folder = unpack_upload(plain_zip({"a.png": png()}), name, limits)
    assert folder.parent == limits.datasets_dir
    check_clean(limits)


def test_a_stored_name_in_utf8_without_its_flag_is_read_as_utf8(limits):
    entries = [Entry("фото/кот.png".encode(), png())]
    assert list(contents(unpack_upload(raw_zip(entries), "pets.zip", limits))) == ["фото/кот.png"]


def test_names_in_an_unknown_encoding_stay_distinct_and_pairable(limits):
    names = ["猫.png".encode("gbk"), "犬.png".encode("shift_jis")]
    entries = [Entry(folder + name, png(i)) for i, name in enumerate(names) for folder in (b"images/", b"masks/")]
    found = contents(unpack_upload(raw_zip(entries), "pets.zip", limits))
    stems = {folder: {Path(name).stem for name in found if name.startswith(folder)} for folder in ("images", "masks")}
    assert stems["images"] == stems["masks"]
    assert len(stems["images"]) == 2


def test_decomposed_and_windows_names_become_ordinary_paths(limits):
    entries = [Entry("images/e\u0301.png".encode(), png(), flags=0x800), Entry(b"masks\\a.png", png(1))]
    found = contents(unpack_upload(raw_zip(entries), "pets.zip", limits))
    assert set(found) == {"images/é.png", "masks/a.png"}


def test_characters_that_other_systems_forbid_are_replaced(limits):
    found = contents(unpack_upload(raw_zip([Entry(b'day 1:2?"<c>.png', png())]), "pets.zip", limits))
    assert list(found) == ["day 1_2___c_.png"]


# --- hostile archives, each with its own sentence -----------------------------------------------------------------


@pytest.mark.parametrize("name", [b"../x.png", b"a/../../x.png", b"..\\..\\x.png", b"a/b/../../../x.png"])
def test_paths_that_lead_outside_are_refused(limits, name):
    assert "leads outside its folder" in refusal(raw_zip([Entry(b"a.png", png()), Entry(name, png())]), limits)


@pytest.mark.parametrize("name", [b"/etc/x.png", b"C:/x.png", b"c:x.png", b"\\\\server\\x.png", b"//x.png"])
def test_absolute_paths_are_refused(limits, name):
    assert "absolute path" in refusal(raw_zip([Entry(name, png())]), limits)


@pytest.mark.parametrize(
    ("kind", "text"),
    [(stat.S_IFLNK, "contains a symbolic link"), (stat.S_IFIFO, "neither a file"), (stat.S_IFCHR, "neither a file")],
)
def test_links_and_devices_are_refused(limits, kind, text):
    entries = [Entry(b"a.png", png()), Entry(b"b.png", b"/etc/passwd", mode=kind | 0o777)]
    assert text in refusal(raw_zip(entries), limits)


def test_files_below_a_link_cannot_be_smuggled_in(limits):
    entries = [Entry(b"images", b"/tmp", mode=stat.S_IFLNK | 0o777), Entry(b"images/x.png", png())]
    assert "contains a symbolic link" in refusal(raw_zip(entries), limits)


@pytest.mark.parametrize("name", ["more.zip", "more.TAR", "photos.tar.gz", "x/more.7z", "more.rar"])
def test_nested_archives_are_refused(limits, name):
    assert "another archive" in refusal(plain_zip({"a.png": png(), name: b"PK"}), limits)


def test_encrypted_entries_are_refused(limits):
    assert "without a password" in refusal(raw_zip([Entry(b"a.png", png(), flags=1)]), limits)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, 9, 97])
def test_unusual_compression_is_refused(limits, method):
    assert "unsupported compression" in refusal(raw_zip([Entry(b"a.png", png(), method=method)]), limits)


def test_two_files_of_one_name_are_refused(limits):
    text = refusal(raw_zip([Entry(b"a/x.png", png(1)), Entry(b"./a//x.png", png(2))]), limits)
    assert "two files named a/x.png" in text


def test_a_file_where_a_folder_must_be_is_refused(limits):
    text = refusal(raw_zip([Entry(b"a.png", png(1)), Entry(b"a.png/b.png", png(2))]), limits)
    assert "need the same name" in text


@pytest.mark.parametrize("name", [b"a\n.png", b"a\x00.png", b"\x1b[2J.png", b"a\x7f.png"])
def test_control_characters_in_names_are_refused(limits, name):
    assert "control characters" in refusal(raw_zip([Entry(name, png())]), limits)


@pytest.mark.parametrize("name", [b"a" * 300 + b".png", b"d/" * 40 + b"a.png", (b"d" * 200 + b"/") * 8 + b"a.png"])
def test_names_that_no_disk_takes_are_refused(limits, name):
    assert "too long" in refusal(raw_zip([Entry(name, png())]), limits)


def test_names_that_claim_utf8_and_are_not_are_refused(limits):
    assert "marked as UTF-8 but are not" in refusal(raw_zip([Entry(b"\xff\xfe.png", png(), flags=0x800)]), limits)


def test_an_archive_without_photos_is_refused(limits):
    assert "contains no photo" in refusal(plain_zip({"readme.txt": b"hello", "x.json": b"{}"}), limits)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is empty"),
        (b"not an archive at all", "not a ZIP archive"),
        (b"Rar!\x1a\x07\x00" + bytes(99), "RAR archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "7-Zip archive"),
        (b"\x1f\x8b\x08" + bytes(99), "gzip archive"),
        (png(), "not a ZIP archive"),
    ],
)
def test_other_files_are_named_for_what_they_are(limits, data, text):
    assert text in refusal(data, limits)


def test_tar_archives_are_named(limits):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.png"))
    assert "TAR archive" in refusal(buffer.getvalue(), limits)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_truncated_archives_are_refused(limits, share):
    data = plain_zip({f"{i}.png": png(i) for i in range(5)})
    assert "its end is missing" in refusal(data[: int(len(data) * share)], limits)


def test_damaged_content_is_refused_and_leaves_nothing(limits):
    data = bytearray(plain_zip({f"{i}.png": png(i) for i in range(5)}))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    assert "damaged" in refusal(bytes(data), limits)


def test_a_wrong_checksum_is_refused(limits):
    assert "damaged" in refusal(raw_zip([Entry(b"a.png", png(), crc=1)]), limits)


# --- too much -----------------------------------------------------------------------------------------------------


def test_a_large_archive_is_refused_by_its_size(limits):
    assert "more than the 2 MB allowed" in refusal(bytes(2_100_000), limits)


def test_too_many_files_are_refused(limits):
    assert "51 photos and masks" in refusal(plain_zip({f"{i}.png": b"x" for i in range(51)}), limits)


def test_a_hundred_thousand_entries_are_refused_quickly_and_without_reading_them(limits):
    data = raw_zip([Entry(b"%06d.png" % i, method=0) for i in range(100_000)], count=0xFFFF)
    settings = limits.replace(max_archive_mb=50)
    start = time.perf_counter()
    tracemalloc.start()
    text = refusal(data, settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "more than the 50 files" in text
    assert peak < 20e6
    assert time.perf_counter() - start < 3


def test_an_end_record_that_lies_about_the_number_of_entries_does_not_help(limits):
    data = raw_zip([Entry(b"%06d.png" % i, method=0) for i in range(5_000)], count=3)
    assert "more than the 50 files" in refusal(data, limits)


def test_declared_sizes_are_checked_before_anything_is_written(limits, monkeypatch):
    monkeypatch.setattr(archive, "_write", lambda *_: pytest.fail("written"))
    entries = [Entry(b"%d.png" % i, bytes(100), size=1_000_000) for i in range(5)]
    assert "more than the 4 MB allowed" in refusal(raw_zip(entries), limits)


def test_a_bomb_is_refused_by_its_ratio(limits):
    settings = limits.replace(max_unpacked_mb=4_000)
    bomb = plain_zip({f"{i}.png": bytes(20_000_000) for i in range(3)})
    assert len(bomb) < 100_000
    assert "200 times its size" in refusal(bomb, settings)


def test_a_single_huge_file_is_refused(limits):
    settings = limits.replace(max_unpacked_mb=4_000, max_upload_mb=1)
    assert "a.png has more than the 1 MB allowed" in refusal(plain_zip({"a.png": bytes(1_000_001)}), settings)


def test_sizes_are_counted_again_while_unpacking(limits, monkeypatch):
    """Even if the checks of the headers were fooled, no more than the limits is ever written."""
    monkeypatch.setattr(archive, "_check_sizes", lambda *_: None)
    bomb = plain_zip({f"{i}.png": bytes(1_500_000) for i in range(4)})
    assert "more than the 4 MB allowed" in refusal(bomb, limits)
    assert "more than the 1 MB allowed" in refusal(bomb, limits.replace(max_upload_mb=1))


@pytest.mark.parametrize("claimed", [10, 5_000_000 // 4])
def test_headers_that_lie_about_sizes_are_found_out(limits, claimed):
    entries = [Entry(b"a.png", bytes(1_000_000), size=claimed), Entry(b"b.png", png())]
    assert "damaged" in refusal(raw_zip(entries), limits)


def test_entries_that_share_one_body_count_each_time(limits):
    body = Entry(b"0.png", bytes(1_000_000))
    data = raw_zip([body, *(Entry(b"%d.png" % i, bytes(1_000_000), offset=0) for i in range(1, 20))])
    assert "more than the 4 MB" in refusal(data, limits)


def test_a_full_disk_is_told_before_unpacking(limits, monkeypatch):
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    assert "disk has only" in refusal(plain_zip({"a.png": png()}), limits)


def test_a_folder_that_cannot_be_written_names_the_setting(limits, monkeypatch):
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/datasets")

    monkeypatch.setattr(archive.tempfile, "mkdtemp", denied)
    assert "UNET_DATASETS_DIR" in refusal(plain_zip({"a.png": png()}), limits)


def test_leftovers_of_killed_processes_are_removed(limits):
    leftover = limits.datasets_dir / ".unpacking-old"
    leftover.mkdir(parents=True)
    os.utime(leftover, (0, 0))
    unpack_upload(plain_zip({"a.png": png()}), "pets.zip", limits)
    check_clean(limits)


# --- fuzzing ------------------------------------------------------------------------------------------------------

_BASES = (
    plain_zip({"set/images/a.png": png(1), "set/masks/a.png": png(2), "set/labels.json": b'{"images": []}'}),
    raw_zip([Entry(b"images/a.png", png(3), method=0), Entry(b"masks/a.png", png(4))], comment=b"comment"),
    raw_zip([Entry("ä/ü.png".encode(), png(5), flags=0x800), Entry(b"b.png", b"", method=0)]),
)
_NAMES = [
    b"../a.png",
    b"/a.png",
    b"C:\\a.png",
    b"a/../../b.png",
    b"a.zip",
    b".a.png",
    b"\xff.png",
    b"a\0.png",
    b"a.png",
]


def mutated(random: np.random.Generator) -> bytes:
    """One of the archives with a few bytes, numbers or pieces changed."""
    data = bytearray(_BASES[random.integers(len(_BASES))])
    for _ in range(random.integers(0, 4)):
        place = int(random.integers(len(data) + 1))
        match random.integers(7):
            case 0:
                data[place : place + 1] = random.bytes(1)
            case 1:
                number = int(random.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFF, 8]))
                data[place : place + 4] = number.to_bytes(4, "little")
            case 2:
                del data[place : place + int(random.integers(1, 60))]
            case 3:
                data[place:place] = random.bytes(int(random.integers(1, 60)))
            case 4:
                start = int(random.integers(len(data) + 1))
                data[place:place] = data[start : start + int(random.integers(1, 200))]
            case 5:
                record = data.find(random.choice([b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"]))
                field = max(record, 0) + int(random.integers(4, 46))
                data[field : field + 2] = random.bytes(2)
            case _:
                name = _NAMES[random.integers(len(_NAMES))]
                found = data.find(b"a.png", place)
                data[max(found, 0) : max(found, 0) + len(name)] = name
    return bytes(data)


def crafted(random: np.random.Generator) -> bytes:
    """An archive whose headers are random, from ordinary and hostile values."""
    entries = []
    for number in range(int(random.integers(1, 8))):
        name = _NAMES[random.integers(len(_NAMES))] if random.random() < 0.05 else b"%d.png" % number
        entries.append(
            Entry(
                name,
                bytes(int(random.integers(0, 200_000))) if random.random() < 0.3 else png(number),
                flags=int(random.choice([0] * 40 + [0x800, 1, 8, 0x40])),
                method=int(random.choice([8] * 20 + [0, 0, 12, 14, 99])),
                size=int(random.integers(0, 2**32)) if random.random() < 0.02 else None,
                packed_size=int(random.integers(0, 2**32)) if random.random() < 0.02 else None,
                crc=int(random.integers(0, 2**32)) if random.random() < 0.02 else None,
                mode=int(random.choice([0o100644] * 40 + [0, 0o120777, 0o010644, 0o040755])),
                offset=int(random.integers(0, 5_000)) if random.random() < 0.02 else None,
            )
        )
    return raw_zip(entries, count=int(random.integers(0, 9)) if random.random() < 0.02 else None)


def check_survives(data: bytes, settings: Settings) -> bool:
    """Unpack or be refused in one sentence, within the limits and inside the folder; returns whether it unpacked."""
    text = None
    try:
        folder = unpack_upload(data, "fuzz.zip", settings)
        assert folder.parent == settings.datasets_dir
    except ArchiveError as error:
        text = str(error)
    if text is not None:
        assert text.endswith(".")
        assert "\n" not in text
        assert len(text) < 400
    check_clean(settings)
    for path in settings.datasets_dir.glob("*"):
        archive.shutil.rmtree(path)
    return text is None


def fuzz(settings: Settings, rounds: range) -> list[bool]:
    results = []
    for seed in rounds:
        random = np.random.default_rng(seed)
        results.append(check_survives(mutated(random) if seed % 2 else crafted(random), settings))
    return results


def test_mutated_and_crafted_archives_never_escape_or_crash(limits):
    results = fuzz(limits, range(600))
    assert 20 < sum(results) < 580  # both outcomes are exercised


@pytest.mark.slow
def test_thousands_of_mutated_and_crafted_archives_never_escape_or_crash(limits):
    fuzz(limits, range(10_000, 20_000))


@hypothesis_settings(max_examples=60, deadline=None)
@given(name=st.binary(min_size=1, max_size=60), flags=st.sampled_from([0, 0x800]))
def test_no_entry_name_leads_outside(tmp_path_factory, name, flags):
    settings = Settings(datasets_dir=tmp_path_factory.mktemp("fuzz") / "datasets")
    check_survives(raw_zip([Entry(name + b".png", png(), flags=flags)]), settings)


@hypothesis_settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300), start=st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06"]))
def test_no_bytes_crash_the_reader(tmp_path_factory, data, start):
    settings = Settings(datasets_dir=tmp_path_factory.mktemp("fuzz") / "datasets")
    check_survives(start + data, settings)


# --- photos to segment --------------------------------------------------------------------------------------------


def photos_refusal(data: bytes, **limits: float) -> str:
    with pytest.raises(ArchiveError) as caught:
        photos_in(data, "pets.zip", Settings(**limits), most=10)
    assert "pets.zip" in str(caught.value)
    return str(caught.value)


def test_photos_are_read_into_memory_and_the_surplus_is_named() -> None:
    photos = {f"trip/{number}.png": png(number) for number in range(4)}
    data = plain_zip({**photos, "notes.txt": b"text", "trip/.DS_Store": b"x", "__MACOSX/trip/._0.png": b"x"})
    found, left_out = photos_in(data, "pets.zip", Settings(), most=3)
    assert found == [(f"{number}.png", png(number)) for number in range(3)]
    assert left_out == ["3.png"]


def test_archives_of_photos_are_held_to_the_limits_of_a_session() -> None:
    zeros = bytes(3_000_000)
    assert "contains no photo" in photos_refusal(plain_zip({"a.txt": b"a"}))
    assert "more than the 2 MB allowed for one file" in photos_refusal(plain_zip({"a.png": zeros}), max_upload_mb=2)
    bomb = plain_zip({f"{number}.png": zeros for number in range(5)})
    assert "more than the 10 MB allowed" in photos_refusal(bomb, max_session_mb=10)
    heavy = plain_zip({f"{number}.png": bytes(20_000_000) for number in range(4)})
    assert "200 times its size" in photos_refusal(heavy)
    assert "more than the 3 files allowed" in photos_refusal(bomb, max_archive_files=3)
    assert "leads outside" in photos_refusal(plain_zip({"../a.png": png()}))
    assert "not a ZIP" in photos_refusal(png())
    assert "another archive" in photos_refusal(plain_zip({"a.png": png(), "b.zip": b"x"}))


def test_a_size_in_the_header_that_lies_stops_the_reading() -> None:
    data = bytearray(plain_zip({"a.png": bytes(100_000)}))
    at = data.index(b"PK\x01\x02") + 24  # the unpacked size in the directory
    data[at : at + 4] = (50).to_bytes(4, "little")
    assert "damaged" in photos_refusal(bytes(data))


@given(st.binary(max_size=400))
@hypothesis_settings(max_examples=60)
def test_no_bytes_make_reading_photos_fail_in_another_way(noise: bytes) -> None:
    for data in (noise, plain_zip({"a.png": png()})[:-20] + noise):
        with contextlib.suppress(ArchiveError):
            photos_in(data, "pets.zip", Settings(), most=10)
