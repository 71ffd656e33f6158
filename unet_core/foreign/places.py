"""Where in a configured network an error arises: the input sizes at which a layer fails with exactly these shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unet_core.architecture.config import MAX_SIDE, UNetConfig
from unet_core.architecture.presets import PRESETS
from unet_core.architecture.trace import Problem, trace
from unet_core.architecture.tracer import Shape, ShapeBreak, Tracer
from unet_core.architecture.walk import walk
from unet_core.foreign.messages.message import ErrorMessage
from unet_core.foreign.mismatch import Dims

MAX_PLACES = 4
_MAX_TRIES = 160  # sizes that are traced for one network and level


@dataclass(frozen=True)
class Place:
    """A network that fails with a message's shapes.

    Attributes:
        network: its title.
        config: it, with the input size at which it fails.
        problem: the layer, why, and the sizes that work.
        sizes: all input heights (of square inputs) that fail in this way, smallest first.
    """

    network: str
    config: UNetConfig
    problem: Problem
    sizes: tuple[int, ...]


def known_networks(own: UNetConfig | None = None) -> dict[str, UNetConfig]:
    """Return the networks to search by title: the own one first, each preset, and those that crop also without it."""
    found = {"Your network": own} if own is not None else {}
    for preset in PRESETS.values():
        if preset.config.skip_mode == "crop":
            strict = preset.config.replace(skip_mode="strict")
            found[f"{preset.title}, without cropping"] = strict
        else:
            found[preset.title] = preset.config
    return found


def find_places(message: ErrorMessage, networks: Mapping[str, UNetConfig]) -> tuple[Place, ...]:
    """Return the networks in which a layer fails with exactly the message's shapes; empty if none is known to."""
    if message.kind not in ("merge", "too_small") or not message.shapes:
        return ()
    if any(len(shape) != 3 or None in shape for shape in message.shapes):
        return ()
    found: list[Place] = []
    for name, config in networks.items():
        place = _place(name, config, message.shapes)
        if place is not None and all(place.problem != other.problem for other in found):
            found.append(place)
        if len(found) == MAX_PLACES:
            break
    return tuple(found)


def _place(name: str, config: UNetConfig, shapes: tuple[Dims, ...]) -> Place | None:
    """Return where and at which sizes the network fails with these shapes, None if it does not."""
    if not _may_have(config, shapes):
        return None
    sizes = [size for size in _sizes(config, shapes) if _same(_failing_shapes(config, size), shapes)]
    if not sizes:
        return None
    failing = config.replace(height=sizes[0][0], width=sizes[0][1])
    problem = trace(failing, with_receptive_field=False).problem
    return Place(name, failing, problem, tuple(sorted({height for height, _ in sizes}))) if problem else None


def _may_have(config: UNetConfig, shapes: tuple[Dims, ...]) -> bool:
    """Return whether a network has maps with these channels, which saves the search in most."""
    aligned = config if config.skip_mode == "none" else config.replace(skip_mode="crop")
    traced = trace(aligned, with_receptive_field=False)
    return not traced.valid or {shape[2] for shape in shapes} <= {layer.output_shape[2] for layer in traced.layers}


def _failing_shapes(config: UNetConfig, size: tuple[int, int]) -> tuple[Shape, ...]:
    """Return the shapes at the layer that fails, none if the network works."""
    tracer = Tracer(config, size, with_receptive_field=False, keep_rows=False)
    try:
        walk(config, tracer, tracer.input())
    except ShapeBreak as broken:
        return broken.shapes
    return ()


def _sizes(config: UNetConfig, shapes: tuple[Dims, ...]) -> Iterator[tuple[int, int]]:
    """Yield input sizes that may make a map of the larger shape, level by level; the own size first."""
    largest = max(shapes, key=lambda shape: (shape[0] or 0, shape[1] or 0))
    height, width = largest[0] or 1, largest[1] or 1
    yield config.height, config.width
    for level in range(config.depth + 1):
        step = 2**level
        # With valid padding a map has lost a border before: twice the border of all levels above it.
        border = 4 * config.encoder_convolutions * (config.kernel_size - 1) * step if config.loses_border else 0
        # A pretrained encoder rounds up, so the upsampled map may be the larger one.
        before = 2 * step - 1 if config.encoder != "none" else 0
        for more in range(-before, min(step + border, _MAX_TRIES)):
            rows, columns = height * step + more, width * step + more
            if min(rows, columns) >= 1 and max(rows, columns) <= MAX_SIDE and (height == width or more < step):
                yield rows, columns


def _same(found: tuple[Shape, ...], wanted: tuple[Dims, ...]) -> bool:
    """Return whether these are the wanted shapes: both in any order, or the one whose window is too large."""
    if not found:
        return False
    return sorted(found) == sorted(wanted) if len(wanted) == 2 else found[0] == wanted[0]
