"""The manifest and its rule: nothing is used whose hash differs."""

from __future__ import annotations

import json
import os
import threading

import pytest

from tests.helpers.onnx_models import install, pixel_config
from unet_core.architecture.config import Preprocessing
from unet_core.errors import ConfigError
from unet_core.segment import Segmenter
from unet_core.settings import Settings
from unet_core.zoo import manifest as weights
from unet_core.zoo.manifest import (
    Manifest,
    ModelEntry,
    ModelFile,
    WeightsError,
    file_record,
    load_manifest,
    read_verified,
    verified_path,
    write_entry,
)


@pytest.fixture
def settings(tmp_path):
    return install(tmp_path)


def entry_for(path, **changes) -> ModelEntry:
    config = pixel_config()
    values = {
        "config": config,
        "preprocessing": config.preprocessing,
        "classes": ("pet", "background", "border"),
        "files": {"onnx": file_record(path)},
    }
    return ModelEntry(**{**values, **changes})


def test_manifest_comes_back_as_it_was_written(settings):
    manifest = load_manifest(settings)
    assert manifest.default == "pixels"
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.entry().config == pixel_config()
    assert manifest.entry("pixels") is manifest.entry()


def test_manifest_has_the_documented_form(settings):
    document = json.loads((settings.weights_dir / "manifest.json").read_text())
    assert set(document) == {"version", "default", "models"}
    assert document["version"] == 1
    assert set(document["models"]["pixels"]) == {
        *("title", "description", "config", "preprocessing", "classes", "second_look", "presence", "kinds"),
        *("files", "recipe", "data", "metrics", "latency", "licence", "credit"),
    }
    assert set(document["models"]["pixels"]["files"]["onnx"]) == {"name", "sha256", "bytes"}


def test_missing_manifest_says_where_and_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match=r"manifest\.json is missing.*UNET_WEIGHTS_DIR"):
        load_manifest(Settings(weights_dir=tmp_path))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_damaged_manifest_is_an_error(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(WeightsError, match="not valid JSON"):
        load_manifest(Settings(weights_dir=tmp_path))


@pytest.mark.parametrize("content", ["[]", "{}", '{"version": 2, "default": "a", "models": {}}', "null", "7"])
def test_unknown_version_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(WeightsError, match="reads version 1"):
        load_manifest(Settings(weights_dir=tmp_path))


def test_manifest_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_manifest(Settings(weights_dir=tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"default": "nobody"},
        {"extra": 1},
        {"models": {}},
        {"models": {"pixels": {}}},
    ],
)
def test_manifest_that_is_inconsistent_is_refused(settings, change):
    path = settings.weights_dir / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(WeightsError, match="cannot be used"):
        load_manifest(settings)


