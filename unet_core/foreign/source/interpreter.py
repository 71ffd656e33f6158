"""Statements and expressions: what Python would do with them, within limits, and without running anything.

A value that cannot be read is `Unknown`; what is computed from it is unknown too. Only where a network depends on it,
a note says so. Calls are in `calls`, Python's own functions in `natives`, those of Keras in `keras_calls`.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from unet_core.foreign.graph import Graph, Tensor
from unet_core.foreign.source import calls, guesses, natives
from unet_core.foreign.source.limits import MAX_CALLS, Budget, Stopped, are_small, checked, is_small
from unet_core.foreign.source.values import (
    Chain,
    Class,
    Function,
    Instance,
    Method,
    Model,
    Reference,
    Scope,
    Unknown,
)
from unet_core.foreign.source.work import Raised


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Interpreter:
    """One reading of one text.

    Args:
        tree: the parsed text.
        size: height and width of every input, instead of the text's own.
    """

    def __init__(self, tree: ast.Module, size: tuple[int, int] | None = None) -> None:
        self.tree, self.size = tree, size
        self.graph, self.budget = Graph(), Budget()
        self.module = Scope(names={"__name__": "__main__"})
        self.frames: list[int] = []  # lines of the calls that lead here
        self.line = 0
        self.models: list[Model] = []
        self.instances: list[Instance] = []  # of the text's own models and layers
        self.chains: list[Chain] = []
        self.has_star = False  # whether `from … import *` occurs
        self.called: set[str] = set()  # functions of the text that were called

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines of the calls that lead to what is done now, outermost first."""
        return (*self.frames, self.line)

    def run(self) -> None:
        """Carry out the module.

        Raises:
            Stopped: it needs more than is allowed.
            Broken: a layer refuses its inputs.
        """
        try:
            self.block(self.tree.body, self.module)
        except (_Return, _Break, _Continue):
            pass
        except Raised as error:
            self.graph.note(self.lines, f"reading stops here: {error}")

    def note(self, text: str) -> None:
        """Note what cannot be read, at the current line."""
        self.graph.note(self.lines, text)

    # -- statements --

    def block(self, body: list[ast.stmt], scope: Scope) -> None:
        """Carry out statements."""
        for statement in body:
            self.budget.step()
            self.line = statement.lineno
            handler = _STATEMENTS.get(type(statement))
            if handler is not None:
                handler(self, statement, scope)

    def _assign_all(self, statement: ast.Assign, scope: Scope) -> None:
        value = self.value(statement.value, scope)
        for target in statement.targets:
            self.assign(target, value, scope)

    def _assign_annotated(self, statement: ast.AnnAssign, scope: Scope) -> None:
        if statement.value is not None:
            self.assign(statement.target, self.value(statement.value, scope), scope)

    def _assign_augmented(self, statement: ast.AugAssign, scope: Scope) -> None:
        old, more = self.value(statement.target, scope), self.value(statement.value, scope)
        if isinstance(old, list) and isinstance(statement.op, ast.Add) and isinstance(more, (list, tuple)):
            self.budget.make(len(old) + len(more))
            old.extend(more)
            return
        self.assign(statement.target, self.binary(statement.op, old, more), scope)

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Give a name, attribute or item its value."""
        match target:
            case ast.Name(id=name):
                scope.elsewhere.get(name, scope).names[name] = value
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                self._unpack(parts, value, scope)
            case ast.Starred(value=inner):
                self.assign(inner, value, scope)
            case ast.Attribute(value=owner, attr=name):
                found = self.value(owner, scope)
                if isinstance(found, (Instance, Class)):
                    found.names[name] = value
            case ast.Subscript(value=owner, slice=index):
                self._assign_item(self.value(owner, scope), self.value(index, scope), value)

    def _assign_item(self, owner: Any, index: Any, value: Any) -> None:
        if isinstance(owner, dict) and is_small(index) and not isinstance(index, (list, dict, set)):
            self.budget.make(len(owner))
            owner[index] = value
        elif isinstance(owner, list) and isinstance(index, int) and -len(owner) <= index < len(owner):
            owner[index] = value

    def _unpack(self, parts: list[ast.expr], value: Any, scope: Scope) -> None:
        items = self.items(value)
        if items is None:
            why = value.why if isinstance(value, Unknown) else "it cannot be unpacked"
            for part in parts:
                self.assign(part, Unknown(why), scope)
            return
        star = next((number for number, part in enumerate(parts) if isinstance(part, ast.Starred)), None)
        if star is None:
            if len(items) != len(parts):
                raise Raised(f"{len(items)} values cannot be unpacked into {len(parts)} names")
            for part, item in zip(parts, items):
                self.assign(part, item, scope)
            return
        after = len(parts) - star - 1
        if len(items) < star + after:
            raise Raised(f"{len(items)} values cannot be unpacked into {len(parts)} names")
        middle = items[star : len(items) - after]
        for part, item in zip(parts, [*items[:star], middle, *items[len(items) - after :]]):
            self.assign(part, item, scope)

    def _expression(self, statement: ast.Expr, scope: Scope) -> None:
        self.value(statement.value, scope)

    def _define(self, statement: ast.FunctionDef, scope: Scope) -> None:
        scope.elsewhere.get(statement.name, scope).names[statement.name] = self.function(statement, scope)

    def function(self, node: ast.FunctionDef | ast.Lambda, scope: Scope) -> Function:
        """Make the function that a definition or lambda describes."""
        defaults = [self.value(default, scope) for default in node.args.defaults]
        keyword_defaults = [
            None if default is None else self.value(default, scope) for default in node.args.kw_defaults
        ]
        if isinstance(node, ast.Lambda):
            return Function("lambda", node.args, node.body, scope, defaults, keyword_defaults, node.lineno)
        marks = {mark.id for mark in node.decorator_list if isinstance(mark, ast.Name)}
        return Function(
            node.name, node.args, node.body, scope, defaults, keyword_defaults, node.lineno,
            is_static="staticmethod" in marks, is_property="property" in marks,
        )  # fmt: skip

    def _define_class(self, statement: ast.ClassDef, scope: Scope) -> None:
        bases = [self.value(base, scope) for base in statement.bases]
        inside = Scope(scope, is_class=True)
        made = Class(statement.name, bases, inside.names, statement.lineno)
        self.block(statement.body, inside)
        for value in inside.names.values():
            if isinstance(value, Function) and value.owner is None:
                value.owner = made
        scope.names[statement.name] = made

    def _return(self, statement: ast.Return, scope: Scope) -> None:
        raise _Return(None if statement.value is None else self.value(statement.value, scope))

    def _if(self, statement: ast.If, scope: Scope) -> None:
        known = self.truth(self.value(statement.test, scope))
        if known is None:
            self.line = statement.lineno
            known = not (statement.body and isinstance(statement.body[-1], ast.Raise))
            if any(isinstance(node, ast.Call) for part in statement.body for node in ast.walk(part)):
                taken = "met" if known else "not met"
                self.graph.assume(statement.lineno, f"the condition is not known, and taken as {taken}")
        self.block(statement.body if known else statement.orelse, scope)

    def _for(self, statement: ast.For, scope: Scope) -> None:
        items = self.items(self.value(statement.iter, scope))
        if items is None:
            self.line = statement.lineno
            if any(isinstance(node, ast.Call) for part in statement.body for node in ast.walk(part)):
                self.note("the loop is left out: what it iterates over is not known")
            return
        for item in items:
            self.budget.step()
            self.assign(statement.target, item, scope)
            try:
                self.block(statement.body, scope)
            except _Continue:
                continue
            except _Break:
                return
        self.block(statement.orelse, scope)

    def _while(self, statement: ast.While, scope: Scope) -> None:
        while True:
            self.budget.step()
            known = self.truth(self.value(statement.test, scope))
            if known is None:
                self.note("the loop is left out: its condition is not known")
                return
            if not known:
                self.block(statement.orelse, scope)
                return
            try:
                self.block(statement.body, scope)
            except _Continue:
                continue
            except _Break:
                return

    def _import(self, statement: ast.Import, scope: Scope) -> None:
        for alias in statement.names:
            if alias.asname:
                scope.names[alias.asname] = Reference(alias.name)
            else:
                first = alias.name.partition(".")[0]
                scope.names[first] = Reference(first)

    def _import_from(self, statement: ast.ImportFrom, scope: Scope) -> None:
        for alias in statement.names:
            if alias.name == "*":
                self.has_star = True
            else:
                scope.names[alias.asname or alias.name] = Reference(f"{statement.module or ''}.{alias.name}")

    def _with(self, statement: ast.With, scope: Scope) -> None:
        for item in statement.items:
            value = self.value(item.context_expr, scope)
            if item.optional_vars is not None:
                known = value if isinstance(value, Instance) else Unknown("it comes from a with statement")
                self.assign(item.optional_vars, known, scope)
        self.block(statement.body, scope)

    def _try(self, statement: ast.Try, scope: Scope) -> None:
        try:
            self.block(statement.body, scope)
        except Raised:
            for handler in statement.handlers[:1]:
                self.block(handler.body, scope)
        else:
            self.block(statement.orelse, scope)
        self.block(statement.finalbody, scope)

    def _declare(self, statement: ast.Global | ast.Nonlocal, scope: Scope) -> None:
        for name in statement.names:
            outside = self.module if isinstance(statement, ast.Global) else scope.parent and scope.parent.find(name)
            if outside:
                scope.elsewhere[name] = outside

    def _raise(self, statement: ast.Raise, scope: Scope) -> None:
        raise Raised("the text raises an error")

    def _leave(self, statement: ast.Break, scope: Scope) -> None:
        raise _Break

    def _skip(self, statement: ast.Continue, scope: Scope) -> None:
        raise _Continue

    def _delete(self, statement: ast.Delete, scope: Scope) -> None:
        for target in statement.targets:
            if isinstance(target, ast.Name):
                scope.names.pop(target.id, None)

    # -- functions --

    def call(self, function: Any, arguments: list[Any], keywords: dict[str, Any], words: str) -> Any:
        """Return what a call returns; `words` is the function as it is written."""
        return calls.call(self, function, arguments, keywords, words)

    def enter(self, function: Function, names: dict[str, Any]) -> Any:
        """Carry out a function's body with its arguments, and return what it returns."""
        if len(self.frames) >= MAX_CALLS:
            raise Stopped(f"its functions call each other more than {MAX_CALLS} times deep")
        scope = Scope(function.scope, names)
        line = self.line
        self.frames.append(line)
        self.called.add(function.name)
        try:
            if isinstance(function.body, ast.expr):
                self.line = function.body.lineno
                return self.value(function.body, scope)
            self.block(function.body, scope)
        except _Return as returned:
            return returned.value
        finally:
            self.frames.pop()
            self.line = line
        return None

    # -- expressions --

    def value(self, node: ast.expr, scope: Scope) -> Any:
        """Return the value of an expression."""
        self.budget.step()
        handler = _EXPRESSIONS.get(type(node))
        return Unknown(f"{type(node).__name__} is not read") if handler is None else handler(self, node, scope)

    def _constant(self, node: ast.Constant, scope: Scope) -> Any:
        if isinstance(node.value, (int, float, str, bool)) or node.value is None:
            return checked(node.value) if not isinstance(node.value, str) else node.value[:10_000]
        return Ellipsis if node.value is Ellipsis else Unknown("a constant of this type is not read")

    def _name(self, node: ast.Name, scope: Scope) -> Any:
        if node.id in scope.elsewhere:
            scope = scope.elsewhere[node.id]
        found = scope.find(node.id)
        if found is not None:
            return found.names[node.id]
        if node.id in natives.BUILTINS:
            return natives.BUILTINS[node.id]
        return self._missing(node)

    def _missing(self, node: ast.Name) -> Any:
        """Return what a name that the text never defines probably means, and note that it is assumed."""
        known = guesses.reference(node.id)
        if known is not None:
            self.module.names[node.id] = known
            if not self.has_star:  # which would import it
                self.graph.assume(0, f"{node.id} is not imported in this text, and taken as {known.path}")
            return known
        value = guesses.constant(node.id, self.tree)
        if value is None:
            return Unknown(f"{node.id} is not defined in this text")
        self.module.names[node.id] = value
        self.graph.assume(node.lineno, f"{node.id} is not defined in this text, and taken as {value}")
        return value

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        return calls.attribute(self, self.value(node.value, scope), node.attr)

    def _call(self, node: ast.Call, scope: Scope) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not self._is_defined("super", scope):
            return calls.super_of(self, node, scope)
        function = self.value(node.func, scope)
        arguments: list[Any] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                arguments.extend(self.items(self.value(argument.value, scope)) or [])
            else:
                arguments.append(self.value(argument, scope))
        keywords: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif isinstance(value, dict):
                keywords |= {key: part for key, part in value.items() if isinstance(key, str)}
        self.line = node.lineno
        return self.call(function, arguments, keywords, _words(node.func))

    def _is_defined(self, name: str, scope: Scope) -> bool:
        return scope.find(name) is not None

    def _binary(self, node: ast.BinOp, scope: Scope) -> Any:
        one, other = self.value(node.left, scope), self.value(node.right, scope)
        self.line = node.lineno
        return self.binary(node.op, one, other)

    def binary(self, op: ast.operator, one: Any, other: Any) -> Any:
        """Return the result of an arithmetic operation."""
        if isinstance(one, Tensor) or isinstance(other, Tensor):
            return calls.combine(self, op, one, other)
        if isinstance(one, Unknown) or isinstance(other, Unknown):
            return one if isinstance(one, Unknown) else other
        if isinstance(op, ast.Mult) and isinstance(one, int) and isinstance(other, (list, tuple, str)):
            one, other = other, one
        if isinstance(one, (list, tuple, str)):
            return self._sequence(op, one, other)
        compute = _OPERATORS.get(type(op))
        if compute is None or not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
            return Unknown("this operation is not read")
        if isinstance(op, (ast.Pow, ast.LShift)) and not (abs(other) <= 64 and abs(one) <= 2**20):
            raise Stopped("it computes numbers that are too large")
        try:
            return checked(compute(one, other))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise Raised(str(error)) from None

    def _sequence(self, op: ast.operator, one: Any, other: Any) -> Any:
        if isinstance(op, ast.Add) and type(one) is type(other):
            self.budget.make(len(one) + len(other))
            return one + other
        if isinstance(op, ast.Mult) and isinstance(other, int):
            self.budget.make(len(one) * max(other, 0))
            return one * other
        if isinstance(op, ast.Mod) and isinstance(one, str):
            return natives.percent_format(one, other)
        return Unknown("this operation is not read")

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Any:
        value = self.value(node.operand, scope)
        if isinstance(node.op, ast.Not):
            known = self.truth(value)
            return Unknown("the condition is not known") if known is None else not known
        if isinstance(value, Tensor):
            return value
        if not isinstance(value, (int, float)):
            return value if isinstance(value, Unknown) else Unknown("this operation is not read")
        if isinstance(node.op, ast.USub):
            return -value
        return ~value if isinstance(node.op, ast.Invert) and isinstance(value, int) else value

    def _boolean(self, node: ast.BoolOp, scope: Scope) -> Any:
        value: Any = None
        for part in node.values:
            value = self.value(part, scope)
            known = self.truth(value)
            if known is None:
                return Unknown("the condition is not known")
            if known is isinstance(node.op, ast.Or):
                return value
        return value

    def _compare(self, node: ast.Compare, scope: Scope) -> Any:
        one = self.value(node.left, scope)
        for op, right in zip(node.ops, node.comparators):
            other = self.value(right, scope)
            known = self._compared(op, one, other)
            if not isinstance(known, bool) or not known:
                return known
            one = other
        return True

    def _compared(self, op: ast.cmpop, one: Any, other: Any) -> Any:
        if isinstance(op, (ast.Is, ast.IsNot)):
            if isinstance(one, Unknown) or isinstance(other, Unknown):
                return Unknown("the condition is not known")
            return (one is other) is isinstance(op, ast.Is)
        if isinstance(op, (ast.In, ast.NotIn)) and isinstance(other, (list, tuple, dict, set)) and is_small(one):
            parts = list(other)
            if is_small(parts):
                return (one in parts) is isinstance(op, ast.In)
        if not are_small((one, other)):
            return Unknown("the condition is not known")
        compute = _COMPARISONS.get(type(op))
        try:
            return Unknown("this comparison is not read") if compute is None else compute(one, other)
        except TypeError as error:
            raise Raised(str(error)) from None

    def _choose(self, node: ast.IfExp, scope: Scope) -> Any:
        known = self.truth(self.value(node.test, scope))
        if known is None:
            self.graph.assume(node.lineno, "the condition is not known, and taken as met")
        return self.value(node.orelse if known is False else node.body, scope)

    def _list(self, node: ast.List, scope: Scope) -> list[Any]:
        return self._several(node.elts, scope)

    def _tuple(self, node: ast.Tuple, scope: Scope) -> tuple[Any, ...]:
        return tuple(self._several(node.elts, scope))

    def _set(self, node: ast.Set, scope: Scope) -> Any:
        parts = self._several(node.elts, scope)
        return natives.to_set(parts)

    def _several(self, nodes: list[ast.expr], scope: Scope) -> list[Any]:
        made: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                made.extend(self.items(self.value(node.value, scope)) or [])
            else:
                made.append(self.value(node, scope))
        self.budget.make(len(made))
        return made

    def _dictionary(self, node: ast.Dict, scope: Scope) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, part in zip(node.keys, node.values):
            value = self.value(part, scope)
            if key is None:
                made |= value if isinstance(value, dict) else {}
                continue
            name = self.value(key, scope)
            if is_small(name) and not isinstance(name, (list, dict, set)):
                made[name] = value
        self.budget.make(len(made))
        return made

    def _comprehend(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp, scope: Scope) -> Any:
        made: list[Any] = []
        for inner in self._rounds(node.generators, Scope(scope)):
            if inner is None:
                return Unknown("what it iterates over is not known")
            made.append(self.value(node.elt, inner))
        self.budget.make(len(made))
        return natives.to_set(made) if isinstance(node, ast.SetComp) else made

    def _comprehend_dictionary(self, node: ast.DictComp, scope: Scope) -> Any:
        made: dict[Any, Any] = {}
        for inner in self._rounds(node.generators, Scope(scope)):
            if inner is None:
                return Unknown("what it iterates over is not known")
            key = self.value(node.key, inner)
            if is_small(key) and not isinstance(key, (list, dict, set)):
                made[key] = self.value(node.value, inner)
        self.budget.make(len(made))
        return made

    def _rounds(self, generators: list[ast.comprehension], scope: Scope) -> Iterator[Scope | None]:
        """Yield a scope for each round of a comprehension, None if what it iterates over is not known."""
        first, *others = generators
        items = self.items(self.value(first.iter, scope))
        if items is None:
            yield None
            return
        for item in items:
            self.budget.step()
            inner = Scope(scope)
            self.assign(first.target, item, inner)
            if any(self.truth(self.value(test, inner)) is False for test in first.ifs):
                continue
            if others:
                yield from self._rounds(others, inner)
            else:
                yield inner

    def _formatted(self, node: ast.JoinedStr, scope: Scope) -> Any:
        parts: list[str] = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(str(part.value))
            elif isinstance(part, ast.FormattedValue):
                value = self.value(part.value, scope)
                if not is_small(value):
                    return Unknown("the text is not known")
                spec = part.format_spec.values if isinstance(part.format_spec, ast.JoinedStr) else []
                form = str(spec[0].value) if spec and isinstance(spec[0], ast.Constant) else ""
                parts.append(format(value, form) if _SIMPLE_FORM.fullmatch(form) and _fits(value, form) else str(value))
        self.budget.make(sum(map(len, parts)))
        return "".join(parts)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        owner = self.value(node.value, scope)
        if isinstance(owner, Tensor):
            self.line = node.lineno
            return calls.slice_tensor(self, owner, node.slice, scope)
        index = self.value(node.slice, scope)
        return self.item(owner, index)

    def item(self, owner: Any, index: Any) -> Any:
        """Return an item or a slice of a list, tuple, text or dictionary."""
        if isinstance(owner, Unknown) or isinstance(index, Unknown):
            return owner if isinstance(owner, Unknown) else index
        try:
            if isinstance(owner, dict) and is_small(index) and not isinstance(index, (list, dict, set, slice)):
                return owner[index]
            if isinstance(owner, (list, tuple, str)) and isinstance(index, (int, slice)):
                found = owner[index]
                if isinstance(index, slice):
                    self.budget.make(len(found))
                return found
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise Raised(f"{type(error).__name__}: {str(error)[:100]}") from None
        return Unknown("this item is not known")

    def _slice(self, node: ast.Slice, scope: Scope) -> Any:
        ends = [None if end is None else self.value(end, scope) for end in (node.lower, node.upper, node.step)]
        if not all(end is None or isinstance(end, int) for end in ends):
            return Unknown("this item is not known")
        return slice(*ends)

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Function:
        return self.function(node, scope)

    def _named(self, node: ast.NamedExpr, scope: Scope) -> Any:
        value = self.value(node.value, scope)
        self.assign(node.target, value, scope)
        return value

    # -- helpers --

    def truth(self, value: Any) -> bool | None:
        """Return whether a value is true, None if that is not known."""
        if isinstance(value, (Unknown, Tensor)):
            return None
        if isinstance(value, (int, float, str, list, tuple, dict, set)) or value is None:
            return bool(value)
        return True

    def items(self, value: Any) -> list[Any] | None:
        """Return what a loop over a value goes through, None if that is not known."""
        if isinstance(value, (list, tuple, str, dict, set)):
            return list(value)
        return None

    def method(self, instance: Instance, name: str) -> Method | None:
        """Return a method of an object, None if its class has none in the text."""
        found = instance.kind.find(name)
        return Method(found, instance) if isinstance(found, Function) else None


