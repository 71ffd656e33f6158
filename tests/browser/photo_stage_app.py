"""One photo on the stage, with a soft outline; buttons choose what the Segment page chooses there."""

import io

import numpy as np
import streamlit as st
from PIL import Image, ImageFilter
from scipy.ndimage import distance_transform_edt

from ui.components.photo_stage import TouchUp, photo_stage
from unet_core.classes import BACKGROUND, PET, PET_CLASSES
from unet_core.data.synthetic.pets import SyntheticPets
from unet_core.segment.correction import Sides

SIZES = {"wide": (400, 600), "tall": (600, 400)}  # height, width


def encoded(pixels: np.ndarray | Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))
    return buffer.getvalue()


@st.cache_data
def pictures(shape: str) -> tuple[bytes, bytes, bytes]:
    photo, mask = next(SyntheticPets(size=SIZES[shape]).examples("train")).decode()
    from_pet, from_background = (distance_transform_edt(mask != id) for id in (PET.id, BACKGROUND.id))
    inside = np.where(from_pet < from_background, 255, 0).astype(np.uint8)
    alpha = Image.fromarray(inside).filter(ImageFilter.GaussianBlur(1.5))
    return encoded(photo, "JPEG"), encoded(alpha, "PNG"), encoded(mask, "PNG")


st.set_page_config(layout="wide")
asked = st.query_params
backdrop = st.selectbox("Backdrop", ["transparent", "white", "blurred", "#336699", "photo"])
opacity = st.slider("Opacity", 0.0, 1.0, 0.45)
if st.button("Elsewhere"):
    st.session_state.elsewhere = not st.session_state.get("elsewhere")
if st.session_state.get("elsewhere"):
    st.stop()
photo_stage(
    *pictures(asked.get("shape", "wide")),
    colours=PET_CLASSES.colours,
    view=st.selectbox("View", ["cutout", "overlay", "slider", "mask"]),
    after="overlay" if "overlay" in asked else "cutout",
    backdrop=encoded(np.full((9, 9, 3), (10, 200, 30), np.uint8), "PNG") if backdrop == "photo" else backdrop,
    opacity=opacity,
    outline=st.toggle("Outline", value=True),
    touch_up=TouchUp(
        Sides(PET.id, BACKGROUND.id),
        st.session_state.get("correction"),
        active=st.toggle("Touch up"),
        on_correct=lambda correction: st.session_state.update(correction=correction),
    ),
    label="A drawn cat",
    file_name="cat.png",
    key="drawn",
)
correction = st.session_state.get("correction")
if correction is not None:
    added, removed = (int((correction.changes == value).sum()) for value in (1, -1))
    st.text(f"Added {added}, removed {removed}")
st.text("The end")
