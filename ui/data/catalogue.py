"""The browsable copy of a dataset: opened when it is there, and its making shown while it is not."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from ui.data.sets import Dataset
from ui.shared import format as text
from ui.shared import polling
from ui.shared.url import put
from unet_core.classes import CLASS_NAMES
from unet_core.data.catalogue import Catalogue, catalogue_path, catalogue_status, start_catalogue
from unet_core.data.own.report import saved_report
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.images import render
from unet_core.settings import Settings

OWN_SECTION = "Bring your own"
DRAWN_MEANWHILE = 12


@dataclass(frozen=True)
class Opened:
    """A catalogue that all sessions share; `key` stands for its content in caches, `colours` are its classes'."""

    dataset: Dataset
    catalogue: Catalogue
    key: str
    colours: tuple[render.Colour, ...]

    @property
    def thing(self) -> str:
        """What the masks set off from the background."""
        return "pet" if self.catalogue.class_names == CLASS_NAMES else "object"

    @property
    def breed(self) -> str:
        """What tells one kind of animal from another: drawn ones have a coat in place of a breed."""
        return "coat" if self.dataset.kind == "drawn" else "breed"


def opened(dataset: Dataset, settings: Settings) -> Opened | None:
    """Return the dataset's catalogue; where there is none yet, have it made, show how far it is, and return None."""
    if not dataset.here:
        st.info(
            "Download the dataset above, or choose the synthetic pets, which are always there.",
            icon=":material/download:",
        )
        return None
    status = catalogue_status(dataset.data, settings)
    if status.state == "ready":
        path = catalogue_path(dataset.data, settings)
        key = f"{path.name}-{path.stat().st_mtime_ns}"
        catalogue = _shared(key, path)
        return Opened(dataset, catalogue, key, _colours(dataset, len(catalogue.class_names)))
    if status.state == "failed":
        st.error(text.plain(status.reason or "The dataset cannot be read."), title="This dataset cannot be browsed")
        with st.container(horizontal=True):
            if dataset.kind == "own":
                st.button("See its report", icon=":material/fact_check:", on_click=put, args=("section", OWN_SECTION))
            st.button("Try again", icon=":material/refresh:", on_click=start_catalogue, args=(dataset.data, settings))
        return None
    if status.state == "missing":
        start_catalogue(dataset.data, settings)
    _progress(dataset, settings)
    return None


def _colours(dataset: Dataset, classes: int) -> tuple[render.Colour, ...]:
    """Return the masks' own colours where an upload has some, else the usual ones."""
    report = saved_report(dataset.data) if dataset.kind == "own" else None
    if report is not None and len(report.class_names) == classes:
        return report.coding.colours
    return tuple(render.class_colour(class_id) for class_id in range(classes))


@st.cache_resource(max_entries=6, show_spinner=False)
def _shared(key: str, path: Path) -> Catalogue:
    return Catalogue(path)


def _progress(dataset: Dataset, settings: Settings) -> None:
    def show() -> None:
        status = catalogue_status(dataset.data, settings)
        share = min(1.0, status.done / status.total) if status.total else 0.0
        counted = f"{text.number(status.done)} of {text.number(status.total)} photos" if status.total else "starting"
        st.progress(share, f"Reading {text.plain(dataset.title)} for the first time: {counted}")
        st.caption("This happens once, in a process of its own; Bring your own and the other pages work meanwhile.")

    polling.poll(show, ended=lambda: catalogue_status(dataset.data, settings).state in ("ready", "failed"))
    if dataset.kind == "drawn":
        with st.grid(6, min_column_width=104, gap="small"):
            for picture in first_drawn():
                st.image(picture, width="stretch", alt="A drawn pet with its mask")


@st.cache_data(show_spinner=False)
def first_drawn() -> list[bytes]:
    """Return a few pictures to look at meanwhile."""
    examples = SyntheticPets().examples("train")
    return [
        jpeg(render.overlay(*example.decode(), opacity=0.35)) for _, example in zip(range(DRAWN_MEANWHILE), examples)
    ]


def jpeg(picture: np.ndarray, quality: int = 88) -> bytes:
    """Encode a picture, (H, W, 3) uint8, for the browser."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def coloured(mask: np.ndarray, colours: Sequence[render.Colour]) -> np.ndarray:
    """Return the classes' colours alone, (H, W, 3) uint8."""
    return render.overlay(np.zeros((*mask.shape, 3), np.uint8), mask, opacity=1.0, outline=False, colours=colours)
