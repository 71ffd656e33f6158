"""The values of interpreted source, beside Python's own numbers, texts, lists, tuples, sets and dictionaries."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from unet_core.foreign.graph import Layer, Node, Tensor


@dataclass(frozen=True)
class Unknown:
    """A value that is not known, and why."""

    why: str = ""


@dataclass(frozen=True)
class Reference:
    """Something that was imported, by its dotted path: a module, function or class of a library."""

    path: str

    @property
    def tail(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


@dataclass(eq=False)
class Scope:
    """Names and their values; what is not found here is looked up in the enclosing scope."""

    parent: Scope | None = None
    names: dict[str, Any] = field(default_factory=dict)
    is_class: bool = False
    elsewhere: dict[str, Scope] = field(default_factory=dict)  # names declared global or nonlocal

    def find(self, name: str) -> Scope | None:
        """Return the scope that has a name; class bodies are not seen from their methods."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and (scope is self or not scope.is_class):
                return scope
            scope = scope.parent
        return None

    def top(self) -> Scope:
        """Return the module's scope."""
        return self if self.parent is None else self.parent.top()


@dataclass(eq=False)
class Function:
    """A function or lambda of the source."""

    name: str
    arguments: ast.arguments
    body: list[ast.stmt] | ast.expr
    scope: Scope
    defaults: list[Any]
    keyword_defaults: list[Any]
    line: int
    owner: Class | None = None  # the class that it is a method of
    is_static: bool = False
    is_property: bool = False


@dataclass(eq=False)
class Class:
    """A class of the source."""

    name: str
    bases: list[Any]
    names: dict[str, Any]
    line: int

    def find(self, name: str) -> Any:
        """Return a name from this class or its bases, None if there is none."""
        for one in self.family():
            if name in one.names:
                return one.names[name]
        return None

    def family(self, depth: int = 0) -> Iterator[Class]:
        """Yield this class and those of the source that it derives from."""
        yield self
        if depth < 20:
            for base in self.bases:
                if isinstance(base, Class):
                    yield from base.family(depth + 1)

    @property
    def library_base(self) -> str:
        """The class of Keras that it derives from, "" if there is none."""
        for one in self.family():
            for base in one.bases:
                if isinstance(base, Reference) and base.tail in (
                    "Model",
                    "Layer",
                    "Module",
                    "Sequential",
                    "Functional",
                ):
                    return base.tail
        return ""


@dataclass(eq=False)
class Instance:
    """An object of a class of the source."""

    kind: Class
    names: dict[str, Any] = field(default_factory=dict)
    is_built: bool = False
    outputs: list[Tensor] = field(default_factory=list)  # of its last call
    model: Model | None = None  # of a functional model that is built in its constructor


@dataclass(eq=False)
class Method:
    """A function bound to an object."""

    function: Function
    instance: Instance


@dataclass(eq=False)
class Super:
    """The bases of an object's class, from one class on."""

    instance: Instance
    below: Class | None


@dataclass(eq=False)
class Native:
    """A function that is carried out here."""

    name: str
    run: Callable[..., Any]


@dataclass(eq=False)
class Partial:
    """A callable with some of its arguments."""

    function: Any
    arguments: list[Any]
    keywords: dict[str, Any]


@dataclass(eq=False)
class Model:
    """A functional model: what lies between its inputs and outputs."""

    inputs: list[Tensor]
    outputs: Any  # as it was given: a tensor, a list or a dictionary
    name: str


@dataclass(eq=False)
class Chain:
    """A Sequential model."""

    items: list[Any]
    name: str


@dataclass(eq=False)
class Used:
    """A layer of a model, as `get_layer` returns it."""

    node: Node


@dataclass(eq=False)
class LambdaLayer:
    """A Lambda layer."""

    function: Any


Callables = (Function, Class, Method, Native, Partial, Reference, Layer, Model, Chain, LambdaLayer, Instance)


def tensors_in(value: Any, depth: int = 0) -> list[Tensor]:
    """Return the tensors in a value and the lists, tuples and dictionaries that it contains."""
    if isinstance(value, Tensor):
        return [value]
    if depth > 3:
        return []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for part in value[:200] for tensor in tensors_in(part, depth + 1)]
    return []
