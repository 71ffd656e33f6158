"""Heads of cats and dogs, in front or three-quarter view; one unit is about half a head."""

from __future__ import annotations

from dataclasses import dataclass

from unet_core.data.synthetic.chance import Chance
from unet_core.data.synthetic.coats import Coat, Species
from unet_core.data.synthetic.shapes import Colour, Sketch, mixed, oval, polygon, shade, smooth, symmetric, tube

_CAT_EYES = ((142, 186, 74), (226, 184, 62), (98, 164, 214), (196, 142, 52))
_DOG_EYES = ((92, 58, 34), (66, 42, 30), (128, 84, 44), (140, 180, 214))
_DARK: Colour = (34, 28, 30)
_PINK: Colour = (226, 142, 146)
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Face:
    """What all parts of one head share; `turn` shifts the face to a side, for a three-quarter view."""

    coat: Coat
    turn: float
    asleep: bool
    eye: Colour
    mask: Colour  # around the nose
    top: Colour  # forehead and ears

    @property
    def ink(self) -> float:
        """How much of the coat's pattern shows on a head: saddles end at the neck."""
        return 0.0 if self.coat.pattern == "saddle" else 0.8


def head(chance: Chance, species: Species, coat: Coat, asleep: bool = False) -> Sketch:
    """Draw a head around (0, 0), its chin at about (0, 0.9)."""
    face = Face(
        coat=coat,
        turn=chance.between(-0.22, 0.22),
        asleep=asleep,
        eye=chance.choice(_CAT_EYES if species == "cat" else _DOG_EYES),
        mask=coat.dark if coat.points else coat.light,
        top=coat.dark if coat.points else coat.base,
    )
    return _cat(chance, face) if species == "cat" else _dog(chance, face)


def _cat(chance: Chance, face: Face) -> Sketch:
    sketch, coat, turn = Sketch(), face.coat, face.turn
    wide, tall = chance.between(0.98, 1.14), chance.between(1.15, 1.5)
    for side in (-1, 1):
        _cat_ear(sketch, face, side, wide, tall)
    cheek = 1.0 + 0.14 * coat.fluff
    skull = symmetric((0, -0.8), (0.5, -0.74), (0.9, -0.32), (1.0 * cheek, 0.14), (0.8, 0.56), (0.38, 0.8), (0, 0.86))
    sketch.solid(skull * (wide, 1), coat.base, face.ink)
    if coat.points:
        sketch.mark(oval(turn, 0.18, 0.52, 0.55), mixed(coat.base, coat.dark, 0.7))
    if coat.white:
        sketch.mark(
            smooth((turn, -0.5), (turn + 0.2, 0.1), (0.62, 0.5), (0, 0.95), (-0.62, 0.5), (turn - 0.2, 0.1)), coat.light
        )
    if coat.pattern == "stripes":
        _forehead_stripes(sketch, face)
    for side in (-1, 1):
        _cat_eye(sketch, face, turn + 0.43 * side, -0.05)
    for side in (-1, 1):
        sketch.mark(oval(turn * 1.3 + 0.19 * side, 0.42, 0.29, 0.22), mixed(face.mask, _WHITE, 0.12))
    sketch.mark(oval(turn * 1.3, 0.6, 0.2, 0.14), face.mask)
    _cat_nose(sketch, turn * 1.4, coat)
    _whiskers(sketch, turn * 1.3, coat)
    return sketch


def _cat_ear(sketch: Sketch, face: Face, side: float, wide: float, tall: float) -> None:
    lean = 0.94 + 0.25 * face.turn * side
    outer, tip, inner = (0.98 * side * wide, -0.1), (0.84 * side * lean * wide, -tall), (0.14 * side, -0.7)
    bulge = ((outer[0] + tip[0]) / 2 + 0.07 * side, (outer[1] + tip[1]) / 2)
    sketch.solid(polygon(outer, bulge, tip, (0.46 * side * wide, -tall * 0.83), inner), face.top, 0.5 * face.ink)
    sketch.mark(
        polygon((0.84 * side * wide, -0.42), (0.8 * side * lean * wide, -tall * 0.86), (0.36 * side, -0.72)),
        mixed(_PINK, face.top, 0.35),
    )


def _forehead_stripes(sketch: Sketch, face: Face) -> None:
    for place, top in ((-0.34, -0.68), (-0.12, -0.74), (0.12, -0.74), (0.34, -0.68)):
        stripe = tube((place * 1.25 + face.turn, top), (place + face.turn, -0.36), start=0.055, end=0.03)
        sketch.mark(stripe, face.coat.dark)
    for side in (-1, 1):
        for height in (0.12, 0.3):
            stripe = tube((1.0 * side, height), (0.68 * side + face.turn * 0.5, height + 0.06), start=0.05, end=0.02)
            sketch.mark(stripe, face.coat.dark)


