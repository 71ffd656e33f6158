"""Architectures trained under one equal small budget: same photos, steps, size and optimizer. Imports TensorFlow.

Photos and masks are prepared as they are in use (`unet_core.images.preprocess`), so that a network with valid padding
sees the whole photo too. The runs are finished one by one, and each is in the file as soon as it is.
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
from unet_core.data.sources import Part, Source
from unet_core.errors import ConfigError
from unet_core.images.preprocess import scale
from unet_core.models import build
from unet_core.results.comparison_data import Pairs, flipped, prepared
from unet_core.results.comparison_recipes import (
    LEFT_OUT,
    RECIPES,
    Recipe,
    fingerprint,
    recipe,
    sized,
    usual_budget,
    with_encoder,
)
from unet_core.results.evaluation import load, provenance
from unet_core.results.files import Budget, ComparedRun, Comparison, Provenance, ResultsError, read_file, write_result
from unet_core.results.robustness import chosen_names
from unet_core.scoring.evaluate import Measurement, evaluate
from unet_core.scoring.timing import measure_latency
from unet_core.segment.engine import OnnxEngine
from unet_core.train.environment import processor_name
from unet_core.zoo.export import export

COMMAND = "python -m unet_core compare-architectures"
_WARM_UP_SHARE, _WEIGHT_DECAY = 0.05, 1e-4

Say = Callable[[str], None]


class Batches(keras.utils.PyDataset):
    """Shuffled and flipped batches, a function of the seed alone."""

    def __init__(self, pairs: Pairs, entry: Recipe, budget: Budget, how: str) -> None:
        super().__init__()
        self._pairs, self._entry, self._budget, self._how = pairs, entry, budget, how
        self._epoch = 0
        self._order = self._shuffled()

    def __len__(self) -> int:
        return -(-len(self._pairs.photos) // self._budget.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        size = self._budget.batch_size
        chosen = self._order[index * size : (index + 1) * size]
        random = np.random.default_rng((self._budget.seed, self._epoch, index))
        photos, masks = flipped(self._pairs.photos[chosen], self._pairs.masks[chosen], self._entry, random)
        return scale(photos, self._how), masks.astype(np.int32)

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._order = self._shuffled()

    def _shuffled(self) -> np.ndarray:
        return np.random.default_rng((self._budget.seed, self._epoch)).permutation(len(self._pairs.photos))


def run_comparison(
    budget: Budget,
    out: Path,
    *,
    only: Sequence[str] | None = None,
    encoders: Path | None = None,
    data: str = OXFORD_PETS,
    say: Say = print,
) -> Comparison:
    """Train and measure what is missing in the file `out`, which is complete after every run.

    Args:
        budget: what each run gets.
        out: the comparison's file; runs that it holds already are not trained again.
        only: names of recipes; all without.
        encoders: folder of pretrained encoders, such as `mobilenet_v2_0.35.weights.h5`; Keras downloads them without.
        data: the dataset.
        say: called with a sentence at every step.

    Raises:
        ConfigError: there is no such recipe, or the file holds runs of another budget.
        ValueError: the dataset is missing.
    """
    wanted = [recipe(name) for name in only] if only else list(RECIPES)
    finished = _finished(out, budget)
    source = open_source(data, RECIPES[0].config)
    found: Comparison | None = None
    for number, entry in enumerate(wanted, start=1):
        if entry.name in finished:
            say(f"{number} of {len(wanted)}: {entry.name} is there already")
            continue
        say(f"{number} of {len(wanted)}: {entry.name} …")
        run = train_one(entry, budget, source, encoders)
        finished[entry.name] = run
        found = _comparison(budget, finished)
        write_result(out, found)
        say(f"{number} of {len(wanted)}: {entry.name}: mean IoU {run.mean_iou:.4f}, {run.seconds:.0f} s of training")
    return found or read_file(out, Comparison)


def _finished(out: Path, budget: Budget) -> dict[str, ComparedRun]:
    """Return the runs that `out` holds and that are still what their recipes say."""
    if not out.exists():
        return {}
    try:
        before = read_file(out, Comparison)
    except ResultsError as error:
        raise ConfigError(f"{error} Delete {out}, or choose another file with --out.") from None
    if before.budget != budget:
        raise ConfigError(f"{out} holds runs of another budget: delete it, or choose another file with --out")
    known = {entry.name: fingerprint(entry, budget) for entry in RECIPES}
    return {run.name: run for run in before.runs if known.get(run.name) == run.fingerprint}


def _comparison(budget: Budget, finished: dict[str, ComparedRun]) -> Comparison:
    runs = tuple(finished[entry.name] for entry in RECIPES if entry.name in finished)
    return Comparison(measured=_measured_now(COMMAND, runs), budget=budget, runs=runs, left_out=LEFT_OUT)


def _measured_now(command: str, runs: Sequence[ComparedRun]) -> Provenance:
    """Return where and when; the time is that of all trainings, whichever call did them."""
    return provenance(command, sum(run.seconds for run in runs))


def train_one(entry: Recipe, budget: Budget, source: Source, encoders: Path | None = None) -> ComparedRun:
    """Train, export and measure one recipe."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(budget.seed)
    config = sized(entry, budget.side)
    traced = trace(config)
    output_size = (traced.output_shape[0], traced.output_shape[1])
    pairs = _pairs(source, budget, entry, config, output_size)
    model = build(with_encoder(config, encoders))
    began, began_cpu = time.perf_counter(), time.process_time()
    final_loss = _fit(model, Batches(pairs, entry, budget, config.preprocessing.scale), budget)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    bare = config.replace(encoder_weights="none")
    with tempfile.TemporaryDirectory() as folder:
        exported = export(model, bare, "onnx", Path(folder) / "model.onnx")
        engine = OnnxEngine(Path(exported.path).read_bytes(), bare)
    test = _measured(engine, bare, source, "test", budget.test_photos, budget.side)
    validation = _measured(engine, bare, source, "validation", budget.validation_photos, budget.side)
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
        onnx_bytes=exported.bytes,
        milliseconds=round(measure_latency(engine, bare).median, 3),
        milliseconds_load=load(),
        pixel_accuracy=_number(scores.pixel_accuracy),
        mean_iou=_number(scores.mean_iou),
        pet_iou=None if test.pet is None else _number(test.pet.dataset),
        iou={name: _number(value) for name, value in zip(test.classes, scores.iou, strict=True)},
        validation_mean_iou=_number(validation.scores.mean_iou),
        final_loss=round(final_loss, 6),
        seconds=round(seconds, 1),
        cpu_seconds=round(cpu_seconds, 1),
        machine=processor_name(),
        fingerprint=fingerprint(entry, budget),
    )


