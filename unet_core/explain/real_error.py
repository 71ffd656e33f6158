"""The error message of Keras and TensorFlow for an input size, from a separate process.

The app never imports TensorFlow: it starts `python -m unet_core.explain.real_error`, waits for a limited time, and
then stops it. The process builds the real model with weights that are declared but not allocated, so a large network
needs no memory.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from unet_core.architecture.config import MAX_SIDE, UNetConfig
from unet_core.architecture.trace import trace
from unet_core.errors import ConfigError
from unet_core.explain.tutorial_variants import VARIANTS
from unet_core.jobs.served import ChildEnded, ChildTooSlow, Message, ServedChild, serve
from unet_core.machine import TENSORFLOW_MB

MAX_PARAMETERS = 500_000_000
MAX_RUNNABLE_SIDE = 4_096
MAX_MESSAGE = 4_000  # characters
TIMEOUT_SECONDS = 60.0
MAX_COMPUTED_SIDE = 512  # a variant computes a photo up to this size, and is only built for larger ones

Outcome = Literal["error", "worked", "timeout", "busy", "refused", "failed"]

_one_at_a_time = threading.BoundedSemaphore(1)  # TensorFlow takes some 500 MB


@dataclass(frozen=True)
class RealError:
    """The result of building the real model.

    Attributes:
        outcome: "error" (Keras or TensorFlow refused the size), "worked", "timeout", "busy" (another run is in
            progress), "refused" (too large to run here) or "failed" (the process itself failed).
        message: the error's text, or a sentence for every other outcome.
        seconds: duration, including TensorFlow's start.
        error_type: the exception's class, for example "ValueError"; empty without an exception.
        output_shape: (height, width, channels) if it worked.
        parameters: of the model if it worked.
    """

    outcome: Outcome
    message: str
    seconds: float
    error_type: str = ""
    output_shape: tuple[int, int, int] | None = None
    parameters: int | None = None


def not_runnable(config: UNetConfig, size: tuple[int, int] | None = None) -> str | None:
    """Return why a configuration is traced but not run here, None if it can be run."""
    height, width = size or (config.height, config.width)
    if max(height, width) > MAX_RUNNABLE_SIDE:
        return f"Inputs above {MAX_RUNNABLE_SIDE} pixels per side are traced but not run here: choose a smaller size."
    parameters = trace(config, (height, width)).total_params
    if parameters > MAX_PARAMETERS:
        return (
            f"Networks of more than {MAX_PARAMETERS // 10**6} million parameters are traced but not run here "
            f"(this one has {parameters // 10**6} million): choose fewer filters."
        )
    return None


def real_error(model: UNetConfig | str, size: tuple[int, int], timeout: float = TIMEOUT_SECONDS) -> RealError:
    """Build the real Keras model at `size` in a separate process and return the result.

    Args:
        model: a configuration, or the name of one of the `tutorial_variants.VARIANTS`.
        size: height and width of the input.
        timeout: seconds after which the process is stopped.

    Raises:
        ValueError: the variant is unknown, or a side is not between 1 and 16384 pixels.
    """
    request, refusal = _request(model, size)
    if refusal is not None:
        return RealError("refused", refusal, 0.0)
    started = time.monotonic()
    if not _one_at_a_time.acquire(timeout=timeout):
        return RealError("busy", "Another model is being built: try again in a moment.", time.monotonic() - started)
    try:
        return _run(request, timeout, started)
    finally:
        _one_at_a_time.release()


def _request(model: UNetConfig | str, size: tuple[int, int]) -> tuple[dict[str, Any], str | None]:
    """Return the request to the process, and the reason if it is refused."""
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise ConfigError(f"size: each side must be 1 to {MAX_SIDE} pixels. Received: {size[0]}x{size[1]}")
    if isinstance(model, UNetConfig):
        values = model.replace(encoder_weights="none").model_dump(mode="json")
        return {"config": values, "size": list(size)}, not_runnable(model, size)
    if model not in VARIANTS:
        raise ValueError(f"variant: must be one of {', '.join(VARIANTS)}. Received: {model!r}")
    refusal = None
    if max(size) > MAX_RUNNABLE_SIDE:
        refusal = f"Inputs above {MAX_RUNNABLE_SIDE} pixels per side are not run here: choose a smaller size."
    return {"variant": model, "size": list(size)}, refusal


def _run(request: dict[str, Any], timeout: float, started: float) -> RealError:
    environment = {"CUDA_VISIBLE_DEVICES": "-1"}
    with ServedChild(
        "unet_core.explain.real_error", str(timeout), environment=environment, needs_mb=TENSORFLOW_MB
    ) as child:
        try:
            found = child.ask(request, seconds=timeout, attempts=1).values
        except ChildTooSlow:
            message = f"Building the model took more than {timeout:g} seconds and was stopped: try a smaller size."
            return RealError("timeout", message, time.monotonic() - started)
        except ChildEnded as ended:
            message = f"The process ended without a result (code {ended.code})."
            return RealError("failed", message, time.monotonic() - started)
        except OSError as error:
            message = f"The process cannot be started: {error.strerror or error}."
            return RealError("failed", message, time.monotonic() - started)
    shape = found.get("output_shape")
    return RealError(
        found["outcome"], found["message"], time.monotonic() - started, found.get("error_type", ""),
        tuple(shape) if shape else None, found.get("parameters"),
    )  # fmt: skip


# --- the process itself -----------------------------------------------------------------------------------------------


def main() -> None:
    """Serve requests; the process may take the number of seconds on the command line."""
    _limit_own_time(float(sys.argv[1]))
    serve(lambda request: Message(built(request.values)))


def _limit_own_time(seconds: float) -> None:
    """Let the system stop this process even if its parent no longer exists."""
    if os.name == "posix":
        import resource

        limit = int(seconds * (os.cpu_count() or 1)) + 1  # of processor time, summed over all cores
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))


def built(request: Mapping[str, Any]) -> dict[str, Any]:
    """Build the requested model and return the result, or the text of the exception. Imports Keras."""
    import keras

    size = tuple(request["size"])
    try:
        if "variant" in request:
            shape, parameters = _build_variant(keras, request["variant"], size)
        else:
            shape, parameters = _build_config(keras, UNetConfig.from_dict(request["config"]), size)
    except ConfigError as error:
        return {"outcome": "failed", "message": str(error)}
    except Exception as error:  # any exception of Keras or TensorFlow is the result
        return {"outcome": "error", "error_type": type(error).__name__, "message": _clean(str(error))}
    text = f"{size[0]}×{size[1]} works: Keras builds the model, its output is {'×'.join(map(str, shape))}."
    return {"outcome": "worked", "message": text, "output_shape": list(shape), "parameters": parameters}


def _clean(message: str) -> str:
    """Remove terminal colours, and shorten long messages."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", message).strip()
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def _build_config(keras: Any, config: UNetConfig, size: tuple[int, int]) -> tuple[tuple[int, ...], int]:
    from unet_core.models import build

    # In a stateless scope variables have a shape but no memory, and this one does not allocate them at its end either.
    with keras.StatelessScope(initialize_variables=False):
        model = build(config, size)
    return tuple(model.output_shape[1:]), model.count_params()


def _build_variant(keras: Any, name: str, size: tuple[int, int]) -> tuple[tuple[int, ...], int]:
    import numpy as np

    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(VARIANTS[name].source, f"{name}.py", "exec"), namespace)  # the app's own source, never a visitor's
    model = namespace["UNet"]()
    computed = max(size) <= MAX_COMPUTED_SIDE
    images = np.zeros((1, *size, 3), np.float32) if computed else keras.Input((*size, 3))
    output = model(images)
    return tuple(output.shape[1:]), model.count_params()


if __name__ == "__main__":
    main()
