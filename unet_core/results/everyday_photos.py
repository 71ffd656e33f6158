"""Stand-ins for the photos that people upload: pets of some photos put into others, composed the same each time.

Cut-outs are the true pets with their borders, with soft edges; the truth of a composed photo is where a pet covers at
least half of a pixel. Backgrounds are cut from where a photo's true mask shows no pet, or the pet in them stays part of
the truth. NumPy and Pillow only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from unet_core.data.sources import DataError, stable_fraction
from unet_core.data.synthetic.chance import Chance
from unet_core.results.corruptions import CORRUPTIONS

RECIPE = 1  # is counted up when other photos come out than before; stored figures belong to one recipe
SIDE = 500  # pixels of the longer side
PER_KIND = 22
RATIOS = ((4, 3), (3, 4), (16, 9), (1, 1))  # width to height

_SEED = 20_060  # any number; another one gives other photos
_ATTEMPTS = 300  # choices of photos for one composed photo, at most
_TRIES = 40  # positions for one choice of photos
_SMALLEST_REGION = 0.4  # of the photo's longer side, for backgrounds
_TOUCHES = 0.04  # share of an edge of the frame that a pet must cover to count as cut off there
_MARGIN = 6  # pixels of surroundings that a cut-out keeps, so that its edge can be blended
SOFT = 1.0  # standard deviation of that blending, in pixels of the composed photo

Lookup = Callable[[str], tuple[np.ndarray, np.ndarray]]  # name -> photo (H, W, 3) uint8, where its pet is (H, W) bool


class Unfit(DataError):
    """Photos that cannot be composed in the way wanted; `role` is the place in the list of the one to change."""

    def __init__(self, reason: str, role: int = -1) -> None:
        super().__init__(reason)
        self.role = role


@dataclass(frozen=True)
class Composed:
    """A composed photo (H, W, 3) uint8 with its pets (H, W) bool, and the names of the photos it was made from."""

    number: int
    kind: str
    sources: tuple[str, ...]
    photo: np.ndarray
    pet: np.ndarray

    @property
    def name(self) -> str:
        """A name in place of a file's."""
        return composed_name(self.kind, self.number)


@dataclass(frozen=True)
class Kind:
    """One way in which everyday photos differ from the dataset's.

    `make` needs as many photos as `photos` says for the composed photo's number; its entries take turns as `RATIOS` do.
    """

    name: str
    title: str
    description: str
    photos: tuple[int, ...]
    make: Callable[[Scene], None]

    def needed(self, number: int) -> int:
        """Return how many photos the composed photo of this number is made of."""
        return self.photos[number % len(self.photos)]


def composed_name(kind: str, number: int) -> str:
    """Return the name of a composed photo."""
    return f"{kind}_{number:02d}"


def composed_photos(names: Sequence[str], lookup: Lookup, limit: int | None = None) -> Iterator[Composed]:
    """Compose photos of each kind in turn, from photos that are chosen by their names alone.

    Args:
        names: photos to choose from, in any order.
        lookup: gives them, with their pets.
        limit: compose only the first so many.
    """
    impossible: set[str] = set()
    for number, kind in itertools.islice(itertools.product(range(PER_KIND), KINDS), limit):
        found = _composed(kind, number, names, lookup) if kind.name not in impossible else None
        if found is not None:
            yield found
        else:
            impossible.add(kind.name)  # these photos do not allow it: trying on would only take long


def compose(kind: str, number: int, sources: Sequence[str], lookup: Lookup) -> Composed:
    """Compose one photo, again or for the first time.

    Args:
        kind, number: as in `Composed`.
        sources: names of the photos to make it from.
        lookup: gives them, with their pets.

    Raises:
        Unfit: there is no such kind, or these photos do not allow it.
    """
    maker = _BY_NAME.get(kind)
    if maker is None or len(sources) != maker.needed(number):
        raise Unfit(f"{kind}: no such kind, or not one that is made of {len(sources)} photos")
    for role, source in enumerate(sources):
        if source in sources[:role]:
            raise Unfit(f"{source} is there twice", role)
    width, height = frame_size(number)
    photos = tuple(shrunk(*lookup(name)) for name in sources)
    scene = Scene((height, width), number, Chance(_SEED, number, kind), photos)
    maker.make(scene)
    return Composed(number, kind, tuple(sources), scene.photo, scene.pet)


