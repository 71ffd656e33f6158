"""Architecture: any U-Net, layer by layer, with every shape, every cost and every failure explained."""

import streamlit as st

from ui import (
    architecture_bench,
    architecture_code,
    architecture_compare,
    architecture_controls,
    architecture_doctor,
    architecture_layer,
    architecture_maps,
    architecture_share,
    frame,
)
from ui import architecture_state as state
from ui.architecture_cached import traced

settings = frame.page(
    frame.ARCHITECTURE,
    "Architecture",
    "Every shape of any U-Net: pick one or change anything, and see what each layer does to your picture's size.",
)
view = state.current(frame.foreign_options(frame.ARCHITECTURE))
found = traced(view.config)

with st.container(border=True, key="architecture-choices"):
    architecture_controls.controls(
        view,
        beside=(
            lambda: architecture_bench.batch_control(view),
            lambda: architecture_share.share(view, found),
        ),
    )
architecture_bench.findings(view)
architecture_bench.totals(view, found)
architecture_bench.bench(view, found)

tab = architecture_bench.sections(view)
if tab == state.LAYERS:
    architecture_layer.section(view, found)
elif tab == state.DOCTOR:
    architecture_doctor.section(view, settings)
elif tab == state.MAPS:
    architecture_maps.section(view, settings)
elif tab == state.CODE:
    architecture_code.section(view)
elif tab == state.COMPARE:
    architecture_compare.section(view)
