"""The library behind U-Net Studio: configurations, exact shapes, models, data, training and segmentation.

The public names are listed in `__all__` and imported on first use, so that `import unet_core` loads neither
TensorFlow nor Keras.

`segment` and `train` are both functions and subpackages: `unet_core.segment("cat.jpg")` and
`from unet_core.segment import Segmenter` both work, in either order.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unet_core.architecture.config import Preprocessing, UNetConfig
    from unet_core.architecture.doctor import diagnose
    from unet_core.architecture.presets import preset_config as preset
    from unet_core.architecture.presets import presets
    from unet_core.architecture.trace import trace
    from unet_core.errors import ConfigError, UNetError
    from unet_core.models import build
    from unet_core.train.config import TrainConfig
    from unet_core.train.fit import train
    from unet_core.train.use_model import evaluate, export, segment

__version__ = "0.1.0"
__all__ = [
    "ConfigError",
    "Preprocessing",
    "TrainConfig",
    "UNetConfig",
    "UNetError",
    "build",
    "diagnose",
    "evaluate",
    "export",
    "preset",
    "presets",
    "segment",
    "trace",
    "train",
]

_HOMES = {
    "ConfigError": "errors:ConfigError",
    "Preprocessing": "architecture.config:Preprocessing",
    "TrainConfig": "train.config:TrainConfig",
    "UNetConfig": "architecture.config:UNetConfig",
    "UNetError": "errors:UNetError",
    "build": "models:build",
    "diagnose": "architecture.doctor:diagnose",
    "evaluate": "train.use_model:evaluate",
    "export": "train.use_model:export",
    "preset": "architecture.presets:preset_config",
    "presets": "architecture.presets:presets",
    "segment": "train.use_model:segment",
    "trace": "architecture.trace:trace",
    "train": "train.fit:train",
}
_CALLABLE_PACKAGES = ("segment", "train")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _CALLABLE_PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    found = globals()[name] = _public(name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def _public(name: str) -> Any:
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)


class _CallablePackage(ModuleType):
    """A subpackage that can be called like the public function of the same name."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._function()(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._function())

    def _function(self) -> Any:
        return _public(self.__name__.rpartition(".")[2])


class _Face(ModuleType):
    """This package: makes the subpackages in `_CALLABLE_PACKAGES` callable when they are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CALLABLE_PACKAGES and type(value) is ModuleType:
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
