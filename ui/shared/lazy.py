"""Modules that are large and slow to import, imported at their first use: pandas takes 66 MB."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any


class LazyModule:
    """Stands for a module until one of its attributes is asked for; safe with several threads.

    `importlib.util.LazyLoader` is not, before Python 3.12.3.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


if TYPE_CHECKING:
    import pandas as pd
else:
    pd = LazyModule("pandas")

__all__ = ["pd"]
