"""Architectures trained under one equal small budget: same photos, steps, size and optimizer. Imports TensorFlow.

Each is an ordinary training run (`compared_networks.train_config`) on photos that `comparison_data` prepares as for
prediction, so that a network with valid padding gets the whole photo too. The file is written after each run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.pipeline import open_source, target_coding
from unet_core.data.sources import Source
from unet_core.errors import ConfigError
from unet_core.models import build
from unet_core.results.compared_networks import (
    COMMAND,
    LEFT_OUT,
    NETWORKS,
    ComparedNetwork,
    find_network,
    fingerprint,
    sized,
    train_config,
)
from unet_core.results.comparison_data import ComparedPhotos
from unet_core.results.evaluation import load, provenance
from unet_core.results.files import Budget, ComparedRun, Comparison, Provenance, ResultsError, read_file, write_result
from unet_core.scoring.evaluate import evaluate
from unet_core.scoring.timing import measure_latency
from unet_core.segment.engine import OnnxEngine
from unet_core.train.environment import processor_name
from unet_core.train.fit import train
from unet_core.train.run_directory import RunDirectory, RunError
from unet_core.zoo.export import export

Say = Callable[[str], None]


def run_comparison(
    budget: Budget,
    out: Path,
    *,
    only: Sequence[str] | None = None,
    encoders: Path | None = None,
    data: str = OXFORD_PETS,
    say: Say = print,
) -> Comparison:
    """Train and measure the networks missing from the file `out`, which is written after every run.

    Args:
        budget: what each run gets.
        out: the comparison's file; runs that it already holds are not trained again.
        only: names of networks; default: all.
        encoders: folder of pretrained encoders, such as `mobilenet_v2_0.35.weights.h5`; without, Keras downloads them.
        data: the dataset.
        say: called with a sentence at every step.

    Raises:
        ConfigError: there is no such network, or the file holds runs of another budget.
        RunError: a training run ended before its last epoch, as on a full disk.
        ValueError: the dataset is missing.
    """
    wanted = [find_network(name) for name in only] if only else list(NETWORKS)
    finished = _finished(out, budget)
    source = open_source(data, NETWORKS[0].config)
    found: Comparison | None = None
    for number, entry in enumerate(wanted, start=1):
        if entry.name in finished:
            say(f"{number} of {len(wanted)}: {entry.name} is finished already")
            continue
        say(f"{number} of {len(wanted)}: {entry.name} …")
        run = train_one(entry, budget, source, encoders)
        finished[entry.name] = run
        found = _comparison(budget, finished)
        write_result(out, found)
        say(f"{number} of {len(wanted)}: {entry.name}: mean IoU {run.mean_iou:.4f}, {run.seconds:.0f} s of training")
    return found or read_file(out, Comparison)


def _finished(out: Path, budget: Budget) -> dict[str, ComparedRun]:
    """Return the runs in `out` whose network and budget have not changed since."""
    if not out.exists():
        return {}
    try:
        before = read_file(out, Comparison)
    except ResultsError as error:
        raise ConfigError(f"{error} Delete {out}, or choose another file with --out.") from None
    if before.budget != budget:
        raise ConfigError(f"{out} holds runs of another budget: delete it, or choose another file with --out")
    known = {entry.name: fingerprint(entry, budget) for entry in NETWORKS}
    return {run.name: run for run in before.runs if known.get(run.name) == run.fingerprint}


def _comparison(budget: Budget, finished: dict[str, ComparedRun]) -> Comparison:
    runs = tuple(finished[entry.name] for entry in NETWORKS if entry.name in finished)
    return Comparison(measured=_measured_now(COMMAND, runs), budget=budget, runs=runs, left_out=LEFT_OUT)


def _measured_now(command: str, runs: Sequence[ComparedRun]) -> Provenance:
    """Return the provenance; its time is the sum over all trainings, whichever call did them."""
    return provenance(command, sum(run.seconds for run in runs))


def train_one(entry: ComparedNetwork, budget: Budget, source: Source, encoders: Path | None = None) -> ComparedRun:
    """Train, export and measure one network."""
    keras.backend.clear_session()
    training = train_config(entry, budget, encoders)
    config = training.model.replace(encoder_weights="none")
    traced = trace(config)
    assert traced.output_shape is not None  # `sized` chose an input that fits
    photos = ComparedPhotos(source, entry, budget, config, traced.output_shape[:2])
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory(Path(folder) / "run")
        began = time.process_time()
        summary = train(training, run.path, source=photos)
        if summary.state != "finished":
            raise RunError(f"{entry.name}: {summary.reason}")
        cpu_seconds = time.process_time() - began
        epochs = run.metrics.rows()
        model = build(config)
        model.load_weights(run.last_weights)  # not the best epoch's: all networks get the same number of steps
    onnx_bytes, engine = _exported(model, config)
    side = (budget.side, budget.side)
    test = evaluate(engine, config, photos.examples("test"), target_coding(photos, config.classes), size=side)
    scores = test.scores
    return ComparedRun(
        name=entry.name,
        title=entry.title,
        group=entry.group,
        teaches=entry.teaches,
        changed=entry.changed,
        input_shape=config.input_shape,
        parameters=traced.total_params,
        macs=traced.total_macs,
        onnx_bytes=onnx_bytes,
        milliseconds=round(measure_latency(engine, config).median, 3),
        milliseconds_load=load(),
        pixel_accuracy=_number(scores.pixel_accuracy),
        mean_iou=_number(scores.mean_iou),
        pet_iou=None if test.pet is None else _number(test.pet.dataset),
        iou={name: _number(value) for name, value in zip(test.classes, scores.iou, strict=True)},
        validation_mean_iou=_number(epochs[-1]["val_mean_iou"]),
        final_loss=round(epochs[-1]["loss"], 6),
        seconds=round(sum(row["seconds"] for row in epochs), 1),
        cpu_seconds=round(cpu_seconds, 1),
        machine=processor_name(),
        fingerprint=fingerprint(entry, budget),
    )


def remeasure_latency(out: Path, say: Say = print) -> Comparison:
    """Measure the time per photo again for all runs of a file; nothing is trained.

    The time does not depend on the weights, so each network is built with random ones.
    """
    before = read_file(out, Comparison)
    runs = []
    for run in before.runs:
        config = sized(find_network(run.name), before.budget.side).replace(encoder_weights="none")
        keras.backend.clear_session()
        _, engine = _exported(build(config), config)
        milliseconds = round(measure_latency(engine, config).median, 3)
        say(f"{run.name}: {milliseconds:.2f} ms")
        runs.append(run.replace(milliseconds=milliseconds, milliseconds_load=load()))
    found = before.replace(runs=tuple(runs), measured=_measured_now(before.measured.command, runs))
    write_result(out, found)
    return found


def _exported(model: keras.Model, config: UNetConfig) -> tuple[int, OnnxEngine]:
    """Return the size of the model as ONNX, in bytes, and an engine that runs it."""
    with tempfile.TemporaryDirectory() as folder:
        exported = export(model, config, "onnx", Path(folder) / "model.onnx")
        return exported.bytes, OnnxEngine(Path(exported.path).read_bytes(), config)


def _number(value: Any) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
