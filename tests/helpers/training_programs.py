"""The programs of weights/training, which are no package, as modules."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from unet_core.settings import ROOT


def training_program(name: str) -> ModuleType:
    """Load weights/training/`name`.py."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"weights/training/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
