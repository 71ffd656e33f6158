"""The engines that run the network: ONNX Runtime, or Keras with TensorFlow on a GPU. Both have one interface."""

from __future__ import annotations

import importlib.util
import logging
import math
import re
import threading
import time
from collections import OrderedDict
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.errors import ConfigError
from unet_core.jobs import memory
from unet_core.machine import available_cores, cpu_label, detect_gpu
from unet_core.segment.keras_engine import KerasEngine, KindsHead
from unet_core.segment.keras_process import KerasProcess
from unet_core.segment.network import EngineName, Network, checked_output_size, first_line
from unet_core.segment.passes import TwoPasses
from unet_core.segment.photo_process import DistantNetwork, distant_network
from unet_core.settings import Settings, get_settings
from unet_core.zoo.kinds import ONNX_KINDS
from unet_core.zoo.manifest import ModelEntry, WeightsError, read_verified, verified_path
from unet_core.zoo.onnx_runtime import import_onnxruntime

EngineChoice = Literal["auto", "onnx", "keras"]
ENGINE_CHOICES: tuple[EngineChoice, ...] = ("auto", "onnx", "keras")

log = logging.getLogger(__name__)

_CROWDED_SECONDS = 1.0  # after two runs met, in which others are expected to
MAX_ENGINES = 4  # kept loaded; the least recently used is unloaded first


_LIBRARY_TERMS = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |\[\w+Error\] ?")


class OnnxEngine:
    """ONNX Runtime on the CPU: a run that is alone uses all threads, runs that meet or met lately use one each.

    Threads that share the work of one run wait for each other, which costs half as much processor time again: worth it
    for one photo's time, not when another photo waits for the same cores. The outputs are equal to the last bit.

    Args:
        content: the ONNX model, with one input (N, H, W, C) and the output (N, h, w, classes), both float32; a second
            output "kinds" is optional.
        config: the model's configuration.
        threads: of a run that is alone; 0 is one per available core.

    Raises:
        WeightsError: ONNX Runtime is not installed or cannot load the model, or it does not fit the configuration.
    """

    name: EngineName = "onnx"

    def __init__(self, content: bytes, config: UNetConfig, *, threads: int = 0) -> None:
        onnxruntime = import_onnxruntime()
        threads = threads or available_cores()
        self.device = cpu_label(threads)
        self._running, self._met = 0, -math.inf
        self._holds_buffers = False
        self._counting = threading.Lock()
        try:
            self._alone = _session(onnxruntime, content, threads)
            self._together = _session(onnxruntime, content, 1) if threads > 1 else self._alone
            self._input = self._alone.get_inputs()[0].name
            outputs = [output.name for output in self._alone.get_outputs()]
            self._output = outputs[0]
            self._both = [self._output, ONNX_KINDS] if ONNX_KINDS in outputs[1:] else [self._output]
            self.kinds: int = self._alone.get_outputs()[outputs.index(ONNX_KINDS)].shape[-1] if self._both[1:] else 0
            self.output_size = checked_output_size(self, config)
        except WeightsError:
            raise
        except Exception as error:  # ONNX Runtime's own exception classes are not public
            reason = _LIBRARY_TERMS.sub("", first_line(error))
            raise WeightsError(f"ONNX Runtime cannot use this model ({reason}): export it again.") from None

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network, see `Network.predict`; safe to call from several threads."""
        return self._outputs([self._output], batch)[0]

    def predict_both(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Run the network, see `NetworkOfKinds.predict_both`; safe to call from several threads."""
        output, *kinds = self._outputs(self._both, batch)
        return output, kinds[0] if kinds else None

    def _outputs(self, names: list[str], batch: np.ndarray) -> list[np.ndarray]:
        with self._counting:
            now = time.monotonic()
            self._met = now if self._running else self._met
            session = self._together if now - self._met < _CROWDED_SECONDS else self._alone
            self._running += 1
            self._holds_buffers = True
        try:
            return session.run(names, {self._input: batch})
        finally:
            with self._counting:
                self._running -= 1

    def expect_company(self) -> None:
        """Let the runs of the next moment use one thread each: something else wants the cores."""
        with self._counting:
            self._met = time.monotonic()

    def free_buffers(self) -> None:
        """Free the buffers that ONNX Runtime keeps from run to run, up to 40 MB, if it ran since the last time.

        They make a run faster by a third, so this is for moments of rest. It takes two runs of the network.
        """
        with self._counting:
            if self._running or not self._holds_buffers:
                return
            self._holds_buffers = False
        options = self._shrinking
        for session in {self._alone, self._together}:
            shape = [side if isinstance(side, int) else 1 for side in session.get_inputs()[0].shape]
            session.run([self._output], {self._input: np.zeros(shape, np.float32)}, options)

    @cached_property
    def _shrinking(self) -> Any:
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return options


