"""Charts of a dataset's statistics, each with its data: class colours for classes, theme colours for the rest."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from ui.shared import format as text
from ui.shared.lazy import pd
from ui.shared.vega import Spec, colour, data, legend_above, name_axis, nominal, percent_axis, quantitative
from unet_core.classes import BACKGROUND, PET
from unet_core.images.render import Colour

BAR_STEP = 16  # pixels for each horizontal bar
MOST_BARS = 60
HEAT_SIDE = 300  # pixels


def hexadecimal(colour: Colour) -> str:
    """Return a colour in CSS notation."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


PET_COLOUR, OTHER_COLOUR = hexadecimal(PET.colour), hexadecimal(BACKGROUND.colour)


def shares_by_split(shares: Mapping[str, Mapping[str, float]], colours: Sequence[Colour]) -> Spec:
    """Return one stacked bar for each split, the classes in their colours, labelled with their shares."""
    names = list(next(iter(shares.values())))
    rows = [
        {"split": split, "class": name, "share": found[name], "order": index, "label": text.percent(found[name], 0)}
        for split, found in shares.items()
        for index, name in enumerate(names)
    ]
    bars = {
        "mark": {"type": "bar", "size": 22},
        "encoding": {
            "color": colour("class", names, [hexadecimal(one) for one in colours], legend_above(columns=6)),
            "tooltip": [nominal("split"), nominal("class"), quantitative("share", format=".1%")],
        },
    }
    labels = {
        "transform": [{"filter": "datum.share >= 0.06"}],
        "mark": {"type": "text", "align": "right", "dx": -6, "color": "#10181d", "fontWeight": 600},
        "encoding": {"text": nominal("label"), "detail": nominal("class")},
    }
    return {
        **data(pd.DataFrame(rows)),
        "height": 34 * len(shares) + 40,
        "encoding": {
            "y": nominal("split", sort=list(shares), title=None, axis={"domain": False, "ticks": False}),
            "x": quantitative("share", stack="zero", title=None, axis=None, scale={"domain": [0, 1]}),
            "order": quantitative("order"),
        },
        "layer": [bars, labels],
    }


def histogram(counts: np.ndarray, edges: np.ndarray, title: str) -> Spec:
    """Return the numbers of photos by a share, which `title` names: `counts` (N,) between `edges` (N + 1,)."""
    return {
        **data(pd.DataFrame({"from": edges[:-1], "to": edges[1:], "photos": counts})),
        "height": 240,
        "mark": {"type": "bar", "color": PET_COLOUR, "binSpacing": 1},
        "encoding": {
            "x": quantitative("from", bin="binned", title=title, axis=percent_axis(6)),
            "x2": {"field": "to"},
            "y": quantitative("photos", title="photos", axis={"tickCount": 4}),
            "tooltip": [
                quantitative("from", format=".0%"),
                quantitative("to", format=".0%"),
                quantitative("photos", format=","),
            ],
        },
    }


def heat_map(shares: np.ndarray) -> bytes:
    """Return positions of the object as a transparent PNG: (H, W) shares of the photos in which it covers each one."""
    alpha = Image.fromarray((255 * shares).astype(np.uint8)).resize((HEAT_SIDE, HEAT_SIDE), Image.Resampling.BICUBIC)
    picture = Image.new("RGBA", alpha.size, PET.colour)
    picture.putalpha(alpha)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def photo_sizes(sizes: Sequence[tuple[tuple[int, int], int]]) -> Spec:
    """Return a scatter plot of widths and heights; the area of a circle is the number of photos."""
    table = pd.DataFrame([(width, height, count) for (width, height), count in sizes], columns=["w", "h", "photos"])
    largest = int(table[["w", "h"]].to_numpy().max() * 1.08) + 1
    scale = {"domain": [0, largest], "nice": False}
    return {
        **data(table),
        "height": 280,
        "mark": {"type": "circle", "color": OTHER_COLOUR, "opacity": 0.55},
        "encoding": {
            "x": quantitative("w", title="width in pixels", scale=scale, axis={"tickCount": 5}),
            "y": quantitative("h", title="height in pixels", scale=scale, axis={"tickCount": 5}),
            "size": quantitative("photos", scale={"range": [12, 700]}, legend=None),
            "tooltip": [
                quantitative("w", title="width"),
                quantitative("h", title="height"),
                quantitative("photos", format=","),
            ],
        },
    }


def bars(counts: Mapping[str, int], groups: Mapping[str, str] | None = None) -> Spec:
    """Return one horizontal bar for each name, longest first, coloured by `groups` (species, by name)."""
    groups = groups or {}
    table = pd.DataFrame(
        [(text.words(name), count, groups.get(name, "").lower()) for name, count in counts.items()],
        columns=["name", "photos", "group"],
    ).nlargest(MOST_BARS, "photos")
    kinds = sorted(set(table["group"]) - {""})
    by_group = 1 < len(kinds) <= 2
    return {
        **data(table),
        "height": BAR_STEP * len(table) + 50,
        "mark": {"type": "bar", "height": 10},
        "encoding": {
            "y": nominal("name", sort="-x", title=None, axis=name_axis(190)),
            "x": quantitative("photos", title="photos", axis={"tickCount": 4}),
            "color": colour("group", kinds, [PET_COLOUR, OTHER_COLOUR], legend_above())
            if by_group
            else {"value": OTHER_COLOUR},
            "tooltip": [nominal("name"), quantitative("photos", format=",")],
        },
    }
