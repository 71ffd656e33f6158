"""The seven pitfalls: each made, fixed and measured; Keras and counting confirm the values."""

from __future__ import annotations

import numpy as np
import pytest

from unet_core.data import pitfalls
from unet_core.data.pitfalls import PITFALLS, Pitfall, bilinear, cross_entropy, softmax, stand_in
from unet_core.data.sources import DataError
from unet_core.data.synthetic.pets import draw_pet
from unet_core.images.checks import ImageError


def _pet(index: int, size: tuple[int, int] = (150, 200)) -> tuple[np.ndarray, np.ndarray]:
    photo, trimap = draw_pet(0, index, size)
    return photo, trimap - np.uint8(1)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return _pet(3)


def all_pitfalls(photo: np.ndarray, mask: np.ndarray) -> list[Pitfall]:
    return [pitfall(photo, mask) for pitfall in PITFALLS.values()]


def _figures(pitfall: Pitfall) -> dict[str, tuple[str, str]]:
    return {figure.label: (figure.wrong, figure.right) for figure in pitfall.figures}


def _value(text: str) -> float:
    return float(text.split()[0])


def test_all_seven_come_with_pictures_figures_and_words(pair) -> None:
    found = all_pitfalls(*pair)
    assert [pitfall.key for pitfall in found] == list(PITFALLS)
    assert len(found) == 7
    for pitfall in found:
        assert pitfall.wrong
        assert pitfall.right
        assert pitfall.figures
        for picture in (*pitfall.wrong, *pitfall.right):
            assert picture.caption
            assert picture.image.dtype == np.uint8
            assert picture.image.ndim == 3
            assert picture.image.shape[2] == 3
        for text in (pitfall.title, pitfall.explanation, pitfall.remedy):
            assert text[0].isupper()
        assert pitfall.explanation.rstrip(")").endswith(".")
        assert not any(np.array_equal(pitfall.wrong[0].image, picture.image) for picture in pitfall.right)


@pytest.mark.parametrize("size", [(30, 40), (500, 375), (97, 97)])
def test_photos_of_any_size_do(size: tuple[int, int]) -> None:
    assert len(all_pitfalls(*_pet(1, size))) == 7


@pytest.mark.parametrize("value", [0, 1, 2])
def test_masks_of_one_class_do(value: int) -> None:
    photo, mask = _pet(1, (40, 40))
    assert len(all_pitfalls(photo, np.full_like(mask, value))) == 7


def test_other_masks_are_refused_with_the_reason(pair) -> None:
    photo, mask = pair
    for function in PITFALLS.values():
        with pytest.raises(DataError, match="up to 3"):
            function(photo, mask + np.uint8(1))
        with pytest.raises(ImageError, match="same height and width"):
            function(photo[1:], mask)


def test_bilinear_resizing_is_that_of_tensorflow(pair) -> None:
    import tensorflow as tf

    codes = pair[1] + np.uint8(1)
    wanted = tf.image.resize(codes[..., None], (96, 96)).numpy()[..., 0]
    assert bilinear(codes, (96, 96)) == pytest.approx(wanted, abs=1e-4)
    figures = _figures(pitfalls.bilinear_mask(*pair))
    strange = (np.abs(wanted - np.round(wanted)) > 1e-4).mean()
    assert _value(figures["Pixels without a class"][0]) == pytest.approx(100 * strange, abs=0.05)
    assert figures["Different values in the mask"][1] == "3"
    assert _value(figures["Background without one nearby"][0]) > 0


def test_separate_flips_get_out_of_step_in_half_of_the_draws_and_joint_ones_never(pair) -> None:
    found = pitfalls.flips_out_of_step(*pair)
    assert [picture.caption.startswith("out") for picture in found.wrong].count(True) == 2
    figures = _figures(found)
    assert figures["Pairs in step, of 4"] == ("2", "4")
    wrong = 100 * (pair[1][:, ::-1] != pair[1]).mean()
    assert _value(figures["Wrong labels in a pair out of step"][0]) == pytest.approx(wrong, abs=0.05)
    for apart, joint in zip(found.wrong, found.right, strict=True):
        same = np.array_equal(apart.image, joint.image)
        assert same == apart.caption.startswith("in step")


