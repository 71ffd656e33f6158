"""What runs the network: ONNX Runtime, or Keras with TensorFlow where there is a GPU. Both take and give the same."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.machine import available_cores, cpu_label, detect_gpu
from unet_core.segment.looks import Network, TwoLooks
from unet_core.settings import Settings, get_settings
from unet_core.weights import ModelEntry, WeightsError, read_verified, verified_path

EngineChoice = Literal["auto", "onnx", "keras"]
EngineName = Literal["onnx", "keras"]
ENGINE_CHOICES: tuple[EngineChoice, ...] = ("auto", "onnx", "keras")

MAX_ENGINES = 4  # kept loaded; the least recently used goes first

log = logging.getLogger(__name__)


class Engine(Network, Protocol):
    """A loaded network. `device` says in words where it computes; `output_size` is its output's (height, width)."""

    name: EngineName


class OnnxEngine:
    """ONNX Runtime on the CPU.

    Args:
        content: the ONNX model, with one input (N, H, W, C) and one output (N, h, w, classes), both float32.
        config: the network it holds.
        threads: for one run; 0 takes one per available core.

    Raises:
        WeightsError: ONNX Runtime cannot load the model, or it does not fit the configuration.
    """

    name: EngineName = "onnx"

    def __init__(self, content: bytes, config: UNetConfig, *, threads: int = 0) -> None:
        import onnxruntime

        threads = threads or available_cores()
        self.device = cpu_label(threads)
        try:
            self._session = onnxruntime.InferenceSession(
                content, sess_options=_session_options(onnxruntime, threads), providers=["CPUExecutionProvider"]
            )
            self._input = self._session.get_inputs()[0].name
            self._output = self._session.get_outputs()[0].name
            self.output_size = _checked_output_size(self, config)
        except WeightsError:
            raise
        except Exception as error:  # ONNX Runtime's own exception classes are not public
            raise WeightsError(f"ONNX Runtime cannot use this model ({_first_line(error)}): export it again.") from None

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network, see `Network.predict`; safe to call from several threads."""
        return self._session.run([self._output], {self._input: batch})[0]


def _session_options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads leave the CPU to others
    return options


class KerasEngine:
    """Keras on TensorFlow: one compiled function, warmed up, on the GPU if TensorFlow sees one.

    Args:
        weights: a `.weights.h5` file that has been verified.
        config: the network it belongs to; a pretrained encoder's weights come from the file too.
        mixed_precision: compute in float16 where there is a GPU; the output is float32 either way.

    Raises:
        WeightsError: TensorFlow is not installed, or the file does not fit the configuration.
    """

    name: EngineName = "keras"

    def __init__(self, weights: Path, config: UNetConfig, *, mixed_precision: bool = False) -> None:
        tensorflow, keras = _import_tensorflow()
        gpus = _prepared_gpus(tensorflow)
        self.device = gpus[0] if gpus else cpu_label()
        model = _loaded_model(keras, weights, config, "mixed_float16" if mixed_precision and gpus else "float32")
        self._tensorflow = tensorflow
        self._run = tensorflow.function(
            lambda batch: tensorflow.cast(model(batch, training=False), tensorflow.float32),
            input_signature=[tensorflow.TensorSpec([None, *config.input_shape], tensorflow.float32)],
        )
        self.output_size = _checked_output_size(self, config)  # also compiles the function

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network, see `Network.predict`; safe to call from several threads."""
        return self._run(self._tensorflow.constant(batch)).numpy()


def _import_tensorflow() -> tuple[Any, Any]:
    try:
        import keras
        import tensorflow
    except ImportError:
        raise WeightsError(
            "The Keras engine needs TensorFlow, which is not installed: use the engine 'onnx'."
        ) from None
    if keras.backend.backend() != "tensorflow":
        raise WeightsError(
            f"The Keras engine needs Keras on TensorFlow, but KERAS_BACKEND is {keras.backend.backend()!r}: "
            "unset it, or use the engine 'onnx'."
        )
    return tensorflow, keras


def _prepared_gpus(tensorflow: Any) -> list[str]:
    """Let GPU memory grow on demand instead of taking all of it; return the GPUs' names."""
    names = []
    for gpu in tensorflow.config.list_physical_devices("GPU"):
        try:
            tensorflow.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # already in use by this process, with whatever was set then
            log.debug("GPU memory growth can no longer be set")
        details = tensorflow.config.experimental.get_device_details(gpu)
        names.append(f"GPU ({details.get('device_name', 'unnamed')})")
    return names


