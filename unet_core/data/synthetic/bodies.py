"""Whole animals in their poses, one unit about the height of a standing back; the ground is at y = 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from unet_core.data.synthetic.chance import Chance
from unet_core.data.synthetic.coats import Coat, Species, random_coat
from unet_core.data.synthetic.heads import head
from unet_core.data.synthetic.shapes import Colour, Point, Sketch, mixed, oval, shade, smooth, symmetric, tube

PoseName = Literal["sitting", "sitting sideways", "standing", "lying", "sleeping", "close-up"]
POSES: dict[PoseName, float] = {  # how often each is drawn
    "sitting": 0.26,
    "sitting sideways": 0.16,
    "standing": 0.2,
    "lying": 0.14,
    "sleeping": 0.06,
    "close-up": 0.18,
}
_COLLARS = ((206, 62, 58), (52, 104, 186), (62, 146, 96), (232, 176, 52), (130, 76, 160), (44, 44, 52))


@dataclass(frozen=True)
class Animal:
    """A drawn animal; `grounded` if it stands on the ground and casts a shadow there."""

    species: Species
    pose: PoseName
    coat: Coat
    sketch: Sketch
    grounded: bool


@dataclass(frozen=True)
class Build:
    """The proportions and colours of all parts of one body."""

    chance: Chance
    species: Species
    coat: Coat
    stout: float  # thickness of body and legs
    head: float  # size of the head
    collar: Colour | None

    @property
    def paws(self) -> Colour:
        """Colour of the lower legs."""
        if self.coat.points:
            return self.coat.dark
        return self.coat.light if self.coat.white else shade(self.coat.base, 1.04)

    @property
    def tail(self) -> Colour:
        """Colour of the tail."""
        return self.coat.dark if self.coat.points or self.coat.pattern == "saddle" else shade(self.coat.base, 0.94)

    @property
    def tail_width(self) -> float:
        """Half the tail's width at its base."""
        return (0.06 if self.species == "cat" else 0.075) * (1 + 0.9 * self.coat.fluff)

    @property
    def chest(self) -> Colour:
        """Colour of throat and chest."""
        return self.coat.light if self.coat.white else mixed(self.coat.base, self.coat.light, 0.6)


def random_animal(chance: Chance, species: Species, pose: PoseName | None = None) -> Animal:
    """Compose an animal from back to front, with random proportions and colours, and sometimes a collar."""
    coat = random_coat(chance, species)
    pose = pose or chance.weighted(POSES)
    build = Build(
        chance,
        species,
        coat,
        stout=chance.between(0.9, 1.18),
        head=chance.between(0.92, 1.1),
        collar=chance.choice(_COLLARS) if chance.happens(0.45) else None,
    )
    sketch = _DRAWN[pose](build)
    return Animal(species, pose, coat, sketch, grounded=pose != "close-up")


def _head(
    build: Build, sketch: Sketch, at: Point, size: float, asleep: bool = False, tilt: float | None = None
) -> None:
    angle = build.chance.around(0, 0.09) if tilt is None else tilt
    sketch.join(head(build.chance, build.species, build.coat, asleep), at, size * build.head, angle)


def _collar(build: Build, sketch: Sketch, left: Point, middle: Point, right: Point, width: float = 0.045) -> None:
    if build.collar is None:
        return
    sketch.mark(tube(left, middle, right, start=width, end=width), build.collar)
    if build.chance.happens(0.6):
        sketch.mark(oval(middle[0], middle[1] + width * 1.6, width * 1.1, width * 1.1), (236, 202, 92))
        sketch.mark(oval(middle[0] - 0.01, middle[1] + width * 1.4, width * 0.4, width * 0.4), (255, 240, 186))


