"""The index of a dataset: opened if it is ready, otherwise built while its progress is shown."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from ui.data import options
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

PREVIEWED = 12


@dataclass(frozen=True)
class Opened:
    """A catalogue shared by all sessions; `key` identifies its content in caches, `colours` are by class id."""

    dataset: Dataset
    catalogue: Catalogue
    key: str
    colours: tuple[render.Colour, ...]

    @property
    def thing(self) -> str:
        """Name of the masks' foreground."""
        return "pet" if self.catalogue.class_names == CLASS_NAMES else "object"

    @property
    def breed(self) -> str:
        """Name of the breed column: synthetic pets have a coat instead."""
        return "coat" if self.dataset.kind == "drawn" else "breed"


def opened(dataset: Dataset, settings: Settings) -> Opened | None:
    """Return the dataset's catalogue; if there is none yet, start building it, show the progress, and return None."""
    if not dataset.installed:
        st.info(
            "Download the dataset above, or choose the synthetic pets, which need no download.",
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
        st.error(text.plain(status.reason or "The dataset cannot be read."), title="This dataset cannot be indexed")
        with st.container(horizontal=True):
            if dataset.kind == "own":
                st.button(
                    "See its report", icon=":material/fact_check:", on_click=partial(put, options.SECTION, options.OWN)
                )
            st.button("Try again", icon=":material/refresh:", on_click=_start, args=(dataset.data, settings))
        return None
    if status.state == "missing":
        start_catalogue(dataset.data, settings)
    _progress(dataset, settings)
    return None


def _start(data: str, settings: Settings) -> None:
    start_catalogue(data, settings)


def _colours(dataset: Dataset, classes: int) -> tuple[render.Colour, ...]:
    """Return the colours of an uploaded dataset's masks if it has any, else the default ones."""
    report = saved_report(dataset.data) if dataset.kind == "own" else None
    if report is not None and report.coding is not None and len(report.class_names) == classes:
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
        st.progress(share, f"Indexing {text.plain(dataset.title)}: {counted}")
        st.caption("This happens once, in the background; Bring your own and the other pages remain available.")

    polling.poll(show, ended=lambda: catalogue_status(dataset.data, settings).state in ("ready", "failed"))
    if dataset.kind == "drawn":
        with st.grid(6, min_column_width=104, gap="small"):
            for picture in first_drawn():
                st.image(picture, width="stretch", alt="A synthetic pet with its mask")


@st.cache_data(show_spinner=False)
def first_drawn() -> list[bytes]:
    """Return a few pictures to show during indexing."""
    examples = SyntheticPets().examples("train")
    return [jpeg(render.overlay(*example.decode(), opacity=0.35)) for _, example in zip(range(PREVIEWED), examples)]


def jpeg(picture: np.ndarray, quality: int = 88) -> bytes:
    """Encode a picture, (H, W, 3) uint8, as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def coloured(mask: np.ndarray, colours: Sequence[render.Colour]) -> np.ndarray:
    """Return the mask in the classes' colours, (H, W, 3) uint8."""
    return render.overlay(np.zeros((*mask.shape, 3), np.uint8), mask, opacity=1.0, outline=False, colours=colours)