@cache
def _share_buffers() -> None:
    """Let all sessions of this process take their buffers from one pool: runs take turns, and so do their buffers."""
    import onnxruntime

    where = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(where, None)


def _session(onnxruntime: Any, content: bytes, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the core to others
    _share_buffers()
    options.add_session_config_entry("session.use_env_allocators", "1")
    return onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])


# --- one engine per process and model -------------------------------------------------------------------------------

_separate_process = threading.Event()
_engines: OrderedDict[tuple[Any, ...], Network] = OrderedDict()
_loading = threading.RLock()  # held while a model loads, so that no model is loaded twice


def _onnx_engines() -> list[OnnxEngine]:
    loaded = [engine.here if isinstance(engine, DistantNetwork) else engine for engine in list(_engines.values())]
    return [engine for engine in loaded if isinstance(engine, OnnxEngine)]


def _free_buffers() -> None:
    for engine in _onnx_engines():
        engine.free_buffers()


memory.at_rest.append(_free_buffers)


def expect_company() -> None:
    """Tell the engines of this process that other work wants the cores at the same time."""
    for engine in _onnx_engines():
        engine.expect_company()


def keep_tensorflow_out_of_process() -> None:
    """From now on run the Keras engine without a GPU in a separate process, to keep this one's memory small."""
    _separate_process.set()


def get_engine(entry: ModelEntry, choice: EngineChoice = "auto", settings: Settings | None = None) -> Network:
    """Return the engine for a model; it is loaded once and shared by the whole process.

    "auto" is Keras if TensorFlow can use a GPU, and ONNX Runtime otherwise.

    Raises:
        WeightsError: the model's file is missing, altered or unusable, or the engine is not installed.
        ConfigError: the engine is unknown.
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


def _keras_on_gpu(entry: ModelEntry, settings: Settings) -> Network | None:
    """Return the Keras engine if TensorFlow does compute on the GPU; without CUDA it does not."""
    try:
        engine = _shared(entry, "keras", settings)
    except WeightsError:
        if "onnx" not in entry.files:
            raise
        log.warning("the Keras engine cannot be used; falling back to ONNX Runtime", exc_info=True)
        return None
    return engine if engine.device.startswith("GPU") else None


def _shared(entry: ModelEntry, name: EngineName, settings: Settings) -> Network:
    kind = "onnx" if name == "onnx" else "weights"
    path = verified_path(entry, kind, settings)  # checked on every call, to notice a replaced file
    head = _kinds_head(entry, settings) if name == "keras" else None
    options = settings.threads, settings.mixed_precision, _separate_process.is_set()
    second = (entry.kinds, entry.files["kinds"].sha256 if head else "")
    key = (name, path, entry.files[kind].sha256, entry.config, *second, *options)
    with _loading:
        if key not in _engines:
            _engines[key] = _load(entry, name, path, head, settings)
            while len(_engines) > MAX_ENGINES:
                _engines.popitem(last=False)
        _engines.move_to_end(key)
        engine = _engines[key]
    return TwoPasses(engine, entry.background) if entry.second_look else engine


def _load(entry: ModelEntry, name: EngineName, path: Path, head: KindsHead | None, settings: Settings) -> Network:
    if name == "onnx":

        def load() -> OnnxEngine:
            engine = OnnxEngine(read_verified(entry, "onnx", settings), entry.config, threads=settings.threads)
            if entry.kinds is not None and engine.kinds != len(entry.kinds.names):
                raise WeightsError(
                    f"The model's second output tells {engine.kinds} kinds apart, but its manifest entry names "
                    f"{len(entry.kinds.names)}: export it again."
                )
            return engine

        return distant_network(entry, settings, load) or load()
    if _separate_process.is_set() and detect_gpu() is None:
        return KerasProcess(path, entry.config, head)
    return KerasEngine(path, entry.config, head, mixed_precision=settings.mixed_precision)


def _kinds_head(entry: ModelEntry, settings: Settings) -> KindsHead | None:
    if entry.kinds is None:
        return None
    return KindsHead(str(verified_path(entry, "kinds", settings)), entry.kinds.layers, len(entry.kinds.names))
