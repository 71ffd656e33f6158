"""The values of a mask: packed colours, black and white with soft edges, and the mapping to class ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from unet_core.images.decode import MaskImage
from unet_core.images.render import Colour

SPLIT_LEVEL = 128  # in a black-and-white mask with soft edges, pixels from this level on are white
_STRIP_VALUES = 1_000_000  # counted or mapped at a time: NumPy needs eight bytes for each meanwhile
_CLEAR = 32  # a pixel within this many levels of black or white counts as black or white
_CLEAR_SHARE = 0.9  # share of such pixels in a smoothed black-and-white mask


def packed(colour: Colour) -> int:
    """Return a colour as 0xRRGGBB."""
    return int.from_bytes(bytes(colour))


def unpacked(code: int) -> Colour:
    """Return the colour that 0xRRGGBB stands for."""
    return code >> 16 & 255, code >> 8 & 255, code & 255


def hexadecimal(code: int) -> str:
    """Write 0xRRGGBB as "#rrggbb"."""
    return f"#{code:06x}"


def full_palette(palette: tuple[int, ...] | None) -> np.ndarray:
    """Return the colour 0xRRGGBB of every index, (256,) uint32; unused indices are black."""
    colours = np.zeros(256, np.uint32)
    colours[: len(palette or ())] = palette or ()
    return colours


def as_colours(mask: MaskImage) -> np.ndarray:
    """Return a mask's colours 0xRRGGBB, (H, W) uint32, whatever its kind."""
    if mask.kind == "colour":
        return mask.values
    if mask.kind == "palette":
        return full_palette(mask.palette)[mask.values]
    grey = mask.values.astype(np.uint32) * (255 if mask.kind == "bit" else 1)
    return grey << 16 | grey << 8 | grey


def value_counts(values: np.ndarray, most: int = 1 << 24) -> tuple[np.ndarray, np.ndarray]:
    """Count a mask's distinct values.

    Args:
        values: uint8, uint16, or colours 0xRRGGBB as uint32; of any shape.
        most: stop as soon as there are more distinct values, and return those found so far.

    Returns:
        The values in order and how many pixels have each, both int64.
    """
    codes, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for strip in _strips(values):
        found, pixels = _counted(strip)
        codes, places = np.unique(np.concatenate([codes, found]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([counts, pixels]), len(codes)).astype(np.int64)
        if len(codes) > most:
            break
    return codes, counts


def _counted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if values.dtype != np.uint32:
        histogram = np.bincount(values)
        codes = np.flatnonzero(histogram)
        return codes, histogram[codes]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))  # masks have long runs of one colour
    lengths = np.diff(np.append(starts, len(values)))
    codes, places = np.unique(values[starts], return_inverse=True)
    return codes.astype(np.int64), np.bincount(places, lengths)


def _strips(values: np.ndarray) -> Iterator[np.ndarray]:
    flat = values.reshape(-1)
    for first in range(0, len(flat), _STRIP_VALUES):
        yield flat[first : first + _STRIP_VALUES]


def soft_levels(levels: Iterable[int]) -> list[int]:
    """Return the levels that are neither nearly black nor nearly white."""
    return [level for level in levels if _CLEAR < level < 255 - _CLEAR]


def is_nearly_black_and_white(pixels: Mapping[int, int]) -> bool:
    """Whether nearly all pixels, counted by level, are almost black or almost white, and both occur."""
    if max(pixels) > 255:
        return False
    dark = sum(count for level, count in pixels.items() if level <= _CLEAR)
    bright = sum(count for level, count in pixels.items() if level >= 255 - _CLEAR)
    return dark > 0 and bright > 0 and dark + bright >= _CLEAR_SHARE * sum(pixels.values())


def class_ids(values: np.ndarray, ids: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Map a mask's unsigned values to class ids by the table `ids`.

    Returns:
        The ids, uint8, and whether the value is in the table, bool; both of the values' shape.
    """
    known = np.array(sorted(ids), np.int64)
    numbers = np.array([ids[value] for value in sorted(ids)], np.uint8)
    if values.dtype == np.uint8:  # a table is several times faster than a search
        table, valid = np.zeros(256, np.uint8), np.zeros(256, bool)
        small = known < 256
        table[known[small]], valid[known[small]] = numbers[small], True
        return table[values], valid[values]
    found, valid = np.empty(values.shape, np.uint8), np.empty(values.shape, bool)
    for strip, into, is_known in zip(_strips(values), _strips(found), _strips(valid)):
        places = np.searchsorted(known, strip).clip(max=len(known) - 1)
        into[:], is_known[:] = numbers[places], known[places] == strip
    return found, valid
