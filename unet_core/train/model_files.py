"""Files that describe a run's network: a plot in the style of Keras' `plot_model`, and the text of `summary()`."""

from __future__ import annotations

import io
import zipfile

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.explain.model_plot import model_plot_svg
from unet_core.explain.summary import model_summary
from unet_core.jobs.tables import write_atomically
from unet_core.train.run_directory import RunDirectory
from unet_core.train.tested_photos import panel_files

_PLOT, _SUMMARY = "model.svg", "summary.txt"


def write_model_files(run: RunDirectory, model: UNetConfig) -> None:
    """Write model.svg and summary.txt."""
    traced = trace(model)
    write_atomically(run.path / _PLOT, model_plot_svg(traced))
    write_atomically(run.path / _SUMMARY, model_summary(traced))


def plots_zip(run: RunDirectory) -> bytes:
    """Return the model's plot and summary and the plots of test photos, as far as they are there, as a ZIP."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (_PLOT, _SUMMARY):
            path = run.path / name
            if path.is_file():
                archive.write(path, f"{run.id}/{name}")
        for number, content in enumerate(panel_files(run)):
            archive.writestr(f"{run.id}/test_photos/{number:02d}.png", content)
    return buffer.getvalue()