_SIMPLE_FORM = re.compile(r"0?[0-9]{0,2}(\.[0-9])?[dfs]?")


def _fits(value: Any, form: str) -> bool:
    """Return whether a value can be written in a form such as "02d"."""
    if form.endswith("d") or form[:1].isdigit():
        return isinstance(value, int)
    return isinstance(value, (int, float)) if form.endswith("f") or "." in form else True


def _words(node: ast.expr) -> str:
    """Return an expression as it is written, shortened."""
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:59] + "…"


_STATEMENTS: dict[type[ast.stmt], Callable[..., None]] = {
    ast.Assign: Interpreter._assign_all,
    ast.AnnAssign: Interpreter._assign_annotated,
    ast.AugAssign: Interpreter._assign_augmented,
    ast.Expr: Interpreter._expression,
    ast.FunctionDef: Interpreter._define,
    ast.ClassDef: Interpreter._define_class,
    ast.Return: Interpreter._return,
    ast.If: Interpreter._if,
    ast.For: Interpreter._for,
    ast.While: Interpreter._while,
    ast.Import: Interpreter._import,
    ast.ImportFrom: Interpreter._import_from,
    ast.With: Interpreter._with,
    ast.Try: Interpreter._try,
    ast.Global: Interpreter._declare,
    ast.Nonlocal: Interpreter._declare,
    ast.Raise: Interpreter._raise,
    ast.Break: Interpreter._leave,
    ast.Continue: Interpreter._skip,
    ast.Delete: Interpreter._delete,
}
_EXPRESSIONS: dict[type[ast.expr], Callable[..., Any]] = {
    ast.Constant: Interpreter._constant,
    ast.Name: Interpreter._name,
    ast.Attribute: Interpreter._attribute,
    ast.Call: Interpreter._call,
    ast.BinOp: Interpreter._binary,
    ast.UnaryOp: Interpreter._unary,
    ast.BoolOp: Interpreter._boolean,
    ast.Compare: Interpreter._compare,
    ast.IfExp: Interpreter._choose,
    ast.List: Interpreter._list,
    ast.Tuple: Interpreter._tuple,
    ast.Set: Interpreter._set,
    ast.Dict: Interpreter._dictionary,
    ast.ListComp: Interpreter._comprehend,
    ast.GeneratorExp: Interpreter._comprehend,
    ast.SetComp: Interpreter._comprehend,
    ast.DictComp: Interpreter._comprehend_dictionary,
    ast.JoinedStr: Interpreter._formatted,
    ast.Subscript: Interpreter._subscript,
    ast.Slice: Interpreter._slice,
    ast.Lambda: Interpreter._lambda,
    ast.NamedExpr: Interpreter._named,
}
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
}
