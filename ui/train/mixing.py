"""The choice of the datasets that are mixed in: their shares, their classes, and why they cannot be mixed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ui.data import sets
from ui.data.sets import Dataset
from ui.shared import format as text
from ui.shared import frame, url, visitor
from ui.train.mixed_in import MOST, MixedIn, read, written
from ui.train.options import MIX
from unet_core.data.known import KnownDataset, known_dataset
from unet_core.data.mixture import (
    Mixture,
    SourceShare,
    as_data,
    check_mixture,
    counterparts,
    lacks_border,
    percentages,
)
from unet_core.data.sources import DataError
from unet_core.errors import ConfigError
from unet_core.jobs.disclosure import data_title
from unet_core.settings import Settings

SHARE = 25.0  # percent of a dataset that is added, or half of what the first one has
STEP = 5.0
MOST_PERCENT, LEAST_PERCENT = 99.99, 1e-4  # of all further datasets together, and of one, where a run had other shares
MANY = 3  # classes without a counterpart that can be chosen together
REFUSED = "These datasets cannot be mixed"
ELSEWHERE = "The datasets cannot be mixed as they are; the reason is shown below them."


@dataclass(frozen=True)
class Row:
    """A dataset that is mixed in, with what is known of it and of the first one."""

    mixed_in: MixedIn
    dataset: Dataset
    known: KnownDataset | None
    first: KnownDataset | None

    @property
    def is_absent(self) -> bool:
        """Whether it is a dataset of somebody else, or none at all."""
        return self.dataset.kind == "own" and not self.dataset.installed

    @property
    def alike(self) -> dict[str, str]:
        """The first dataset's class for each class whose name is written a little differently there."""
        return counterparts(self.known, self.first) if self.known and self.first else {}

    @property
    def classes(self) -> dict[str, str]:
        """The first dataset's class for each class of another name."""
        if self.known is None or self.first is None:
            return self.mixed_in.classes
        chosen = {
            name: other
            for name, other in self.mixed_in.classes.items()
            if name in self.known.class_names and other in self.first.class_names
        }
        return self.alike | chosen

    @property
    def asked(self) -> tuple[str, ...]:
        """The classes of which the form asks what they are in the first dataset."""
        if self.known is None or self.first is None:
            return ()
        return tuple(
            name for name in self.known.class_names if name in self.classes or name not in self.first.class_names
        )

    @property
    def may_draw_border(self) -> bool:
        """Whether the first dataset has a border that these masks lack."""
        if self.known is None or self.first is None:
            return False
        return lacks_border(self.known, self._share(border=False), self.first)

    @property
    def share(self) -> SourceShare:
        """Its entry in a configuration."""
        border = self.mixed_in.border
        return self._share(border=self.may_draw_border if border is None else border)

    def _share(self, *, border: bool) -> SourceShare:
        return SourceShare(source=self.dataset.data, share=self.mixed_in.share, classes=self.classes, border=border)


@dataclass(frozen=True)
class Composed:
    """What the form trains on: the data, the names of the datasets that are mixed in, and why they cannot be mixed."""

    data: str | Mixture
    names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    known: tuple[KnownDataset | None, ...] = ()
    place: DeltaGenerator | None = None  # for why they cannot be mixed

    def refusal(self, classes: int, channels: int) -> tuple[str, ...]:
        """Return why a network of so many classes and channels cannot be trained on the data; empty if it can."""
        known = [replace(each, asked_channels=channels) for each in self.known if each is not None]
        if self.problems or isinstance(self.data, str) or len(known) < len(self.data):
            return self.problems  # what is not known yet is checked with the dataset
        try:
            check_mixture(self.data, known, classes)
        except DataError as error:
            return (str(error),)
        return ()


def compose(copied: str | Mixture, first: Dataset, datasets: Mapping[str, Dataset], settings: Settings) -> Composed:
    """Draw the datasets that are mixed in, or the button that adds one.

    Args:
        copied: the data of the preset or the run that the form copies.
        first: the chosen dataset.
        datasets: all that can be chosen, by title.
        settings: folders of the datasets.
    """
    if first.kind == "own" and not first.installed:  # the visitor has to choose another one first
        return Composed(first.data)
    offered = {title: each for title, each in datasets.items() if each.kind != "own" or each.installed}
    of_run = [] if isinstance(copied, str) else _of_run(copied, offered, settings)
    offered |= {each.title: each for _, each in of_run}
    unchanged = written(tuple(mixed_in for mixed_in, _ in of_run))
    chosen = _chosen(MIX.hidden("Mix", unchanged), unchanged)
    url.remember(frame.TRAIN.name, (MIX,), {MIX.name: unchanged})
    rows = _rows(chosen, first, offered, settings)
    offered |= {row.dataset.title: row.dataset for row in rows}
    taken = {first.title, *(row.mixed_in.dataset for row in rows)}
    free = [title for title in offered if title not in taken]
    if not rows:
        _button("Mix in another dataset", rows, free, offered)
        return Composed(first.data)
    with st.container(border=True, key="train-mixture", gap="small"):
        rest = f"{100 - sum(row.mixed_in.share for row in rows):.3g}{text.THIN_SPACE}%"
        st.markdown(f"**{text.plain(first.name)}** gets the rest, {rest}. The network predicts its classes.")
        for number, row in enumerate(rows):
            own = {row.mixed_in.dataset, *free}
            _draw(number, rows, {title: each.name for title, each in offered.items() if title in own})
        place = st.container()
        if len(rows) < MOST:
            _button("Add a dataset", rows, free, offered)
    return _composed(copied, first, rows, place)


