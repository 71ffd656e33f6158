"""A person's correction of a segmentation: which pixels belong to the subject after all, and which do not.

It is made at the size at which the photo is displayed and applied at any size: mask, probabilities and shares follow,
and so does the outline, which is a little softened where a change ends.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt, find_objects, maximum_filter

from unet_core.classes import BACKGROUND, BORDER, PET, PixelClasses
from unet_core.errors import UNetError
from unet_core.images.interpolate import Box, resized
from unet_core.segment.outline import is_pets, subject_certainty
from unet_core.segment.presence import Presence

_MAGIC = b"UC1"
_HEAD = struct.Struct(">3sHH")  # and then the changes, row by row, compressed with zlib
_MOST_PIXELS = 16_000_000
_TENT = (0.25, 0.5, 0.25)
_USUAL_BORDER = 0.008  # half a border's width as a share of the longer side, where the network has drawn none
_WIDEST_BORDER = 0.03
_DRAWING_SIDE = 512  # pixels on the longer side of the copy on which borders are measured and drawn
_ON_BORDER = 0.6  # probability of a drawn border; the rest says on which side of the outline a pixel is


class Segmented(Protocol):
    """What can be corrected: a `Segmentation`, see there."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def mask(self) -> np.ndarray: ...
    @property
    def probabilities(self) -> np.ndarray: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def shares(self) -> Mapping[str, float]: ...
    @property
    def pixel_classes(self) -> PixelClasses: ...
    @property
    def presence(self) -> Presence: ...


S = TypeVar("S", bound=Segmented)


class CorrectionError(UNetError):
    """A correction that is damaged, or that does not fit the photo or the model."""


class Sides(NamedTuple):
    """The class ids of what a correction keeps and of what it removes."""

    kept: int
    removed: int


class _Region(NamedTuple):
    """Where a correction changes anything at some size: a rectangle, and its strength there, −1…1."""

    box: Box
    strength: np.ndarray


class _Drawn(NamedTuple):
    """What is drawn into a rectangle of class ids: new ids, and, computed on demand, their weight over the network's.

    The weight is 0…1, as is `inner`: how far on the inner side of a pet's outline a pixel is.
    """

    box: Box
    mask: np.ndarray
    weight: Callable[[], np.ndarray]
    inner: Callable[[], np.ndarray] | None = None

    def probabilities(self, classes: int) -> np.ndarray:
        """Return probabilities (h, w, classes) of what is drawn; on a border, the outline can be told from them."""
        share = np.eye(classes, dtype=np.float32)[self.mask]
        if self.inner is not None:
            rest, inner = share[..., BORDER.id] * (1 - _ON_BORDER), self.inner()
            share[..., BORDER.id] -= rest
            share[..., PET.id] += rest * inner
            share[..., BACKGROUND.id] += rest * (1 - inner)
        return share


@dataclass(frozen=True, eq=False)
class Correction:
    """What a person changes of a subject's outline.

    Attributes:
        changes: (h, w) int8 at any size of the photo's aspect: 1 is the subject, −1 is not, 0 as the network says.

    Raises:
        CorrectionError: the array has another shape or other values, or more than 16 megapixels.
    """

    changes: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if self.changes.ndim != 2 or not 0 < self.changes.size <= _MOST_PIXELS:
            raise CorrectionError(f"changes: must be (h, w), up to 16 megapixels. Received: {self.changes.shape}")
        if self.changes.dtype != np.int8 or self.changes.min() < -1 or self.changes.max() > 1:
            raise CorrectionError("changes: must be int8 with the values -1, 0 and 1")
        self.changes.flags.writeable = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is changed."""
        return not self.changes.any()

    @property
    def box(self) -> Box:
        """The rectangle that holds all changes."""
        return _box_of(self.changes != 0) or Box(0, 0, 0, 0)

    def resized(self, height: int, width: int) -> np.ndarray:
        """Return the strength of the changes at another size, (height, width) float32 in −1…1, with soft edges.

        Raises:
            CorrectionError: the size has another aspect.
        """
        whole = np.zeros((height, width), np.float32)
        box, strength = self._region(height, width)
        _inside(whole, box)[:] = strength
        return whole

    def applied_to(self, alpha: np.ndarray) -> np.ndarray:
        """Return a soft outline (H, W) in 0…1 with the changes, float32.

        Raises:
            CorrectionError: the outline has another aspect.
        """
        box, strength = self._region(*alpha.shape)
        result = alpha.astype(np.float32)
        old = _inside(result, box)
        kept, removed = strength.clip(0, 1), strength.clip(-1, 0)
        old += kept * (1 - old) + removed * old
        return result

    def to_bytes(self) -> bytes:
        """Return a compact form, which `from_bytes` reads."""
        head = _HEAD.pack(_MAGIC, *self.changes.shape)
        return head + zlib.compress(np.ascontiguousarray(self.changes).tobytes(), 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the correction in a compact form; the bytes may come from anyone.

        Raises:
            CorrectionError: they are damaged, or too large.
        """
        damaged = CorrectionError("The correction is damaged: make it again.")
        if len(data) < _HEAD.size:
            raise damaged
        magic, height, width = _HEAD.unpack_from(data)
        if magic != _MAGIC or not 0 < height * width <= _MOST_PIXELS:
            raise damaged
        unpacker = zlib.decompressobj()
        try:
            changes = unpacker.decompress(data[_HEAD.size :], height * width)
            rest = unpacker.decompress(unpacker.unconsumed_tail, 1)
        except zlib.error:
            raise damaged from None
        if len(changes) != height * width or rest or not unpacker.eof:
            raise damaged
        return cls(np.frombuffer(changes, np.int8).reshape(height, width))

    def _region(self, height: int, width: int) -> _Region:
        """Return where, and how strongly, the changes act at a size."""
        own_height, own_width = self.changes.shape
        if abs(own_height * width - own_width * height) > 2 * max(own_height, own_width, height, width):
            raise CorrectionError(
                f"The correction was made on a photo of {own_width} × {own_height} pixels and does not fit one of "
                f"{width} × {height}."
            )
        if self.is_empty:
            return _Region(self.box, np.zeros((0, 0), np.float32))
        target = _scaled(_grown(self.box, 2, self.changes.shape), self.changes.shape, (height, width))
        return _Region(target, _stretched(_softened(self.changes), target, height, width))


