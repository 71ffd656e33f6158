"""The legend: each class with its colour, its name and its share of the photo, as a bar and as text."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import streamlit as st

from ui import format as text
from unet_core.classes import CLASS_NAMES
from unet_core.segment.render import class_colour


def legend(shares: Mapping[str, float] | None = None, *, column: bool = False) -> None:
    """Show the classes; with `shares` (of 1, by class name in the order of the ids) also how much each one takes.

    `column` puts one class on a line with its share at the right edge, for narrow places.
    """
    st.html(legend_html(shares, column=column))


def legend_html(shares: Mapping[str, float] | None = None, *, column: bool = False) -> str:
    """Return the legend as HTML: a stacked bar of the shares, if given, over a list of swatch, name and share."""
    names = CLASS_NAMES if shares is None else tuple(shares)
    entries = "".join(_entry(class_id, name, shares) for class_id, name in enumerate(names))
    listing = f'<div role="list" class="legend{" legend-column" * column}">{entries}</div>'
    return (_bar(shares) if shares else "") + listing


def _entry(class_id: int, name: str, shares: Mapping[str, float] | None) -> str:
    share = f"<b>{text.percent(shares[name])}</b>" if shares else ""
    return (
        f'<div role="listitem" class="legend-class">'
        f'<span class="legend-swatch" style="background:{_css(class_id)}"></span>'
        f"<span>{escape(name)}</span>{share}</div>"
    )


def _bar(shares: Mapping[str, float]) -> str:
    spoken = ", ".join(f"{name} {text.percent(share)}" for name, share in shares.items())
    parts = "".join(
        f'<span style="flex:{share:.4f} 0 0;background:{_css(class_id)}"></span>'
        for class_id, share in enumerate(shares.values())
        if share > 0
    )
    return f'<div class="legend-bar" role="img" aria-label="{escape(spoken)}">{parts}</div>'


def _css(class_id: int) -> str:
    return "rgb({},{},{})".format(*class_colour(class_id))
