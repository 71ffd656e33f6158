"""Python's own functions and the methods of its lists, tuples, texts and dictionaries, as far as networks need them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from unet_core.foreign.graph import Layer, Tensor
from unet_core.foreign.source.limits import are_small, checked, is_small
from unet_core.foreign.source.values import Callables, Instance, Native, Unknown
from unet_core.foreign.source.work import Work

UNREAD = Unknown("this call is not read")


def to_set(parts: list[Any]) -> Any:
    """Return a set of plain values, as a list in their order if some cannot be in a set."""
    return set(parts) if all(isinstance(part, (int, float, str)) for part in parts) else parts


def percent_format(text: str, values: Any) -> Any:
    """Return `text % values` for %d, %i and %s without widths."""
    given = list(values) if isinstance(values, tuple) else [values]
    pieces = re.split(r"%(?:0?\d?)[dis]", text)
    if len(pieces) != len(given) + 1 or not are_small(given):
        return UNREAD
    return checked("".join(piece + str(value) for piece, value in zip(pieces, [*given, ""])))


def brace_format(text: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Return `text.format(…)` for {}, {0} and {name}, whose form is left out."""
    waiting = iter(arguments)

    def found(match: re.Match[str]) -> str:
        name = match[1]
        if not name:
            return str(next(waiting, ""))
        return str(arguments[int(name)] if name.isdigit() and int(name) < len(arguments) else keywords.get(name, ""))

    if not are_small([*arguments, *keywords.values()]):
        return UNREAD
    return checked(re.sub(r"\{(\w{0,40})(?::[^{}]{0,10})?\}", found, text))


# --- functions --------------------------------------------------------------------------------------------------------


def _numbers(work: Work, arguments: list[Any]) -> list[Any] | None:
    """Return the plain numbers that min, max and sum get, as arguments or as one list."""
    parts = work.items(arguments[0]) if len(arguments) == 1 else arguments
    if parts is None or not all(isinstance(part, (int, float)) for part in parts):
        return None
    return parts


