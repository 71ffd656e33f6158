"""The content of a picture, independent of its size: a place, its light, and animals in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unet_core.data.synthetic.bodies import Animal, random_animal
from unet_core.data.synthetic.chance import Chance
from unet_core.data.synthetic.coats import Species
from unet_core.data.synthetic.painting import Placement
from unet_core.data.synthetic.scenes import Frame, Scene, random_scene
from unet_core.data.synthetic.shapes import Colour

_ANIMALS = {1: 0.8, 2: 0.16, 3: 0.04}  # how many there are in a picture, and how often
_TINTS: tuple[Colour, ...] = (
    (1.0, 1.0, 1.0),
    (1.05, 1.0, 0.92),
    (1.08, 0.98, 0.86),
    (0.94, 0.98, 1.06),
    (1.02, 1.02, 0.96),
)


@dataclass(frozen=True)
class Light:
    """Where the light comes from (a vector of length 1, y downwards), and what it does to the whole picture."""

    towards: tuple[float, float]
    brightness: float
    falloff: float  # how much darker the far side is
    vignette: float  # how much darker the corners are
    dapple: float  # strength of patches of light and shade
    tint: Colour  # factors of red, green and blue


@dataclass(frozen=True)
class Pet:
    """An animal and where it is; `extent` is its left, top, right and bottom in the picture."""

    animal: Animal
    place: Placement
    extent: tuple[float, float, float, float]


@dataclass(frozen=True)
class Picture:
    """Everything that is in a picture; `pets` are from back to front."""

    scene: Scene
    pets: tuple[Pet, ...]
    light: Light
    blur: float  # of the background, as a share of the shorter side


def compose(seed: int, index: int, aspect: float = 1.0) -> Picture:
    """Compose picture `index` of `seed`; `aspect` is its width divided by its height."""
    chance = Chance(seed, index)
    width, height = max(1.0, aspect), max(1.0, 1 / aspect)
    first: Species = "cat" if chance.happens(0.5) else "dog"
    count = chance.weighted(_ANIMALS)
    pets = [
        _pet(chance, first if chance.happens(0.6) else _other(first), slot, count, width, height)
        for slot in range(count)
    ]
    pets.sort(key=lambda pet: pet.extent[3])
    ground = min([pet.extent[3] for pet in pets if pet.animal.grounded], default=height * chance.between(0.6, 1.1))
    horizon = min(max(ground - chance.between(0.08, 0.34), 0.34 * height), 0.84 * height)
    frame = Frame(width, height, horizon)
    return Picture(random_scene(chance, frame), tuple(pets), _light(chance), chance.between(0.006, 0.014))


def _other(species: Species) -> Species:
    return "dog" if species == "cat" else "cat"


def _pet(chance: Chance, species: Species, slot: int, count: int, width: float, height: float) -> Pet:
    """Choose an animal and its place; several animals have separate areas of the picture, and none is a close-up."""
    animal = random_animal(chance, species)
    while count > 1 and not animal.grounded:
        animal = random_animal(chance, species)
    left, top, right, bottom = animal.sketch.bounds()
    mirrored = chance.happens(0.5 if count == 1 else 0.15 + 0.7 * slot / (count - 1))  # several look at each other
    if mirrored:
        left, right = -right, -left
    area = chance.between(0.36, 0.98) if animal.grounded else chance.between(0.85, 1.5)
    area *= width * height / (1, 1.5, 2.2)[count - 1]
    highest = 1.02 if animal.grounded else 1.3
    wide, high = right - left, bottom - top
    scale = min(math.sqrt(area / (wide * high)), 1.2 * width / wide, highest * height / high)
    left, top, right, bottom = left * scale, top * scale, right * scale, bottom * scale
    x = width * ((slot + 0.5) / count + chance.around(0, 0.06)) - (left + right) / 2
    if animal.grounded:  # keep the head, which is at the end that the animal faces, in the picture
        x = max(x, -0.03 - left) if mirrored else min(x, width + 0.03 - right)
    y = height * (chance.between(0.84, 1.04) if animal.grounded else chance.between(1.0, 1.14))
    y = max(y - bottom, chance.between(-0.03, 0.08) * height - top)
    place = Placement(x, y, scale, chance.around(0, 0.025), mirrored)
    return Pet(animal, place, (x + left, y + top, x + right, y + bottom))


def _light(chance: Chance) -> Light:
    angle = chance.side() * chance.between(0.3, 1.1)
    return Light(
        towards=(math.sin(angle), -math.cos(angle)),
        brightness=chance.between(0.88, 1.1),
        falloff=chance.between(0.0, 0.22),
        vignette=chance.between(0.05, 0.3),
        dapple=chance.between(0.03, 0.08) if chance.happens(0.4) else 0.0,
        tint=chance.choice(_TINTS),
    )
