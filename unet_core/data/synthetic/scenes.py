"""Where the animals are: rooms and landscapes, and the things behind and in front of the animals."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unet_core.data.synthetic.chance import Chance
from unet_core.data.synthetic.shapes import Colour, Sketch, box, mixed, oval, polygon, shade, smooth, tube

_WALLS = (
    (214, 196, 168),
    (176, 190, 178),
    (158, 176, 196),
    (222, 206, 196),
    (196, 168, 150),
    (120, 134, 142),
    (232, 224, 206),
    (184, 150, 142),
)
_FLOORS = ((170, 124, 84), (140, 100, 70), (196, 158, 116), (178, 172, 164), (122, 112, 108), (206, 190, 168))
_CLOTH = (
    (176, 72, 66),
    (74, 104, 148),
    (92, 128, 96),
    (206, 168, 92),
    (132, 96, 132),
    (214, 196, 176),
    (98, 96, 104),
    (196, 122, 82),
)
_LEAVES = ((86, 128, 70), (62, 104, 66), (120, 150, 76), (96, 122, 92))
_GRASS = ((118, 158, 78), (96, 142, 72), (146, 166, 92), (164, 162, 104))
_OPEN_GROUND = ((214, 190, 142), (232, 236, 242), (168, 140, 104), (176, 174, 168))
_SKIES = ((138, 190, 232), (164, 206, 236), (186, 212, 232), (178, 190, 206), (240, 206, 180), (206, 190, 220))
_BLOOMS = ((240, 210, 90), (226, 110, 130), (240, 240, 244), (170, 120, 200), (236, 140, 70))


@dataclass(frozen=True)
class Frame:
    """The photo's width and height, the shorter one 1, and the height where wall or sky meets the ground."""

    width: float
    height: float
    horizon: float


@dataclass(frozen=True)
class Scene:
    """A place without animals, and the things that partly hide them."""

    indoors: bool
    backdrop: Sketch
    front: Sketch | None


def random_scene(chance: Chance, frame: Frame) -> Scene:
    """Draw a place; half are rooms, half are outdoors."""
    indoors = chance.happens(0.5)
    if indoors:
        return Scene(True, _room(chance, frame), _in_the_way(chance, frame, _INDOOR_FRONT))
    return Scene(False, _landscape(chance, frame), _in_the_way(chance, frame, _OUTDOOR_FRONT))


# --- rooms --------------------------------------------------------------------------------------------------------


def _room(chance: Chance, frame: Frame) -> Sketch:
    sketch, wall, floor = Sketch(), chance.choice(_WALLS), chance.choice(_FLOORS)
    sketch.solid(box(0, 0, frame.width, frame.height), wall)
    chance.choice((_plain, _striped_wall, _panelled_wall, _brick_wall, _dotted_wall))(sketch, chance, frame, wall)
    chance.choice((_planks, _tiles, _carpet))(sketch, chance, frame, floor)
    _skirting(sketch, frame, wall)
    for draw in _some(
        chance, (_window, _window, _picture, _picture, _shelf, _shelf, _lamp, _pot_plant, _pot_plant, _curtain), 1, 3
    ):
        draw(sketch, chance, frame)
    if chance.happens(0.35):
        _sofa(sketch, chance, frame)
    for draw in _some(chance, (_ball, _cushion, _bowl, _crate, _books), 1, 3):
        draw(sketch, chance, frame)
    return sketch


def _some(chance: Chance, things: tuple[Callable, ...], low: int, high: int) -> list[Callable]:
    return [chance.choice(things) for _ in range(chance.count(low, high))]


def _plain(sketch: Sketch, chance: Chance, frame: Frame, wall: Colour) -> None:
    sketch.mark(box(0, 0, frame.width, frame.horizon * 0.3), shade(wall, 0.96))


