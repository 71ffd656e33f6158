"""Two models or two inference modes on one photo: side by side, their differences and their agreement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from ui.segment import options, queue
from ui.segment.inference import choose, named
from ui.segment.pictures import big_picture, encoded, wipe
from ui.segment.session_results import Choice, Result
from ui.segment.workspace import Workspace
from ui.shared import format as text
from ui.shared.lazy import pd
from ui.shared.legend import legend
from ui.shared.models import ModelChoice, ready
from unet_core.errors import UNetError
from unet_core.images import render
from unet_core.images.render import Colour
from unet_core.segment import Failure, Segmentation
from unet_core.segment.compare import Comparison, compare
from unet_core.settings import Settings
from unet_core.zoo.manifest import WeightsError

DIFFERENCE, SIDE, WIPE = "difference", "side by side", "slider"


def compare_section(
    workspace: Workspace,
    first: Result,
    models: Sequence[ModelChoice],
    colours: tuple[Colour | None, ...],
    settings: Settings,
) -> None:
    """Draw the choice of the second model and mode, and the comparison."""
    kind = st.segmented_control(
        "Show", (DIFFERENCE, SIDE, WIPE), default=DIFFERENCE, required=True,
        label_visibility="collapsed", **options.DIFFERENCE.widget,
    )  # fmt: skip
    picture, details = st.columns([7, 3], gap="medium")
    with details:
        with st.popover("Choose B", icon=":material/tune:", width="stretch", key="second"):
            choice = choose(models, beside=first.choice.model)
        a, b = (text.plain(named(each, models)) for each in (first.choice, choice))
        st.markdown(f"**A** {a}  \n**B** {b}")
    second = _second(workspace, first, choice, settings)
    if second is None:
        return
    one, two = first.shown(), second.shown()
    try:
        found = compare(one, two, names=("A", "B"))
    except UNetError as error:
        picture.warning(text.plain(str(error)), icon=":material/difference:")
        return
    with picture:
        own = dict(zip(first.classes, colours, strict=True))
        others = [own.get(name, second.pixel_classes.colours[number]) for number, name in enumerate(second.classes)]
        _picture(kind, (one, two), (first, second), found, (colours, others), settings)
    with details:
        _numbers(found)


def _second(workspace: Workspace, first: Result, choice: Choice, settings: Settings) -> Result | None:
    """Return the result to compare with, or show why there is none."""
    if choice.model == first.choice.model and choice.mode == first.choice.mode:
        st.info("A and B are the same: choose another model or inference mode for B.", icon=":material/content_copy:")
        return None
    slot = st.empty()
    try:
        if not ready(choice.model, choice.engine, settings):
            return None
        if not queue.may_start([first.photo], workspace, choice, settings):
            return None
        report = queue.Report(slot, queue.work_key([first.photo], choice))
        with queue.spinner("Segmenting with B…", choice):
            found = workspace.results.get(first.photo, choice, settings, on_wait=report.waiting, progress=report.tiles)
    except WeightsError as error:
        found = Failure(first.name, str(error))
    slot.empty()
    if isinstance(found, Failure):
        st.error(text.plain(found.message), icon=":material/heart_broken:")
        return None
    return found


def _picture(
    kind: str,
    shown: tuple[Segmentation, Segmentation],
    results: tuple[Result, Result],
    found: Comparison,
    colours: tuple[Sequence[Colour | None], Sequence[Colour | None]],
    settings: Settings,
) -> None:
    drawn = [
        render.overlay(each.image, each.mask, opacity=options.OPACITY.default / 100, colours=own)
        for each, own in zip(shown, colours, strict=True)
    ]
    name = results[0].name
    with st.container(key="stage"):
        if kind == WIPE:
            wipe(shown[0], drawn[1], "B", f"{name} segmented with A and with B", "compare-both", before=(drawn[0], "A"))
        elif kind == SIDE:
            with st.grid(2, min_column_width=300):
                for letter, overlay, result in zip("AB", drawn, results, strict=True):
                    with st.container(key=f"side-{letter}"):
                        st.image(encoded(overlay), width="stretch", alt=f"{name}, {letter}: {result.choice.mode.label}")
                        timed = text.milliseconds(result.timings["total"])
                        st.caption(f"**{letter}** {text.plain(result.model)}, {result.choice.mode.label}: {timed}")
        else:
            difference = found.picture(shown[0].image)
            alt_text = f"Differences between A and B in {name}"
            big_picture(difference, alt_text, partial(_full_difference, results, settings))


def _full_difference(results: tuple[Result, Result], settings: Settings) -> np.ndarray:
    one, two = (result.full(settings) for result in results)
    return compare(one, two, names=("A", "B")).picture(one.image)


def _numbers(found: Comparison) -> None:
    st.metric("Pixels that agree", text.percent(found.agreement, 2))
    legend(
        {entry.name: entry.share for entry in found.legend},
        column=True,
        colours=[entry.colour for entry in found.legend],
        digits=2,
    )
    table = pd.DataFrame(
        {
            "class": [each.name for each in found.classes],
            "A": [each.first_share for each in found.classes],
            "B": [each.second_share for each in found.classes],
            "IoU": [each.iou for each in found.classes],
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "A": st.column_config.NumberColumn(format="percent"),
            "B": st.column_config.NumberColumn(format="percent"),
            "IoU": st.column_config.NumberColumn(format="%.3f", help="IoU of A's and B's pixels of this class"),
        },
        alt="Shares and agreement by class",
    )
    if found.note:
        st.caption(found.note)