def frame_size(number: int) -> tuple[int, int]:
    """Return width and height of the composed photos of this number: the ratios take turns."""
    width, height = RATIOS[number % len(RATIOS)]
    return round(SIDE * width / max(width, height)), round(SIDE * height / max(width, height))


def _composed(kind: Kind, number: int, names: Sequence[str], lookup: Lookup) -> Composed | None:
    """Try photos in an order that depends on their names alone, and change the one that does not fit."""
    name = composed_name(kind.name, number)
    orders = [
        sorted(names, key=lambda photo, role=role: stable_fraction(f"{name} {role} {photo}"))
        for role in range(kind.needed(number))
    ]
    chosen = [0] * len(orders)
    for _ in range(_ATTEMPTS):
        try:
            return compose(kind.name, number, [order[index] for order, index in zip(orders, chosen)], lookup)
        except Unfit as unfit:
            chosen[unfit.role] += 1
        if max(chosen) == len(names):
            break
    return None


# --- what photos are composed of --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CutOut:
    """A pet cut out of its photo: pixels (h, w, 3) uint8, where they are pet (h, w) bool.

    `cut` names the edges at which its photo cut it off.
    """

    pixels: np.ndarray
    pet: np.ndarray
    cut: frozenset[str]

    def turned(self, angle: float) -> CutOut:
        """Turn it to the left by an angle in degrees; it must be whole."""
        pixels = Image.fromarray(self.pixels).rotate(angle, Image.Resampling.BILINEAR, expand=True)
        pet = Image.fromarray(self.pet).rotate(angle, Image.Resampling.NEAREST, expand=True)
        return CutOut(np.asarray(pixels), np.asarray(pet), self.cut)


def cut_out(photo: np.ndarray, pet: np.ndarray) -> CutOut:
    """Cut the pet of a photo out, with a narrow margin.

    Raises:
        Unfit: there is hardly any pet in it.
    """
    if pet.mean() < 0.02:
        raise Unfit("there is hardly any pet in this photo")
    edges = {"top": pet[0], "bottom": pet[-1], "left": pet[:, 0], "right": pet[:, -1]}
    rows, columns = (np.flatnonzero(pet.any(axis=axis)) for axis in (1, 0))
    box = tuple(slice(max(0, line[0] - _MARGIN), line[-1] + 1 + _MARGIN) for line in (rows, columns))
    cut = frozenset(name for name, edge in edges.items() if edge.mean() > _TOUCHES)
    return CutOut(photo[box], pet[box], cut)