def _striped_wall(sketch: Sketch, chance: Chance, frame: Frame, wall: Colour) -> None:
    colour, step = shade(wall, chance.choice((0.88, 1.08))), chance.between(0.07, 0.16)
    for left in np.arange(chance.between(-step, 0), frame.width, step).tolist():
        sketch.mark(box(left, 0, left + step * 0.5, frame.horizon), colour)


def _panelled_wall(sketch: Sketch, chance: Chance, frame: Frame, wall: Colour) -> None:
    top = frame.horizon * chance.between(0.45, 0.7)
    sketch.mark(box(0, top, frame.width, frame.horizon), mixed(wall, (250, 246, 238), 0.55))
    sketch.mark(box(0, top - 0.018, frame.width, top), shade(wall, 0.8))
    for left in np.arange(chance.between(-0.1, 0), frame.width, 0.11).tolist():
        sketch.mark(box(left, top, left + 0.006, frame.horizon), shade(wall, 0.86))


def _brick_wall(sketch: Sketch, chance: Chance, frame: Frame, wall: Colour) -> None:
    high, wide = 0.06, 0.15
    joint = shade(wall, chance.choice((0.85, 1.12)))
    for row, top in enumerate(np.arange(0, frame.horizon, high).tolist()):
        sketch.mark(box(0, top, frame.width, top + 0.007), joint)
        for left in np.arange(-wide * (row % 2) / 2, frame.width, wide).tolist():
            sketch.mark(box(left, top, left + 0.007, min(top + high, frame.horizon)), joint)


def _dotted_wall(sketch: Sketch, chance: Chance, frame: Frame, wall: Colour) -> None:
    colour, step = mixed(wall, chance.choice(_CLOTH), 0.3), chance.between(0.1, 0.16)
    for row, y in enumerate(np.arange(step / 2, frame.horizon, step).tolist()):
        for x in np.arange(step / 2 * (row % 2), frame.width, step).tolist():
            sketch.mark(oval(x, y, step * 0.16, step * 0.16), colour)


def _planks(sketch: Sketch, chance: Chance, frame: Frame, floor: Colour) -> None:
    """Boards that run towards a vanishing point."""
    sketch.mark(box(0, frame.horizon, frame.width, frame.height), floor)
    vanishing = frame.width * chance.between(0.2, 0.8)
    edges = np.arange(-1.6, 2.6, chance.between(0.14, 0.22)).tolist()
    for left, right in itertools.pairwise(edges):
        tone = shade(floor, chance.between(0.88, 1.08))
        top_left, top_right = vanishing + (left - 0.5) * 0.55, vanishing + (right - 0.5) * 0.55
        bottom_left, bottom_right = vanishing + (left - 0.5) * 1.5, vanishing + (right - 0.5) * 1.5 - 0.008
        sketch.mark(
            polygon(
                (top_left, frame.horizon),
                (top_right, frame.horizon),
                (bottom_right, frame.height),
                (bottom_left, frame.height),
            ),
            tone,
        )


def _tiles(sketch: Sketch, chance: Chance, frame: Frame, floor: Colour) -> None:
    sketch.mark(box(0, frame.horizon, frame.width, frame.height), shade(floor, 1.08))
    vanishing, dark = frame.width * chance.between(0.3, 0.7), shade(floor, chance.between(0.7, 0.9))
    depths = frame.horizon + (frame.height - frame.horizon) * np.array([0, 0.1, 0.24, 0.43, 0.68, 1.0])
    spread = np.linspace(0.5, 1.5, len(depths)) * 0.24
    for row in range(len(depths) - 1):
        for column in range(-7 + row % 2, 8, 2):
            xs = (
                column * spread[row],
                (column + 1) * spread[row],
                (column + 1) * spread[row + 1],
                column * spread[row + 1],
            )
            ys = (depths[row], depths[row], depths[row + 1], depths[row + 1])
            sketch.mark(polygon(*((vanishing + x, y) for x, y in zip(xs, ys))), dark)