def _paw(build: Build, sketch: Sketch, x: float, y: float, across: float, down: float, colour: Colour) -> None:
    sketch.solid(oval(x, y, across, down), colour, 0.1)
    toe = shade(mixed(colour, build.coat.dark, 0.4), 0.85)
    for offset in (-0.32, 0.32):
        place = x + across * offset
        sketch.mark(tube((place, y), (place, y + down * 0.75), start=0.011, end=0.011), toe)


def _leg(build: Build, sketch: Sketch, *spine: Point, width: float, near: bool = True, paw: bool = True) -> None:
    """Draw a leg from the body to the foot, darker unless it is `near`."""
    dim = 1.0 if near else 0.78
    width *= build.stout
    sketch.solid(tube(*spine, start=width * 1.25, end=width * 0.82), shade(build.coat.base, dim), 0.6)
    (x, y), above = spine[-1], spine[-2]
    if build.coat.white or build.coat.points:
        sock = tube((x + (above[0] - x) * 0.6, y + (above[1] - y) * 0.6), (x, y), start=width * 0.86, end=width * 0.86)
        sketch.mark(sock, shade(build.paws, dim))
    if paw:
        _paw(build, sketch, x + 0.035, y + 0.015, width * 1.35, width * 0.8, shade(build.paws, dim))


def _tail(build: Build, sketch: Sketch, *spine: Point) -> None:
    width = build.tail_width
    middle = width * (1.15 + 0.7 * build.coat.fluff)
    sketch.solid(tube(*spine, start=width * 0.9, end=width * 0.75, middle=middle), build.tail, 0.9)
    if build.coat.white:
        sketch.mark(oval(*spine[-1], width * 1.3, width * 1.3), build.coat.light)


def _sitting(build: Build) -> Sketch:
    """Draw a sitting animal that faces the viewer."""
    sketch, chance, coat, wide = Sketch(), build.chance, build.coat, build.stout
    side, rise = chance.side(), chance.between(0.05, 0.5)
    far = chance.between(0.62, 0.8)
    _tail(
        build,
        sketch,
        (0.2 * side, -0.08),
        (far * 0.75 * side, -0.06),
        (far * side, -0.1 - rise * 0.5),
        ((far - 0.08) * side, -0.14 - rise),
    )
    torso = symmetric((0, -0.95), (0.22, -0.86), (0.31, -0.6), (0.4, -0.3), (0.42, -0.1), (0.26, 0.0), (0, 0.02))
    sketch.solid(torso * (wide, 1), coat.base)
    for flank in (-1, 1):
        sketch.solid(oval(0.36 * flank * wide, -0.17, 0.18, 0.2, 0.3 * flank), shade(coat.base, 0.95))
        _paw(build, sketch, 0.36 * flank * wide, -0.025, 0.16, 0.065, build.paws)
    for leg in (-1, 1):
        _leg(build, sketch, (0.13 * leg, -0.58), (0.14 * leg, -0.3), (0.135 * leg, -0.035), width=0.088)
    sketch.mark(
        smooth((0, -0.95), (0.2, -0.76), (0.17, -0.54), (0, -0.36), (-0.17, -0.54), (-0.2, -0.76)), build.chest, 0.15
    )
    _collar(build, sketch, (-0.22, -0.8), (0, -0.7), (0.22, -0.8))
    _head(build, sketch, (chance.around(0, 0.04), -1.06), 0.37)
    return sketch


