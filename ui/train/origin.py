"""The model to start from and the teacher of a run: shipped models, or runs trained here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import streamlit as st

from ui.shared import format as text
from ui.shared import url
from ui.shared.access import my_runs
from ui.shared.run_status import distinct_names
from ui.shared.url import Option
from ui.train import fields
from ui.train.options import NETWORK as NETWORK_OPTION
from ui.train.options import ORIGIN, TEACHER
from unet_core.architecture.config import UNetConfig
from unet_core.errors import UNetError
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.checks import network_differences
from unet_core.train.config import TrainConfig, default_train_config
from unet_core.train.find_model import ModelSource, find_model
from unet_core.train.initial_weights import needs_new_head
from unet_core.train.run_directory import RunError
from unet_core.zoo.manifest import WeightsError, load_manifest

NOTHING = "nothing"
NETWORK = "as in Start from"  # what the list of networks calls it


class Role(NamedTuple):
    """What another model can be for a run, with its texts."""

    option: Option  # its value is the model's id, which a new name does not change
    choice: str  # session key of the list
    label: str
    help: str
    title: str
    nothing: str  # what the list calls the choice of no model
    without: str


START = Role(
    ORIGIN,
    "train-origin",
    "Start from",
    "Starts from the weights of a trained model instead of random ones, which takes fewer photos and epochs. The "
    "network must be the same; the size of the photos may differ. To keep what the model has learned, use a tenth of "
    "the default learning rate.",
    "The model to start from",
    "random weights",
    "training starts from random weights",
)
TEACHING = Role(
    TEACHER,
    "train-teacher",
    "Teacher",
    "Distillation: the network is also trained on the predictions of a better model for the same augmented photos. "
    "Classes, channels and the way of resizing photos must be the same. Every step takes longer.",
    "The teacher",
    "none",
    "training uses the masks alone",
)


def chosen(role: Role, titles: Mapping[str, str], default: str | None, settings: Settings) -> ModelSource | None:
    """Return the model of `titles` that the URL names, None for none; `default` is the preset's."""
    name = role.option.hidden(role.option.name, default or NOTHING)
    if name in ("", NOTHING):
        return None
    if name not in {*titles, default} and not _is_linked_run(name, settings):
        sentence = f"There is no model or run {name[:80]!r}, so {role.without}."
        st.warning(text.plain(sentence), icon=":material/search_off:")
        return None
    try:
        return find_model(name, settings)
    except (UNetError, OSError) as error:
        st.warning(text.plain(str(error)), title=f"{role.title} cannot be used", icon=":material/search_off:")
        return None


def _is_linked_run(name: str, settings: Settings) -> bool:
    """Return whether an address names another visitor's run, which may be used although it is not listed."""
    try:
        return queue.find_run(name, settings).has_weights()
    except (RunError, OSError):
        return False


def choose(role: Role, titles: Mapping[str, str], found: ModelSource | None, settings: Settings) -> None:
    """Draw the list of models for a role."""
    name = name_of(found, settings) or NOTHING
    listed = {NOTHING: role.nothing, **titles}
    if found is not None and found.run is not None:
        listed.setdefault(name, found.run.label().name)
    listed.setdefault(name, name)
    st.session_state[role.choice] = name
    st.selectbox(
        role.label,
        list(listed),
        key=role.choice,
        format_func=lambda name: listed[name],
        on_change=_keep,
        args=(role,),
        help=role.help,
        width=270,
    )


def _keep(role: Role) -> None:
    st.session_state[role.option.name] = st.session_state[role.choice]


def name_of(found: ModelSource | None, settings: Settings) -> str | None:
    """Return the model's name in a configuration: for a run in the runs folder, its id."""
    if found is None or found.run is None:
        return found and found.name
    return found.run.id if found.run.path.parent == settings.runs_dir else found.name


def agreement(found: ModelSource, model: UNetConfig, class_names: tuple[str, ...]) -> None:
    """Show whether the model's weights fit the form's network, and offer the model's own network if not."""
    different = network_differences(model, found.config)
    if not different:
        size = text.pixels(found.config.width, found.config.height)
        last_layer = (
            " The last layer starts from random weights: the classes differ."
            if model.classes != found.config.classes or needs_new_head(found, class_names)
            else ""
        )
        st.caption(
            f":material/check: Its weights fit this network. It was trained at {size}.{last_layer}", width="content"
        )
        return
    st.button(
        "Use its network",
        icon=":material/account_tree:",
        key="train-origin-network",
        type="primary",
        on_click=_use_network,
        args=(found.config,),
    )
    names = ", ".join(text.words(name) for name in different)
    st.caption(f"The form's network differs from that model's: {text.plain(names)}.", width="content")


def _use_network(network: UNetConfig) -> None:
    url.put(NETWORK_OPTION, NETWORK)
    base = default_train_config(network)
    for field in fields.FIELDS:  # also those that were changed while this network was chosen
        if field.group == fields.NETWORK:
            st.session_state[field.path] = field.of(base)


def started(config: TrainConfig, found: ModelSource | None, settings: Settings) -> TrainConfig:
    """Return the configuration that starts from the model; its encoder then needs no weights of its own."""
    if found is None:
        return config.replace(start_from=None)
    return config.replace(start_from=name_of(found, settings), model=config.model.replace(encoder_weights="none"))


def networks(found: ModelSource | None) -> Mapping[str, UNetConfig]:
    """Return the network of the model to start from, by its name in the list of networks."""
    return {} if found is None else {NETWORK: found.config}


def titles(settings: Settings) -> dict[str, str]:
    """Return the models with weights by id: the shipped ones, then the runs, newest first."""
    try:
        models = load_manifest(settings).models
        shipped = {name: entry.title or name for name, entry in models.items() if "weights" in entry.files}
    except WeightsError:
        shipped = {}
    runs = [run for run in my_runs(settings) if run.has_weights() and run.id not in shipped]
    return shipped | distinct_names({run.id: run.label() for run in runs})
