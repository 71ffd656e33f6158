"""The library behind U-Net Studio: configurations, exact shapes, models, data, training and segmentation.

Its public names are those in `__all__`. They are imported on first use, so that `import unet_core` brings neither
TensorFlow nor Keras; what needs them says so.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unet_core.architecture.config import Preprocessing, UNetConfig
    from unet_core.architecture.doctor import diagnose
    from unet_core.architecture.presets import preset_config as preset
    from unet_core.architecture.presets import presets
    from unet_core.architecture.trace import trace
    from unet_core.errors import ConfigError, UNetError
    from unet_core.models import build

__version__ = "0.1.0"
__all__ = [
    "ConfigError",
    "Preprocessing",
    "UNetConfig",
    "UNetError",
    "build",
    "diagnose",
    "preset",
    "presets",
    "trace",
]

_HOMES = {
    "ConfigError": "errors:ConfigError",
    "Preprocessing": "architecture.config:Preprocessing",
    "UNetConfig": "architecture.config:UNetConfig",
    "UNetError": "errors:UNetError",
    "build": "models:build",
    "diagnose": "architecture.doctor:diagnose",
    "preset": "architecture.presets:preset_config",
    "presets": "architecture.presets:presets",
    "trace": "architecture.trace:trace",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