def show_refusal(composed: Composed, found: Sequence[str]) -> None:
    """Draw why the datasets cannot be mixed, beside them."""
    if found and composed.place is not None:
        listed = "\n\n".join(text.plain(sentence) for sentence in found)
        composed.place.warning(listed, title=REFUSED, icon=":material/build:")


# --- what is mixed in -------------------------------------------------------------------------------------------------


def _of_run(copied: Mixture, offered: Mapping[str, Dataset], settings: Settings) -> list[tuple[MixedIn, Dataset]]:
    """Return what a copied run mixes in, with the dataset of each."""
    found = []
    percents = percentages(copied)[1:]
    scale = min(1, MOST_PERCENT / sum(percents))
    for percent, share in zip(percents, copied[1:], strict=True):
        dataset = _dataset_of_run(share.source, offered, settings)
        percent = max(scale * percent, LEAST_PERCENT)
        entry = MixedIn(dataset=dataset.title, share=percent, classes=share.classes, border=share.border)
        found.append((entry, dataset))
    return found


def _dataset_of_run(source: str, offered: Mapping[str, Dataset], settings: Settings) -> Dataset:
    """Return a dataset that a copied run mixes in; one of somebody else is absent, and its folder's key is not said."""
    for dataset in offered.values():
        if dataset.data == source:
            return dataset
    path = Path(source).expanduser()
    if sets.own_folder(path.name, settings) == path and sets.is_my_dataset(path.name, settings):
        return Dataset(path.name, source, "own")
    title = data_title(source)
    title = f"{title} (of that run)" if title in offered else title
    return Dataset(title, source, "own", visitor.is_local() and path.exists())


def _chosen(asked: str, unchanged: str) -> tuple[MixedIn, ...]:
    try:
        return read(asked)
    except ConfigError:  # which the page's head reports
        return read(unchanged)


def _rows(
    chosen: Sequence[MixedIn], first: Dataset, offered: Mapping[str, Dataset], settings: Settings
) -> tuple[Row, ...]:
    of_first = known_dataset(first.data)
    rows = []
    for entry in chosen:
        dataset = offered.get(entry.dataset) or _linked(entry.dataset, settings)
        known = known_dataset(dataset.data) if dataset.installed or dataset.kind != "own" else None
        rows.append(Row(entry, dataset, known, of_first))
    return tuple(rows)


def _linked(name: str, settings: Settings) -> Dataset:
    """Return the uploaded dataset that an address names, as for the choice of a single one."""
    folder = sets.own_folder(name, settings)
    return Dataset(name, name if folder is None else str(folder), "own", folder is not None)


def _composed(copied: str | Mixture, first: Dataset, rows: tuple[Row, ...], place: DeltaGenerator) -> Composed:
    names = tuple(row.dataset.name for row in rows)
    problems = tuple(
        f"The dataset {row.dataset.name!r} is not among yours: choose another one or remove it."
        for row in rows
        if row.is_absent
    )
    rest = 100 - sum(row.mixed_in.share for row in rows)
    try:
        data = as_data([SourceShare(source=first.data, share=rest), *(row.share for row in rows)])
    except ConfigError as error:
        return Composed(first.data, names, (*problems, *(error.findings or (str(error),))), place=place)
    except ValueError as error:
        return Composed(first.data, names, (*problems, f"data: {error}."), place=place)
    if not isinstance(copied, str) and not isinstance(data, str) and _is_same(data, copied):
        data = copied
    return Composed(data, names, problems, (rows[0].first, *(row.known for row in rows)), place)


def _is_same(one: Mixture, other: Mixture) -> bool:
    """Return whether two mixtures differ at most in what their shares add up to."""
    if [each.replace(share=1) for each in one] != [each.replace(share=1) for each in other]:
        return False
    return all(map(math.isclose, percentages(one), percentages(other)))


# --- drawing ----------------------------------------------------------------------------------------------------------


def _button(label: str, rows: tuple[Row, ...], free: Sequence[str], offered: Mapping[str, Dataset]) -> None:
    """Draw the button that adds a dataset that is not used yet, rather an own one; none if all are used."""
    if not free:
        return
    added = min(free, key=lambda title: (not offered[title].installed, offered[title].kind != "own"))
    st.button(
        label,
        icon=":material/add:",
        type="tertiary",
        key="train-mix-add",
        on_click=_add,
        args=(rows, added),
        help="Training then draws its photos from several datasets, of each its share",
    )


