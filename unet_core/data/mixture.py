"""Several datasets trained on together: what a configuration says of them, and the source that they make.

The first dataset is the primary one: the network has its classes, and validation, previews and scores are of its photos
alone. The others add photos to training. An epoch draws as many photos as the training parts have together, from each
dataset its share; those of a small dataset come several times, of a large one others in each epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from unet_core.classes import BORDER, CLASS_NAMES, IGNORE_ID, PixelClasses
from unet_core.data.border import with_border
from unet_core.data.own.duplicates import near_duplicates, photo_thumbnail
from unet_core.data.sources import DataError, Example, Labelled, Source, SplitName, photo_channels
from unet_core.errors import ConfigError
from unet_core.images.preprocess import visible
from unet_core.jobs.disclosure import data_title
from unet_core.strict import Strict

MOST_SOURCES = 16
_NAMED = 3  # photos in a sentence


class SourceShare(Strict):
    """One dataset of a mixture.

    Raises:
        ConfigError: one error that names each invalid field, what is allowed and what was received.
    """

    source: str = Field(min_length=1)  # "oxford_iiit_pet", "synthetic" or a folder or ZIP
    share: float = Field(default=1.0, gt=0, le=1e6)  # of the photos of an epoch, relative to the others'
    classes: dict[str, str] = Field(default_factory=dict)  # its classes that have another name in the first dataset
    border: bool = False  # draw the pets' border around its masks, see `unet_core.data.border`


Mixture = tuple[SourceShare, ...]


def as_data(value: Any) -> str | Mixture:
    """Read "name", or a list of names and of objects with the fields of `SourceShare`.

    Raises:
        ValueError: it is neither, or no mixture.
    """
    if isinstance(value, str):
        if not value:
            raise ValueError("must have at least 1 character")
        return value
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= MOST_SOURCES:
        raise ValueError(f"must be a dataset's name or path, or a list of 1 to {MOST_SOURCES} of them")
    shares = tuple(_as_share(entry, number) for number, entry in enumerate(value, start=1))
    names = [share.source for share in shares]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each dataset may be there once; {twice[0]} is there twice")
    first, *others = shares
    if first.classes or first.border:
        raise ValueError("the first dataset keeps its own masks: classes and border are for the others")
    return shares if others else first.source


def _as_share(entry: Any, number: int) -> SourceShare:
    if isinstance(entry, SourceShare):
        return entry
    if isinstance(entry, str):
        entry = {"source": entry}
    if not isinstance(entry, dict):
        raise ValueError(f"entry {number} must be a dataset's name or path, or an object with source and share")
    try:
        return SourceShare.from_dict(entry)
    except ConfigError as error:
        findings = tuple(f"{number}.{finding}" for finding in error.findings)
        raise ConfigError("; ".join(findings), findings) from None


# A dataset's name or path, or a mixture of two or more. A list of one is that dataset.
Data = Annotated[str | Mixture, BeforeValidator(as_data)]


def primary_of(data: str | Mixture) -> str:
    """Return the dataset whose photos validate and score a network."""
    return sources_of(data)[0]


def sources_of(data: str | Mixture) -> tuple[str, ...]:
    """Return the names or paths of all datasets, the primary one first."""
    return (data,) if isinstance(data, str) else tuple(share.source for share in data)


def percentages(data: Mixture) -> tuple[float, ...]:
    """Return the share of each dataset in an epoch, in percent."""
    total = sum(share.share for share in data)
    return tuple(100 * share.share / total for share in data)


def title_of(data: str | Mixture) -> str:
    """Return the data's name for people, without paths: each dataset of a mixture with its share."""
    if isinstance(data, str):
        return data_title(data)
    named = zip(percentages(data), data, strict=True)
    return " + ".join(f"{percent:.3g} % {data_title(share.source)}" for percent, share in named)


# --- as one source ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """One opened dataset of a mixture; `table`, (256,) uint8, turns its class ids into the primary dataset's."""

    source: Source
    share: SourceShare
    table: np.ndarray = field(repr=False)

    @property
    def title(self) -> str:
        """The dataset's name for people."""
        return data_title(self.share.source)


