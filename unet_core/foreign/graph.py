"""A network while it is read: layers are applied to tensors, and every use is recorded as a node."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from unet_core.foreign.layer_rules import ALIASES, Outcome, ShapeMismatch, Unreadable, outcome
from unet_core.foreign.mismatch import Dims, Reason
from unet_core.foreign.network import Failure, Note, ReadLayer, ReadNetwork

MAX_LAYERS = 3_000


class TooLarge(Exception):
    """More layers than are read."""


class Broken(Exception):
    """A layer that refused its inputs; reading stops there."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.why)
        self.failure = failure


@dataclass(eq=False)
class Layer:
    """A layer with its arguments; it keeps its parameters when it is used again."""

    kind: str
    name: str
    arguments: dict[str, Any]
    uses: int = 0
    channels: int | None = None  # of the input that its weights were made for
    problem: str = ""  # why its output is not known


@dataclass(eq=False)
class Node:
    """One use of a layer."""

    layer: Layer
    name: str
    inputs: tuple[Tensor, ...]
    result: Outcome
    lines: tuple[int, ...]


@dataclass(eq=False)
class Tensor:
    """The output of a node; its shape is without the batch, None where it is not known."""

    node: Node

    @property
    def shape(self) -> Dims | None:
        return self.node.result.shape


_WEIGHTED = {"Conv2D", "Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D", "Dense", "BatchNormalization"}


@dataclass(eq=False)
class Graph:
    """The nodes in the order of their use, and what could not be read."""

    nodes: list[Node] = field(default_factory=list)
    unread: list[Note] = field(default_factory=list)
    assumed: list[Note] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)

    def auto_name(self, kind: str) -> str:
        """Return the name that Keras gives to the next layer of a class."""
        prefix = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
        prefix = re.sub("([a-z])([A-Z])", r"\1_\2", prefix).lower()
        self.names[prefix] += 1
        count = self.names[prefix]
        return prefix if count == 1 else f"{prefix}_{count - 1}"

    def layer(self, kind: str, arguments: dict[str, Any]) -> Layer:
        """Make a layer."""
        kind = ALIASES.get(kind, kind)
        name = arguments.get("name")
        return Layer(kind, name[:80] if isinstance(name, str) and name else self.auto_name(kind), arguments)

    def input(self, shape: Dims | None, lines: tuple[int, ...], name: str | None = None) -> Tensor:
        """Add an input."""
        return self.add(Layer("InputLayer", name or self.auto_name("InputLayer"), {}), (), Outcome(shape), lines)

    def apply(self, layer: Layer, inputs: Sequence[Tensor], lines: tuple[int, ...]) -> Tensor:
        """Use a layer.

        Raises:
            Broken: it refuses these inputs.
            TooLarge: there are too many layers.
        """
        shapes = [tensor.shape for tensor in inputs]
        try:
            found = outcome(layer.kind, layer.arguments, shapes)
            self._check_reuse(layer, shapes)
        except Unreadable as problem:
            self.note(lines, f"{layer.name}: {problem}")
            found = Outcome(None, None)
        except ShapeMismatch as problem:
            names = tuple(tensor.node.name for tensor in inputs)
            raise Broken(
                Failure(
                    layer.name, layer.kind, names, problem.shapes, problem.reason.why, problem.reason.changes, lines
                )
            ) from None
        return self.add(layer, tuple(inputs), found, lines)

    def unknown(self, kind: str, inputs: Sequence[Tensor], why: str, lines: tuple[int, ...]) -> Tensor:
        """Add an operation that cannot be read, and note why."""
        self.note(lines, why)
        return self.add(Layer(kind, self.auto_name(kind), {}), tuple(inputs), Outcome(None, None), lines)

    def note(self, lines: tuple[int, ...], text: str) -> None:
        """Note what cannot be read."""
        note = Note(lines[-1] if lines else 0, text)
        if note not in self.unread:
            self.unread.append(note)

    def assume(self, line: int, text: str) -> None:
        """Note what was taken to be."""
        note = Note(line, text)
        if note not in self.assumed:
            self.assumed.append(note)

    def _check_reuse(self, layer: Layer, shapes: Sequence[Dims | None]) -> None:
        """Break if a layer with weights gets other channels than those that it was made for."""
        shape = shapes[0]
        if layer.kind not in _WEIGHTED or not shape or shape[-1] is None:
            return
        if layer.channels is not None and layer.channels != shape[-1]:
            reason = Reason(
                f"{layer.name} is used twice: its weights were made for {layer.channels} channels, and here it gets "
                f"{shape[-1]}.",
                ("Make one layer for each place, or give both maps the same number of channels.",),
            )
            raise ShapeMismatch(reason, (shape,))
        layer.channels = shape[-1]

    def add(self, layer: Layer, inputs: tuple[Tensor, ...], found: Outcome, lines: tuple[int, ...]) -> Tensor:
        """Add a use of a layer whose result is known.

        Raises:
            TooLarge: there are too many layers.
        """
        if len(self.nodes) >= MAX_LAYERS:
            raise TooLarge(f"the network has more than {MAX_LAYERS} layers")
        layer.uses += 1
        node = Node(layer, _use_name(layer, layer.uses), inputs, found, lines)
        self.nodes.append(node)
        return Tensor(node)

    def network(
        self, title: str, outputs: Iterable[Tensor] = (), failure: Failure | None = None, keep_all: bool = False
    ) -> ReadNetwork:
        """Return the layers that lead to the outputs, or with `keep_all` every one."""
        ends = list(outputs)
        kept = {id(node) for node in self.nodes} if keep_all or not ends else _leading_to(ends)
        names: dict[int, str] = {}
        layers: list[ReadLayer] = []
        uses: Counter[int] = Counter()
        for node in self.nodes:
            if id(node) in kept:
                uses[id(node.layer)] += 1
                names[id(node)] = _use_name(node.layer, uses[id(node.layer)])
                layers.append(_read(node, names, is_first=uses[id(node.layer)] == 1))
        outputs_of = tuple(dict.fromkeys(names[id(tensor.node)] for tensor in ends))
        return ReadNetwork(title, tuple(layers), outputs_of, failure, tuple(self.unread), tuple(self.assumed))


def _use_name(layer: Layer, use: int) -> str:
    """Return the name of one use of a layer."""
    return layer.name if use == 1 else f"{layer.name} (use {use})"


def _leading_to(ends: Sequence[Tensor]) -> set[int]:
    found: set[int] = set()
    waiting = [tensor.node for tensor in ends]
    while waiting:
        node = waiting.pop()
        if id(node) not in found:
            found.add(id(node))
            waiting.extend(tensor.node for tensor in node.inputs)
    return found


def _read(node: Node, names: dict[int, str], is_first: bool) -> ReadLayer:
    """Return one use of a layer; its parameters count at the first."""
    result = node.result
    return ReadLayer(
        names[id(node)], node.layer.kind, result.label, tuple(names[id(tensor.node)] for tensor in node.inputs),
        tuple(tensor.shape for tensor in node.inputs), result.shape,
        result.params if is_first or result.params is None else 0, node.lines,
    )  # fmt: skip
