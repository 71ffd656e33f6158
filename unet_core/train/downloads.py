"""Downloads of a run: a report on one page, TensorBoard's files, the model in other formats."""

from __future__ import annotations

import io
import textwrap
import time
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unet_core.architecture.table import grouped
from unet_core.architecture.trace import trace
from unet_core.images.render import overlay
from unet_core.jobs.background_job import BackgroundJob
from unet_core.jobs.disclosure import without_paths
from unet_core.segment.contact_sheet import DRAWING
from unet_core.settings import Settings, get_settings
from unet_core.train import previews
from unet_core.train.config import TrainConfig
from unet_core.train.never_predicted import recorded, sentence
from unet_core.train.run_directory import RunDirectory, RunError, best_epoch, export_file
from unet_core.train.silent_depth import recorded_silent_layer
from unet_core.train.silent_depth import sentence as silent_sentence
from unet_core.train.tested_photos import mask_colours

ExportFormat = Literal["keras", "onnx", "zip"]

_PAGE = (8.27, 11.69)  # A4 upright, in inches
_TRAINING, _VALIDATION = "#0072b2", "#d55e00"
_GREY = "#555555"
_SHOWN_SAMPLES = 4
_DOTS_PER_INCH = 150


# --- the report -------------------------------------------------------------------------------------------------------


def report(run: RunDirectory, format: Literal["png", "pdf"]) -> bytes:
    """Draw the run on one A4 page: figures, curves, examples, confusion matrix, settings; PNG has 150 dots per inch.

    Raises:
        RunError: no epoch has ended yet.
    """
    rows = run.metrics.rows()
    if not rows:
        raise RunError("There is nothing to report yet: wait for the end of the first epoch.")
    title = run.label().name
    buffer = io.BytesIO()
    with DRAWING, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # no font may cover the script of a name
        figure = _page(run, rows, title)
        metadata = {"Title": title} if format == "pdf" else None
        figure.savefig(buffer, format=format, dpi=_DOTS_PER_INCH, metadata=metadata)
    return buffer.getvalue()


def _page(run: RunDirectory, rows: Sequence[Mapping[str, float]], title: str) -> Any:
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and picks a window system

    figure = Figure(figsize=_PAGE, facecolor="white")
    shown = title if len(title) <= 70 else title[:69] + "…"
    figure.text(0.08, 0.965, shown, size=16, weight="bold", va="top", parse_math=False)
    figure.text(0.08, 0.935, _headline(run, rows), size=9.5, color=_GREY, va="top", linespacing=1.6, parse_math=False)
    best = best_epoch(rows)
    _curves(figure.add_axes((0.09, 0.688, 0.38, 0.16)), rows, "loss", "Loss", best)
    _curves(figure.add_axes((0.58, 0.688, 0.38, 0.16)), rows, "mean_iou", "Mean IoU", best)
    _examples(figure, run, best)
    _confusion(figure, run)
    _settings_text(figure, run)
    return figure