def _sitting_sideways(build: Build) -> Sketch:
    """Draw a sitting animal from the side, facing right."""
    sketch, chance, coat, wide = Sketch(), build.chance, build.coat, build.stout
    rise = chance.between(0.0, 0.45)
    _tail(build, sketch, (-0.4, -0.08), (-0.68, -0.05), (-0.86, -0.08 - rise * 0.5), (-0.84, -0.12 - rise))
    _leg(build, sketch, (0.3, -0.56), (0.34, -0.3), (0.35, -0.05), width=0.085, near=False)
    torso = smooth(
        (0.3, -1.0),
        (0.04, -0.92),
        (-0.22, -0.68),
        (-0.48, -0.36),
        (-0.52, -0.1),
        (-0.3, 0.0),
        (0.2, -0.06),
        (0.38, -0.42),
        (0.42, -0.75),
    )
    sketch.solid(torso * (1 + (wide - 1) * 0.5, 1), coat.base)
    _leg(build, sketch, (0.22, -0.58), (0.22, -0.3), (0.2, -0.035), width=0.092)
    sketch.mark(
        smooth((0.32, -0.98), (0.46, -0.74), (0.42, -0.5), (0.3, -0.4), (0.19, -0.55), (0.16, -0.8)), build.chest, 0.15
    )
    sketch.solid(oval(-0.24, -0.22, 0.27, 0.22, -0.25), shade(coat.base, 1.02))
    _paw(build, sketch, -0.04, -0.03, 0.19, 0.065, build.paws)
    _collar(build, sketch, (0.06, -0.86), (0.24, -0.77), (0.43, -0.84))
    _head(build, sketch, (0.3 + chance.around(0, 0.03), -1.16), 0.36)
    return sketch


def _standing(build: Build) -> Sketch:
    """Draw a standing or walking animal from the side, facing right."""
    sketch, chance, coat, wide = Sketch(), build.chance, build.coat, build.stout
    long, stride = chance.between(0.52, 0.68), chance.around(0, 0.07)
    back, rise = -0.82, chance.between(0.1, 0.65)
    curl = chance.between(-0.3, 0.15)
    _tail(
        build,
        sketch,
        (-long, back + 0.12),
        (-long - 0.22, back + 0.1 - rise * 0.35),
        (-long - 0.3, back - rise * 0.8),
        (-long - 0.3 + curl, back - rise * 1.1),
    )
    _leg(
        build,
        sketch,
        (-long + 0.2, -0.55),
        (-long + 0.14 - stride, -0.28),
        (-long + 0.2 - stride, -0.05),
        width=0.085,
        near=False,
    )
    _leg(
        build,
        sketch,
        (long - 0.18, -0.55),
        (long - 0.12 + stride, -0.28),
        (long - 0.12 + stride * 1.4, -0.05),
        width=0.082,
        near=False,
    )
    _neck(build, sketch, (long - 0.12, -0.64), (long + 0.12, -1.02))
    belly = -0.36 - 0.06 * (1.18 - wide)
    torso = smooth(
        (-long - 0.02, back + 0.12),
        (-long + 0.22, back),
        (0, back + 0.03),
        (long - 0.12, back - 0.02),
        (long + 0.1, -0.66),
        (long - 0.06, -0.42),
        (0, belly),
        (-long + 0.2, -0.42),
        (-long - 0.04, -0.52),
    )
    sketch.solid(torso, coat.base)
    sketch.mark(
        smooth(
            (-long + 0.25, -0.44),
            (0, belly - 0.06),
            (long - 0.08, -0.5),
            (long - 0.06, -0.4),
            (0, belly + 0.03),
            (-long + 0.2, -0.4),
        ),
        build.chest,
        0.2,
    )
    sketch.solid(oval(-long + 0.14, -0.55, 0.19 * wide, 0.24), coat.base)
    _leg(
        build,
        sketch,
        (-long + 0.08, -0.46),
        (-long - 0.02 + stride, -0.26),
        (-long + 0.05 + stride, -0.035),
        width=0.092,
    )
    _leg(
        build,
        sketch,
        (long - 0.1, -0.56),
        (long - 0.08 - stride, -0.28),
        (long - 0.06 - stride * 1.4, -0.035),
        width=0.088,
    )
    _collar(build, sketch, (long - 0.14, -0.9), (long + 0.06, -0.78), (long + 0.22, -0.82))
    _head(build, sketch, (long + 0.16, -1.12 + chance.around(0, 0.03)), 0.33)
    return sketch


