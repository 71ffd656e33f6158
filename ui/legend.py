"""The legend: each class with its colour, its name and its share of the photo, as a bar and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from ui import format as text
from unet_core.classes import CLASS_NAMES
from unet_core.segment.render import Colour, class_colour


def legend(
    shares: Mapping[str, float] | None = None, *, column: bool = False, colours: Sequence[Colour] | None = None
) -> None:
    """Show the classes; with `shares` (of 1, by class name in the order of the ids) also how much each one takes.

    `column` puts one class on a line with its share at the right edge, for narrow places; `colours` are those of a
    dataset that has its own.
    """
    st.html(legend_html(shares, column=column, colours=colours))


def legend_html(
    shares: Mapping[str, float] | None = None, *, column: bool = False, colours: Sequence[Colour] | None = None
) -> str:
    """Return the legend as HTML: a stacked bar of the shares, if given, over a list of swatch, name and share."""
    names = CLASS_NAMES if shares is None else tuple(shares)
    colours = colours or [class_colour(class_id) for class_id in range(len(names))]
    entries = "".join(_entry(name, colour, shares) for name, colour in zip(names, colours))
    listing = f'<div role="list" class="legend{" legend-column" * column}">{entries}</div>'
    return (_bar(shares, colours) if shares else "") + listing


def _entry(name: str, colour: Colour, shares: Mapping[str, float] | None) -> str:
    share = f"<b>{text.percent(shares[name])}</b>" if shares else ""
    return (
        f'<div role="listitem" class="legend-class">'
        f'<span class="legend-swatch" style="background:{_css(colour)}"></span>'
        f"<span>{escape(name)}</span>{share}</div>"
    )


def _bar(shares: Mapping[str, float], colours: Sequence[Colour]) -> str:
    spoken = ", ".join(f"{name} {text.percent(share)}" for name, share in shares.items())
    parts = "".join(
        f'<span style="flex:{share:.4f} 0 0;background:{_css(colour)}"></span>'
        for share, colour in zip(shares.values(), colours)
        if share > 0
    )
    return f'<div class="legend-bar" role="img" aria-label="{escape(spoken)}">{parts}</div>'


def _css(colour: Colour) -> str:
    return "rgb({},{},{})".format(*colour)
