"""The five operations on a feature map, with their names and colours."""

from __future__ import annotations

from typing import NamedTuple


class Operation(NamedTuple):
    """One kind of arrow: `key`, its name, and its colour on a light and a dark background."""

    key: str
    name: str
    light: str
    dark: str


# Distinguishable with every common colour vision deficiency (CIEDE2000 above 12), 3:1 contrast with the background.
CONV = Operation("conv", "convolution", "#1f66c1", "#4f9df5")
POOL = Operation("pool", "pooling", "#d55e00", "#f59a3c")
UP = Operation("up", "up-convolution", "#1b9e63", "#2fd0a0")
SKIP = Operation("skip", "skip connection", "#7b8992", "#83919a")
ONE = Operation("one", "1×1 convolution", "#7a1f6e", "#efb0e6")

OPERATIONS: dict[str, Operation] = {operation.key: operation for operation in (CONV, POOL, UP, SKIP, ONE)}
