"""Whose weights a run begins with, and whose answers it learns from: a shipped model's, or a run's trained here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import streamlit as st

from ui.shared import format as text
from ui.shared import url
from ui.shared.url import Option
from ui.train import fields
from ui.train.options import NETWORK as NETWORK_OPTION
from ui.train.options import ORIGIN, TEACHER
from ui.train.status_labels import told_apart
from unet_core.architecture.config import UNetConfig
from unet_core.errors import UNetError
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.checks import network_differences
from unet_core.train.config import TrainConfig, default_train_config
from unet_core.train.find_model import ModelSource, find_model
from unet_core.zoo.manifest import WeightsError, load_manifest

NOTHING = "nothing"
NETWORK = "as in Start from"  # what the list of networks calls it


class Part(NamedTuple):
    """What another model can be for a run: what the address, the list and its sentences call it."""

    option: Option  # its text is the model's id: a new name leaves it as it is
    choice: str  # session key of the list
    label: str
    help: str
    what: str
    without: str


START = Part(
    ORIGIN,
    "train-origin",
    "Start from",
    "Begins with the weights of a trained model instead of random ones, and so needs fewer photos and epochs. The "
    "network must be the same; the size of the photos may differ. A learning rate a tenth of the usual keeps what the "
    "model knows.",
    "to start from",
    "training starts from nothing",
)
LEARN = Part(
    TEACHER,
    "train-teacher",
    "Learn from",
    "Distillation: the network also learns from what a better model answers to the same varied photos. The two may "
    "differ in everything but classes, channels and whether photos are stretched. Every step takes longer.",
    "to learn from",
    "the masks alone teach",
)


def chosen(part: Part, titles: Mapping[str, str], usual: str | None, settings: Settings) -> ModelSource | None:
    """Return the model of `titles` that the address names, None for none; `usual` is what the form begins with."""
    name = part.option.hidden(part.option.name, usual or NOTHING)
    if name in ("", NOTHING):
        return None
    if name not in {*titles, usual}:
        sentence = f"There is no model or run {name[:80]!r} {part.what}, so {part.without}."
        st.warning(text.plain(sentence), icon=":material/search_off:")
        return None
    try:
        return find_model(name, settings)
    except (UNetError, OSError) as error:
        title = f"The model {part.what} cannot be used"
        st.warning(text.plain(str(error)), title=title, icon=":material/search_off:")
        return None


def choose(part: Part, titles: Mapping[str, str], found: ModelSource | None, settings: Settings) -> None:
    """Draw the list of models to start or learn from."""
    name = name_of(found, settings) or NOTHING
    titles = {NOTHING: NOTHING, **titles}
    titles.setdefault(name, name)
    st.session_state[part.choice] = name
    st.selectbox(
        part.label,
        list(titles),
        key=part.choice,
        format_func=lambda name: titles.get(name, name),
        on_change=_keep,
        args=(part,),
        help=part.help,
        width=270,
    )


def _keep(part: Part) -> None:
    st.session_state[part.option.name] = st.session_state[part.choice]


def name_of(found: ModelSource | None, settings: Settings) -> str | None:
    """Return what a configuration calls the model: its name or its run's id, where that says enough."""
    if found is None or found.run is None:
        return found and found.name
    return found.run.id if found.run.path.parent == settings.runs_dir else found.name


def agreement(found: ModelSource, model: UNetConfig) -> None:
    """Say whether the network of the form takes the model's weights, and offer the model's own network if not."""
    different = network_differences(model, found.config)
    if not different:
        size = text.pixels(found.config.width, found.config.height)
        anew = " Its last layer starts anew, for other classes." if model.classes != found.config.classes else ""
        st.caption(f":material/check: Its weights fit this network. It was trained at {size}.{anew}", width="content")
        return
    st.button(
        "Take its network",
        icon=":material/account_tree:",
        key="train-origin-network",
        type="primary",
        on_click=_take_network,
        args=(found.config,),
    )
    names = ", ".join(text.words(name) for name in different)
    st.caption(f"The form's network differs from that model's: {text.plain(names)}.", width="content")


def _take_network(network: UNetConfig) -> None:
    url.put(NETWORK_OPTION, NETWORK)
    base = default_train_config(network)
    for field in fields.FIELDS:  # whatever was changed about the network that is chosen already
        if field.group == fields.NETWORK:
            st.session_state[field.path] = field.of(base)


def started(config: TrainConfig, found: ModelSource | None, settings: Settings) -> TrainConfig:
    """Return the configuration that begins with the model; its encoder then needs no weights of its own."""
    if found is None:
        return config.replace(start_from=None)
    return config.replace(start_from=name_of(found, settings), model=config.model.replace(encoder_weights="none"))


def networks(found: ModelSource | None) -> Mapping[str, UNetConfig]:
    """Return the network of the model to start from, by its name in the list of networks."""
    return {} if found is None else {NETWORK: found.config}


def titles(settings: Settings) -> dict[str, str]:
    """Return what one can start or learn from by its id: the shipped models, then runs with weights, newest first."""
    try:
        models = load_manifest(settings).models
        shipped = {name: entry.title or name for name, entry in models.items() if "weights" in entry.files}
    except WeightsError:
        shipped = {}
    runs = [run for run in queue.all_runs(settings) if run.has_weights() and run.id not in shipped]
    return shipped | told_apart({run.id: run.label() for run in runs})
