"""Pitfalls: the classic mistakes with segmentation data, made and fixed on a photo of the dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import streamlit as st

from ui.data import options
from ui.data.catalogue import Opened, jpeg
from ui.data.subject import subject
from ui.shared import format as text
from unet_core.classes import CLASS_NAMES
from unet_core.data.catalogue import Catalogue
from unet_core.data.pitfalls import PITFALLS, Figure, Picture, Pitfall
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.scoring.shipped_prediction import shipped_prediction
from unet_core.settings import Settings

LABELS = {
    "bilinear": "Bilinear masks",
    "flips": "Flips out of step",
    "valid_padding": "Uncropped targets",
    "labels": "Labels from 1",
    "logits": "Logits as probabilities",
    "weights": "Rare classes",
    "leakage": "Train-test leakage",
}
NAMES = {label: key for key, label in LABELS.items()}
OTHERS = 60  # training photos of the model that only memorizes
SINGLE_WIDTH = 340  # pixels of a picture that is alone on its side
SYNTHETIC_SIZE = (256, 256)


def section(opened: Opened, settings: Settings) -> None:
    """Draw the choice of the mistake and show it beside its fix."""
    labels = [LABELS[key] for key in PITFALLS]
    label = st.pills(
        "Mistake", labels, default=labels[0], required=True, label_visibility="collapsed", **options.PITFALL.widget
    )
    label = label if label in NAMES else labels[0]
    pets = opened.catalogue.class_names == CLASS_NAMES
    head, choice = st.columns([3, 2], vertical_alignment="bottom")
    with choice:
        name = subject(opened, help="All values below are measured on this photo").name if pets else ""
    with st.spinner("Making the mistake…", show_time=False):
        pitfall = _made(NAMES[label], opened.key, name, str(settings.weights_dir), opened.catalogue, settings)
    with head:
        st.subheader(pitfall.title, anchor=False)
        st.markdown(text.plain(pitfall.explanation))
        if not pets:
            st.caption("Shown on a synthetic pet, because these examples use the classes pet, background and border.")
    _compared(pitfall)
    figures, advice = st.columns([3, 2], gap="medium")
    figures.markdown(_table(pitfall.figures))
    with advice:
        st.success(text.plain(pitfall.remedy), icon=":material/build:")
        following = labels[(labels.index(label) + 1) % len(labels)]
        st.button(
            f"Next: {following}",
            icon=":material/arrow_forward:",
            icon_position="right",
            key="next-pitfall",
            on_click=_choose,
            args=(following,),
        )


@st.cache_data(max_entries=64, show_spinner=False)
def _made(key: str, catalogue: str, name: str, weights: str, _catalogue: Catalogue, _settings: Settings) -> Pitfall:
    """Make and fix one mistake on one photo, by default a synthetic one."""
    if name:
        photo, mask = _catalogue.example(name)
    else:
        photo, mask = next(SyntheticPets(size=SYNTHETIC_SIZE).examples("train")).decode()
    more = {}
    if key in ("labels", "logits"):
        more = {"prediction": shipped_prediction(photo, mask, _settings)}
    elif key == "leakage" and name:
        more = {"others": _others(_catalogue, name)}
    return PITFALLS[key](photo, mask, **more)


def _others(catalogue: Catalogue, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return other photos of the dataset with their masks, always the same ones."""
    entries = catalogue.query(limit=OTHERS)[0]
    flat = [entry.name for entry in entries if entry.name != name and entry.width >= entry.height]
    return [catalogue.thumbnail(other) for other in flat]


def _compared(pitfall: Pitfall) -> None:
    single = len(pitfall.wrong) == len(pitfall.right) == 1
    with st.grid(2, min_column_width=300):
        with st.container(border=True, height="stretch"):
            st.badge("Mistake", icon=":material/close:", color="red")
            _pictures(pitfall.wrong, single=single)
        with st.container(border=True, height="stretch"):
            st.badge("Correct", icon=":material/check:", color="green")
            _pictures(pitfall.right, single=single)


def _pictures(pictures: Sequence[Picture], *, single: bool) -> None:
    if single:
        with st.container(horizontal_alignment="center"):
            _picture(pictures[0], SINGLE_WIDTH)
        return
    with st.grid(2, min_column_width=120, gap="small"):
        for picture in pictures:
            _picture(picture, "stretch")


def _picture(picture: Picture, width: int | Literal["stretch"]) -> None:
    st.image(jpeg(picture.image, 92), text.plain(picture.caption), width=width, alt=picture.caption)


def _table(figures: Sequence[Figure]) -> str:
    """Return the measured values as a Markdown table."""
    rows = [
        f"| {text.plain(figure.label)} | {text.plain(figure.wrong)} | **{text.plain(figure.right)}** |"
        for figure in figures
    ]
    return "\n".join(["| Measured here | Mistake | Correct |", "|:--|--:|--:|", *rows])


def _choose(label: str) -> None:
    st.session_state[options.PITFALL.name] = label
