"""Coats: the colours and markings of cats and dogs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from unet_core.data.synthetic.chance import Chance
from unet_core.data.synthetic.shapes import Colour, shade

Species = Literal["cat", "dog"]
Pattern = Literal["plain", "stripes", "spots", "patches", "saddle"]


@dataclass(frozen=True)
class Coat:
    """Colours of an animal: `base` all over, `light` below and around the mouth, `dark` for markings."""

    name: str
    base: Colour
    dark: Colour
    light: Colour
    pattern: Pattern = "plain"
    white: bool = False  # chest, muzzle and paws in `light`
    points: bool = False  # ears, face, paws and tail in `dark`
    fluff: float = 0.25  # length of the hair, 0…1
    second: Colour | None = None  # another colour of patches

    @property
    def roughness(self) -> float:
        """How strongly single strands of hair show."""
        return 0.035 + 0.045 * self.fluff


CATS = (
    Coat("orange tabby", (228, 152, 80), (182, 100, 42), (252, 228, 196), "stripes", fluff=0.25),
    Coat("white-chested orange", (226, 142, 72), (186, 100, 46), (250, 244, 234), "stripes", white=True, fluff=0.35),
    Coat("grey tabby", (156, 150, 142), (84, 80, 78), (222, 216, 206), "stripes"),
    Coat("brown tabby", (166, 130, 94), (84, 60, 42), (228, 204, 170), "stripes", fluff=0.45),
    Coat("Bengal", (212, 166, 104), (98, 62, 36), (240, 218, 176), "spots", fluff=0.1),
    Coat("black", (66, 62, 68), (42, 40, 46), (88, 82, 86)),
    Coat("white", (240, 236, 230), (216, 206, 198), (252, 250, 246), fluff=0.4),
    Coat("tuxedo", (60, 58, 66), (42, 40, 46), (246, 244, 240), white=True),
    Coat("Siamese", (234, 218, 194), (98, 74, 62), (246, 236, 220), points=True, fluff=0.1),
    Coat("blue", (132, 140, 154), (98, 104, 118), (166, 172, 184), fluff=0.2),
    Coat("calico", (246, 240, 230), (66, 56, 54), (250, 246, 240), "patches", second=(218, 134, 64), fluff=0.35),
    Coat("long-haired cream", (238, 206, 164), (206, 164, 118), (252, 238, 216), fluff=0.8),
)
DOGS = (
    Coat("golden", (224, 176, 110), (184, 130, 70), (246, 218, 170), fluff=0.65),
    Coat("chocolate", (126, 84, 58), (88, 58, 42), (156, 110, 80), fluff=0.15),
    Coat("black", (64, 60, 64), (40, 38, 42), (92, 86, 86), fluff=0.3),
    Coat("black and tan", (66, 58, 56), (44, 40, 40), (204, 142, 84), white=True, fluff=0.15),
    Coat("beagle", (202, 134, 76), (70, 58, 54), (248, 242, 232), "saddle", white=True, fluff=0.1),
    Coat("Dalmatian", (244, 242, 238), (56, 52, 54), (250, 248, 246), "spots", fluff=0.05),
    Coat("husky", (126, 130, 140), (78, 82, 92), (246, 246, 246), white=True, fluff=0.6),
    Coat("corgi", (226, 156, 90), (188, 118, 60), (252, 246, 238), white=True, fluff=0.45),
    Coat("shepherd", (200, 150, 96), (64, 54, 50), (226, 186, 136), "saddle", fluff=0.5),
    Coat("cream", (238, 218, 190), (208, 182, 148), (250, 238, 220), fluff=1.0),
    Coat("grey", (148, 148, 152), (106, 106, 112), (184, 182, 184), fluff=0.8),
    Coat("pied", (248, 242, 232), (120, 78, 54), (252, 248, 242), "patches", second=(92, 62, 48), fluff=0.35),
)


def random_coat(chance: Chance, species: Species) -> Coat:
    """Choose a coat in a random shade."""
    coat = chance.choice(CATS if species == "cat" else DOGS)
    brightness, warmth = chance.between(0.88, 1.08), chance.around(0, 0.025)

    def varied(colour: Colour) -> Colour:
        red, green, blue = shade(colour, brightness)
        return min(255.0, red * (1 + warmth)), min(255.0, green), min(255.0, blue * (1 - warmth))

    second = varied(coat.second) if coat.second else None
    return replace(coat, base=varied(coat.base), dark=varied(coat.dark), light=varied(coat.light), second=second)


def marked(
    colours: np.ndarray, ink: np.ndarray, coat: Coat, along: np.ndarray, down: np.ndarray, noise: np.ndarray
) -> None:
    """Paint the coat's pattern into `colours`, (3, H, W), where `ink`, (H, W), allows it.

    `along` and `down` are each pixel's place on the animal, in units of its size; `noise` is around 0.
    """
    if coat.pattern == "plain":
        return
    for colour, amount in _marks(coat, along, down, noise):
        amount *= ink
        colours += (np.array(colour, np.float32)[:, None, None] - colours) * amount


def _marks(coat: Coat, along: np.ndarray, down: np.ndarray, noise: np.ndarray) -> list[tuple[Colour, np.ndarray]]:
    if coat.pattern == "stripes":
        waves = np.sin((along + 0.25 * down) * np.float32(30) + noise * np.float32(1.1))
        return [(coat.dark, _step(waves, 0.35, 1.6) * np.float32(0.75))]
    if coat.pattern == "spots":
        return [(coat.dark, _step(noise, 0.75, 4.0))]
    if coat.pattern == "patches":
        return [(coat.dark, _step(noise, 0.45, 7.0)), (coat.second or coat.dark, _step(-noise, 0.5, 7.0))]
    return [(coat.dark, _step(-down - 0.5 + 0.06 * noise, 0.0, 12.0))]


def _step(values: np.ndarray, edge: float, steepness: float) -> np.ndarray:
    """Return 0 below the edge, 1 above it, and a soft rise between."""
    return np.clip((values - np.float32(edge)) * np.float32(steepness) + np.float32(0.5), 0, 1)
