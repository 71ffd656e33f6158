"""Measure how fast each engine runs a model on this machine, in a separate process.

Measures the network's median milliseconds for one photo with ONNX Runtime, with the Keras engine (one compiled
function) and with `model.predict`. The engines alternate, so that other programs affect all of them alike. The web
process starts `python -m unet_core.segment.measure`, because it never imports TensorFlow itself.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from unet_core.errors import UNetError
from unet_core.jobs.background_job import failure_sentence
from unet_core.jobs.process import settings_environment
from unet_core.jobs.served import ChildEnded, ChildTooSlow, Message, ServedChild, serve
from unet_core.machine import TENSORFLOW_MB
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, load_manifest, verified_path

ROUNDS = 7
BLOCK_SECONDS = 0.15  # how long each engine runs, at least once, before the next one
LIMIT_SECONDS = 240

ONNX, KERAS, PREDICT = "ONNX Runtime", "TensorFlow, compiled", "Keras model.predict"


class MeasureError(UNetError):
    """The measurement failed; the message is a sentence for users."""


@dataclass(frozen=True)
class EngineTime:
    """An engine's median milliseconds for one photo and its device, or the `problem` with it."""

    name: str
    device: str = ""
    milliseconds: float | None = None
    problem: str = ""


def measure_here(model: str, settings: Settings | None = None) -> list[EngineTime]:
    """Measure all engines in a separate process that ends with the measurement.

    Raises:
        MeasureError: it failed or took too long.
    """
    environment = settings_environment(settings or get_settings())
    with ServedChild("unet_core.segment.measure", environment=environment, needs_mb=TENSORFLOW_MB) as child:
        try:
            found = child.ask({"model": model}, seconds=LIMIT_SECONDS, attempts=1).values
        except ChildTooSlow:
            raise MeasureError(f"The measurement took over {LIMIT_SECONDS} seconds: this machine is busy.") from None
        except ChildEnded as ended:
            raise MeasureError(f"The measurement failed: {ended}") from None
        except OSError as error:
            raise MeasureError(f"The measurement cannot be started: {error.strerror or error}.") from None
    if "error" in found:
        raise MeasureError(f"The measurement failed: {found['error']}")
    return [EngineTime(**entry) for entry in found["engines"]]


def measured(entry: ModelEntry, settings: Settings, rounds: int = ROUNDS) -> list[EngineTime]:
    """Measure all engines in this process; imports TensorFlow."""
    batch = np.random.default_rng(0).random((1, *entry.config.input_shape), np.float32)
    engines: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {}
    problems: dict[str, str] = {}
    for name, prepare in ((ONNX, _onnx), (KERAS, _keras), (PREDICT, _predict)):
        try:
            engines[name] = prepare(entry, settings)
        except WeightsError as error:
            problems[name] = str(error)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _, run in engines.values():
        run(batch)  # compilation in the first run does not count
    for _ in range(rounds):
        for name, (_, run) in engines.items():
            times[name] += _block(run, batch)
    return [
        EngineTime(name, engines[name][0], 1000 * statistics.median(times[name]))
        if name in engines
        else EngineTime(name, problem=problems[name])
        for name in (ONNX, KERAS, PREDICT)
    ]


def _block(run: Callable[[np.ndarray], Any], batch: np.ndarray) -> list[float]:
    times: list[float] = []
    while sum(times) < BLOCK_SECONDS:
        start = time.perf_counter()
        run(batch)
        times.append(time.perf_counter() - start)
    return times


def _onnx(entry: ModelEntry, settings: Settings) -> tuple[str, Callable[[np.ndarray], Any]]:
    from unet_core.segment.engine import get_engine

    _needs(entry, "onnx")
    engine = get_engine(entry, "onnx", settings)
    return engine.device, engine.predict


def _keras(entry: ModelEntry, settings: Settings) -> tuple[str, Callable[[np.ndarray], Any]]:
    from unet_core.segment.engine import get_engine

    _needs(entry, "weights")
    engine = get_engine(entry, "keras", settings)
    return engine.device, engine.predict


def _predict(entry: ModelEntry, settings: Settings) -> tuple[str, Callable[[np.ndarray], Any]]:
    """Return `model.predict`, which most tutorials call."""
    device, _ = _keras(entry, settings)
    from unet_core import models

    model = models.build(entry.config.replace(encoder_weights="none"))
    model.load_weights(verified_path(entry, "weights", settings))
    if not entry.second_look:
        return device, lambda batch: model.predict(batch, verbose=0)
    return device, lambda batch: [model.predict(each, verbose=0) for each in (batch, batch[:, :, ::-1])]


def _needs(entry: ModelEntry, kind: str) -> None:
    if kind not in entry.files:
        raise WeightsError(f"The model has no file for this engine ({kind}).")


def measure(question: Message) -> Message:
    """Measure the engines of the requested model, or return the error; imports TensorFlow."""
    settings = get_settings()
    try:
        found = measured(load_manifest(settings).entry(question.values["model"]), settings)
    except Exception as error:  # libraries raise many kinds
        return Message({"error": failure_sentence(error)})
    return Message({"engines": [asdict(each) for each in found]})


def main() -> None:
    """Serve the parent process."""
    serve(measure)


if __name__ == "__main__":
    main()
