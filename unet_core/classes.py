"""The classes of a dataset, which a model trained on it carries along; and those of the Oxford-IIIT Pet masks."""

from __future__ import annotations

from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from unet_core.strict import Strict

IGNORE_ID = 255  # of pixels without a class, in class ids: left out of loss and scores
MAX_CLASSES = 255

Level = Annotated[int, Field(ge=0, le=255)]


class PixelClass(NamedTuple):
    """One class of the trimap: `id` in labels and logits, `code` in mask files, its name and its colour."""

    id: int
    code: int
    name: str
    colour: tuple[int, int, int]


# Okabe and Ito's palette (2008): distinguishable with every common colour vision deficiency, on light and dark.
PET = PixelClass(id=0, code=1, name="pet", colour=(230, 159, 0))
BACKGROUND = PixelClass(id=1, code=2, name="background", colour=(86, 180, 233))
BORDER = PixelClass(id=2, code=3, name="border", colour=(204, 121, 167))

CLASSES: tuple[PixelClass, ...] = (PET, BACKGROUND, BORDER)
CLASS_NAMES: tuple[str, ...] = tuple(pixel_class.name for pixel_class in CLASSES)


class PixelClasses(Strict):
    """What the outputs of a network mean: name, colour and mask value of each class, by class id.

    Attributes:
        names: all different.
        colours: red, green and blue.
        codes: the value of each class in mask files: a number below 65536, or a colour 0xRRGGBB.
        in_colours: the codes are colours, even if all of them are small enough for numbers.
        background: id of the background, None if no class is one.
        ignored: names of what the masks mark as "not labelled"; its pixels have the id `IGNORE_ID`.

    Raises:
        ConfigError: the lists differ in length, names repeat, or `background` is no class.
    """

    names: tuple[str, ...] = Field(min_length=1, max_length=MAX_CLASSES)
    colours: tuple[tuple[Level, Level, Level], ...]
    codes: tuple[Annotated[int, Field(ge=0, le=0xFFFFFF)], ...]
    background: int | None = Field(default=None, ge=0)
    ignored: tuple[str, ...] = ()
    in_colours: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        count = len(self.names)
        if len(set(self.names)) != count or len(self.colours) != count or len(self.codes) != count:
            raise ValueError(f"names: needs {count} different names, and as many colours and codes")
        if self.background is not None and self.background >= count:
            raise ValueError(f"background: must be one of the {count} classes. Received: {self.background}")
        return self

    @property
    def has_colour_codes(self) -> bool:
        """Whether the codes are colours."""
        return self.in_colours or max(self.codes) > 0xFFFF

    @property
    def subject(self) -> tuple[int, ...]:
        """Ids of all classes but the background: what a cut-out keeps unless others are chosen."""
        return tuple(number for number in range(len(self.names)) if number != self.background)


PET_CLASSES = PixelClasses(
    names=CLASS_NAMES,
    colours=tuple(pixel_class.colour for pixel_class in CLASSES),
    codes=tuple(pixel_class.code for pixel_class in CLASSES),
    background=BACKGROUND.id,
)