def sides(classes: PixelClasses) -> Sides | None:
    """Return what a correction of masks with these classes keeps and removes.

    None if they cannot be corrected: several classes may be meant by the subject, or none is the background.
    """
    subject = [number for number in classes.subject if not (number == BORDER.id and is_pets(classes))]
    return Sides(subject[0], classes.background) if classes.background is not None and len(subject) == 1 else None


def apply(segmentation: S, correction: Correction) -> S:
    """Return a segmentation as corrected: mask, probabilities, shares, and with them its outline.

    The border of pets is drawn again along the outline's new parts, as wide as the network draws it.

    Raises:
        CorrectionError: the correction is for another photo, or the model has several subjects or no background.
    """
    ids = sides(segmentation.pixel_classes)
    if ids is None:
        raise CorrectionError("Only masks with one subject and a background can be corrected.")
    if correction.is_empty:
        return segmentation
    draw = _border_drawer(segmentation, correction) if is_pets(segmentation.pixel_classes) else _drawer(correction, ids)
    mask, probabilities = segmentation.mask.copy(), segmentation.probabilities.copy()
    drawn = draw(mask)
    _inside(mask, drawn.box)[:] = drawn.mask
    drawn = draw(probabilities.argmax(axis=-1).astype(np.uint8))
    area, share = _inside(probabilities, drawn.box), drawn.probabilities(len(segmentation.pixel_classes.names))
    area += drawn.weight()[..., None] * (share - area)
    area /= area.sum(axis=-1, keepdims=True)
    presence = segmentation.presence
    if (correction.changes > 0).any():
        presence = Presence(True, None, presence.kind, presence.kind_probability)  # it is there: a person drew it in
    elif not (mask != ids.removed).any():
        presence = Presence(False)
    return replace(
        segmentation,
        presence=presence,
        mask=mask,
        probabilities=probabilities,
        shares=_shares(segmentation, mask),
        correction=correction,
    )


def _drawer(correction: Correction, ids: Sides) -> Callable[[np.ndarray], _Drawn]:
    """Return what draws a correction into class ids (H, W) of any size, for a model without a border."""

    def draw(old: np.ndarray) -> _Drawn:
        box, strength = correction._region(*old.shape)
        old = _inside(old, box)
        mask = np.where(strength > 0.5, ids.kept, np.where(strength < -0.5, ids.removed, old)).astype(np.uint8)
        return _Drawn(box, mask, lambda: np.maximum(np.abs(strength), mask != old))

    return draw


def _border_drawer(segmentation: Segmented, correction: Correction) -> Callable[[np.ndarray], _Drawn]:
    """Return what draws a correction into class ids of pets: along its outline, a border as wide as the network's."""
    scale = min(1.0, _DRAWING_SIDE / max(segmentation.size))
    size = height, width = tuple(max(1, round(side * scale)) for side in segmentation.size)
    probabilities = resized(segmentation.probabilities, height, width)
    inside = subject_certainty(probabilities, segmentation.pixel_classes) > 0.5
    half = _half_border(probabilities, inside)
    near = 2 * half + 2
    strength = correction.resized(height, width)
    changed = _box_of(np.abs(strength) > 0)
    if changed is None:
        return lambda old: _Drawn(Box(0, 0, 0, 0), old[:0, :0], lambda: np.zeros((0, 0), np.float32))
    box = _grown(changed, int(np.ceil(2 * near)), size)
    strength = _inside(strength, box)
    subject = np.where(strength > 0.5, True, np.where(strength < -0.5, False, _inside(inside, box)))
    distance = _signed_distance(subject).clip(-3 * near, 3 * near)
    zone = maximum_filter(np.abs(strength) > 0.5, 2 * int(near) + 1).astype(np.float32)
    planes = [_placed(plane, box, size) for plane in (distance, zone, strength)]

    def draw(old: np.ndarray) -> _Drawn:
        target = _scaled(box, size, old.shape)
        distance, zone = (_stretched(plane, target, *old.shape) for plane in planes[:2])
        is_new, under = zone > 0.5, _inside(old, target)
        on_border = np.abs(distance) <= half
        mask = np.where(distance > 0, np.uint8(PET.id), np.uint8(BACKGROUND.id))
        mask[on_border] = BORDER.id
        np.copyto(mask, under, where=~is_new)

        def weight() -> np.ndarray:
            strength = np.abs(_stretched(planes[2], target, *old.shape))
            return np.where(is_new, np.maximum(strength, mask != under), np.float32(0))

        return _Drawn(target, mask, weight, lambda: (distance / (2 * half) + 0.5).clip(0, 1))

    return draw


