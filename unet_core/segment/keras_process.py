"""The Keras engine in a process of its own, for programs that must stay small: TensorFlow alone takes 500 MB."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.jobs.served import ChildEnded, Message, ServedChild, serve
from unet_core.segment.keras_engine import KerasEngine
from unet_core.segment.network import EngineName
from unet_core.zoo.manifest import WeightsError


class KerasProcess:
    """Keras on TensorFlow behind a pipe; gives what `KerasEngine` gives.

    A child that has nothing to do ends, and its memory is free; the next photo starts another one.

    Args:
        weights: a `.weights.h5` file that has been verified.
        config: the network it belongs to.

    Raises:
        WeightsError: TensorFlow is not installed, or the file does not fit the configuration.
    """

    name: EngineName = "keras"

    def __init__(self, weights: Path, config: UNetConfig) -> None:
        self._child = ServedChild("unet_core.segment.keras_process", str(weights), config.to_json())
        try:
            about = self._child.ask({}, attempts=1).values
        except (OSError, ChildEnded) as error:
            raise WeightsError(
                "TensorFlow could not be started in a process of its own: use the engine 'onnx'."
            ) from error
        if "error" in about:
            self.close()
            raise WeightsError(about["error"])
        self.device: str = about["device"]
        self.output_size: tuple[int, int] = (about["output_size"][0], about["output_size"][1])

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network, see `Network.predict`; several threads may call it, one at a time.

        Raises:
            WeightsError: the process ended twice in a row.
        """
        try:
            answer = self._child.ask({}, batch)
        except (OSError, ChildEnded) as error:
            raise WeightsError(
                "TensorFlow's process ended, probably for want of memory: use the engine 'onnx'."
            ) from error
        if "error" in answer.values:
            raise WeightsError(answer.values["error"])
        return answer.arrays[0]

    def close(self) -> None:
        """End the process; the next photo starts it again."""
        self._child.close()


class _Server:
    """What the child answers: the device and the output size, and the output of each batch that it is sent."""

    def __init__(self, weights: Path, config: UNetConfig) -> None:
        self._weights, self._config = weights, config
        self._engine: KerasEngine | None = None

    def answer(self, question: Message) -> Message:
        try:
            self._engine = self._engine or KerasEngine(self._weights, self._config)
        except WeightsError as error:
            return Message({"error": str(error)})
        about: dict[str, Any] = {"device": self._engine.device, "output_size": self._engine.output_size}
        return Message(about, tuple(self._engine.predict(batch) for batch in question.arrays))


def main() -> None:
    """Serve the engine of the weights and the configuration on the command line."""
    serve(_Server(Path(sys.argv[1]), UNetConfig.from_json(sys.argv[2])).answer)


if __name__ == "__main__":
    main()
