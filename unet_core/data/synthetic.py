"""Drawn pets with exact trimaps: a dataset that is always there, the same on every machine.

Example `index` of `seed` is always the same picture at a given size. Everything an animal consists of is an outline in
its own coordinates (body length 1, y downwards, facing right); a pose places it on the canvas. The mask comes from the
same outlines as the photo, so it is exact. NumPy and Pillow only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from unet_core.classes import BACKGROUND, BORDER, PET
from unet_core.data.sources import Part, TrimapSource

NAME = "synthetic"
TRAIN_AND_VALIDATION, TEST = 1000, 200
_TEST_START = 1_000_000  # test pictures come from numbers that training never reaches

_OVERSAMPLING = 2  # outlines are drawn larger and reduced: smooth edges in the photo, exact ones in the mask
_BORDER_SHARE = 0.032  # width of the border ring as a share of the picture's side, as in the Oxford trimaps
_CIRCLE = np.linspace(0, 2 * math.pi, 20, endpoint=False)

_FUR = ((222, 184, 135), (139, 94, 60), (60, 50, 45), (235, 228, 215), (190, 120, 60), (150, 150, 155), (95, 80, 70))
_SURROUNDINGS = ((96, 140, 80), (150, 120, 90), (120, 150, 180), (180, 170, 160), (110, 100, 120), (200, 190, 150))

Species = Literal["cat", "dog"]


@dataclass(frozen=True)
class Outline:
    """One drawn piece: its corners in the animal's coordinates, (N, 2), and its brightness against the fur's."""

    points: np.ndarray
    shade: float


@dataclass(frozen=True)
class Pose:
    """Where an animal stands: `scale` is its body's length as a share of the picture's side."""

    centre: tuple[float, float]  # shares of width and height
    scale: float
    angle: float  # radians
    faces_left: bool

    def place(self, points: np.ndarray, width: int, height: int) -> np.ndarray:
        """Map an animal's coordinates, (N, 2), to pixels."""
        side = self.scale * min(width, height)
        cosine, sine = math.cos(self.angle) * side, math.sin(self.angle) * side
        mirrored = points * (-1.0 if self.faces_left else 1.0, 1.0)
        return mirrored @ np.array([[cosine, sine], [-sine, cosine]]) + (
            self.centre[0] * width,
            self.centre[1] * height,
        )


@dataclass(frozen=True)
class SyntheticExample:
    """One picture, drawn when asked."""

    seed: int
    index: int
    size: tuple[int, int]

    @property
    def name(self) -> str:
        """A name in place of a file's."""
        return f"synthetic_{self.seed}_{self.index}"

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo, (H, W, 3) uint8, and its class ids, (H, W) uint8."""
        photo, trimap = draw_pet(self.seed, self.index, self.size)
        return photo, trimap - np.uint8(1)


@dataclass(frozen=True)
class SyntheticPets(TrimapSource):
    """Drawn pets as a source of examples, drawn at `size` (height, width); test comes from its own range of numbers."""

    seed: int = 0
    size: tuple[int, int] = (128, 128)
    validation_fraction: float = 0.1

    @property
    def description(self) -> str:
        """One line on the data."""
        return f"Synthetic pets, seed {self.seed}"

    def names(self, part: Part) -> tuple[str, ...]:
        """Return the pictures' names, in the order of `examples`."""
        return tuple(example.name for example in self.examples(part))

    def examples(self, part: Part) -> Iterator[SyntheticExample]:
        """Yield the part's pictures, not yet drawn."""
        for index in self._indices(part):
            yield SyntheticExample(self.seed, index, self.size)

    def _indices(self, part: Part) -> range:
        held_out = max(1, round(self.validation_fraction * TRAIN_AND_VALIDATION))
        return {
            "train": range(held_out, TRAIN_AND_VALIDATION),
            "validation": range(held_out),
            "test": range(_TEST_START, _TEST_START + TEST),
        }[part]


def draw_pet(seed: int, index: int, size: tuple[int, int] = (128, 128)) -> tuple[np.ndarray, np.ndarray]:
    """Draw picture `index` of the endless series `seed`.

    Returns:
        The photo, (H, W, 3) uint8, and its trimap with codes 1 pet, 2 background, 3 border, (H, W) uint8.
    """
    random = np.random.default_rng((seed, index))
    height, width = size
    species: Species = "cat" if random.random() < 0.5 else "dog"
    pose = _random_pose(random)
    outlines = animal(random, species)
    colour = np.array(_FUR[random.integers(len(_FUR))]) * random.uniform(0.85, 1.15)
    pet, coverage = _drawn(outlines, pose, colour, size)
    scene = _background(random, size)
    fur = pet * (0.82 + 0.36 * _noise(random, size, cells=(48, 20)))[..., None]
    alpha = coverage[..., None]
    light = _light(random, size)
    photo = (scene * (1 - alpha) + fur * alpha) * light[..., None]
    photo += random.normal(0, 3.0, (height, width, 1))
    return photo.clip(0, 255).astype(np.uint8), _trimap(coverage > 0.5)


