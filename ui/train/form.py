"""The form of a new run: a preset, then any other setting; all of them are kept in the URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.architecture import state
from ui.data import sets
from ui.data.options import DATA, LAB, SECTION
from ui.data.sets import Dataset
from ui.shared import format as text
from ui.shared import frame, url, visitor
from ui.train import augmentation_choice, fields, mixing, options
from ui.train import origin as train_origin
from ui.train.options import BUILT_NETWORK, OWN_NETWORK
from ui.train.selection import close_model, close_run
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import PRESETS
from unet_core.data.known import known_dataset
from unet_core.data.mixture import Mixture
from unet_core.data.own.report import saved_report
from unet_core.data.oxford import oxford_pets
from unet_core.data.synthetic import pets as synthetic
from unet_core.errors import ConfigError
from unet_core.jobs.disclosure import data_title
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.config import TrainConfig
from unet_core.train.parts import has_own_parts
from unet_core.train.presets import OWN_DATA, TRAINING_PRESETS, TrainingPreset, adapted, fitting_channels
from unet_core.train.run_directory import RunDirectory, RunError

RUN_PRESETS = {preset.title: preset for preset in TRAINING_PRESETS.values()}
DEMO = options.RECIPE.default
NETWORKS = {preset.title: preset.config for preset in PRESETS.values()}
BASE = "train-base"  # session key: what the fields were last filled from
PREFERRED = "train-preferred"  # session key: the own dataset for which its preset was chosen
NO_DATASET = "none uploaded yet"


@dataclass(frozen=True)
class Draft:
    """The run that the form describes: its configuration, or why there is none, and where it comes from."""

    preset: TrainingPreset
    dataset: Dataset
    config: TrainConfig | None
    problems: tuple[str, ...] = ()
    mixed_in: tuple[str, ...] = ()  # names of the further datasets

    @property
    def name(self) -> str:
        """The run's default name."""
        if self.preset.own:
            return self.data_name
        return self.preset.title if self.as_described else f"{self.preset.title} on {self.data_name}"

    @property
    def data_name(self) -> str:
        """The dataset's name, and what is mixed in."""
        if len(self.mixed_in) > 1:
            return f"{self.dataset.name} + {len(self.mixed_in)} datasets"
        return " + ".join((self.dataset.name, *self.mixed_in))

    @property
    def as_described(self) -> bool:
        """Whether the preset's own description holds: it is used on the dataset that it is meant for."""
        adds_data = bool(self.preset.name and self.mixed_in)
        return self.preset.own or (self.preset.config.primary == self.dataset.data and not adds_data)

    @property
    def is_mixed(self) -> bool:
        """Whether it trains on several datasets."""
        return self.config is not None and len(self.config.sources) > 1

    @property
    def reads_folders(self) -> bool:
        """Whether it trains on datasets of people's own, whose masks must be read before it may start."""
        sources = self.config.sources if self.config is not None else ()
        return self.dataset.kind == "own" or any(_is_own(name) for name in sources)


def choose_preset(like: str, settings: Settings) -> TrainingPreset:
    """Draw the presets; return the chosen one, or one with the settings of the run `like`."""
    if like:
        try:
            return _like(queue.find_run(like, settings))
        except (RunError, ConfigError, OSError) as error:
            st.warning(
                text.plain(str(error)), title="The settings of that run cannot be used", icon=":material/search_off:"
            )
    _prefer_own_dataset(settings)
    title = st.segmented_control(
        "Preset",
        list(RUN_PRESETS),
        default=DEMO,
        required=True,
        label_visibility="collapsed",
        wrap=True,
        on_change=_forget_models,
        **options.RECIPE.widget,
    )
    return RUN_PRESETS[title or DEMO]


def _forget_models() -> None:
    """Let a newly chosen preset decide what to start from and who teaches."""
    for option in (options.ORIGIN, options.TEACHER):
        url.forget(option)


