"""The state of the Architecture page: one value, stored in the session and in the page's address.

Widgets change it through `change`. The address is read when it differs from the one that the page wrote: at the first
visit, from a link, and when the browser goes back.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from ui.architecture import options
from ui.shared import url
from unet_core.architecture import query
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.architecture.query import DEFAULT_PRESET
from unet_core.errors import ConfigError

STATE, SEEN, NOTICE = "architecture", "architecture-address", "architecture-notice"
MAX_BATCH = 4096
_SWITCH = rf"skip[1-9]-({'|'.join(options.GATE_STATES[1:])})"
MAX_NAME = 80  # characters of a layer's name
MAX_FINDINGS = 4  # shown at once


@dataclass(frozen=True)
class View:
    """The configuration and what is shown of it: a layer or block, a section, a batch size, a second configuration.

    `layer` is a layer's name or a block's key (`unet_core.architecture.table.block_keys`). `against` is the second
    configuration's address, as `written` returns it; empty for the paper's network. `wide` shows the diagram in the
    full width of the page. `experiment` is one of `options.EXPERIMENTS`, `switched` what one of them changes on skip
    connections, see `switches`.
    """

    config: UNetConfig = dataclasses.field(default_factory=lambda: preset_config(DEFAULT_PRESET))
    preset: str = DEFAULT_PRESET
    layer: str = ""
    tab: str = options.TAB.default
    batch: int = options.BATCH.default
    against: str = ""
    wide: bool = False
    experiment: str = options.SHOWN_EXPERIMENT.default
    switched: str = ""

    @property
    def switches(self) -> dict[str, str]:
        """The state of each skip connection that is not on, by its name."""
        return dict(part.split("-") for part in self.switched.split(".") if part)

    @property
    def parameters(self) -> dict[str, str]:
        """The address's parameters."""
        values = {option: getattr(self, option.name) for option in options.VIEW}
        shown = {
            option.name: "1" if value is True else str(value)
            for option, value in values.items()
            if value != option.default
        }
        return query.to_query(self.config, self.preset) | shown


@dataclass(frozen=True)
class Notice:
    """A sentence to show once: what was invalid, or what else changed."""

    text: str
    is_error: bool = True


class Reading(NamedTuple):
    """The valid part of an address, and a finding for each invalid parameter."""

    view: View
    findings: tuple[str, ...] = ()


def current() -> View:
    """Return the state, updated from the address; call it once at the start of a run.

    Unknown parameters and those of other pages are ignored, and an address with nothing else leaves the state as it is:
    the browser's Back leaves such parameters here.
    """
    view = st.session_state.setdefault(STATE, View())
    address = url.all_asked(options.OPTIONS)
    if address == st.session_state.get(SEEN) or (not address and url.has_any()):
        return view
    st.session_state[SEEN] = address
    view, findings = read(address)
    st.session_state.pop(NOTICE, None)
    if findings:
        st.session_state[NOTICE] = Notice(f"Parts of the address are invalid and were ignored. {_listed(findings)}")
    st.session_state[STATE] = view
    return view


def change(notice: Notice | None = None, **fields: Any) -> None:
    """Change the state and the address; for callbacks."""
    st.session_state[STATE] = view = dataclasses.replace(st.session_state.get(STATE, View()), **fields)
    if notice is None:
        st.session_state.pop(NOTICE, None)
    else:
        st.session_state[NOTICE] = notice
    st.session_state[SEEN] = view.parameters
    url.write_all(options.OPTIONS, view.parameters)


def choose(name: str) -> None:
    """Select a layer by its name, a block by its key, or nothing (""); for callbacks."""
    change(notice(), layer=name)


def change_batch(size: int | None) -> None:
    """Change the batch size, or show why it is refused; for callbacks."""
    try:
        change(batch=_batch("1" if size is None else str(size)))
    except ConfigError as error:
        refuse(error)


def refuse(error: ConfigError | str) -> None:
    """Show why a change was refused; for callbacks."""
    st.session_state[NOTICE] = Notice(_brief(error))


