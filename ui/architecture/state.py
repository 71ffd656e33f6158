"""What the Architecture page shows, in one value that lives in the session and in the page's address.

Widgets show it and change it through `change`; the address is read when it is another than the page itself wrote: at
the first visit, from a link, and when the browser goes back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from unet_core.architecture import query
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.architecture.query import DEFAULT_PRESET
from unet_core.errors import ConfigError

STATE, SEEN, NOTICE = "architecture", "architecture-address", "architecture-notice"
LAYERS, DOCTOR, MAPS, CODE, COMPARE = "Layer", "Shape doctor", "Feature maps", "Code", "Compare"
SECTIONS = (LAYERS, DOCTOR, MAPS, CODE, COMPARE)
MAX_BATCH = 4096
MAX_NAME = 80  # characters of a layer's name
MAX_FINDINGS = 4  # of them are told at a time
VIEW = {"layer": "", "tab": LAYERS, "batch": 1, "against": "", "wide": False}
OPTIONS = dict.fromkeys([query.PRESET, *query.fields()], "") | VIEW  # what the address can hold


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
    tab: str = LAYERS
    batch: int = 1
    against: str = ""
    wide: bool = False

    @property
    def parameters(self) -> dict[str, str]:
        """The address's parameters."""
        values = {name: getattr(self, name) for name in VIEW}
        shown = {name: "1" if value is True else str(value) for name, value in values.items() if value != VIEW[name]}
        return query.to_query(self.config, self.preset) | shown


@dataclass(frozen=True)
class Notice:
    """A sentence to show once: what could not be used, or what changed along."""

    text: str
    is_error: bool = True


def current(foreign: Collection[str] = ()) -> View:
    """Return what to show, after a look at the address; call it once at the start of a run.

    `foreign` names parameters that belong to other pages: they are passed over, and an address that holds nothing else
    is no wish for another network.
    """
    view = st.session_state.setdefault(STATE, View())
    whole = dict(st.query_params)
    address = {name: value for name, value in whole.items() if name not in foreign}
    if address == st.session_state.get(SEEN) or (whole and not address):
        return view
    st.session_state[SEEN] = address
    try:
        view = read(address)
    except ConfigError as error:
        st.session_state[NOTICE] = Notice(
            f"The address holds something that cannot be used, so it was left out. {_brief(error)}"
        )
    else:
        st.session_state.pop(NOTICE, None)
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
    st.query_params.from_dict(view.parameters)


def refuse(error: ConfigError | str) -> None:
    """Leave everything as it is, and say why; for callbacks."""
    st.session_state[NOTICE] = Notice(_brief(error))


def notice() -> Notice | None:
    """Return the sentence that belongs to the last change, if there is one."""
    return st.session_state.get(NOTICE)


def read(parameters: Mapping[str, str]) -> View:
    """Return what an address asks for.

    Raises:
        ConfigError: a parameter is not known or cannot be used; the text names it.
    """
    preset, config = query.from_query({name: text for name, text in parameters.items() if name not in VIEW})
    shown = {name: parameters[name] for name in VIEW if name in parameters}
    values: dict[str, Any] = dict(shown)
    if "tab" in shown and shown["tab"] not in SECTIONS:
        raise ConfigError(f"tab: must be one of {', '.join(SECTIONS)}. Received: {shown['tab'][:MAX_NAME]!r}")
    if "batch" in shown:
        values["batch"] = _batch(shown["batch"])
    if "wide" in shown:
        values["wide"] = _wide(shown["wide"])
    if len(shown.get("layer", "")) > MAX_NAME:
        raise ConfigError("layer: no layer has a name as long as this.")
    if "against" in shown:
        second(shown["against"])
    return View(config, preset, **values)


def written(config: UNetConfig, preset: str) -> str:
    """Return a configuration as one text, an address inside an address."""
    return urlencode(query.to_query(config, preset), safe=",")


def second(text: str) -> query.Address:
    """Read what `written` gives.

    Raises:
        ConfigError: it holds what is not known or cannot be used.
    """
    try:
        return query.from_query(dict(parse_qsl(text, keep_blank_values=True, max_num_fields=60)))
    except ConfigError as error:
        findings = error.findings or (str(error),)
        raise ConfigError("; ".join(f"against.{finding}" for finding in findings), findings) from None
    except ValueError:
        raise ConfigError("against: has too many parameters.") from None


def _brief(error: ConfigError | str) -> str:
    """Return what is wrong, the first few findings where there are many."""
    findings = error.findings if isinstance(error, ConfigError) else ()
    if len(findings) <= MAX_FINDINGS:
        return str(error).removeprefix("UNetConfig: ")
    return f"{'; '.join(findings[:MAX_FINDINGS])}; and {len(findings) - MAX_FINDINGS} more."


def _wide(text: str) -> bool:
    if text not in ("0", "1"):
        raise ConfigError(f"wide: must be 1 or 0. Received: {text[:MAX_NAME]!r}")
    return text == "1"


def _batch(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_BATCH):
        raise ConfigError(f"batch: must be a whole number from 1 to {MAX_BATCH}. Received: {text[:MAX_NAME]!r}")
    return int(text)