def _draw(number: int, rows: tuple[Row, ...], names: Mapping[str, str]) -> None:
    """Draw one dataset: which one of `names`, its share, what its classes are in the first one, and its border."""
    row = rows[number]
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"train-mix-{number}"):
        st.session_state[_key(number, "dataset")] = row.mixed_in.dataset
        st.selectbox(
            f"Dataset {number + 2}",
            list(names),
            key=_key(number, "dataset"),
            format_func=lambda title: _label(title, names),
            on_change=_keep,
            args=(rows,),
            width=240,
        )
        _draw_share(number, rows)
        for name in row.asked:
            _draw_class(f"{text.plain(name)} counts as", (number, "class", name), row.classes.get(name), rows)
        if len(row.asked) - len(row.classes) >= MANY:
            _draw_class("All others count as", (number, "others"), None, rows)
        if not row.is_absent and (row.may_draw_border or row.share.border):
            st.session_state[_key(number, "border")] = row.share.border
            st.toggle(
                "Draw the border",
                key=_key(number, "border"),
                help="Around the pets of its masks, as wide as in the Oxford masks",
                on_change=_keep,
                args=(rows,),
            )
        st.button(
            "Remove",
            icon=":material/close:",
            type="tertiary",
            key=_key(number, "remove"),
            on_click=_remove,
            args=(rows, number),
        )
    st.caption(_matched(row))


def _draw_share(number: int, rows: tuple[Row, ...]) -> None:
    """Draw a dataset's share, which leaves at least 1 % for the first one."""
    share = rows[number].mixed_in.share
    others = sum(row.mixed_in.share for row in rows) - share
    st.session_state[_key(number, "share")] = share
    st.number_input(
        "Share in %",
        min(1.0, share),
        max(99 - others, share),
        step=STEP,
        format="%g",
        key=_key(number, "share"),
        help="of the photos of an epoch",
        on_change=_keep,
        args=(rows,),
        width=130,
    )


def _draw_class(label: str, place: tuple[int, *tuple[str, ...]], value: str | None, rows: tuple[Row, ...]) -> None:
    """Draw the choice of a class of the first dataset."""
    first = rows[place[0]].first
    st.session_state[_key(*place)] = value
    st.selectbox(
        label,
        () if first is None else first.class_names,
        index=None,
        key=_key(*place),
        placeholder="Choose",
        on_change=_keep,
        args=(rows,),
        width=150,
    )


def _label(title: str, names: Mapping[str, str]) -> str:
    """Return a dataset's name, or its title with the upload's key if another one has that name too."""
    name = names.get(title, title)
    return name if list(names.values()).count(name) == 1 else title


def _matched(row: Row) -> str:
    """Return which classes are matched by their names."""
    if row.is_absent:
        return ":material/lock: Not among your datasets."
    if row.known is None or row.first is None:
        return (
            "Not inspected yet: classes of the same name are matched when the dataset is checked. To say what others "
            "count as, open it first on the Data page, under Bring your own."
        )
    same = [name for name in row.known.class_names if name not in row.asked]
    return f"Same name in both: {text.plain(', '.join(same) or 'none')}."


# --- callbacks --------------------------------------------------------------------------------------------------------


def _key(number: int, *parts: str) -> str:
    return "-".join(("train-mix", str(number), *parts))


def _drawn(rows: tuple[Row, ...]) -> list[MixedIn]:
    """Return what the widgets hold: several may have changed at once."""
    found = []
    for number, row in enumerate(rows):
        held = st.session_state
        title = held.get(_key(number, "dataset")) or row.mixed_in.dataset
        share = held.get(_key(number, "share")) or row.mixed_in.share
        if title != row.mixed_in.dataset:
            found.append(MixedIn(dataset=title, share=share))
            continue
        others = held.get(_key(number, "others"))
        chosen = {name: held.get(_key(number, "class", name)) or others for name in row.asked}
        classes = {name: other for name, other in chosen.items() if other and other != row.alike.get(name)}
        border = held.get(_key(number, "border"), row.mixed_in.border)
        found.append(
            MixedIn(
                dataset=title,
                share=share,
                classes=classes if row.asked else row.mixed_in.classes,
                border=None if border == row.may_draw_border else border,
            )
        )
    return found


def _put(mixed_in: Sequence[MixedIn]) -> None:
    st.session_state[MIX.name] = written(mixed_in)


def _keep(rows: tuple[Row, ...]) -> None:
    _put(_drawn(rows))


def _add(rows: tuple[Row, ...], title: str) -> None:
    held = _drawn(rows)
    rest = 100 - sum(entry.share for entry in held)
    _put([*held, MixedIn(dataset=title, share=min(SHARE, rest / 2))])


def _remove(rows: tuple[Row, ...], number: int) -> None:
    held = _drawn(rows)
    del held[number]
    _put(held)
