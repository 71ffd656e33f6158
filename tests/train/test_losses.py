"""Losses against NumPy, written from the papers' equations."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from unet_core.train.losses import LOSSES, WithBackground, get_loss

RANDOM = np.random.default_rng(0)
SHAPE = (2, 5, 6)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def class_probabilities(outputs: np.ndarray, from_logits: bool) -> np.ndarray:
    if outputs.shape[-1] == 1:
        inside = 1 / (1 + np.exp(-outputs)) if from_logits else outputs
        return np.concatenate([1 - inside, inside], -1)
    return softmax(outputs) if from_logits else outputs / outputs.sum(-1, keepdims=True)


def one_hot(labels: np.ndarray, count: int, smoothing: float = 0.0) -> np.ndarray:
    return np.eye(count)[labels] * (1 - smoothing) + smoothing / count


def expected(
    name: str, labels: np.ndarray, p: np.ndarray, weights: np.ndarray, smoothing: float, overlapping: list[int]
) -> float:
    """The loss from class probabilities `p`, (B, H, W, K); `overlapping` are the classes that Dice averages over."""
    targets = one_hot(labels, p.shape[-1], smoothing)
    if name == "cross_entropy":
        return float((weights * -(targets * np.log(p)).sum(-1)).mean())
    if name == "focal":
        return float((weights * -(targets * (1 - p) ** 2 * np.log(p)).sum(-1)).mean())
    if name == "cross_entropy_dice":
        cross_entropy = expected("cross_entropy", labels, p, weights, smoothing, overlapping)
        return cross_entropy + expected("dice", labels, p, weights, 0.0, overlapping)
    per_image = []
    for image in range(len(labels)):
        per_class = []
        for index in overlapping:
            t, q, w = targets[image, ..., index], p[image, ..., index], weights[image]
            tp, fp, fn = (w * t * q).sum(), (w * (1 - t) * q).sum(), (w * t * (1 - q)).sum()
            if name == "dice":
                per_class.append((2 * tp + 1) / (2 * tp + fp + fn + 1))
            else:
                per_class.append((tp + 0.5) / (tp + 0.3 * fp + 0.7 * fn + 0.5))
        per_image.append(np.mean(per_class))
    return float(1 - np.mean(per_image))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_equals_numpy(name: str, channels: int, from_logits: bool, weighted: bool, smoothing: float) -> None:
    labels = RANDOM.integers(0, max(channels, 2), SHAPE)
    outputs = RANDOM.normal(0, 2, (*SHAPE, channels)).astype("float32")
    if not from_logits:
        outputs = 1 / (1 + np.exp(-outputs))
    weights = RANDOM.uniform(0, 3, SHAPE) if weighted else np.ones(SHAPE)
    loss = get_loss(name, channels, from_logits, label_smoothing=smoothing)
    value = float(loss(labels, outputs, weights if weighted else None))
    overlapping = [1] if channels == 1 else list(range(channels))
    probabilities = class_probabilities(outputs.astype(float), from_logits)
    assert value == pytest.approx(expected(name, labels, probabilities, weights, smoothing, overlapping), rel=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_against_the_background_is_that_of_two_classes(name: str, from_logits: bool, weighted: bool) -> None:
    labels = RANDOM.integers(0, 3, SHAPE)
    outputs = RANDOM.normal(0, 2, (*SHAPE, 3)).astype("float32")
    if not from_logits:
        outputs = softmax(outputs)
    weights = RANDOM.uniform(0, 3, SHAPE) if weighted else np.ones(SHAPE)
    loss = WithBackground(get_loss(name, 3, from_logits), background=1, weight=0.7)
    p = class_probabilities(outputs.astype(float), from_logits)
    two = np.stack([p[..., 1], p[..., 0] + p[..., 2]], -1)
    wanted = expected(name, labels, p, weights, 0.0, [0, 1, 2])
    wanted += 0.7 * expected(name, (labels != 1).astype(int), two, weights, 0.0, [1])
    assert float(loss(labels, outputs, weights if weighted else None)) == pytest.approx(wanted, rel=1e-4)


def test_the_loss_against_the_background_is_rebuilt_from_its_configuration() -> None:
    loss = WithBackground(get_loss("cross_entropy_dice", 3, dice_weight=2.0), background=1, weight=0.5)
    labels = RANDOM.integers(0, 3, SHAPE)
    outputs = RANDOM.normal(0, 2, (*SHAPE, 3)).astype("float32")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(labels, outputs)) == pytest.approx(float(loss(labels, outputs)), rel=1e-6)


@pytest.mark.parametrize(("classes", "background"), [(3, 3), (3, -1), (1, 0)])
def test_a_background_that_is_no_class_is_refused(classes: int, background: int) -> None:
    with pytest.raises(ValueError, match="background: must be one of two or more classes"):
        WithBackground(get_loss("dice", classes), background, 1.0)


@pytest.mark.parametrize("name", LOSSES)
def test_perfect_prediction_costs_nothing_and_the_opposite_a_lot(name: str) -> None:
    labels = RANDOM.integers(0, 3, SHAPE)
    loss = get_loss(name, 3)
    assert float(loss(labels, 40 * one_hot(labels, 3))) < 1e-3
    assert float(loss(labels, -40 * one_hot(labels, 3))) > 0.5


def test_extreme_logits_and_probabilities_give_finite_losses_and_gradients() -> None:
    import tensorflow as tf

    labels = np.array([[[0, 1]]])
    for channels, from_logits in ((1, True), (1, False), (2, True), (2, False)):
        extreme = 1e4 if from_logits else 1.0
        low = -extreme if from_logits else 0.0
        outputs = tf.constant(
            np.tile([[[[extreme]], [[low]]]], (1, 1, 1, channels)).reshape(1, 1, 2, channels), tf.float32
        )
        for name in LOSSES:
            with tf.GradientTape() as tape:
                tape.watch(outputs)
                value = get_loss(name, channels, from_logits)(labels, outputs)
            assert np.isfinite(float(value)), name
            assert np.isfinite(tape.gradient(value, outputs).numpy()).all(), name


def test_a_pixel_of_weight_zero_has_no_influence() -> None:
    labels = RANDOM.integers(0, 3, SHAPE)
    outputs = RANDOM.normal(size=(*SHAPE, 3))
    weights = np.ones(SHAPE)
    weights[:, 2] = 0
    changed = outputs.copy()
    changed[:, 2] = RANDOM.normal(size=(2, 6, 3))
    for name in LOSSES:
        loss = get_loss(name, 3)
        assert float(loss(labels, outputs, weights)) == pytest.approx(float(loss(labels, changed, weights)), rel=1e-5)


def test_labels_may_have_a_channel_and_weights_one_number_per_image() -> None:
    labels = RANDOM.integers(0, 3, SHAPE)
    outputs = RANDOM.normal(size=(*SHAPE, 3))
    per_image = np.array([0.0, 2.0])
    per_pixel = np.broadcast_to(per_image[:, None, None], SHAPE)
    for name in LOSSES:
        loss = get_loss(name, 3)
        assert float(loss(labels[..., None], outputs, per_image)) == pytest.approx(
            float(loss(labels, outputs, per_pixel))
        )


def test_dice_is_averaged_over_images_and_not_pooled() -> None:
    labels = np.zeros((2, 4, 4), int)
    labels[1, 0, 0] = 1
    outputs = 40 * one_hot(np.zeros((2, 4, 4), int), 2)
    missed = 1 - np.mean([(2 * 15 + 1) / (15 + 16 + 1), 1 / 2])
    assert float(get_loss("dice", 2)(labels, outputs)) == pytest.approx(missed / 2, abs=1e-4)


def test_half_precision_output_is_computed_in_single_precision() -> None:
    labels = np.zeros((1, 128, 128), int)
    outputs = np.zeros((1, 128, 128, 3), "float16")
    value = get_loss("cross_entropy_dice", 3)(labels, outputs)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert np.isfinite(float(value))


@pytest.mark.parametrize("name", LOSSES)
def test_survives_serialization_and_a_saved_model(name: str, tmp_path) -> None:
    loss = get_loss(name, 3, label_smoothing=0.1)
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is type(loss)
    assert copy.get_config() == loss.get_config()
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs))
    model.compile("sgd", loss)
    photos, labels = RANDOM.random((2, 4, 4, 3)), RANDOM.integers(0, 3, (2, 4, 4))
    value = model.evaluate(photos, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").evaluate(photos, labels, verbose=0) == pytest.approx(value)


@pytest.mark.slow
def test_training_with_pixel_weights_learns_the_heavy_class() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs))
    photos, labels = np.zeros((8, 4, 4, 1)), np.zeros((8, 4, 4), int)
    labels[:, 0] = 1  # a quarter of the pixels
    weights = np.where(labels == 1, 10.0, 1.0)
    model.compile(keras.optimizers.Adam(0.1), get_loss("cross_entropy", 2))
    model.fit(photos, labels, sample_weight=weights, epochs=30, verbose=0)
    assert (np.argmax(model.predict(photos, verbose=0), -1) == 1).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hinge", {}, "cross_entropy, dice"),
        ("dice", {"gamma": 1}, "gamma"),
        ("focal", {"gamma": -1}, "gamma"),
        ("dice", {"label_smoothing": 1.5}, "label_smoothing"),
        ("cross_entropy_dice", {"dice_weight": -1}, "dice_weight"),
        ("tversky", {"alpha": -0.1}, "alpha"),
    ],
)
def test_bad_choices_are_refused_by_name(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_loss(name, 3, **options)


def test_wrong_number_of_channels_is_named() -> None:
    with pytest.raises(ValueError, match="needs 3 channels"):
        get_loss("dice", 3)(np.zeros((1, 2, 2), int), np.zeros((1, 2, 2, 4)))
