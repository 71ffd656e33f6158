"""The pictures of a forward pass against the Keras model's own intermediate outputs."""

from __future__ import annotations

import io
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.explain.test_gates import NO_SKIPS, PLAIN, VALID, exported
from tests.helpers import onnx_models
from tests.helpers.one_pass import one_pass_segmenter
from unet_core.architecture.config import UNetConfig
from unet_core.explain.forward_pass import ForwardPass, forward_pass
from unet_core.images.preprocess import network_input
from unet_core.images.samples import cat_png
from unet_core.models import build
from unet_core.settings import get_settings
from unet_core.zoo.manifest import WeightsError, load_manifest, verified_path

FAST = "pets_fast"


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(cat_png())).convert("RGB"))


def assert_means_are_keras_own(found: ForwardPass, model: keras.Model, config: UNetConfig, photo: np.ndarray) -> None:
    """Compare every picture with the mean of what Keras has after the same layers."""
    batch = network_input(photo, config, model.output_shape[1:3])[0][None]
    for step in found.steps[1:-1]:
        if step.key in found.missing:
            continue
        merge = model.get_layer(f"{step.block}_concat") if step.operation == "skip" else None
        tensor = model.get_layer(step.layers[-1]).output if merge is None else merge.input[0]
        own = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], tensor)(batch, training=False))[0]
        np.testing.assert_allclose(found.means[step.key], own.mean(axis=-1), atol=1e-4, err_msg=step.key)


@pytest.mark.slow
@pytest.mark.parametrize("config", [PLAIN, VALID, NO_SKIPS], ids=["same", "valid", "no skips"])
def test_every_box_of_a_plain_network_holds_what_keras_has_there(config: UNetConfig, cat, tmp_path: Path) -> None:
    model, entry, settings = exported(config, tmp_path)
    found = forward_pass(entry, cat, settings)
    assert found.missing == ()
    assert_means_are_keras_own(found, model, config, cat)


@pytest.mark.slow
def test_every_box_of_the_shipped_model_holds_what_keras_has_there(cat: np.ndarray) -> None:
    entry = load_manifest().entry(FAST)
    model = build(entry.config.replace(encoder_weights="none"))
    model.load_weights(verified_path(entry, "weights", get_settings()))
    found = forward_pass(entry, cat, get_settings())
    assert found.missing == ()
    assert_means_are_keras_own(found, model, entry.config, cat)


def test_a_pass_ends_with_the_mask_of_one_pass_and_has_all_boxes(cat: np.ndarray) -> None:
    found = forward_pass(load_manifest().entry(FAST), cat, get_settings())
    assert (found.steps[0].operation, found.steps[-1].block) == ("input", "head")
    assert set(found.means) == {step.key for step in found.steps[1:-1]} - set(found.missing)
    for step in found.steps[1:-1]:
        assert found.means[step.key].shape == step.shape[:2]
    whole = one_pass_segmenter(FAST).segment(cat)
    shares = [float((found.probabilities.argmax(axis=-1) == number).mean()) for number in range(3)]
    np.testing.assert_allclose(shares, [whole.shares[name] for name in whole.classes], atol=0.005)


def test_a_model_that_names_no_layers_is_refused(cat: np.ndarray, tmp_path: Path) -> None:
    settings = onnx_models.install(tmp_path)
    with pytest.raises(WeightsError, match="export it again"):
        forward_pass(load_manifest(settings).entry("pixels"), cat, settings)
