"""Run a network on a photo: in one pass, with horizontal-flip averaging, or with a zoomed second pass.

Every photo is resized to the network's input, so a small pet gets few pixels. If a model's manifest entry sets
`second_look`, the first pass runs on the whole photo, and the second on the mirrored part where the pets were found, or
on each of a few such parts. Isolated pieces much smaller than the pet then become background.

A network is sure of itself also when it is wrong: where one pass sees a pet and the other none, their mean is just
below or above one half by chance. A third pass then decides: over the mirrored photo, over the part where only the
mirrored photo showed a pet, or over the photo continued on all sides. weights/README.md has the measured gains.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.images.interpolate import Box, resized
from unet_core.images.preprocess import network_input
from unet_core.images.probabilities import class_probabilities, over_classes
from unet_core.segment.network import Network
from unet_core.segment.pieces import labelled, without_islands

Lap = Callable[[str], None]

_MARGIN = 0.12  # around the pets, as a share of their height and width
_LEAST_MARGIN = 0.02  # added to it, as a share of the photo's height and width
_LEAST_SIDE = 0.3  # of the photo's: a smaller part would be enlarged beyond recognition
_MOST_AREA = 0.95  # of the photo's, margin included: zooming in on nearly the whole photo gains nothing
_SPECK = 0.002  # of the photo's area: fewer pet pixels do not count as a pet
_MOST_PARTS = 3  # that are zoomed in on; more pets are enlarged together
_APART = 0.6  # of the area around all pets: if the parts together cover more, zooming in on each gains little
_FADE = 0.1  # of a part's height and width, in which a zoomed pass fades out towards the part's edges
_OUTLIERS = 0.02  # of the pets' pixels, ignored at each side, so that stray ones do not enlarge the part
_ISLAND = 0.05  # of the largest pet's pixels: smaller isolated pieces become background
_ZOOMED_SHARE = 0.6  # of a zoomed pass in the mean with the first, for it sees the pet better
_LEAST_AGAIN = 0.3  # of the pet pixels of one pass, in another: with fewer, they contradict each other
_FINEST = 1.5  # how many times finer than the network's output the result can be


class TwoPasses:
    """A network that segments every photo with a zoomed second pass and, where needed, a third; see the module.

    Args:
        once: the network itself.
        background: the class id of the background.
    """

    def __init__(self, once: Network, background: int) -> None:
        import scipy.ndimage  # noqa: F401  slow to import, so not while a photo waits

        self.once, self.background = once, background
        self.name, self.device, self.output_size = once.name, once.device, once.output_size

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Return the mean of the raw outputs for inputs (N, H, W, C) and for their mirror images.

        For callers that have only the network's input, and for timing two passes.
        """
        straight = self.once.predict(batch)
        mirrored = self.once.predict(np.ascontiguousarray(batch[:, :, ::-1]))
        return (straight + mirrored[:, :, ::-1]) / 2


def single(network: Network) -> Network:
    """Return the network itself, without its zoomed second pass."""
    return network.once if isinstance(network, TwoPasses) else network


def photo_probabilities(
    network: Network, config: UNetConfig, photo: np.ndarray, *, flip: bool = False, lap: Lap = lambda _: None
) -> np.ndarray:
    """Return the class probabilities of a photo.

    Args:
        network: the loaded model.
        config: the model's architecture and preprocessing.
        photo: (H, W, 3) uint8.
        flip: average with the mirrored photo; no effect on a model with a zoomed second pass.
        lap: called with "preprocess" or "network" at the end of that stage.

    Returns:
        (h, w, classes) float32 that sum to 1, for the whole photo: at the size of the network's output, or up to
        `_FINEST` times finer if a pass zoomed in.
    """
    if isinstance(network, TwoPasses):
        return _two_passes(network, config, photo, lap)
    return _one_pass(network, config, _View(network, config, photo), (False, True) if flip else (False,), lap)


def zoom_boxes(probabilities: np.ndarray, background: int, height: int, width: int) -> tuple[Box, ...]:
    """Return the parts of a photo for a zoomed pass: the pets with a margin, together or each by itself.

    Args:
        probabilities: (h, w, C), from a pass over the whole photo.
        background: the class id of the background.
        height, width: of the photo.

    Returns:
        The parts in the photo's pixels, which do not overlap; none if there is no pet, or if the pets fill the photo.
        Several if pets are far from each other, so that each is enlarged more than all of them together would be.
    """
    pets = _pets(probabilities, background)
    if not _has_pets(pets):
        return ()
    together = _box_around(pets, height, width)
    apart = _apart(pets, height, width)
    if 1 < len(apart) <= _MOST_PARTS and sum(map(_area, apart)) <= _APART * _area(together):
        return apart
    return () if _area(together) > _MOST_AREA * height * width else (together,)


