"""Vega-Lite charts as dictionaries, which the browser draws: importing Altair to write them takes 55 MB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ui.shared.lazy import pd

Spec = dict[str, Any]  # a chart, or a part of one; fresh at every call, because Streamlit changes what it draws


def data(table: pd.DataFrame) -> Spec:
    """Return the part of a chart that holds its data: named, because an unnamed table comes after the first layout."""
    return {"data": {"name": "table"}, "datasets": {"table": table}}


def nominal(field: str, **properties: Any) -> Spec:
    """Return the encoding of a column of names; `properties` are Vega-Lite's, such as `title`, `sort` and `axis`."""
    return {"field": field, "type": "nominal", **properties}


def quantitative(field: str, **properties: Any) -> Spec:
    """Return the encoding of a column of numbers; `properties` are Vega-Lite's, such as `title`, `scale` and `axis`."""
    return {"field": field, "type": "quantitative", **properties}


def colour(field: str, names: Sequence[str], colours: Sequence[str], legend: Spec | None = None) -> Spec:
    """Return the encoding of a column of `names` by the colours in their order, without a legend by default."""
    return nominal(field, scale={"domain": list(names), "range": list(colours)}, legend=legend)


def legend_above(**properties: Any) -> Spec:
    """Return a legend without a title, above the chart."""
    return {"orient": "top", "title": None, "offset": 2, **properties}


def percent_axis(ticks: int = 5) -> Spec:
    """Return an axis of shares, written in percent."""
    return {"format": "%", "tickCount": ticks}


def name_axis(limit: int, **properties: Any) -> Spec:
    """Return an axis of names, every one of them written; `limit` is the length of the longest, in pixels."""
    return {
        "ticks": False,
        "domain": False,
        "labelLimit": limit,
        "labelOverlap": False,
        "labelBound": False,
        "labelFlush": False,
        **properties,
    }
