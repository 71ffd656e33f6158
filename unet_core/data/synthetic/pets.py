"""Drawn cats and dogs with exact trimaps: a dataset that needs no download and is the same on every machine.

Picture `index` of `seed` is always the same scene, drawn at any size; nothing depends on the order of drawing. The mask
comes from the pixels that the animals cover in the photo, so it is exact. Standard library, NumPy and Pillow only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import ImageFilter

from unet_core.classes import BACKGROUND, BORDER, PET
from unet_core.data.sources import DataError, SplitName, TrimapSource
from unet_core.data.splits import VALIDATION_FRACTION
from unet_core.data.synthetic import textures
from unet_core.data.synthetic.bodies import Animal
from unet_core.data.synthetic.chance import Chance
from unet_core.data.synthetic.composition import Light, Picture, compose
from unet_core.data.synthetic.painting import Painter, Placement, painted_backdrop, planes

NAME = "synthetic"
TRAIN_AND_VALIDATION, TEST = 1000, 200
TEST_START = 1_000_000  # pictures from this number on are for testing, for every seed; training never reaches them

_BORDER_SHARE = 5.2 / 128  # width of the border ring as a share of the shorter side: the median of the Oxford trimaps
_SMALLEST_SIDE = 8


@dataclass(frozen=True)
class SyntheticExample:
    """One picture, drawn on demand."""

    seed: int
    index: int
    size: tuple[int, int]

    @property
    def name(self) -> str:
        """A name in place of a file name."""
        return f"synthetic_{self.seed}_{self.index}"

    @property
    def species(self) -> str:
        """The kind of the animal in front, "Cat" or "Dog" as the Oxford dataset spells them."""
        return self._front.species.capitalize()

    @property
    def breed(self) -> str:
        """The coat of the animal in front, in place of a breed."""
        return self._front.coat.name

    @cached_property
    def _front(self) -> Animal:
        return compose(self.seed, self.index, self.size[1] / self.size[0]).pets[-1].animal

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo, (H, W, 3) uint8, and its class ids, (H, W) uint8."""
        photo, trimap = draw_pet(self.seed, self.index, self.size)
        return photo, trimap - np.uint8(1)


@dataclass(frozen=True)
class SyntheticPets(TrimapSource):
    """Synthetic pets as a source of examples of `size` (height, width); test has its own range of numbers."""

    seed: int = 0
    size: tuple[int, int] = (128, 128)
    validation_fraction: float = VALIDATION_FRACTION

    @property
    def description(self) -> str:
        """One line on the data."""
        return f"Synthetic pets, seed {self.seed}"

    def names(self, part: SplitName) -> tuple[str, ...]:
        """Return the pictures' names, in the order of `examples`."""
        return tuple(example.name for example in self.examples(part))

    def examples(self, part: SplitName) -> Iterator[SyntheticExample]:
        """Yield the split's pictures, not yet drawn."""
        for index in self._indices(part):
            yield SyntheticExample(self.seed, index, self.size)

    def _indices(self, part: SplitName) -> range:
        held_out = max(1, round(self.validation_fraction * TRAIN_AND_VALIDATION))
        return {
            "train": range(held_out, TRAIN_AND_VALIDATION),
            "validation": range(held_out),
            "test": range(TEST_START, TEST_START + TEST),
        }[part]


def draw_pet(seed: int, index: int, size: tuple[int, int] = (128, 128)) -> tuple[np.ndarray, np.ndarray]:
    """Draw picture `index` of the endless series `seed`.

    Returns:
        The photo, (H, W, 3) uint8, and its trimap with codes 1 pet, 2 background, 3 border, (H, W) uint8.

    Raises:
        DataError: `size` (height, width) is too small to show an animal.
    """
    height, width = size
    if min(size) < _SMALLEST_SIDE:
        raise DataError(f"size: must be at least {_SMALLEST_SIDE}×{_SMALLEST_SIDE}. Received: {height}×{width}")
    return paint(compose(seed, index, width / height), Chance(seed, index, "textures"), size)


