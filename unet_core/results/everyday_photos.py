"""Stand-ins for the photos that people upload: pets of some photos pasted into others, deterministically.

Cut-outs are the true pets with their borders, with soft edges; the ground truth of a composed photo is where a pet
covers at least half of a pixel. Backgrounds are cut where a photo's mask shows no pet, or the pet in them stays part
of the ground truth. NumPy and Pillow only.
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
from unet_core.images.corruptions import CORRUPTIONS

COMPOSITION = 1  # version, increased when other photos result than before; stored as `recipe` with the figures
SIDE = 500  # pixels of the longer side
PER_KIND = 22
RATIOS = ((4, 3), (3, 4), (16, 9), (1, 1))  # width to height

_SEED = 20_060  # arbitrary; another seed gives other photos
_ATTEMPTS = 300  # choices of photos for one composed photo
_TRIES = 40  # positions for one choice of photos
_SMALLEST_REGION = 0.4  # of the photo's longer side, for backgrounds
_TOUCHES = 0.04  # share of a frame's edge that a pet must cover to count as cut off there
_MARGIN = 6  # pixels of surroundings that a cut-out keeps, so that its edge can be blended
SOFT = 1.0  # standard deviation of that blending, in pixels of the composed photo

Lookup = Callable[[str], tuple[np.ndarray, np.ndarray]]  # name -> photo (H, W, 3) uint8, where its pet is (H, W) bool


class Unfit(DataError):
    """Photos that cannot be composed this way; `role` is the index of the photo to replace."""

    def __init__(self, reason: str, role: int = -1) -> None:
        super().__init__(reason)
        self.role = role


@dataclass(frozen=True)
class Composed:
    """A composed photo (H, W, 3) uint8 with its pets (H, W) bool, and the names of its source photos."""

    number: int
    kind: str
    sources: tuple[str, ...]
    photo: np.ndarray
    pet: np.ndarray

    @property
    def name(self) -> str:
        """A name like that of a file."""
        return composed_name(self.kind, self.number)


@dataclass(frozen=True)
class Kind:
    """One way in which everyday photos differ from the dataset's.

    `photos` says how many source photos `make` needs, cycling with the composed photo's number as `RATIOS` do.
    """

    name: str
    title: str
    description: str
    photos: tuple[int, ...]
    make: Callable[[Scene], None]

    def needed(self, number: int) -> int:
        """Return how many source photos the composed photo of this number needs."""
        return self.photos[number % len(self.photos)]


def composed_name(kind: str, number: int) -> str:
    """Return the name of a composed photo."""
    return f"{kind}_{number:02d}"


def composed_photos(names: Sequence[str], lookup: Lookup, limit: int | None = None) -> Iterator[Composed]:
    """Compose photos of each kind in turn, from photos chosen only by their names.

    Args:
        names: photos to choose from, in any order.
        lookup: returns a photo and its pet by name.
        limit: compose only the first `limit` photos.
    """
    impossible: set[str] = set()
    for number, kind in itertools.islice(itertools.product(range(PER_KIND), KINDS), limit):
        found = _composed(kind, number, names, lookup) if kind.name not in impossible else None
        if found is not None:
            yield found
        else:
            impossible.add(kind.name)  # these photos do not allow it: further tries would only take time


def compose(kind: str, number: int, sources: Sequence[str], lookup: Lookup) -> Composed:
    """Compose one photo.

    Args:
        kind, number: as in `Composed`.
        sources: names of its source photos.
        lookup: returns a photo and its pet by name.

    Raises:
        Unfit: there is no such kind, or these photos do not allow it.
    """
    maker = _BY_NAME.get(kind)
    if maker is None or len(sources) != maker.needed(number):
        raise Unfit(f"{kind}: no such kind, or it does not take {len(sources)} photos")
    for role, source in enumerate(sources):
        if source in sources[:role]:
            raise Unfit(f"{source} is given twice", role)
    width, height = frame_size(number)
    photos = tuple(shrunk(*lookup(name)) for name in sources)
    scene = Scene((height, width), number, Chance(_SEED, number, kind), photos)
    maker.make(scene)
    return Composed(number, kind, tuple(sources), scene.photo, scene.pet)


def frame_size(number: int) -> tuple[int, int]:
    """Return width and height of the composed photos of this number; the ratios cycle."""
    width, height = RATIOS[number % len(RATIOS)]
    return round(SIDE * width / max(width, height)), round(SIDE * height / max(width, height))


def _composed(kind: Kind, number: int, names: Sequence[str], lookup: Lookup) -> Composed | None:
    """Try photos in an order that depends only on their names, and replace the one that does not fit."""
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

    `cut` names the edges of its photo that cut it off.
    """

    pixels: np.ndarray
    pet: np.ndarray
    cut: frozenset[str]

    def rotated(self, angle: float) -> CutOut:
        """Rotate it counterclockwise by an angle in degrees; it must not be cut off."""
        pixels = Image.fromarray(self.pixels).rotate(angle, Image.Resampling.BILINEAR, expand=True)
        pet = Image.fromarray(self.pet).rotate(angle, Image.Resampling.NEAREST, expand=True)
        return CutOut(np.asarray(pixels), np.asarray(pet), self.cut)


