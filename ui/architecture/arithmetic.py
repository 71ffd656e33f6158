"""A layer on real pixels: the numbers behind one output pixel of a trained network's layer, on a photo."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from ui.architecture.experiment_subject import Chosen, turns
from ui.components.pixel_arithmetic import pixel_arithmetic
from ui.shared import format as text
from unet_core.explain.arithmetic import Arithmetic
from unet_core.explain.trained_layers import (
    LayerError,
    LayerOnPhoto,
    TrainedLayer,
    other_operations,
    trained_network,
)

LAYER, CHANNEL = "arithmetic-layer", "arithmetic-channel"
SENTENCES = {
    "convolution": "Each output value is the sum of a window's values, each times its own weight, over all channels of "
    "the input. Beyond the edge there are zeros. The normalization after it is part of its weights and bias.",
    "depthwise convolution": "Each channel has one kernel of its own, and reads only the same channel of the input.",
    "transposed convolution": "Each input pixel is multiplied by a whole kernel; an output pixel sums what reaches it.",
    "max pooling": "Each output value is the largest of four; the other three are lost, and so is where it was.",
    "bilinear upsampling": "Each output value mixes the four nearest input values: 9/16, 3/16, 3/16 and 1/16.",
    "concatenation": "Nothing is computed: the channels of the skip connection come first, then the upsampled ones.",
}
OTHER_SENTENCES = {
    "valid": "Without padding the window never leaves the picture, so the output is smaller by its border.",
    "Max": SENTENCES["max pooling"],
    "Transposed": f"{SENTENCES['transposed convolution']} This network has none, so the kernel is made up.",
    "Crop": "A crop moves every pixel by the margin: the paper's skip connections lose their border so.",
}


class _Shown(NamedTuple):
    """What is shown: the arithmetic, in words, and the names of what it reads."""

    found: Arithmetic
    sentence: str
    input_name: str
    channel_names: list[str]


def experiment(chosen: Chosen) -> None:
    """Show the choice of a layer and a channel, and the arithmetic of the pixel that a visitor points at.

    Raises:
        WeightsError: none of the network's layers can be shown.
    """
    with turns(chosen)():
        network = trained_network(chosen.entry, chosen.settings)
        first = network.on_photo(network.layers[0].name, chosen.photo)
    layers = {layer.name: layer for layer in network.layers}
    others = list(_others(first, 0))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox(
            "Layer", [*layers, *others], key=LAYER, width=340, persist_state="session",
            format_func=lambda name: _title(name, layers),
        )  # fmt: skip
        if name in layers and name != first.layer.name:
            with turns(chosen)():
                on_photo = network.on_photo(name, chosen.photo)
        else:
            on_photo = first
        channel = _channel(chosen, on_photo)
    try:
        shown = _of_layer(on_photo, channel) if name in layers else _of_other(name, first, channel)
    except LayerError as error:
        st.warning(text.plain(str(error)), icon=":material/block:")
        return
    st.caption(f"{shown.sentence} Point at the output, or focus it and use the arrow keys.")
    reads_photo = shown.found.planes.shape == first.inputs[0].shape and shown.found.planes.shape[0] == 3
    black, white = chosen.entry.config.preprocessing.value_range
    pixel_arithmetic(
        shown.found,
        key="architecture-arithmetic",
        input_name=shown.input_name,
        output_name=f"{name}, channel {channel}: {text.shape(shown.found.size)}",
        channel_names=shown.channel_names,
        colour_range=(black, white) if reads_photo and isinstance(black, float) and isinstance(white, float) else None,
    )
    st.caption(f"The values and weights of **{text.plain(chosen.title)}** on this photo, as its ONNX file has them.")


def _title(name: str, layers: dict[str, TrainedLayer]) -> str:
    if name not in layers:
        return f"{name} (not in this network)"
    return f"{name}: {layers[name].kind}, {text.shape(layers[name].shape)}"


def _channel(chosen: Chosen, on_photo: LayerOnPhoto) -> int:
    """Show the choice of the output channel, at first the strongest on this photo."""
    count = on_photo.layer.shape[2]
    value = st.number_input(
        "Channel", value=on_photo.strongest(), step=1, width=110, key=f"{CHANNEL}-{chosen.model}-{on_photo.layer.name}",
        help=f"0 to {count - 1}; at first the one with the largest values on this photo", persist_state="session",
    )  # fmt: skip
    return int(value)


def _of_layer(on_photo: LayerOnPhoto, channel: int) -> _Shown:
    layer, found = on_photo.layer, on_photo.arithmetic(channel)
    sentence = SENTENCES[layer.kind]
    source, own = layer.source_of(channel) if layer.kind == "concatenation" else (0, channel)
    if layer.kind == "concatenation":
        whose = "the skip connection" if source == 0 else "the upsampled features"
        sentence += f" Channel {channel} is channel {own} of {whose}."
    count = found.planes.shape[0]
    names = [f"Channel {at}" for at in range(count)] if count > 1 else [f"Channel {own}"]
    return _Shown(found, sentence, _input_name(found), names)


def _of_other(name: str, first: LayerOnPhoto, channel: int) -> _Shown:
    found = _others(first, channel)[name]
    sentence = next(words for start, words in OTHER_SENTENCES.items() if start in name)
    return _Shown(found, sentence, _input_name(found), [f"Channel {channel}"] * len(found.planes))


def _others(first: LayerOnPhoto, channel: int) -> dict[str, Arithmetic]:
    return other_operations(first, channel) if first.layer.kind == "convolution" else {}


def _input_name(found: Arithmetic) -> str:
    return f"Input: {text.shape((*found.planes.shape[1:], found.planes.shape[0]))}"
