"""Exports a trained model as ONNX, Keras or LiteRT. Each file is run and compared with Keras before it is kept."""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.errors import UNetError
from unet_core.images.preprocess import scale
from unet_core.models import UNet, build, copy_weights
from unet_core.zoo.kinds import ONNX_KINDS
from unet_core.zoo.meaning import Meaning, metadata

ExportFormat = Literal["onnx", "keras", "litert", "tflite"]  # the last two are the same format
BundleFormat = Literal["onnx", "keras", "litert", "tflite", "zip"]  # "zip" is everything, see `unet_core.zoo.bundle`
EXPORT_FORMATS: tuple[str, ...] = get_args(ExportFormat)
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "keras": ".keras", "litert": ".tflite"}

PARITY_TOLERANCE = 1e-4  # largest difference between Keras and the exported file; relative for outputs above 1
ONNX_OPSET = 17
ONNX_INPUT, ONNX_OUTPUT = "image", "logits"
END_TO_END_OUTPUT = "mask"
KERAS_METADATA = "metadata.json"  # of Keras' own file


class ExportError(UNetError):
    """A model that could not be exported faithfully; no file is written."""


@dataclass(frozen=True)
class Export:
    """A written and checked file: `difference` is its largest deviation from Keras on the same images."""

    path: str
    format: str
    bytes: int
    difference: float
    tolerance: float


def export(
    model: keras.Model,
    config: UNetConfig,
    format: ExportFormat,
    path: str | Path,
    *,
    meaning: Meaning | None = None,
    kinds: Sequence[str] = (),
    end_to_end: bool = False,
) -> Export:
    """Write `model` to `path` and check that the file computes what Keras computes.

    Args:
        model: a built model of `config`, functional or subclassed; see `unet_core.models.kinds` for a second output.
        config: its architecture, which defines the inputs for the check.
        format: "onnx" (one input "image", one output "logits", any batch size; a second output of the model becomes
            "kinds"), "keras", or "litert", also called "tflite", with the first output alone.
        path: where to write; in a folder, `unet` with the format's extension.
        meaning: stored as metadata in an ONNX or Keras file, see `unet_core.zoo.meaning.metadata`.
        kinds: what a second output tells apart, in order, if it is kept: stored as metadata.
        end_to_end: of ONNX: scaling and argmax are inside. The input "image" then has the pixels 0…255, uint8, and the
            output "mask" the class ids (N, h, w), uint8.

    Raises:
        ExportError: an operation cannot be converted, the result differs, or the folder cannot be written.
    """
    format = "litert" if format == "tflite" else format
    path = _destination(Path(path), format)
    if end_to_end and format != "onnx":
        raise ExportError(f"only ONNX files can have scaling and argmax inside. Received: {format!r}")
    model = _functional(model, config)
    if kinds and (format != "onnx" or end_to_end or [len(kinds)] != [one.shape[-1] for one in model.outputs[1:]]):
        raise ExportError("kinds: need an ONNX file with logits and a second output with a channel for each of them")
    writers: dict[str, Callable[[keras.Model, UNetConfig, Path], None]] = {
        "onnx": _write_onnx,
        "keras": _write_keras,
        "litert": _write_litert,
    }
    runners = {"onnx": _run_onnx, "keras": _run_keras, "litert": _run_litert}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            temporary = Path(folder) / f"model{SUFFIXES[format]}"
            if end_to_end:
                _write_onnx(model, config, temporary, end_to_end=True)
                difference, tolerance = _compare_masks(model, config, temporary)
            else:
                writers[format](model, config, temporary)
                compared = None if format == "onnx" else 1  # the other formats hold the first output alone
                difference, tolerance = _compare(model, config, temporary, runners[format], compared)
            if not difference <= tolerance:
                raise ExportError(
                    f"the {format} file does not compute what Keras computes (difference {difference:.2g}, allowed "
                    f"{tolerance:.2g}) and was not kept"
                )
            about = {} if meaning is None else metadata(config, meaning)
            if kinds:
                about[ONNX_KINDS] = json.dumps(list(kinds))
            if about:
                _describe(temporary, format, about)
            os.replace(temporary, path)
    except (FileExistsError, NotADirectoryError) as error:
        raise ExportError(f"{path} cannot be written: {path.parent} is a file, not a folder") from error
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error
    return Export(str(path), format, path.stat().st_size, difference, tolerance)


