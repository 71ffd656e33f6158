"""A short run on an uploaded dataset: start it, watch it, stop it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.shared import format as text
from ui.shared import frame, polling, training, visitor
from ui.shared.access import is_mine, limited
from ui.shared.lazy import pd
from ui.shared.run_status import WORDS
from ui.train import augmentation_choice
from ui.train.options import DATASET, RECIPE, RUN
from unet_core.data.own.report import saved_report
from unet_core.errors import UNetError
from unet_core.jobs.disclosure import data_title
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.presets import SHORT_RUN_MINUTES, TRAINING_PRESETS, fitting_channels, short_run
from unet_core.train.run_directory import RunDirectory

ERROR = "own-run-error"


def run_panel(data: str, classes: int, settings: Settings) -> None:
    """Draw the button that starts a short run on `data`, and the latest run on it, also after a reload."""
    run = queue.latest_run_on(data, settings, lambda label: is_mine(label.owner, settings))
    active = run is not None and queue.is_pending(run, settings)
    if not active and not training.is_open(settings):
        training.closed_note(settings, "own-run")
    elif not active:
        st.button(
            "Start a short run",
            icon=":material/play_arrow:",
            key="own-run-start",
            type="primary",
            on_click=_start,
            args=(data, classes, settings),
            help=f"A small U-Net from scratch: ten epochs, at most {SHORT_RUN_MINUTES} minutes, in the background.",
        )
        preset = TRAINING_PRESETS["your_dataset"].title
        query = {DATASET.name: Path(data).name, RECIPE.name: preset}
        frame.link_to(frame.TRAIN, "Fine-tune a trained network on it, with all settings", query)
    if st.session_state.get(ERROR):
        st.warning(text.plain(st.session_state.pop(ERROR)), icon=":material/hourglass_top:")
    if run is not None:
        watch(run, settings)


def watch(run: RunDirectory, settings: Settings) -> None:
    """Show a run's progress, and the link to its page; while it is pending, again and again, with a stop button."""
    if not queue.is_pending(run, settings):
        _show(run)
        return

    def ended() -> bool:
        queue.advance(settings)
        return not queue.is_pending(run, settings)

    def show() -> None:
        _show(run)
        st.button("Stop", icon=":material/stop:", key="own-run-stop", on_click=queue.stop, args=(run, settings))

    polling.poll(show, ended=ended)


def _start(data: str, classes: int, settings: Settings) -> None:
    try:
        report = saved_report(data)
        channels = fitting_channels(3 if report is None else report.bands, 3)
        config = short_run(data, classes, augmentation_choice.training_augmentation(), channels)
        queue.submit(config, f"{data_title(data)}, short run", settings=limited(settings), owner=visitor.owner())
    except UNetError as error:
        st.session_state[ERROR] = str(error)


def _show(run: RunDirectory) -> None:
    status, rows = run.status(), run.metrics.rows()
    with st.container(border=True):
        reason = f": {text.plain(status.reason)}" if status.reason else ""
        st.progress(status.share, f"{WORDS[status.shown]}, epoch {status.epoch} of {status.epochs}{reason}")
        if rows:
            table = pd.DataFrame(rows)
            curves = {"mean_iou": "training", "val_mean_iou": "validation"}
            shown = table[["epoch", *curves]].rename(columns=curves)
            shown["epoch"] += 1
            if len(rows) > 1:
                st.line_chart(shown, x="epoch", y=list(curves.values()), y_label="mean IoU", height=220)
            best = max(row["val_mean_iou"] for row in rows)
            st.markdown(f"Best mean IoU on validation: **{best:.3f}**")
        frame.link_to(frame.TRAIN, "Curves, predictions and model on the Train page", {RUN.name: run.id})
