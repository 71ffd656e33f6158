"""A page's parameters in the address; only this module reads and writes `st.query_params`.

Each page declares its options once, in `ui/<page>/options.py`. Parameters that no page declares are left alone. An
option missing from an address has its default, so links name only what differs.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from unet_core.jobs.names import has_unshown

MAX_SHOWN = 80  # characters of an invalid value
MAX_LENGTH = 4_000  # characters of a value; a whole augmentation as JSON has about a tenth
REMEMBERED = "options"  # session key: the parameters of links to each page, by the page's name


class Depends:
    """The default of an option whose default depends on what the page shows, such as a training preset."""


DEPENDS = Depends()


@dataclass(frozen=True)
class Option:
    """One parameter: its name, which is also its widget's key, and its default."""

    name: str
    default: Any = ""
    label: Callable[[Any], str] | None = None  # its widget's `format_func`, since the address has the labels
    choices: tuple[str, ...] = ()  # all allowed values; empty if they depend on the page, or any text is allowed
    is_usable: Callable[[str], bool] | None = None  # checks a value that is not a choice

    @property
    def widget(self) -> dict[str, Any]:
        """The arguments that bind a widget to the parameter."""
        unreadable = self._is_infinite() or is_malformed(st.query_params.get(self.name, ""))
        return {"key": self.name, "bind": None if unreadable else "query-params"}

    def _is_infinite(self) -> bool:
        """Return whether the address has an infinite number, which Streamlit cannot parse."""
        with contextlib.suppress(ValueError):
            return math.isinf(float(asked(self)))
        return False

    def written(self, value: Any) -> str | list[str]:
        """Write a value as Streamlit does in an address."""
        return self.label(value) if self.label is not None and value is not None else _written(value)

    def refuses(self, text: str) -> bool:
        """Return whether a text is certainly invalid; the widget then keeps its default."""
        if self.is_usable is not None:
            return not self.is_usable(text)
        if self.choices:
            return text not in self.choices
        return isinstance(self.default, bool) and not is_switch(text)

    def hidden(self, label: str, default: str | None = None) -> str:
        """Draw an invisible text box and return its text: only a widget lets the browser's Back button undo a change.

        `default` replaces a declared default of `DEPENDS`.
        """
        value = self.default if default is None else default
        return st.text_input(label, value, **self.widget, label_visibility="collapsed").strip()


def is_switch(text: str) -> bool:
    """Return whether a text is how Streamlit writes a switch."""
    return text.lower() in ("true", "false")


def declared(namespace: Mapping[str, Any]) -> tuple[Option, ...]:
    """Return the options among a module's `globals()`."""
    return tuple(value for value in namespace.values() if isinstance(value, Option))


# --- reading ----------------------------------------------------------------------------------------------------------


def is_malformed(text: str) -> bool:
    """Return whether no option can have a text of the address, which is then treated as if it were absent."""
    return len(text) > MAX_LENGTH or has_unshown(text)


def asked(option: Option) -> str:
    """Return an option's text in the address, "" if it is not there or malformed."""
    text = st.query_params.get(option.name, "")
    return "" if is_malformed(text) else text


def all_asked(options: Iterable[Option]) -> dict[str, str]:
    """Return the texts in the address for some options, by name."""
    names = [option.name for option in options]
    found = {name: st.query_params[name] for name in names if name in st.query_params}
    return {name: text for name, text in found.items() if not is_malformed(text)}


def refused(options: Iterable[Option]) -> list[str]:
    """Return a message for each invalid value in the address: its name, what is allowed, and what was received."""
    findings = []
    for option in options:
        text = st.query_params.get(option.name, "")
        if is_malformed(text):
            found = "control or invisible characters" if has_unshown(text) else f"{len(text)} characters"
            findings.append(f"{option.name}: cannot have {found}. Received: {text[:MAX_SHOWN]!r}")
        elif text and option.refuses(text):
            allowed = f"must be one of {', '.join(option.choices)}" if option.choices else "cannot have this value"
            findings.append(f"{option.name}: {allowed}. Received: {text[:MAX_SHOWN]!r}")
    return findings


def has_any() -> bool:
    """Return whether the address has any parameter, declared or not."""
    return bool(st.query_params)


# --- writing ----------------------------------------------------------------------------------------------------------


def write(option: Option, value: Any) -> None:
    """Put a value into the address; a default is removed from it. A drawn widget writes its parameter itself."""
    text = option.written(value)
    with contextlib.suppress(StreamlitAPIException):  # a drawn widget is bound to it
        if value is None or value == option.default:
            st.query_params.pop(option.name, None)
        elif st.query_params.get(option.name) != text:
            st.query_params[option.name] = text


def write_all(options: Iterable[Option], values: Mapping[str, str]) -> None:
    """Set some options in the address to exactly these values, in one entry of the browser's history."""
    names = {option.name for option in options}
    others = {name: st.query_params.get_all(name) for name in st.query_params if name not in names}
    st.query_params.from_dict(others | dict(values))


def replace(values: Mapping[str, str]) -> None:
    """Set the whole address of the page to exactly these values, in one entry of the browser's history."""
    st.query_params.from_dict(dict(values))


def put(option: Option, value: Any) -> None:
    """Set an option's widget, drawn or not; for callbacks."""
    st.session_state[option.name] = value
    write(option, value)


def forget(option: Option) -> None:
    """Reset an option's widget to its default; for callbacks."""
    st.session_state.pop(option.name, None)
    write(option, None)


# --- links ------------------------------------------------------------------------------------------------------------


def remember(page: str, options: Iterable[Option], defaults: Mapping[str, Any] | None = None) -> None:
    """Store a page's options for links to it, because Streamlit drops widgets and address on a page change.

    Options with the default `DEPENDS` stay unchanged, unless `defaults` has one for their name.
    """
    kept = st.session_state.setdefault(REMEMBERED, {}).setdefault(page, {})
    for option in options:
        default = (defaults or {}).get(option.name, option.default)
        if default is DEPENDS:
            continue
        text = asked(option)
        value = st.session_state.get(option.name, default if option.refuses(text) else text or default)
        if value == default:
            kept.pop(option.name, None)
        else:
            kept[option.name] = option.written(value)


def remembered(page: str) -> dict[str, str | list[str]]:
    """Return the parameters of a link to a page: the last choices there that are not defaults."""
    return st.session_state.get(REMEMBERED, {}).get(page, {})


def last_number(page: str, option: Option, low: float, high: float) -> float:
    """Return a page's last choice of a number whose widget may not be drawn; the default for an unusable address."""
    with contextlib.suppress(ValueError):
        number = float(str(remembered(page).get(option.name, option.default)))
        if low <= number <= high:
            return number
    return option.default


def last_switch(page: str, option: Option) -> bool:
    """Return a page's last choice of a switch whose widget may not be drawn."""
    return str(remembered(page).get(option.name, option.default)).lower() == "true"


def _written(value: Any) -> str | list[str]:
    return [_text(part) for part in value] if isinstance(value, (list, tuple)) else _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