def _half_border(probabilities: np.ndarray, inside: np.ndarray) -> float:
    """Return half of the border's mean width in pixels."""
    longest = max(inside.shape)
    border = np.count_nonzero(probabilities.argmax(axis=-1) == BORDER.id)
    steps = np.count_nonzero(inside[1:] != inside[:-1]) + np.count_nonzero(inside[:, 1:] != inside[:, :-1])
    if border == 0 or steps == 0:
        return _USUAL_BORDER * longest
    return float(np.clip(border / (2 * steps * np.pi / 4), 1, _WIDEST_BORDER * longest))


def _signed_distance(inside: np.ndarray) -> np.ndarray:
    """Return each pixel's distance from the edge of a region, negative outside; far where there is no edge."""
    far = float(sum(inside.shape))
    if inside.all() or not inside.any():
        return np.full(inside.shape, far if inside.all() else -far, np.float32)
    distance = np.where(inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside))
    return distance.astype(np.float32)


def _shares(segmentation: Segmented, mask: np.ndarray) -> dict[str, float]:
    """Return the classes' shares; those of a larger mask, of which this one is a smaller copy, change as much."""
    count = len(segmentation.pixel_classes.names)
    before, after = (np.bincount(ids.reshape(-1), minlength=count)[:count] for ids in (segmentation.mask, mask))
    changes = (after - before) / mask.size
    pairs = zip(segmentation.shares.items(), changes, strict=True)
    return {name: min(1.0, max(0.0, share + float(change))) for (name, share), change in pairs}


# --- rectangles -------------------------------------------------------------------------------------------------------


def _box_of(plane: np.ndarray) -> Box | None:
    found = find_objects(plane.view(np.uint8))
    if not found or found[0] is None:
        return None
    rows, columns = found[0]
    return Box(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)


def _grown(box: Box, by: int, size: tuple[int, ...]) -> Box:
    top, left = max(0, box.top - by), max(0, box.left - by)
    bottom, right = min(size[0], box.top + box.height + by), min(size[1], box.left + box.width + by)
    return Box(top, left, bottom - top, right - left)


def _scaled(box: Box, size: tuple[int, ...], target: tuple[int, int]) -> Box:
    """Return the rectangle of whole pixels at another size that covers `box`."""
    down, along = target[0] / size[0], target[1] / size[1]
    top, left = int(box.top * down), int(box.left * along)
    bottom = min(target[0], int(np.ceil((box.top + box.height) * down)))
    right = min(target[1], int(np.ceil((box.left + box.width) * along)))
    return Box(top, left, bottom - top, right - left)


def _inside(plane: np.ndarray, box: Box) -> np.ndarray:
    return plane[box.top : box.top + box.height, box.left : box.left + box.width]


def _placed(plane: np.ndarray, box: Box, size: tuple[int, ...]) -> np.ndarray:
    """Return a plane of `size` that is `plane` in `box`, and its nearest value elsewhere."""
    below, aside = size[0] - box.top - box.height, size[1] - box.left - box.width
    return np.pad(plane, ((box.top, below), (box.left, aside)), mode="edge")


def _stretched(plane: np.ndarray, box: Box, height: int, width: int) -> np.ndarray:
    """Return what is in `box` of a plane (h, w) resized to height × width, float32."""
    down, along = plane.shape[0] / height, plane.shape[1] / width
    source = box.left * along, box.top * down, (box.left + box.width) * along, (box.top + box.height) * down
    if plane.shape == (height, width):
        return _inside(plane, box).copy()
    picture = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.array(picture.resize((box.width, box.height), Image.Resampling.BILINEAR, box=source))


def _softened(changes: np.ndarray) -> np.ndarray:
    """Return changes (h, w) averaged over 3 × 3 pixels, the nearer the more, float32: as ui/components does."""
    height, width = changes.shape
    padded = np.pad(changes.astype(np.float32), 1, mode="edge")
    rows = sum(share * padded[step : step + height] for step, share in enumerate(_TENT))
    assert isinstance(rows, np.ndarray)
    return sum((share * rows[:, step : step + width] for step, share in enumerate(_TENT)), np.zeros((), np.float32))
