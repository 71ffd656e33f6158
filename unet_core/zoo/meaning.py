"""What a trained model means: its classes, and the data that it was trained on with their licence."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.trace import trace
from unet_core.classes import BACKGROUND, CLASS_NAMES, CLASSES, PET, PET_CLASSES, PixelClasses
from unet_core.images.render import class_colour
from unet_core.strict import Strict

UNKNOWN = "unknown"
CROPS_NOTE = (
    "This model was trained on pieces of photos at their own size: segment photos in tiles at 100 % (on the command "
    "line: --way tiles --scale 1)."
)
DRAWN_NOTE = "This model was trained on drawn pets, not on photos: on a photo its mask may be far off."


class DataOrigin(Strict):
    """The data that a model was trained on.

    Attributes:
        name: of the dataset, without a path.
        description: one line on it.
        licence: what its owners allow, "unknown" if nobody said.
        pictures: "drawn" for pictures that a program drew, which a model cannot be expected to leave.
        crops: trained on pieces of photos at their own size instead of whole photos.
        credit: whose work the model contains.
    """

    name: str = UNKNOWN
    description: str = ""
    licence: str = UNKNOWN
    pictures: Literal["photos", "drawn"] = "photos"
    crops: bool = False
    credit: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What to know before the model is used on a photo; empty if nothing is known against it."""
        notes = {DRAWN_NOTE: self.pictures == "drawn", CROPS_NOTE: self.crops}
        return " ".join(note for note, applies in notes.items() if applies)


def classes_named(names: Sequence[str]) -> PixelClasses:
    """Return the classes of a model of which only the names are known, by id.

    Those of the Oxford masks have their codes and colours; others are coded by their ids. One called "background" is
    the background.
    """
    pets = {each.name: each for each in CLASSES}
    if {PET.name, BACKGROUND.name} <= set(names) <= set(pets):
        known = [pets[name] for name in names]
        colours, codes = tuple(each.colour for each in known), tuple(each.code for each in known)
    else:
        colours, codes = tuple(class_colour(number) for number in range(len(names))), tuple(range(len(names)))
    background = names.index(BACKGROUND.name) if BACKGROUND.name in names else None
    return PixelClasses(names=tuple(names), colours=colours, codes=codes, background=background)


def pet_classes(outputs: int) -> PixelClasses:
    """Return the classes of a model with `outputs` channels trained on pets; one and two channels mean pet or not."""
    if outputs <= 2:
        return classes_named((PET.name, BACKGROUND.name))
    return trained_classes(PET_CLASSES, (*CLASS_NAMES, *further_names(CLASS_NAMES, outputs)))


def numbered_classes(outputs: int) -> PixelClasses:
    """Return the classes of a model with `outputs` channels whose names nobody recorded: "class 0", "class 1" …"""
    return classes_named([f"class {number}" for number in range(max(2, outputs))])


def further_names(own: Sequence[str], outputs: int) -> tuple[str, ...]:
    """Return the names of the classes that a model with `outputs` channels has beyond the `own` ones of its data."""
    names = ("padding", *(f"class {number}" for number in range(len(own) + 1, outputs)))[: max(0, outputs - len(own))]
    return tuple(f"{name} (unused)" if name in own else name for name in names)


def trained_classes(own: PixelClasses, names: Sequence[str]) -> PixelClasses:
    """Return what a model's classes `names`, by id, mean, if it was trained on data with the classes `own`.

    Further names have spare colours and unused codes.
    """
    unused = (code for code in itertools.count() if code not in own.codes)
    places = {name: place for place, name in enumerate(own.names)}
    background = None if own.background is None else own.names[own.background]
    return PixelClasses(
        names=tuple(names),
        colours=tuple(
            own.colours[places[name]] if name in places else class_colour(number) for number, name in enumerate(names)
        ),
        codes=tuple(own.codes[places[name]] if name in places else next(unused) for name in names),
        background=None if background is None or background not in names else list(names).index(background),
        ignored=own.ignored,
        in_colours=own.in_colours,
    )


class Meaning(NamedTuple):
    """What a model's outputs mean, and the data that it was trained on."""

    classes: PixelClasses
    origin: DataOrigin


def described(config: UNetConfig, meaning: Meaning) -> dict[str, Any]:
    """Return everything that a program needs to use a model's outputs, as plain values for JSON.

    Raises:
        ConfigError: the scale of the preprocessing has not been measured yet.
    """
    classes, origin = meaning
    return {
        **classes.model_dump(mode="json"),
        "preprocessing": preprocessing_of(config),
        "activation": config.head_activation,
        "source": f"{origin.name} ({origin.description})" if origin.description else origin.name,
        "licence": origin.licence,
        "credit": list(origin.credit),
    }


def metadata(config: UNetConfig, meaning: Meaning) -> dict[str, str]:
    """Return `described` as the metadata of a model file: `classes` are the names, all but texts are JSON."""
    about = described(config, meaning)
    values = {"classes": about.pop("names"), **about}
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in values.items()
    }


def preprocessing_of(config: UNetConfig) -> dict[str, Any]:
    """Return the steps from a photo to a network's input, and the size of its output."""
    divisor, shift = config.preprocessing.scaling
    output = trace(config).output_shape or config.input_shape
    return {
        "height": config.height,
        "width": config.width,
        "channels": config.channels,
        "channel_order": {1: "grey", 3: "RGB"}.get(config.channels, "as in the data"),
        "resize": config.preprocessing.resize,
        "filter": "bilinear, antialiased",
        "scale": config.preprocessing.scale,
        "divisor": divisor,
        "shift": shift,
        "output_height": output[0],
        "output_width": output[1],
    }
