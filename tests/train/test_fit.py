from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.data.test_tiles import NumberedSource
from tests.helpers.tiny_run import TINY, exact_config, tiny_config, untrained_run
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.errors import ConfigError
from unet_core.jobs.tables import Table
from unet_core.models import build, encoders
from unet_core.train import callbacks, downloads, fit, previews, run_directory
from unet_core.train.callbacks import Recorder, TrainingFailed, plateau_learning_rate
from unet_core.train.config import TrainConfig
from unet_core.train.fit import explain, learning_rate_schedule, train
from unet_core.train.model_files import plots_zip
from unet_core.train.presets import TRAINING_PRESETS
from unet_core.train.recipe_files import load_recipe, recipe_names
from unet_core.train.run_directory import STARTING, RunDirectory, RunError, Status, best_epoch, this_process

ROOT = Path(__file__).resolve().parents[2]


# --- configuration ----------------------------------------------------------------------------------------------------


def test_a_configuration_survives_json() -> None:
    config = exact_config(class_weights=(1.0, 0.5, 2.0), schedule="piecewise", gradient_clip=1.0)
    assert TrainConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"loss": "hinge"}, "loss"),
        ({"class_weights": (1.0, 2.0)}, "class_weights: needs 3"),
        ({"class_weights": (1.0, 2.0, -1.0)}, "class_weights: may not be negative"),
        ({"background_weight": 1.0, "background_class": 3}, "background_class: must be one of the model's 3 classes"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"momentun": 0.9}, "momentun: is not a known field"),
    ],
)
def test_a_bad_value_is_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        tiny_config(**changes)


def test_every_recipe_is_valid() -> None:
    for name in recipe_names():
        assert load_recipe(name).model.encoder_weights in ("none", "imagenet"), "a recipe holds no path"


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no recipe or file 'nothing'"):
        load_recipe("nothing")


def test_the_piecewise_schedule_is_the_tutorials() -> None:
    schedule = learning_rate_schedule(tiny_config(schedule="piecewise", learning_rate=3e-4), steps=100)
    rates = [float(schedule(step)) for step in (0, 20, 21, 50, 51, 80, 81, 99)]
    assert rates == pytest.approx([3e-4, 3e-4, 1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6])


def test_the_cosine_schedule_warms_up_and_ends_low() -> None:
    config = tiny_config(schedule="cosine", warmup_fraction=0.1, final_learning_rate_factor=0.01)
    schedule = learning_rate_schedule(config, steps=100)
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[0] < rates[5] < rates[10] == pytest.approx(1e-2)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(1e-4)


def test_a_plateau_lowers_the_learning_rate_to_its_least() -> None:
    config = tiny_config(
        schedule="plateau", plateau_patience=2, plateau_factor=0.1, final_learning_rate_factor=0.01, learning_rate=1.0
    )
    losses = [1.0, 0.5, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    rows = [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(losses)]
    rates = [plateau_learning_rate(config, rows[:count]) for count in range(len(rows) + 1)]
    # Not lower for two epochs after 0.5; then after 0.4; never below a hundredth.
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.01])


def test_a_recipe_from_before_these_fields_is_what_it_was() -> None:
    config = load_recipe("pets_fast_first")
    assert (config.mixed_precision, config.replicas, config.schedule) == (False, None, "cosine")
    assert config.label_smoothing == 0


@pytest.mark.parametrize("preset", TRAINING_PRESETS.values(), ids=TRAINING_PRESETS)
def test_every_preset_can_be_named_and_its_network_built(preset) -> None:
    from unet_core.train.config import config_problems

    assert config_problems(preset.config) == ()
    assert load_recipe(preset.name) == preset.config


# --- the run directory ------------------------------------------------------------------------------------------------


def test_a_half_written_line_is_ignored_and_cut_off(tmp_path: Path) -> None:
    table = Table(tmp_path / "metrics.csv")
    table.append({"epoch": 0, "loss": 0.5})
    with open(table.path, "a") as file:
        file.write("1,0.2")
    assert table.rows() == [{"epoch": 0, "loss": 0.5}]
    table.append({"epoch": 1, "loss": 0.25})
    assert table.rows() == [{"epoch": 0, "loss": 0.5}, {"epoch": 1, "loss": 0.25}]