def paint(picture: Picture, chance: Chance, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Paint a picture at `size` (height, width), its textures cropped by `chance`; returns the same as `draw_pet`."""
    photo = _backdrop(picture, chance, size)
    painter = Painter(photo, picture.light.towards)
    for pet in picture.pets:
        if pet.animal.grounded:
            _cast_shadow(painter, pet.extent, picture.light)
    for pet in picture.pets:
        painter.pet(pet.animal.sketch, pet.place, pet.animal.coat, chance)
    if picture.scene.front is not None:
        painter.thing(picture.scene.front, Placement(0, 0, 1), chance)
    return _lit(photo, picture.light, chance), _trimap(painter.visible > 0.5)


def _backdrop(picture: Picture, chance: Chance, size: tuple[int, int]) -> np.ndarray:
    """Return the place without animals, textured and slightly out of focus, (3, H, W) float32."""
    unit = min(size)
    flat = painted_backdrop(picture.scene.backdrop, size)
    photo = planes(flat.filter(ImageFilter.BoxBlur(picture.blur * unit)))
    texture = textures.cut(textures.blotches(), chance, size, 0.25)
    texture *= 0.035
    texture += 1
    photo *= texture
    return photo


def _cast_shadow(painter: Painter, extent: tuple[float, float, float, float], light: Light) -> None:
    left, _, right, bottom = extent
    wide = right - left
    x = (left + right) / 2 - light.towards[0] * 0.12 * wide
    painter.shadow(x, bottom - 0.01, 0.56 * wide, 0.12 * wide, 0.42)


def _lit(photo: np.ndarray, light: Light, chance: Chance) -> np.ndarray:
    """Return the photo under its light and with a camera's grain, (H, W, 3) uint8."""
    height, width = photo.shape[1:]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    field = (across * light.towards[0] + down * light.towards[1]) * np.float32(light.falloff)
    field -= (across**2 + down**2) * np.float32(light.vignette / 2)
    field += np.float32(light.brightness + light.vignette * 0.3)
    if light.dapple:
        field += textures.cut(textures.lumps(), chance, (height, width), 0.14) * np.float32(light.dapple)
    photo *= field
    photo *= np.array(light.tint, np.float32)[:, None, None]
    photo += textures.cut(textures.grain(), chance, (height, width), 0.25) * np.float32(2.5)
    together = np.empty((height, width, 3), np.uint8)
    for band, plane in enumerate(np.clip(photo, 0, 255, out=photo)):
        together[..., band] = plane
    return together


def _trimap(inside: np.ndarray) -> np.ndarray:
    """Return trimap codes: a ring along the outline is border, half of its width on either side."""
    ring = max(2, round(_BORDER_SHARE * min(inside.shape)))
    trimap = np.full(inside.shape, BORDER.code, np.uint8)
    trimap[~_spread(inside, ring - ring // 2)] = BACKGROUND.code
    trimap[~_spread(~inside, ring // 2)] = PET.code
    return trimap


def _spread(inside: np.ndarray, reach: int) -> np.ndarray:
    """Grow the true part by `reach` pixels in every direction: a disc around each of its pixels.

    Up to ten times as fast as SciPy's distance transform, which would double the time of drawing.
    """
    height = len(inside)
    grown = inside.copy()
    widened, width = inside, 0
    for step in range(reach, 0, -1):  # rows at distance `step` grow by the disc's width there, the farthest by least
        wanted = int((reach * reach - step * step) ** 0.5)
        widened, width = _widened(widened, inside, width, wanted), wanted
        grown[step:] |= widened[: height - step]
        grown[: height - step] |= widened[step:]
    return grown | _widened(widened, inside, width, reach)


def _widened(narrow: np.ndarray, inside: np.ndarray, width: int, wanted: int) -> np.ndarray:
    """Grow `narrow`, already grown by `width` columns from `inside`, to `wanted` columns on either side."""
    if wanted == width:
        return narrow
    wide = narrow.copy()
    for shift in range(width + 1, wanted + 1):
        wide[:, shift:] |= inside[:, :-shift]
        wide[:, :-shift] |= inside[:, shift:]
    return wide
