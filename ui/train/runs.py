"""All runs in one table, and a comparison of several: their curves and the settings that differ."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from ui.shared import format as text
from ui.shared import url
from ui.shared.access import my_runs
from ui.shared.lazy import pd
from ui.shared.run_status import WORDS, distinct_names
from ui.train import charts, sweeps
from ui.train.lines import Line, read_line, written
from ui.train.options import COMPARED, CURVE
from ui.train.selection import open_column
from unet_core.settings import Settings
from unet_core.train.curves import differences, thinned
from unet_core.train.run_directory import RunLabel

CHOICE = "train-compare"  # session key of the widget whose ids are kept in the URL
OPEN, TABLE = "train-open", "train-table"
SPARKS = 40
OVERLAY_AXES: tuple[charts.Axis, ...] = ("epochs", "minutes")
COLOURS_AT_MOST = len(charts.RUN_COLOURS)


def section(settings: Settings) -> bool:
    """Draw the table of the visitor's runs and the comparison of the chosen ones; return whether there is any run."""
    lines = [line for run in my_runs(settings) if (line := read_line(run)) is not None]
    if not lines:
        return False
    names = distinct_names({line.id: RunLabel(line.name, created=line.created) for line in lines})
    lines = [replace(line, title=names[line.id]) for line in lines]
    st.subheader("Runs", anchor=False)
    _table(lines)
    sweep = sweeps.choice(lines, _take)
    if sweep:
        if CHOICE not in st.session_state and not url.asked(COMPARED):  # a link to the sweep
            _take([line.id for line in sweep if line.rows])
        sweeps.trials(sweep)
    chosen = _choice(lines)
    if chosen:
        _comparison(chosen)
    return True


# --- the table --------------------------------------------------------------------------------------------------------


def _table(lines: Sequence[Line]) -> None:
    table = pd.DataFrame(
        [
            {
                "open": "Open",
                "name": f"{'★ ' if line.pinned else ''}{line.name}",
                "state": WORDS[line.state],
                "best": line.best,
                "curve": thinned([row["val_mean_iou"] for row in line.rows if "val_mean_iou" in row], SPARKS),
                "test": line.test_iou,
                "epochs": f"{len(line.rows)} / {line.epochs}",
                "time": text.duration(line.seconds) if line.rows else "–",
                "parameters": line.parameters,
                "data": line.config.data_title if line.config else "another version",
                "started": time.strftime("%d %b %H:%M", time.localtime(line.created)),
            }
            for line in lines
        ]
    ).astype({"best": float, "test": float})
    column = st.column_config
    st.dataframe(
        table,
        hide_index=True,
        height="content" if len(lines) <= 10 else 390,
        key=TABLE,
        column_config={
            "open": open_column(OPEN, [line.id for line in lines]),
            "name": column.TextColumn("Run", width=170),
            "state": "State",
            "best": column.NumberColumn("Validation IoU", format="%.3f", help="Mean IoU of the best epoch"),
            "curve": column.LineChartColumn("Curve", y_min=0, y_max=1, width=110),
            "test": column.NumberColumn("Test IoU", format="%.3f", help="Mean IoU on test photos"),
            "epochs": "Epochs",
            "time": "Time",
            "parameters": column.NumberColumn("Parameters", format="localized"),
            "data": column.TextColumn("Data", width=90),
            "started": column.TextColumn("Started", width=110),
        },
        placeholder="–",
        alt="Training runs, the newest first",
    )


def _choice(lines: Sequence[Line]) -> list[Line]:
    """Draw the choice of runs to compare, whose ids are kept in the URL."""
    usable = {line.id: line for line in lines if line.config is not None and line.rows}
    if not usable:
        return []
    linked = [run_id for run_id in url.asked(COMPARED).split(",") if run_id in usable]
    st.session_state[CHOICE] = [run_id for run_id in st.session_state.get(CHOICE, linked) if run_id in usable]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.multiselect(
            "Compare",
            list(usable),
            key=CHOICE,
            format_func=lambda run_id: usable[run_id].title,
            max_selections=COLOURS_AT_MOST,
            placeholder="Choose two or more runs to compare their curves",
            on_change=_keep_choice,
            persist_state="session",
        )
        if not chosen and len(usable) > 1:
            st.button("Newest two", key="train-newest", on_click=_take, args=(list(usable)[:2],))
    return [usable[run_id] for run_id in chosen]


def _take(ids: list[str]) -> None:
    st.session_state[CHOICE] = ids[:COLOURS_AT_MOST]
    _keep_choice()


def _keep_choice() -> None:
    url.write(COMPARED, ",".join(st.session_state[CHOICE]))


# --- the comparison ---------------------------------------------------------------------------------------------------


def _comparison(chosen: Sequence[Line]) -> None:
    sweep = chosen[0].sweep if len({line.sweep for line in chosen}) == 1 else ""
    names = [line.title.removeprefix(f"{sweep}: ") for line in chosen]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric: str = st.selectbox("Curve", [*charts.SCORES, "loss"], width=170, **CURVE.widget) or CURVE.default
        name = charts.SCORES.get(metric, metric)
        part = st.segmented_control(
            "Data", (charts.VALIDATION, charts.TRAINING), default=charts.VALIDATION, required=True, key="train-part"
        )
        axis: charts.Axis = st.segmented_control(
            "Horizontal axis", OVERLAY_AXES, default=OVERLAY_AXES[0], required=True, key="train-over"
        )
    column = name if part == charts.TRAINING else f"val_{name}"
    runs = dict(zip(names, (line.rows for line in chosen), strict=True))
    title = f"{metric}, {part}"
    left, right = st.columns([3, 2], gap="medium")
    with left:
        table = charts.overlay_table(runs, column, axis)
        spoken = ", ".join(f"{name} {line.best or 0:.3f}" for name, line in zip(names, chosen, strict=True))
        spec = charts.overlay_spec(tuple(names), title, axis)
        st.vega_lite_chart(table, spec, alt=f"{title}; best: {spoken}")
    with right:
        _differences(names, chosen)


def _differences(names: Sequence[str], chosen: Sequence[Line]) -> None:
    if len(chosen) == 1:
        st.caption("Choose another run to see which settings differ.")
        return
    found = differences([line.config for line in chosen if line.config is not None])
    if not found:
        st.markdown("**No setting differs**.")
        return
    st.markdown(f"**{len(found)} setting{'s differ' if len(found) > 1 else ' differs'}**")
    table = pd.DataFrame(
        [[name, *(written(value) for value in values)] for name, values in found.items()],
        columns=["setting", *names],
    )
    st.dataframe(table, hide_index=True, height="content" if len(found) <= 8 else 320, alt="The settings that differ")
