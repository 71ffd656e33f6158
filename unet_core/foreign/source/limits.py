"""What interpreting a text may cost: steps, time, the depth of calls, the size of values."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MAX_STEPS = 150_000
MAX_SECONDS = 3.0
MAX_CALLS = 24  # inside one another
MAX_ITEMS = 10_000  # of a list, or characters of a text
MAX_MADE = 2_000_000  # items of all lists
MAX_NUMBER = 2**53
MAX_COMPARED = 500  # values in a container that is compared or written


class Stopped(Exception):
    """Interpreting was stopped: the text needs more than is allowed."""


@dataclass
class Budget:
    """What is left of the limits."""

    steps: int = MAX_STEPS
    made: int = MAX_MADE
    ends: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    def step(self) -> None:
        """Count one step.

        Raises:
            Stopped: there were too many, or they took too long.
        """
        self.steps -= 1
        if self.steps < 0:
            raise Stopped(f"it takes more than {MAX_STEPS} steps")
        if self.steps % 1000 == 0 and time.monotonic() > self.ends:
            raise Stopped(f"it takes more than {MAX_SECONDS:g} seconds")

    def make(self, count: int) -> None:
        """Count the items of a new container or text.

        Raises:
            Stopped: it is too large, or all together are.
        """
        self.made -= count
        if count > MAX_ITEMS or self.made < 0:
            raise Stopped(f"it makes lists of more than {MAX_ITEMS} items")


def is_small(value: Any) -> bool:
    """Return whether a value is plain and can be compared or written in no time."""
    left = MAX_COMPARED
    waiting = [value]
    while waiting:
        left -= 1
        if left < 0:
            return False
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.keys())
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple, set, frozenset)):
            if len(one) > left:
                return False
            waiting.extend(one)
        elif not (one is None or isinstance(one, (int, float, str, bool))):
            return False
    return True


def checked(value: Any) -> Any:
    """Return a number or text unless it is too large.

    Raises:
        Stopped: it is.
    """
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise Stopped("it computes numbers that are too large")
    if isinstance(value, (str, list, tuple)) and len(value) > MAX_ITEMS:
        raise Stopped(f"it makes lists or texts of more than {MAX_ITEMS} items")
    return value


def are_small(values: Iterable[Any]) -> bool:
    """Return whether all values are small."""
    return all(map(is_small, values))
