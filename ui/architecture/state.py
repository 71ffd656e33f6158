"""What the Architecture page shows, in one value that lives in the session and in the page's address.

Widgets show it and change it through `change`; the address is read when it is another than the page itself wrote: at
the first visit, from a link, and when the browser goes back.
"""

from __future__ import annotations

import dataclasses
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
MAX_NAME = 80  # characters of a layer's name
MAX_FINDINGS = 4  # shown at a time


@dataclass(frozen=True)
class View:
    """The configuration and what is looked at: a layer or block, a section, a batch size, a second configuration.

    `layer` is a layer's name or a block's key (`unet_core.architecture.table.block_keys`). `against` is the second
    configuration's own address, as `written` gives it; empty for the paper's network. `wide` gives the diagram the
    whole width of the page.
    """

    config: UNetConfig = dataclasses.field(default_factory=lambda: preset_config(DEFAULT_PRESET))
    preset: str = DEFAULT_PRESET
    layer: str = ""
    tab: str = options.TAB.default
    batch: int = options.BATCH.default
    against: str = ""
    wide: bool = False

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
    """A sentence to show once: what could not be used, or what changed along."""

    text: str
    is_error: bool = True


class Reading(NamedTuple):
    """What an address asks for as far as it can be used, and a finding for each thing that cannot."""

    view: View
    findings: tuple[str, ...] = ()


def current() -> View:
    """Return what to show, after a look at the address; call it once at the start of a run.

    Parameters of other pages and of nobody are passed over, and an address that holds nothing else asks for no other
    network: the browser's Back leaves some of them here.
    """
    view = st.session_state.setdefault(STATE, View())
    address = url.all_asked(options.OPTIONS)
    if address == st.session_state.get(SEEN) or (not address and url.has_any()):
        return view
    st.session_state[SEEN] = address
    view, findings = read(address)
    st.session_state.pop(NOTICE, None)
    if findings:
        st.session_state[NOTICE] = Notice(
            f"The address holds something that cannot be used, so it was left out. {_listed(findings)}"
        )
    st.session_state[STATE] = view
    return view


def change(notice: Notice | None = None, **fields: Any) -> None:
    """Change what is shown, and the address with it; for callbacks."""
    st.session_state[STATE] = view = dataclasses.replace(st.session_state.get(STATE, View()), **fields)
    if notice is None:
        st.session_state.pop(NOTICE, None)
    else:
        st.session_state[NOTICE] = notice
    st.session_state[SEEN] = view.parameters
    url.write_all(options.OPTIONS, view.parameters)


def refuse(error: ConfigError | str) -> None:
    """Leave everything as it is, and say why; for callbacks."""
    st.session_state[NOTICE] = Notice(_brief(error))


def notice() -> Notice | None:
    """Return the sentence that belongs to the last change, if there is one."""
    return st.session_state.get(NOTICE)


def read(parameters: Mapping[str, str]) -> Reading:
    """Return what an address asks for; each parameter that cannot be used is left out with a finding that names it."""
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
    """Return a configuration as one text, an address inside an address; it names the default preset too."""
    return urlencode({query.PRESET: preset} | query.to_query(config, preset), safe=",")


def second(text: str) -> query.Address:
    """Read what `written` gives.

    Raises:
        ConfigError: it holds what is not known or cannot be used.
    """
    try:
        return query.from_query(dict(parse_qsl(text, keep_blank_values=True, max_num_fields=60)))
    except ConfigError as error:
        findings = tuple(f"{options.AGAINST.name}.{finding}" for finding in error.findings or (str(error),))
        raise ConfigError("; ".join(findings), findings) from None
    except ValueError:
        raise ConfigError("against: has too many parameters.") from None


def _brief(error: ConfigError | str) -> str:
    """Return what is wrong, the first few findings where there are many."""
    findings = error.findings if isinstance(error, ConfigError) else ()
    return _listed(findings) if len(findings) > MAX_FINDINGS else str(error).removeprefix("UNetConfig: ")


def _listed(findings: Sequence[str]) -> str:
    more = len(findings) - MAX_FINDINGS
    return "; ".join(findings[:MAX_FINDINGS]) + (f"; and {more} more." if more > 0 else "")


# --- what is looked at ------------------------------------------------------------------------------------------------


def _tab(text: str) -> str:
    if text not in options.SECTIONS:
        raise ConfigError(f"tab: must be one of {', '.join(options.SECTIONS)}. Received: {text[:MAX_NAME]!r}")
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
        raise ConfigError("layer: no layer has a name as long as this.")
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
}
