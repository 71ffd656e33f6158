"""Configurations that are strict about what they are given: the validated base class, and JSON read with one error."""

from __future__ import annotations

from typing import Any, NamedTuple, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
)

from unet_core.errors import ConfigError


def _findings(error: Any) -> tuple[str, ...]:
    """Put one pydantic finding into sentences: field, what is allowed, what was received."""
    field = ".".join(str(part) for part in error["loc"])
    nested = error.get("ctx", {}).get("error")
    if isinstance(nested, ConfigError):  # a configuration inside this one has spoken for its own fields
        return tuple(f"{field}.{finding}" for finding in nested.findings)
    message = error["msg"].removeprefix("Value error, ")
    if not field:
        return (message,)
    if error["type"] == "extra_forbidden":
        message = "is not a known field"
    received = repr(error["input"])
    return (f"{field}: {message}. Received: {received if len(received) <= 80 else received[:77] + '...'}",)


class Strict(BaseModel):
    """Base of every configuration: frozen, no unknown fields, one readable `ConfigError` for all that is wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    def __init__(self, **values: Any) -> None:
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
            ConfigError: the text is no JSON object, or a field is unknown or out of range.
        """
        return cls.from_dict(parse_json_object(text, cls.__name__))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from plain values, refusing keys that are not field names.

        Raises:
            ConfigError: a field is unknown, missing or out of range.
        """
        return cls(**{str(key): value for key, value in values.items()})

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, validated again.

        Raises:
            ConfigError: the changed configuration is not valid.
        """
        return type(self)(**{**self.model_dump(), **changes})


def parse_json_object(text: str | bytes, name: str = "config") -> dict[str, Any]:
    """Return the fields of a JSON object; `name` says in errors what was read.

    Raises:
        ConfigError: the text is no JSON object, or names a field twice.
    """
    import json

    def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            names = [field for field, _ in pairs]
            twice = next(field for field in names if names.count(field) > 1)
            raise ConfigError(f"{name}: the field {twice!r} is there twice")
        return fields

    try:
        values = json.loads(text, object_pairs_hook=without_repetition)
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "a number is too long" if "set_int_max_str_digits" in str(error) else error
        raise ConfigError(f"{name}: this is not valid JSON ({reason})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: expected a JSON object with named fields. Received: {type(values).__name__}")
    return values


# --- what a field may be ----------------------------------------------------------------------------------------------


class Bounds(NamedTuple):
    """The least and the largest value of a number, None for none; `above` and `below` leave the end itself out."""

    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False


def owner_of(config: type[BaseModel], path: str) -> tuple[type[BaseModel], str]:
    """Return the configuration that declares a field of a dotted name, and the field's own name there."""
    *holders, name = path.split(".")
    for holder in holders:
        config = config.model_fields[holder].annotation
    return config, name


def field_bounds(config: type[BaseModel], path: str) -> Bounds:
    """Return the bounds of a field of a dotted name, as its declaration has them."""
    owner, name = owner_of(config, path)
    found = {"ge": None, "gt": None, "le": None, "lt": None}
    for constraint in owner.model_fields[name].metadata:
        found |= {end: value for end in found if (value := getattr(constraint, end, None)) is not None}
    low, high = (
        found[end] if found[end] is not None else found[strict] for end, strict in (("ge", "gt"), ("le", "lt"))
    )
    return Bounds(low, high, found["gt"] is not None, found["lt"] is not None)


def field_choices(config: type[BaseModel], path: str) -> tuple[Any, ...]:
    """Return the values that a field of a dotted name is declared to be one of."""
    owner, name = owner_of(config, path)
    return get_args(owner.model_fields[name].annotation)