def _functional(model: keras.Model, config: UNetConfig) -> keras.Model:
    """Return a subclassed model as a functional one with its weights, which loads without this library."""
    if not isinstance(model, UNet):
        return model
    height, width = model.size
    functional = build(config.replace(encoder_weights="none"), (height, width))
    copy_weights(model, functional)
    return functional


def _destination(path: Path, format: str) -> Path:
    if format not in SUFFIXES:
        raise ExportError(f"format: must be one of {', '.join(EXPORT_FORMATS)}. Received: {format!r}")
    if path.is_dir():
        path = path / f"unet{SUFFIXES[format]}"
    if path.suffix != SUFFIXES[format]:
        raise ExportError(f"out: the file for {format} must end in {SUFFIXES[format]}. Received: {path}")
    return path


def _compare(
    model: keras.Model,
    config: UNetConfig,
    path: Path,
    run: Callable[[Path, np.ndarray], list[np.ndarray]],
    count: int | None,
) -> tuple[float, float]:
    """Return the largest difference of an output on two images, and the tolerance; of the first `count` outputs."""
    low, high = config.preprocessing.value_range
    images = np.random.default_rng(0).uniform(low, high, (2, *config.input_shape)).astype(np.float32)
    images[1] = np.linspace(low, high, config.width, dtype=np.float32).reshape(1, config.width, -1)  # smooth
    compared = []
    outputs = _outputs(model(images, training=False))[:count]
    for received, output in zip(run(path, images), outputs, strict=True):
        expected = np.asarray(output)
        if received.shape != expected.shape:
            raise ExportError(f"the exported file gives {received.shape} where Keras gives {expected.shape}")
        difference = float(np.abs(received - expected).max())
        compared.append((difference, PARITY_TOLERANCE * max(1.0, float(np.abs(expected).max()))))
    return next((pair for pair in compared if not pair[0] <= pair[1]), compared[0])


def _outputs(found: Any) -> list[Any]:
    """Return what a model gives as a list, also if it has one output."""
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _compare_masks(model: keras.Model, config: UNetConfig, path: Path) -> tuple[float, float]:
    """Return by how much the logit of a class in the file's masks is below the largest one, and the tolerance."""
    import onnxruntime

    images = np.random.default_rng(0).integers(0, 256, (2, *config.input_shape), dtype=np.uint8)
    scaled = np.stack([scale(image, config.preprocessing) for image in images])
    scores = np.asarray(_class_scores(_outputs(model(scaled, training=False))[0], config))
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    mask = session.run([END_TO_END_OUTPUT], {ONNX_INPUT: images})[0]
    chosen = np.take_along_axis(scores, mask[..., None].astype(np.int64), axis=-1)[..., 0]
    return float((scores.max(axis=-1) - chosen).max()), PARITY_TOLERANCE * max(1.0, float(np.abs(scores).max()))


def _class_scores(outputs: Any, config: UNetConfig) -> Any:
    """Return values (N, h, w, classes) whose argmax is the mask; a one-class head has two classes."""
    if config.classes > 1:
        return outputs
    middle = 0.0 if config.head_activation == "none" else 0.5
    return keras.ops.concatenate([outputs - middle, middle - outputs], axis=-1)


def _describe(path: Path, format: str, about: dict[str, str]) -> None:
    """Store metadata in a model file; LiteRT files have none."""
    if format == "onnx":
        import onnx

        proto = onnx.load(path)
        onnx.helper.set_model_props(proto, about)
        path.write_bytes(proto.SerializeToString())
    elif format == "keras":
        _rewrite_keras_metadata(path, about)


def _rewrite_keras_metadata(path: Path, about: dict[str, str]) -> None:
    """Add entries to the metadata.json of a .keras file, which Keras writes but does not read."""
    rewritten = path.with_name(f".{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(rewritten, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == KERAS_METADATA:
                content = json.dumps({**json.loads(content), **about}, ensure_ascii=False).encode()
            new.writestr(member, content)
    os.replace(rewritten, path)


# --- ONNX -----------------------------------------------------------------------------------------------------------


def _write_onnx(model: keras.Model, config: UNetConfig, path: Path, *, end_to_end: bool = False) -> None:
    import onnx
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    convertible = _with_convertible_operations(model)
    kind = tf.uint8 if end_to_end else tf.float32
    signature = [tf.TensorSpec((None, *config.input_shape), kind, name=ONNX_INPUT)]

    def logits(image: Any) -> dict[str, Any]:
        outputs = _outputs(convertible(image, training=False))
        return dict(zip((ONNX_OUTPUT, ONNX_KINDS), outputs))

    def mask(image: Any) -> dict[str, Any]:
        divisor, shift = (np.asarray(each, np.float32) for each in config.preprocessing.scaling)
        outputs = _outputs(convertible(tf.cast(image, tf.float32) / divisor - shift, training=False))
        ids = tf.argmax(_class_scores(outputs[0], config), axis=-1, output_type=tf.int32)
        return {END_TO_END_OUTPUT: tf.cast(ids, tf.uint8)}

    function = tf.function(mask if end_to_end else logits, input_signature=signature, autograph=False)
    try:
        proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=ONNX_OPSET)
        _tidy(proto)
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:  # the converter raises many classes, its own included
        raise ExportError(f"the model cannot be converted to ONNX: {_first_line(error)}") from error
    path.write_bytes(proto.SerializeToString())