def test_epochs_that_are_trained_again_lose_their_lines(tmp_path: Path) -> None:
    table = Table(tmp_path / "metrics.csv")
    for epoch in range(4):
        table.append({"epoch": epoch, "loss": 0.5})
    table.keep_below(2)
    assert [row["epoch"] for row in table.rows()] == [0, 1]


def test_a_table_is_read_on_from_where_reading_ended(tmp_path: Path) -> None:
    table = Table(tmp_path / "steps.csv")
    assert table.rows_from(0) == ([], 0)
    table.append({"epoch": 0, "loss": 0.5})
    rows, offset = table.rows_from(0)
    assert rows == [{"epoch": 0, "loss": 0.5}]
    assert table.rows_from(offset) == ([], offset)
    table.append({"epoch": 1, "loss": None})
    with open(table.path, "a") as file:
        file.write("2,0.")  # being written
    rows, later = table.rows_from(offset)
    assert rows == [{"epoch": 1}]
    table.keep_below(1)
    again, offset = table.rows_from(later)
    assert ([row["epoch"] for row in again], offset < later) == ([0], True)


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, tiny_config())
    with pytest.raises(RunError, match="already holds a run"):
        RunDirectory.create(tmp_path, tiny_config())
    with pytest.raises(RunError, match="not a run directory"):
        RunDirectory.open(tmp_path / "elsewhere")


def test_a_new_run_is_queued_and_keeps_its_config(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, tiny_config())
    run = RunDirectory.open(tmp_path)
    assert run.status().state == "queued"
    assert run.config() == tiny_config()


def test_running_without_a_process_is_reported_as_interrupted(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, tiny_config())
    run.write_status(this_process(run.status()))
    assert run.status().state == "interrupted"
    with run.held():
        assert run.status().state == "running"
        assert RunDirectory.open(tmp_path).status().state == "running"


def test_only_one_process_trains_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_directory, "LOCK_SECONDS", 0.01)
    run = RunDirectory.create(tmp_path, tiny_config())
    with run.held(), pytest.raises(RunError, match="being trained by process"), RunDirectory.open(tmp_path).held():
        pass


def test_a_damaged_status_is_an_interrupted_run(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, tiny_config())
    (tmp_path / "status.json").write_text("{")
    assert run.status() == Status(state="interrupted", reason="status.json is missing or damaged")


def test_the_best_epoch_is_the_first_with_the_highest_score() -> None:
    rows = [{"epoch": epoch, "val_mean_iou": score} for epoch, score in enumerate((0.1, 0.5, 0.5, float("nan")))]
    assert best_epoch(rows) == 1
    assert best_epoch([]) is None


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def quick_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the export out of every run but `finished`, which is made before."""
    monkeypatch.setattr(fit._Worker, "_export", lambda *_: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of three epochs with dropout, augmentation and averaged weights, and the user's own photo."""
    path = tmp_path_factory.mktemp("runs") / "finished"
    run = RunDirectory.create(path, exact_config(), "A finished run")
    photo = io.BytesIO()
    Image.fromarray(np.full((30, 60, 3), 200, np.uint8)).save(photo, "jpeg")
    previews.keep_photo(run, photo.getvalue())
    train(None, path)
    return run