def _random_pose(random: np.random.Generator) -> Pose:
    return Pose(
        centre=(random.uniform(0.4, 0.6), random.uniform(0.45, 0.6)),
        scale=math.exp(random.uniform(math.log(0.42), math.log(0.95))),
        angle=random.normal(0, 0.12),
        faces_left=bool(random.random() < 0.5),
    )


def animal(random: np.random.Generator, species: Species) -> list[Outline]:
    """Compose one animal from back to front; every call draws other proportions."""
    head_at = np.array([random.uniform(0.42, 0.58), random.uniform(-0.42, -0.2)])
    head = random.uniform(0.24, 0.32)
    body_height = random.uniform(0.24, 0.32)
    pieces = [_tail(random, species)]
    pieces += [_leg(x, body_height, random.uniform(0.42, 0.6), shade=0.72) for x in (-0.36, 0.3)]
    pieces.append(Outline(_ellipse((0.0, 0.0), (0.55, body_height)), 0.95))
    pieces += [_leg(x, body_height, random.uniform(0.42, 0.6), shade=0.88) for x in (-0.44, 0.38)]
    pieces.append(_limb((0.35, -0.05), head_at, 0.2, 0.95))
    pieces += _ears(random, species, head_at, head)
    pieces.append(Outline(_ellipse(head_at, (head, head * 0.88)), 1.05))
    return pieces + _face(species, head_at, head)


def _tail(random: np.random.Generator, species: Species) -> Outline:
    along = np.linspace(0, 1, 8)
    bend, rise = random.uniform(-0.5, 0.5), random.uniform(0.1, 0.6)
    spine = np.stack([-0.45 - 0.4 * along, -0.1 - rise * along + bend * along**2 * 0.6], axis=1)
    thickness = 0.075 if species == "cat" else 0.11 - 0.06 * along[:, None]
    direction = np.gradient(spine, axis=0)
    across = direction[:, ::-1] * (1, -1) / np.hypot(*direction.T)[:, None] * thickness
    return Outline(np.concatenate([spine - across, (spine + across)[::-1]]), 0.82)


def _leg(x: float, top: float, length: float, shade: float) -> Outline:
    knee_y, foot_x, foot_y = top + 0.1, x + 0.02, top * 0.4 + length
    front = [(foot_x + 0.13, foot_y + 0.07), (foot_x + 0.1, foot_y), (x + 0.08, knee_y), (x + 0.15, 0.0)]
    back = [(x - 0.15, 0.0), (x - 0.1, knee_y), (foot_x - 0.07, foot_y), (foot_x - 0.06, foot_y + 0.07)]
    return Outline(np.array(back + front), shade)


def _limb(start: tuple[float, float], end: np.ndarray, half_width: float, shade: float) -> Outline:
    """Return a straight piece with parallel sides: start left, start right, end right, end left."""
    direction = np.asarray(end) - start
    across = np.array([direction[1], -direction[0]]) / max(float(np.hypot(*direction)), 1e-6) * half_width
    return Outline(
        np.array([end + across, np.asarray(start) + across, np.asarray(start) - across, end - across]), shade
    )


def _ears(random: np.random.Generator, species: Species, at: np.ndarray, head: float) -> list[Outline]:
    if species == "dog":
        droop = random.uniform(0.5, 0.9) * head
        return [
            Outline(_ellipse(at + np.array((side * head * 0.85, droop * 0.3)), (head * 0.3, droop)), 0.7)
            for side in (-1, 1)
        ]
    tip = random.uniform(1.35, 1.7) * head
    triangle = np.array([[-0.3, -0.45], [0.1, -1.0], [0.42, -0.4]])
    return [Outline(at + triangle * (side * 1.6 * head, tip), 0.85) for side in (-1, 1)]


def _face(species: Species, at: np.ndarray, head: float) -> list[Outline]:
    def oval(x: float, y: float, width: float, height: float, shade: float) -> Outline:
        return Outline(_ellipse(at + np.array((x, y)) * head, (width * head, height * head)), shade)

    muzzle = 0.5 if species == "dog" else 0.34
    return [
        oval(0.1, 0.4, muzzle, 0.36, shade=1.2),
        oval(-0.38, -0.12, 0.13, 0.15, shade=0.1),
        oval(0.42, -0.12, 0.13, 0.15, shade=0.1),
        oval(0.1, 0.28, 0.14, 0.1, shade=0.15),
    ]


