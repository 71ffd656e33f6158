"""A second output on a network's features: the network stays the same, and files and engines hold both outputs."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from unet_core.architecture.config import UNetConfig
from unet_core.models import build
from unet_core.models.kinds import kinds_head, with_kinds
from unet_core.segment.engine import OnnxEngine
from unet_core.segment.keras_engine import KerasEngine, KindsHead
from unet_core.segment.keras_process import KerasProcess
from unet_core.zoo.export import ExportError, export

CONFIG = UNetConfig(height=32, width=32, classes=3, depth=3, base_filters=4, normalization="batch")
LAYERS = "encoder2_conv2_activation", "bottleneck_conv2_activation"


@pytest.fixture
def plain() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build(CONFIG)


def photos(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (count, *CONFIG.input_shape)).astype(np.float32)


def test_coarser_features_are_brought_to_the_finest_size() -> None:
    head = kinds_head([(8, 8, 5), (4, 4, 7), (2, 2, 3)], 2)
    assert head.output_shape == (None, 8, 8, 2)


def test_the_masks_stay_and_the_second_output_is_per_place(plain: keras.Model) -> None:
    both = with_kinds(plain, LAYERS, 2)
    logits, kinds = both(photos(), training=False)
    np.testing.assert_array_equal(logits, plain(photos(), training=False))
    assert kinds.shape == (2, *plain.get_layer(LAYERS[0]).output.shape[1:3], 2)


def test_a_missing_layer_is_an_error(plain: keras.Model) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        with_kinds(plain, ["nowhere"], 2)


@pytest.mark.slow
def test_the_onnx_file_gives_the_masks_first_and_engines_both(plain: keras.Model, tmp_path: Path) -> None:
    both = with_kinds(plain, LAYERS, 2)
    head_file, weights_file = tmp_path / "kinds.weights.h5", tmp_path / "model.weights.h5"
    both.get_layer("kinds").save_weights(head_file)
    plain.save_weights(weights_file)
    written = export(both, CONFIG, "onnx", tmp_path / "model.onnx")
    assert [output.name for output in onnxruntime.InferenceSession(written.path).get_outputs()] == ["logits", "kinds"]
    expected = [np.asarray(output) for output in both(photos(), training=False)]
    onnx_engine = OnnxEngine(Path(written.path).read_bytes(), CONFIG)
    keras_engine = KerasEngine(weights_file, CONFIG, KindsHead(str(head_file), LAYERS, 2))
    for engine in (onnx_engine, keras_engine):
        for found, wanted in zip(engine.predict_both(photos()), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-4)
        np.testing.assert_allclose(engine.predict(photos()), expected[0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["keras", "litert"])
def test_other_formats_hold_the_masks_alone(plain: keras.Model, tmp_path: Path, format: str) -> None:
    both = with_kinds(plain, LAYERS, 2)
    if format == "keras":
        written = export(both, CONFIG, "keras", tmp_path / "model.keras")
        (output,) = keras.saving.load_model(written.path, compile=False).outputs
        assert output.shape == (None, 32, 32, 3)
        return
    written = export(both, CONFIG, "litert", tmp_path / "model.tflite")
    interpreter = tf.lite.Interpreter(model_path=written.path)
    assert [tuple(output["shape"][1:]) for output in interpreter.get_output_details()] == [(32, 32, 3)]


@pytest.mark.slow
def test_names_that_do_not_fit_the_second_output_are_refused(plain: keras.Model, tmp_path: Path) -> None:
    both = with_kinds(plain, LAYERS, 2)
    for model, kinds, format in ((both, "abc", "onnx"), (plain, "ab", "onnx"), (both, "ab", "keras")):
        with pytest.raises(ExportError, match="kinds"):
            export(model, CONFIG, format, tmp_path / f"model.{format}", kinds=tuple(kinds))
    written = export(both, CONFIG, "onnx", tmp_path / "model.onnx", kinds=("cat", "dog"))
    about = onnxruntime.InferenceSession(written.path).get_modelmeta().custom_metadata_map
    assert about == {"kinds": '["cat", "dog"]'}


@pytest.mark.slow
def test_keras_in_a_process_of_its_own_gives_both(plain: keras.Model, tmp_path: Path) -> None:
    both = with_kinds(plain, LAYERS, 2)
    both.get_layer("kinds").save_weights(tmp_path / "kinds.weights.h5")
    plain.save_weights(tmp_path / "model.weights.h5")
    head = KindsHead(str(tmp_path / "kinds.weights.h5"), LAYERS, 2)
    engine = KerasProcess(tmp_path / "model.weights.h5", CONFIG, head)
    try:
        found = engine.predict_both(photos())
    finally:
        engine.close()
    for one, expected in zip(found, both(photos(), training=False), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-4)


@pytest.mark.parametrize("shapes", [[(19, 19, 4), (10, 10, 4)], [(8, 8, 4), (4, 2, 4)]])
def test_features_that_are_no_whole_part_of_the_finest_are_refused(shapes: list[tuple[int, int, int]]) -> None:
    with pytest.raises(ValueError, match="whole number of times"):
        kinds_head(shapes, 2)


def test_a_network_without_a_second_output_has_none(plain: keras.Model, tmp_path: Path) -> None:
    plain.save_weights(tmp_path / "model.weights.h5")
    output, kinds = KerasEngine(tmp_path / "model.weights.h5", CONFIG).predict_both(photos())
    assert output.shape == (2, 32, 32, 3)
    assert kinds is None
