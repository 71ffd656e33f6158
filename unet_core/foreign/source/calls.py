"""Calls and attributes: of functions and classes of the text, of layers and models, and arithmetic on tensors."""

from __future__ import annotations

import ast
from typing import Any

from unet_core.foreign.graph import Layer, Tensor
from unet_core.foreign.source import guesses, keras_calls, natives
from unet_core.foreign.source.limits import Stopped
from unet_core.foreign.source.values import (
    Chain,
    Class,
    Function,
    Instance,
    LambdaLayer,
    Method,
    Model,
    Native,
    Partial,
    Reference,
    Scope,
    Super,
    Unknown,
    Used,
    tensors_in,
)
from unet_core.foreign.source.work import Raised, Work

_IGNORED_METHODS = (
    "summary", "compile", "fit", "evaluate", "save", "load_weights", "save_weights", "get_config", "add_loss",
    "add_metric", "trainable",
)  # fmt: skip


def call(work: Work, function: Any, arguments: list[Any], keywords: dict[str, Any], words: str) -> Any:
    """Return what a call returns; `words` is the function as it is written."""
    match function:
        case Reference():
            return keras_calls.call_reference(work, function, arguments, keywords)
        case Layer():
            return keras_calls.apply_layer(work, function, arguments, keywords)
        case Function():
            return call_function(work, function, arguments, keywords)
        case Method():
            return call_function(work, function.function, [function.instance, *arguments], keywords)
        case Native():
            return function.run(work, arguments, keywords)
        case Class():
            return make(work, function, arguments, keywords)
        case Instance():
            return call_instance(work, function, arguments, keywords)
        case Model():
            return keras_calls.replay(work, function, arguments)
        case Chain():
            return call_chain(work, function, arguments)
        case Partial():
            joined = function.keywords | keywords
            return work.call(function.function, [*function.arguments, *arguments], joined, words)
        case LambdaLayer():
            return work.call(function.function, arguments[:1], {}, words)
    return _unread(work, function, arguments, keywords, words)


def _unread(work: Work, function: Any, arguments: list[Any], keywords: dict[str, Any], words: str) -> Any:
    inputs = tensors_in([*arguments, *keywords.values()])
    why = function.why if isinstance(function, Unknown) and function.why else "it is not read"
    if inputs:
        return work.graph.unknown(words.rpartition(".")[2][:40] or "call", inputs, f"{words}(…): {why}", work.lines)
    return Unknown(f"{words}(…): {why}" if not why.startswith(words) else why)


# --- functions of the text --------------------------------------------------------------------------------------------