def _headline(run: RunDirectory, rows: Sequence[Mapping[str, float]]) -> str:
    config, status, best = run.config(), run.status(), best_epoch(rows)
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.label().created))
    state = status.state + (f" ({without_paths(status.reason)})" if status.reason else "")
    seconds = sum(row.get("seconds", 0.0) for row in rows)
    parameters = grouped(trace(config.model).total_params)
    lines = [
        f"{started}   {state}   {len(rows)} of {config.epochs} epochs in {_duration(seconds)}",
        f"{parameters} parameters at {config.model.height}×{config.model.width}, trained on {config.data_title}",
    ]
    if best is not None:
        row = next(row for row in rows if row["epoch"] == best)
        found = f"Best on validation: mean IoU {row['val_mean_iou']:.3f}"
        found += f", pixel accuracy {row['val_pixel_accuracy']:.3f}" if "val_pixel_accuracy" in row else ""
        lines.append(f"{found}, in epoch {best + 1}")
    if lost := recorded(run, "best"):
        lines.append(sentence(lost)[:120])
    if layer := recorded_silent_layer(run):
        lines.append(silent_sentence(layer, config.model).partition(". ")[0][:120])
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _curves(axes: Any, rows: Sequence[Mapping[str, float]], name: str, title: str, best: int | None) -> None:
    epochs = [row["epoch"] + 1 for row in rows]
    marker = "o" if len(rows) < 15 else None
    for key, colour, label in ((name, _TRAINING, "training"), (f"val_{name}", _VALIDATION, "validation")):
        values = [row.get(key, float("nan")) for row in rows]
        axes.plot(epochs, values, color=colour, label=label, linewidth=1.5, marker=marker, markersize=3)
    if best is not None:
        axes.axvline(best + 1, color="#999999", linewidth=0.8, linestyle=":")
    axes.set_title(title, size=10, loc="left", weight="bold")
    axes.set_xlabel("epoch", size=8, color=_GREY)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _examples(figure: Any, run: RunDirectory, best: int | None) -> None:
    """Draw photo, true mask and prediction of a few samples, one column each."""
    epochs = previews.epochs(run)
    samples = previews.samples(run)[:_SHOWN_SAMPLES]
    if not epochs or not samples:
        return
    shown = epochs[-1] if best is None else min(epochs, key=lambda epoch: abs(epoch - best - 1))
    figure.text(0.08, 0.638, "Examples", size=10, weight="bold", va="top")
    rows = (("photo", None), ("true mask", "truth"), (f"epoch {shown}", "prediction"))
    width, height, top = 0.2, 0.108, 0.615
    for line, (label, kind) in enumerate(rows):
        bottom = top - (line + 1) * height
        figure.text(0.065, bottom + height / 2, label, size=8, rotation=90, va="center", ha="center", color=_GREY)
        for column, sample in enumerate(samples):
            photo = previews.picture(run, sample.index)
            ids = {None: None, "truth": previews.truth(run, sample.index)}.get(kind)
            if kind == "prediction":
                ids = previews.mask(run, shown, sample.index)
            if kind == "truth" and ids is None:
                continue
            axes = figure.add_axes((0.08 + column * 0.222, bottom + 0.004, width, height - 0.008))
            axes.imshow(photo if ids is None else overlay(photo, ids, colours=mask_colours(run.classes())))
            axes.set_axis_off()


def _confusion(figure: Any, run: RunDirectory) -> None:
    found = run.test()
    if found is None:
        return
    matrix = found.confusion / np.maximum(found.confusion.sum(axis=1, keepdims=True), 1)
    figure.text(0.08, 0.262, "Test photos", size=10, weight="bold", va="top")
    figure.text(
        0.08,
        0.244,
        f"{found.images} of {found.of}: mean IoU {found.mean_iou:.3f}, pixel accuracy {found.pixel_accuracy:.3f}",
        size=8.5,
        color=_GREY,
        va="top",
    )
    count = len(found.classes)
    axes = figure.add_axes((0.18, 0.055, 0.24, 0.16))
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [f"{name[:12]}\nIoU {found.iou[name]:.2f}" for name in found.classes]
    axes.set_xticks(range(count), [name[:12] for name in found.classes], size=8, rotation=0 if count < 5 else 90)
    axes.set_yticks(range(count), names if count < 8 else list(found.classes), size=8)
    axes.set_xlabel("predicted", size=8, color=_GREY)
    axes.set_ylabel("true", size=8, color=_GREY)
    if count > 8:
        return
    for row in range(count):
        for column in range(count):
            colour = "white" if matrix[row, column] > 0.55 else "black"
            axes.text(column, row, f"{100 * matrix[row, column]:.0f} %", ha="center", va="center", size=8, color=colour)