def cut_out(photo: np.ndarray, pet: np.ndarray) -> CutOut:
    """Cut the pet of a photo out, with a narrow margin.

    Raises:
        Unfit: it has hardly any pet.
    """
    if pet.mean() < 0.02:
        raise Unfit("this photo has hardly any pet")
    edges = {"top": pet[0], "bottom": pet[-1], "left": pet[:, 0], "right": pet[:, -1]}
    rows, columns = (np.flatnonzero(pet.any(axis=axis)) for axis in (1, 0))
    box = _with_margin(rows), _with_margin(columns)
    cut = frozenset(name for name, edge in edges.items() if edge.mean() > _TOUCHES)
    return CutOut(photo[box], pet[box], cut)


def _with_margin(line: np.ndarray) -> slice:
    return slice(max(0, line[0] - _MARGIN), line[-1] + 1 + _MARGIN)


def free_region(pet: np.ndarray, ratio: float) -> tuple[slice, slice]:
    """Return the largest region of a photo without any pet, `ratio` times as wide as high.

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
    """Shrink a photo and its pet to `SIDE` pixels on the longer side; smaller ones stay unchanged."""
    ratio = SIDE / max(pet.shape)
    if ratio >= 1:
        return photo, pet
    size = max(1, round(pet.shape[0] * ratio)), max(1, round(pet.shape[1] * ratio))
    return _resized(photo, size), _resized_pet(pet, size)


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _resized_pet(pet: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return _resized(pet.astype(np.uint8) * 255, size) >= 128


def _softened(cover: np.ndarray) -> np.ndarray:
    """Return a mask's coverage of each pixel, 0…255, as 0…1 with soft edges: (H, W) float32."""
    blurred = Image.fromarray(cover).filter(ImageFilter.GaussianBlur(SOFT))
    return np.asarray(blurred, np.float32) / 255


@contextmanager
def _blaming(role: int) -> Iterator[None]:
    """Add to an `Unfit` which photo does not fit."""
    try:
        yield
    except Unfit as unfit:
        raise Unfit(str(unfit), role) from None


class Scene:
    """A photo being composed: its pixels (H, W, 3) uint8 and its pets (H, W) bool."""

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
        """Fill the frame with a region of a photo, including its pets."""
        photo, pet = self.sources[source]
        self.photo = _resized(photo[box], self.size)
        self.pet = _resized_pet(pet[box], self.size)

    def background(self, source: int) -> np.ndarray:
        """Return a region of a photo without any pet, resized to the frame."""
        photo, pet = self.sources[source]
        with _blaming(source):
            return _resized(photo[free_region(pet, self.ratio)], self.size)

    def window(self, share: float, source: int = 0) -> tuple[slice, slice]:
        """Return a random region of a photo in the frame's aspect ratio, `share` of the largest possible side."""
        height, width = self.sources[source][1].shape
        high = share * min(height, width / self.ratio)
        high, wide = max(1, round(high)), max(1, round(high * self.ratio))
        top, left = self.chance.count(0, max(0, height - high)), self.chance.count(0, max(0, width - wide))
        return slice(top, top + high), slice(left, left + wide)

    def whole(self, source: int, *may_be_cut: str) -> CutOut:
        """Return the pet of a photo, which may be cut off only at the given edges."""
        with _blaming(source):
            pet = cut_out(*self.sources[source])
            if pet.cut - set(may_be_cut) or {"left", "right"} <= pet.cut:
                raise Unfit("the photo cuts this pet off at an edge where it may not")
            return pet

    def fitted(self, pet: CutOut, share: float, room: float = 1.0, least: float = 0.75) -> tuple[int, int]:
        """Return the height and width at which a pet covers `share` of the frame, or less if there is no room.

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
            raise Unfit("the pet is too elongated for its room")
        return max(1, round(scale * height)), max(1, round(scale * width))

    def place(self, pet: CutOut, size: tuple[int, int], room: tuple[float, float] = (0.0, 1.0)) -> tuple[int, int]:
        """Return where to put a pet: at the edges where its photo cut it off, else towards the bottom.

        Args:
            pet: what to place.
            size: its height and width.
            room: start and end, as shares of the frame's width.
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
        """Paste a pet over the photo.

        Args:
            pet: what to paste.
            size: its height and width.
            corner: its first row and column, which may be outside the frame.
        """
        cover = _softened(_resized(pet.pet.astype(np.uint8) * 255, size))
        frame, own = overlap(self.size, size, corner)
        alpha = cover[own]
        self._blend(frame, alpha, _resized(pet.pixels, size)[own])
        self.pet[frame] |= alpha >= 0.5

    def cover(self, shape: np.ndarray, texture: np.ndarray) -> None:
        """Paint something other than a pet over the photo: `shape` (H, W) bool, `texture` (H, W, 3) uint8."""
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
    """Return the rows and columns of a frame that a picture at `corner` covers, and those of the picture itself."""
    rows, own_rows = _overlap_along(frame[0], size[0], corner[0])
    columns, own_columns = _overlap_along(frame[1], size[1], corner[1])
    return (rows, columns), (own_rows, own_columns)


