"""Photos of more than three bands, in 16 bits: trained, measured, shown and used."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import unet_core as unet
from tests.helpers.band_source import BANDS, SIDE, BandExample, BandSource, write_folder
from tests.helpers.tiny_run import TINY, tiny_config
from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.cli.parser import main, parse
from unet_core.cli.training_config import train_config
from unet_core.data.augmentation import AugmentationConfig
from unet_core.data.pipeline import make_datasets
from unet_core.data.sources import DataError
from unet_core.images.preprocess import network_input
from unet_core.train.checks import data_problems
from unet_core.train.fit import train
from unet_core.train.presets import adapted, fitting_channels
from unet_core.train.run_directory import RunDirectory, export_file

MODEL = TINY.replace(channels=BANDS, classes=2)


@pytest.mark.parametrize("cache_mb", [0, 100])
def test_batches_keep_every_band_and_its_16_bits(cache_mb: float) -> None:
    datasets = make_datasets(BandSource(), MODEL, batch_size=4, cache_mb=cache_mb)
    photos = np.concatenate([photos.numpy() for photos, _ in datasets.test])
    for example, photo in zip(BandSource().examples("test"), photos, strict=True):
        np.testing.assert_allclose(photo, example.decode()[0] / 65535, atol=1e-6)
        np.testing.assert_allclose(photo, network_input(example.decode()[0], MODEL, (SIDE, SIDE))[0], atol=1e-6)


def test_crops_keep_every_band_and_its_16_bits() -> None:
    model = MODEL.replace(height=8, width=8)
    datasets = make_datasets(BandSource(), model, batch_size=4, crops=True)
    for part in (datasets.train, datasets.test):
        photos = np.concatenate([photos.numpy() for photos, *_ in part])
        assert photos.shape[1:] == (8, 8, BANDS)
        assert set(np.unique(np.rint(photos[..., -1] * 65535))) <= {0, 5_000, 60_000}


@pytest.mark.parametrize(
    ("channels", "words"), [(3, "must be 5, as these photos have. Received: 3"), (4, "must be 5"), (1, "must be 5")]
)
def test_a_network_of_other_channels_is_refused_with_both_numbers(channels: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        make_datasets(BandSource(), MODEL.replace(channels=channels), batch_size=4)


def test_rgb_photos_refuse_a_network_of_more_bands_before_anything_starts() -> None:
    found = data_problems(tiny_config(model=UNetConfig(channels=5)))
    assert found == ("channels: must be 3 (RGB) or 1 (grey values), as these photos have. Received: 5",)


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["unit", "standardize"])
def test_a_run_learns_from_the_fifth_band_and_its_files_take_arrays(tmp_path: Path, scale: str) -> None:
    path = tmp_path / "run"
    model = MODEL.replace(preprocessing=Preprocessing(scale=scale))
    augmentation = AugmentationConfig(rotation=5)
    train(
        tiny_config(model=model, epochs=40, augmentation=augmentation, early_stopping_patience=None),
        path,
        source=BandSource(),
    )
    example = next(BandSource().examples("test"))
    photo, ids = example.decode()
    result = unet.segment(photo, model=path)
    assert (result.mask == ids).mean() > 0.95
    assert Image.open(io.BytesIO(result.to_overlay_png())).size == (SIDE, SIDE)
    run = RunDirectory.open(path)
    session = onnxruntime.InferenceSession(export_file(run, "onnx"))
    inputs = network_input(photo, run.config().model, (SIDE, SIDE))[0][None]
    (logits,) = session.run(None, {"image": inputs})
    np.testing.assert_array_equal(logits[0].argmax(-1), result.mask)
    assert (path / "test.json").exists(), "test photos were measured at the end"
    shown = Image.open(path / "previews" / "input_0.png")
    assert (shown.mode, shown.size) == ("RGB", (SIDE, SIDE))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "tif"])
def test_a_folder_of_arrays_or_tiffs_is_trained_and_its_files_predicted(tmp_path: Path, kind: str) -> None:
    folder = write_folder(tmp_path / "fields", kind)
    config = tiny_config(model=MODEL, data=str(folder), epochs=25, limit=None, previews=1)
    assert data_problems(config) == ()
    path = tmp_path / "run"
    train(config, path)
    file = folder / "images" / f"0.{kind}"
    _, ids = BandExample("", 0).decode()
    for photo in (file, file.read_bytes()):
        assert (unet.segment(photo, model=path).mask == ids).mean() > 0.9
    assert main(["predict", str(file), "--model", str(path), "--out", str(tmp_path / "out")]) == 0
    mask = np.asarray(Image.open(tmp_path / "out" / "0_mask.png"))
    assert (mask == ids).mean() > 0.9
    figures = unet.evaluate(path, split="train")
    assert figures["pixel_accuracy"] > 0.9
    export = unet.export(path, "onnx", tmp_path / "model.onnx")
    assert onnxruntime.InferenceSession(export.path).get_inputs()[0].shape == ["batch", SIDE, SIDE, BANDS]


def test_presets_and_recipes_take_the_bands_of_the_dataset(tmp_path: Path) -> None:
    folder = str(write_folder(tmp_path / "fields", "npy"))
    for command in (["--preset", "keras_basic"], ["--preset", "machinecurve2022", "--set", "model.depth=2"]):
        arguments = parse(["train", *command, "--data", folder])
        assert train_config(arguments).model.channels == BANDS
    given = parse(["train", "--preset", "keras_basic", "--data", folder, "--set", "model.channels=3"])
    assert train_config(given).model.channels == 3
    assert adapted(tiny_config(), folder, 2, BANDS).model == MODEL


@pytest.mark.parametrize(
    ("bands", "own", "expected"), [(3, 3, 3), (3, 1, 1), (3, 5, 3), (4, 3, 3), (4, 4, 4), (7, 3, 7), (2, 1, 2)]
)
def test_a_network_gets_the_channels_of_the_photos(bands: int, own: int, expected: int) -> None:
    assert fitting_channels(bands, own) == expected
