"""Reproducible train, validation and test splits, stratified by class, that share no picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from unet_core.data.sources import DataError, SplitName, stable_fraction
from unet_core.strict import Strict

TEST_FRACTION = 0.1  # of all examples
VALIDATION_FRACTION = 0.1  # of the examples outside test

SplitScheme = Literal["official", "percentage"]
ValidationFraction = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class SplitConfig(Strict):
    """Which examples are for training, validation and test; each dataset reads the options that apply to it.

    The options have the same names in a training configuration, see `among`.

    Raises:
        ConfigError: one error that names each invalid field, what is allowed and what was received.
    """

    split_scheme: SplitScheme = "official"  # the dataset's own parts, if it has any; "percentage" splits all examples
    validation_fraction: ValidationFraction = VALIDATION_FRACTION
    drop_near_duplicates: bool = True  # Oxford training photos that nearly equal a test photo
    seed: Seed = 0  # of synthetic pictures

    @classmethod
    def among(cls, values: Mapping[str, Any]) -> Self:
        """Take the options from the plain values of a larger configuration; a missing option has its default.

        Raises:
            ConfigError: an option is out of range.
        """
        return cls.from_dict({name: values[name] for name in cls.model_fields if name in values})


DEFAULT_SPLIT = SplitConfig()


def deterministic_splits(
    names: Sequence[str],
    shares: np.ndarray,
    groups: Sequence[int] | np.ndarray | None = None,
    *,
    validation_fraction: float = VALIDATION_FRACTION,
) -> dict[SplitName, tuple[str, ...]]:
    """Split examples into three splits, depending on the arguments alone and not on the order of examples.

    Examples are ordered by the rarest class they contain and, within it, along the direction in which class shares vary
    most; of each run of neighbours one is held out (systematic sampling). So every split has rare classes, small and
    large objects in proportion. Test is chosen first, so it does not depend on the share held out for validation.

    Args:
        names: of the examples, all different.
        shares: (N, classes), share of each class in each example's mask.
        groups: (N,), examples with equal numbers stay in one split; by default each is its own group.
        validation_fraction: share of the examples outside test.

    Returns:
        Names by split, in order; no split is empty.

    Raises:
        DataError: there are fewer than three groups.
    """
    clusters = _clusters(names, np.arange(len(names)) if groups is None else np.asarray(groups))
    if len(clusters) < 3:
        raise DataError(
            f"{len(names)} photos that show {len(clusters)} different pictures cannot be split into train, validation "
            "and test: add photos, at least 3 must differ."
        )
    clusters = _stratified(clusters, np.asarray(shares, np.float64).reshape(len(names), -1))
    test = _held_out(clusters, TEST_FRACTION, leave=2)
    rest = [cluster for cluster in clusters if cluster not in test]
    validation = _held_out(rest, validation_fraction, leave=1)
    train = set(rest) - validation
    parts: dict[SplitName, set[_Cluster]] = {"train": train, "validation": validation, "test": test}
    return {
        part: tuple(sorted(names[index] for cluster in chosen for index in cluster.examples))
        for part, chosen in parts.items()
    }


def held_out(
    names: Sequence[str], shares: np.ndarray, groups: Sequence[int] | np.ndarray, fraction: float
) -> tuple[str, ...]:
    """Hold out about `fraction` of the examples, chosen as `deterministic_splits` chooses; one group remains at least.

    Raises:
        DataError: there are fewer than two groups.
    """
    clusters = _clusters(names, np.asarray(groups))
    if len(clusters) < 2:
        raise DataError(f"{len(names)} photos that show one picture cannot be divided: add photos.")
    ordered = _stratified(clusters, np.asarray(shares, np.float64).reshape(len(names), -1))
    chosen = _held_out(ordered, fraction, leave=1)
    return tuple(sorted(names[index] for cluster in chosen for index in cluster.examples))


def _clusters(names: Sequence[str], groups: np.ndarray) -> list[_Cluster]:
    members: dict[int, list[int]] = {}
    for index in sorted(range(len(names)), key=names.__getitem__):
        members.setdefault(int(groups[index]), []).append(index)
    return [_Cluster(tuple(indices), stable_fraction(names[indices[0]])) for indices in members.values()]


class _Cluster(NamedTuple):
    """Examples that stay together, and their lot: a number that does not depend on how and where they are stored."""

    examples: tuple[int, ...]
    lot: float


def _stratified(clusters: list[_Cluster], shares: np.ndarray) -> list[_Cluster]:
    """Order clusters so that neighbours have similar classes and shares."""
    means = np.array([shares[list(cluster.examples)].mean(axis=0) for cluster in clusters])  # (clusters, classes)
    frequency = (means > 0).sum(axis=0)
    rarest = np.where(means > 0, frequency, len(clusters) + 1).min(axis=1, initial=len(clusters) + 1)
    centred = means - means.mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]  # of the largest variance
    direction = direction * np.sign(direction[np.abs(direction).argmax()])
    scores = np.round(centred @ direction, 6)
    order = sorted(range(len(clusters)), key=lambda index: (rarest[index], scores[index], clusters[index].lot))
    return [clusters[index] for index in order]


def _held_out(clusters: list[_Cluster], fraction: float, leave: int) -> set[_Cluster]:
    """Hold out `fraction` of the examples, evenly over the clusters' order; at least `leave` clusters remain."""
    run_length = 1 / fraction
    chosen: set[_Cluster] = set()
    run: list[_Cluster] = []
    seen = credit = 0.0  # examples in this run, and examples still to be drawn
    for number, cluster in enumerate(clusters, start=1):
        run.append(cluster)
        seen += len(cluster.examples)
        credit += fraction * len(cluster.examples)
        complete = seen >= run_length - 1e-9 or (number == len(clusters) and credit >= 0.5)
        if complete and len(clusters) - len(chosen) > leave:
            # Clusters that are too large wait, so that a big group of duplicates ends up in the training split.
            fitting = [candidate for candidate in run if len(candidate.examples) <= credit + 0.5]
            if fitting:
                drawn = min(fitting, key=lambda candidate: candidate.lot)
                chosen.add(drawn)
                credit -= len(drawn.examples)
        if complete:
            run, seen = [], max(0.0, seen - run_length) if len(run) > 1 else 0.0
    if not chosen:
        chosen.add(min(clusters, key=lambda cluster: (len(cluster.examples), cluster.lot)))
    return chosen
