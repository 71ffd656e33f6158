"""What a person should know about a dataset and a network before training, although the run can start."""

from __future__ import annotations

import itertools
import math

import numpy as np

from unet_core.data.mixture import MixedSource, lacking
from unet_core.data.oxford import oxford_pets
from unet_core.data.pipeline import open_source, target_coding
from unet_core.data.sources import Source
from unet_core.data.synthetic import pets as synthetic
from unet_core.errors import UNetError
from unet_core.jobs.disclosure import data_title
from unet_core.settings import Settings, get_settings
from unet_core.train.config import TrainConfig

SMALLEST_SIDE = 2.0  # pixels; what is smaller is lost by the first pooling
_MASKS_MEASURED = 12


def data_warnings(config: TrainConfig, settings: Settings | None = None) -> tuple[str, ...]:
    """Return what to consider, one sentence for each; empty for the built-in datasets and one that cannot be used."""
    folder = (settings or get_settings()).data_dir
    try:
        found = [
            sentence
            for name in config.sources
            if name not in (oxford_pets.NAME, synthetic.NAME)
            for sentence in _of_dataset(open_source(name, config.model, config.split, data_dir=folder), name, config)
        ]
        if isinstance(config.data, str):
            return tuple(found)
        mixture = open_source(config.data, config.model, config.split, data_dir=folder)
        assert isinstance(mixture, MixedSource)
        return (*found, *_never_shown(mixture))
    except (UNetError, OSError):
        return ()


def _of_dataset(source: Source, name: str, config: TrainConfig) -> tuple[str, ...]:
    """Return what to consider about one dataset; whether outputs are unused, the primary one decides."""
    found = _unused_outputs(source, config) if name == config.primary else ()
    where = "" if isinstance(config.data, str) else f"{data_title(name)}: "
    return (*found, *(where + sentence for sentence in _vanishing_objects(source, config)))


def _never_shown(mixture: MixedSource) -> tuple[str, ...]:
    """Return a sentence for each further dataset whose masks lack classes of the first one."""
    first, *others = mixture.members
    missing = {member.title: lacking(member.source, member.share, first.source) for member in others}
    return tuple(
        f"No mask of {title} has {', '.join(names)}: where its photos show that, the network learns the class that the "
        "masks have there instead."
        for title, names in missing.items()
        if names
    )


def _unused_outputs(source: Source, config: TrainConfig) -> tuple[str, ...]:
    known = len(source.class_names)
    if config.model.classes <= max(known, 1):
        return ()
    extra = ", ".join(target_coding(source, config.model.classes).class_names[known:])
    return (
        f"The network has {config.model.classes} classes and the dataset {known} ({', '.join(source.class_names)}): "
        f"no mask has {extra}, so it learns nothing about that. Set classes to {known}.",
    )


def _vanishing_objects(source: Source, config: TrainConfig) -> tuple[str, ...]:
    if config.crops:
        return ()
    size = f"{config.model.height}×{config.model.width}"
    return tuple(
        f"A typical object of the class {name} is {side:.1f} pixels wide once photos are resized to {size}: train on "
        "crops, or choose a larger size."
        for name, side in typical_sides(source, (config.model.height, config.model.width)).items()
        if side < SMALLEST_SIDE
    )


def typical_sides(source: Source, size: tuple[int, int]) -> dict[str, float]:
    """Return how wide objects of each class are once photos have the network's size, in pixels.

    An object is a connected area of one class, its width the square root of its area; the typical one is the median
    over a dozen masks of the training part. The background and classes that do not occur are left out.
    """
    from scipy import ndimage  # slow to import

    names = source.names("train")
    wanted = {round(place) for place in np.linspace(0, len(names) - 1, min(_MASKS_MEASURED, len(names)))}
    sides: dict[int, list[float]] = {}
    for index, example in enumerate(itertools.islice(source.examples("train"), max(wanted, default=-1) + 1)):
        if index not in wanted:
            continue
        _, ids = example.decode()
        shrink = size[0] * size[1] / ids.size
        for class_id in set(range(len(source.class_names))) - {source.background}:
            areas = np.bincount(ndimage.label(ids == class_id)[0].reshape(-1))[1:]
            sides.setdefault(class_id, []).extend(math.sqrt(area * shrink) for area in areas)
    return {source.class_names[class_id]: float(np.median(found)) for class_id, found in sides.items() if found}