def notice() -> Notice | None:
    """Return the notice of the last change, if any."""
    return st.session_state.get(NOTICE)


def read(parameters: Mapping[str, str]) -> Reading:
    """Read an address; each invalid parameter is left out, with a finding that names it."""
    names = {option.name for option in options.NETWORK}
    (preset, config), findings = query.read_usable({name: value for name, value in parameters.items() if name in names})
    values: dict[str, Any] = {}
    for name, parse in _PARSERS.items():
        try:
            if name in parameters:
                values[name] = parse(parameters[name])
        except ConfigError as error:
            findings += error.findings or (str(error),)
    return Reading(View(config, preset, **values), findings)


def written(config: UNetConfig, preset: str) -> str:
    """Return a configuration as one URL-encoded text; it always names the preset."""
    return urlencode({query.PRESET: preset} | query.to_query(config, preset), safe=",")


def file_stem(view: View) -> str:
    """Return the name of the network's downloads without ending: its preset, and a hash of the changes, if any."""
    name = f"unet_{view.preset.replace('+', '_')}"
    changes = query.differences(view.config, view.preset)
    if not changes:
        return name
    return f"{name}_changed_{hashlib.sha256(repr(changes).encode()).hexdigest()[:6]}"


def second(text: str) -> query.Address:
    """Read what `written` returns.

    Raises:
        ConfigError: a parameter is unknown or invalid.
    """
    try:
        return query.from_query(dict(parse_qsl(text, keep_blank_values=True, max_num_fields=60)))
    except ConfigError as error:
        findings = tuple(f"{options.AGAINST.name}.{finding}" for finding in error.findings or (str(error),))
        raise ConfigError("; ".join(findings), findings) from None
    except ValueError:
        raise ConfigError("against: has too many parameters.") from None


def _brief(error: ConfigError | str) -> str:
    """Return the error's text, or its first findings if there are many."""
    findings = error.findings if isinstance(error, ConfigError) else ()
    return _listed(findings) if len(findings) > MAX_FINDINGS else str(error).removeprefix("UNetConfig: ")


def _listed(findings: Sequence[str]) -> str:
    more = len(findings) - MAX_FINDINGS
    return "; ".join(findings[:MAX_FINDINGS]) + (f"; and {more} more." if more > 0 else "")


# --- the page's own parameters ----------------------------------------------------------------------------------------


def _tab(text: str) -> str:
    if text not in options.SECTIONS:
        raise ConfigError(f"tab: must be one of {', '.join(options.SECTIONS)}. Received: {text[:MAX_NAME]!r}")
    return text


def _experiment(text: str) -> str:
    if text not in options.EXPERIMENTS:
        raise ConfigError(f"experiment: must be one of {', '.join(options.EXPERIMENTS)}. Received: {text[:MAX_NAME]!r}")
    return text


def _switched(text: str) -> str:
    if not re.fullmatch(rf"({_SWITCH}(\.{_SWITCH})*)?", text):
        raise ConfigError(
            f"switched: must name skip connections and states, such as skip1-Half.skip4-Off. Received: "
            f"{text[:MAX_NAME]!r}"
        )
    return text


def _wide(text: str) -> bool:
    if text not in ("0", "1"):
        raise ConfigError(f"wide: must be 1 or 0. Received: {text[:MAX_NAME]!r}")
    return text == "1"


def _batch(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_BATCH):
        raise ConfigError(f"batch: must be a whole number from 1 to {MAX_BATCH}. Received: {text[:MAX_NAME]!r}")
    return int(text)


def _layer(text: str) -> str:
    if len(text) > MAX_NAME:
        raise ConfigError("layer: no layer has a name this long.")
    return text


def _against(text: str) -> str:
    second(text)
    return text


_PARSERS: dict[str, Callable[[str], Any]] = {
    options.LAYER.name: _layer,
    options.TAB.name: _tab,
    options.BATCH.name: _batch,
    options.AGAINST.name: _against,
    options.WIDE.name: _wide,
    options.SHOWN_EXPERIMENT.name: _experiment,
    options.SWITCHED.name: _switched,
}