def _apart(pets: np.ndarray, height: int, width: int) -> tuple[Box, ...]:
    """Return a box around each pet, or around those together whose boxes overlap."""
    pieces, sizes = labelled(pets)
    large = np.flatnonzero(sizes >= _SPECK * pets.size)
    if not 1 < len(large) <= _MOST_PARTS:
        return ()
    masks = [pieces == number for number in large]
    while True:
        boxes = tuple(_box_around(mask, height, width) for mask in masks)
        pairs = itertools.combinations(range(len(boxes)), 2)
        touching = next(((one, two) for one, two in pairs if _overlap(boxes[one], boxes[two])), None)
        if touching is None:
            return boxes
        one, two = touching
        masks[one] |= masks.pop(two)


def _box_around(pets: np.ndarray, height: int, width: int) -> Box:
    top, bottom = _span(pets.sum(axis=1), height)
    left, right = _span(pets.sum(axis=0), width)
    return Box(top, left, bottom - top, right - left)


def _area(box: Box) -> int:
    return box.height * box.width


def _overlap(one: Box, two: Box) -> bool:
    return (
        one.top < two.top + two.height
        and two.top < one.top + one.height
        and one.left < two.left + two.width
        and two.left < one.left + one.width
    )


class _View:
    """A photo, or a part of one, as a network's input, mirrored or not; prepared on demand."""

    def __init__(self, network: Network, config: UNetConfig, photo: np.ndarray) -> None:
        self._photo, self._config, self._output_size = photo, config, network.output_size

    def input(self, mirrored: bool) -> tuple[np.ndarray, Box]:
        """Return the network's input, and which part of its output shows the photo."""
        if mirrored and (self._config.padding != "same" or self._config.preprocessing.resize != "stretch"):
            # The margins on both sides may differ by a pixel, so mirroring the prepared input would shift the photo.
            return network_input(np.ascontiguousarray(self._photo[:, ::-1]), self._config, self._output_size)
        pixels, box = self._straight
        return (pixels[:, ::-1] if mirrored else pixels), box

    @cached_property
    def _straight(self) -> tuple[np.ndarray, Box]:
        return network_input(self._photo, self._config, self._output_size)


def _one_pass(network: Network, config: UNetConfig, view: _View, mirrorings: Sequence[bool], lap: Lap) -> np.ndarray:
    """Return the mean probabilities over runs on a photo, each mirrored or not."""
    inputs = [view.input(mirrored) for mirrored in mirrorings]
    batch = np.ascontiguousarray(np.stack([pixels for pixels, _ in inputs]), np.float32)
    lap("preprocess")
    output = network.predict(batch)
    lap("network")
    straight = []
    for output_map, (_, box), mirrored in zip(
        class_probabilities(output, config.head_activation), inputs, mirrorings, strict=True
    ):
        part = output_map[box.top : box.top + box.height, box.left : box.left + box.width]
        straight.append(part[:, ::-1] if mirrored else part)
    return straight[0] if len(straight) == 1 else np.mean(straight, axis=0)


def _two_passes(network: TwoPasses, config: UNetConfig, photo: np.ndarray, lap: Lap) -> np.ndarray:
    background = network.background
    whole = _View(network, config, photo)
    first = _one_pass(network.once, config, whole, (False,), lap)
    if parts := zoom_boxes(first, background, *photo.shape[:2]):
        zoomed = _zoomed(network, config, photo, first, parts, True, lap)
        lost = [_is_lost(before, part.found, background) for before, part in zoomed.pairs()]
        third = _one_pass(network.once, config, whole, (True,), lap) if any(lost) else None
        return _without_islands(network, zoomed.blended(third, lost, 1 / 3))
    second = _one_pass(network.once, config, whole, (True,), lap)
    if not (_is_lost(first, second, background) or _is_lost(second, first, background)):
        return _without_islands(network, (first + second) / 2)
    if not _has_pets(_pets(first, background)) and (parts := zoom_boxes(second, background, *photo.shape[:2])):
        zoomed = _zoomed(network, config, photo, first, parts, False, lap)
        return _without_islands(network, zoomed.blended(second, [True] * len(parts), _ZOOMED_SHARE))
    third = _with_surroundings(network, config, photo, first.shape, lap)
    return _without_islands(network, (first + second + third) / 3)


@dataclass(frozen=True)
class _Part:
    """A zoomed pass over one part: the cells of the grid that it covers, and its probabilities there."""

    across: slice
    along: slice
    found: np.ndarray


@dataclass(frozen=True)
class _Zoomed:
    """The first pass on a grid, (rows, columns, C), fine enough for zoomed passes, and these."""

    whole: np.ndarray
    parts: tuple[_Part, ...]

    def pairs(self) -> Iterator[tuple[np.ndarray, _Part]]:
        """Return each part with the first pass there."""
        for part in self.parts:
            yield self.whole[part.across, part.along], part

    def blended(self, other: np.ndarray | None, three: Sequence[bool], share: float) -> np.ndarray:
        """Return the mean of the passes: the first alone outside the parts, and inside them with the zoomed one.

        Args:
            other: (h, w, C), another pass over the whole photo, where there was one.
            three: for each part, whether the other pass counts there, too.
            share: of the zoomed pass in a mean of three, of which the others have equal shares.
        """
        rows, columns, _ = self.whole.shape
        result = self.whole.copy()
        finer = None if other is None else resized(other, rows, columns)
        for (inside, part), of_three in zip(self.pairs(), three, strict=True):
            before, weight = inside, _ZOOMED_SHARE
            if of_three and finer is not None:
                before, weight = (inside + finer[part.across, part.along]) / 2, share
            mean = before + weight * (part.found - before)
            fading = _fading(part.across, rows)[:, None, None] * _fading(part.along, columns)[:, None]
            result[part.across, part.along] += fading * (mean - inside)
        return result