def _neck(build: Build, sketch: Sketch, start: Point, end: Point) -> None:
    sketch.solid(tube(start, end, start=0.21 * build.stout, end=0.16 * build.stout), build.coat.base)


def _lying(build: Build) -> Sketch:
    """Draw a lying animal with its front paws stretched out, facing right."""
    sketch, chance, coat = Sketch(), build.chance, build.coat
    _tail(build, sketch, (-0.62, -0.1), (-0.9, -0.05), (-1.05, -0.1), (-1.12, -0.1 - chance.between(0, 0.2)))
    _leg(build, sketch, (0.4, -0.2), (0.66, -0.11), (0.86, -0.09), width=0.085, near=False)
    high = chance.between(0.46, 0.56)
    torso = smooth(
        (-0.74, -0.14),
        (-0.66, -high * 0.8),
        (-0.3, -high - 0.02),
        (0.2, -high - 0.02),
        (0.48, -0.62),
        (0.64, -0.4),
        (0.56, -0.04),
        (0, 0.0),
        (-0.64, 0.0),
    )
    sketch.solid(torso, coat.base)
    sketch.mark(smooth((0.5, -0.66), (0.66, -0.4), (0.6, -0.16), (0.46, -0.2), (0.36, -0.45)), build.chest, 0.15)
    sketch.solid(oval(-0.42, -0.23, 0.28, 0.23, -0.15), shade(coat.base, 1.02))
    _paw(build, sketch, -0.14, -0.035, 0.19, 0.065, build.paws)
    _leg(build, sketch, (0.36, -0.16), (0.6, -0.075), (0.78, -0.055), width=0.09)
    _collar(build, sketch, (0.26, -0.66), (0.46, -0.54), (0.64, -0.6))
    _head(build, sketch, (0.48 + chance.around(0, 0.03), -0.86), 0.34)
    return sketch


def _sleeping(build: Build) -> Sketch:
    """Draw a curled-up animal."""
    sketch, chance, coat = Sketch(), build.chance, build.coat
    high = chance.between(0.5, 0.62)
    sketch.solid(
        smooth(
            (-0.74, -0.2), (-0.5, -high * 0.92), (0, -high), (0.5, -high * 0.84), (0.74, -0.2), (0.5, 0.0), (-0.5, 0.0)
        ),
        coat.base,
    )
    sketch.solid(oval(-0.34, -0.24, 0.3, 0.24, -0.2), shade(coat.base, 1.02))
    _head(build, sketch, (0.4, -0.28), 0.31, asleep=True, tilt=chance.between(0.15, 0.4))
    _paw(build, sketch, 0.1, -0.05, 0.15, 0.06, build.paws)
    _tail(build, sketch, (-0.66, -0.12), (-0.45, 0.0), (-0.1, 0.03), (0.16, 0.0))
    return sketch


def _close_up(build: Build) -> Sketch:
    """Draw head and shoulders."""
    sketch, coat, wide = Sketch(), build.coat, build.stout
    shoulders = symmetric((0, -0.5), (0.42, -0.36), (0.56, 0.1), (0.86, 0.6), (1.0, 1.3), (0, 1.6))
    sketch.solid(shoulders * (wide, 1), coat.base)
    sketch.mark(smooth((0, 0.0), (0.3, 0.3), (0.34, 0.9), (0, 1.4), (-0.34, 0.9), (-0.3, 0.3)), build.chest, 0.15)
    _collar(build, sketch, (-0.55 * wide, 0.2), (0, 0.44), (0.55 * wide, 0.2), width=0.07)
    _head(build, sketch, (0, -0.42), 0.72)
    return sketch


_DRAWN: dict[PoseName, Callable[[Build], Sketch]] = {
    "sitting": _sitting,
    "sitting sideways": _sitting_sideways,
    "standing": _standing,
    "lying": _lying,
    "sleeping": _sleeping,
    "close-up": _close_up,
}
