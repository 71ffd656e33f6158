"""The models on offer: shipped ones and finished training runs; all sessions share their engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import streamlit as st

from ui.shared import format as text
from ui.shared import polling, training
from ui.shared.access import is_mine
from ui.shared.run_status import distinct_names
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.classes import CLASS_NAMES
from unet_core.errors import ConfigError
from unet_core.jobs.background_job import JobError
from unet_core.jobs.names import is_file_name
from unet_core.segment import EngineChoice, Segmenter, detect_gpu
from unet_core.settings import Settings
from unet_core.train.downloads import export_job, export_path, start_export
from unet_core.train.find_model import find_model
from unet_core.train.meaning import classes_of
from unet_core.train.run_directory import RunDirectory, RunError, RunLabel, best_epoch
from unet_core.zoo.manifest import FileKind, ModelEntry, ModelFile, WeightsError, file_record, load_manifest

MOST_NAMES = 6  # classes in the facts about a model
DONE = ("finished", "stopped")  # a stopped run has the weights of its best epoch


@dataclass(frozen=True)
class ModelChoice:
    """One entry in the list of models; `name` is its name in the manifest or a run's folder."""

    name: str
    title: str
    kind: Literal["shipped", "run"]
    facts: str
    second_look: bool = False  # has a zoomed second pass, see unet_core.segment.passes
    owner: str = ""  # of a run, see RunLabel


@dataclass(frozen=True)
class Model:
    """A model that is ready to use: its name, its manifest entry, the shared engine and a key for caches."""

    name: str
    entry: ModelEntry
    segmenter: Segmenter
    key: str


def model_choices(settings: Settings, linked: Sequence[str] = ()) -> list[ModelChoice]:
    """Return the models on offer: the manifest's default, then its other models, then runs, newest first.

    The runs are the visitor's own, and those whose ids an address names: `linked`.

    Raises:
        WeightsError: the manifest cannot be used; the message says what to do.
    """
    manifest = load_manifest(settings)
    names = [manifest.default, *(name for name in manifest.models if name != manifest.default)]
    shipped = [
        ModelChoice(name, entry.title or name, "shipped", _about_shipped(entry), entry.second_look)
        for name, entry in ((name, manifest.models[name]) for name in names)
    ]
    # Names start with the time; a leading dot marks a run that is being deleted.
    folders = sorted(settings.runs_dir.glob("[!.]*"), key=lambda path: path.name, reverse=True)
    found = (_run_choice(path, _stamp(path)) for path in folders if path.name not in manifest.models)
    runs = [run for run in found if run is not None and (run.name in linked or is_mine(run.owner, settings))]
    return _distinct_titles(shipped + runs, settings)


def _distinct_titles(models: list[ModelChoice], settings: Settings) -> list[ModelChoice]:
    """Return the models with unique titles: runs that share one get the time they were created."""
    labels = {
        model.name: RunLabel(model.title)
        if model.kind == "shipped"
        else replace(RunDirectory(settings.runs_dir / model.name).label(), name=model.title)
        for model in models
    }
    titles = distinct_names(labels)
    return [model if model.kind == "shipped" else replace(model, title=titles[model.name]) for model in models]


def default_model(settings: Settings) -> Model:
    """Return the default model; its file is verified every time and its engine loaded once for all sessions.

    Raises:
        WeightsError: the manifest or the file is missing, or its hash differs; the message says what to do.
    """
    return load(None, "auto", settings)


def load(name: str | None, engine: EngineChoice, settings: Settings) -> Model:
    """Return a model by its name in `model_choices` (None is the default) with its shared engine.

    Raises:
        WeightsError: the model is unknown, has no file for that engine, or a file's hash differs.
    """
    run = _run_named(name, settings)
    segmenter = Segmenter(name, engine, settings) if run is None else _of_run(run, engine, settings)
    files = "-".join(file.sha256[:16] for file in segmenter.entry.files.values())
    passes = segmenter.entry.passes
    return Model(segmenter.model, segmenter.entry, segmenter, f"{segmenter.model}-{segmenter.engine}-{passes}-{files}")


def onnx_entry(name: str, settings: Settings) -> tuple[ModelEntry, Settings]:
    """Return a model's manifest entry, and the settings with which its ONNX file is found; loads no engine.

    Raises:
        WeightsError: the model is unknown, or has no ONNX file.
    """
    run = _run_named(name, settings)
    if run is not None:
        return _run_entry(run, "onnx", settings)
    entry = load_manifest(settings).entry(name)
    if "onnx" not in entry.files:
        raise WeightsError(f"The model {name} has no ONNX file: export it, or choose another model.")
    return entry, settings