def _with_convertible_operations(model: keras.Model) -> keras.Model:
    """Return the same layers and weights with three operations rewritten for ONNX.

    Nearest upsampling becomes one resize instead of repeats and transposes, exact GELU uses erf instead of erfc, and
    a normalization with given statistics uses plain constants, since the conversion loses its captured tensors.
    """

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation == "nearest":
            (features,) = inputs
            size = [side * factor for side, factor in zip(features.shape[1:3], layer.size)]
            return keras.ops.image.resize(features, size, interpolation="nearest")
        if getattr(layer, "activation", None) is keras.activations.gelu and isinstance(layer, keras.layers.Activation):
            (features,) = inputs
            return 0.5 * features * (1.0 + keras.ops.erf(features / math.sqrt(2.0)))
        if isinstance(layer, keras.layers.Normalization):
            (features,) = inputs
            mean, deviation = np.asarray(layer.mean), np.sqrt(np.asarray(layer.variance))
            return (features - mean) / np.maximum(deviation, keras.config.epsilon())
        return layer(*inputs, **options)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _tidy(proto: Any) -> None:
    """Fix four flaws of the converter's output.

    Outputs are in the model's order instead of the alphabet's, since most readers take the first. The free first
    dimension gets the name "batch" instead of a serial number. Nearest resizing by whole factors is expressed without
    deprecated ONNX attributes. And scales such as 44/42 are rounded up, not down: readers compute the
    output size as floor(42 · scale), which must not become 43.
    """
    import onnx
    from onnx import numpy_helper

    outputs = sorted(proto.graph.output, key=lambda output: output.name != ONNX_OUTPUT)
    del proto.graph.output[:]
    proto.graph.output.extend(outputs)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    resizes = [node for node in proto.graph.node if node.op_type == "Resize"]
    scale_names = {node.input[2] for node in resizes if len(node.input) > 2}
    for initializer in proto.graph.initializer:
        if initializer.name in scale_names:
            scales = numpy_helper.to_array(initializer)
            up = np.where(scales == np.round(scales), scales, np.nextafter(scales, np.float32(np.inf)))
            initializer.CopyFrom(numpy_helper.from_array(up.astype(np.float32), initializer.name))
    for node in resizes:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if attributes["mode"].s == b"nearest":
            for name, value in (("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")):
                if name in attributes:
                    node.attribute.remove(attributes[name])
                node.attribute.append(onnx.helper.make_attribute(name, value))


def _run_onnx(path: Path, images: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return session.run(None, {ONNX_INPUT: images})


# --- Keras ----------------------------------------------------------------------------------------------------------


def _write_keras(model: keras.Model, config: UNetConfig, path: Path) -> None:
    # Without compile(), hence without loss, metrics and optimizer state.
    keras.Model(model.inputs[0], model.outputs[0], name=model.name).save(path)


def _run_keras(path: Path, images: np.ndarray) -> list[np.ndarray]:
    return [np.asarray(keras.saving.load_model(path, compile=False)(images, training=False))]


# --- LiteRT ---------------------------------------------------------------------------------------------------------


def _write_litert(model: keras.Model, config: UNetConfig, path: Path) -> None:
    try:
        keras.Model(model.inputs[0], model.outputs[0], name=model.name).export(path, format="litert", verbose=False)
    except Exception as error:  # the converter's own classes
        raise ExportError(f"the model cannot be converted to LiteRT: {_first_line(error)}") from error


def _run_litert(path: Path, images: np.ndarray) -> list[np.ndarray]:
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a deprecation: the replacement is a separate package
        interpreter = tf.lite.Interpreter(model_path=str(path))
    (details,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(details["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], images)
    interpreter.invoke()
    return [interpreter.get_tensor(interpreter.get_output_details()[0]["index"])]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
