"""What leaves with a model: metadata in its files, and a ZIP whose program gives the app's masks without the app."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tifffile
from PIL import Image

from tests.helpers.tiny_run import TINY, tiny_config, untrained_run
from tests.zoo.test_export import with_lively_weights
from unet_core.architecture.config import UNetConfig
from unet_core.classes import PixelClasses
from unet_core.cli.parser import main
from unet_core.segment.passes import photo_probabilities
from unet_core.train.callbacks import save_model_weights
from unet_core.train.fit import LiveNetwork
from unet_core.train.run_directory import RunDirectory
from unet_core.zoo.bundle import export_everything
from unet_core.zoo.export import ExportError, export
from unet_core.zoo.meaning import DataOrigin, Meaning

CLASSES = PixelClasses(
    names=("background", "tree", "cät"),
    colours=((0, 0, 0), (0, 200, 0), (200, 0, 0)),
    codes=(0, 700, 900),
    background=0,
)
MEANING = Meaning(CLASSES, DataOrigin(name="trees", description="16 photos"))


def photo(path: Path, size: tuple[int, int] = (70, 101), mode: str = "RGB") -> Path:
    """Soft blobs, saved without loss."""
    coarse = np.random.default_rng(3).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


def bands(path: Path) -> Path:
    """Soft blobs in five bands of 16 bits."""
    coarse = np.random.default_rng(3).uniform(0, 65535, (5, 6, 7)).astype(np.float32)
    smooth = [np.asarray(Image.fromarray(band).resize((70, 50), Image.Resampling.BILINEAR)) for band in coarse]
    pixels = np.stack(smooth, axis=-1).astype(np.uint16)
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig")
    return path


def by_the_program(folder: Path, model: str, picture: Path) -> np.ndarray:
    """Run segment.py of an unpacked ZIP in a process of its own, away from this project."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-P", "segment.py", model, str(picture), "mask.png"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return np.asarray(Image.open(folder / "mask.png"))


def test_an_onnx_file_carries_what_the_model_means(tmp_path):
    export(with_lively_weights(TINY), TINY, "onnx", tmp_path / "model.onnx", meaning=MEANING)
    about = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(about["classes"]) == ["background", "tree", "cät"]
    assert json.loads(about["background"]) == 0
    assert json.loads(about["codes"]) == [0, 700, 900]
    assert json.loads(about["colours"])[1] == [0, 200, 0]
    assert about["licence"] == "unknown"
    assert about["source"] == "trees (16 photos)"
    steps = json.loads(about["preprocessing"])
    assert (steps["height"], steps["divisor"], steps["channel_order"]) == (16, 255.0, "RGB")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert session.get_modelmeta().custom_metadata_map == about