@dataclass(frozen=True)
class MixedExample:
    """An example of a mixture; `name` starts with its dataset's."""

    name: str
    example: Example
    member: Member

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo and its class ids in the primary dataset, (H, W) uint8.

        Raises:
            DataError: the photo or its mask cannot be used.
        """
        photo, ids = self.example.decode()
        ids = self.member.table[ids]
        return photo, with_border(ids) if self.member.share.border else ids


@dataclass(frozen=True)
class MixedSource:
    """Several datasets as one: all of them in the training part, the first one alone in the others.

    Training examples alternate by share, so that the first ones of any number are a mixture too. Photos of the other
    datasets that look like a validation or test photo of the first are left out, see `left_out`.
    """

    members: tuple[Member, ...]

    @property
    def primary(self) -> Source:
        """The dataset whose photos validate and score a network."""
        return self.members[0].source

    @property
    def description(self) -> str:
        """One line on the data."""
        mixture = tuple(member.share for member in self.members)
        named = zip(percentages(mixture), self.members, strict=True)
        parts = "; ".join(f"{percent:.3g} % {member.source.description}" for percent, member in named)
        return f"{parts}; validated and tested on {self.members[0].title} alone"

    @property
    def classes(self) -> PixelClasses:
        """What the class ids mean."""
        return self.primary.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by id."""
        return self.primary.class_names

    @property
    def foreground(self) -> tuple[int, ...] | None:
        """Class ids that count as the object in a binary mask."""
        return self.primary.foreground

    @property
    def background(self) -> int:
        """Class id of the padding around a photo."""
        return self.primary.background

    @property
    def channels(self) -> int:
        """Channels of the photos."""
        return photo_channels(self.primary)

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each dataset in an epoch; their sum is any number."""
        return tuple(member.share.share for member in self.members)

    def names(self, part: SplitName) -> tuple[str, ...]:
        """Return the names of a part's examples, in the order of `examples`."""
        if part != "train":
            return self.primary.names(part)
        return tuple(f"{self.members[number].title}/{name}" for number, name in self._order)

    def examples(self, part: SplitName) -> Iterator[Example]:
        """Yield a part's examples, always in the same order."""
        if part != "train":
            yield from self.primary.examples(part)
            return
        streams = [self._kept(number, member) for number, member in enumerate(self.members)]
        for number, name in self._order:
            member = self.members[number]
            yield MixedExample(f"{member.title}/{name}", next(streams[number]), member)

    @property
    def owners(self) -> np.ndarray:
        """The dataset of each training example, by its number: (N,) int64."""
        return np.array([number for number, _ in self._order], np.int64)

    def weights(self, count: int | None = None) -> np.ndarray:
        """Return how much each of the first `count` training examples counts, so that each dataset has its share."""
        owners = self.owners[:count]
        numbers = np.bincount(owners, minlength=len(self.members))
        return (np.array(self.shares) / np.maximum(numbers, 1))[owners]

    @cached_property
    def left_out(self) -> dict[str, tuple[str, ...]]:
        """The photos of each other dataset that look like one of the first one's validation or test part.

        Decodes all of these photos once and compares their thumbnails, see `unet_core.data.own.duplicates`: rather one
        photo too many, such as another animal on the same grass under the same sky, than one that is trained on and
        then measured.
        """
        held_out = [*self.primary.examples("validation"), *self.primary.examples("test")]
        others = [(member.title, example) for member in self.members[1:] for example in member.source.examples("train")]
        with ThreadPoolExecutor() as pool:
            seen = pool.map(_thumbnail, [*held_out, *(example for _, example in others)])
            pairs = near_duplicates(np.array(list(seen)))
        known = len(held_out)
        doubled = {int(second) - known for first, second in pairs if first < known <= second}
        found: dict[str, list[str]] = {}
        for index in sorted(doubled):
            title, example = others[index]
            found.setdefault(title, []).append(example.name)
        return {title: tuple(names) for title, names in found.items()}

    @property
    def left_out_sentence(self) -> str:
        """What `left_out` says, in a sentence; empty if there is nothing."""
        sentences = []
        for title, names in self.left_out.items():
            listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
            photos = f"{len(names)} photo{'s look' if len(names) > 1 else ' looks'}"
            sentences.append(
                f"{title}: {photos} like one of {self.members[0].title}'s validation or test part; left out of "
                f"training: {listed}."
            )
        return " ".join(sentences)

    def _kept(self, number: int, member: Member) -> Iterator[Example]:
        """Yield a dataset's training examples without those left out."""
        dropped = set(self.left_out.get(member.title, ())) if number else set()
        return (example for example in member.source.examples("train") if example.name not in dropped)

    @cached_property
    def _order(self) -> tuple[tuple[int, str], ...]:
        """The number of the dataset and the name of each training example."""
        dropped = [set(), *(set(self.left_out.get(member.title, ())) for member in self.members[1:])]
        names = [
            [name for name in member.source.names("train") if name not in without]
            for member, without in zip(self.members, dropped, strict=True)
        ]
        order = alternating([len(each) for each in names], self.shares)
        streams = [iter(each) for each in names]
        return tuple((number, next(streams[number])) for number in order)


