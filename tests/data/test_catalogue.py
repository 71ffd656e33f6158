"""The catalogue: built once in its own process, read without TensorFlow, with correct statistics."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from tests.helpers import miniature_pets
from unet_core.cli.parser import main
from unet_core.data import catalogue
from unet_core.data.catalogue import (
    Catalogue,
    CatalogueError,
    build_catalogue,
    catalogue_path,
    catalogue_status,
    start_catalogue,
)
from unet_core.data.sources import PARTS, DataError
from unet_core.data.statistics import cell_shares, class_shares
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.jobs import process
from unet_core.settings import Settings


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("pets")
    miniature_pets.prepare(folder / "tfds")
    settings = Settings(data_dir=folder / "tfds", cache_dir=folder / "cache")
    build_catalogue("oxford_iiit_pet", settings)
    return settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return miniature_pets.write_folder(tmp_path / "own", 12)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache", data_dir=tmp_path / "tfds")


def _wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_every_photo_is_there_with_breed_species_split_and_size(pets: Settings) -> None:
    found = Catalogue.open("oxford_iiit_pet", pets)
    entries = found.entries()
    names = {f"{name}.jpg" for name in (*miniature_pets.TRAIN, *miniature_pets.TEST)}
    assert {entry.name for entry in entries} == names  # the near-duplicates that training drops, too
    beagle = found.entry("beagle_300.jpg")
    assert (beagle.split, beagle.breed, beagle.species, beagle.width) == ("test", "beagle", "Dog", 40)
    assert beagle.height in (30, 31, 32)
    assert found.entry("Abyssinian_200.jpg").species == "Cat"
    assert found.class_names == ("pet", "background", "border")
    with pytest.raises(CatalogueError, match="no example called 'x'"):
        found.entry("x")


def test_the_numbers_of_each_photo_equal_counting_its_mask(pets: Settings) -> None:
    found = Catalogue.open("oxford_iiit_pet", pets)
    for entry in found.entries():
        _, ids = found.example(entry.name)
        counted = [float(np.count_nonzero(ids == index)) / ids.size for index in range(3)]
        assert list(entry.shares.values()) == pytest.approx(counted)
        assert entry.pet_share == pytest.approx(counted[0] + counted[2])  # the border counts as pet


def test_small_photos_are_kept_as_they_are_and_thumbnails_fit(pets: Settings) -> None:
    from unet_core.data.oxford.oxford_pets import OxfordPets

    found = Catalogue.open("oxford_iiit_pet", pets)
    for example in OxfordPets(pets.data_dir).examples("test"):
        photo, ids = example.decode()
        kept_photo, kept_ids = found.example(example.name)
        assert np.array_equal(kept_photo, photo)
        assert np.array_equal(kept_ids, ids)
        small, small_ids = found.thumbnail(example.name)
        assert small.dtype == small_ids.dtype == np.uint8
        assert small.shape == (*small_ids.shape, 3)


def test_large_photos_are_shrunk_without_new_mask_values(tmp_path: Path, settings: Settings) -> None:
    own = miniature_pets.write_folder(tmp_path / "large", 10, size=(300, 700))
    build_catalogue(str(own), settings)
    found = Catalogue.open(str(own), settings)
    photo, ids = found.example("pet3")
    assert photo.shape == (219, 512, 3)
    assert ids.shape == (219, 512)
    small, small_ids = found.thumbnail("pet3")
    assert small.shape == (55, 128, 3)
    assert set(np.unique(small_ids)) <= {0, 1, 2}
    assert (found.entry("pet3").width, found.entry("pet3").height) == (700, 300)


def test_queries_filter_by_everything_at_once_and_page_through(pets: Settings) -> None:
    found = Catalogue.open("oxford_iiit_pet", pets)
    entries = found.entries()

    def expected(keep: Callable[[catalogue.Entry], bool]) -> list[str]:
        return [entry.name for entry in entries if keep(entry)]

    def names(**conditions: object) -> list[str]:
        rows, total = found.query(**conditions)
        assert total == len(rows)
        return [entry.name for entry in rows]

    assert names() == [entry.name for entry in entries]
    assert names(split="test") == expected(lambda entry: entry.split == "test")
    assert names(breed="Bombay") == ["Bombay_146.jpg"]
    assert names(species="Dog") == expected(lambda entry: entry.species == "Dog")
    assert names(text="BEAGLE_30") == expected(lambda entry: "beagle_30" in entry.name)
    assert names(text="%") == names(text="a_y") == []  # no wildcards
    assert names(text="  ") == names()
    low, high = sorted(entry.pet_share for entry in entries)[5:15:9]
    assert names(pet_share=(low, high)) == expected(lambda entry: low <= entry.pet_share <= high)
    both = expected(lambda entry: entry.species == "Cat" and entry.pet_share >= low and entry.split == "train")
    assert names(species="Cat", pet_share=(low, 1), split="train") == both
    assert names(split="nowhere") == []
    pages = [found.query(offset=start, limit=10) for start in range(0, 40, 10)]
    assert [entry.name for rows, _ in pages for entry in rows] == names()
    assert {total for _, total in pages} == {len(entries)}


def test_queries_come_in_the_order_asked_for(pets: Settings) -> None:
    found = Catalogue.open("oxford_iiit_pet", pets)
    by_name = [entry.name for entry in found.query(order="name")[0]]
    assert by_name == sorted(by_name, key=str.lower)
    shares = [entry.pet_share for entry in found.query(order="smallest")[0]]
    assert shares == sorted(shares)
    assert [entry.pet_share for entry in found.query(order="largest")[0]] == shares[::-1]
    with pytest.raises(ValueError, match="order: must be one of dataset, name"):
        found.query(order="id; DROP TABLE entries")


def test_names_of_any_kind_are_found_and_cannot_harm(tmp_path: Path, settings: Settings) -> None:
    own = miniature_pets.write_folder(tmp_path / "own", 5)
    for kind, ending in (("images", "jpg"), ("masks", "png")):
        (own / kind / f"pet0.{ending}").rename(own / kind / f"o'; DROP TABLE entries; -- é猫.{ending}")
    build_catalogue(str(own), settings)
    found = Catalogue.open(str(own), settings)
    (entry,), total = found.query(text="'; drop table")
    assert total == 1
    assert found.thumbnail(entry.name)[0].ndim == 3


# --- statistics -------------------------------------------------------------------------------------------------------


def test_statistics_equal_counting_every_pixel(pets: Settings) -> None:
    found = Catalogue.open("oxford_iiit_pet", pets)
    masks = {entry.name: found.example(entry.name)[1] for entry in found.entries()}
    for split in (None, "test", "train"):
        entries = found.entries(split)
        numbers = found.statistics(split)
        pixels = np.concatenate([masks[entry.name].reshape(-1) for entry in entries])
        assert numbers.photos == len(entries)
        assert list(numbers.class_shares.values()) == pytest.approx([float((pixels == c).mean()) for c in range(3)])
        heat = np.mean([_brute_force_cells(masks[entry.name] != 1) for entry in entries], axis=0)
        assert numbers.heat_map == pytest.approx(heat)
        shares = [float((masks[entry.name] != 1).mean()) for entry in entries]
        edges = [index / 20 for index in range(20)] + [1.1]
        bins = [sum(low <= share < high for share in shares) for low, high in pairwise(edges)]
        assert numbers.pet_share_edges == pytest.approx(np.linspace(0, 1, 21))
        assert numbers.pet_share_counts.tolist() == bins
        assert dict(numbers.photo_sizes) == {
            size: sum((entry.width, entry.height) == size for entry in entries)
            for size in {(entry.width, entry.height) for entry in entries}
        }
    assert found.statistics("test").breed_counts == {"beagle": 6}
    everything = found.statistics()
    assert everything.breed_counts == {"Abyssinian": 28, "beagle": 6, "Bombay": 1, "leonberger": 1}
    assert everything.species_counts == {"Cat": 29, "Dog": 7}
    assert everything.breed_species["leonberger"] == "Dog"
    assert sum(everything.split_counts.values()) == 36
    assert everything.split_counts["test"] == 6


def _brute_force_cells(inside: np.ndarray, cells: int = 32) -> np.ndarray:
    """Enlarge so that every cell is made of whole pixels, and average."""
    exact = inside.repeat(cells, axis=0).repeat(cells, axis=1).astype(float)
    return exact.reshape(cells, inside.shape[0], cells, inside.shape[1]).mean(axis=(1, 3))


@pytest.mark.parametrize("shape", [(32, 32), (1, 1), (31, 33), (5, 100), (64, 48)])
def test_cells_share_pixels_by_area(shape: tuple[int, int]) -> None:
    inside = np.random.default_rng(0).random(shape) < 0.5
    shares = cell_shares(inside)
    assert shares == pytest.approx(_brute_force_cells(inside))
    assert shares.mean() == pytest.approx(inside.mean())


def test_class_shares_count_pixels() -> None:
    assert class_shares(np.array([[0, 2], [2, 2]], np.uint8), 3).tolist() == [0.25, 0, 0.75]


def test_a_dataset_without_breeds_or_foreground_has_statistics_too(tmp_path: Path, settings: Settings) -> None:
    own = tmp_path / "own"
    (own / "images").mkdir(parents=True)
    (own / "masks").mkdir()
    random = np.random.default_rng(0)
    for number in range(8):
        Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(own / "images" / f"{number}.png")
        Image.fromarray(random.integers(0, 5, (20, 30), dtype=np.uint8)).save(own / "masks" / f"{number}.png")
    build_catalogue(str(own), settings)
    found = Catalogue.open(str(own), settings)
    numbers = found.statistics()
    assert len(found.class_names) == 5
    assert sum(numbers.class_shares.values()) == pytest.approx(1)
    assert numbers.breed_counts == numbers.species_counts == {}
    background = found.class_names[0]
    assert all(entry.pet_share == pytest.approx(1 - entry.shares[background]) for entry in found.entries())


# --- building, in a process of its own --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_synthetic_dataset_is_built_by_a_process_that_was_started_once(settings: Settings, monkeypatch) -> None:
    assert catalogue_status("synthetic", settings).state == "missing"
    started: list[object] = []
    popen = subprocess.Popen
    monkeypatch.setattr(process.subprocess, "Popen", lambda *a, **k: started.append(a) or popen(*a, **k))
    states: list[str] = []
    sessions = [
        threading.Thread(target=lambda: states.append(start_catalogue("synthetic", settings).state)) for _ in range(4)
    ]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert states == ["building"] * 4
    assert len(started) == 1
    _wait(lambda: catalogue_status("synthetic", settings).done > 0)
    found = catalogue_status("synthetic", settings)
    assert found.state in ("building", "ready")
    assert catalogue._job("synthetic", settings).cancel() or found.state == "ready"
    _wait(lambda: catalogue_status("synthetic", settings).state in ("missing", "ready"))
    assert not list(settings.cache_dir.rglob("*.part"))


@pytest.mark.slow
def test_a_started_build_becomes_ready_and_is_not_started_again(folder: Path, settings: Settings) -> None:
    start_catalogue(str(folder), settings)
    _wait(lambda: catalogue_status(str(folder), settings).state != "building")
    assert catalogue_status(str(folder), settings).state == "ready"
    assert len(Catalogue.open(str(folder), settings).entries()) == 12
    assert start_catalogue(str(folder), settings).state == "ready"


def test_changed_data_make_a_catalogue_outdated_and_another_folder_has_its_own(
    folder: Path, settings: Settings
) -> None:
    data = str(folder)
    build_catalogue(data, settings)
    opened = Catalogue.open(data, settings)
    assert Catalogue.open(data, settings) is opened
    (folder / "masks" / "pet1.png").write_bytes((folder / "masks" / "pet2.png").read_bytes())
    os.utime(folder / "masks" / "pet1.png", (1, 1))
    found = catalogue_status(data, settings)
    assert found.state == "missing"
    assert "changed" in found.reason
    build_catalogue(data, settings)
    assert catalogue_status(data, settings).state == "ready"
    assert len(opened.entries()) == 12  # readers of the old file are not disturbed
    assert Catalogue.open(data, settings) is not opened
    assert catalogue_path(data, settings) != catalogue_path(data + "2", settings)


def test_a_missing_dataset_says_so_and_starts_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.subprocess, "Popen", mock.Mock(side_effect=AssertionError))
    for data, sentence in (("oxford_iiit_pet", "Download it with"), ("/nowhere/at/all", "There is no folder")):
        assert catalogue_status(data, settings).state == "missing"
        assert sentence in catalogue_status(data, settings).reason
        assert sentence in start_catalogue(data, settings).reason
        with pytest.raises(CatalogueError, match="no catalogue yet"):
            Catalogue.open(data, settings)


def test_wrong_data_fail_with_their_reason_and_can_be_tried_again(folder: Path, settings: Settings) -> None:
    broken = folder / "images" / "pet4.jpg"
    kept = broken.read_bytes()
    broken.write_bytes(b"not a photo")
    with pytest.raises(ValueError, match="pet4"):
        build_catalogue(str(folder), settings)
    found = catalogue_status(str(folder), settings)
    assert found.state == "failed"
    assert "pet4" in found.reason
    assert not list(settings.cache_dir.rglob("*.sqlite"))
    assert not list(settings.cache_dir.rglob("*.part"))
    broken.write_bytes(kept)
    build_catalogue(str(folder), settings)
    assert catalogue_status(str(folder), settings).state == "ready"


@pytest.mark.slow
def test_a_killed_build_is_told_as_failed_and_leaves_no_file_after_the_next(folder: Path, settings: Settings) -> None:
    script = (
        "import sys, time; from pathlib import Path; from unet_core.data import catalogue; "
        "from unet_core.settings import Settings; "
        f"settings = Settings(cache_dir=Path({str(settings.cache_dir)!r})); "
        f"catalogue.build_catalogue({str(folder)!r}, settings, lambda done, total: (print('at work', flush=True), "
        "time.sleep(60)))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"at work\n"
    _wait(lambda: catalogue_status(str(folder), settings).state == "building")
    with pytest.raises(ValueError, match="Another process is doing this"):
        build_catalogue(str(folder), settings)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    found = catalogue_status(str(folder), settings)
    assert found.state == "failed"
    assert "ended unexpectedly" in found.reason
    with pytest.raises(CatalogueError):
        Catalogue.open(str(folder), settings)
    build_catalogue(str(folder), settings)
    assert catalogue_status(str(folder), settings).state == "ready"
    assert not list(settings.cache_dir.rglob("*.part"))


def test_a_process_that_falls_over_at_its_start_is_told_with_its_last_words(folder: Path, settings: Settings) -> None:
    job = catalogue._job(str(folder), settings)
    assert job.start(["-c", "import sys; sys.exit('error: no such luck')"], settings)
    _wait(lambda: catalogue_status(str(folder), settings).state == "failed")
    assert catalogue_status(str(folder), settings).reason == "no such luck"


def test_a_cache_folder_that_cannot_be_written_gives_a_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = start_catalogue(str(folder), Settings(cache_dir=tmp_path / "file"))
    assert found.state == "failed"
    assert "file" in found.reason


def test_two_examples_of_one_name_are_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = SimpleNamespace(name="twin", decode=lambda: (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)))
    source = SyntheticPets()
    monkeypatch.setattr(SyntheticPets, "examples", lambda self, part: iter([picture, picture]))
    monkeypatch.setattr(catalogue, "_source", lambda *_: source)
    with pytest.raises(DataError, match="Two examples are called twin"):
        build_catalogue("synthetic", settings)


def test_a_damaged_catalogue_is_missing_and_says_so(folder: Path, settings: Settings) -> None:
    path = catalogue_path(str(folder), settings)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"SQLite format 3\0" + bytes(5000))
    assert catalogue_status(str(folder), settings).state == "missing"
    with pytest.raises(CatalogueError, match="delete it and build it again"):
        Catalogue.open(str(folder), settings)


# --- readers ----------------------------------------------------------------------------------------------------------


def test_many_threads_read_while_another_catalogue_is_put_in_place(folder: Path, settings: Settings) -> None:
    data = str(folder)
    build_catalogue(data, settings)
    problems: list[BaseException] = []
    ended = threading.Event()

    def read() -> None:
        try:
            while not ended.is_set():
                found = Catalogue.open(data, settings)
                for entry in found.query(pet_share=(0, 1), limit=5)[0]:
                    assert found.thumbnail(entry.name)[0].shape[2] == 3
                assert found.statistics().photos == 12
        except BaseException as error:
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    for _ in range(5):
        build_catalogue(data, settings)
    ended.set()
    for reader in readers:
        reader.join()
    assert not problems


@pytest.mark.slow
def test_reading_imports_neither_tensorflow_nor_keras(folder: Path, settings: Settings) -> None:
    build_catalogue(str(folder), settings)
    script = (
        "import sys; from pathlib import Path; from unet_core.settings import Settings; "
        "from unet_core.data import catalogue, pitfalls, preview; from unet_core.data.oxford import download_job; "
        f"settings = Settings(cache_dir=Path({str(settings.cache_dir)!r}), data_dir=Path('nowhere')); "
        f"assert catalogue.catalogue_status({str(folder)!r}, settings).state == 'ready'; "
        f"found = catalogue.Catalogue.open({str(folder)!r}, settings); found.statistics(); "
        "photo, mask = found.example(found.query(limit=1)[0][0].name); "
        "from unet_core.scoring.shipped_prediction import shipped_prediction; shipped_prediction(photo, mask); "
        "assert all([pitfall(photo, mask) for pitfall in pitfalls.PITFALLS.values()]); "
        "assert download_job.download_status(settings).state == 'missing'; "
        "print(sorted({'tensorflow', 'keras', 'tensorflow_datasets'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_command_prints_the_numbers_as_json(folder: Path, settings: Settings, monkeypatch, capsys) -> None:
    import json

    monkeypatch.setenv("UNET_CACHE_DIR", str(settings.cache_dir))
    assert main(["catalogue", "--data", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["photos"] == 12
    assert set(document["splits"]) == set(PARTS)
    assert Path(document["path"]) == catalogue_path(str(folder), settings)
    assert main(["catalogue", "--data", "/nowhere"]) == 1
    assert capsys.readouterr().err.count("error: There is no folder /nowhere") == 1


@pytest.mark.dataset
@pytest.mark.slow
def test_the_real_dataset_becomes_a_catalogue_with_all_its_photos(oxford_dir: Path, tmp_path: Path) -> None:
    settings = Settings(data_dir=oxford_dir, cache_dir=tmp_path)
    start = time.monotonic()
    build_catalogue("oxford_iiit_pet", settings)
    assert time.monotonic() - start < 120
    numbers = Catalogue.open("oxford_iiit_pet", settings).statistics()
    assert numbers.photos > 7_300
    assert len(numbers.breed_counts) == 37
    assert numbers.class_shares["border"] == pytest.approx(0.12, abs=0.02)
