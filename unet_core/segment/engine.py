"""What runs the network: ONNX Runtime, or Keras with TensorFlow where there is a GPU. Both take and give the same."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.errors import ConfigError
from unet_core.machine import available_cores, cpu_label, detect_gpu
from unet_core.segment.keras_engine import KerasEngine
from unet_core.segment.keras_process import KerasProcess
from unet_core.segment.network import Engine, EngineName, checked_output_size, first_line
from unet_core.segment.passes import TwoPasses
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, read_verified, verified_path

EngineChoice = Literal["auto", "onnx", "keras"]
ENGINE_CHOICES: tuple[EngineChoice, ...] = ("auto", "onnx", "keras")

log = logging.getLogger(__name__)

MAX_ENGINES = 4  # kept loaded; the least recently used goes first


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
            self.output_size = checked_output_size(self, config)
        except WeightsError:
            raise
        except Exception as error:  # ONNX Runtime's own exception classes are not public
            raise WeightsError(f"ONNX Runtime cannot use this model ({first_line(error)}): export it again.") from None

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
        ConfigError: there is no such engine.
    """
    if choice not in ENGINE_CHOICES:
        raise ConfigError(f"engine: must be one of {', '.join(ENGINE_CHOICES)}. Received: {choice!r}")
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
    return TwoPasses(engine, entry.background) if entry.second_look else engine


def _load(entry: ModelEntry, name: EngineName, path: Path, settings: Settings) -> Engine:
    if name == "onnx":
        return OnnxEngine(read_verified(entry, "onnx", settings), entry.config, threads=settings.threads)
    if _outside.is_set() and detect_gpu() is None:
        return KerasProcess(path, entry.config)
    return KerasEngine(path, entry.config, mixed_precision=settings.mixed_precision)