def _thumbnail(example: Example) -> np.ndarray:
    return photo_thumbnail(visible(example.decode()[0]))


def mixed(mixture: Mixture, sources: Sequence[Source], classes: int) -> MixedSource:
    """Return opened datasets as one, their classes matched by name.

    Args:
        mixture: which ones, their shares, and what to do with their masks.
        sources: the datasets, in that order.
        classes: of the network.

    Raises:
        DataError: see `check_mixture`.
    """
    check_mixture(mixture, sources, classes)
    first, *others = sources
    members = [Member(first, mixture[0], np.arange(256, dtype=np.uint8))]
    for share, source in zip(mixture[1:], others, strict=True):
        members.append(Member(source, share, _table(share, source, first)))
    return MixedSource(tuple(members))


def scored_source(source: Source) -> Source:
    """Return the dataset whose photos validate and score a network: a mixture's first one, else the source itself."""
    return source.primary if isinstance(source, MixedSource) else source


def lacking(source: Labelled, share: SourceShare, first: Labelled) -> tuple[str, ...]:
    """Return the classes of the first dataset that no mask of another one can show."""
    own = {share.classes.get(name, name) for name in source.class_names}
    drawn = {BORDER.name} if share.border else set()
    return tuple(name for name in first.class_names if name not in own | drawn)


def lacks_border(source: Labelled, share: SourceShare, first: Labelled) -> bool:
    """Return whether the first dataset's masks have the pets' border, and another one's neither have nor get it."""
    return first.class_names == CLASS_NAMES and BORDER.name in lacking(source, share, first)


def counterparts(source: Labelled, first: Labelled) -> dict[str, str]:
    """Return the first dataset's class for each class of another one whose name is written a little differently.

    Differences in case, spaces, hyphens and underscores are little ones. Equal names need no counterpart.
    """
    known = {_simplified(name): name for name in reversed(first.class_names)}
    return {
        name: known[_simplified(name)]
        for name in source.class_names
        if name not in first.class_names and _simplified(name) in known
    }


def _simplified(name: str) -> str:
    return "".join(name.replace("_", " ").replace("-", " ").split()).casefold()


# --- whether they can be mixed ----------------------------------------------------------------------------------------


def check_mixture(mixture: Mixture, sources: Sequence[Labelled], classes: int) -> None:
    """Refuse datasets that cannot be mixed.

    Args:
        mixture: which ones, and what to do with their masks.
        sources: the datasets, or what is known of them, in that order.
        classes: of the network.

    Raises:
        DataError: a class has no counterpart in the first dataset, photos have other channels, a border is missing or
            cannot be drawn, or two datasets have one name.
    """
    first, *others = sources
    for share, source in zip(mixture[1:], others, strict=True):
        _check_classes(share, source, mixture[0], first)
        _check(share, source, mixture[0], first, classes)
    titles = [data_title(share.source) for share in mixture]
    if len(set(titles)) < len(titles):
        raise DataError(f"data: two datasets have the same folder name ({', '.join(titles)}): rename one of them.")