def _carpet(sketch: Sketch, chance: Chance, frame: Frame, floor: Colour) -> None:
    sketch.mark(box(0, frame.horizon, frame.width, frame.height), floor)
    centre, middle = frame.width * chance.between(0.3, 0.7), frame.horizon + (frame.height - frame.horizon) * 0.62
    colour, second = chance.choice(_CLOTH), chance.choice(_CLOTH)
    for share, tone in (
        (1.0, colour),
        (0.84, mixed(second, (250, 240, 225), 0.4)),
        (0.76, shade(colour, 0.92)),
        (0.4, second),
    ):
        sketch.mark(oval(centre, middle, 0.62 * share, 0.24 * share), tone)


def _skirting(sketch: Sketch, frame: Frame, wall: Colour) -> None:
    sketch.mark(box(0, frame.horizon - 0.03, frame.width, frame.horizon), mixed(wall, (252, 248, 240), 0.7))
    sketch.mark(box(0, frame.horizon, frame.width, frame.horizon + 0.008), (86, 72, 64))


def _window(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    wide, high = chance.between(0.26, 0.4), frame.horizon * chance.between(0.5, 0.75)
    left, top = chance.between(-0.05, frame.width - wide + 0.05), frame.horizon * chance.between(0.04, 0.16)
    sketch.mark(box(left - 0.025, top - 0.025, left + wide + 0.025, top + high + 0.025), (250, 248, 242))
    sketch.mark(box(left, top, left + wide, top + high), chance.choice(_SKIES))
    sketch.mark(
        box(left, top + high * 0.66, left + wide, top + high), mixed(chance.choice(_LEAVES), (220, 230, 220), 0.35)
    )
    sketch.mark(
        oval(left + wide * 0.7, top + high * 0.62, wide * 0.22, high * 0.18),
        mixed(chance.choice(_LEAVES), (220, 230, 220), 0.3),
    )
    sketch.mark(box(left + wide / 2 - 0.01, top, left + wide / 2 + 0.01, top + high), (250, 248, 242))
    sketch.mark(box(left, top + high * 0.45, left + wide, top + high * 0.45 + 0.016), (250, 248, 242))


def _curtain(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    colour, wide = chance.choice(_CLOTH), chance.between(0.1, 0.2)
    left = 0.0 if chance.happens(0.5) else frame.width - wide
    for fold in range(4):
        x = left + wide * fold / 4
        sketch.mark(
            polygon((x, 0), (x + wide / 4, 0), (x + wide / 3.4, frame.horizon * 0.96), (x, frame.horizon * 0.96)),
            shade(colour, 1.06 - 0.09 * (fold % 2)),
        )


def _picture(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    wide, high = chance.between(0.1, 0.2), chance.between(0.1, 0.2)
    left, top = chance.between(0, frame.width - wide), frame.horizon * chance.between(0.06, 0.35)
    sketch.mark(box(left - 0.018, top - 0.018, left + wide + 0.018, top + high + 0.018), chance.choice(_FLOORS))
    sketch.mark(box(left, top, left + wide, top + high), (244, 238, 226))
    colour = chance.choice(_CLOTH)
    sketch.mark(oval(left + wide * 0.5, top + high * 0.45, wide * 0.26, high * 0.26), colour)
    sketch.mark(box(left + wide * 0.1, top + high * 0.72, left + wide * 0.9, top + high * 0.86), chance.choice(_LEAVES))


def _shelf(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    left, y, wide = (
        chance.between(-0.1, frame.width - 0.3),
        frame.horizon * chance.between(0.3, 0.5),
        chance.between(0.3, 0.5),
    )
    x = left + 0.02
    while x < left + wide - 0.04:
        thick, high = chance.between(0.018, 0.04), chance.between(0.08, 0.15)
        sketch.mark(box(x, y - high, x + thick, y), chance.choice(_CLOTH))
        x += thick + 0.004
    sketch.mark(box(left, y, left + wide, y + 0.022), shade(chance.choice(_FLOORS), 0.85))


def _lamp(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    x, top = chance.between(0.06, frame.width - 0.06), frame.horizon * chance.between(0.15, 0.4)
    sketch.mark(box(x - 0.01, top, x + 0.01, frame.horizon + 0.02), (92, 80, 74))
    sketch.mark(oval(x, frame.horizon + 0.02, 0.07, 0.02), (82, 72, 68))
    sketch.mark(oval(x, top + 0.06, 0.2, 0.16), (252, 236, 196))
    sketch.mark(
        polygon((x - 0.06, top - 0.04), (x + 0.06, top - 0.04), (x + 0.11, top + 0.12), (x - 0.11, top + 0.12)),
        (246, 214, 150),
    )


def _sofa(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    colour, left, wide = chance.choice(_CLOTH), chance.between(-0.3, 0.2), chance.between(0.7, 1.0)
    seat, back = frame.horizon - 0.06, frame.horizon - chance.between(0.26, 0.36)
    sketch.mark(
        smooth(
            (left, back + 0.05),
            (left + 0.1, back),
            (left + wide - 0.1, back),
            (left + wide, back + 0.05),
            (left + wide, seat + 0.1),
            (left, seat + 0.1),
        ),
        shade(colour, 0.9),
    )
    for part in range(2):
        edge = left + wide * part / 2
        sketch.mark(
            smooth(
                (edge + 0.02, seat - 0.03),
                (edge + wide / 4, seat - 0.05),
                (edge + wide / 2 - 0.02, seat - 0.03),
                (edge + wide / 2 - 0.02, seat + 0.06),
                (edge + 0.02, seat + 0.06),
            ),
            shade(colour, 1.06),
        )
    sketch.mark(box(left, seat + 0.05, left + wide, seat + 0.14), shade(colour, 0.8))
    for x in (left, left + wide):
        sketch.mark(
            smooth(
                (x - 0.06, seat - 0.1),
                (x, seat - 0.14),
                (x + 0.06, seat - 0.1),
                (x + 0.06, seat + 0.14),
                (x - 0.06, seat + 0.14),
            ),
            colour,
        )
    if chance.happens(0.6):
        x, turn = left + wide * chance.between(0.2, 0.8), chance.between(-0.3, 0.3)
        sketch.mark(oval(x, seat - 0.09, 0.1, 0.085, turn), chance.choice(_CLOTH))


def _on_the_floor(chance: Chance, frame: Frame) -> tuple[float, float]:
    return chance.between(0.02, 0.98) * frame.width, frame.horizon + (frame.height - frame.horizon) * chance.between(
        0.1, 0.9
    )


def _ball(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    (x, y), size, colour = _on_the_floor(chance, frame), chance.between(0.04, 0.09), chance.choice(_BLOOMS)
    sketch.join(ball(colour), (x, y), size)


def ball(colour: Colour) -> Sketch:
    """Draw a toy ball around (0, 0) with radius 1."""
    sketch = Sketch()
    sketch.solid(oval(0, 0, 1, 1), colour, 0)
    sketch.mark(tube((-0.9, 0.3), (0, 0.05), (0.9, 0.4), start=0.14, end=0.14), mixed(colour, (255, 255, 255), 0.7))
    sketch.mark(oval(-0.35, -0.45, 0.24, 0.16, -0.6), mixed(colour, (255, 255, 255), 0.6))
    return sketch


def _cushion(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    sketch.join(cushion(chance), _on_the_floor(chance, frame), chance.between(0.1, 0.18))


def cushion(chance: Chance) -> Sketch:
    """Draw a cushion around (0, 0), 2 wide."""
    sketch, colour = Sketch(), chance.choice(_CLOTH)
    sketch.solid(
        smooth((-1, -0.5), (0, -0.42), (1, -0.5), (0.9, 0), (1, 0.5), (0, 0.44), (-1, 0.5), (-0.9, 0)), colour, 0
    )
    for x in (-0.5, 0.0, 0.5):
        sketch.mark(tube((x, -0.42), (x + 0.03, 0), (x, 0.42), start=0.06, end=0.06), shade(colour, 1.18))
    return sketch


def _bowl(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    (x, y), colour, size = _on_the_floor(chance, frame), chance.choice(_CLOTH), chance.between(0.06, 0.1)
    sketch.mark(
        smooth((x - size, y), (x + size, y), (x + size * 0.75, y + size * 0.6), (x - size * 0.75, y + size * 0.6)),
        colour,
    )
    sketch.mark(oval(x, y, size, size * 0.3), mixed(colour, (255, 255, 255), 0.4))
    sketch.mark(oval(x, y + 0.004, size * 0.82, size * 0.2), (122, 78, 52))


def _crate(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    sketch.join(crate(chance), _on_the_floor(chance, frame), chance.between(0.12, 0.2))


def crate(chance: Chance) -> Sketch:
    """Draw a wooden or cardboard box that stands on y = 0.5, 2 wide."""
    sketch, colour = Sketch(), chance.choice(_FLOORS)
    sketch.solid(box(-1, -0.7, 1, 0.6), colour, 0)
    sketch.mark(box(-1, -0.7, 1, -0.52), shade(colour, 1.15))
    for y in (-0.12, 0.28):
        sketch.mark(box(-1, y, 1, y + 0.06), shade(colour, 0.78))
    return sketch


def _books(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    x, y = _on_the_floor(chance, frame)
    for level in range(chance.count(2, 4)):
        shift, wide = chance.between(-0.02, 0.02), chance.between(0.09, 0.13)
        sketch.mark(
            box(x - wide + shift, y - 0.03 * level, x + wide + shift, y - 0.03 * level + 0.028), chance.choice(_CLOTH)
        )


def _pot_plant(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    size = chance.between(0.14, 0.24)
    x = chance.choice((chance.between(0, 0.25), chance.between(0.75, 1))) * frame.width
    sketch.join(pot_plant(chance), (x, frame.horizon + 0.05), size)


def pot_plant(chance: Chance) -> Sketch:
    """Draw a plant in a pot that stands on y = 0, about 2 high."""
    sketch, leaf = Sketch(), chance.choice(_LEAVES)
    for step in range(9):
        angle = (step - 4) * 0.3 + chance.around(0, 0.1)
        reach = chance.between(0.8, 1.25)
        tip = (np.sin(angle) * reach, -0.5 - np.cos(angle) * reach)
        bend = (tip[0] * 0.45, -0.5 + (tip[1] + 0.5) * 0.7)
        sketch.solid(
            tube((0, -0.5), bend, tip, start=0.05, end=0.03, middle=0.13), shade(leaf, chance.between(0.8, 1.2)), 0
        )
    pot = chance.choice(((196, 108, 74), (236, 228, 214), (92, 104, 120)))
    sketch.solid(polygon((-0.36, -0.55), (0.36, -0.55), (0.28, 0), (-0.28, 0)), pot, 0)
    sketch.mark(box(-0.4, -0.62, 0.4, -0.48), shade(pot, 1.1))
    return sketch


# --- landscapes ---------------------------------------------------------------------------------------------------


def _landscape(chance: Chance, frame: Frame) -> Sketch:
    sketch, sky = Sketch(), chance.choice(_SKIES)
    green = chance.happens(0.72)
    ground = chance.choice(_GRASS if green else _OPEN_GROUND)
    sketch.solid(box(0, 0, frame.width, frame.height), sky)
    for band in range(4):
        top = frame.horizon * (0.25 + 0.2 * band)
        sketch.mark(box(0, top, frame.width, frame.height), mixed(sky, (255, 250, 240), 0.12 * (band + 1)))
    _clouds(sketch, chance, frame)
    _hills(sketch, chance, frame, ground)
    for draw in _some(chance, (_tree, _tree, _bush, _fence, _house, _fir), 2, 4):
        draw(sketch, chance, frame)
    _ground(sketch, chance, frame, ground)
    if chance.happens(0.4):
        _path(sketch, chance, frame)
    for _ in range(chance.count(1, 3)):
        _stone(sketch, chance, frame)
    if green:
        _tufts(sketch, chance, frame, ground)
        _flowers(sketch, chance, frame)
    return sketch


def _clouds(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    for _ in range(chance.count(0, 3)):
        x, y, size = (
            chance.between(0, frame.width),
            frame.horizon * chance.between(0.05, 0.5),
            chance.between(0.05, 0.11),
        )
        for offset, share in ((-1.1, 0.6), (-0.4, 0.95), (0.5, 0.8), (1.2, 0.5)):
            sketch.mark(
                oval(x + offset * size, y - share * size * 0.3, size * share * 1.1, size * share * 0.6), (250, 250, 250)
            )


def _hills(sketch: Sketch, chance: Chance, frame: Frame, ground: Colour) -> None:
    for far in (0.75, 0.45):
        colour = mixed(shade(ground, 0.85), (190, 208, 222), far)
        crest = [
            (frame.width * step / 4, frame.horizon - chance.between(0.0, 0.2) * (0.4 + far)) for step in range(-1, 6)
        ]
        sketch.mark(
            smooth(*crest, (frame.width * 1.3, frame.horizon + 0.2), (-0.3 * frame.width, frame.horizon + 0.2)), colour
        )


def _tree(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    x, foot, size = (
        chance.between(0, frame.width),
        frame.horizon + chance.between(0.0, 0.06),
        chance.between(0.12, 0.26),
    )
    leaf = chance.choice((*_LEAVES, (206, 140, 70)))
    sketch.mark(
        tube((x, foot), (x + 0.01, foot - size * 0.8), (x, foot - size * 1.4), start=size * 0.14, end=size * 0.07),
        (112, 84, 62),
    )
    for across, up, share in (
        (-0.55, 1.25, 0.6),
        (0.55, 1.3, 0.62),
        (0, 1.25, 0.75),
        (-0.25, 1.75, 0.62),
        (0.3, 1.8, 0.52),
    ):
        tone = shade(leaf, 0.82 + 0.14 * up * 0.6 + chance.between(-0.04, 0.04))
        sketch.mark(oval(x + across * size, foot - up * size, share * size, share * size * 0.85), tone)


def _fir(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    x, foot, size = chance.between(0, frame.width), frame.horizon + 0.03, chance.between(0.14, 0.26)
    sketch.mark(box(x - 0.015, foot - 0.08, x + 0.015, foot), (104, 78, 60))
    for level in range(4):
        wide, top = size * (0.62 - 0.12 * level), foot - 0.05 - size * (0.42 * level + 0.75)
        sketch.mark(
            polygon((x - wide, top + size * 0.72), (x, top), (x + wide, top + size * 0.72)),
            shade((62, 104, 78), 0.85 + 0.09 * level),
        )


def _bush(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    x, foot, size, leaf = (
        chance.between(0, frame.width),
        frame.horizon + 0.04,
        chance.between(0.07, 0.14),
        chance.choice(_LEAVES),
    )
    for across, share in ((-1.1, 0.75), (1.1, 0.7), (-0.4, 1.0), (0.5, 0.95)):
        sketch.mark(
            oval(x + across * size, foot - share * size * 0.6, size * share, size * share * 0.8),
            shade(leaf, chance.between(0.85, 1.1)),
        )


def _fence(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    colour, top = (
        chance.choice(((240, 236, 226), (156, 116, 84), (120, 104, 92))),
        frame.horizon - chance.between(0.1, 0.2),
    )
    for rail in (0.25, 0.7):
        y = top + (frame.horizon + 0.03 - top) * rail
        sketch.mark(box(0, y, frame.width, y + 0.022), shade(colour, 0.85))
    for left in np.arange(chance.between(-0.1, 0), frame.width, 0.095).tolist():
        sketch.mark(
            polygon(
                (left, top),
                (left + 0.025, top - 0.03),
                (left + 0.05, top),
                (left + 0.05, frame.horizon + 0.04),
                (left, frame.horizon + 0.04),
            ),
            colour,
        )


def _house(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    wide, high = chance.between(0.24, 0.36), chance.between(0.16, 0.24)
    left, foot = chance.between(-0.1, frame.width - 0.1), frame.horizon + 0.02
    wall, roof = chance.choice(_WALLS), chance.choice(((172, 84, 66), (110, 96, 96), (146, 70, 60)))
    sketch.mark(box(left, foot - high, left + wide, foot), wall)
    sketch.mark(
        polygon((left - 0.03, foot - high), (left + wide / 2, foot - high * 1.7), (left + wide + 0.03, foot - high)),
        roof,
    )
    for x in (0.2, 0.62):
        sketch.mark(
            box(left + wide * x, foot - high * 0.7, left + wide * (x + 0.2), foot - high * 0.4), (108, 128, 146)
        )


def _ground(sketch: Sketch, chance: Chance, frame: Frame, ground: Colour) -> None:
    edge = [(frame.width * step / 3, frame.horizon + chance.around(0, 0.012)) for step in range(-1, 5)]
    sketch.mark(polygon(*edge, (frame.width * 1.4, frame.height), (-0.4 * frame.width, frame.height)), ground)
    for _ in range(5):
        x, y = _on_the_floor(chance, frame)
        sketch.mark(
            oval(x, y, chance.between(0.15, 0.4), chance.between(0.015, 0.04)), shade(ground, chance.between(0.9, 1.1))
        )


def _path(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    top, bottom = chance.between(0.2, 0.8) * frame.width, chance.between(0, 1) * frame.width
    middle = (top + bottom) / 2 + chance.around(0, 0.1)
    sketch.mark(
        tube(
            (top, frame.horizon + 0.01),
            (middle, (frame.horizon + frame.height) / 2),
            (bottom, frame.height + 0.1),
            start=0.03,
            end=0.22,
        ),
        chance.choice(_OPEN_GROUND),
    )


def _stone(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    sketch.join(stone(chance), _on_the_floor(chance, frame), chance.between(0.03, 0.1))


def stone(chance: Chance) -> Sketch:
    """Draw a stone around (0, 0), about 2 wide."""
    sketch, grey = Sketch(), shade((156, 150, 144), chance.between(0.75, 1.15))
    top = chance.between(0.6, 0.85)
    sketch.solid(
        smooth((-1, 0.3), (-0.7, -0.3), (-0.1, -top), (0.6, -0.45), (1, 0.2), (0.6, 0.5), (-0.6, 0.5)), grey, 0
    )
    sketch.mark(smooth((-0.6, -0.2), (-0.1, -top * 0.85), (0.4, -0.4), (0, -0.15)), shade(grey, 1.15))
    return sketch


def _tufts(sketch: Sketch, chance: Chance, frame: Frame, ground: Colour) -> None:
    for _ in range(chance.count(6, 14)):
        sketch.join(tuft(chance, ground), _on_the_floor(chance, frame), chance.between(0.04, 0.08))


def tuft(chance: Chance, ground: Colour) -> Sketch:
    """Draw blades of grass that grow from y = 0, about 1 high."""
    sketch = Sketch()
    for blade in range(4):
        x, lean = (blade - 1.5) * 0.22, (blade - 1.5) * 0.22 + chance.around(0, 0.12)
        tone = shade(ground, chance.between(0.7, 1.15))
        sketch.solid(polygon((x - 0.09, 0), (x + lean, -chance.between(0.6, 1.1)), (x + 0.09, 0)), tone, 0)
    return sketch


def _flowers(sketch: Sketch, chance: Chance, frame: Frame) -> None:
    colour = chance.choice(_BLOOMS)
    for _ in range(chance.count(0, 9)):
        (x, y), size = _on_the_floor(chance, frame), chance.between(0.009, 0.018)
        sketch.mark(oval(x, y, size * 1.3, size), colour)
        sketch.mark(oval(x, y, size * 0.5, size * 0.4), (250, 226, 120))


# --- occluding things --------------------------------------------------------------------------------------------


def _in_the_way(chance: Chance, frame: Frame, kinds: tuple[Callable, ...]) -> Sketch | None:
    return chance.choice(kinds)(chance, frame) if chance.happens(0.36) else None


def _placed(thing: Sketch, x: float, y: float, size: float) -> Sketch:
    sketch = Sketch()
    sketch.join(thing, (x, y), size)
    return sketch


def _front_x(chance: Chance, frame: Frame) -> float:
    return frame.width * chance.between(0.12, 0.88)


def _front_ball(chance: Chance, frame: Frame) -> Sketch:
    size = chance.between(0.07, 0.13)
    return _placed(ball(chance.choice(_BLOOMS)), _front_x(chance, frame), frame.height - size * 1.1, size)


def _front_cushion(chance: Chance, frame: Frame) -> Sketch:
    size = chance.between(0.2, 0.3)
    return _placed(cushion(chance), _front_x(chance, frame), frame.height - size * 0.3, size)


def _front_plant(chance: Chance, frame: Frame) -> Sketch:
    x = frame.width * chance.choice((chance.between(0, 0.2), chance.between(0.8, 1)))
    return _placed(pot_plant(chance), x, frame.height + 0.02, chance.between(0.24, 0.34))


def _front_crate(chance: Chance, frame: Frame) -> Sketch:
    size = chance.between(0.18, 0.3)
    return _placed(crate(chance), _front_x(chance, frame), frame.height - size * 0.2, size)


def _front_stone(chance: Chance, frame: Frame) -> Sketch:
    size = chance.between(0.1, 0.18)
    return _placed(stone(chance), _front_x(chance, frame), frame.height - size * 0.3, size)


def _front_grass(chance: Chance, frame: Frame) -> Sketch:
    sketch, green = Sketch(), chance.choice(_GRASS)
    for x in np.arange(-0.05, frame.width + 0.1, 0.1).tolist():
        sketch.join(tuft(chance, green), (x + chance.around(0, 0.02), frame.height + 0.02), chance.between(0.12, 0.22))
    return sketch


def _front_blooms(chance: Chance, frame: Frame) -> Sketch:
    sketch, colour, centre = Sketch(), chance.choice(_BLOOMS), _front_x(chance, frame)
    for _ in range(chance.count(3, 5)):
        x, y = centre + chance.around(0, 0.12), frame.height - chance.between(0.08, 0.24)
        sketch.solid(
            tube((x + 0.02, frame.height + 0.05), (x - 0.01, y + 0.05), (x, y), start=0.01, end=0.008), (84, 130, 70), 0
        )
        for turn in range(5):
            angle = turn * 2 * np.pi / 5
            sketch.solid(
                oval(x + 0.026 * np.sin(angle), y + 0.026 * np.cos(angle), 0.02, 0.02),
                shade(colour, 1 - 0.05 * (turn % 2)),
                0,
            )
        sketch.mark(oval(x, y, 0.016, 0.016), (250, 214, 96))
    return sketch


_INDOOR_FRONT = (_front_ball, _front_cushion, _front_plant, _front_crate)
_OUTDOOR_FRONT = (_front_grass, _front_grass, _front_blooms, _front_stone, _front_ball)
