"""One slider on a page that can be run again and scrolled; the address says which pictures and names it gets."""

import io

import numpy as np
import streamlit as st
from PIL import Image

from ui.components.compare_slider import compare_slider
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.images.render import overlay

SIZES = {"wide": (400, 600), "tall": (600, 400), "strip": (20, 600)}  # height, width


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@st.cache_data
def pictures(shape: str) -> tuple[bytes, bytes]:
    photo, trimap = next(SyntheticPets(size=SIZES[shape]).examples("train")).decode()
    return encoded(photo), encoded(overlay(photo, trimap - 1))


st.set_page_config(layout="wide")
chosen = st.query_params
photo, mask = pictures(chosen.get("shape", "wide"))
compare_slider(
    photo,
    mask,
    label="Photo and mask of a drawn cat",
    before_name=chosen.get("before", "Photo"),
    after_name="Mask",
    key="drawn",
    position=st.session_state.get("asked", 50),
)
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.button("Run again")
st.button("Show the mask", on_click=lambda: st.session_state.update(asked=0))
st.text(f"Run {st.session_state.runs}")
if st.button("Another"):
    compare_slider(photo, mask, label="Another", before_name="Photo", after_name="Mask", key="another")
    st.text("The end")
st.container(height=1500)