def ready(name: str, engine: EngineChoice, settings: Settings) -> bool:
    """Return whether a model can be loaded; if a run has no ONNX file yet, start its export and show the progress.

    The export runs in a separate process, so that this one needs no TensorFlow. Call it before `load`.
    """
    run = _run_named(name, settings)
    if run is None or _by_keras(engine) or export_path(run, "onnx") is not None:
        return True
    if not training.is_open(settings):
        why = training.why_closed(settings, "exporting its model")
        st.info(f"This run has no ONNX file yet, and {why}. Choose another model.", icon=":material/lock:")
        return False
    try:
        found = export_job(run, "onnx").status()
        failure = found.reason if found.state == "failed" else ""
        if not failure:
            start_export(run, "onnx", settings)  # no effect if it is running
    except (RunError, JobError) as error:
        failure = str(error)
    if not failure:
        _await_export(run)
        return False
    st.error(
        f"This run's model could not be exported for ONNX Runtime: {text.plain(failure)} "
        "The engine TensorFlow works without an export.",
        icon=":material/heart_broken:",
    )
    st.button("Try again", icon=":material/refresh:", on_click=_start_export, args=(run, settings))
    return False


def _start_export(run: RunDirectory, settings: Settings) -> None:
    start_export(run, "onnx", settings)


def _await_export(run: RunDirectory) -> None:
    name = text.plain(run.label().name)

    def show() -> None:
        st.info(f"Exporting the model of {name} for ONNX Runtime, only once.", icon=":material/hourglass_top:")

    polling.poll(show, ended=lambda: export_job(run, "onnx").status().state != "running")


@lru_cache(maxsize=64)
def _about(config: UNetConfig) -> str:
    size = text.pixels(config.width, config.height)
    return f"{text.number(trace(config).total_params)} parameters · {size} input"


def _about_shipped(entry: ModelEntry) -> str:
    return _about(entry.config) + " · zoomed second pass" * entry.second_look


def _stamp(folder: Path) -> tuple[int, ...]:
    """Return a value that changes whenever a run's entry in the list may change."""
    return tuple(
        _changed(folder / name) for name in ("config.json", "status.json", "label.json", "metrics.csv", "classes.json")
    )


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=256)
def _run_choice(folder: Path, stamp: tuple[int, ...]) -> ModelChoice | None:
    """Describe a run that has ended with weights; None for any other folder. Read again when `stamp` changes."""
    run = RunDirectory(folder)
    try:
        if not RunDirectory.exists(folder) or run.status().state not in DONE or not run.has_weights():
            return None
        config = run.config()
        rows = run.metrics.rows()
    except (ConfigError, OSError, ValueError):  # from another version of this program, or deleted meanwhile
        return None
    if config.model.channels not in (1, 3):
        return None
    facts = f"Trained on {config.data_title} · {_about(config.model)}"
    best = best_epoch(rows)
    score = next((row["val_mean_iou"] for row in rows if row["epoch"] == best), None)
    if score is not None:
        facts += f" · validation mean IoU {text.percent(score)}"
    facts += _about_classes(run)
    label = run.label()
    return ModelChoice(folder.name, label.name, "run", facts, owner=label.owner)


def _about_classes(run: RunDirectory) -> str:
    """Return what a run's model finds if that is not pets, or that nobody knows."""
    classes, known = classes_of(run)
    if not known:
        return " · its class names were not recorded, so they are numbered"
    if set(classes.names) <= set(CLASS_NAMES):
        return ""
    names = ", ".join(classes.names[:MOST_NAMES]) + " …" * (len(classes.names) > MOST_NAMES)
    return f" · classes {names}"


def _run_named(name: str | None, settings: Settings) -> RunDirectory | None:
    """Return the run of that name; None for shipped models and unknown names, which may come from an address."""
    if name is None or name in load_manifest(settings).models or not is_file_name(name):
        return None
    folder = settings.runs_dir / name
    return RunDirectory(folder) if _run_choice(folder, _stamp(folder)) is not None else None


def _by_keras(engine: EngineChoice) -> bool:
    return engine == "keras" or (engine == "auto" and detect_gpu() is not None)


def _of_run(run: RunDirectory, engine: EngineChoice, settings: Settings) -> Segmenter:
    kind: FileKind = "weights" if _by_keras(engine) else "onnx"
    entry, settings = _run_entry(run, kind, settings)
    return Segmenter(run.id, "keras" if kind == "weights" else "onnx", settings, entry=entry)


def _run_entry(run: RunDirectory, kind: FileKind, settings: Settings) -> tuple[ModelEntry, Settings]:
    path = run.weights if kind == "weights" else export_path(run, "onnx")
    if path is None:
        raise WeightsError(f"The run {run.label().name} has no ONNX file yet: choose the engine TensorFlow.")
    entry = find_model(run.path, settings).run_entry({kind: _record(path, path.stat().st_mtime_ns)})
    return entry, settings.replace(weights_dir=path.parent)


@lru_cache(maxsize=32)
def _record(path: Path, changed: int) -> ModelFile:
    """Hash a file, only if it has changed."""
    return file_record(path)
