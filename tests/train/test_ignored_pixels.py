"""Pixels without a label are left out of losses, metrics and everything that is computed from them."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.tiny_run import TINY, tiny_config, untrained_run
from tests.helpers.void_source import VoidSource
from unet_core.classes import IGNORE_ID
from unet_core.data.augmentation import AugmentationConfig
from unet_core.data.pipeline import make_datasets, target_coding
from unet_core.data.sources import LabelError
from unet_core.scores import confusion_matrix, per_image_binary_iou
from unet_core.train import previews
from unet_core.train.fit import compiled_model, explain, train
from unet_core.train.losses import LOSSES, SegmentationLoss, WithBackground, get_loss
from unet_core.train.metrics import ConfusionMatrix, get_metrics
from unet_core.train.run_directory import RunDirectory

RANDOM = np.random.default_rng(0)
SHAPE = (3, 6, 5)
KNOWN_ROWS = 4  # of six; the others are ignored


def every_loss(channels: int, **options: float) -> list[SegmentationLoss]:
    losses = [get_loss(name, channels, **options) for name in LOSSES]
    if channels > 1:
        losses += [WithBackground(loss, background=0, weight=0.5) for loss in losses]
    return losses


def case(channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = RANDOM.integers(0, max(channels, 2), SHAPE)
    labels[:, KNOWN_ROWS:] = IGNORE_ID
    return labels, RANDOM.normal(0, 2, (*SHAPE, channels)).astype("float32"), RANDOM.uniform(0, 3, SHAPE)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_loss_is_that_of_the_labelled_pixels_alone(channels: int, smoothing: float, weighted: bool) -> None:
    labels, outputs, weights = case(channels)
    for loss in every_loss(channels, label_smoothing=smoothing):
        whole = loss(labels, outputs, weights if weighted else None)
        rows = slice(None), slice(KNOWN_ROWS)
        alone = loss(labels[rows], outputs[rows], weights[rows] if weighted else None)
        assert float(whole) == pytest.approx(float(alone), rel=1e-5), loss.name


@pytest.mark.parametrize("channels", [1, 3])
def test_a_photo_without_any_label_changes_no_loss(channels: int) -> None:
    labels, outputs, _ = case(channels)
    labels[1] = IGNORE_ID
    for loss in every_loss(channels):
        assert float(loss(labels, outputs)) == pytest.approx(float(loss(labels[::2], outputs[::2])), rel=1e-5)
        assert float(loss(np.full(SHAPE, IGNORE_ID), outputs)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_ignored_pixels_have_no_gradient(channels: int) -> None:
    labels, outputs, _ = case(channels)
    for loss in every_loss(channels):
        logits = tf.Variable(outputs)
        with tf.GradientTape() as tape:
            value = loss(labels, logits)
        gradient = tape.gradient(value, logits).numpy()
        assert np.all(gradient[:, KNOWN_ROWS:] == 0), loss.name
        assert np.any(gradient[:, :KNOWN_ROWS] != 0), loss.name


@pytest.mark.parametrize("wrong", [-1, 3, pytest.param(254, marks=pytest.mark.slow), 256])
@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_every_loss_refuses_labels_that_are_no_class(channels: int, wrong: int) -> None:
    labels = np.zeros(SHAPE, np.int32)
    labels[0, 0, 0] = wrong
    outputs = np.zeros((*SHAPE, channels), np.float32)
    for loss in every_loss(channels):
        with pytest.raises(tf.errors.InvalidArgumentError, match="labels: must be 0 to"):
            loss(labels, outputs)
        with pytest.raises(tf.errors.InvalidArgumentError, match="labels: must be 0 to") as caught:
            tf.function(loss)(labels, outputs)
        assert str(explain(caught.value)) == "a mask holds a value that is not one of the model's classes"
        compiled = tf.function(loss, jit_compile=True)  # where an assertion does nothing
        assert np.isnan(float(compiled(labels, outputs)))


def test_metrics_count_labelled_pixels_alone() -> None:
    for channels in (1, 3):
        labels, outputs, _ = case(channels)
        for whole, alone in zip(get_metrics(channels), get_metrics(channels)):
            whole.update_state(labels, outputs)
            alone.update_state(labels[:, :KNOWN_ROWS], outputs[:, :KNOWN_ROWS])
            assert float(whole.result()) == float(alone.result())


@pytest.mark.slow
def test_a_cell_of_the_confusion_matrix_counts_beyond_what_float32_holds() -> None:
    metric = ConfusionMatrix(2)
    labels = np.zeros((1, 4100, 4100), np.int32)
    outputs = np.zeros((1, 4100, 4100, 2), np.float32)
    outputs[..., 0] = 1
    metric.update_state(labels, outputs)  # in one batch
    metric.update_state(labels[:, :1, :1], outputs[:, :1, :1])  # and one pixel more
    assert int(metric.result()[0, 0]) == 4100**2 + 1 > 2**24


def test_scores_leave_ignored_pixels_out() -> None:
    labels, predicted = np.array([[0, 1, IGNORE_ID, 1]]), np.array([[0, 1, 1, 0]])
    np.testing.assert_array_equal(confusion_matrix(labels, predicted, 2), [[1, 0], [1, 1]])
    weighted = confusion_matrix(labels, predicted, 2, np.array([[1.0, 2.0, 4.0, 8.0]]))
    np.testing.assert_array_equal(weighted, [[1, 0], [8, 2]])
    assert per_image_binary_iou(labels[None], predicted[None], (1,)).tolist() == [0.5]
    with pytest.raises(ValueError, match="labels"):
        confusion_matrix(np.array([254]), np.array([0]), 2)


@pytest.mark.parametrize("classes", [1, 2])
def test_batches_keep_ignored_pixels(classes: int) -> None:
    datasets = make_datasets(
        VoidSource(), TINY.replace(classes=classes, height=24, width=24), batch_size=4, class_weights=(0.5, 2.0)
    )
    for _, labels, weights in datasets.train:
        assert set(np.unique(labels)) == {0, 1, IGNORE_ID}
        assert np.all(labels.numpy()[:, 18:] == IGNORE_ID)
        assert np.all(labels.numpy()[:, :18] != IGNORE_ID)
        np.testing.assert_array_equal(weights, np.choose(np.minimum(labels, 2), [0.5, 2.0, 0.0]))


def test_a_mask_with_another_number_is_refused_by_name() -> None:
    with pytest.raises(LabelError, match=r"train0: the mask has the class ids \[7\]"):
        make_datasets(VoidSource(stray=7), TINY.replace(classes=2), batch_size=4)


@pytest.mark.parametrize("changes", [{}, {"paste": 1.0, "paste_background": 0}])
def test_augmentation_neither_invents_nor_spreads_classes(changes: dict[str, float]) -> None:
    from unet_core.data.augmentation import Augmentation

    ids = np.stack([example.decode()[1] for example in VoidSource().examples("train")])
    ids[:6, 12:] = 0  # half of the photos have no ignored pixels
    quiet = AugmentationConfig(translation=0, **changes)
    _, moved = Augmentation(quiet)(np.zeros((*ids.shape, 3), np.uint8), ids, 0)
    assert set(np.unique(moved)) <= {0, 1, IGNORE_ID}
    pasted = AugmentationConfig(enabled=True, **changes).replace(
        rotation=0, zoom=(1, 1), stretch=1, shear=0, translation=0, flip_horizontal=False
    )
    _, still = Augmentation(pasted)(np.zeros((*ids.shape, 3), np.uint8), ids, 0)
    assert not np.any(np.array(still)[:6] == IGNORE_ID)  # nothing unlabelled is pasted onto a labelled photo


def test_a_teacher_is_not_asked_about_ignored_pixels(tmp_path: Path) -> None:
    photos = RANDOM.random((4, 16, 16, 3), np.float32)
    labels = RANDOM.integers(0, 3, (4, 16, 16))
    labels[:, 8:] = IGNORE_ID
    teacher = untrained_run(tmp_path / "teacher", TINY.replace(normalization="none"))
    config = tiny_config(model=TINY.replace(normalization="none"), distill_from=str(teacher.path), distill_weight=1.0)
    student = compiled_model(config, steps_per_epoch=1)
    logits = student(photos).numpy()
    changed = logits + np.where(np.arange(16)[:, None, None] >= 8, 5.0 * RANDOM.normal(size=logits.shape), 0)
    one, other = (
        float(student.compute_loss(photos, labels, keras.ops.cast(outputs, "float32"), training=True))
        for outputs in (logits, changed)
    )
    assert one == pytest.approx(other, rel=1e-6)


def test_a_two_sided_coding_keeps_ignored_pixels() -> None:
    coding = target_coding(VoidSource(), 1)
    assert coding.table[[0, 1, IGNORE_ID]].tolist() == [0, 1, IGNORE_ID]
    assert coding.reversed_table[[0, 1, IGNORE_ID]].tolist() == [1, 0, IGNORE_ID]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    path = tmp_path_factory.mktemp("void") / "run"
    config = tiny_config(model=TINY.replace(classes=2), batch_size=4, epochs=3, augmentation=AugmentationConfig())
    train(config, path, source=VoidSource())
    return RunDirectory(path)


@pytest.mark.slow
def test_a_run_on_masks_with_ignored_pixels_counts_the_others(run: RunDirectory) -> None:
    assert run.status().state == "finished"
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["val_loss"]) for row in run.metrics.rows())
    report = json.loads((run.path / "test.json").read_text())
    assert np.sum(report["confusion_matrix"]) == 4 * 12 * 16
    truth = previews.truth(run, 0)
    assert truth is not None
    assert set(np.unique(truth)) == {0, 1, IGNORE_ID}


@pytest.mark.slow
def test_a_one_class_network_trains_on_masks_with_ignored_pixels(tmp_path: Path) -> None:
    config = tiny_config(model=TINY.replace(classes=1), batch_size=4, epochs=1)
    train(config, tmp_path / "run", source=VoidSource())
    report = json.loads((tmp_path / "run" / "test.json").read_text())
    assert np.sum(report["confusion_matrix"]) == 4 * 12 * 16