def _zoomed(
    network: TwoPasses,
    config: UNetConfig,
    photo: np.ndarray,
    first: np.ndarray,
    parts: Sequence[Box],
    mirrored: bool,
    lap: Lap,
) -> _Zoomed:
    """Run the network on parts of a photo, in the photo's pixels, enlarged to its input."""
    height, width = photo.shape[:2]
    rows = round(first.shape[0] * min(_FINEST, height / min(part.height for part in parts)))
    columns = round(first.shape[1] * min(_FINEST, width / min(part.width for part in parts)))
    found = []
    for part in parts:
        across, photo_rows = _on_grid(part.top, part.height, height, rows)
        along, photo_columns = _on_grid(part.left, part.width, width, columns)
        view = _View(network, config, photo[photo_rows, photo_columns])
        probabilities = _one_pass(network.once, config, view, (mirrored,), lap)
        size = across.stop - across.start, along.stop - along.start
        found.append(_Part(across, along, resized(probabilities, *size)))
    return _Zoomed(resized(first, rows, columns), tuple(found))


def _with_surroundings(
    network: TwoPasses, config: UNetConfig, photo: np.ndarray, shape: tuple[int, ...], lap: Lap
) -> np.ndarray:
    """Run the network on a photo that is continued by its mirror image on all sides; return (h, w, C) of a shape."""
    margins = [round(_MARGIN * length) for length in photo.shape[:2]]
    around = np.pad(photo, [(margin, margin) for margin in margins] + [(0, 0)], mode="symmetric")
    found = _one_pass(network.once, config, _View(network, config, around), (False,), lap)
    top, left = (
        round(cells * margin / length)
        for cells, margin, length in zip(found.shape[:2], margins, around.shape[:2], strict=True)
    )
    return resized(found[top : found.shape[0] - top, left : found.shape[1] - left], *shape[:2])


def _pets(probabilities: np.ndarray, background: int) -> np.ndarray:
    return probabilities[..., background] < 0.5


def _has_pets(pets: np.ndarray) -> bool:
    return bool(np.count_nonzero(pets) >= _SPECK * pets.size)


def _is_lost(before: np.ndarray, after: np.ndarray, background: int) -> bool:
    """Return whether a pass sees a pet, and another one hardly any of it in the same place."""
    pets = _pets(before, background)
    again = np.count_nonzero(pets & _pets(after, background))
    return _has_pets(pets) and bool(again < _LEAST_AGAIN * np.count_nonzero(pets))


def _fading(part: slice, length: int) -> np.ndarray:
    """Return how much a zoomed pass counts along one side of a part: 1, fading towards the edges.

    At the photo's own edges it does not fade.
    """
    count = part.stop - part.start
    steps = np.arange(count, dtype=np.float32) + 0.5
    fade = max(1.0, _FADE * count)
    before = steps / fade if part.start > 0 else np.full(count, 1, np.float32)
    behind = (count - steps) / fade if part.stop < length else np.full(count, 1, np.float32)
    return np.minimum(1, np.minimum(before, behind))


def _without_islands(network: TwoPasses, probabilities: np.ndarray) -> np.ndarray:
    background = network.background
    pets = probabilities[..., background] < over_classes(np.maximum, probabilities)[..., 0]
    return without_islands(probabilities, pets, background, _ISLAND)


def _on_grid(start: int, count: int, length: int, cells: int) -> tuple[slice, slice]:
    """Widen a range of `length` pixels to whole cells of a grid of `cells`, so that a prediction of it fits the grid.

    Returns:
        The cells, and the pixels that they cover.
    """
    first, last = start * cells // length, -(-(start + count) * cells // length)
    pixels = round(first * length / cells), round(last * length / cells)
    return slice(first, last), slice(pixels[0], max(pixels[0] + 1, pixels[1]))


def _span(counts: np.ndarray, length: int) -> tuple[int, int]:
    """Return the half-open range of the photo's `length` rows that holds nearly all of `counts`, with margin."""
    share = np.cumsum(counts) / counts.sum()
    scale = length / len(counts)
    first = scale * np.searchsorted(share, _OUTLIERS)
    last = scale * (np.searchsorted(share, 1 - _OUTLIERS) + 1)
    margin = _MARGIN * (last - first) + _LEAST_MARGIN * length
    start, end = max(0.0, first - margin), min(float(length), last + margin)
    least = _LEAST_SIDE * length
    if end - start < least:
        start = min(max(0.0, (start + end - least) / 2), length - least)
        end = start + least
    return int(start), min(length, int(np.ceil(end)))