def _settings_text(figure: Any, run: RunDirectory) -> None:
    figure.text(0.56, 0.262, "Settings", size=10, weight="bold", va="top")
    lines = [wrapped for line in _settings_lines(run) for wrapped in textwrap.wrap(line, 58, subsequent_indent="   ")]
    figure.text(0.56, 0.24, "\n".join(lines), size=8, va="top", linespacing=1.5, family="DejaVu Sans", parse_math=False)


def _settings_lines(run: RunDirectory) -> list[str]:
    config, environment = run.config(), run.environment()
    model, packages = config.model, environment.get("packages", {})
    encoder = "" if model.encoder == "none" else f", encoder {model.encoder} ({Path(model.encoder_weights).name})"
    machine = ", ".join(environment.get("gpus", [])) or environment.get("processor", "")
    commit = (environment.get("git_commit") or "")[:10]
    return [
        f"depth {model.depth}, {model.convolution} convolutions, {model.padding} padding{encoder}",
        f"{config.loss}, {config.optimizer}, learning rate {config.learning_rate:g} ({config.schedule})",
        f"batch {config.batch_size}, {_regularization(config)}",
        f"augmentation {'on' if config.augmentation.enabled else 'off'}, split {config.split_scheme}"
        + (f", at most {config.limit} photos per part" if config.limit else ""),
        f"seed {config.seed}, {len(run.metrics.rows())} epochs",
        machine,
        f"TensorFlow {packages.get('tensorflow', '–')}, Keras {packages.get('keras', '–')}"
        + (
            f", commit {commit}{' with uncommitted changes' if environment.get('git_changes') else ''}"
            if commit
            else ""
        ),
    ]


def _regularization(config: TrainConfig) -> str:
    parts = []
    if config.optimizer == "adamw":
        parts.append(f"weight decay {config.weight_decay:g}")
    if config.model.spatial_dropout:
        parts.append(f"dropout {config.model.spatial_dropout:g}")
    if config.model.decoder_dropout:
        parts.append(f"decoder dropout {config.model.decoder_dropout:g}")
    if config.label_smoothing:
        parts.append(f"label smoothing {config.label_smoothing:g}")
    if config.ema.enabled:
        parts.append(f"averaged weights {config.ema.momentum:g}")
    if config.gradient_clip:
        parts.append(f"gradient clip {config.gradient_clip:g}")
    return ", ".join(parts) or "no regularization"


# --- files ------------------------------------------------------------------------------------------------------------


def tensorboard_zip(run: RunDirectory) -> bytes:
    """Return the run's event files as a ZIP: unpack it and run `tensorboard --logdir FOLDER`.

    Raises:
        RunError: no epoch has ended yet.
    """
    folder = run.path / "tensorboard"
    files = sorted(path for path in folder.rglob("events.out.*") if path.is_file())
    if not files:
        raise RunError("There are no event files yet: wait for the end of the first epoch.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, Path(run.id) / path.relative_to(folder))
    return buffer.getvalue()


def export_path(run: RunDirectory, format: ExportFormat) -> Path | None:
    """Return the run's model in that format; None if it was not exported, or from older weights."""
    path = export_file(run, format)
    if not path.is_file() or not run.has_weights() or path.stat().st_mtime < run.weights.stat().st_mtime:
        return None
    return path


def export_job(run: RunDirectory, format: ExportFormat) -> BackgroundJob:
    """Return the job that exports the model to that format; watch its `status()`."""
    return BackgroundJob(run.path / "exports", format)


def start_export(run: RunDirectory, format: ExportFormat, settings: Settings | None = None) -> BackgroundJob:
    """Export the run's model in a separate process; does nothing if that is already running.

    Raises:
        RunError: the run has no weights yet.
        JobError: the folder cannot be written.
    """
    if not run.has_weights():
        raise RunError(f"{run.label().name} has no weights yet: wait for the end of the first epoch.")
    job = export_job(run, format)
    command = ["-m", "unet_core", "export", "--model", str(run.path.resolve()), "--format", format]
    job.start(command, settings or get_settings())
    return job
