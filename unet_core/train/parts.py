"""Where the training, validation and test photos of a run come from, in a sentence that is true for its dataset."""

from __future__ import annotations

from unet_core.data.own.report import saved_report
from unet_core.data.oxford.oxford_pets import NAME as OXFORD_PETS
from unet_core.data.sources import PARTS
from unet_core.data.synthetic.pets import NAME as SYNTHETIC
from unet_core.jobs.disclosure import data_title
from unet_core.train.config import TrainConfig

NAMES = {"train": "training", "validation": "validation", "test": "testing"}


def has_own_parts(data: str) -> bool:
    """Return whether a dataset divides its photos itself, so that there is a choice; False if it was not inspected."""
    if data == OXFORD_PETS:
        return True
    report = None if data == SYNTHETIC else saved_report(data)
    return report is not None and report.has_own_parts


def parts_sentence(config: TrainConfig) -> str:
    """Return whose division of the photos the run uses, and of a mixture which photos are drawn and which measured."""
    if isinstance(config.data, str):
        return _division(config)
    name = data_title(config.primary)
    return (
        f"Training draws its photos by share, {config.data_title}; validation, previews and test are of {name} alone. "
        f"{_division(config)}"
    )


def _division(config: TrainConfig) -> str:
    if config.primary == SYNTHETIC:
        return "The training, validation and test parts are drawn separately."
    share = f"{100 * config.validation_fraction:.0f} %"
    if not has_own_parts(config.primary):
        held_out = f"10 % of the photos are for testing, {share} of the others for validation"
        return f"The dataset has no parts of its own: {held_out}."
    if config.split_scheme == "percentage":
        return "The dataset's own parts are set aside: all photos are split again."
    if config.primary == OXFORD_PETS:
        return f"Tested on the dataset's own test part; {share} of its training part are for validation."
    report = saved_report(config.primary)
    own = {pair.part for pair in report.pairs} if report is not None else set()
    held_out = {"validation": f"{share} of the training photos", "test": "10 % of the training photos"}
    missing = [
        f"{held_out[part]} are held out for {NAMES[part]}" for part in PARTS if part not in own and part in held_out
    ]
    *others, last = (NAMES[part] for part in PARTS if part in own)
    return (
        f"The dataset's own parts for {', '.join(others)} and {last} are kept"
        + "".join(f"; {sentence}" for sentence in missing)
        + "."
    )