def _prefer_own_dataset(settings: Settings) -> None:
    """Choose the preset for own datasets when a person comes with one from the Data page, once for each dataset."""
    name = url.asked(options.DATASET) or str(url.remembered(frame.DATA.name).get(DATA.name, ""))
    if st.session_state.get(PREFERRED) == name or sets.own_folder(name, settings) is None:
        return
    st.session_state[PREFERRED] = name
    if not url.asked(options.RECIPE):
        st.session_state[options.RECIPE.name] = TRAINING_PRESETS["your_dataset"].title


def describe(draft: Draft) -> None:
    """Draw what the chosen preset does on the chosen dataset."""
    preset = draft.preset
    if not preset.name:  # a run's settings, which its name describes
        return
    if draft.as_described:
        st.markdown(preset.description)
        return
    config = preset.config
    limits = [] if config.limit is None else [f"at most {text.number(config.limit)} photos of each part"]
    if config.time_limit_minutes is not None:
        limits.append(f"{text.duration(60 * config.time_limit_minutes)} at most")
    limited = f": {', '.join(limits)}" if limits else ""
    st.markdown(
        f"The network and settings of **{preset.title}** on **{text.plain(draft.data_name)}**{limited}. "
        "Every field below can be changed."
    )


def _like(run: RunDirectory) -> TrainingPreset:
    """Draw which run the form copies, and return a preset of its settings, without a name."""
    name, config = run.label().name, run.config()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Everything as in **{text.plain(name)}**; change what you like.", width="content")
        st.button("Back to the presets", icon=":material/undo:", type="tertiary", on_click=close_model)
    return TrainingPreset("", re.sub(r" \d+$", "", name), "", config)  # the new run gets another number


def begin_like(run: RunDirectory) -> None:
    """Show the form with the settings of a run; for callbacks."""
    close_run()
    augmentation_choice.drop_augmentation()
    for option in (options.DATASET, options.MIX, options.NETWORK, options.ORIGIN, options.TEACHER):
        url.forget(option)
    st.session_state[options.LIKE.name] = run.id
    st.session_state[BASE] = None, None  # so that every field is filled again


def choose_rest(preset: TrainingPreset, built: str, settings: Settings) -> Draft:
    """Draw dataset, network and the everyday fields, all others under "Advanced"; return the run they describe."""
    models = train_origin.titles(settings)
    origin = train_origin.chosen(train_origin.START, models, preset.config.start_from, settings)
    teacher = train_origin.chosen(train_origin.TEACHING, models, preset.config.distill_from, settings)
    with st.grid(6, min_column_width=150, gap="small", vertical_alignment="bottom"):
        dataset, datasets = _dataset(preset, settings)
        networks = {**NETWORKS, **_built(built), **train_origin.networks(origin)}
        network = st.selectbox("Network", [OWN_NETWORK, *networks], **options.NETWORK.widget)
        everyday = [st.container() for _ in fields.EVERYDAY]
    composed = mixing.compose(preset.config.data, dataset, datasets, settings)
    base = _base(preset, dataset, composed.data, networks.get(network))
    refused = composed.refusal(base.model.classes, base.model.channels)
    mixing.show_refusal(composed, refused)
    _refill(preset, base)
    values: dict[str, Any] = {
        "model.encoder": base.model.encoder,
        "distill_from": train_origin.name_of(teacher, settings),
        fields.OWN_PARTS: has_own_parts(dataset.data),
    }
    found: list[str] = []
    for path, place in zip(fields.EVERYDAY, everyday, strict=True):
        with place:
            _take(fields.BY_PATH[path], base, values, found)
    choose_models = {
        fields.NETWORK: lambda: train_origin.choose(train_origin.START, models, origin, settings),
        fields.LOSS: lambda: train_origin.choose(train_origin.TEACHING, models, teacher, settings),
    }
    beside_origin = _advanced(base, values, found, choose_models)
    _remember(base, preset)
    del values["model.encoder"], values[fields.OWN_PARTS]
    teacher_name = values.pop("distill_from")
    if not dataset.installed and dataset.kind == "own":
        found.insert(0, _absent(preset, dataset))
    if refused:
        found.append(mixing.ELSEWHERE)
    if found:
        return Draft(preset, dataset, None, tuple(found), composed.names)
    try:
        config = train_origin.started(fields.merged(base, values), origin, settings).replace(distill_from=teacher_name)
    except ConfigError as error:
        return Draft(preset, dataset, None, error.findings or (str(error),), composed.names)
    if origin is not None and beside_origin is not None:
        with beside_origin:
            known = known_dataset(dataset.data)
            train_origin.agreement(origin, config.model, () if known is None else known.class_names)
    return Draft(preset, dataset, config, mixed_in=composed.names)