def free_region(pet: np.ndarray, ratio: float) -> tuple[slice, slice]:
    """Return the largest part of a photo, `ratio` times as wide as high, in which there is no pet at all.

    Raises:
        Unfit: it would be too small.
    """
    height, width = pet.shape
    sums = np.zeros((height + 1, width + 1), np.int32)
    sums[1:, 1:] = pet.cumsum(axis=0, dtype=np.int32).cumsum(axis=1)
    high = min(height, int(width / ratio))
    while max(high, high * ratio) >= _SMALLEST_REGION * max(height, width):
        wide = min(width, max(1, round(high * ratio)))
        inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
        free = np.argwhere(inside == 0)
        if len(free):
            top, left = (int(value) for value in free[len(free) // 2])
            return slice(top, top + high), slice(left, left + wide)
        high -= max(1, high // 40)
    raise Unfit("pets leave too little of this photo free")


def shrunk(photo: np.ndarray, pet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring a photo and its pet down to `SIDE` pixels on the longer side; smaller ones stay as they are."""
    ratio = SIDE / max(pet.shape)
    if ratio >= 1:
        return photo, pet
    size = max(1, round(pet.shape[0] * ratio)), max(1, round(pet.shape[1] * ratio))
    return _resized(photo, size), _resized_pet(pet, size)


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))


def _resized_pet(pet: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return _resized(pet.astype(np.uint8) * 255, size) >= 128


def _softened(cover: np.ndarray) -> np.ndarray:
    """Return a mask's cover of each pixel, 0…255, as 0…1 with soft edges: (H, W) float32."""
    blurred = Image.fromarray(cover).filter(ImageFilter.GaussianBlur(SOFT))
    return np.asarray(blurred, np.float32) / 255


@contextmanager
def _blaming(role: int) -> Iterator[None]:
    """Tell which of the photos it is that does not fit."""
    try:
        yield
    except Unfit as unfit:
        raise Unfit(str(unfit), role) from None


class Scene:
    """A photo while it is composed: its pixels (H, W, 3) uint8 and its pets (H, W) bool."""

    def __init__(
        self, size: tuple[int, int], number: int, chance: Chance, sources: tuple[tuple[np.ndarray, np.ndarray], ...]
    ) -> None:
        self.size, self.number, self.chance, self.sources = size, number, chance, sources
        self.photo = np.zeros((*size, 3), np.uint8)
        self.pet = np.zeros(size, bool)

    @property
    def ratio(self) -> float:
        """Width by height."""
        return self.size[1] / self.size[0]

    def take(self, source: int, box: tuple[slice, slice]) -> None:
        """Fill the frame with part of a photo, its pets included."""
        photo, pet = self.sources[source]
        self.photo = _resized(photo[box], self.size)
        self.pet = _resized_pet(pet[box], self.size)

    def background(self, source: int) -> np.ndarray:
        """Return a part of a photo without any pet, as large as the frame."""
        photo, pet = self.sources[source]
        with _blaming(source):
            return _resized(photo[free_region(pet, self.ratio)], self.size)

    def window(self, share: float, source: int = 0) -> tuple[slice, slice]:
        """Return a part of a photo in the frame's proportions, `share` of the largest possible side, at any place."""
        height, width = self.sources[source][1].shape
        high = share * min(height, width / self.ratio)
        high, wide = max(1, round(high)), max(1, round(high * self.ratio))
        top, left = self.chance.count(0, max(0, height - high)), self.chance.count(0, max(0, width - wide))
        return slice(top, top + high), slice(left, left + wide)

    def whole(self, source: int, *may_be_cut: str) -> CutOut:
        """Return the pet of a photo, which its photo must not have cut off at other edges than those."""
        with _blaming(source):
            pet = cut_out(*self.sources[source])
            if pet.cut - set(may_be_cut) or {"left", "right"} <= pet.cut:
                raise Unfit("the photo cuts this pet off where no frame's edge would")
            return pet

    def fitted(self, pet: CutOut, share: float, room: float = 1.0, least: float = 0.75) -> tuple[int, int]:
        """Return the height and width at which a pet covers `share` of the frame, or less where it has no room.

        Args:
            pet: what to fit.
            share: of the frame's pixels.
            room: of the frame's width.
            least: of the wanted height and width.

        Raises:
            Unfit: it would be far smaller than wanted.
        """
        height, width = pet.pet.shape
        wanted = math.sqrt(share * self.size[0] * self.size[1] / pet.pet.sum())
        scale = min(wanted, self.size[0] / height, room * self.size[1] / width)
        if scale < least * wanted:
            raise Unfit("the pet is too long for its place")
        return max(1, round(scale * height)), max(1, round(scale * width))

    def place(self, pet: CutOut, size: tuple[int, int], room: tuple[float, float] = (0.0, 1.0)) -> tuple[int, int]:
        """Return where to put a pet: at the edges where its photo cut it off, else rather low in the frame.

        Args:
            pet: what to place.
            size: its height and width.
            room: from where to where, as shares of the frame's width.
        """
        down, across = self.size[0] - size[0], room[1] * self.size[1] - size[1]
        top = down if "bottom" in pet.cut else round(down * self.chance.between(0.35, 1))
        left = round(self.chance.between(min(across, room[0] * self.size[1]), across))
        if "left" in pet.cut:
            left = 0
        if "right" in pet.cut:
            left = self.size[1] - size[1]
        return top, left

    def paste(self, pet: CutOut, size: tuple[int, int], corner: tuple[int, int]) -> None:
        """Lay a pet over the photo.

        Args:
            pet: what to paste.
            size: its height and width.
            corner: its first row and column, which may lie outside the frame.
        """
        cover = _softened(_resized(pet.pet.astype(np.uint8) * 255, size))
        frame, own = overlap(self.size, size, corner)
        alpha = cover[own]
        self._blend(frame, alpha, _resized(pet.pixels, size)[own])
        self.pet[frame] |= alpha >= 0.5

    def cover(self, shape: np.ndarray, texture: np.ndarray) -> None:
        """Lay something that is no pet over the photo: `shape` (H, W) bool, `texture` (H, W, 3) uint8."""
        alpha = _softened(shape.astype(np.uint8) * 255)
        self._blend((slice(None), slice(None)), alpha, texture)
        self.pet &= alpha < 0.5

    def _blend(self, frame: tuple[slice, slice], alpha: np.ndarray, pixels: np.ndarray) -> None:
        below = self.photo[frame].astype(np.float32)
        mixed = below + alpha[..., None] * (pixels - below)
        photo = self.photo.copy()
        photo[frame] = np.rint(mixed).astype(np.uint8)
        self.photo = photo


def overlap(
    frame: tuple[int, int], size: tuple[int, int], corner: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return which rows and columns of a frame something at `corner` covers, and which of its own those are."""
    starts = [max(0, at) for at in corner]
    ends = [min(whole, at + side) for whole, at, side in zip(frame, corner, size)]
    return (
        tuple(slice(start, max(start, end)) for start, end in zip(starts, ends)),
        tuple(slice(start - at, max(start, end) - at) for start, end, at in zip(starts, ends, corner)),
    )


# --- the kinds --------------------------------------------------------------------------------------------------------


def _ordinary(scene: Scene) -> None:
    """Crop a photo to the frame's proportions, keeping most of its pet."""
    pet = scene.sources[0][1]
    for _ in range(_TRIES):
        box = scene.window(scene.chance.between(0.85, 1))
        if pet[box].sum() >= 0.85 * pet.sum() > 0:
            return scene.take(0, box)
    raise Unfit("this photo cannot be cropped without losing its pet")


def _elsewhere(scene: Scene) -> None:
    scene.photo = scene.background(0)
    pet = scene.whole(1, "bottom", "left", "right")
    with _blaming(1):
        size = scene.fitted(pet, scene.chance.between(0.15, 0.6))
    scene.paste(pet, size, scene.place(pet, size))


def _small(scene: Scene) -> None:
    scene.photo = scene.background(0)
    pet = scene.whole(1)
    size = scene.fitted(pet, scene.chance.between(0.03, 0.12))
    scene.paste(pet, size, scene.place(pet, size))


def _several(scene: Scene) -> None:
    """Put two or three pets side by side."""
    scene.photo = scene.background(0)
    count = len(scene.sources) - 1
    for index in range(count):
        room = index / count, (index + 1) / count
        pet = scene.whole(1 + index, "bottom")
        with _blaming(1 + index):
            size = scene.fitted(pet, scene.chance.between(0.3, 0.6) / count, 1 / count, least=0.4)
        scene.paste(pet, size, scene.place(pet, size, room))


def _overlapping(scene: Scene) -> None:
    """Put a pet in front of the one that a photo shows anyway."""
    own = scene.sources[0][1]
    box = scene.window(1)
    if own[box].sum() < 0.85 * own.sum() or not 0.1 < own[box].mean() < 0.5:
        raise Unfit("this photo cannot be cropped without losing its pet, or has no room for another", 0)
    scene.take(0, box)
    pet = scene.whole(1, "bottom")
    behind = scene.pet.copy()
    for _ in range(_TRIES):
        size = scene.fitted(pet, scene.chance.between(0.1, 0.3))
        corner = scene.place(pet, size)
        frame, seen = overlap(scene.size, size, corner)
        hidden = behind[frame] & _resized_pet(pet.pet, size)[seen]
        if 0.08 < hidden.sum() / behind.sum() < 0.5:
            return scene.paste(pet, size, corner)
    raise Unfit("these pets cannot be made to overlap in part")


def _part(scene: Scene) -> None:
    """Crop a photo so that only a part of its pet remains: an ear, a paw, a flank."""
    pet = scene.sources[0][1]
    for _ in range(_TRIES):
        box = scene.window(scene.chance.between(0.45, 0.7))
        if 0.1 < pet[box].mean() < 0.7 and pet[box].sum() < 0.5 * pet.sum():
            return scene.take(0, box)
    raise Unfit("no part of this photo shows a part of its pet")


def _angle(scene: Scene) -> None:
    """Turn the pet by 20° to 45°, or lay it on its back, or hold the camera upside down."""
    scene.photo = scene.background(0)
    pet = scene.whole(1)
    way = scene.number % 4
    if way < 3:
        pet = pet.turned(180 if way == 2 else scene.chance.side() * scene.chance.between(20, 45))
    size = scene.fitted(pet, scene.chance.between(0.12, 0.4))
    scene.paste(pet, size, scene.place(pet, size))
    if way == 3:
        scene.photo, scene.pet = scene.photo[::-1, ::-1].copy(), scene.pet[::-1, ::-1].copy()


def _hidden(scene: Scene) -> None:
    """Put posts, a board or something round in front of a pet, so that 15 % to 50 % of it cannot be seen."""
    _elsewhere(scene)
    texture = scene.background(2)
    shape = (_posts, _board, _round)[scene.number % 3]
    for _ in range(_TRIES):
        covered = shape(scene)
        if 0.15 < (covered & scene.pet).sum() / scene.pet.sum() < 0.5:
            return scene.cover(covered, texture)
    raise Unfit("nothing hides this pet in part", 1)


def _grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels' centres as shares of the frame: (H, 1) and (1, W)."""
    return (np.arange(size[0])[:, None] + 0.5) / size[0], (np.arange(size[1])[None, :] + 0.5) / size[1]


def _posts(scene: Scene) -> np.ndarray:
    _, across = _grid(scene.size)
    wide, apart, first = scene.chance.between(0.04, 0.08), scene.chance.between(0.16, 0.3), scene.chance.between(0, 0.2)
    return np.broadcast_to(np.mod(across - first, apart) < wide, scene.size)


def _board(scene: Scene) -> np.ndarray:
    down, _ = _grid(scene.size)
    return np.broadcast_to(down > scene.chance.between(0.4, 0.9), scene.size)


def _round(scene: Scene) -> np.ndarray:
    down, across = _grid(scene.size)
    y, x = scene.chance.between(0.3, 0.9), scene.chance.between(0.2, 0.8)
    return ((down - y) / scene.chance.between(0.1, 0.3)) ** 2 + ((across - x) / scene.chance.between(0.1, 0.3)) ** 2 < 1


def _poor(scene: Scene) -> None:
    """Blur a photo of a pet at another place, or make it noisy, blocky, dark or grey."""
    _elsewhere(scene)
    name, strength = _SPOILS[scene.number % len(_SPOILS)]
    if name == "dim":
        scene.photo = np.rint(scene.photo * np.float32(strength)).astype(np.uint8)
    elif name == "grey":
        grey = np.asarray(Image.fromarray(scene.photo).convert("L"))
        scene.photo = np.repeat(grey[..., None], 3, axis=2)
    else:
        scene.photo, _ = _CORRUPTIONS[name].apply(scene.photo, scene.pet.astype(np.uint8), strength, str(scene.number))


_CORRUPTIONS = {entry.name: entry for entry in CORRUPTIONS}
_SPOILS = (("blur", 3.0), ("noise", 25), ("jpeg", 10), ("dim", 0.35), ("grey", 0))

KINDS: tuple[Kind, ...] = (
    Kind("ordinary", "As photographed", "validation photos, only cropped to everyday proportions", (1,), _ordinary),
    Kind("elsewhere", "Another place", "a pet on another photo's background", (2,), _elsewhere),
    Kind("small", "Small pet", "likewise, at most an eighth of the frame", (2,), _small),
    Kind("several", "Several, apart", "two or three pets of different photos side by side", (3, 3, 4, 3), _several),
    Kind("overlapping", "Overlapping", "a pet in front of the one that its new photo shows anyway", (2,), _overlapping),
    Kind("part", "Part of a pet", "photos cropped so that less than half of the pet remains", (1,), _part),
    Kind("angle", "Odd angle", "a pet turned by 20° to 45° or on its back; whole photos upside down", (2,), _angle),
    Kind("hidden", "Half hidden", "posts, a board or something round hide 15 % to 50 % of a pet", (3,), _hidden),
    Kind("poor", "Poor picture", "blurred, noisy, strongly compressed, at a third of the light, or grey", (2,), _poor),
)
_BY_NAME = {kind.name: kind for kind in KINDS}
