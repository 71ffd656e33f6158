"""What the parts of the interpreter need of each other."""

from __future__ import annotations

import ast
from typing import Any, Protocol

from unet_core.foreign.graph import Graph
from unet_core.foreign.source.limits import Budget
from unet_core.foreign.source.values import Chain, Function, Instance, Method, Model, Scope


class Raised(Exception):
    """A `raise` of the text, or an error that Python would raise."""


class Work(Protocol):
    """One reading of one text; `interpreter.Interpreter` is it."""

    tree: ast.Module
    size: tuple[int, int] | None
    graph: Graph
    budget: Budget
    models: list[Model]
    instances: list[Instance]
    chains: list[Chain]

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines of the calls that lead to what is done now, outermost first."""
        ...

    def note(self, text: str) -> None:
        """Note what cannot be read, at the current line."""
        ...

    def items(self, value: Any) -> list[Any] | None:
        """Return what a loop over a value goes through, None if that is not known."""
        ...

    def truth(self, value: Any) -> bool | None:
        """Return whether a value is true, None if that is not known."""
        ...

    def value(self, node: ast.expr, scope: Scope) -> Any:
        """Return the value of an expression."""
        ...

    def call(self, function: Any, arguments: list[Any], keywords: dict[str, Any], words: str) -> Any:
        """Return what a call returns; `words` is the function as it is written."""
        ...

    def enter(self, function: Function, names: dict[str, Any]) -> Any:
        """Carry out a function's body with its arguments, and return what it returns."""
        ...

    def method(self, instance: Instance, name: str) -> Method | None:
        """Return a method of an object, None if its class has none in the text."""
        ...