def remeasure_latency(out: Path, say: Say = print) -> Comparison:
    """Measure the time of one photo again for all runs of a file, as an idle machine shows it; nothing is trained.

    The time does not depend on the weights, so each network is built with random ones.
    """
    before = read_file(out, Comparison)
    runs = []
    for run in before.runs:
        config = sized(recipe(run.name), before.budget.side).replace(encoder_weights="none")
        keras.backend.clear_session()
        with tempfile.TemporaryDirectory() as folder:
            exported = export(build(config), config, "onnx", Path(folder) / "model.onnx")
            engine = OnnxEngine(Path(exported.path).read_bytes(), config)
        milliseconds = round(measure_latency(engine, config).median, 3)
        say(f"{run.name}: {milliseconds:.2f} ms")
        runs.append(run.replace(milliseconds=milliseconds, milliseconds_load=load()))
    found = before.replace(runs=tuple(runs), measured=_measured_now(before.measured.command, runs))
    write_result(out, found)
    return found


def _pairs(source: Source, budget: Budget, entry: Recipe, config: UNetConfig, output_size: tuple[int, int]) -> Pairs:
    names = chosen_names(source.names("train"), budget.photos)
    coding = target_coding(source, config.classes)
    photos, masks = [], []
    for example in source.examples("train"):
        if example.name in names:
            photo, ids = example.decode()
            pixels, mask = prepared(photo, coding.table[ids], entry, config, output_size)
            photos.append(pixels)
            masks.append(mask)
    return Pairs(np.stack(photos), np.stack(masks))


def _fit(model: keras.Model, batches: Batches, budget: Budget) -> float:
    """Train and return the last epoch's mean loss."""
    steps = len(batches) * budget.epochs
    warm_up = max(1, round(_WARM_UP_SHARE * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        budget.learning_rate * 0.1,
        decay_steps=max(1, steps - warm_up),
        warmup_target=budget.learning_rate,
        warmup_steps=warm_up,
        alpha=0.0,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=_WEIGHT_DECAY, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    history = model.fit(batches, epochs=budget.epochs, shuffle=False, verbose=0)
    return float(history.history["loss"][-1])


def _measured(engine: OnnxEngine, config: UNetConfig, source: Source, part: Part, count: int, side: int) -> Measurement:
    names = chosen_names(source.names(part), count)
    examples = (example for example in source.examples(part) if example.name in names)
    return evaluate(engine, config, examples, target_coding(source, config.classes), size=(side, side))


def _number(value: Any) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def budget_of(**changes: int) -> Budget:
    """Return the usual budget with changes, checked.

    Raises:
        ConfigError: the side is not one that all networks can work at.
    """
    side = changes.get("side", 64)
    if side % 32:
        raise ConfigError(f"side: must be a multiple of 32, for encoders that halve five times. Received: {side}")
    return usual_budget(**changes)