def test_the_centre_crop_is_the_part_that_the_papers_network_sees(pair) -> None:
    found = pitfalls.uncropped_target(*pair)
    assert found.wrong[0].image.shape == found.right[0].image.shape == (388, 388, 3)
    assert "388×388 of 572×572" in found.right[0].caption
    assert "92 pixels" in found.remedy
    figures = _figures(found)
    assert _value(figures["Wrong labels"][0]) > 5
    assert _value(figures["Pet IoU with the mask's centre"][0]) < 0.9


def test_the_loss_is_that_of_keras() -> None:
    import keras

    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (6, 5, 3)).astype(np.float32)
    ids = random.integers(0, 3, (6, 5))
    loss = keras.losses.SparseCategoricalCrossentropy
    assert cross_entropy(ids, logits) == pytest.approx(float(loss(from_logits=True)(ids, logits)), rel=1e-5)
    probabilities = softmax(logits)
    assert cross_entropy(ids, probabilities) == pytest.approx(
        float(loss(from_logits=True)(ids, probabilities)), rel=1e-5
    )
    assert pitfalls._loss_of_probabilities(ids, logits) == pytest.approx(
        float(loss(from_logits=False)(ids, logits)), rel=1e-4
    )
    assert np.isnan(cross_entropy(ids + 1, logits))


def test_labels_from_one_give_an_error_nan_or_the_wrong_class(pair) -> None:
    import keras

    found = pitfalls.labels_from_one(*pair)
    figures = _figures(found)
    assert figures["Loss, on a GPU"][0] == "NaN"
    border = 100 * (stand_in(pair[1]).ids == 2).mean()
    assert _value(figures["Pixels whose label is not a class"][0]) == pytest.approx(border, abs=0.05)
    remaining, right = map(_value, figures["Loss without border pixels"])
    assert remaining > 3 * right
    # the pitfall quotes this error of TensorFlow
    with pytest.raises(Exception, match=r"label value of 3 which is outside the valid range of \[0, 3\)"):
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.array([3]), np.zeros((1, 3), np.float32))


def test_logits_taken_for_probabilities_cost_what_the_arithmetic_says(pair) -> None:
    figures = _figures(pitfalls.logits_as_probabilities(*pair))
    lowest = -np.log(np.e / (np.e + 2))
    assert _value(figures["Lowest loss possible with softmax twice"][0]) == pytest.approx(lowest, abs=0.001)
    assert _value(figures["Loss, softmax in the model and in the loss"][0]) > lowest
    assert figures["Loss, logits read as probabilities"][0] != figures["Loss, logits read as probabilities"][1]
    assert _value(figures["Highest confidence, softmax twice"][0]) <= 57.7


def test_logits_read_as_probabilities_have_no_gradient_where_the_figure_says_so(pair) -> None:
    import keras
    import tensorflow as tf

    prediction = stand_in(pair[1])
    logits = tf.Variable(prediction.logits)
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=False, reduction="sum")(prediction.ids, logits)
    gradient = tape.gradient(loss, logits).numpy()
    silent = 100 * (gradient == 0).all(axis=-1).mean()
    figures = _figures(pitfalls.logits_as_probabilities(*pair))
    assert silent > 1
    label = "Pixels without gradient, logits read as probabilities"
    assert _value(figures[label][0]) == pytest.approx(silent, abs=0.06)


def test_weights_find_more_of_the_rare_class_and_less_of_the_others(pair) -> None:
    figures = _figures(pitfalls.class_weights(*pair))
    plain, weighted = map(_value, figures["Border pixels found"])
    assert weighted > plain + 10
    accuracy, accuracy_weighted = map(_value, figures["Pixel accuracy"])
    assert accuracy_weighted < accuracy


def test_a_copy_in_training_flatters_a_model_that_only_remembers(pair) -> None:
    others = [_pet(index) for index in range(10, 22)]
    found = pitfalls.leakage(*pair, others=others)
    figures = _figures(found)
    leaked, fair = map(_value, figures["Pet IoU of a model that only memorizes"])
    assert leaked > 0.85 > fair
    near, far = map(_value, figures["Distance to the nearest training photo (grey levels)"])
    assert near < far
    assert any(np.array_equal(found.right[0].image, photo) for photo, _ in others)
    assert figures["Near-duplicates across the official Oxford split"][0] == "24"


def test_equal_input_gives_equal_results(pair) -> None:
    for first, again in zip(all_pitfalls(*pair), all_pitfalls(*pair)):
        assert first.figures == again.figures
