"""A network that was read from somewhere: its layers with shapes and parameters, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from unet_core.foreign.mismatch import Dims


@dataclass(frozen=True)
class Note:
    """Something about one line: what cannot be read, or what was assumed. Line 0 is no line."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


@dataclass(frozen=True)
class ReadLayer:
    """One use of a layer.

    Attributes:
        name: as Keras names it; a number follows for a layer that is used again.
        kind: its Keras class.
        label: its arguments in words.
        inputs: names of the layers whose outputs it takes.
        input_shapes: their shapes.
        output_shape: (height, width, channels), None where nothing is known of it.
        params: its parameters, 0 where it is used again, None where they are not known.
        lines: of the source, from the outermost call to the innermost; empty if there is no source.
    """

    name: str
    kind: str
    label: str
    inputs: tuple[str, ...]
    input_shapes: tuple[Dims | None, ...]
    output_shape: Dims | None
    params: int | None
    lines: tuple[int, ...] = ()

    @property
    def line(self) -> int:
        """The innermost line, 0 if there is no source."""
        return self.lines[-1] if self.lines else 0


@dataclass(frozen=True)
class Failure:
    """The layer that refuses its inputs: why, what to change, and the input sizes that work."""

    layer: str
    kind: str
    inputs: tuple[str, ...]
    shapes: tuple[Dims, ...]
    why: str
    changes: tuple[str, ...]
    lines: tuple[int, ...] = ()
    suggested_sizes: tuple[tuple[int, int], ...] = ()

    @property
    def line(self) -> int:
        """The innermost line, 0 if there is no source."""
        return self.lines[-1] if self.lines else 0


@dataclass(frozen=True)
class ReadNetwork:
    """The layers in their order, complete if nothing failed and nothing is unread.

    Attributes:
        title: what it was read from, or the model's name.
        layers: in the order in which they are applied.
        outputs: names of the layers that the network ends with.
        failure: the layer that breaks, after which reading stopped.
        unread: what could not be read.
        assumed: what was not given, and taken to be.
    """

    title: str
    layers: tuple[ReadLayer, ...]
    outputs: tuple[str, ...] = ()
    failure: Failure | None = None
    unread: tuple[Note, ...] = ()
    assumed: tuple[Note, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, ReadLayer]:
        """The layers by their names."""
        return {layer.name: layer for layer in self.layers}

    @property
    def inputs(self) -> tuple[ReadLayer, ...]:
        """The layers that take photos."""
        return tuple(layer for layer in self.layers if layer.kind == "InputLayer")

    @property
    def output_shapes(self) -> tuple[Dims | None, ...]:
        """Shapes of the outputs."""
        return tuple(self.by_name[name].output_shape for name in self.outputs if name in self.by_name)

    @property
    def total_params(self) -> int:
        """Parameters of all layers whose parameters are known."""
        return sum(layer.params or 0 for layer in self.layers)

    @property
    def params_known(self) -> bool:
        """Whether the parameters of every layer are known."""
        return all(layer.params is not None for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        failure = self.failure
        return {
            "title": self.title,
            "output_shapes": self.output_shapes,
            "total_params": self.total_params,
            "params_known": self.params_known,
            "problem": None
            if failure is None
            else {
                "layer": failure.layer,
                "line": failure.line or None,
                "shapes": failure.shapes,
                "why": failure.why,
                "changes": failure.changes,
                "suggested_sizes": failure.suggested_sizes,
            },
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "arguments": layer.label,
                    "line": layer.line or None,
                    "inputs": layer.inputs,
                    "output_shape": layer.output_shape,
                    "params": layer.params,
                }
                for layer in self.layers
            ],
            "unread": [str(note) for note in self.unread],
            "assumed": [str(note) for note in self.assumed],
        }
