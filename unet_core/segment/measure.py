"""How fast each engine runs a model on this machine, measured in a process of its own.

Measured are the median milliseconds of the network on one photo for ONNX Runtime, for the Keras engine (one compiled
function) and for `model.predict`. The engines alternate, so that other programs slow them all down. The web process
starts `python -m unet_core.segment.measure`, because it never imports TensorFlow itself.
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
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, load_manifest, verified_path

ROUNDS = 7
BLOCK_SECONDS = 0.15  # how long an engine runs before the next one, at least once
LIMIT_SECONDS = 240

ONNX, KERAS, PREDICT = "ONNX Runtime", "TensorFlow, compiled", "Keras model.predict"


class MeasureError(UNetError):
    """Measuring failed; the text is a sentence for people."""


@dataclass(frozen=True)
class EngineTime:
    """One engine's median milliseconds for one photo and where it computed; `problem` says why there are none."""

    name: str
    device: str = ""
    milliseconds: float | None = None
    problem: str = ""


def measure_here(model: str, settings: Settings | None = None) -> list[EngineTime]:
    """Measure all engines in a process of its own, one that ends with the measurement.

    Raises:
        MeasureError: it failed or took too long.
    """
    environment = settings_environment(settings or get_settings())
    with ServedChild("unet_core.segment.measure", environment=environment) as child:
        try:
            found = child.ask({"model": model}, seconds=LIMIT_SECONDS, attempts=1).values
        except ChildTooSlow:
            raise MeasureError(f"Measuring took more than {LIMIT_SECONDS} seconds: this machine is busy.") from None
        except ChildEnded as ended:
            raise MeasureError(f"Measuring failed: {ended}") from None
    if "error" in found:
        raise MeasureError(f"Measuring failed: {found['error']}")
    return [EngineTime(**entry) for entry in found["engines"]]


def measured(entry: ModelEntry, settings: Settings, rounds: int = ROUNDS) -> list[EngineTime]:
    """Measure all engines in this process, which then holds TensorFlow."""
    batch = np.random.default_rng(0).random((1, *entry.config.input_shape), np.float32)
    ways: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {}
    problems: dict[str, str] = {}
    for name, prepare in ((ONNX, _onnx), (KERAS, _keras), (PREDICT, _predict)):
        try:
            ways[name] = prepare(entry, settings)
        except WeightsError as error:
            problems[name] = str(error)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _, run in ways.values():
        run(batch)  # what is compiled at the first run is no part of a photo's time
    for _ in range(rounds):
        for name, (_, run) in ways.items():
            times[name] += _turn(run, batch)
    return [
        EngineTime(name, ways[name][0], 1000 * statistics.median(times[name]))
        if name in ways
        else EngineTime(name, problem=problems[name])
        for name in (ONNX, KERAS, PREDICT)
    ]


def _turn(run: Callable[[np.ndarray], Any], batch: np.ndarray) -> list[float]:
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
    """Return what most tutorials call for one photo."""
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


def answer(question: Message) -> Message:
    """Measure the engines of the model that is asked for; an error is an answer too. Imports TensorFlow."""
    settings = get_settings()
    try:
        found = measured(load_manifest(settings).entry(question.values["model"]), settings)
    except Exception as error:  # libraries raise many kinds
        return Message({"error": failure_sentence(error)})
    return Message({"engines": [asdict(each) for each in found]})


def main() -> None:
    """Serve the process that wants to know."""
    serve(answer)


if __name__ == "__main__":
    main()
