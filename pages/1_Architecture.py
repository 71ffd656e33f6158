"""Architecture: any U-Net, layer by layer, with every shape, every cost and every failure explained."""

import streamlit as st

from ui.architecture import (
    code,
    compare,
    controls,
    doctor,
    experiment,
    layers,
    maps,
    options,
    overview,
    paste,
    share,
    state,
)
from ui.shared import frame
from unet_core.architecture.trace import trace

settings = frame.page(
    frame.ARCHITECTURE,
    "Architecture",
    "Every shape of any U-Net: choose a preset or change anything, and see how each layer changes the size.",
    options=options.OPTIONS,
)
view = state.current()
found = trace(view.config)

if view.tab not in options.APART:
    with st.container(border=True, key="architecture-choices"):
        controls.controls(
            view,
            beside=(
                lambda: overview.batch_control(view),
                lambda: share.share(view, found),
            ),
        )
    overview.notice()
    overview.findings(view)
    overview.totals(view, found)
    overview.diagram_and_panel(view, found)
else:
    overview.notice()

tab = overview.sections(view)
if tab == options.LAYERS:
    layers.section(view, found)
elif tab == options.DOCTOR:
    doctor.section(view, settings)
elif tab == options.MAPS:
    maps.section(view, settings)
elif tab == options.EXPERIMENT:
    experiment.section(view, settings)
elif tab == options.CODE:
    code.section(view)
elif tab == options.COMPARE:
    compare.section(view)
elif tab == options.BUGS:
    paste.section(view, settings)
