"""Beginning with another model's weights, learning from another model's answers, and recipes that build on recipes."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.helpers.tiny_run import TINY, tiny_config, untrained_run
from tests.helpers.void_source import VoidSource
from unet_core.architecture.config import UNetConfig
from unet_core.cli.parser import main
from unet_core.errors import ConfigError
from unet_core.models import build
from unet_core.settings import get_settings
from unet_core.train import recipe_files
from unet_core.train.checks import check_teacher
from unet_core.train.fit import compiled_model, train
from unet_core.train.publish import publish
from unet_core.train.recipe_files import load_recipe
from unet_core.train.run_directory import RunDirectory


def batch(side: int = 16) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.random((4, side, side, 3), np.float32), random.integers(0, 3, (4, side, side))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@pytest.fixture
def teacher(tmp_path: Path) -> RunDirectory:
    return untrained_run(tmp_path / "teacher")


@pytest.mark.slow
def test_the_loss_is_a_mean_of_the_masks_and_the_teachers(teacher: RunDirectory) -> None:
    photos, masks = batch()
    student = TINY.replace(normalization="none")  # so that training and use compute the same
    config = tiny_config(model=student, distill_from=str(teacher.path), distill_weight=0.25, loss="cross_entropy")
    model = compiled_model(config, steps_per_epoch=1)
    logs = log_softmax(model.predict(photos, verbose=0))
    network = build(TINY)
    network.load_weights(teacher.best_weights)
    taught = np.exp(log_softmax(network.predict(photos, verbose=0)))
    true = -np.take_along_axis(logs, masks[..., None], axis=-1).mean()
    distance = -(taught * logs).sum(-1).mean()
    assert model.test_on_batch(photos, masks, return_dict=True)["loss"] == pytest.approx(true, abs=1e-4)
    assert model.train_on_batch(photos, masks, return_dict=True)["loss"] == pytest.approx(
        0.75 * true + 0.25 * distance, abs=1e-4
    )


@pytest.mark.slow
def test_a_teacher_may_work_at_another_size(tmp_path: Path) -> None:
    teacher = untrained_run(tmp_path / "teacher", TINY.replace(height=32, width=32))
    model = compiled_model(tiny_config(distill_from=str(teacher.path)), steps_per_epoch=1)
    assert np.isfinite(model.train_on_batch(*batch(), return_dict=True)["loss"])


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["symmetric", "raw", "standardize"])
def test_a_teacher_may_take_values_of_another_scale(tmp_path: Path, scale: str) -> None:
    measured = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.5)} if scale == "standardize" else {}
    network = TINY.replace(preprocessing={"scale": scale, **measured}, normalization="none")
    run = untrained_run(tmp_path / "teacher", network)
    student = TINY.replace(normalization="none")
    config = tiny_config(model=student, distill_from=str(run.path), distill_weight=1.0, loss="cross_entropy")
    model = compiled_model(config, steps_per_epoch=1)
    photos, masks = batch()  # 0…1, as the student takes them
    logs = log_softmax(model.predict(photos, verbose=0))
    teacher = build(network)
    teacher.load_weights(run.best_weights)
    standardized = (photos - np.array((0.5, 0.4, 0.3))) / np.array((0.2, 0.25, 0.5))
    inputs = {"raw": 255 * photos, "symmetric": 2 * photos - 1, "standardize": standardized}[scale]
    taught = np.exp(log_softmax(teacher.predict(inputs, verbose=0)))
    distance = -(taught * logs).sum(-1).mean()
    assert model.train_on_batch(photos, masks, return_dict=True)["loss"] == pytest.approx(distance, rel=1e-4)


@pytest.mark.slow
def test_the_teacher_is_neither_trained_nor_saved(teacher: RunDirectory, tmp_path: Path) -> None:
    model = compiled_model(tiny_config(distill_from=str(teacher.path)), steps_per_epoch=1)
    alone = build(TINY)
    assert [weight.path for weight in model.weights] == [weight.path for weight in alone.weights]
    model.train_on_batch(*batch())
    model.save_weights(tmp_path / "student.weights.h5")
    alone.load_weights(tmp_path / "student.weights.h5")
    photos, _ = batch()
    np.testing.assert_array_equal(alone.predict(photos, verbose=0), model.predict(photos, verbose=0))


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        (TINY, TINY.replace(classes=2), "they differ: classes 3 and 2"),
        (TINY, TINY.replace(preprocessing={"resize": "pad"}), "photos resized by stretch and pad"),
        (TINY.replace(classes=1), TINY.replace(classes=1), "two or more classes"),
        (TINY.replace(padding="valid", skip_mode="crop"), TINY, "padding 'same'"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(student: UNetConfig, teacher: UNetConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=f"distill_from: .*{message}"):
        check_teacher(student, teacher, "another")


@pytest.mark.slow
def test_a_run_starts_from_the_weights_that_are_named(tmp_path: Path) -> None:
    earlier = untrained_run(tmp_path / "earlier", TINY.replace(height=32, width=32))
    config = tiny_config(start_from=str(earlier.path), epochs=1, learning_rate=1e-9, model=TINY)
    train(config, tmp_path / "run")
    before, after = build(TINY), build(TINY)
    before.load_weights(earlier.best_weights)
    after.load_weights(RunDirectory.open(tmp_path / "run").last_weights)
    for old, new in zip(before.trainable_weights, after.trainable_weights, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(old), keras.ops.convert_to_numpy(new), atol=1e-6)


@pytest.mark.slow
def test_other_classes_get_a_last_layer_of_their_own(tmp_path: Path) -> None:
    earlier = untrained_run(tmp_path / "earlier", TINY.replace(classes=5))
    train(tiny_config(start_from=str(earlier.path), epochs=1, learning_rate=1e-9), tmp_path / "run")
    before, after = build(TINY.replace(classes=5)), build(TINY)
    before.load_weights(earlier.best_weights)
    after.load_weights(RunDirectory.open(tmp_path / "run").last_weights)
    *old, _, _ = before.trainable_weights  # the head's kernel and bias
    *new, _, bias = after.trainable_weights
    for before_, after_ in zip(old, new, strict=True):
        np.testing.assert_allclose(np.asarray(before_), np.asarray(after_), atol=1e-6)
    assert bias.shape == (3,)


def test_a_run_cannot_start_from_a_model_of_another_network(tmp_path: Path) -> None:
    earlier = untrained_run(tmp_path / "earlier", TINY.replace(depth=3))
    with pytest.raises(ConfigError, match="start_from: .* has another network .*depth: 3 there, 2 here"):
        train(tiny_config(start_from=str(earlier.path)), tmp_path / "run")


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "base.json").write_text(tiny_config(epochs=1).to_json(), encoding="utf-8")
    later = tiny_config(epochs=1, start_from="base", distill_from="base")
    (folder / "later.json").write_text(later.to_json(), encoding="utf-8")
    monkeypatch.setattr(recipe_files, "RECIPES_FOLDER", folder)
    return folder


@pytest.mark.slow
def test_a_recipe_that_builds_on_another_follows_that_one_first(
    recipes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    command = ["train", "--recipe", "later", "--limit", "16", "--json", "--run"]
    assert main([*command, str(runs / "mine")]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "finished"
    base, mine = RunDirectory.open(runs / "base"), RunDirectory.open(runs / "mine")
    assert base.config().limit == 16
    assert mine.config().start_from == str(base.path)
    assert "started from the weights" in "\n".join(mine.log_tail())
    finished = base.status().finished
    assert main([*command, str(runs / "again")]) == 0
    assert base.status().finished == finished, "what is trained is not trained again"
    assert main([*command, str(runs / "again"), "--resume"]) == 0, "the recipe is the one that was followed"


@pytest.mark.slow
def test_a_shipped_model_of_a_recipes_name_is_taken_as_it_is(
    recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = get_settings().replace(weights_dir=tmp_path / "weights")
    publish(untrained_run(tmp_path / "made", load_recipe("base").model).path, "base", settings=weights)
    monkeypatch.setenv("UNET_WEIGHTS_DIR", str(weights.weights_dir))
    assert (
        main(["train", "--recipe", "later", "--limit", "16", "--json", "--run", str(tmp_path / "runs" / "mine")]) == 0
    )
    assert json.loads(capsys.readouterr().out)["state"] == "finished"
    assert not (tmp_path / "runs" / "base").exists(), "nothing is trained for it"
    assert "started from the weights" in "\n".join(RunDirectory.open(tmp_path / "runs" / "mine").log_tail())


@pytest.mark.slow
def test_classes_of_other_names_get_a_new_last_layer_although_their_number_is_the_same(tmp_path: Path) -> None:
    earlier = untrained_run(tmp_path / "earlier", TINY.replace(classes=2))  # pet and background
    config = tiny_config(
        model=TINY.replace(classes=2), start_from=str(earlier.path), epochs=1, learning_rate=1e-9, batch_size=4
    )
    run = RunDirectory(tmp_path / "run")
    train(config, run.path, source=VoidSource())  # ground and square
    before, after = build(config.model), build(config.model)
    before.load_weights(earlier.best_weights)
    after.load_weights(run.last_weights)
    *old, old_kernel, _ = before.trainable_weights
    *new, new_kernel, _ = after.trainable_weights
    for before_, after_ in zip(old, new, strict=True):
        np.testing.assert_allclose(np.asarray(before_), np.asarray(after_), atol=1e-6)
    assert not np.allclose(np.asarray(old_kernel), np.asarray(new_kernel), atol=1e-3)
    assert any("new random weights, because the classes differ: head" in line for line in run.log_tail())
