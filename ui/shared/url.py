"""A page's parameters in the address; this module alone reads and writes `st.query_params`.

Each page declares its options once, in `ui/<page>/options.py`. A parameter that no page declares is left alone. An
option that an address leaves out has its default there, so links need only name what differs.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

MAX_SHOWN = 80  # characters of a text that cannot be used
REMEMBERED = "options"  # session key: what links to each page carry, by the page's name


class Depends:
    """The default of an option whose default depends on what the page shows, such as a training preset."""


DEPENDS = Depends()


@dataclass(frozen=True)
class Option:
    """One parameter: its name, which is also its widget's key, and the value of a page whose address leaves it out."""

    name: str
    default: Any = ""
    label: Callable[[Any], str] | None = None  # as its widget's `format_func`: the address has what people read
    choices: tuple[str, ...] = ()  # all texts that the address may have; empty where that depends or it is free
    is_usable: Callable[[str], bool] | None = None  # says whether a text can be used, for what is no choice

    @property
    def widget(self) -> dict[str, Any]:
        """The arguments that bind a widget to the parameter."""
        return {"key": self.name, "bind": None if self._is_infinite() else "query-params"}

    def _is_infinite(self) -> bool:
        """Say whether the address has an infinite number, on which Streamlit's own reading fails."""
        with contextlib.suppress(ValueError):
            return math.isinf(float(asked(self)))
        return False

    def written(self, value: Any) -> str | list[str]:
        """Write a value as Streamlit does in an address."""
        return self.label(value) if self.label is not None and value is not None else _written(value)

    def refuses(self, text: str) -> bool:
        """Say whether it is certain that a text cannot be used; the widget then keeps its default."""
        if self.is_usable is not None:
            return not self.is_usable(text)
        if self.choices:
            return text not in self.choices
        return isinstance(self.default, bool) and not is_switch(text)

    def hidden(self, label: str, default: str | None = None) -> str:
        """Draw a text box that nobody sees, and return its text: only a widget lets the browser's Back undo a change.

        `default` stands in for a declared default that depends.
        """
        value = self.default if default is None else default
        return st.text_input(label, value, **self.widget, label_visibility="collapsed").strip()


def is_switch(text: str) -> bool:
    """Say whether a text is how Streamlit writes a switch."""
    return text.lower() in ("true", "false")


def declared(namespace: Mapping[str, Any]) -> tuple[Option, ...]:
    """Return the options among a module's `globals()`."""
    return tuple(value for value in namespace.values() if isinstance(value, Option))


# --- reading ----------------------------------------------------------------------------------------------------------


def asked(option: Option) -> str:
    """Return the text that the address has for an option, "" where it has none."""
    return st.query_params.get(option.name, "")


def all_asked(options: Iterable[Option]) -> dict[str, str]:
    """Return the texts that the address has for some options, by name; whatever else is there is left out."""
    names = [option.name for option in options]
    return {name: st.query_params[name] for name in names if name in st.query_params}


def refused(options: Iterable[Option]) -> list[str]:
    """Return a finding for each text in the address that a page cannot use: its name, what is allowed, what it is."""
    findings = []
    for option in options:
        text = asked(option)
        if text and option.refuses(text):
            allowed = f"must be one of {', '.join(option.choices)}" if option.choices else "cannot have this value"
            findings.append(f"{option.name}: {allowed}. Received: {text[:MAX_SHOWN]!r}")
    return findings


def has_any() -> bool:
    """Say whether the address has any parameter at all, declared or not."""
    return bool(st.query_params)


# --- writing ----------------------------------------------------------------------------------------------------------


def write(option: Option, value: Any) -> None:
    """Let the address name a value; a default leaves it. A widget that is drawn writes its parameter itself."""
    text = option.written(value)
    with contextlib.suppress(StreamlitAPIException):  # a widget that is drawn is bound to it
        if value is None or value == option.default:
            st.query_params.pop(option.name, None)
        elif st.query_params.get(option.name) != text:
            st.query_params[option.name] = text


def write_all(options: Iterable[Option], values: Mapping[str, str]) -> None:
    """Let the address name exactly these values among some options, in one entry of the browser's history."""
    names = {option.name for option in options}
    others = {name: st.query_params.get_all(name) for name in st.query_params if name not in names}
    st.query_params.from_dict(others | dict(values))


def put(option: Option, value: Any) -> None:
    """Give an option's widget a value, whether it is drawn or not; for callbacks."""
    st.session_state[option.name] = value
    write(option, value)


def forget(option: Option) -> None:
    """Let an option's widget begin with its default again; for callbacks."""
    st.session_state.pop(option.name, None)
    write(option, None)


# --- links ------------------------------------------------------------------------------------------------------------


def remember(page: str, options: Iterable[Option], defaults: Mapping[str, Any] | None = None) -> None:
    """Keep what a page's options say for the links to it: Streamlit drops widgets and address on a page change.

    Options whose default depends are kept as they were, unless `defaults` has it, by name.
    """
    kept = st.session_state.setdefault(REMEMBERED, {}).setdefault(page, {})
    for option in options:
        default = (defaults or {}).get(option.name, option.default)
        if default is DEPENDS:
            continue
        value = st.session_state.get(option.name, st.query_params.get(option.name, default))
        if value == default:
            kept.pop(option.name, None)
        else:
            kept[option.name] = option.written(value)


def remembered(page: str) -> dict[str, str | list[str]]:
    """Return the parameters of a link to a page: what was last chosen there and is not the default."""
    return st.session_state.get(REMEMBERED, {}).get(page, {})


def _written(value: Any) -> str | list[str]:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return [_written(part) for part in value] if isinstance(value, (list, tuple)) else str(value)
