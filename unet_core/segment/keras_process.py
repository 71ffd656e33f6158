"""The Keras engine in a separate process, which spares this one the 500 MB that TensorFlow takes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.jobs.served import ChildEnded, Message, ServedChild, serve
from unet_core.machine import TENSORFLOW_MB
from unet_core.segment.keras_engine import KerasEngine, KindsHead
from unet_core.segment.network import EngineName
from unet_core.zoo.manifest import WeightsError


class KerasProcess:
    """Keras on TensorFlow in a child process, with the same outputs as `KerasEngine`.

    An idle child ends, which frees its memory; the next photo starts another one.

    Args:
        weights: a `.weights.h5` file that has been verified.
        config: the model's configuration.
        head: of the second output, where there is one.

    Raises:
        WeightsError: TensorFlow is not installed, or the file does not fit the configuration.
    """

    name: EngineName = "keras"

    def __init__(self, weights: Path, config: UNetConfig, head: KindsHead | None = None) -> None:
        self._child = ServedChild(
            "unet_core.segment.keras_process",
            str(weights),
            config.to_json(),
            json.dumps(head),
            needs_mb=TENSORFLOW_MB,
        )
        try:
            about = self._child.ask({}, attempts=1).values
        except (OSError, ChildEnded) as error:
            why = f" ({error.strerror or error})" if isinstance(error, OSError) else ""
            raise WeightsError(
                f"TensorFlow could not be started in a separate process{why}: use the engine 'onnx'."
            ) from error
        if "error" in about:
            self.close()
            raise WeightsError(about["error"])
        self.device: str = about["device"]
        self.output_size: tuple[int, int] = (about["output_size"][0], about["output_size"][1])

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network, see `Network.predict`; safe to call from several threads, which run one at a time.

        Raises:
            WeightsError: the process ended twice in a row.
        """
        return self.predict_both(batch)[0]

    def predict_both(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Run the network, see `NetworkOfKinds.predict_both`; raises as `predict`."""
        try:
            reply = self._child.ask({}, batch)
        except (OSError, ChildEnded) as error:
            raise WeightsError(
                "TensorFlow's process ended, probably because memory ran out: use the engine 'onnx'."
            ) from error
        if "error" in reply.values:
            raise WeightsError(reply.values["error"])
        output, *kinds = reply.arrays
        return output, kinds[0] if kinds else None

    def close(self) -> None:
        """End the process; the next photo starts it again."""
        self._child.close()


class _Server:
    """The child's side: replies with the device, the output size and the output of each batch."""

    def __init__(self, weights: Path, config: UNetConfig, head: KindsHead | None) -> None:
        self._weights, self._config, self._head = weights, config, head
        self._engine: KerasEngine | None = None

    def answer(self, question: Message) -> Message:
        try:
            self._engine = self._engine or KerasEngine(self._weights, self._config, self._head)
        except WeightsError as error:
            return Message({"error": str(error)})
        about: dict[str, Any] = {"device": self._engine.device, "output_size": self._engine.output_size}
        outputs = [output for batch in question.arrays for output in self._engine.predict_both(batch)]
        return Message(about, tuple(output for output in outputs if output is not None))


def main() -> None:
    """Serve the engine for the weights, the configuration and the second output given on the command line."""
    values = json.loads(sys.argv[3])
    head = None if values is None else KindsHead(values[0], tuple(values[1]), values[2])
    serve(_Server(Path(sys.argv[1]), UNetConfig.from_json(sys.argv[2]), head).answer)


if __name__ == "__main__":
    main()