def _overlap_along(frame: int, size: int, at: int) -> tuple[slice, slice]:
    start = max(0, at)
    end = max(start, min(frame, at + size))
    return slice(start, end), slice(start - at, end - at)


# --- the kinds --------------------------------------------------------------------------------------------------------


def _ordinary(scene: Scene) -> None:
    """Crop a photo to the frame's aspect ratio, keeping most of its pet."""
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
    """Paste a pet in front of the one that a photo shows already."""
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
    """Crop a photo so that only part of its pet remains, such as an ear, a paw or a flank."""
    pet = scene.sources[0][1]
    for _ in range(_TRIES):
        box = scene.window(scene.chance.between(0.45, 0.7))
        if 0.1 < pet[box].mean() < 0.7 and pet[box].sum() < 0.5 * pet.sum():
            return scene.take(0, box)
    raise Unfit("no region of this photo shows only part of its pet")


def _angle(scene: Scene) -> None:
    """Rotate the pet by 20° to 45°, put it on its back, or turn the whole photo upside down."""
    scene.photo = scene.background(0)
    pet = scene.whole(1)
    variant = scene.number % 4
    if variant < 3:
        pet = pet.rotated(180 if variant == 2 else scene.chance.side() * scene.chance.between(20, 45))
    size = scene.fitted(pet, scene.chance.between(0.12, 0.4))
    scene.paste(pet, size, scene.place(pet, size))
    if variant == 3:
        scene.photo, scene.pet = scene.photo[::-1, ::-1].copy(), scene.pet[::-1, ::-1].copy()


def _hidden(scene: Scene) -> None:
    """Put posts, a board or an ellipse in front of a pet, so that 15 % to 50 % of it is hidden."""
    _elsewhere(scene)
    texture = scene.background(2)
    shape = (_posts, _board, _ellipse)[scene.number % 3]
    for _ in range(_TRIES):
        covered = shape(scene)
        if 0.15 < (covered & scene.pet).sum() / scene.pet.sum() < 0.5:
            return scene.cover(covered, texture)
    raise Unfit("no shape hides part of this pet", 1)


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


def _ellipse(scene: Scene) -> np.ndarray:
    down, across = _grid(scene.size)
    y, x = scene.chance.between(0.3, 0.9), scene.chance.between(0.2, 0.8)
    return ((down - y) / scene.chance.between(0.1, 0.3)) ** 2 + ((across - x) / scene.chance.between(0.1, 0.3)) ** 2 < 1


def _poor(scene: Scene) -> None:
    """Blur a photo of a pet on another background, or make it noisy, blocky, dark or grey."""
    _elsewhere(scene)
    name, strength = _DEGRADATIONS[scene.number % len(_DEGRADATIONS)]
    if name == "dim":
        scene.photo = np.rint(scene.photo * np.float32(strength)).astype(np.uint8)
    elif name == "grey":
        grey = np.asarray(Image.fromarray(scene.photo).convert("L"))
        scene.photo = np.repeat(grey[..., None], 3, axis=2)
    else:
        scene.photo, _ = _CORRUPTIONS[name].apply(scene.photo, scene.pet.astype(np.uint8), strength, str(scene.number))


_CORRUPTIONS = {entry.name: entry for entry in CORRUPTIONS}
_DEGRADATIONS = (("blur", 3.0), ("noise", 25), ("jpeg", 10), ("dim", 0.35), ("grey", 0))

KINDS: tuple[Kind, ...] = (
    Kind("ordinary", "As photographed", "validation photos, only cropped to common aspect ratios", (1,), _ordinary),
    Kind("elsewhere", "Another background", "a pet on another photo's background", (2,), _elsewhere),
    Kind("small", "Small pet", "a pet on another background, at most an eighth of the frame", (2,), _small),
    Kind("several", "Several pets", "two or three pets from different photos side by side", (3, 3, 4, 3), _several),
    Kind("overlapping", "Overlapping", "a pet pasted partly over the pet of another photo", (2,), _overlapping),
    Kind("part", "Part of a pet", "photos cropped so that less than half of the pet remains", (1,), _part),
    Kind(
        "angle", "Odd angle", "a pet rotated by 20° to 45° or lying on its back; whole photos upside down", (2,), _angle
    ),
    Kind("hidden", "Half hidden", "posts, a board or an ellipse hide 15 % to 50 % of a pet", (3,), _hidden),
    Kind("poor", "Poor quality", "blurred, noisy, heavily compressed, dark or greyscale", (2,), _poor),
)
_BY_NAME = {kind.name: kind for kind in KINDS}
