"""Keras source as a network: parsed, interpreted within limits, and traced; never run."""

from __future__ import annotations

import ast
import re
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from unet_core.architecture.config import MAX_SIDE
from unet_core.architecture.table import grouped
from unet_core.errors import UNetError
from unet_core.foreign.graph import Broken, Tensor, TooLarge
from unet_core.foreign.network import Failure, ReadNetwork
from unet_core.foreign.source import calls, guesses, keras_calls
from unet_core.foreign.source.interpreter import Interpreter
from unet_core.foreign.source.limits import Stopped
from unet_core.foreign.source.values import Class, Function, Instance, tensors_in
from unet_core.foreign.source.work import Raised

T = TypeVar("T")

MAX_SOURCE = 100_000  # characters
_SEARCH_SECONDS = 1.0  # for sizes that work: the text is read once for each size that is tried


class SourceError(UNetError):
    """A text that is no Python, or has no network in it."""


def looks_like_source(text: str) -> bool:
    """Return whether a text is rather Python than an error message."""
    signs = r"^\s*(?:import |from \w[\w.]* import |def \w+\(|class \w+|@\w|\w+ = .*\()|\bConv2D\(|\bInput\("
    return re.search(signs, text[:MAX_SOURCE], flags=re.MULTILINE) is not None and "Traceback (most" not in text


@lru_cache(maxsize=32)
def read_source(text: str, size: tuple[int, int] | None = None) -> ReadNetwork:
    """Read the network that a text builds.

    Args:
        text: Python source; notebook magics (lines with % or !) are left out.
        size: height and width of the input, instead of the text's own.

    Raises:
        SourceError: it is no Python, too large, or no network is found in it.
    """
    network = _read(text, size)
    if network.failure is None:
        return network
    return replace(network, failure=replace(network.failure, suggested_sizes=_suggested(text, network)))


def read_values(text: str, kind: type[T]) -> list[T]:
    """Return the values of a type that a text gives a name, or that a function without arguments returns, or its own.

    Raises:
        SourceError: it is no Python, or too large.
    """
    tree = _parsed(text)
    work = Interpreter(tree)
    try:
        work.run()
        found = list(work.module.names.values())
        for value in list(found):
            if isinstance(value, Function) and not value.arguments.args:
                found.append(calls.call_function(work, value, [], {}))
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            found.append(work.value(tree.body[-1].value, work.module))
    except (Stopped, TooLarge, Raised, Broken):
        return []
    except RecursionError:
        raise SourceError("The source is nested too deeply to be read.") from None
    return [value for value in found if isinstance(value, kind)]


def _read(text: str, size: tuple[int, int] | None) -> ReadNetwork:
    work = Interpreter(_parsed(text), size)
    failure: Failure | None = None
    try:
        work.run()
        ends = _ends(work)
    except Broken as broken:
        failure, ends = broken.failure, []
    except (Stopped, TooLarge, Raised) as stopped:
        work.note(f"reading stops here: {stopped}")
        ends = []
    except RecursionError:
        raise SourceError("The source is nested too deeply to be read.") from None
    if not work.graph.nodes:
        raise SourceError(
            "No network was found in this source: it never makes an Input, a Model or a layer that is used. Paste the "
            "function or class that builds the network, with its constants."
        )
    title = next((model.name for model in reversed(work.models) if model.name != "model"), "Your code")
    return work.graph.network(title, ends, failure, keep_all=failure is not None)


def _parsed(text: str) -> ast.Module:
    if len(text) > MAX_SOURCE:
        raise SourceError(
            f"The source has {grouped(len(text))} characters, at most {grouped(MAX_SOURCE)} are read: paste the part "
            "that builds the network."
        )
    if "\x00" in text:
        raise SourceError("The source contains a zero byte, so it is no Python.")
    cleaned = re.sub(r"^(\s*)[%!](?!=).*$", r"\1pass", _dedented(text), flags=re.MULTILINE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in texts
            tree = ast.parse(cleaned)
    except SyntaxError as error:
        line = f"line {error.lineno}: " if error.lineno else ""
        raise SourceError(f"This is no complete Python source: {line}{error.msg}.") from None
    except (ValueError, RecursionError, MemoryError):
        raise SourceError("This source cannot be parsed.") from None
    return tree


def _dedented(text: str) -> str:
    """Remove what a copied text begins every line with: spaces, or a prompt."""
    lines = text.expandtabs(4).splitlines()
    if any(line.startswith(">>> ") for line in lines):
        lines = [line[4:] if line.startswith((">>> ", "... ")) else "" for line in lines]
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] for line in lines)


# --- which network ----------------------------------------------------------------------------------------------------


def _ends(work: Interpreter) -> list[Tensor]:
    """Return the outputs of the network that the text builds; what it only defines is called."""
    for find in (_of_models, _of_functions, _of_classes, _of_chains):
        found = find(work)
        if found:
            return found
    return []


