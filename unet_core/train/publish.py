"""Publishing a trained run as a shipped model: files, hashes, and a manifest entry that records its training."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import PRESETS
from unet_core.classes import BACKGROUND
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.oxford.oxford_pets import VERSION as OXFORD_VERSION
from unet_core.data.pipeline import open_source, target_coding
from unet_core.data.sources import PARTS, Source, SplitName
from unet_core.errors import UNetError
from unet_core.jobs.disclosure import data_title, without_paths
from unet_core.machine import available_cores
from unet_core.scoring.evaluate import report
from unet_core.scoring.timing import measure_latency
from unet_core.segment.engine import OnnxEngine
from unet_core.segment.network import Network
from unet_core.segment.passes import TwoPasses
from unet_core.settings import Settings, get_settings
from unet_core.train.callbacks import save_model_weights
from unet_core.train.checks import network_differences
from unet_core.train.config import TrainConfig
from unet_core.train.environment import processor_name
from unet_core.train.find_model import ModelSource, find_model, recipe_of
from unet_core.train.meaning import credit_of
from unet_core.train.run_directory import RunDirectory, best_epoch
from unet_core.train.use_model import Subject, measure
from unet_core.zoo.export import Export, export
from unet_core.zoo.manifest import ModelEntry, WeightsError, file_record, write_entry
from unet_core.zoo.meaning import DataOrigin


def publish(
    run_path: str | Path,
    name: str,
    *,
    metrics: dict[str, Any] | None = None,
    title: str | None = None,
    description: str | None = None,
    licence: str | None = None,
    average_with: Sequence[str | Path] = (),
    second_look: bool = False,
    make_default: bool = False,
    measure_on: Sequence[SplitName] = (),
    recipe: Mapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    settings: Settings | None = None,
) -> tuple[ModelEntry, Export]:
    """Export the best weights of a run into the weights folder and enter them in the manifest under `name`.

    Args:
        run_path: the run, as `find_model` finds it: its folder or id, or a `.weights.h5` in it.
        name: of the model; an older one of that name is replaced.
        metrics: figures by data part, as `evaluate` returns them; a single run's own validation figures are added.
        title, description: shown to people; by default those of the preset `name`.
        licence: of the weights; by default that of the run's data, which is "unknown" for a user's own data.
        average_with: further runs of the same architecture, such as one that it started from; each weight becomes the
            mean over all runs (Wortsman et al. 2022, "Model soups"; "Robust fine-tuning of zero-shot models").
        second_look: the model uses a zoomed second pass, see `unet_core.segment.passes`.
        make_default: use this model when none is named.
        measure_on: parts of the run's data to measure the model on, whose figures are added.
        recipe: what the run's own files do not say about its training, such as another program that it was trained by.
        progress: of measuring: called with the part, the photos done and their total.
        settings: its `weights_dir` is written to.

    Raises:
        RunError, WeightsError: there is no such run, a run has no weights or another architecture, or the folder
            cannot be used.
        ExportError: the ONNX file does not compute what Keras computes.
        UNetError: the model is to be measured, but the run's data are missing or no longer fit it.

    Nothing is changed if an error is raised.
    """
    settings = settings or get_settings()
    source = find_model(run_path, settings)
    run, folder = _run_of(source), settings.weights_dir
    other_sources = [find_model(path, settings) for path in average_with]
    others = [_run_of(other) for other in other_sources]
    model = _averaged(source, other_sources)
    config, preset = run.config(), PRESETS.get(name)
    dataset = _dataset(config, settings, needed=bool(measure_on) or second_look)
    origin = source.origin
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as made:  # a failure changes no shipped file
        onnx_file, weights_file = Path(made) / f"{name}.onnx", Path(made) / f"{name}.weights.h5"
        exported = export(model, source.config, "onnx", onnx_file, meaning=source.meaning)
        save_model_weights(model, weights_file)
        network: Network = OnnxEngine(onnx_file.read_bytes(), source.config, threads=settings.threads)
        entry = ModelEntry(
            title=title or (preset.title if preset else name),
            description=description or (preset.description if preset else ""),
            config=source.config,
            preprocessing=source.config.preprocessing,
            classes=source.classes,
            second_look=second_look,
            files={"onnx": file_record(onnx_file), "weights": file_record(weights_file)},
            recipe=_recipe(run)
            | ({"averaged_with": [_recipe(other) for other in others]} if others else {})
            | dict(recipe or {}),
            data=_data(config, origin, dataset),
            metrics=({} if others else _validation_figures(run)) | (metrics or {}),
            licence=licence or origin.licence,
            credit=origin.credit or credit_of(config),
        )
        if second_look and dataset is not None:
            _check_background(entry, dataset)
            network = TwoPasses(network, entry.background)
        figures = _measured(
            ModelSource(name, source.config, weights_file, entry=entry), network, config, measure_on, progress
        )
        entry = entry.replace(latency=_latency(network, source.config), metrics=dict(entry.metrics) | figures)
        for file in (onnx_file, weights_file):
            os.replace(file, folder / file.name)
    write_entry(name, entry, folder, make_default=make_default)
    return entry, exported


def _run_of(source: ModelSource) -> RunDirectory:
    if source.run is None:
        raise WeightsError(f"{source.name} is a shipped model already: name a run to publish")
    return source.run


def _measured(
    source: ModelSource,
    network: Network,
    config: TrainConfig,
    parts: Sequence[SplitName],
    progress: Callable[[str, int, int], None] | None,
) -> dict[str, Any]:
    """Return the model's figures by part of the primary data of its run."""
    subject = Subject(source, network, config.primary, config.split)
    figures = {}
    for part in parts:
        show = None if progress is None else functools.partial(progress, part)
        figures[part] = {
            "data": data_title(config.primary),
            "split": part,
            "engine": network.name,
            "flip": False,
            "second_look": source.second_look,
            **report(measure(subject, part, progress=show)),
        }
    return figures


