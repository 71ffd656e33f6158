"""The results of a run: scores on the test photos, a button to the Segment page, and downloads."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import streamlit as st

from ui.segment.options import MODEL
from ui.shared import download, frame, polling, training
from ui.shared import format as text
from ui.shared.lazy import pd
from ui.train.charts import confusion_spec, confusion_table
from ui.train.live import written
from unet_core.jobs.background_job import JobError
from unet_core.settings import Settings
from unet_core.train import downloads
from unet_core.train.downloads import ExportFormat
from unet_core.train.run_directory import RunDirectory, RunError, TestResult

ERROR = "train-export-error"


def results(run: RunDirectory, settings: Settings) -> None:
    """Draw the results of a run that has ended with weights."""
    found = run.test()
    with st.container(border=True, key="train-results"):
        left, right = st.columns([3, 2], gap="large")
        with left:
            _scores(run, found)
            _use(run, settings)
            st.markdown("**Downloads**")
            _downloads(run, settings)
        with right:
            if found is None:
                st.caption("There is no confusion matrix: the test photos are evaluated at the end of a complete run.")
            else:
                st.markdown("**Confusion matrix**: true classes in rows")
                spoken = ", ".join(f"{name} IoU {value:.2f}" for name, value in found.iou.items())
                table = confusion_table(found.confusion, found.classes)
                st.vega_lite_chart(table, confusion_spec(found.classes), alt=f"Confusion matrix; {spoken}")


def _scores(run: RunDirectory, found: TestResult | None) -> None:
    if found is None:
        rows = run.metrics.rows()
        best = max((row.get("val_mean_iou", 0.0) for row in rows), default=0.0)
        st.markdown("**Not evaluated on test photos.** The best epoch on validation photos:")
        st.metric("Mean IoU", f"{best:.3f}")
        return
    counted = f"{text.number(found.images)} of {text.number(found.of)}" if found.images < found.of else "all"
    st.markdown(f"**On {counted} test photos**, which it was not trained on")
    with st.grid(5, min_column_width=100, gap="small"):
        st.metric("Mean IoU", f"{found.mean_iou:.3f}")
        st.metric("Mean Dice", f"{found.mean_dice:.3f}")
        st.metric("Loss", "–" if found.loss is None else f"{found.loss:.3f}")
        st.metric("Pixel accuracy", text.percent(found.pixel_accuracy))
        st.metric("Per photo", text.milliseconds(found.milliseconds))
    rows = [{"class": name, "IoU": found.iou[name], "Dice": found.dice[name]} for name in found.classes]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content",
        column_config={
            name: st.column_config.ProgressColumn(name, min_value=0, max_value=1, format="%.3f", width=104)
            for name in ("IoU", "Dice")
        },
        alt="IoU and Dice of each class",
    )


def _use(run: RunDirectory, settings: Settings) -> None:
    """Draw a button to the Segment page, or first one that makes the file for it."""
    if downloads.export_path(run, "onnx") is not None:
        if st.button("Use in Segment", icon=frame.SEGMENT.icon, type="primary", key="train-use"):
            st.switch_page(frame.SEGMENT.script, query_params={MODEL.name: run.id})
        return
    _prepare(run, "onnx", "Prepare for Segment", settings, primary=True)


# --- downloads --------------------------------------------------------------------------------------------------------


def _downloads(run: RunDirectory, settings: Settings) -> None:
    with st.container(horizontal=True, gap="xsmall"):
        _model_file(run, "zip", "Everything", "Model files, classes, licence and a program that uses them", settings)
        _model_file(run, "keras", ".keras", "The whole model, ready for keras.saving.load_model", settings)
        _model_file(run, "onnx", ".onnx", "For ONNX Runtime, on any machine, without TensorFlow", settings)
        config = json.dumps(json.loads(written(run, run.config())), indent=2)
        _offer("Config", lambda: config, f"{run.id}.json", "application/json", "All settings, for --config")
        _offer("Curves", run.metrics.path.read_bytes, f"{run.id}.csv", "text/csv", "One line per epoch, as CSV")
        _offer(
            "TensorBoard", partial(downloads.tensorboard_zip, run), f"{run.id}-tensorboard.zip", "application/zip",
            "Event files: unpack, then tensorboard --logdir FOLDER",
        )  # fmt: skip
        page = "One page with figures, curves, examples and settings"
        _offer("Report PNG", partial(downloads.report, run, "png"), f"{run.id}.png", "image/png", page)
        _offer("Report PDF", partial(downloads.report, run, "pdf"), f"{run.id}.pdf", "application/pdf", page)
    if error := st.session_state.pop(ERROR, ""):
        st.error(text.plain(error), icon=":material/error:")


def _offer(label: str, make: Callable[[], bytes | str], name: str, mime: str, help: str) -> None:
    download.button(
        label,
        make,
        name,
        mime,
        key=f"train-download-{label.lower().replace(' ', '-')}",
        help=help,
    )


def _model_file(run: RunDirectory, form: ExportFormat, label: str, help: str, settings: Settings) -> None:
    path = downloads.export_path(run, form)
    if path is None:
        _prepare(run, form, "Create a ZIP of everything" if form == "zip" else f"Create the {label} file", settings)
        return
    _offer(label, path.read_bytes, f"{run.id}{path.suffix}", "application/octet-stream", help)


def _prepare(run: RunDirectory, form: ExportFormat, label: str, settings: Settings, *, primary: bool = False) -> None:
    """Offer to export a file in a separate process, or wait for it."""
    job = downloads.export_job(run, form)
    found = job.status()
    if found.state == "running":

        def show() -> None:
            st.caption(f":material/hourglass_top: Writing the .{form} file…", width="content")

        polling.poll(show, ended=lambda: job.status().state != "running", every=polling.SOON)
        return
    if not training.is_open(settings):
        if primary:
            st.caption(f":material/lock: {training.why_closed(settings, 'Exporting its model for Segment')}.")
        return
    if found.state == "failed":
        st.caption(f":material/error: {text.plain(found.reason)}", width="content")
    st.button(
        label,
        icon=":material/build:",
        type="primary" if primary else "secondary",
        key=f"train-make-{form}-{'use' if primary else 'file'}",
        on_click=_export,
        args=(run, form, settings),
    )


def _export(run: RunDirectory, form: ExportFormat, settings: Settings) -> None:
    try:
        downloads.start_export(run, form, settings)
    except (RunError, JobError) as error:
        st.session_state[ERROR] = str(error)
