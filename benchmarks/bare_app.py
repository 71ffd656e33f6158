"""The page that `visitors.py` compares the app with: an uploader, bare ONNX Runtime, an overlay, and nothing else.

streamlit run benchmarks/bare_app.py -- weights/pets.onnx
"""

import sys

import numpy as np
import onnxruntime
import streamlit as st
from PIL import Image, ImageOps

COLOURS = np.array([[230, 159, 0], [86, 180, 233], [204, 121, 167]], np.float32)


@st.cache_resource
def session() -> onnxruntime.InferenceSession:
    """Return the one session of the process."""
    return onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])


st.title("Segment")
file = st.file_uploader("Photo")
if file:
    photo = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    photo.thumbnail((1000, 1000))
    model = session()
    height, width = model.get_inputs()[0].shape[1:3]
    image = np.asarray(photo.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    logits = model.run(None, {model.get_inputs()[0].name: image[None]})[0][0]
    classes = Image.fromarray(logits.argmax(-1).astype(np.uint8))
    mask = np.asarray(classes.resize(photo.size, Image.Resampling.NEAREST))
    st.image((np.asarray(photo) * 0.55 + COLOURS[mask] * 0.45).astype(np.uint8))
    for number, name in enumerate(("pet", "background", "border")):
        st.markdown(f"{name} {(mask == number).mean():.1%}")
