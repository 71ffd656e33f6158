"""A run's curves while they grow: read piece by piece, smoothed, and thinned for the screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from unet_core.jobs.tables import Row, Table, is_usable
from unet_core.train.config import TrainConfig
from unet_core.train.run_directory import RunDirectory

MOST_POINTS = 600  # of one curve on a screen


@dataclass
class Curves:
    """The rows of a run's tables so far; `refresh` reads only the new ones."""

    steps: list[Row] = field(default_factory=list)
    epochs: list[Row] = field(default_factory=list)
    system: list[Row] = field(default_factory=list)
    _offsets: dict[str, int] = field(default_factory=dict)

    def refresh(self, run: RunDirectory) -> None:
        """Read the new rows; if epochs are trained again, their old rows are dropped."""
        self.steps = self._grown("steps", run.steps, self.steps)
        self.epochs = self._grown("epochs", run.metrics, self.epochs)
        self.system = self._grown("system", run.system, self.system)

    def _grown(self, name: str, table: Table, known: list[Row]) -> list[Row]:
        before = self._offsets.get(name, 0)
        rows, after = table.rows_from(before)
        self._offsets[name] = after
        return rows if after < before or not before else known + rows


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Return the exponential moving average of `values`, corrected for its start as in Adam.

    Args:
        values: one after the other; one that is not finite is returned as it is and does not change the average.
        weight: of the past, 0 (the values themselves) to below 1.
    """
    average, counted, result = 0.0, 0, []
    for value in values:
        if not math.isfinite(value):
            result.append(value)
            continue
        average, counted = weight * average + (1 - weight) * value, counted + 1
        result.append(average / (1 - weight**counted))
    return result


def thinned(items: Sequence[Any], most: int = MOST_POINTS) -> list[Any]:
    """Return at most `most` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def differences(configs: Sequence[TrainConfig]) -> dict[str, list[Any]]:
    """Return the fields in which configurations differ, by dotted name, with the value in each.

    A mixture of datasets is given by its title.
    """
    flat = [
        _flat(config.model_dump(mode="json") | ({} if isinstance(config.data, str) else {"data": config.data_title}))
        for config in configs
    ]
    names = dict.fromkeys(name for values in flat for name in values)
    found = {name: [values.get(name) for values in flat] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def column(rows: Sequence[Row], name: str) -> list[float]:
    """Return a column's values that can be drawn, in the order of the rows."""
    return [value for row in rows if is_usable(value := row.get(name, math.nan))]
