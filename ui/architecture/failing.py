"""Make it fail: a photo made worse step by step, the mask at each step, and the curve of the IoU."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from ui.architecture.experiment_subject import Chosen, drawn, turns
from ui.shared import background
from ui.shared import format as text
from ui.shared.lazy import pd
from ui.shared.vega import Spec, data, nominal, quantitative
from unet_core.explain.failing import Step, failing
from unet_core.images.corruptions import SLIDERS, Corruption
from unet_core.images.square import resized_mask
from unet_core.segment.compressed import encode_jpeg

KIND, STRENGTH, WORK = "failing-kind", "failing-strength", "failing-work"
SIDE = 320  # pixels of the photo's longer side: the strengths are meant for small photos
ACCENT = "#0072b2"


def experiment(chosen: Chosen) -> None:
    """Show the choice of what is done to the photo, its slider, the mask, and the curve."""
    names = {each.name: each for each in SLIDERS}
    name = st.segmented_control(
        "What happens to the photo", list(names), format_func=lambda name: names[name].title, default=SLIDERS[0].name,
        required=True, key=KIND, persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    corruption = names[name]
    work = background.ask(WORK, (chosen.key, name), _steps, f"{chosen.key}-{name}", chosen, corruption, turns(chosen))
    if not background.done(work):
        background.await_quietly(work, "Running the network on ten versions of the photo")
        return
    steps = work.result()

    @st.fragment
    def slider() -> None:
        st.caption(f"{corruption.description}.")
        shown = [step.shown for step in steps]
        at = st.select_slider(
            corruption.title, shown, shown[len(shown) // 2], key=f"{STRENGTH}-{name}", label_visibility="collapsed",
            help="The first is the unchanged photo",
        )  # fmt: skip
        number = shown.index(at)
        pictures, curve = st.columns([7, 5], gap="medium")
        with pictures, st.container(key="experiment-pictures"):
            _pictures(chosen, steps, number)
        with curve:
            _curve(chosen, steps, number, corruption)

    slider()


@st.cache_resource(max_entries=12, show_spinner=False)
def _steps(key: str, _chosen: Chosen, _corruption: Corruption, _turn: Any) -> tuple[Step, ...]:
    image = Image.fromarray(_chosen.photo)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    photo = np.asarray(image)
    truth = None if _chosen.truth is None else resized_mask(_chosen.truth.astype(np.uint8), photo.shape[:2]) > 0
    return failing(_chosen.entry, photo, _corruption, _chosen.settings, reference=truth, turn=_turn)


def _pictures(chosen: Chosen, steps: tuple[Step, ...], number: int) -> None:
    step = steps[number]
    with st.grid(2, min_column_width=140, gap="small"):
        for what, one in (("Unchanged", steps[0]), (step.shown if number else "Nothing is changed yet", step)):
            picture = encode_jpeg(drawn(chosen, one.photo, one.mask))
            st.image(picture, what, width="stretch", alt=f"The mask: {what}")
    first, now = steps[0].iou, step.iou
    name, about = _measure(chosen)
    with st.grid(2, min_column_width=140, gap="small"):
        difference = 100 * (now - first)
        st.metric(name, text.percent(now), f"{difference:+.1f} points" if abs(difference) >= 0.05 else None, help=about)
        half = next((one.shown for one in steps if one.iou < 0.5), None)
        st.metric("Below 50 %", half or "never", help=f"The first strength with a lower {name} than one half")


def _measure(chosen: Chosen) -> tuple[str, str]:
    if chosen.truth is not None:
        return "IoU", "with the true mask, which moves with the photo; pet and border together"
    return "Agreement", (
        "the IoU with the mask of the unchanged photo, which moves with it: nobody knows the true mask of this one"
    )


def _curve(chosen: Chosen, steps: tuple[Step, ...], number: int, corruption: Corruption) -> None:
    """Draw the IoU at every strength, the chosen one marked."""
    name, about = _measure(chosen)
    table = pd.DataFrame(
        {
            "strength": [step.shown for step in steps],
            name: [step.iou for step in steps],
            "size": [160 if place == number else 40 for place in range(len(steps))],
        }
    )
    span = f"from {text.percent(steps[0].iou, 0)} to {text.percent(steps[-1].iou, 0)}"
    st.vega_lite_chart(data(table) | _line(name, corruption.title.lower()), alt=f"{name} by strength, {span}")
    st.caption(f"{name}: {about}.")


def _line(measure: str, title: str) -> Spec:
    """Return the chart of a measure's column by strength, the points as large as the table says."""
    line = {"mark": {"type": "line", "color": ACCENT}}
    points = {
        "mark": {"type": "point", "color": ACCENT, "filled": True, "opacity": 1},
        "encoding": {"size": quantitative("size", scale=None)},
    }
    return {
        "height": 260,
        "encoding": {
            "x": nominal("strength", sort=None, title=title, axis={"labelAngle": -45}),
            "y": quantitative(measure, scale={"domain": [0, 1]}, axis={"format": "%"}),
            "tooltip": [nominal("strength"), quantitative(measure, format=".1%")],
        },
        "layer": [line, points],
    }