def _loaded_model(keras: Any, weights: Path, config: UNetConfig, dtype_policy: str) -> Any:
    from unet_core import models

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy)
    try:
        model = models.build(config.replace(encoder_weights="none"))
        model.load_weights(weights)
    except (ValueError, OSError, KeyError) as error:
        raise WeightsError(
            f"{weights.name} does not fit its configuration ({_first_line(error)}): export it again."
        ) from None
    finally:
        keras.config.set_dtype_policy(previous)
    return model


def _checked_output_size(engine: Engine, config: UNetConfig) -> tuple[int, int]:
    """Run the network once: it learns the output's size, and the first photo does not pay for the warm-up."""
    output = engine.predict(np.zeros((1, *config.input_shape), np.float32))
    if output.ndim != 4 or output.shape[-1] != config.classes:
        raise WeightsError(
            f"The model gives an output of shape {output.shape}, not (1, height, width, {config.classes}) as its "
            "configuration says: export it again."
        )
    return output.shape[1], output.shape[2]


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".: ")[:160] if text else type(error).__name__


# --- one engine per process and model -------------------------------------------------------------------------------

_outside = threading.Event()
_engines: OrderedDict[tuple[Any, ...], Engine] = OrderedDict()
_loading = threading.RLock()  # held while a model loads, so that two sessions never load the same one twice


def keep_tensorflow_outside() -> None:
    """Run the Keras engine in a process of its own from now on, where there is no GPU; for programs that stay small."""
    _outside.set()


def get_engine(entry: ModelEntry, choice: EngineChoice = "auto", settings: Settings | None = None) -> Engine:
    """Return the engine for a model, shared by the whole process; it is loaded the first time it is asked for.

    "auto" takes Keras where there is a GPU that TensorFlow can use, and ONNX Runtime otherwise.

    Raises:
        WeightsError: the model's file is missing, altered or unusable, or the engine is not installed.
        ValueError: there is no such engine.
    """
    if choice not in ENGINE_CHOICES:
        raise ValueError(f"engine: must be one of {', '.join(ENGINE_CHOICES)}. Received: {choice!r}")
    settings = settings or get_settings()
    if choice != "auto":
        return _shared(entry, choice, settings)
    if "weights" in entry.files and _keras_can_use_gpu():
        engine = _keras_on_gpu(entry, settings)
        if engine is not None:
            return engine
    return _shared(entry, "onnx" if "onnx" in entry.files else "keras", settings)


def _keras_can_use_gpu() -> bool:
    return detect_gpu() is not None and importlib.util.find_spec("tensorflow") is not None


def _keras_on_gpu(entry: ModelEntry, settings: Settings) -> Engine | None:
    """Return the Keras engine if TensorFlow really computes on the GPU; a TensorFlow without CUDA does not."""
    try:
        engine = _shared(entry, "keras", settings)
    except WeightsError:
        if "onnx" not in entry.files:
            raise
        log.warning("the Keras engine cannot be used, ONNX Runtime takes over", exc_info=True)
        return None
    return engine if engine.device.startswith("GPU") else None


def _shared(entry: ModelEntry, name: EngineName, settings: Settings) -> Engine:
    kind = "onnx" if name == "onnx" else "weights"
    path = verified_path(entry, kind, settings)  # also on a later call: a file that was swapped is noticed
    way = settings.threads, settings.mixed_precision, _outside.is_set()
    key = (name, path, entry.files[kind].sha256, entry.config, *way)
    with _loading:
        if key not in _engines:
            _engines[key] = _load(entry, name, path, settings)
            while len(_engines) > MAX_ENGINES:
                _engines.popitem(last=False)
        _engines.move_to_end(key)
        engine = _engines[key]
    return TwoLooks(engine, entry.background) if entry.second_look else engine


def _load(entry: ModelEntry, name: EngineName, path: Path, settings: Settings) -> Engine:
    if name == "onnx":
        return OnnxEngine(read_verified(entry, "onnx", settings), entry.config, threads=settings.threads)
    if _outside.is_set() and detect_gpu() is None:
        from unet_core.segment.keras_process import KerasProcess

        return KerasProcess(path, entry.config)
    return KerasEngine(path, entry.config, mixed_precision=settings.mixed_precision)