def _range(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if not all(isinstance(part, int) for part in arguments) or not 1 <= len(arguments) <= 3:
        return Unknown("its range is not known")
    if len(arguments) == 3 and arguments[2] == 0:
        return UNREAD
    made = range(*arguments)
    work.budget.make(len(made))
    return list(made)


def _length(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    items = work.items(arguments[0]) if arguments else None
    return Unknown("its length is not known") if items is None else len(items)


def _zip(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    lists = [work.items(part) for part in arguments]
    if any(part is None for part in lists):
        return Unknown("what is zipped is not known")
    made = list(zip(*[part for part in lists if part is not None]))
    work.budget.make(len(made) * len(lists))
    return made


def _enumerate(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    items = work.items(arguments[0]) if arguments else None
    start = keywords.get("start", arguments[1] if len(arguments) > 1 else 0)
    if items is None or not isinstance(start, int):
        return Unknown("what is enumerated is not known")
    work.budget.make(2 * len(items))
    return list(enumerate(items, start))


def _reversed(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    items = work.items(arguments[0]) if arguments else None
    if items is None:
        return Unknown("what is reversed is not known")
    work.budget.make(len(items))
    return items[::-1]


def _sorted(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    items = _numbers(work, arguments[:1])
    backwards = keywords.get("reverse", False)
    if items is None or "key" in keywords or not isinstance(backwards, bool):
        return UNREAD
    work.budget.make(len(items))
    return sorted(items, reverse=backwards)


def _list(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    items = work.items(arguments[0]) if arguments else []
    if items is None:
        return arguments[0] if isinstance(arguments[0], Unknown) else UNREAD
    work.budget.make(len(items))
    return items


def _tuple(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    made = _list(work, arguments, keywords)
    return tuple(made) if isinstance(made, list) else made


def _dict(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    made = dict(arguments[0]) if arguments and isinstance(arguments[0], dict) else {}
    if arguments and not isinstance(arguments[0], dict):
        for pair in work.items(arguments[0]) or []:
            if isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], (int, str)):
                made[pair[0]] = pair[1]
    work.budget.make(len(made) + len(keywords))
    return made | keywords


def _number(kind: Callable[..., Any]) -> Callable[..., Any]:
    def convert(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        if len(arguments) != 1 or not isinstance(arguments[0], (int, float, str)):
            return next((part for part in arguments if isinstance(part, Unknown)), UNREAD)
        try:
            return checked(kind(arguments[0][:40] if isinstance(arguments[0], str) else arguments[0]))
        except (ValueError, ArithmeticError):
            return UNREAD

    return convert


def _text(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    return checked(str(arguments[0])) if arguments and is_small(arguments[0]) else UNREAD


def _truth(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    known = work.truth(arguments[0]) if arguments else False
    return Unknown("the condition is not known") if known is None else known


def _of_numbers(compute: Callable[..., Any]) -> Callable[..., Any]:
    def run(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        parts = _numbers(work, arguments) if arguments else None
        return UNREAD if not parts else checked(compute(parts))

    return run


def _arithmetic(compute: Callable[..., Any], count: int = 1) -> Callable[..., Any]:
    def run(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        if not 1 <= len(arguments) <= count or not all(isinstance(part, (int, float)) for part in arguments):
            return next((part for part in arguments if isinstance(part, Unknown)), UNREAD)
        try:
            return checked(compute(*arguments))
        except (ValueError, ArithmeticError, TypeError):
            return UNREAD

    return run


def power(one: float, other: float) -> float:
    """Return a power of small numbers."""
    if abs(other) > 64 or abs(one) > 2**20:
        raise ValueError
    return one**other


def _every(quantifier: Callable[..., bool]) -> Callable[..., Any]:
    def run(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        parts = [work.truth(part) for part in (work.items(arguments[0]) if arguments else None) or [Unknown()]]
        return Unknown("the condition is not known") if None in parts else quantifier(parts)

    return run


_TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "tuple": tuple, "dict": dict}


def _is_instance(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if len(arguments) != 2 or isinstance(arguments[0], (Unknown, Tensor)):
        return Unknown("the condition is not known")
    kinds = arguments[1] if isinstance(arguments[1], tuple) else (arguments[1],)
    names = [kind.name for kind in kinds if isinstance(kind, Native)]
    if len(names) != len(kinds) or not all(name in _TYPES for name in names):
        return Unknown("the condition is not known")
    return isinstance(arguments[0], tuple(_TYPES[name] for name in names))


def _get_attribute(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if len(arguments) >= 2 and isinstance(arguments[0], Instance) and isinstance(arguments[1], str):
        if arguments[1] in arguments[0].names:
            return arguments[0].names[arguments[1]]
        return work.method(arguments[0], arguments[1]) or (arguments[2] if len(arguments) > 2 else UNREAD)
    return UNREAD


def _set_attribute(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if len(arguments) == 3 and isinstance(arguments[0], Instance) and isinstance(arguments[1], str):
        arguments[0].names[arguments[1]] = arguments[2]


def _has_attribute(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if len(arguments) == 2 and isinstance(arguments[0], Instance) and isinstance(arguments[1], str):
        return arguments[1] in arguments[0].names or arguments[0].kind.find(arguments[1]) is not None
    return UNREAD


def _map(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    items = work.items(arguments[1]) if len(arguments) == 2 else None
    if items is None:
        return UNREAD
    work.budget.make(len(items))
    return [work.call(arguments[0], [item], {}, "map") for item in items]


def _nothing(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> None:
    return None


def _callable(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    return isinstance(arguments[0], Callables) if len(arguments) == 1 else UNREAD


BUILTINS: dict[str, Native] = {
    name: Native(name, run)
    for name, run in {
        "range": _range, "len": _length, "zip": _zip, "enumerate": _enumerate, "reversed": _reversed,
        "sorted": _sorted, "list": _list, "tuple": _tuple, "dict": _dict, "set": _list, "iter": _list,
        "int": _number(int), "float": _number(float), "str": _text, "bool": _truth,
        "min": _of_numbers(min), "max": _of_numbers(max), "sum": _of_numbers(sum),
        "abs": _arithmetic(abs), "round": _arithmetic(round, 2), "pow": _arithmetic(power, 2),
        "all": _every(all), "any": _every(any), "isinstance": _is_instance, "getattr": _get_attribute,
        "setattr": _set_attribute, "hasattr": _has_attribute, "map": _map, "print": _nothing, "callable": _callable,
        "object": _nothing, "divmod": _arithmetic(divmod, 2),
    }.items()
}  # fmt: skip
MATHS: dict[str, Native] = {
    name: Native(name, _arithmetic(compute, count))
    for name, compute, count in (
        ("floor", math.floor, 1), ("ceil", math.ceil, 1), ("log2", math.log2, 1), ("log", math.log, 2),
        ("sqrt", math.sqrt, 1), ("pow", power, 2), ("power", power, 2), ("exp2", lambda value: power(2, value), 1),
        ("int32", int, 1), ("int64", int, 1), ("round", round, 1), ("abs", abs, 1), ("gcd", math.gcd, 2),
        ("maximum", max, 2), ("minimum", min, 2), ("prod", abs, 1),
    )
}  # fmt: skip


# --- methods ----------------------------------------------------------------------------------------------------------


def method(work: Work, owner: Any, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Return the result of a method of a list, tuple, text or dictionary."""
    try:
        if isinstance(owner, list):
            return _list_method(work, owner, name, arguments, keywords)
        if isinstance(owner, dict):
            return _dict_method(work, owner, name, arguments, keywords)
        if isinstance(owner, str):
            return _text_method(owner, name, arguments, keywords)
        if isinstance(owner, tuple) and name in ("as_list", "get_shape"):
            return list(owner)
    except (IndexError, KeyError, ValueError, TypeError) as error:
        work.note(f"{name}: {type(error).__name__}: {str(error)[:100]}")
        return Unknown(f"{name} fails")
    return UNREAD


def _list_method(work: Work, owner: list[Any], name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    match name, arguments:
        case "append", [value]:
            owner.append(value)
            work.budget.make(len(owner) // 8)
        case "extend", [values]:
            more = work.items(values) or []
            work.budget.make(len(owner) + len(more))
            owner.extend(more)
        case "insert", [int(place), value]:
            owner.insert(place, value)
            work.budget.make(len(owner) // 8)
        case "pop", []:
            return owner.pop()
        case "pop", [int(place)]:
            return owner.pop(place)
        case "reverse", []:
            owner.reverse()
        case "clear", []:
            owner.clear()
        case "copy", []:
            work.budget.make(len(owner))
            return list(owner)
        case "index", [value] if is_small(owner) and is_small(value):
            return owner.index(value)
        case "sort", [] if all(isinstance(part, (int, float)) for part in owner) and "key" not in keywords:
            owner.sort(reverse=keywords.get("reverse") is True)
        case _:
            return UNREAD
    return None


def _dict_method(work: Work, owner: dict[Any, Any], name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if arguments and name in ("get", "pop", "setdefault") and not isinstance(arguments[0], (int, str, tuple)):
        return UNREAD
    match name, arguments:
        case "get", [key]:
            return owner.get(key)
        case "get" | "pop", [key, default]:
            return owner.get(key, default) if name == "get" else owner.pop(key, default)
        case "pop", [key]:
            return owner.pop(key)
        case "setdefault", [key, default]:
            return owner.setdefault(key, default)
        case "keys", []:
            return list(owner)
        case "values", []:
            return list(owner.values())
        case "items", []:
            work.budget.make(2 * len(owner))
            return list(owner.items())
        case "copy", []:
            return dict(owner)
        case "update", _:
            for more in (*arguments, keywords):
                if isinstance(more, dict):
                    owner.update(more)
            work.budget.make(len(owner))
            return None
    return UNREAD


def _text_method(owner: str, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if name == "format":
        return brace_format(owner, arguments, keywords)
    if name in ("lower", "upper", "strip", "title", "capitalize", "isdigit") and not arguments:
        return getattr(owner, name)()
    if name in ("startswith", "endswith") and len(arguments) == 1 and isinstance(arguments[0], str):
        return getattr(owner, name)(arguments[0])
    if name == "join" and len(arguments) == 1 and isinstance(arguments[0], (list, tuple)):
        parts = [part for part in arguments[0] if isinstance(part, str)]
        if len(owner) * len(parts) + sum(map(len, parts)) < 10_000:
            return owner.join(parts)
    if name == "replace" and len(arguments) == 2 and all(isinstance(part, str) and part for part in arguments):
        if (len(owner) + 1) * (len(arguments[1]) + 1) < 100_000:
            return checked(owner.replace(str(arguments[0]), str(arguments[1])))
    elif name == "split" and len(owner) < 1_000 and all(isinstance(part, str) and part for part in arguments):
        return owner.split(*arguments[:1])
    return UNREAD


def plain_attribute(owner: Any, name: str) -> Any:
    """Return an attribute of a layer that is a plain argument of it."""
    if isinstance(owner, Layer):
        return owner.name if name == "name" else owner.arguments.get(name, Unknown(f"{name} is not read"))
    return Unknown(f"{name} is not read")