def _is_own(name: str) -> bool:
    return name not in (oxford_pets.NAME, synthetic.NAME)


def _remember(base: TrainConfig, preset: TrainingPreset) -> None:
    """Keep the values that differ from the form's first ones, for links to this page."""
    models = {options.ORIGIN.name: preset.config.start_from, options.TEACHER.name: preset.config.distill_from}
    defaults = {name: model or train_origin.NOTHING for name, model in models.items()}
    defaults |= {field.path: field.of(base) for field in fields.FIELDS}
    url.remember(frame.TRAIN.name, (options.ORIGIN, options.TEACHER, *options.FIELDS), defaults)


def _built(written: str) -> dict[str, UNetConfig]:
    """Return the network sent by the Architecture page, by its name in the list; empty if there is none."""
    if not written:
        return {}
    try:
        return {BUILT_NETWORK: state.second(written).config}
    except ConfigError as error:
        sentence = str(error).replace("against.", "")  # the prefix of such a network in the Architecture page's URL
        st.warning(text.plain(sentence), title="The network in the address cannot be used", icon=":material/build:")
        return {}


def _take(field: fields.Field, base: TrainConfig, values: dict[str, Any], found: list[str]) -> None:
    """Draw a field and add its value to `values`, or to `found` why it cannot be used."""
    try:
        values[field.path] = fields.draw(field, base)
    except ConfigError as error:
        found.append(str(error))


def _dataset(preset: TrainingPreset, settings: Settings) -> tuple[Dataset, Mapping[str, Dataset]]:
    """Draw the choice of the dataset; return it, and all datasets by title."""
    copied = "" if preset.name else Path(preset.config.primary).name  # the dataset of the run that is copied
    own = copied if sets.is_my_dataset(copied, settings) else ""  # the run's address does not open its dataset
    # The preferred one leaves the address where it is the default.
    linked = url.asked(options.DATASET) or own or st.session_state.get(PREFERRED, "")
    datasets = sets.available(settings, linked)
    default = _default(preset, datasets)
    datasets = {default.title: default, **datasets}
    url.remember(frame.TRAIN.name, (options.DATASET,), {options.DATASET.name: default.title})
    title = st.selectbox("Dataset", list(datasets), **options.DATASET.widget)
    return datasets[title or default.title], datasets


def _default(preset: TrainingPreset, datasets: Mapping[str, Dataset]) -> Dataset:
    """Return the preset's own dataset; one that is not there is never replaced by another in silence."""
    for dataset in datasets.values():
        if dataset.data == preset.config.primary:
            return dataset
    if not preset.own:
        path = Path(preset.config.primary).expanduser()
        return Dataset(data_title(path.name), preset.config.primary, "own", visitor.is_local() and path.exists())
    own = {title: dataset for title, dataset in datasets.items() if dataset.kind == "own"}
    found = own.get(st.session_state.get(PREFERRED, "")) or next(iter(own.values()), None)
    return found or Dataset(NO_DATASET, OWN_DATA, "own", installed=False)


def _absent(preset: TrainingPreset, dataset: Dataset) -> str:
    if preset.own:
        return "You have no dataset on this server yet: upload one on the Data page, under Bring your own."
    return f"The dataset of that run, {dataset.name!r}, is not among yours: choose another one in the form."


def _classes(dataset: Dataset, default: int) -> int:
    """Return the number of classes in a dataset's masks; a network of one class separates object and background."""
    if dataset.kind != "own" or default == 1:
        return default
    report = saved_report(dataset.data)
    return len(report.class_names) if report is not None else default