def call_function(work: Work, function: Function, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Return what a function of the text returns."""
    if function.owner is not None and function.is_static and arguments and isinstance(arguments[0], Instance):
        arguments = arguments[1:]
    return work.enter(function, bound(work, function, arguments, keywords))


def bound(work: Work, function: Function, arguments: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    """Return the names that a function starts with.

    Raises:
        Raised: an argument has no name.
    """
    spec = function.arguments
    places = [argument.arg for argument in (*spec.posonlyargs, *spec.args)]
    if len(arguments) > len(places) and spec.vararg is None:
        raise Raised(f"{function.name} takes {len(places)} arguments and gets {len(arguments)}")
    names: dict[str, Any] = dict(zip(places, arguments))
    if spec.vararg is not None:
        names[spec.vararg.arg] = tuple(arguments[len(places) :])
    allowed = {*places, *(argument.arg for argument in spec.kwonlyargs)}
    names |= {name: value for name, value in keywords.items() if name in allowed}
    others = {name: value for name, value in keywords.items() if name not in allowed}
    if spec.kwarg is not None:
        names[spec.kwarg.arg] = others
    elif others:
        raise Raised(f"{function.name} has no argument {next(iter(others))}")
    for name, default in zip(places[len(places) - len(function.defaults) :], function.defaults):
        names.setdefault(name, default)
    for argument, default in zip(spec.kwonlyargs, function.keyword_defaults):
        names.setdefault(argument.arg, default)
    for name in places:
        if name not in names:
            names[name] = Unknown(f"{function.name} is called without {name}")
    return names


def guessed(work: Work, function: Function, skip: int = 0) -> list[Any]:
    """Return plausible values for the arguments of a function that have no default, and note them."""
    places = function.arguments.args
    needed = places[skip : len(places) - len(function.defaults)]
    values: list[Any] = []
    for argument in needed:
        name = argument.arg
        if name.lower() in guesses.INPUT_NAMES:
            values.append(keras_calls.new_input(work, (guesses.SIDE, guesses.SIDE, 3)))
            work.graph.assume(function.line, f"{function.name} gets an input of {guesses.SIDE}×{guesses.SIDE}×3 pixels")
            continue
        value = guesses.constant(name, work.tree)
        if value is None:
            values.append(Unknown(f"{name} of {function.name} is not given"))
        else:
            values.append(value)
            work.graph.assume(function.line, f"{name} of {function.name} is not given, and taken as {value}")
    return values


# --- classes of the text ----------------------------------------------------------------------------------------------


def make(work: Work, kind: Class, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Make an object of a class of the text."""
    instance = Instance(kind)
    if kind.library_base:
        work.instances.append(instance)
    constructor = kind.find("__init__")
    if isinstance(constructor, Function):
        call_function(work, constructor, [instance, *arguments], keywords)
    return instance


def call_instance(work: Work, instance: Instance, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Call a model or layer of the text."""
    if instance.model is not None:
        return keras_calls.replay(work, instance.model, arguments)
    method = work.method(instance, "call") or work.method(instance, "__call__")
    items = instance.names.get("__layers__")
    if method is None:
        if items:
            return call_chain(work, Chain(items, instance.kind.name), arguments)
        return _unread(work, Unknown(f"{instance.kind.name} has no call"), arguments, keywords, instance.kind.name)
    if not instance.is_built:
        instance.is_built = True
        build = work.method(instance, "build")
        given = tensors_in(arguments)
        if build is not None and given:
            call_function(work, build.function, [instance, full_shape(given[0])], {})
    allowed = [argument.arg for argument in (*method.function.arguments.args, *method.function.arguments.kwonlyargs)]
    if method.function.arguments.kwarg is None:
        keywords = {name: value for name, value in keywords.items() if name in allowed}
    result = call_function(work, method.function, [instance, *arguments], keywords)
    instance.outputs = tensors_in(result)
    return result


def call_chain(work: Work, chain: Chain, arguments: list[Any]) -> Any:
    """Call the layers of a Sequential model one after another."""
    value = arguments[0] if arguments else Unknown("nothing goes in")
    for item in chain.items:
        if not isinstance(item, Tensor):
            value = work.call(item, [value], {}, chain.name)
    return value


def super_of(work: Work, node: ast.Call, scope: Scope) -> Any:
    """Return what `super()` stands for in a method."""
    holder = scope
    while holder is not None and "self" not in holder.names:
        holder = holder.parent
    instance = holder.names["self"] if holder is not None else None
    if not isinstance(instance, Instance):
        return Unknown("super() is not read here")
    below = work.value(node.args[0], scope) if node.args else None
    return Super(instance, below if isinstance(below, Class) else _class_of(instance, node))


def _class_of(instance: Instance, node: ast.AST) -> Class | None:
    """Return the class whose body contains a line."""
    owners = [one for one in instance.kind.family() if one.line <= getattr(node, "lineno", 0)]
    return max(owners, key=lambda one: one.line, default=None)


def _super_method(work: Work, owner: Super, name: str) -> Any:
    family = list(owner.instance.kind.family())
    after = family[family.index(owner.below) + 1 :] if owner.below in family else family[1:]
    for one in after:
        if isinstance(one.names.get(name), Function):
            return Method(one.names[name], owner.instance)
    return Native(
        name, lambda work, arguments, keywords: _library_method(work, owner.instance, name, arguments, keywords)
    )


def _library_method(work: Work, instance: Instance, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Carry out a method that a model or layer of the text has from Keras."""
    if name == "__init__" and ("outputs" in keywords or len(arguments) >= 2):
        inputs = keywords.get("inputs", arguments[0] if arguments else None)
        outputs = keywords.get("outputs", arguments[1] if len(arguments) > 1 else None)
        if tensors_in(outputs):
            instance.model = keras_calls.new_model(work, inputs, outputs, instance.kind.name)
        return None
    if name == "__init__":
        if isinstance(keywords.get("name"), str):
            instance.names.setdefault("name", keywords["name"])
        if arguments and isinstance(arguments[0], list):
            instance.names["__layers__"] = list(arguments[0])
        return None
    if name == "add":
        instance.names.setdefault("__layers__", []).extend(arguments[:1])
        return None
    if name == "build" and arguments:
        return build(work, instance, arguments[0]) if work.method(instance, "call") else None
    if name in ("__call__", "predict"):
        return call_instance(work, instance, arguments, keywords)
    if name == "get_config":
        return {}
    if name in _IGNORED_METHODS:
        return None
    return Unknown(f"{name} is not read")


def build(work: Work, model: Any, shape: Any) -> None:
    """Call a model with an input of a shape that has a batch."""
    if isinstance(shape, (list, tuple)) and len(shape) >= 2:
        work.call(model, [keras_calls.new_input(work, tuple(shape[1:]))], {}, "build")


# --- attributes -------------------------------------------------------------------------------------------------------


def attribute(work: Work, owner: Any, name: str) -> Any:
    """Return an attribute of a value."""
    match owner:
        case Reference():
            return keras_calls.known_value(f"{owner.path}.{name}")
        case Instance():
            return _instance_attribute(work, owner, name)
        case Super():
            return _super_method(work, owner, name)
        case Class():
            found = owner.find(name)
            return Unknown(f"{owner.name} has no {name} in this text") if found is None else found
        case Tensor():
            return _tensor_attribute(work, owner, name)
        case Model():
            return keras_calls.model_attribute(work, owner, name)
        case Chain():
            return _chain_attribute(work, owner, name)
        case Used():
            return _used_attribute(owner, name)
        case Layer():
            return natives.plain_attribute(owner, name)
        case Unknown():
            return owner
        case list() | tuple() | dict() | str():
            return Native(name, lambda work, given, named: natives.method(work, owner, name, given, named))
    return Unknown(f"{name} is not read")


def _instance_attribute(work: Work, owner: Instance, name: str) -> Any:
    if name in owner.names:
        return owner.names[name]
    found = owner.kind.find(name)
    if isinstance(found, Function):
        return call_function(work, found, [owner], {}) if found.is_property else Method(found, owner)
    if found is not None:
        return found
    if owner.model is not None and name in ("input", "inputs", "output", "outputs", "get_layer"):
        return keras_calls.model_attribute(work, owner.model, name)
    if owner.kind.library_base:
        return Native(name, lambda work, given, named: _library_method(work, owner, name, given, named))
    return Unknown(f"{owner.kind.name} has no {name}")


def full_shape(tensor: Tensor) -> Any:
    """Return a tensor's shape with its batch, as Keras shows it."""
    return Unknown("the shape is not known") if tensor.shape is None else (None, *tensor.shape)


def _tensor_attribute(work: Work, owner: Tensor, name: str) -> Any:
    if name in ("shape", "_keras_shape"):
        return full_shape(owner)
    if name == "get_shape":
        return Native(name, lambda work, given, named: full_shape(owner))
    if name in ("ndim", "rank"):
        return Unknown("the shape is not known") if owner.shape is None else len(owner.shape) + 1
    return Unknown(f"{name} of a tensor is not read")


def _chain_attribute(work: Work, owner: Chain, name: str) -> Any:
    if name == "add":
        return Native(name, lambda work, given, named: owner.items.extend(given[:1]))
    if name == "build":
        return Native(name, lambda work, given, named: build(work, owner, given[0]) if given else None)
    if name == "layers":
        return list(owner.items)
    if name == "name":
        return owner.name
    return Native(name, lambda work, given, named: None)


def _used_attribute(owner: Used, name: str) -> Any:
    if name == "output":
        return Tensor(owner.node)
    if name == "input" and owner.node.inputs:
        return owner.node.inputs[0]
    return natives.plain_attribute(owner.node.layer, name)


# --- arithmetic on tensors --------------------------------------------------------------------------------------------

_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "Add", ast.Sub: "Subtract", ast.Mult: "Multiply", ast.Div: "Divide",
}  # fmt: skip


def combine(work: Work, op: ast.operator, one: Any, other: Any) -> Any:
    """Return the result of an operator with a tensor on one side."""
    kind = _ARITHMETIC.get(type(op))
    inputs = [side for side in (one, other) if isinstance(side, Tensor)]
    if kind is None:
        return work.graph.unknown("Operation", inputs, f"the operator {type(op).__name__} is not read", work.lines)
    if len(inputs) == 1 and isinstance(one if inputs[0] is other else other, Unknown):
        return work.graph.unknown(kind, inputs, "the other side of this operation is not known", work.lines)
    return work.graph.apply(work.graph.layer(kind, {}), inputs, work.lines)


def slice_tensor(work: Work, tensor: Tensor, index: ast.expr, scope: Scope) -> Any:
    """Return a slice of a tensor: [:, a:b, c:d, :] crops it."""
    parts = list(index.elts) if isinstance(index, ast.Tuple) else [index]
    bounds = [work.value(part, scope) for part in parts]
    shape = tensor.shape
    if shape is None or any(isinstance(bound, Unknown) for bound in bounds):
        return work.graph.unknown("Slice", [tensor], "the bounds of this slice are not known", work.lines)
    if Ellipsis in bounds:
        place = bounds.index(Ellipsis)
        bounds[place : place + 1] = [slice(None)] * (len(shape) + 2 - len(bounds))
    if len(bounds) > len(shape) + 1 or not all(isinstance(bound, slice) for bound in bounds):
        return work.graph.unknown("Slice", [tensor], "only slices with colons are read", work.lines)
    sides: list[int | None] = []
    for side, bound in zip(shape, [*bounds[1:], *[slice(None)] * (len(shape) + 1 - len(bounds))]):
        sides.append(None if side is None else len(range(*bound.indices(side))))
    if any(side == 0 for side in sides):
        raise Stopped("a slice of a tensor is empty")
    return keras_calls.reshaped(work, "Slice", tensor, tuple(sides))
