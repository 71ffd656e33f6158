"""The U in a network that was read: its levels, its blocks and its skip connections."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from unet_core.foreign.mismatch import Dims
from unet_core.foreign.network import ReadLayer, ReadNetwork

_RESIZES = (
    "Conv2D", "SeparableConv2D", "DepthwiseConv2D", "Conv2DTranspose", "MaxPooling2D", "AveragePooling2D",
    "UpSampling2D", "Resizing", "Resize",
)  # fmt: skip
_MERGES = ("Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
MERGES = frozenset(_MERGES)
_ALIGNMENTS = ("Cropping2D", "CenterCrop", "Slice", "ZeroPadding2D", "Pad")


@dataclass(frozen=True)
class Block:
    """Layers that follow each other at one level.

    Attributes:
        level: how often the input was halved, 0 at its own size.
        part: "input", "encoder", "bottleneck", "decoder" or "head" (layers after the last merge at full size).
        layers: in their order.
    """

    level: int
    part: str
    layers: tuple[ReadLayer, ...]

    @property
    def output_shape(self) -> Dims | None:
        """Shape of the last feature map."""
        maps = [
            layer.output_shape
            for layer in self.layers
            if layer.output_shape and len(layer.output_shape) == 3 and layer.kind not in ("ZeroPadding2D", "Pad")
        ]
        return maps[-1] if maps else self.layers[-1].output_shape

    @property
    def title(self) -> str:
        """What it is: "Encoder 2"."""
        number = f" {self.level + 1}" if self.part in ("encoder", "decoder") else ""
        return f"{self.part.capitalize()}{number}"

    @property
    def params(self) -> int:
        """Parameters that are known."""
        return sum(layer.params or 0 for layer in self.layers)


@dataclass(frozen=True)
class Skip:
    """A connection between two blocks that do not follow each other, by their places, and the layer that merges."""

    source: int
    target: int
    merge: str


@dataclass(frozen=True)
class UShape:
    """The blocks in their order and the connections across."""

    blocks: tuple[Block, ...]
    skips: tuple[Skip, ...]

    @property
    def depth(self) -> int:
        """Number of levels."""
        return max((block.level for block in self.blocks), default=0) + 1

    @property
    def is_u(self) -> bool:
        """Whether it goes down and up again, with at least one connection across from an upper level."""
        levels = [block.level for block in self.blocks]
        return self.depth > 1 and levels[-1] < max(levels) and any(self._crosses(skip) for skip in self.skips)

    def _crosses(self, skip: Skip) -> bool:
        between = self.blocks[skip.source + 1 : skip.target]
        return any(block.level > self.blocks[skip.target].level for block in between)


def find_u(network: ReadNetwork) -> UShape:
    """Group a network's layers into blocks by level and merge, and find its skip connections.

    Of several outputs the largest map counts, and of equal ones that of most layers: what only another one needs is not
    in the U.
    """
    network = replace(network, layers=_behind_main_output(network))
    levels = _levels(network)
    groups = _groups(network, levels)
    place = {layer.name: number for number, (_, layers) in enumerate(groups) for layer in layers}
    deepest = max((level for level, _ in groups), default=0)
    bottom = next((number for number, (level, _) in enumerate(groups) if level == deepest), 0)
    last = len(groups) - 1
    blocks = tuple(
        Block(level, _part(number, level, layers, bottom, last, deepest), tuple(layers))
        for number, (level, layers) in enumerate(groups)
    )
    skips = [
        Skip(place[source], place[layer.name], layer.name)
        for layer in network.layers
        if layer.kind in MERGES
        for source in (_origin(network, name) for name in layer.inputs)
        if source in place and place[layer.name] - place[source] > 1
    ]
    return UShape(blocks, tuple(dict.fromkeys(skips)))


def _behind_main_output(network: ReadNetwork) -> tuple[ReadLayer, ...]:
    """Return the layers that the main output is computed from; all of them if there is just one output."""
    ends = [network.by_name[name] for name in network.outputs if name in network.by_name]
    if len(ends) < 2:
        return network.layers
    behind = [(_area(end), _needed_by(network, end)) for end in ends]
    _, needed = max(behind, key=lambda found: (found[0], len(found[1])))
    return tuple(layer for layer in network.layers if layer.name in needed)


def _area(layer: ReadLayer) -> int:
    return math.prod(side or 0 for side in (layer.output_shape or (0,))[:2])


def _needed_by(network: ReadNetwork, end: ReadLayer) -> set[str]:
    waiting, needed = [end.name], set[str]()
    while waiting:
        name = waiting.pop()
        if name in network.by_name and name not in needed:
            needed.add(name)
            waiting += network.by_name[name].inputs
    return needed


def _origin(network: ReadNetwork, name: str) -> str:
    """Return the layer whose map a merge gets, before it was cropped or padded to fit."""
    layer = network.by_name.get(name)
    while layer is not None and layer.kind in _ALIGNMENTS and layer.inputs:
        name = layer.inputs[0]
        layer = network.by_name.get(name)
    return name


def _levels(network: ReadNetwork) -> dict[str, int]:
    """Return how often the input was halved before the end of each layer."""
    levels: dict[str, int] = {}
    for layer in network.layers:
        before = [levels[name] for name in layer.inputs if name in levels]
        level = max(before, default=0) if layer.kind not in MERGES else min(before, default=0)
        if layer.kind in _RESIZES and layer.input_shapes:
            level += _halvings(layer.input_shapes[0], layer.output_shape)
        levels[layer.name] = max(level, 0)
    return levels


def _halvings(before: Dims | None, after: Dims | None) -> int:
    """Return how often a layer halves its map; negative if it doubles it."""
    if not before or not after or len(before) != 3 or len(after) != 3 or not before[0] or not after[0]:
        return 0
    return round(math.log2(before[0] / after[0]))


def _groups(network: ReadNetwork, levels: dict[str, int]) -> list[tuple[int, list[ReadLayer]]]:
    """Return runs of layers of one level; an upsampling or a merge across begins another."""
    groups: list[tuple[int, list[ReadLayer]]] = []
    place: dict[str, int] = {}
    for layer in network.layers:
        level = levels[layer.name]
        is_new = not groups or groups[-1][0] != level or groups[-1][1][-1].kind == "InputLayer"
        if is_new:
            groups.append((level, []))
        groups[-1][1].append(layer)
        place[layer.name] = len(groups) - 1
    return groups


def _part(number: int, level: int, layers: list[ReadLayer], bottom: int, last: int, deepest: int) -> str:
    if all(layer.kind == "InputLayer" for layer in layers):
        return "input"
    if level == deepest and number == bottom and deepest:
        return "bottleneck"
    return "encoder" if number < bottom else "decoder"
