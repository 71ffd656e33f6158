"""One layer's arithmetic, pixel by pixel: a visitor hovers over its output, and the numbers behind that pixel show."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import numpy as np

from ui.components import element_key, register
from unet_core.explain.arithmetic import Arithmetic

_component = register("pixel_arithmetic")


def pixel_arithmetic(
    found: Arithmetic,
    *,
    key: str,
    input_name: str,
    output_name: str,
    channel_names: Sequence[str],
    colour_range: tuple[float, float] | None = None,
) -> None:
    """Show a layer's input and output, and the arithmetic of the output pixel that a visitor points at.

    `channel_names` are those of the planes that the layer reads. `colour_range` are the values for black and white if
    the planes are the red, green and blue of a photo. `key` is unique across all pages.
    """
    planes = np.ascontiguousarray(found.planes, "<f4")
    weights = [sum(abs(term.weight) for term in found.terms[0] if term.channel == at) for at in range(len(planes))]
    data = {
        "planes": base64.b64encode(planes.tobytes()).decode("ascii"),
        "shape": planes.shape,
        "size": found.size,
        "step": found.step,
        "period": found.period,
        "terms": [[list(term) for term in terms] for terms in found.terms],
        "outside": found.outside,
        "reduce": found.reduce,
        "bias": found.bias,
        "activation": found.activation,
        "colour": colour_range,
        "strongest": int(np.argmax(weights)),
        "channelNames": list(channel_names),
        "names": {"input": input_name, "output": output_name},
    }
    token = hashlib.sha256(planes.tobytes() + repr((data["terms"], found.size, found.bias, output_name)).encode())
    _component(key=element_key("pixel_arithmetic", key), data={**data, "token": token.hexdigest()[:16]})