def test_a_keras_file_carries_what_the_model_means_and_still_loads(tmp_path):
    model = with_lively_weights(TINY)
    export(model, TINY, "keras", tmp_path / "model.keras", meaning=MEANING)
    about = json.loads(zipfile.ZipFile(tmp_path / "model.keras").read("metadata.json"))
    assert json.loads(about["classes"]) == ["background", "tree", "cät"]
    assert "keras_version" in about
    picture = np.ones((1, *TINY.input_shape), np.float32)
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "model.keras")(picture), model(picture), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"classes": 1, "head_activation": "sigmoid"},
        {"classes": 1, "preprocessing": {"scale": "symmetric"}},
        {"preprocessing": {"scale": "standardize", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.3)}},
    ],
)
def test_scaling_and_argmax_can_be_inside(tmp_path, changes):
    config = TINY.replace(**changes)
    model = with_lively_weights(config)
    written = export(model, config, "onnx", tmp_path / "model.onnx", end_to_end=True)
    assert written.difference <= written.tolerance
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert session.get_inputs()[0].type == "tensor(uint8)"
    pixels = np.random.default_rng(0).integers(0, 256, (2, *config.input_shape), dtype=np.uint8)
    mask = session.run(None, {"image": pixels})[0]
    assert (mask.dtype, mask.shape) == (np.uint8, (2, 16, 16))
    network = LiveNetwork(model)
    for one, ids in zip(pixels, mask, strict=True):
        expected = photo_probabilities(network, config, one).argmax(axis=-1)
        assert (ids == expected).mean() > 0.999
    with pytest.raises(ExportError, match="only ONNX"):
        export(model, config, "keras", tmp_path / "model.keras", end_to_end=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "mode"),
    [
        (TINY, "RGB"),
        (TINY.replace(channels=1, classes=1, preprocessing={"scale": "symmetric", "resize": "pad"}), "L"),
        (UNetConfig(height=60, width=60, padding="valid", depth=2, base_filters=4, skip_mode="crop"), "RGBA"),
        (TINY.replace(channels=5), "npy"),
        (TINY.replace(channels=5, preprocessing={"resize": "pad"}), "tif"),
    ],
)
def test_the_program_in_the_zip_gives_the_apps_mask(tmp_path, config, mode):
    model = undecided(config)
    classes = CLASSES if config.classes == 3 else PixelClasses(
        names=("leaf", "rest"), colours=((0, 0, 0), (9, 9, 9)), codes=(255, 0), background=1
    )  # fmt: skip
    export_everything(model, config, tmp_path / "all.zip", MEANING._replace(classes=classes), "My trees")
    folder = tmp_path / "unpacked"
    zipfile.ZipFile(tmp_path / "all.zip").extractall(folder)
    assert {path.name for path in folder.iterdir()} == {
        *("model.onnx", "model.keras", "classes.json", "segment.py", "README.md", "LICENCE.txt")
    }
    assert "unknown" in (folder / "LICENCE.txt").read_text()
    assert "700 tree" in (folder / "README.md").read_text() or config.classes == 1
    if config.channels == 5:
        picture = bands(tmp_path / f"photo.{mode}")
        assert "16-bit values divided by 257 first" in (folder / "README.md").read_text()
    else:
        picture = photo(tmp_path / "photo.png", mode=mode)
    run = run_of(tmp_path / "run", config, model, classes)
    assert main(["export", "--model", str(run.path), "--format", "onnx"]) == 0
    assert main(["predict", str(picture), "--out", str(tmp_path), "--model", str(run.path), "--engine", "onnx"]) == 0
    expected = np.asarray(Image.open(tmp_path / "photo_mask.png"))
    assert len(np.unique(expected)) > 1, "a mask of one class would show nothing"
    assert np.array_equal(by_the_program(folder, "model.onnx", picture), expected)
    assert (by_the_program(folder, "model.keras", picture) == expected).mean() > 0.9999


def undecided(config: UNetConfig) -> keras.Model:
    """A model with random weights that gives every class to a part of a picture."""
    model = with_lively_weights(config)
    (bias,) = (variable for variable in model.layers[-1].weights if variable.name == "bias")
    picture = np.random.default_rng(5).uniform(0, 1, (1, *config.input_shape)).astype(np.float32)
    bias.assign(bias - np.median(np.asarray(model(picture)).reshape(-1, config.classes), axis=0))
    return model


def run_of(path: Path, config: UNetConfig, model: keras.Model, classes: PixelClasses) -> RunDirectory:
    run = untrained_run(path, config)
    run.write_config(tiny_config(model=config, data="/data/trees", epochs=1))
    run.write_classes(classes)
    save_model_weights(model, run.best_weights)
    return run


@pytest.mark.slow
def test_the_command_line_writes_everything_and_end_to_end_files(tmp_path, capsys):
    run = run_of(tmp_path / "run", TINY, with_lively_weights(TINY), CLASSES)
    assert main(["export", "--model", str(run.path), "--format", "zip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(run.path / "exports" / "model.zip")
    out = tmp_path / "whole.onnx"
    arguments = ["export", "--model", str(run.path), "--format", "onnx", "--end-to-end"]
    assert main([*arguments, "--out", str(out)]) == 0
    about = {each.key: each.value for each in onnx.load(out).metadata_props}
    assert json.loads(about["classes"]) == ["background", "tree", "cät"]
    assert main(arguments) != 0
    assert not (run.path / "exports" / "model.onnx").exists()
