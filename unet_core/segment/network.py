"""What every engine offers: a loaded network that turns a batch of inputs into its output."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.zoo.manifest import WeightsError

EngineName = Literal["onnx", "keras"]


class Network(Protocol):
    """What runs the model. `device` says in words where it computes; `output_size` is its output's (height, width)."""

    name: str
    device: str
    output_size: tuple[int, int]

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network: (N, H, W, C) float32, already scaled, to (N, h, w, classes)."""
        ...


class Engine(Network, Protocol):
    """A network that runs on one of the engines."""

    name: EngineName


def checked_output_size(engine: Engine, config: UNetConfig) -> tuple[int, int]:
    """Run the network once: it learns the output's size, and the first photo does not pay for the warm-up.

    Raises:
        WeightsError: the output does not have the configuration's classes.
    """
    output = engine.predict(np.zeros((1, *config.input_shape), np.float32))
    if output.ndim != 4 or output.shape[-1] != config.classes:
        raise WeightsError(
            f"The model gives an output of shape {output.shape}, not (1, height, width, {config.classes}) as its "
            "configuration says: export it again."
        )
    return output.shape[1], output.shape[2]


def first_line(error: Exception) -> str:
    """Return the beginning of an error's text, short enough for a sentence."""
    text = str(error).strip().splitlines()
    return text[0].rstrip(".: ")[:160] if text else type(error).__name__
