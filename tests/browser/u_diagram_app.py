"""One diagram on a page; the address says of which network, at which size, and what the page selects."""

import streamlit as st

from ui.components.u_diagram import u_diagram
from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.explain.diagram import diagram

st.set_page_config(layout="wide")
asked = st.query_params
size = asked.get("size")
traced = trace(preset_config(asked.get("preset", "ronneberger2015")), (int(size), int(size)) if size else None)
st.session_state.setdefault("wanted", asked.get("selected", ""))


def want(name: str) -> None:
    """Keep what is chosen."""
    st.session_state.wanted = name


drawn = diagram(traced, detail=asked.get("detail", "full"))
u_diagram(drawn, selected=st.session_state.wanted, on_choose=want, key="one")
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.text(f"Run {st.session_state.runs}: {st.session_state.wanted or None}")
st.button("Select encoder2_pool", on_click=want, args=("encoder2_pool",))
st.button("Select nothing", on_click=want, args=("",))
