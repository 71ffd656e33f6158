"""Status of the model and its scores, the dataset, the machine, and running trainings."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import streamlit as st

from ui.shared import format as text
from ui.shared import frame, polling
from ui.shared.access import is_mine
from ui.shared.models import Model
from ui.shared.run_status import RUN, phase
from unet_core.architecture.trace import trace
from unet_core.data.oxford import oxford_pets
from unet_core.segment import cpu_label, detect_gpu
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.run_directory import RunDirectory
from unet_core.zoo.manifest import ModelEntry

FIGURES = {"pixel_accuracy": "pixel accuracy", "mean_iou": "mean IoU"}


def model_card(model: Model) -> None:
    """Show the default model: title, scores and size."""
    _head(":material/neurology:", "Model", "ready", "green")
    st.markdown(f"**{text.plain(model.entry.title or model.name)}**")
    st.caption(measured(model.entry.metrics))
    st.caption(sizes(model.entry))


def missing_model_card(reason: str) -> None:
    """Show why the model cannot be used."""
    _head(":material/neurology:", "Model", "unusable", "red")
    st.caption(text.plain(reason))


def dataset_card(settings: Settings) -> None:
    """Show whether the dataset is installed, and how to install it."""
    found = oxford_pets.status(settings.data_dir)
    state, colour = ("installed", "green") if found.present else ("not installed", "gray")
    _head(":material/photo_library:", "Dataset", state, colour)
    st.markdown("**Oxford-IIIT Pet**")
    if found.present:
        train, test = (text.number(found.splits.get(split, 0)) for split in oxford_pets.OFFICIAL_SPLITS)
        st.caption(f"{train} training photos, {test} test photos, {text.byte_size(found.bytes)}")
    else:
        st.caption("Needed only for training and evaluation, not for segmenting your photos.")
        st.caption(text.plain(found.problem or ""))


def machine_card() -> None:
    """Show this machine's CPU or GPU and its software."""
    gpu = detect_gpu()
    _head(":material/memory:", "This machine", "GPU" if gpu else "CPU", "green" if gpu else "gray")
    st.markdown(f"**{text.plain(gpu or cpu_label())}**")
    st.caption(f"ONNX Runtime {_onnxruntime()}, Python {platform.python_version()}, {platform.system()}")


def _onnxruntime() -> str:
    try:
        return version("onnxruntime")
    except PackageNotFoundError:
        return "not installed"


def training_line(settings: Settings) -> None:
    """Show the visitor's running trainings, each with a link, and count the others; without any, do not poll."""
    queue.advance(settings)
    waiting, runs = len(queue.waiting(settings)), queue.active_runs(settings)  # thus one that starts now is not missed
    ids = [run.id for run in runs]
    mine = [run for run in runs if is_mine(run.label().owner, settings)]
    if not ids and not waiting:
        return

    def changed() -> bool:
        return [run.id for run in queue.active_runs(settings)] != ids or len(queue.waiting(settings)) != waiting

    def show() -> None:
        with st.container(border=True, key="training-line"):
            for run in mine:
                _one_run(run)
            if others := len(runs) - len(mine):
                of_others = "run of another visitor is" if others == 1 else "runs of other visitors are"
                st.caption(f":material/play_circle: {others} {of_others} training.")
            if waiting:
                st.caption(f":material/hourglass_top: {waiting} run{'s' * (waiting > 1)} queued.")

    polling.poll(show, ended=changed, every=polling.SELDOM)


def _one_run(run: RunDirectory) -> None:
    now = run.status()
    with st.container(horizontal=True, vertical_alignment="center"):
        words = f"**{text.plain(run.label().name)}** is training: {phase(now)}"
        st.progress(now.share, words, width="stretch")
        frame.link_to(frame.TRAIN, "Watch", {RUN.name: run.id})


def measured(metrics: Mapping[str, Any]) -> str:
    """Describe a manifest's scores: "On 3 662 test photos: pixel accuracy 88.9 %, mean IoU 71.0 %"."""
    figures = metrics.get("test", metrics)
    found = [f"{label} {text.percent(figures[key])}" for key, label in FIGURES.items() if key in figures]
    if not found:
        return "Not evaluated on test photos yet."
    photos = f"On {text.number(figures['images'])} test photos" if "images" in figures else "On test photos"
    return f"{photos}: {', '.join(found)}"


def sizes(entry: ModelEntry) -> str:
    """Describe a model's parameters, input size and file size."""
    parts = [
        f"{text.number(trace(entry.config).total_params)} parameters",
        f"{text.pixels(entry.config.width, entry.config.height)} input",
    ]
    if "onnx" in entry.files:
        parts.append(f"{text.byte_size(entry.files['onnx'].bytes)} ONNX file, SHA-256 checked")
    return " · ".join(parts)


def _head(icon: str, name: str, state: str, colour: Literal["green", "gray", "red"]) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"{icon} {name}", width="content")
        st.badge(state, color=colour)
