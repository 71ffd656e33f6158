"""Strict configurations: the validated base class with readable errors, JSON input, and the bounds of fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Self, dataclass_transform, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unet_core.errors import ConfigError

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
    from pydantic_core import ErrorDetails
else:
    ModelMetaclass = type(BaseModel)

# What a value must be, by the start of pydantic's name for the error; braces are filled from the error's context.
_RULES = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "finite_number": "must be a finite number",
    "literal_error": "must be {expected}",
    "int_": "must be a whole number",
    "float_": "must be a number",
    "bool_": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "tuple_": "must be a list of values",
    "list_": "must be a list of values",
    "dict_": "must be an object with named fields",
    "model_": "must be an object with named fields",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "path_": "must be a path",
    "extra_forbidden": "is not a known field",
}


def _findings(error: ErrorDetails) -> tuple[str, ...]:
    """Return the sentences of one pydantic error: field, what is allowed, what was received."""
    field = ".".join(str(part) for part in error["loc"])
    context = error.get("ctx", {})
    nested = context.get("error")
    if isinstance(nested, ConfigError):  # a nested configuration has already named its own fields
        return tuple(f"{field}.{finding}" for finding in nested.findings)
    message = error["msg"].removeprefix("Value error, ")
    if not field:
        return (message,)
    if error["type"] == "missing":
        return (f"{field}: is missing",)
    rule = next((rule for start, rule in _RULES.items() if error["type"].startswith(start)), None)
    if rule is not None:
        message = rule.format(**{name: _plain(value) for name, value in context.items()})
        if context.get("min_length") == 1 or context.get("max_length") == 1:
            message = message.replace("characters", "character").replace("entries", "entry")
    received = repr(error["input"])
    return (f"{field}: {message}. Received: {received if len(received) <= 80 else received[:77] + '...'}",)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
class _Frozen(ModelMetaclass):
    """Declares to type checkers what `frozen=True` in `model_config` does: read-only fields, hashable values."""


class Strict(BaseModel, metaclass=_Frozen):
    """Base of every configuration: frozen, no unknown fields, one readable `ConfigError` for everything invalid."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            findings = tuple(text for entry in error.errors(include_url=False) for text in _findings(entry))
            raise ConfigError(f"{type(self).__name__}: {'; '.join(findings)}", findings) from None

    def to_json(self, indent: int | None = 2) -> str:
        """Return the configuration as JSON text; `from_json` gives back an equal one."""
        return self.model_dump_json(indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read JSON text.

        Raises:
            ConfigError: the text is not a JSON object, or a field is unknown or out of range.
        """
        return cls.from_dict(parse_json_object(text, cls.__name__))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from plain values; keys that are not field names are refused.

        Raises:
            ConfigError: a field is unknown, missing or out of range.
        """
        return cls(**{str(key): value for key, value in values.items()})

    def replace(self, /, **changes: Any) -> Self:
        """Return a validated copy with some fields changed.

        Raises:
            ConfigError: the changed configuration is not valid.
        """
        return type(self)(**{**self.model_dump(), **changes})


def parse_json_object(text: str | bytes, name: str = "config") -> dict[str, Any]:
    """Return the fields of a JSON object; errors call it `name`.

    Raises:
        ConfigError: the text is not a JSON object, or has a field twice.
    """

    def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            names = [field for field, _ in pairs]
            twice = next(field for field in names if names.count(field) > 1)
            raise ConfigError(f"{name}: the field {twice!r} appears twice")
        return fields

    try:
        values = json.loads(text, object_pairs_hook=without_repetition)
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: not valid JSON ({_json_problem(error)})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: expected a JSON object with named fields. Received: {type(values).__name__}")
    return values


def _json_problem(error: Exception) -> str:
    """Return what is wrong with a JSON text, in words that do not depend on the parser."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if "set_int_max_str_digits" in str(error):
        return "a number is too long"
    place = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
    return f"it cannot be read{place}"


# --- bounds of fields -------------------------------------------------------------------------------------------------


class Bounds(NamedTuple):
    """The smallest and largest value of a number, None if unbounded; `above` and `below` exclude the end itself."""

    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False


def owner_of(config: type[BaseModel], path: str) -> tuple[type[BaseModel], str]:
    """Return the configuration that declares the field at a dotted path, and the field's name there."""
    holder, _, rest = path.partition(".")
    if not rest:
        return config, path
    nested = config.model_fields[holder].annotation
    if not (isinstance(nested, type) and issubclass(nested, BaseModel)):
        raise ValueError(f"{holder} of {config.__name__} has no fields of its own. Received: {path!r}")
    return owner_of(nested, rest)


def field_bounds(config: type[BaseModel], path: str) -> Bounds:
    """Return the declared bounds of the field at a dotted path."""
    owner, name = owner_of(config, path)
    found = {"ge": None, "gt": None, "le": None, "lt": None}
    for constraint in owner.model_fields[name].metadata:
        found |= {end: value for end in found if (value := getattr(constraint, end, None)) is not None}
    low, high = (
        found[end] if found[end] is not None else found[strict] for end, strict in (("ge", "gt"), ("le", "lt"))
    )
    return Bounds(low, high, found["gt"] is not None, found["lt"] is not None)


def field_choices(config: type[BaseModel], path: str) -> tuple[Any, ...]:
    """Return the declared choices of the field at a dotted path."""
    owner, name = owner_of(config, path)
    return get_args(owner.model_fields[name].annotation)
