"""Charts of a dataset's statistics: class colours for classes, theme colours for everything else."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ui.shared import format as text
from ui.shared.lazy import alt, pd
from unet_core.classes import BACKGROUND, PET
from unet_core.images.render import Colour

if TYPE_CHECKING:
    Layered = alt.LayerChart | alt.FacetChart

BAR_STEP = 16  # pixels for each horizontal bar
MOST_BARS = 60
HEAT_SIDE = 300  # pixels


def hexadecimal(colour: Colour) -> str:
    """Return a colour in CSS notation."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


PET_COLOUR, OTHER_COLOUR = hexadecimal(PET.colour), hexadecimal(BACKGROUND.colour)


def shares_by_split(shares: Mapping[str, Mapping[str, float]], colours: Sequence[Colour]) -> Layered:
    """Return one stacked bar for each split, the classes in their colours, labelled with their shares."""
    names = list(next(iter(shares.values())))
    rows = [
        {"split": split, "class": name, "share": found[name], "order": index, "label": text.percent(found[name], 0)}
        for split, found in shares.items()
        for index, name in enumerate(names)
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("split:N", sort=list(shares), title=None, axis=alt.Axis(domain=False, ticks=False)),
        x=alt.X("share:Q", stack="zero", title=None, axis=None, scale=alt.Scale(domain=[0, 1])),
        order=alt.Order("order:Q"),
    )
    bars = base.mark_bar(size=22).encode(
        color=alt.Color(
            "class:N",
            scale=alt.Scale(domain=names, range=[hexadecimal(colour) for colour in colours]),
            legend=alt.Legend(orient="top", title=None, columns=6, offset=2),
        ),
        tooltip=["split:N", "class:N", alt.Tooltip("share:Q", format=".1%")],
    )
    labels = (
        base.transform_filter("datum.share >= 0.06")
        .mark_text(align="right", dx=-6, color="#10181d", fontWeight=600)
        .encode(text="label:N", detail="class:N")
    )
    return (bars + labels).properties(height=34 * len(shares) + 40)


def histogram(counts: np.ndarray, edges: np.ndarray, title: str) -> alt.Chart:
    """Return the numbers of photos by a share, which `title` names: `counts` (N,) between `edges` (N + 1,)."""
    table = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "photos": counts})
    return (
        alt.Chart(table)
        .mark_bar(color=PET_COLOUR, binSpacing=1)
        .encode(
            x=alt.X("from:Q", bin="binned", title=title, axis=alt.Axis(format="%", tickCount=6)),
            x2="to:Q",
            y=alt.Y("photos:Q", title="photos", axis=alt.Axis(tickCount=4)),
            tooltip=[
                alt.Tooltip("from:Q", format=".0%"),
                alt.Tooltip("to:Q", format=".0%"),
                alt.Tooltip("photos:Q", format=","),
            ],
        )
        .properties(height=240)
    )


def heat_map(shares: np.ndarray) -> bytes:
    """Return positions of the object as a transparent PNG: (H, W) shares of the photos in which it covers each one."""
    alpha = Image.fromarray((255 * shares).astype(np.uint8)).resize((HEAT_SIDE, HEAT_SIDE), Image.Resampling.BICUBIC)
    picture = Image.new("RGBA", alpha.size, PET.colour)
    picture.putalpha(alpha)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def photo_sizes(sizes: Sequence[tuple[tuple[int, int], int]]) -> alt.Chart:
    """Return a scatter plot of widths and heights; the area of a circle is the number of photos."""
    table = pd.DataFrame([(width, height, count) for (width, height), count in sizes], columns=["w", "h", "photos"])
    largest = int(table[["w", "h"]].to_numpy().max() * 1.08) + 1
    scale = alt.Scale(domain=[0, largest], nice=False)
    return (
        alt.Chart(table)
        .mark_circle(color=OTHER_COLOUR, opacity=0.55)
        .encode(
            x=alt.X("w:Q", title="width in pixels", scale=scale, axis=alt.Axis(tickCount=5)),
            y=alt.Y("h:Q", title="height in pixels", scale=scale, axis=alt.Axis(tickCount=5)),
            size=alt.Size("photos:Q", scale=alt.Scale(range=[12, 700]), legend=None),
            tooltip=[
                alt.Tooltip("w:Q", title="width"),
                alt.Tooltip("h:Q", title="height"),
                alt.Tooltip("photos:Q", format=","),
            ],
        )
        .properties(height=280)
    )


def bars(counts: Mapping[str, int], groups: Mapping[str, str] | None = None) -> alt.Chart:
    """Return one horizontal bar for each name, longest first, coloured by `groups` (species, by name)."""
    groups = groups or {}
    table = pd.DataFrame(
        [(text.words(name), count, groups.get(name, "").lower()) for name, count in counts.items()],
        columns=["name", "photos", "group"],
    ).nlargest(MOST_BARS, "photos")
    kinds = sorted(set(table["group"]) - {""})
    colour = (
        alt.Color(
            "group:N",
            scale=alt.Scale(domain=kinds, range=[PET_COLOUR, OTHER_COLOUR][: len(kinds)]),
            legend=alt.Legend(orient="top", title=None, offset=2),
        )
        if 1 < len(kinds) <= 2
        else alt.value(OTHER_COLOUR)
    )
    names = alt.Axis(ticks=False, domain=False, labelLimit=190, labelOverlap=False, labelBound=False, labelFlush=False)
    return (
        alt.Chart(table)
        .mark_bar(height=10)
        .encode(
            y=alt.Y("name:N", sort="-x", title=None, axis=names),
            x=alt.X("photos:Q", title="photos", axis=alt.Axis(tickCount=4)),
            color=colour,
            tooltip=["name:N", alt.Tooltip("photos:Q", format=",")],
        )
        .properties(height=BAR_STEP * len(table) + 50)
    )
