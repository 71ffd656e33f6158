"""The Keras engine in a process of its own, for programs that must stay small: TensorFlow alone takes 500 MB.

Parent and child send each other frames over the child's standard input and output: four bytes of length, then JSON or
an array as `numpy.save` writes it.
"""

from __future__ import annotations

import io
import json
import os
import select
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.segment.keras_engine import KerasEngine
from unet_core.segment.network import EngineName
from unet_core.settings import ROOT
from unet_core.zoo.manifest import WeightsError

IDLE_SECONDS = 300  # without work the child ends, and its memory is free; the next photo starts another one


class KerasProcess:
    """Keras on TensorFlow behind a pipe; gives what `KerasEngine` gives.

    Args:
        weights: a `.weights.h5` file that has been verified.
        config: the network it belongs to.

    Raises:
        WeightsError: TensorFlow is not installed, or the file does not fit the configuration.
    """

    name: EngineName = "keras"

    def __init__(self, weights: Path, config: UNetConfig) -> None:
        self._weights, self._config = weights, config
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        with self._lock:
            about = self._started()
        self.device: str = about["device"]
        self.output_size: tuple[int, int] = (about["output_size"][0], about["output_size"][1])

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network, see `Network.predict`; several threads take turns.

        Raises:
            WeightsError: the process ended twice in a row.
        """
        with self._lock:
            for last in (False, True):
                try:
                    if self._child is None or self._child.poll() is not None:
                        self._started()
                    return self._answer(batch)
                except (OSError, EOFError) as error:  # ended because nothing was to do, or killed for its memory
                    self.close()
                    if last:
                        raise WeightsError(
                            "TensorFlow's process ended, probably for want of memory: use the engine 'onnx'."
                        ) from error
        raise AssertionError("not reached")

    def close(self) -> None:
        """End the process; the next photo starts it again."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def __del__(self) -> None:
        if getattr(self, "_child", None) is not None:
            self.close()

    def _started(self) -> dict[str, Any]:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "unet_core.segment.keras_process", str(self._weights)],
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            _send(self._child.stdin, self._config.to_json().encode())
            about = json.loads(_receive(self._child.stdout))
        except (OSError, EOFError) as error:
            self.close()
            raise WeightsError(
                "TensorFlow could not be started in a process of its own: use the engine 'onnx'."
            ) from error
        if "error" in about:
            self.close()
            raise WeightsError(about["error"])
        return about

    def _answer(self, batch: np.ndarray) -> np.ndarray:
        _send(self._child.stdin, _packed(batch))
        return _unpacked(_receive(self._child.stdout))


def serve(weights: Path, source: IO[bytes], target: IO[bytes], idle_seconds: float = IDLE_SECONDS) -> None:
    """Answer batches from `source` on `target` until it is closed or nothing comes for `idle_seconds`."""
    config = UNetConfig.model_validate_json(_receive(source))
    try:
        engine = KerasEngine(weights, config)
    except WeightsError as error:
        _send(target, json.dumps({"error": str(error)}).encode())
        return
    _send(target, json.dumps({"device": engine.device, "output_size": engine.output_size}).encode())
    while select.select([source], [], [], idle_seconds)[0]:
        try:
            batch = _receive(source)
        except EOFError:  # the parent is gone or has had enough
            return
        _send(target, _packed(engine.predict(_unpacked(batch))))


def _send(target: IO[bytes] | None, data: bytes) -> None:
    target.write(struct.pack("!I", len(data)) + data)
    target.flush()


def _receive(source: IO[bytes] | None) -> bytes:
    (length,) = struct.unpack("!I", _exactly(source, 4))
    return _exactly(source, length)


def _exactly(source: IO[bytes], count: int) -> bytes:
    parts = []
    while count:
        part = source.read(count)
        if not part:
            raise EOFError("the other end is closed")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _packed(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _unpacked(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)


def main() -> None:
    """Serve the parent; whatever else writes to standard output goes to standard error."""
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(Path(sys.argv[1]), os.fdopen(0, "rb", buffering=0), target)


if __name__ == "__main__":
    main()
