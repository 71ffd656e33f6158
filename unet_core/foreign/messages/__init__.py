"""The error messages of Keras and TensorFlow that U-Nets run into: what happened, why, and what to change.

A message is only read. Most hold the shapes that do not fit; where the network is known, `places` finds its layer.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from unet_core.architecture.table import grouped
from unet_core.errors import UNetError
from unet_core.foreign.messages import inputs, merges, targets
from unet_core.foreign.messages.message import ErrorMessage, own_frame

__all__ = ["ErrorMessage", "UnknownMessage", "read_message"]

MAX_TEXT = 400_000  # characters: a traceback of TensorFlow may print every label of a batch

_READERS: tuple[Callable[[str], ErrorMessage | None], ...] = (
    targets.label_range,
    merges.merge,
    targets.flat_labels,
    targets.target,
    targets.metric,
    merges.addition,
    merges.too_small,
    inputs.channels,
    inputs.input_size,
    inputs.axes,
    inputs.tensor_function,
    inputs.disconnected,
    inputs.weights,
    inputs.value_type,
    inputs.reshape,
    inputs.memory,
    targets.not_a_number,
)


class UnknownMessage(UNetError):
    """A text without any message that is known here."""


def read_message(text: str) -> ErrorMessage:
    """Read an error message, or a traceback that ends with one.

    Raises:
        UnknownMessage: it has none that is known here, or is too long.
    """
    if len(text) > MAX_TEXT:
        raise UnknownMessage(
            f"The text has {grouped(len(text))} characters, at most {grouped(MAX_TEXT)} are read: paste the last lines "
            "of the traceback."
        )
    flat = " ".join(re.sub(r"\x1b?\[[0-9]{1,2}m", "", text).split())
    for read in _READERS:
        found = read(flat)
        if found is not None:
            return dataclasses.replace(found, frame=own_frame(text))
    raise UnknownMessage(
        "This text has no error message that is known here. Paste the last lines of the traceback, with the shapes: "
        "errors of merges, sizes, channels, masks and labels, memory and NaN are read."
    )
