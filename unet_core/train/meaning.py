"""What a run's model means: recorded when the run starts, and read wherever the model is used."""

from __future__ import annotations

from collections.abc import Sequence

from unet_core.architecture.encoders import ENCODERS
from unet_core.classes import PixelClasses
from unet_core.data.mixture import MixedSource
from unet_core.data.oxford.oxford_pets import CREDIT as OXFORD_CREDIT
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.oxford.oxford_pets import OxfordPets
from unet_core.data.pipeline import TargetCoding
from unet_core.data.sources import Source
from unet_core.data.synthetic.pets import NAME as SYNTHETIC
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.jobs.disclosure import data_title, without_paths
from unet_core.train.config import TrainConfig
from unet_core.train.run_directory import RunDirectory
from unet_core.zoo.meaning import UNKNOWN, DataOrigin, numbered_classes, pet_classes, trained_classes

OXFORD_LICENCE = (
    "For research: the dataset's README makes it available for research purposes, respecting the terms of the original "
    "image sites; the photos' copyright stays with their owners. See weights/README.md"
)
ENCODER_CREDIT = "{source}; the encoder started from weights trained on ImageNet, whose origin is in weights/README.md"
DRAWN_LICENCE = "No one else's rights: U-Net Studio drew the pictures"
_LICENCES = {OXFORD_PETS: OXFORD_LICENCE, SYNTHETIC: DRAWN_LICENCE}


def record_meaning(run: RunDirectory, source: Source, coding: TargetCoding) -> None:
    """Store the classes of a run's model and the data that it is trained on; log classes that the data never have.

    `coding` is how the data's class ids become the model's, see `unet_core.data.pipeline.target_coding`.
    """
    from unet_core.scoring.matching import never_there_warning

    config, names = run.config(), coding.class_names
    # In the masks of a one-class head id 0 is its class and id 1 the rest, the reverse of its targets.
    run.write_classes(trained_classes(source.classes, names[::-1] if config.model.classes == 1 else names))
    run.write_origin(origin_of(config, source))
    if warning := never_there_warning(coding, source):
        run.log(warning)


def origin_of(config: TrainConfig, source: Source | None = None) -> DataOrigin:
    """Return the name, description and licence of the data that a configuration trains on.

    `source` are the opened data, which need not be those that the configuration names.
    """
    description = without_paths(source.description) if source is not None else ""
    data = config.sources if source is None else _named_data(config, source)
    named = config.data_title if len(data) > 1 else data_title(*data)
    return DataOrigin(
        name=named,
        description=description,
        crops=config.crops,
        credit=credit_of(config, data),
        licence=_licence_of(data),
        pictures="drawn" if set(data) == {SYNTHETIC} else "photos",
    )


def _licence_of(data: Sequence[str]) -> str:
    """Return what the owners of the data allow; of several datasets each with its name."""
    licences = {name: _LICENCES.get(name, UNKNOWN) for name in data}
    if len(licences) == 1:
        return licences[data[0]]
    return "; ".join(f"{data_title(name)}: {licence}" for name, licence in licences.items())


def credit_of(config: TrainConfig, data: Sequence[str] = ()) -> tuple[str, ...]:
    """Return whose work a model contains: the data's, and that of the weights that training started from.

    `data` are the datasets, if not those that the configuration names.
    """
    credit = [OXFORD_CREDIT] if OXFORD_PETS in (data or config.sources) else []
    if config.model.encoder_weights != "none":
        credit.append(ENCODER_CREDIT.format(source=ENCODERS[config.model.encoder].source))
    if config.start_from:
        start = data_title(config.start_from)
        credit.append(f"Training started from the weights of {start}, whose licence applies too")
    return tuple(credit)


def _named_data(config: TrainConfig, source: Source) -> tuple[str, ...]:
    if isinstance(source, MixedSource):
        return tuple(member.share.source for member in source.members)
    if isinstance(source, OxfordPets):
        return (OXFORD_PETS,)
    if isinstance(source, SyntheticPets):
        return (SYNTHETIC,)
    return (UNKNOWN if config.primary in _LICENCES else config.primary,)


def classes_of(run: RunDirectory) -> tuple[PixelClasses, bool]:
    """Return the classes of a run's model, and whether their names are known.

    A run from before they were recorded has the pet classes if it was trained on pets, else numbered ones.
    """
    config = run.config()
    outputs = config.model.classes
    found = run.classes()
    if found is not None and len(found.names) == max(2, outputs):
        return found, True
    if config.primary in _LICENCES:
        return pet_classes(outputs), True
    return numbered_classes(outputs), False