def _ellipse(centre: tuple[float, float] | np.ndarray, radii: tuple[float, float]) -> np.ndarray:
    return np.stack([np.cos(_CIRCLE) * radii[0], np.sin(_CIRCLE) * radii[1]], axis=1) + centre


def _drawn(
    outlines: list[Outline], pose: Pose, colour: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the animal's colours, (H, W, 3) float32, and how much of each pixel it covers, (H, W), 0…1."""
    height, width = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
    # The canvas starts in the fur's colour, so that reduced edges mix fur with fur and not with black.
    canvas = Image.new("RGB", (width, height), _rgb(colour))
    shape = Image.new("L", (width, height), 0)
    on_canvas, on_shape = ImageDraw.Draw(canvas), ImageDraw.Draw(shape)
    for outline in outlines:
        corners = pose.place(outline.points, width, height).reshape(-1).tolist()
        on_canvas.polygon(corners, fill=_rgb(colour * outline.shade))
        on_shape.polygon(corners, fill=255)
    pet = np.asarray(canvas.reduce(_OVERSAMPLING), np.float32)
    return pet, np.asarray(shape.reduce(_OVERSAMPLING), np.float32) / 255.0


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in np.clip(colour, 0, 255))
    return red, green, blue


def _background(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return floor, wall and clutter with texture, (H, W, 3) float32."""
    wall, floor = (np.array(_SURROUNDINGS[index]) for index in random.integers(len(_SURROUNDINGS), size=2))
    height, width = size
    image = Image.new("RGB", (width, height), _rgb(wall))
    draw = ImageDraw.Draw(image)
    horizon = random.uniform(0.45, 0.8) * height
    draw.rectangle((0, horizon, width, height), fill=_rgb(floor * 0.9))
    for _ in range(random.integers(1, 5)):
        _draw_clutter(draw, random, width, height)
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.5)))
    texture = 0.6 * _noise(random, size, cells=(6, 6)) + 0.4 * _noise(random, size, cells=(40, 40))
    return np.asarray(image, np.float32) * (0.75 + 0.5 * texture)[..., None]


def _draw_clutter(draw: ImageDraw.ImageDraw, random: np.random.Generator, width: int, height: int) -> None:
    """Draw one thing that is no pet, some of them in a fur's colour so that colour alone does not give pets away."""
    colours = _FUR + _SURROUNDINGS
    colour = _rgb(np.array(colours[random.integers(len(colours))]) * random.uniform(0.6, 1.2))
    centre = random.uniform(0, 1, 2) * (width, height)
    reach = random.uniform(0.05, 0.22, 2) * (width, height)
    box = (*(centre - reach), *(centre + reach))
    if random.random() < 0.5:
        draw.ellipse(box, fill=colour)
    else:
        draw.rectangle(box, fill=colour)


def _noise(random: np.random.Generator, size: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """Return smooth noise of 0…1, (H, W) float32, with about `cells` lumps down and across."""
    coarse = Image.fromarray(random.integers(0, 256, cells, dtype=np.uint8))
    return np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.float32) / 255.0


def _light(random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Return the brightness of light that falls in from one side, (H, W) float32."""
    direction = random.uniform(0, 2 * math.pi)
    strength = random.uniform(0, 0.3)
    rows = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None] * math.sin(direction)
    columns = np.linspace(-1, 1, size[1], dtype=np.float32)[None, :] * math.cos(direction)
    return (random.uniform(0.8, 1.15) + strength * (rows + columns) / 2).astype(np.float32)


def _trimap(inside: np.ndarray) -> np.ndarray:
    """Return codes: a ring around the outline is border, half of its width on either side."""
    reach = max(1, round(_BORDER_SHARE * min(inside.shape) / 2))
    trimap = np.full(inside.shape, BORDER.code, np.uint8)
    trimap[~_spread(inside, reach)] = BACKGROUND.code
    trimap[~_spread(~inside, reach)] = PET.code
    return trimap


def _spread(inside: np.ndarray, reach: int) -> np.ndarray:
    """Grow the true part by `reach` pixels to every side."""
    for _ in range(reach):
        grown = inside.copy()
        grown[1:] |= inside[:-1]
        grown[:-1] |= inside[1:]
        inside = grown.copy()
        inside[:, 1:] |= grown[:, :-1]
        inside[:, :-1] |= grown[:, 1:]
    return inside
