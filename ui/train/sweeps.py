"""The trials of one sweep: the varied fields beside the score, and how the score follows each field."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from ui.shared.lazy import pd
from ui.shared.run_status import WORDS
from ui.train import charts
from ui.train.lines import Line, written
from ui.train.options import SWEEP
from ui.train.selection import open_column
from unet_core.train.curves import differences

OPEN, TABLE, FIELD = "train-sweep-open", "train-sweep-table", "train-sweep-field"


def choice(lines: Sequence[Line], compare: Callable[[list[str]], None]) -> list[Line]:
    """Draw the choice of a sweep if there is one, and return its trials, the best first.

    Args:
        lines: all runs of the visitor.
        compare: called with the trials' ids, the best first, when a sweep is chosen.
    """
    names = list(dict.fromkeys(line.sweep for line in lines if line.sweep and line.config is not None))
    if not names:
        return []

    def chosen() -> None:
        compare([line.id for line in ranked(lines, st.session_state[SWEEP.name]) if line.rows])

    name = st.selectbox(
        "Sweep",
        names,
        index=None,
        placeholder="Choose a sweep to see its trials",
        width=380,
        on_change=chosen,
        **SWEEP.widget,
    )
    return ranked(lines, name or "")


def ranked(lines: Sequence[Line], name: str) -> list[Line]:
    """Return the trials of a sweep, the best score first and those without one last."""
    trials = [line for line in lines if name and line.sweep == name and line.config is not None]
    return sorted(trials, key=lambda line: -math.inf if line.best is None else line.best, reverse=True)


def trials(lines: Sequence[Line]) -> None:
    """Draw the table of a sweep's trials and the chart of one field against the score.

    Args:
        lines: of `choice`.
    """
    varied = differences([line.config for line in lines if line.config is not None])
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _table(lines, varied)
    with right:
        _chart(lines, varied)


def _table(lines: Sequence[Line], varied: dict[str, list[Any]]) -> None:
    table = pd.DataFrame(
        [
            {
                "open": "Open",
                "score": line.best,
                **{field: written(values[place]) for field, values in varied.items()},
                "epochs": f"{len(line.rows)} / {line.epochs}",
                "state": WORDS[line.state],
            }
            for place, line in enumerate(lines)
        ]
    ).astype({"score": float})
    column = st.column_config
    st.dataframe(
        table,
        hide_index=True,
        height="content" if len(lines) <= 10 else 390,
        key=TABLE,
        column_config={
            "open": open_column(OPEN, [line.id for line in lines]),
            "score": column.NumberColumn("Validation IoU", format="%.3f", help="Mean IoU of the best epoch"),
            **{field: column.TextColumn(field) for field in varied},
            "epochs": "Epochs",
            "state": "State",
        },
        placeholder="–",
        alt=f"Trials of the sweep {lines[0].sweep}, the best first",
    )


def _chart(lines: Sequence[Line], varied: dict[str, list[Any]]) -> None:
    scored = [place for place, line in enumerate(lines) if line.best is not None]
    if not varied or not scored:
        st.caption("The chart appears once trials that differ have a score.")
        return
    field = next(iter(varied))
    if len(varied) > 1:
        field = st.selectbox("Field", list(varied), key=FIELD, width=260) or field
    values = [varied[field][place] for place in scored]
    axis = charts.field_axis(values)
    table = pd.DataFrame(
        {
            "x": values if axis != "named" else [written(value) for value in values],
            "score": [lines[place].best for place in scored],
            "trial": [_title(varied, place) for place in scored],
            "epochs": [f"{len(lines[place].rows)} of {lines[place].epochs}" for place in scored],
            "whole": [lines[place].state == "finished" for place in scored],
        }
    )
    best = _title(varied, 0)
    st.vega_lite_chart(
        table,
        charts.field_spec(field, axis, charts.field_domain(values, axis)),
        alt=f"Validation IoU of {len(scored)} trials by {field}; best: {best} with {lines[0].best or 0:.3f}",
    )
    if not table["whole"].all():
        st.caption("Hollow: not trained to the end.")


def _title(varied: dict[str, list[Any]], place: int) -> str:
    return ", ".join(f"{field} {written(values[place])}" for field, values in varied.items())
