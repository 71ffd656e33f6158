"""The interface of all engines: a loaded network that turns a batch of inputs into outputs."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.zoo.manifest import WeightsError

EngineName = Literal["onnx", "keras"]


class Network(Protocol):
    """A loaded network: its device in words, and the (height, width) of its output."""

    device: str
    output_size: tuple[int, int]

    @property
    def name(self) -> str:
        """The name of what runs it, such as "onnx"."""
        ...

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network: (N, H, W, C) float32, already scaled, to (N, h, w, classes)."""
        ...


@runtime_checkable
class NetworkOfKinds(Network, Protocol):
    """A network that may have a second output, see `unet_core.models.kinds`."""

    def predict_both(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Run the network as `predict` does; return its second output too, (N, h, w, kinds), None without one."""
        ...


def run(network: Network, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Run a network once for both of its outputs; the second is None without one."""
    return network.predict_both(batch) if isinstance(network, NetworkOfKinds) else (network.predict(batch), None)


def checked_output_size(network: Network, config: UNetConfig) -> tuple[int, int]:
    """Run the network once, to warm it up, and return the height and width of its output.

    Raises:
        WeightsError: the output does not have the configuration's classes.
    """
    output = network.predict(np.zeros((1, *config.input_shape), np.float32))
    if output.ndim != 4 or output.shape[-1] != config.classes:
        raise WeightsError(
            f"The model's output has the shape {output.shape}, but its configuration expects (1, height, width, "
            f"{config.classes}): export it again."
        )
    return output.shape[1], output.shape[2]


def first_line(error: Exception) -> str:
    """Return the beginning of an error's text, short enough for a sentence."""
    text = str(error).strip().splitlines()
    return text[0].rstrip(".: ")[:160] if text else type(error).__name__