def _channels(dataset: Dataset, own: int) -> int:
    """Return the channels that a network with its `own` gets for a dataset's photos."""
    report = saved_report(dataset.data) if dataset.kind == "own" else None
    return fitting_channels(3 if report is None else report.bands, own)


def _base(preset: TrainingPreset, dataset: Dataset, data: str | Mixture, network: UNetConfig | None) -> TrainConfig:
    """Return the fields' first values: the preset on that data, with that network and the lab's augmentation."""
    config = preset.config
    if network is not None:
        config = config.replace(model=network, class_weights=None)
    are_pets = dataset.data in (oxford_pets.NAME, synthetic.NAME)
    classes = 3 if are_pets and config.model.classes not in (1, 3) else config.model.classes
    if data != config.data or classes != config.model.classes:
        channels = _channels(dataset, config.model.channels)
        config = adapted(config, data, _classes(dataset, classes), channels)
    augmentation = augmentation_choice.training_augmentation() or config.augmentation
    if config != preset.config or augmentation != config.augmentation:
        background = augmentation_choice.background_class(dataset, config.model.classes)
        augmentation = augmentation.replace(paste_background=background)
        config = config.replace(background_class=background)
    return config.replace(augmentation=augmentation)


def _refill(preset: TrainingPreset, base: TrainConfig) -> None:
    """Give every field the value of a newly chosen preset; at first the URL decides.

    Another network fills only its own fields, another dataset those whose first value it changes.
    """
    before: tuple[TrainingPreset | None, TrainConfig | None] | None = st.session_state.get(BASE)
    st.session_state[BASE] = preset, base
    if before is None or before[1] == base:
        return
    last = before[1] if before[0] == preset else None
    for field in fields.FIELDS:
        network = field.group == fields.NETWORK and last is not None and not _same_network(last.model, base.model)
        if last is None or network or field.of(last) != field.of(base):
            st.session_state[field.path] = field.of(base)


def _same_network(one: UNetConfig, other: UNetConfig) -> bool:
    """Return whether two networks differ at most in the classes and channels, which come from the dataset."""
    of_data = {"classes", "channels", "head_activation"}
    return one.model_dump(exclude=of_data) == other.model_dump(exclude=of_data)


def _advanced(
    base: TrainConfig, values: dict[str, Any], found: list[str], choose_models: Mapping[str, Callable[[], None]]
) -> DeltaGenerator | None:
    """Draw all other fields, add their values to `values`, and return a place beside the model to start from."""
    beside_origin = None
    with st.expander("Advanced", icon=":material/tune:", key="train-advanced"):
        for group, tab in zip(fields.GROUPS, st.tabs(fields.GROUPS, key="train-group"), strict=True):
            with tab:
                if group == fields.AUGMENTATION:
                    _from_the_lab()
                if group == fields.NETWORK:
                    with st.container(horizontal=True, vertical_alignment="bottom"):
                        choose_models[group]()
                        beside_origin = st.container(horizontal=True, vertical_alignment="center", width="content")
                if group == fields.LOSS:
                    choose_models[group]()
                with st.grid(4, min_column_width=160, gap="small", vertical_alignment="bottom"):
                    for field in fields.FIELDS:
                        if field.group == group and field.path not in fields.EVERYDAY and field.shown(values):
                            _take(field, base, values, found)
    return beside_origin


def _from_the_lab() -> None:
    if augmentation_choice.training_augmentation() is None:
        frame.link_to(frame.DATA, "See the effect of each on photos", {SECTION.name: LAB})
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(":material/auto_awesome: From the augmentation lab on the Data page.", width="content")
        st.button("Use the preset's", type="tertiary", on_click=augmentation_choice.drop_augmentation)


def problem_list(problems: tuple[str, ...]) -> None:
    """Show what keeps a run from starting."""
    listed = "\n".join(f"- {text.plain(problem)}" for problem in problems)
    st.warning(listed, title="To fix before training can start", icon=":material/build:")
