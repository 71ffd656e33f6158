"""A training run as the lists of the Train page show it, read again only when its files change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from unet_core.architecture.trace import trace
from unet_core.errors import UNetError
from unet_core.jobs.disclosure import data_title
from unet_core.jobs.tables import Row
from unet_core.train.config import TrainConfig
from unet_core.train.run_directory import RunDirectory, State


@dataclass(frozen=True)
class Line:
    """One run of the table. `config` is None if another version of this program has written it."""

    id: str
    name: str
    title: str  # the name, with a time if several runs have it
    pinned: bool
    created: float
    state: State
    seconds: float
    epochs: int
    config: TrainConfig | None
    sweep: str  # the name of the sweep that it is a trial of, "" for none
    parameters: int | None
    rows: tuple[Row, ...]
    test_iou: float | None

    @property
    def best(self) -> float | None:
        """The highest mean IoU on validation."""
        return max((row["val_mean_iou"] for row in self.rows if "val_mean_iou" in row), default=None)


def read_line(run: RunDirectory) -> Line | None:
    """Describe a run; None if it is being deleted."""
    files = [run.path / name for name in ("status.json", "metrics.csv", "label.json", "config.json", "test.json")]
    try:
        changed = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files)
        state = run.status().shown  # a worker that has died changes no file
        return _read(str(run.path), state, changed)
    except (UNetError, OSError):
        return None


@st.cache_data(max_entries=400, show_spinner=False)
def _read(path: str, state: State, changed: tuple[int, ...]) -> Line:
    run = RunDirectory(path)
    label, status, test = run.label(), run.status(), run.test()
    try:
        config: TrainConfig | None = run.config()
    except UNetError:
        config = None
    rows = run.metrics.rows()
    return Line(
        id=run.id,
        name=label.name,
        title=label.name,
        pinned=label.pinned,
        created=label.created,
        state=state,
        seconds=sum(row.get("seconds", 0.0) for row in rows),
        epochs=status.epochs,
        config=config,
        sweep=label.sweep,
        parameters=trace(config.model).total_params if config is not None else None,
        rows=tuple(rows),
        test_iou=None if test is None else test.mean_iou,
    )


def written(value: Any) -> str:
    """Return the value of a setting as text."""
    if isinstance(value, str) and "/" in value:
        return data_title(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)