def test_unknown_model_lists_the_existing_ones(settings):
    with pytest.raises(WeightsError, match="no model 'dog': choose one of pixels"):
        load_manifest(settings).entry("dog")


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/b", "a\\b", "..", ".hidden", "", "C:x", "a\nb", "a\x00b", "x.onnx\n"]
)
def test_file_names_are_bare_names(name):
    with pytest.raises(ConfigError, match="name"):
        ModelFile(name=name, sha256="0" * 64, bytes=1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"classes": ("pet",)}, "classes"),
        ({"preprocessing": Preprocessing(scale="raw")}, "preprocessing"),
        ({"files": {}}, "files"),
        ({"files": {"pickle": ModelFile(name="a", sha256="0" * 64, bytes=1)}}, "files"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_inconsistent_entry_names_its_field(settings, change, field):
    with pytest.raises(ConfigError, match=field):
        entry_for(settings.weights_dir / "pixels.onnx", **change)


def test_preprocessing_is_taken_from_the_config(settings):
    entry = entry_for(settings.weights_dir / "pixels.onnx", preprocessing=None)
    assert entry.preprocessing == entry.config.preprocessing


def test_file_record_measures_the_file(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"abc")
    record = file_record(path)
    assert record.name == "a.onnx"
    assert record.bytes == 3
    assert record.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_verified_file_is_handed_out(settings):
    entry = load_manifest(settings).entry()
    path = verified_path(entry, "onnx", settings)
    assert path == settings.weights_dir / "pixels.onnx"
    assert read_verified(entry, "onnx", settings) == path.read_bytes()


def test_a_file_is_hashed_once_and_again_when_it_changes(settings, monkeypatch):
    entry = load_manifest(settings).entry()
    hashed = []
    original = weights._sha256
    monkeypatch.setattr(weights, "_sha256", lambda path: hashed.append(path) or original(path))
    monkeypatch.setattr(weights, "_digests", {})
    for _ in range(3):
        path = verified_path(entry, "onnx", settings)
    assert len(hashed) == 1
    os.utime(path, (1, 1))
    verified_path(entry, "onnx", settings)
    assert len(hashed) == 2


def corrupt(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("check", [verified_path, read_verified])
def test_one_flipped_bit_is_refused(settings, check):
    entry = load_manifest(settings).entry()
    check(entry, "onnx", settings)
    corrupt(settings.weights_dir / "pixels.onnx")
    with pytest.raises(WeightsError, match=r"pixels\.onnx is not the one in the manifest, its SHA-256 differs"):
        check(entry, "onnx", settings)


@pytest.mark.parametrize("check", [verified_path, read_verified])
def test_other_size_is_refused(settings, check):
    with (settings.weights_dir / "pixels.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(WeightsError, match="bytes instead of"):
        check(load_manifest(settings).entry(), "onnx", settings)


@pytest.mark.parametrize("check", [verified_path, read_verified])
def test_missing_file_says_how_to_fix_it(settings, check):
    (settings.weights_dir / "pixels.onnx").unlink()
    with pytest.raises(WeightsError, match="is missing: restore the weights folder"):
        check(load_manifest(settings).entry(), "onnx", settings)


def test_missing_kind_of_file_lists_the_existing_ones(settings):
    with pytest.raises(WeightsError, match="no 'weights' file, only onnx"):
        verified_path(load_manifest(settings).entry(), "weights", settings)


def test_swapped_models_are_refused_and_nothing_is_loaded(tmp_path, monkeypatch):
    import onnxruntime

    install(tmp_path, name="one", bias=0)
    settings = install(tmp_path, name="two", bias=1)
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)

    def never(*arguments, **options):
        raise AssertionError("a model was loaded that is not the one in the manifest")

    monkeypatch.setattr(onnxruntime, "InferenceSession", never)
    for name in ("one", "two"):
        with pytest.raises(WeightsError, match="was not loaded"):
            Segmenter(name, settings=settings)


def test_model_swapped_after_its_first_use_is_noticed(settings):
    Segmenter(settings=settings)
    corrupt(settings.weights_dir / "pixels.onnx")
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        Segmenter(settings=settings)


def test_write_entry_adds_replaces_and_keeps_the_default(settings, tmp_path):
    path = settings.weights_dir / "pixels.onnx"
    write_entry("second", entry_for(path, title="Two"), tmp_path)
    assert list(load_manifest(settings).models) == ["pixels", "second"]
    assert load_manifest(settings).default == "pixels"
    write_entry("second", entry_for(path, title="New"), tmp_path, make_default=True)
    assert load_manifest(settings).entry().title == "New"
    assert load_manifest(settings).default == "second"


def test_write_entry_refuses_files_that_are_not_there(settings, tmp_path):
    record = ModelFile(name="absent.onnx", sha256="0" * 64, bytes=1)
    with pytest.raises(WeightsError, match=r"absent\.onnx is missing"):
        write_entry("absent", entry_for(tmp_path / "pixels.onnx", files={"onnx": record}), tmp_path)
    assert list(load_manifest(settings).models) == ["pixels"]


def test_failed_write_leaves_the_old_manifest_and_no_debris(settings, tmp_path, monkeypatch):
    before = (tmp_path / "manifest.json").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_entry("second", entry_for(tmp_path / "pixels.onnx"), tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))


def test_writers_at_the_same_time_lose_nothing(settings, tmp_path):
    entry = entry_for(tmp_path / "pixels.onnx")
    threads = [threading.Thread(target=write_entry, args=(f"model{n}", entry, tmp_path)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load_manifest(settings).models) == 9