def weights_of(path: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def assert_same_run(one: RunDirectory, other: RunDirectory) -> None:
    for path, twin in ((one.last_weights, other.last_weights), (one.best_weights, other.best_weights)):
        first, second = weights_of(path), weights_of(twin)
        assert first.keys() == second.keys()
        for name in first:
            np.testing.assert_allclose(first[name], second[name], rtol=0, atol=1e-6, err_msg=name)
    told = ("epoch", "loss", "val_loss", "val_mean_iou", "learning_rate")
    for row, twin in zip(one.metrics.rows(), other.metrics.rows(), strict=True):
        assert [row[name] for name in told] == pytest.approx([twin[name] for name in told], abs=1e-6)


def test_a_run_directory_records_everything(finished: RunDirectory) -> None:
    status = finished.status()
    assert (status.state, status.epoch, status.epochs) == ("finished", 3, 3)
    assert [row["epoch"] for row in finished.metrics.rows()] == [0, 1, 2]
    told = {"loss", "val_loss", "val_mean_iou", "val_pixel_accuracy", "learning_rate", "images_per_second"}
    assert told <= finished.metrics.rows()[0].keys()
    steps = finished.steps.rows()
    assert {"epoch", "step", "loss", "mean_iou", "learning_rate", "images_per_second", "elapsed"} <= steps[0].keys()
    assert all(row["weight_change"] >= 0 for row in steps if "weight_change" in row)
    assert status.share == 1
    assert finished.environment()["packages"]["keras"] == keras.__version__
    assert "epoch 3" in (finished.path / "log.txt").read_text()
    assert not list(finished.path.glob(".*")), "nothing half-written is left"


def test_previews_show_the_same_photos_before_training_and_after_each_epoch(finished: RunDirectory) -> None:
    validation, own = previews.samples(finished)
    assert (validation.kind, own.kind) == ("validation", "photo")
    assert previews.epochs(finished) == [0, 1, 2, 3]
    assert previews.picture(finished, own.index).shape == (30, 60, 3)
    assert previews.truth(finished, own.index) is None
    for sample in (validation, own):
        assert len(sample.score_classes) == 3
        for epoch in range(4):
            mask = previews.mask(finished, epoch, sample.index)
            assert mask.shape == (sample.height, sample.width)
            assert mask.max() < 3
    assert previews.truth(finished, validation.index).shape == (validation.height, validation.width)


def test_a_preview_is_what_the_segmenter_gives_for_the_same_weights(finished: RunDirectory) -> None:
    from unet_core.images.interpolate import argmax_planes, resized_strips
    from unet_core.images.preprocess import network_input
    from unet_core.images.probabilities import class_probabilities
    from unet_core.train.find_model import find_model

    own = previews.samples(finished)[1]
    model = build(TINY.replace(spatial_dropout=0.2))
    model.load_weights(finished.last_weights)
    pixels, _ = network_input(previews.picture(finished, own.index), TINY, (16, 16))
    probabilities = class_probabilities(np.asarray(model(pixels[None])))[0]
    expected = np.concatenate([argmax_planes(part) for _, _, part in resized_strips(probabilities, 30, 60)])
    assert np.mean(previews.mask(finished, 3, own.index) == expected) > 0.99
    engine = find_model(str(finished.path)).engine("onnx")
    best = build(TINY.replace(spatial_dropout=0.2))
    best.load_weights(finished.best_weights)
    np.testing.assert_allclose(engine.predict(pixels[None]), np.asarray(best(pixels[None])), atol=1e-4)


def test_event_files_hold_the_curves(finished: RunDirectory) -> None:
    def scalars(part: str) -> dict[tuple[str, int], float]:
        (path,) = (finished.path / "tensorboard" / part).iterdir()
        events = tf.compat.v1.train.summary_iterator(str(path))
        return {(value.tag, event.step): value.simple_value for event in events for value in event.summary.value}

    training, validation = scalars("train"), scalars("validation")
    for row in finished.metrics.rows():
        epoch = int(row["epoch"])
        assert training["epoch_loss", epoch] == pytest.approx(row["loss"], rel=1e-5)
        assert training["epoch_learning_rate", epoch] == pytest.approx(row["learning_rate"], rel=1e-5)
        assert validation["epoch_mean_iou", epoch] == pytest.approx(row["val_mean_iou"], rel=1e-5)
    assert {name for name, _ in training}.isdisjoint({"epoch_val_loss"})


def test_the_test_part_is_measured_with_the_best_weights(finished: RunDirectory) -> None:
    from unet_core.data.synthetic.pets import SyntheticPets

    found = finished.test()
    assert (found.images, found.of, found.classes) == (4, 200, ("pet", "background", "border"))
    model = build(TINY.replace(spatial_dropout=0.2))
    model.load_weights(finished.best_weights)
    matrix = np.zeros((3, 3), np.int64)
    for example in list(SyntheticPets(size=(16, 16)).examples("test"))[:4]:
        photo, ids = example.decode()
        predicted = np.asarray(model(photo[None] / np.float32(255)))[0].argmax(-1)
        np.add.at(matrix, (ids, predicted), 1)
    assert np.abs(found.confusion - matrix).sum() <= 4  # a tie may fall either way
    diagonal = np.diag(found.confusion)
    union = found.confusion.sum(0) + found.confusion.sum(1) - diagonal
    assert found.mean_iou == pytest.approx(np.mean(diagonal[union > 0] / union[union > 0]))


def test_the_test_loss_is_the_runs_loss_on_the_test_photos(finished: RunDirectory) -> None:
    from unet_core.data.synthetic.pets import SyntheticPets

    found = finished.test()
    assert found is not None
    model = build(TINY.replace(spatial_dropout=0.2))
    model.load_weights(finished.best_weights)
    loss = fit._loss(finished.config(), from_logits=True)
    values = []
    for example in list(SyntheticPets(size=(16, 16)).examples("test"))[:4]:
        photo, ids = example.decode()
        values.append(float(loss(ids[None].astype("int32"), model(photo[None] / np.float32(255)))))
    assert found.loss == pytest.approx(np.mean(values), rel=1e-3)


def test_a_run_keeps_plots_of_test_photos_and_of_its_model(finished: RunDirectory) -> None:
    with zipfile.ZipFile(io.BytesIO(plots_zip(finished))) as archive:
        names = [name.removeprefix(f"{finished.id}/") for name in archive.namelist()]
        assert names == ["model.svg", "summary.txt", "test_photos/00.png"]
        picture = Image.open(io.BytesIO(archive.read(archive.namelist()[2])))
        assert picture.size == (4 * 256 + 3 * 6, 256 + 20), "four square panels with captions"
        summary = archive.read(archive.namelist()[1]).decode()
    assert f"Total params: {build(TINY.replace(spatial_dropout=0.2)).count_params():,}" in summary


@pytest.mark.slow
def test_event_files_may_hold_histograms_and_pictures(tmp_path: Path) -> None:
    train(tiny_config(tensorboard_details=True, epochs=1, previews=2, test_limit=0), tmp_path)
    run = RunDirectory(tmp_path)

    def values(part: str) -> dict[str, Any]:
        (path,) = (run.path / "tensorboard" / part).iterdir()
        events = tf.compat.v1.train.summary_iterator(str(path))
        return {value.tag: value for event in events for value in event.summary.value}

    model = build(TINY)
    model.load_weights(run.last_weights)
    kernel = np.asarray(model.get_layer("head").kernel)
    histogram = values("train")["head/kernel/histogram"].histo
    assert (histogram.num, sum(histogram.bucket)) == (kernel.size, kernel.size)
    assert (histogram.min, histogram.max) == pytest.approx((kernel.min(), kernel.max()))
    pictures = [value.image for tag, value in values("validation").items() if tag.startswith("validation/")]
    assert [Image.open(io.BytesIO(picture.encoded_image_string)).width for picture in pictures] == [1042, 1042]


def test_a_run_has_downloads(finished: RunDirectory) -> None:
    report = Image.open(io.BytesIO(downloads.report(finished, "png")))
    assert report.size == (1240, 1753)  # A4 at 150 dots per inch
    assert downloads.report(finished, "pdf").startswith(b"%PDF")
    moving = Image.open(io.BytesIO(previews.animation(finished, "gif", [0])))
    assert moving.n_frames == 4
    with zipfile.ZipFile(io.BytesIO(downloads.tensorboard_zip(finished))) as archive:
        assert {Path(name).parent.name for name in archive.namelist()} == {"train", "validation"}
    assert downloads.export_path(finished, "onnx").is_file()
    assert downloads.export_path(finished, "keras") is None


def test_kept_weights_are_the_model_alone(finished: RunDirectory) -> None:
    for path in (finished.best_weights, finished.last_weights):
        assert not any("optimizer" in name for name in weights_of(path))
        build(finished.config().model).load_weights(path)


def test_kept_weights_are_the_averaged_ones_that_were_validated(finished: RunDirectory) -> None:
    config = finished.config()
    model = fit.compiled_model(config, steps_per_epoch=3)
    model.load_weights(finished.last_weights)
    datasets = fit._make_datasets(config, 0, None)
    scores = model.evaluate(datasets.validation, verbose=0, return_dict=True)
    last = finished.metrics.rows()[-1]
    assert scores["loss"] == pytest.approx(last["val_loss"], abs=1e-5)
    assert scores["mean_iou"] == pytest.approx(last["val_mean_iou"], abs=1e-5)
    with np.load(finished.resume_state) as state:
        raw = state["model/0"]
    assert np.abs(raw - model.weights[0].numpy()).max() > 1e-5, "resuming goes on from the weights themselves"


class Break:
    """Makes a training process end without a word in the second step of an epoch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
        original = Recorder.on_train_batch_end

        def broken(recorder: Recorder, batch: int, logs: dict[str, float] | None = None) -> None:
            original(recorder, batch, logs)
            if recorder.status.epoch == epoch and batch == 1:
                raise KeyboardInterrupt

        monkeypatch.setattr(Recorder, "on_train_batch_end", broken)


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(
    finished: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Break(patch, epoch=1)
        with pytest.raises(KeyboardInterrupt):
            train(exact_config(), tmp_path)
    run = RunDirectory.open(tmp_path)
    assert (run.status().state, run.status().epoch) == ("interrupted", 1)
    # As if killed between the metrics of an epoch and its resume state: that epoch is trained again.
    run.metrics.append({**run.metrics.rows()[-1], "epoch": 1})
    summary = train(None, tmp_path, resume=True)
    assert summary.epochs == 3
    assert_same_run(finished, run)


def pretrained_config(**changes: object) -> TrainConfig:
    model = preset_config("pets_fast").replace(height=64, width=64, encoder_weights="imagenet")
    return tiny_config(model=model, previews=0, test_limit=0, **changes)


def mobilenet(*, online: bool) -> Callable[..., keras.Model]:
    """Return what builds the encoder on a machine with or without network, where no weights are at hand."""

    def build_encoder(config: UNetConfig, images: keras.KerasTensor, weights: str | None) -> keras.Model:
        assert online or weights is None, "no network here"
        return keras.applications.MobileNetV2(
            input_tensor=images, alpha=config.encoder_width, include_top=False, weights=None
        )

    return build_encoder


@pytest.mark.slow
def test_a_run_is_resumed_without_fetching_the_pretrained_weights_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Break(patch, epoch=1)
        patch.setitem(encoders._BUILDERS, "mobilenet_v2", mobilenet(online=True))
        with pytest.raises(KeyboardInterrupt):
            train(pretrained_config(), tmp_path)
    monkeypatch.setitem(encoders._BUILDERS, "mobilenet_v2", mobilenet(online=False))
    assert train(None, tmp_path, resume=True).epochs == 2


@pytest.mark.slow
def test_a_run_that_starts_from_a_model_fetches_no_pretrained_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(encoders._BUILDERS, "mobilenet_v2", mobilenet(online=False))
    assert train(pretrained_config(epochs=1, start_from="pets_fast"), tmp_path).epochs == 1


@pytest.mark.slow
def test_a_run_learns_from_and_is_measured_on_the_photos_it_is_given(tmp_path: Path) -> None:
    other = SyntheticPets(seed=77, size=(TINY.height, TINY.width))
    train(tiny_config(epochs=1, test_limit=2), tmp_path, source=other)
    run = RunDirectory.open(tmp_path)
    assert "Synthetic pets, seed 77" in "\n".join(run.log_tail())
    assert run.test().confusion.shape == (3, 3)
    truth = [example.decode()[1] for example in itertools.islice(other.examples("test"), 2)]
    counts = sum(np.bincount(ids.ravel(), minlength=3) for ids in truth)
    assert run.test().confusion.sum(axis=1).tolist() == counts.tolist()


def test_a_run_is_not_overwritten_nor_resumed_as_another(tmp_path: Path) -> None:
    untrained_run(tmp_path)
    with pytest.raises(RunError, match="--resume"):
        train(tiny_config(epochs=1), tmp_path)
    with pytest.raises(RunError, match="another batch_size"):
        train(tiny_config(epochs=1, batch_size=4), tmp_path, resume=True)
    with pytest.raises(RunError, match="holds no run"):
        train(None, tmp_path / "empty", resume=True)


@pytest.mark.slow
def test_a_stop_request_ends_the_run_and_keeps_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Recorder.on_epoch_begin

    def stopping(recorder: Recorder, epoch: int, logs: dict[str, float] | None = None) -> None:
        original(recorder, epoch, logs)
        if epoch == 1:
            recorder.run.request_stop()
            recorder._last_check = 0.0  # the next step looks at once

    monkeypatch.setattr(Recorder, "on_epoch_begin", stopping)
    summary = train(tiny_config(epochs=5), tmp_path)
    assert (summary.state, summary.reason, summary.epochs) == ("stopped", "stopped on request", 1)
    build(TINY).load_weights(RunDirectory.open(tmp_path).last_weights)
    monkeypatch.undo()
    summary = train(tiny_config(epochs=2), tmp_path, resume=True)  # the number of epochs may change
    assert (summary.state, summary.epochs) == ("finished", 2)


@pytest.mark.parametrize(
    ("workers", "refused"), [(["a:1", "b:1"], True), (["a:1"], False), (None, False), ("damaged", False)]
)
def test_several_hosts_are_refused_with_what_works_instead(workers, refused, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "{" if workers == "damaged" else json.dumps({"cluster": {"worker": workers} if workers else {}})
    monkeypatch.setenv("TF_CONFIG", text)
    if not refused:
        fit.prepared_devices(tiny_config(replicas=1))
        return
    with pytest.raises(TrainingFailed, match="TF_CONFIG names 2 workers.*docs/several-hosts.md"):
        fit.prepared_devices(tiny_config())


@pytest.mark.slow
def test_a_run_that_its_sweep_pauses_equals_an_uninterrupted_one(finished: RunDirectory, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", exact_config(), sweep="s", until=1)
    started_by_the_queue = Status(state="running", phase=STARTING, pid=os.getpid(), launched=time.time(), until=1)
    run.write_status(started_by_the_queue)
    summary = train(None, run.path, resume=True)
    assert (summary.state, summary.reason, summary.epochs) == ("stopped", "paused after 1 of 3 epochs by its sweep", 1)
    assert run.test() is None, "it will go on, so nothing is measured yet"
    assert train(None, run.path, resume=True).state == "finished", "by hand it trains to its end"
    assert_same_run(finished, run)


@pytest.mark.slow
def test_a_time_limit_ends_the_run_with_usable_weights(tmp_path: Path) -> None:
    summary = train(tiny_config(time_limit_minutes=1e-6), tmp_path)
    assert (summary.state, summary.reason) == ("stopped", "the time limit was reached")
    assert RunDirectory.open(tmp_path).best_weights.exists()


@pytest.mark.slow
def test_a_time_limit_in_the_first_epoch_lets_it_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a machine so slow that the limit falls into the first epoch, whose end lies within the limit's double.
    original = callbacks.Recorder.__init__

    def late(self: callbacks.Recorder, *arguments: object, **options: object) -> None:
        original(self, *arguments, **{**options, "deadline": time.monotonic()})

    monkeypatch.setattr(callbacks.Recorder, "__init__", late)
    summary = train(tiny_config(epochs=5, time_limit_minutes=10), tmp_path)
    assert (summary.state, summary.reason, summary.epochs) == ("stopped", "the time limit was reached", 1)
    assert "val_mean_iou" in summary.best
    assert RunDirectory.open(tmp_path).best_weights.exists()


@pytest.mark.slow
def test_a_run_that_no_longer_improves_ends_early(tmp_path: Path) -> None:
    summary = train(tiny_config(learning_rate=1e-9, epochs=9, early_stopping_patience=2), tmp_path)
    assert summary.state == "finished"
    assert summary.epochs < 9
    assert summary.reason == "no better validation mean IoU for 2 epochs"


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_is_explained_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        return outputs[..., 0] * float("nan")

    monkeypatch.setattr(fit, "get_loss", lambda *_, **__: broken)
    with pytest.raises(TrainingFailed, match="the loss became nan in epoch 1, step 1: lower the learning rate"):
        train(tiny_config(), tmp_path)
    status = RunDirectory.open(tmp_path).status()
    assert status.state == "failed"
    assert "lower the learning rate" in status.reason


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), "memory is full"),
        (MemoryError(), "memory is full"),
        (tf.errors.InvalidArgumentError(None, None, "Received a label value of 7"), "not one of the model's classes"),
        (OSError(28, "No space left on device"), "disk is full"),
    ],
)
def test_failures_become_sentences(error: Exception, sentence: str) -> None:
    assert sentence in str(explain(error))


@pytest.mark.slow
def test_a_full_disk_fails_the_run_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(callbacks.np, "savez", full)
    with pytest.raises(RunError, match="the disk is full: free some space, then resume"):
        train(tiny_config(epochs=1), tmp_path)
    run = RunDirectory.open(tmp_path)
    assert (run.status().state, run.status().epoch) == ("failed", 0)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_a_run_that_outgrows_its_disk_limit_ends(tmp_path: Path) -> None:
    summary = train(tiny_config(epochs=3, disk_limit_mb=0.001), tmp_path)
    assert (summary.state, summary.epochs) == ("stopped", 1)
    assert summary.reason == "the run directory has reached its limit of 0.001 MB"


def test_a_network_that_does_not_work_at_its_size_is_reported_before_anything_starts(tmp_path: Path) -> None:
    model = TINY.replace(height=18, width=18, depth=4, skip_mode="strict")
    with pytest.raises(ConfigError, match="does not work at 18×18.*Sizes that work: "):
        train(tiny_config(model=model), tmp_path)
    assert RunDirectory.open(tmp_path).status().state == "failed"


@pytest.mark.slow
def test_mixed_precision_trains_float32_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "has_gpu", lambda: True)  # the CPU computes in float16 too, slowly
    policies = []
    original = fit.compiled_model

    def watched(config: TrainConfig, steps: int) -> keras.Model:
        model = original(config, steps)
        model.jit_compile = False
        policies.append(model.layers[1].dtype_policy.name)
        return model

    monkeypatch.setattr(fit, "compiled_model", watched)
    summary = train(tiny_config(mixed_precision=True, schedule="plateau"), tmp_path)
    assert (policies, summary.state) == (["mixed_float16"], "finished")
    assert {array.dtype for array in weights_of(RunDirectory.open(tmp_path).last_weights).values()} == {
        np.dtype("float32")
    }
    assert keras.config.dtype_policy().name == "float32"
    assert train(tiny_config(mixed_precision=True, schedule="plateau", epochs=3), tmp_path, resume=True).epochs == 3


def test_a_missing_dataset_fails_the_run_with_the_command_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNET_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="python -m unet_core download"):
        train(tiny_config(data="oxford_iiit_pet"), tmp_path / "run")
    assert RunDirectory.open(tmp_path / "run").status().state == "failed"


@pytest.mark.parametrize(
    ("optimizer", "loss"),
    [
        ("adam", "focal"),
        ("adamw", "cross_entropy"),
        ("sgd", "dice"),
        ("sgd", "tversky"),
        ("adam", "cross_entropy_dice"),
    ],
)
def test_every_optimizer_and_loss_takes_a_step(optimizer: str, loss: str) -> None:
    config = tiny_config(optimizer=optimizer, loss=loss, schedule="constant", gradient_clip=1.0)
    model = fit.compiled_model(config, steps_per_epoch=1)
    model.run_eagerly = True
    before = model.weights[0].numpy()
    labels = np.random.default_rng(0).integers(0, 3, (2, 16, 16))
    assert np.isfinite(model.train_on_batch(np.ones((2, 16, 16, 3), np.float32), labels)[0])
    assert np.abs(model.weights[0].numpy() - before).max() > 0


@pytest.mark.slow
def test_a_one_class_model_trains(tmp_path: Path) -> None:
    model = TINY.replace(classes=1, head_activation="sigmoid")
    config = tiny_config(model=model, epochs=1, limit=8, class_weights=(1.0, 2.0))
    assert train(config, tmp_path).best["val_mean_iou"] >= 0


def test_weight_decay_leaves_biases_and_normalization_alone() -> None:
    model = fit.compiled_model(tiny_config(weight_decay=0.5), steps_per_epoch=3)
    model.optimizer.build(model.trainable_variables)
    decayed = {v.name for v in model.trainable_variables if model.optimizer._use_weight_decay(v)}
    assert decayed == {"kernel"}


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_process_leaves_a_run_that_resumes_exactly(finished: RunDirectory, tmp_path: Path) -> None:
    config_file, run_dir = tmp_path / "config.json", tmp_path / "run"
    # More epochs than can pass before the kill; the schedule depends on their number.
    long = exact_config().replace(epochs=300, schedule="constant")
    config_file.write_text(long.to_json())
    command = [sys.executable, "-m", "unet_core", "train", "--config", str(config_file), "--run", str(run_dir)]
    worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = RunDirectory(run_dir)
    deadline = time.monotonic() + 120
    while len(run.metrics.rows()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run.status().state == "running"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    status = run.status()
    assert status.state == "interrupted"
    epochs = max(3, len(run.metrics.rows()) + 1)
    train(long.replace(epochs=epochs), run_dir, resume=True)
    train(long.replace(epochs=epochs), tmp_path / "uninterrupted")
    assert_same_run(run, RunDirectory.open(tmp_path / "uninterrupted"))


@pytest.mark.slow
def test_a_stop_request_ends_a_process_within_two_seconds(tmp_path: Path) -> None:
    config_file, run_dir = tmp_path / "config.json", tmp_path / "run"
    config_file.write_text(tiny_config(epochs=10_000).to_json())
    command = [sys.executable, "-m", "unet_core", "train", "--config", str(config_file), "--run", str(run_dir)]
    worker = subprocess.Popen([*command, "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    run = RunDirectory(run_dir)
    deadline = time.monotonic() + 120
    while not run.metrics.rows() and time.monotonic() < deadline:
        time.sleep(0.05)
    asked = time.monotonic()
    run.request_stop()
    while run.status().state == "running" and time.monotonic() < asked + 20:
        time.sleep(0.02)
    assert time.monotonic() - asked < 2
    output, _ = worker.communicate()
    assert worker.returncode == 0
    assert json.loads(output)["state"] == "stopped"


@pytest.mark.dataset
def test_the_preset_learns_from_oxford_pets(oxford_dir: Path, tmp_path: Path) -> None:
    model = preset_config("pets_fast").replace(
        height=64, width=64, encoder_weights="none", encoder_batchnorm_frozen=False
    )
    summary = train(TrainConfig(model=model, limit=256, epochs=2, batch_size=16), tmp_path)
    assert summary.last["loss"] < RunDirectory.open(tmp_path).metrics.rows()[0]["loss"]


@pytest.mark.slow
def test_a_run_on_crops_is_measured_by_tiles(tmp_path: Path) -> None:
    model = TINY.replace(classes=2)
    config = tiny_config(model=model, crops=True, batch_size=4, epochs=2, test_limit=None)
    train(config, tmp_path, source=NumberedSource())
    run = RunDirectory(tmp_path)
    found = run.test()
    assert found is not None
    assert found.confusion.sum() == 40 * 21 + 16 * 16 + 9 * 30, "every pixel of the test photos, once"
    assert (found.images, found.of) == (3, 3)
    assert previews.picture(run, 0).shape == (16, 16, 3)
    assert any("9 random crops" in line and "9 tiles for validation" in line for line in run.log_tail())


@pytest.mark.slow
def test_early_stopping_may_look_at_the_loss(tmp_path: Path) -> None:
    config = tiny_config(learning_rate=1.0, schedule="constant", epochs=30, early_stopping_patience=1)
    summary = train(config.replace(early_stopping_on="loss"), tmp_path)
    rows = RunDirectory(tmp_path).metrics.rows()
    assert summary.reason == "no lower validation loss for 1 epoch"
    losses = [row["val_loss"] for row in rows]
    assert losses[-1] >= min(losses[:-1])
    assert all(later < earlier for earlier, later in itertools.pairwise(losses[:-1]))
