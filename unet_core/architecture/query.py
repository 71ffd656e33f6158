"""A configuration as URL parameters and back: the preset's name, and only the fields that differ from it.

Links stay short enough to read, send and write by hand, and are still complete.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.errors import ConfigError
from unet_core.strict import parse_json_object

DEFAULT_PRESET = "ronneberger2015"
PRESET = "preset"
DOUBLING = "doubling"  # how `filters` of None is written: they double at every level
NESTED = "preprocessing."
MAX_VALUE_LENGTH = 300  # characters
MEASURED = (f"{NESTED}mean", f"{NESTED}std")  # one number per channel each
MAX_JSON_BYTES = 65_536  # a complete configuration takes about one thousand

_WHOLE = re.compile(r"[+-]?\d{1,18}")


class Difference(NamedTuple):
    """One field whose value changed."""

    field: str
    before: Any
    value: Any


class Address(NamedTuple):
    """A configuration and the preset that its address is relative to."""

    preset: str
    config: UNetConfig


def to_query(config: UNetConfig, preset: str = DEFAULT_PRESET) -> dict[str, str]:
    """Return the URL parameters: the preset, unless it is the default, and each field that differs.

    Raises:
        ConfigError: no preset has that name.
    """
    named = {} if preset == DEFAULT_PRESET else {PRESET: preset}
    return named | {difference.field: _written(difference.value) for difference in differences(config, preset)}


def from_query(parameters: Mapping[str, str]) -> Address:
    """Read what `to_query` writes; `from_query(to_query(config, preset))` is `(preset, config)`.

    Raises:
        ConfigError: a parameter is unknown or its value is invalid; the text names each one.
    """
    preset = parameters.get(PRESET, DEFAULT_PRESET)
    values = _flat(preset_config(preset[:MAX_VALUE_LENGTH]))
    findings = []
    for field, text in parameters.items():
        if field == PRESET:
            continue
        if field not in values:
            findings.append(_unknown(field, values))
        elif len(text) > MAX_VALUE_LENGTH:
            findings.append(f"{field}: may have at most {MAX_VALUE_LENGTH} characters. Received: {len(text)}")
        else:
            values[field] = _read(field, text)
    if findings:
        raise ConfigError("; ".join(findings), tuple(findings))
    return Address(preset, _whole(values))


def read_usable(parameters: Mapping[str, str]) -> tuple[Address, tuple[str, ...]]:
    """Read the valid part of an address.

    Returns:
        The configuration, and a finding for each value that was left out. Of values that conflict with each other or
        with the preset, as few as possible are left out, the last ones first.
    """
    kept, findings = dict(parameters), []
    while True:
        try:
            return from_query(kept), tuple(findings)
        except ConfigError as error:
            found = error.findings or (str(error),)
        findings.extend(finding for finding in found if finding not in findings)
        bad = {finding.partition(":")[0] for finding in found}
        usable = {
            name: text for name, text in kept.items() if not any(f"{field}.".startswith(f"{name}.") for field in bad)
        }
        kept = usable if len(usable) < len(kept) else _without_one(kept)


def _without_one(parameters: Mapping[str, str]) -> dict[str, str]:
    """Leave out the last parameter without which the others are valid, or else the very last one."""
    for left_out in reversed(list(parameters)):
        others = {name: text for name, text in parameters.items() if name != left_out}
        try:
            from_query(others)
        except ConfigError:
            continue
        return others
    return dict(list(parameters.items())[:-1])


def from_json(data: bytes) -> UNetConfig:
    """Read a configuration from an uploaded file, JSON as `UNetConfig.to_json` writes it.

    Raises:
        ConfigError: the file is too large or not such JSON, or a field is unknown or out of range.
    """
    if len(data) > MAX_JSON_BYTES:
        raise ConfigError(
            f"The file is too large for a configuration: {len(data)} bytes, at most {MAX_JSON_BYTES} are allowed."
        )
    return UNetConfig.from_dict(parse_json_object(data, "The file"))


def differences(config: UNetConfig, preset: str) -> tuple[Difference, ...]:
    """Return the fields in which `config` differs from the preset, in the order of their declaration.

    Raises:
        ConfigError: no preset has that name.
    """
    return differences_between(preset_config(preset), config)


def differences_between(one: UNetConfig, other: UNetConfig) -> tuple[Difference, ...]:
    """Return the fields whose values differ, `before` in the first configuration and `value` in the other."""
    before, values = _flat(one), _flat(other)
    return tuple(Difference(field, before[field], values[field]) for field in values if before[field] != values[field])


def nearest_preset(config: UNetConfig) -> str:
    """Return the preset with the fewest different fields, the first of several."""
    return min(PRESETS, key=lambda name: len(differences(config, name)))


@cache
def fields() -> tuple[str, ...]:
    """Return the names of all parameters except `preset`."""
    return tuple(_flat(UNetConfig()))


def _flat(config: UNetConfig) -> dict[str, Any]:
    """Return all fields, those of `preprocessing` under dotted names."""
    values = {name: getattr(config, name) for name in UNetConfig.model_fields if name != "preprocessing"}
    return values | {NESTED + name: getattr(config.preprocessing, name) for name in Preprocessing.model_fields}


def _whole(values: dict[str, Any]) -> UNetConfig:
    """Build the configuration from flat values.

    Raises:
        ConfigError: a value is invalid; every finding begins with its parameter's name.
    """
    own = {name: value for name, value in values.items() if not name.startswith(NESTED)}
    nested = {name.removeprefix(NESTED): value for name, value in values.items() if name.startswith(NESTED)}
    try:
        return UNetConfig.from_dict({**own, "preprocessing": nested})
    except ConfigError as error:
        raise ConfigError("; ".join(error.findings), error.findings) from None


def _written(value: Any) -> str:
    if value is None:
        return DOUBLING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def _read(field: str, text: str) -> Any:
    """Return the value that `text` denotes; text of the wrong type is returned as it is, and refused later."""
    kind = type(_flat(UNetConfig())[field])
    if field == "filters":
        return None if text == DOUBLING else tuple(_number(part.strip()) for part in text.split(","))
    if field in MEASURED:
        return tuple(_decimal(part) for part in text.split(","))
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind is int:
        return _number(text)
    return _decimal(text) if kind is float else text


def _decimal(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and _WHOLE.fullmatch(text) else text


def _unknown(field: str, known: Mapping[str, Any]) -> str:
    shown = field if len(field) <= 40 else field[:37] + "..."
    near = difflib.get_close_matches(field[:40], [PRESET, *known], n=1)
    return f"{shown}: is not a known field{f'; did you mean {near[0]}?' if near else ''}"
