"""A tutorial's own dictionary of settings (`num_unet_blocks`, `num_filters_start`, …) as a configuration."""

from __future__ import annotations

import re
from typing import Any

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.foreign.source import read_values

PRESET = "machinecurve2022"  # the tutorial whose dictionary it is
NAMES = {
    "num_unet_blocks": "depth",
    "num_filters_start": "base_filters",
    "num_filters_end": "classes",
    "input_height": "height",
    "input_width": "width",
    "input_dim": "channels",
}


def has_dictionary(text: str) -> bool:
    """Return whether a text is rather a dictionary of settings than a network."""
    return re.search(r"\bnum_(?:unet_blocks|filters_start)\b", text) is not None and "Conv2D" not in text


def dictionary_config(text: str) -> UNetConfig | None:
    """Return the network that the dictionary in a text stands for, None if there is none.

    Raises:
        ConfigError: one of its values is out of range.
        SourceError: the text is no Python.
    """
    for values in read_values(text, dict):
        if any(name in NAMES for name in values):
            return config_of(values)
    return None


def config_of(values: dict[str, Any]) -> UNetConfig:
    """Return the tutorial's network with these settings; what does not shape the network is left out.

    Raises:
        ConfigError: one of them is out of range.
    """
    changes = {NAMES[name]: value for name, value in values.items() if name in NAMES}
    return UNetConfig.from_dict(preset_config(PRESET).model_dump() | changes)