def _cat_eye(sketch: Sketch, face: Face, x: float, y: float) -> None:
    if face.asleep:
        _closed_eye(sketch, face, x, y, 0.22)
        return
    slant = 0.16 if x > face.turn else -0.16
    sketch.mark(oval(x, y, 0.27, 0.24, -slant), mixed(_DARK, face.coat.dark, 0.25))
    sketch.mark(oval(x, y, 0.235, 0.205, -slant), face.eye)
    sketch.mark(oval(x, y + 0.08, 0.17, 0.1), shade(face.eye, 1.18))
    sketch.mark(oval(x + face.turn * 0.12, y, 0.1, 0.185), _DARK)
    sketch.mark(oval(x - 0.07, y - 0.08, 0.062, 0.062), _WHITE)


def _cat_nose(sketch: Sketch, x: float, coat: Coat) -> None:
    pink = mixed(_PINK, _DARK, 0.65) if sum(coat.base) < 420 and not coat.white else shade(_PINK, 0.96)
    sketch.mark(smooth((x - 0.12, 0.22), (x, 0.2), (x + 0.12, 0.22), (x + 0.04, 0.33), (x - 0.04, 0.33)), pink)
    line = mixed(coat.dark, _DARK, 0.6)
    sketch.mark(tube((x, 0.32), (x, 0.43), start=0.022, end=0.022), line)
    for side in (-1, 1):
        sketch.mark(tube((x, 0.43), (x + 0.12 * side, 0.5), (x + 0.26 * side, 0.45), start=0.024, end=0.016), line)


def _whiskers(sketch: Sketch, x: float, coat: Coat) -> None:
    colour = mixed(_WHITE, coat.light, 0.3) if sum(coat.base) < 620 else shade(coat.dark, 0.8)
    for side in (-1, 1):
        for start, end in ((0.36, 0.22), (0.43, 0.44), (0.5, 0.64)):
            whisker = tube((x + 0.26 * side, start), (1.15 * side, end), start=0.016, end=0.008)
            sketch.mark(whisker, colour)


def _closed_eye(sketch: Sketch, face: Face, x: float, y: float, reach: float) -> None:
    lid = tube((x - reach, y), (x, y + reach * 0.55), (x + reach, y), start=0.035, end=0.035, middle=0.05)
    sketch.mark(lid, mixed(_DARK, face.coat.dark, 0.2))


def _dog(chance: Chance, face: Face) -> Sketch:
    sketch, coat, turn = Sketch(), face.coat, face.turn
    ears = chance.weighted({"floppy": 0.5, "pointed": 0.28, "folded": 0.22})
    wide, long = chance.between(0.82, 1.0), chance.between(0.92, 1.12)
    if ears != "floppy":
        for side in (-1, 1):
            _upright_ear(sketch, face, side, wide, folded=ears == "folded")
    skull = symmetric((0, -0.84), (0.5, -0.76), (0.86, -0.32), (0.86, 0.14), (0.64, 0.56), (0.36, 0.86), (0, 0.94))
    sketch.solid(skull * (wide, long), coat.base, face.ink)
    _dog_markings(sketch, face, chance, wide, long)
    for side in (-1, 1):
        _dog_eye(sketch, face, turn + 0.36 * side, -0.16)
    _muzzle(sketch, face, chance, long)
    if ears == "floppy":
        length = chance.between(0.75, 1.25)
        for side in (-1, 1):
            _floppy_ear(sketch, face, side, wide, length)
    return sketch


def _upright_ear(sketch: Sketch, face: Face, side: float, wide: float, folded: bool) -> None:
    colour = shade(face.coat.dark if face.coat.pattern == "saddle" else face.top, 0.95)
    tip = (0.72 * side * wide, -1.62)
    ear = smooth((0.9 * side * wide, -0.2), (0.94 * side * wide, -0.95), tip, (0.42 * side, -1.1), (0.16 * side, -0.66))
    if folded:
        ear = smooth((0.9 * side * wide, -0.2), (0.98 * side * wide, -0.9), (0.66 * side, -1.12), (0.2 * side, -0.66))
    sketch.solid(ear, colour, 0.5 * face.ink)
    if folded:
        flap = smooth((0.5 * side, -1.1), (0.98 * side * wide, -0.98), (1.14 * side * wide, -0.5), (0.74 * side, -0.72))
        sketch.solid(flap, shade(colour, 0.82), 0.3 * face.ink)
    else:
        inner = smooth(
            (0.8 * side * wide, -0.5),
            (0.8 * side * wide, -0.98),
            (0.7 * side * wide, -1.36),
            (0.48 * side, -1.0),
            (0.36 * side, -0.7),
        )
        sketch.mark(inner, mixed(_PINK, colour, 0.5))