def _averaged(source: ModelSource, others: Sequence[ModelSource]) -> keras.Model:
    """Return a model whose weights are the means over several sources."""
    for other in others:
        differences = network_differences(source.config, other.config)
        if differences or (source.classes.names, source.config.preprocessing) != (
            other.classes.names,
            other.config.preprocessing,
        ):
            named = (
                "; ".join(f"{field}: {values}" for field, values in differences.items()) or "classes or preprocessing"
            )
            raise WeightsError(f"{other.name} cannot be averaged with {source.name}, which differs in {named}")
    model = source.load()
    values = [each.get_weights() for each in (model, *(other.load() for other in others))]
    model.set_weights([np.mean(same, axis=0) for same in zip(*values, strict=True)])
    return model


def _recipe(run: RunDirectory) -> dict[str, Any]:
    rows, environment = run.metrics.rows(), run.environment()
    best = best_epoch(rows)
    return {
        "config": recipe_of(run),
        "epochs_trained": len(rows),
        "best_epoch": None if best is None else best + 1,
        "minutes": round(sum(row.get("seconds", 0.0) for row in rows) / 60, 1),
        "processor": environment.get("processor"),
        "gpus": environment.get("gpus"),
        "packages": environment.get("packages"),
        "git_commit": environment.get("git_commit"),
    }


def _dataset(config: TrainConfig, settings: Settings, needed: bool) -> Source | None:
    """Open the data of a run; None if they are missing and not needed."""
    try:
        return open_source(config.data, config.model, config.split, data_dir=settings.data_dir)
    except UNetError:
        if needed:
            raise
        return None


def _check_background(entry: ModelEntry, dataset: Source) -> None:
    """Refuse a zoomed second pass if the data's background is another class than the entry's."""
    names = target_coding(dataset, entry.config.classes).class_names
    if entry.config.classes > 1 and names[entry.background] != BACKGROUND.name:
        raise WeightsError(
            f"second_look: needs class {entry.background} to be the background. Classes of the data: {', '.join(names)}"
        )


def _data(config: TrainConfig, origin: DataOrigin, source: Source | None) -> dict[str, Any]:
    parts = () if source is None else PARTS
    return {
        "name": origin.name,
        "version": OXFORD_VERSION if config.primary == OXFORD_PETS else None,
        "description": origin.description or ("" if source is None else without_paths(source.description)),
        "pictures": origin.pictures,
        "crops": origin.crops,
        "split_scheme": config.split_scheme,
        "validation_fraction": config.validation_fraction,
        "near_duplicates_dropped": config.drop_near_duplicates,
        "photos": {part: len(source.names(part)[: config.limit]) for part in parts if source is not None},
    }


def _validation_figures(run: RunDirectory) -> dict[str, dict[str, float]]:
    rows = run.metrics.rows()
    best = best_epoch(rows)
    row = next((row for row in rows if row["epoch"] == best), {})
    figures = {key.removeprefix("val_"): round(value, 6) for key, value in row.items() if key.startswith("val_")}
    return {"validation_in_training": figures} if figures else {}


def _latency(network: Network, config: UNetConfig) -> dict[str, Any]:
    latency = measure_latency(network, config)
    return {
        "milliseconds": round(latency.median, 3),
        "milliseconds_90_percent": round(latency.percentile90, 3),
        "what": "network alone, one photo, median",
        "runs": latency.runs,
        "engine": "onnx",
        "device": network.device,
        "machine": f"{processor_name()}, {available_cores()} cores",
    }
