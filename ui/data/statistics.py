"""Statistics: class shares, sizes, positions and breeds of a dataset, in charts."""

from __future__ import annotations

import streamlit as st

from ui.data import charts, options
from ui.data.catalogue import Opened
from ui.shared import format as text
from ui.shared.vega import Spec
from unet_core.data.statistics import Statistics

ALL = options.PART.default


def section(opened: Opened) -> None:
    """Draw the dataset's statistics, for all photos or one split."""
    splits = list(opened.catalogue.statistics().split_counts)
    part = st.segmented_control(
        "Split", [ALL, *splits], default=ALL, required=True, label_visibility="collapsed",
        **options.PART.widget,
    )  # fmt: skip
    shown = opened.catalogue.statistics(part if part in splits else None)
    thing = opened.thing
    _figures(shown, opened)
    by_split = {split: opened.catalogue.statistics(split).class_shares for split in splits}
    left, right = st.columns(2)
    with left:
        _card(
            "Class shares",
            charts.shares_by_split({"all": opened.catalogue.statistics().class_shares} | by_split, opened.colours),
            "If the splits differ here, test scores are misleading.",
            "Share of each class in every split",
        )
        _card(
            f"{thing.capitalize()} size",
            charts.histogram(shown.pet_share_counts, shown.pet_share_edges, "share of the photo"),
            f"Share of the photo that the {thing} covers{', border included' if thing == 'pet' else ''}.",
            f"Histogram of the share of the photo that the {thing} covers",
        )
    with right:
        _card(
            "Photo sizes",
            charts.photo_sizes(shown.photo_sizes),
            "Each circle is one size; all photos are resized to the network's input size.",
            "Widths and heights of the photos",
        )
        if shown.breed_counts:
            _card(
                f"Photos per {opened.breed}",
                charts.bars(shown.breed_counts, shown.breed_species),
                "A network learns frequent examples best.",
                f"Photos of each {opened.breed}",
            )
    with left if shown.breed_counts else right, st.container(border=True):  # balances the columns
        st.markdown(f"**{thing.capitalize()} position**")
        with st.container(horizontal_alignment="center"):
            spoken = f"Heat map of how often the {thing} covers each position in the photo"
            st.image(charts.heat_map(shown.heat_map), width=charts.HEAT_SIDE, alt=spoken)
        st.caption(_heat_sentence(shown, thing))


def _figures(shown: Statistics, opened: Opened) -> None:
    species = " · ".join(f"{text.number(count)} {name.lower()}s" for name, count in shown.species_counts.items())

    (width, height), count = shown.photo_sizes[0] if shown.photo_sizes else ((0, 0), 0)
    with st.grid(4, min_column_width=170):
        st.metric("Photos", text.number(shown.photos), border=True, help=species or None)
        st.metric(f"Mean {opened.thing} size", text.percent(float(shown.heat_map.mean()), 0), border=True)
        st.metric(
            "Most common size in px", f"{width} {text.TIMES} {height}", border=True, help=f"{text.number(count)} photos"
        )
        if shown.breed_counts:
            st.metric(f"{opened.breed.capitalize()}s", text.number(len(shown.breed_counts)), border=True)
        else:
            st.metric("Classes", text.number(len(shown.class_shares)), border=True)


def _heat_sentence(shown: Statistics, thing: str) -> str:
    rows, columns = shown.heat_map.shape
    middle = shown.heat_map[rows // 2 - 2 : rows // 2 + 2, columns // 2 - 2 : columns // 2 + 2].mean()
    corners = shown.heat_map[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
    return (
        f"The centre is {thing} in {text.percent(float(middle), 0)} of the photos, a corner in "
        f"{text.percent(float(corners), 0)}: shifts and zooms in training keep a network from learning positions."
    )


def _card(title: str, chart: Spec, sentence: str, spoken: str) -> None:
    with st.container(border=True):
        st.markdown(f"**{title}**")
        st.vega_lite_chart(chart, alt=spoken)
        st.caption(sentence)