def _of_models(work: Interpreter) -> list[Tensor]:
    """Return the outputs of the largest model that was made, the last of several; one that was not called is called."""
    made = [one for one in work.instances if one.kind.library_base in ("Model", "Sequential", "Functional")]
    if made and not any(one.outputs or one.model for one in made):
        _call_with_input(work, made[-1])
    candidates = [tensors_in(model.outputs) for model in work.models] + [one.outputs for one in made]
    best: list[Tensor] = []
    size = 2  # layers; less is no network
    for outputs in candidates:
        count = len(work.graph.network("", outputs).layers) if outputs else 0
        if count >= size:
            best, size = outputs, count
    return best


def _call_with_input(work: Interpreter, instance: Instance) -> None:
    work.line = instance.kind.line
    shape = (guesses.SIDE, guesses.SIDE, 3)
    result = calls.call_instance(work, instance, [keras_calls.new_input(work, shape)], {})
    instance.outputs = tensors_in(result)
    if work.size is None:
        work.graph.assume(instance.kind.line, f"{instance.kind.name} is called on photos of 256×256×3 pixels")


def _of_functions(work: Interpreter) -> list[Tensor]:
    """Call the function that builds a network but is never called, the last of several, and return its outputs."""
    for function in _builders(work):
        if function.name in work.called:
            continue
        work.line = function.line
        before = len(work.graph.nodes)
        try:
            result = calls.call_function(work, function, calls.guessed(work, function), {})
        except Raised as error:
            work.note(f"{function.name} cannot be carried out: {error}")
            continue
        found = _of_models(work) or _of_result(work, result)
        if found:
            return found
        del work.graph.nodes[before:]
    return []


def _of_result(work: Interpreter, result: Any) -> list[Tensor]:
    if isinstance(result, Instance):
        if not result.outputs:
            _call_with_input(work, result)
        return result.outputs
    return tensors_in(result) or _of_chains(work)


def _builders(work: Interpreter) -> Iterator[Function]:
    """Yield the module's functions, first those that make an Input or a Model, the last one first."""
    functions = [value for value in work.module.names.values() if isinstance(value, Function)]
    makers = [function for function in functions if _makes_a_model(function)]
    yield from reversed(makers)
    yield from (function for function in reversed(functions) if function not in makers and _takes_an_input(function))


def _makes_a_model(function: Function) -> bool:
    body = function.body if isinstance(function.body, list) else []
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and re.search(r"(^|\.)(Model|Input|Sequential)$", ast.unparse(node.func)):
                return True
    return False


def _takes_an_input(function: Function) -> bool:
    return any(argument.arg.lower() in guesses.INPUT_NAMES for argument in function.arguments.args[:1])


def _of_classes(work: Interpreter) -> list[Tensor]:
    """Make an object of the last class that has a call and is never used, and call it."""
    classes = [value for value in work.module.names.values() if isinstance(value, Class) and value.library_base]
    used = {one.kind.name for one in work.instances}
    for kind in reversed(classes):
        if kind.name in used or kind.find("call") is None:
            continue
        work.line = kind.line
        constructor = kind.find("__init__")
        arguments = calls.guessed(work, constructor, skip=1) if isinstance(constructor, Function) else []
        try:
            instance = calls.make(work, kind, arguments, {})
            _call_with_input(work, instance)
        except Raised as error:
            work.note(f"{kind.name} cannot be made: {error}")
            continue
        if instance.outputs:
            return instance.outputs
    return []


def _of_chains(work: Interpreter) -> list[Tensor]:
    """Return the output of the last Sequential model."""
    for chain in reversed(work.chains):
        if not chain.items:
            continue
        first = chain.items[0]
        if isinstance(first, Tensor):
            start = first
        else:
            shape = getattr(first, "arguments", {}).get("input_shape")
            given = tuple(shape) if isinstance(shape, (list, tuple)) else (guesses.SIDE, guesses.SIDE, 3)
            start = keras_calls.new_input(work, given)
        return tensors_in(calls.call_chain(work, chain, [start]))
    return []


# --- sizes that work --------------------------------------------------------------------------------------------------


def _suggested(text: str, network: ReadNetwork) -> tuple[tuple[int, int], ...]:
    """Return the nearest smaller and larger input sizes at which the network is whole, if there are any."""
    shape = next((layer.output_shape for layer in network.inputs), None)
    if shape is None or len(shape) != 3 or shape[0] is None or shape[1] is None:
        return ()
    size = shape[0], shape[1]
    ends = time.monotonic() + _SEARCH_SECONDS
    found = [_first_whole(text, size, larger, ends) for larger in (False, True)]
    return tuple(dict.fromkeys(one for one in found if one is not None and one != size))


def _first_whole(text: str, size: tuple[int, int], larger: bool, ends: float) -> tuple[int, int] | None:
    """Return the nearest size on a grid of 2, 4, 8 … 128 pixels at which nothing fails, if it is found in time."""
    for step in (2**power for power in range(1, 8)):
        if time.monotonic() > ends:
            return None
        sides = tuple((-(-side // step) if larger else side // step) * step for side in size)
        if min(sides) < 1 or max(sides) > MAX_SIDE:
            return None
        if _read(text, (sides[0], sides[1])).failure is None:
            return sides[0], sides[1]
    return None