def _check(share: SourceShare, source: Labelled, first_share: SourceShare, first: Labelled, classes: int) -> None:
    title, first_title = data_title(share.source), data_title(first_share.source)
    if photo_channels(source) != photo_channels(first):
        raise DataError(
            f"data: the photos of {title} have {photo_channels(source)} channels and those of {first_title} "
            f"{photo_channels(first)}: only photos with as many can be mixed."
        )
    if share.border and first.class_names != CLASS_NAMES:
        raise DataError(
            f"data: border of {title}: {first_title} has no {', '.join(CLASS_NAMES)}, so there is none to draw."
        )
    if share.border and BORDER.name in source.class_names:
        raise DataError(f"data: border of {title}: its masks have a border already.")
    if classes >= len(CLASS_NAMES) and lacks_border(source, share, first):
        raise DataError(
            f"data: the masks of {title} have no {BORDER.name}, which those of {first_title} have, so they would teach "
            "the opposite. Let it be drawn around their pets with border: true."
        )


def _check_classes(share: SourceShare, source: Labelled, first_share: SourceShare, first: Labelled) -> None:
    title, first_title = data_title(share.source), data_title(first_share.source)
    if unknown := [name for name in share.classes if name not in source.class_names]:
        raise DataError(
            f"data: classes of {title}: it has no {', '.join(unknown)}, only {', '.join(source.class_names)}."
        )
    wanted = {name: share.classes.get(name, name) for name in source.class_names}
    unmatched = {name: other for name, other in wanted.items() if other not in first.class_names}
    if unmatched:
        several = len(unmatched) > 1
        raise DataError(
            f"data: {title} has the class{'es' if several else ''} {', '.join(unmatched.values())}, which "
            f"{first_title} does not have ({', '.join(first.class_names)}). Say which of them "
            f"{'they are' if several else 'it is'}, "
            f'such as "classes": {{"{next(iter(unmatched))}": "{first.class_names[0]}"}}.'
        )


def _table(share: SourceShare, source: Source, first: Source) -> np.ndarray:
    """Return the table that turns a dataset's class ids into the first one's."""
    table = np.full(256, IGNORE_ID, np.uint8)
    for number, name in enumerate(source.class_names):
        table[number] = first.class_names.index(share.classes.get(name, name))
    return table


# --- drawing ----------------------------------------------------------------------------------------------------------


def alternating(counts: Sequence[int], shares: Sequence[float]) -> list[int]:
    """Return a dataset's number for each example of all: in any first ones, each dataset has about its share."""
    places = [(np.arange(count) + 0.5) / share for count, share in zip(counts, shares, strict=True)]
    numbers = np.repeat(np.arange(len(counts)), counts)
    return numbers[np.argsort(np.concatenate(places), kind="stable")].tolist()


def drawn_order(
    random: np.random.Generator, owners: np.ndarray | None, shares: Sequence[float], count: int
) -> np.ndarray:
    """Return the examples of one epoch in order, (count,) int64.

    Args:
        random: decides everything.
        owners: (count,), each example's dataset by number; None for one dataset.
        shares: of each dataset; of a single one each example comes once.
        count: of the examples.
    """
    if owners is None or len(shares) < 2:
        return random.permutation(count)
    present = np.flatnonzero(np.bincount(owners, minlength=len(shares)))
    wanted = apportioned(count, np.array(shares)[present])
    drawn = [
        _repeated(random, np.flatnonzero(owners == number), many) for number, many in zip(present, wanted, strict=True)
    ]
    return random.permutation(np.concatenate(drawn))


def apportioned(count: int, shares: Sequence[float] | np.ndarray) -> list[int]:
    """Divide `count` by shares into whole numbers, by the largest remainders."""
    exact = count * np.asarray(shares, np.float64) / np.sum(shares)
    whole = np.floor(exact).astype(int)
    largest = np.argsort(whole - exact, kind="stable")[: count - int(whole.sum())]
    whole[largest] += 1
    return whole.tolist()


def _repeated(random: np.random.Generator, indices: np.ndarray, wanted: int) -> np.ndarray:
    """Draw `wanted` of some examples: each as often as any other, or once more."""
    rounds = [random.permutation(indices) for _ in range(-(-wanted // len(indices)))]
    return np.concatenate([np.empty(0, np.int64), *rounds])[:wanted]
