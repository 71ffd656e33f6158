"""Random choices that are the same on every machine and with every version of Python and NumPy."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """A series of random choices that depends only on its seed, index and purpose.

    Only `random.Random.random` is used because it alone is promised to stay the same; it is also ten times faster than
    NumPy's generators for one number at a time.
    """

    def __init__(self, seed: int, index: int, purpose: str = "") -> None:
        self._random = random.Random(f"{seed}:{index}{purpose}").random

    def happens(self, probability: float) -> bool:
        """Return True with `probability`."""
        return self._random() < probability

    def between(self, low: float, high: float) -> float:
        """Return a uniformly distributed number between `low` and `high`."""
        return low + (high - low) * self._random()

    def around(self, centre: float, spread: float) -> float:
        """Return a normally distributed number, at most 2.5 standard deviations (`spread`) from `centre`."""
        radius = math.sqrt(-2 * math.log(1 - self._random()))
        return centre + spread * max(-2.5, min(2.5, radius * math.cos(2 * math.pi * self._random())))

    def count(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, inclusive."""
        return low + int((high - low + 1) * self._random())

    def side(self) -> float:
        """Return −1 or 1."""
        return -1.0 if self._random() < 0.5 else 1.0

    def choice(self, things: Sequence[T]) -> T:
        """Return one of `things`."""
        return things[int(len(things) * self._random())]

    def weighted(self, things: dict[T, float]) -> T:
        """Return one of the keys, weighted by the values."""
        left = sum(things.values()) * self._random()
        *others, last = things
        for thing in others:
            left -= things[thing]
            if left < 0:
                return thing
        return last