def _floppy_ear(sketch: Sketch, face: Face, side: float, wide: float, length: float) -> None:
    colour = face.coat.dark if face.coat.pattern in ("saddle", "patches", "spots") else shade(face.coat.base, 0.78)
    if face.coat.pattern == "saddle" and face.coat.white:
        colour = shade(face.coat.base, 0.86)
    ear = smooth(
        (0.42 * side * wide, -0.78),
        (0.86 * side * wide, -0.66),
        (1.2 * side * wide, -0.66 + 0.5 * length),
        (1.1 * side * wide, -0.6 + 0.95 * length),
        (0.84 * side * wide, -0.6 + 0.9 * length),
        (0.7 * side * wide, -0.66 + 0.4 * length),
    )
    sketch.solid(ear, colour, 0.2)


def _dog_markings(sketch: Sketch, face: Face, chance: Chance, wide: float, long: float) -> None:
    coat, turn = face.coat, face.turn
    if coat.white and coat.name != "black and tan":
        blaze = chance.between(0.06, 0.2)
        shape = smooth(
            (turn, -0.8),
            (turn + blaze, -0.4),
            (turn + blaze + 0.06, 0.0),
            (0.62, 0.42),
            (0.4, 0.9 * long),
            (-0.4, 0.9 * long),
            (-0.62, 0.42),
            (turn - blaze - 0.06, 0.0),
            (turn - blaze, -0.4),
        )
        sketch.mark(shape, coat.light)
    elif coat.white:
        for side in (-1, 1):
            sketch.mark(oval(turn + 0.33 * side, -0.42, 0.12, 0.09), coat.light)
            sketch.mark(oval(0.5 * side * wide, 0.42, 0.24, 0.28), coat.light)
    elif coat.pattern in ("patches", "spots") and chance.happens(0.6):
        sketch.mark(oval(turn + 0.4 * chance.side(), -0.2, 0.36, 0.4), coat.second or coat.dark)
    elif coat.pattern == "saddle":
        sketch.mark(oval(turn, 0.42, 0.5, 0.5), mixed(coat.dark, coat.base, 0.3))


def _dog_eye(sketch: Sketch, face: Face, x: float, y: float) -> None:
    if face.asleep:
        _closed_eye(sketch, face, x, y, 0.17)
        return
    sketch.mark(oval(x, y, 0.2, 0.19), mixed(face.coat.dark, _DARK, 0.5))
    sketch.mark(oval(x, y, 0.16, 0.16), face.eye)
    sketch.mark(oval(x + face.turn * 0.15, y, 0.105, 0.11), (22, 18, 20))
    sketch.mark(oval(x - 0.05, y - 0.06, 0.05, 0.05), _WHITE)
    brow = tube((x - 0.15, y - 0.27), (x, y - 0.33), (x + 0.15, y - 0.28), start=0.03, end=0.03, middle=0.05)
    sketch.mark(brow, mixed(face.coat.base, face.coat.dark, 0.55))


def _muzzle(sketch: Sketch, face: Face, chance: Chance, long: float) -> None:
    x = face.turn * 1.6
    colour = (
        face.mask if face.coat.pattern != "saddle" or face.coat.white else mixed(face.coat.dark, face.coat.light, 0.25)
    )
    low = 0.55 * long
    if chance.happens(0.4) and not face.asleep:
        sketch.mark(oval(x, low + 0.24, 0.27, 0.2), shade(_DARK, 1.2))
        tongue = smooth(
            (x - 0.15, low + 0.2), (x + 0.15, low + 0.2), (x + 0.16, low + 0.5), (x, low + 0.6), (x - 0.16, low + 0.5)
        )
        sketch.solid(tongue, (232, 116, 124), 0.0)
        sketch.mark(tube((x, low + 0.25), (x, low + 0.48), start=0.016, end=0.012), (196, 84, 96))
    sketch.mark(
        smooth(
            (x - 0.26, 0.0),
            (x + 0.26, 0.0),
            (x + 0.52, low),
            (x + 0.3, low + 0.26),
            (x, low + 0.2),
            (x - 0.3, low + 0.26),
            (x - 0.52, low),
        ),
        colour,
    )
    line = mixed(face.coat.dark, _DARK, 0.7)
    sketch.mark(tube((x, 0.3), (x, low + 0.04), start=0.025, end=0.025), line)
    for side in (-1, 1):
        sketch.mark(
            tube((x, low + 0.04), (x + 0.2 * side, low + 0.16), (x + 0.42 * side, low + 0.04), start=0.028, end=0.018),
            line,
        )
    nose = smooth((x - 0.2, 0.1), (x, 0.05), (x + 0.2, 0.1), (x + 0.14, 0.27), (x, 0.34), (x - 0.14, 0.27))
    sketch.mark(nose, _DARK)
    sketch.mark(oval(x - 0.05, 0.12, 0.08, 0.04), (128, 118, 122))
