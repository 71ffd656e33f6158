"""The Keras engine: TensorFlow in this process, on a GPU if it finds one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.machine import cpu_label
from unet_core.segment.network import EngineName, checked_output_size, first_line
from unet_core.zoo.manifest import WeightsError

log = logging.getLogger(__name__)


class KindsHead(NamedTuple):
    """The layers of a second output, see `unet_core.models.kinds`: a verified file, what they read, how many kinds."""

    weights: str
    layers: tuple[str, ...]
    kinds: int


class KerasEngine:
    """Keras on TensorFlow: one compiled function, warmed up, on a GPU if TensorFlow finds one.

    Args:
        weights: a `.weights.h5` file that has been verified.
        config: the model's configuration; a pretrained encoder's weights are read from the file too.
        head: of the second output, where there is one.
        mixed_precision: compute in float16 on a GPU; the output is always float32.

    Raises:
        WeightsError: TensorFlow is not installed, or the file does not fit the configuration.
    """

    name: EngineName = "keras"

    def __init__(
        self, weights: Path, config: UNetConfig, head: KindsHead | None = None, *, mixed_precision: bool = False
    ) -> None:
        tensorflow, keras = _import_tensorflow()
        gpus = _prepared_gpus(tensorflow)
        self.device = gpus[0] if gpus else cpu_label()
        policy = "mixed_float16" if mixed_precision and gpus else "float32"
        model = _loaded_model(keras, weights, config, head, policy)
        self._tensorflow = tensorflow

        def run(batch: Any) -> list[Any]:
            outputs = tensorflow.nest.flatten(model(batch, training=False))
            return [tensorflow.cast(output, tensorflow.float32) for output in outputs]

        self._run = tensorflow.function(
            run,
            input_signature=[tensorflow.TensorSpec([None, *config.input_shape], tensorflow.float32)],
        )
        self.output_size = checked_output_size(self, config)  # also compiles the function

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Run the network, see `Network.predict`; safe to call from several threads."""
        return self.predict_both(batch)[0]

    def predict_both(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Run the network, see `NetworkOfKinds.predict_both`; safe to call from several threads."""
        output, *kinds = (found.numpy() for found in self._run(self._tensorflow.constant(batch)))
        return output, kinds[0] if kinds else None


def _import_tensorflow() -> tuple[Any, Any]:
    try:
        import keras
        import tensorflow
    except ImportError:
        raise WeightsError(
            "The Keras engine needs TensorFlow, which is not installed: use the engine 'onnx'."
        ) from None
    if keras.backend.backend() != "tensorflow":
        raise WeightsError(
            f"The Keras engine needs Keras on TensorFlow, but KERAS_BACKEND is {keras.backend.backend()!r}: "
            "unset it, or use the engine 'onnx'."
        )
    return tensorflow, keras


def _prepared_gpus(tensorflow: Any) -> list[str]:
    """Let GPU memory grow on demand instead of taking all of it; return the GPUs' names."""
    names = []
    for gpu in tensorflow.config.list_physical_devices("GPU"):
        try:
            tensorflow.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # the GPU is already in use by this process
            log.debug("GPU memory growth can no longer be set")
        details = tensorflow.config.experimental.get_device_details(gpu)
        names.append(f"GPU ({details.get('device_name', 'unnamed')})")
    return names


def _loaded_model(keras: Any, weights: Path, config: UNetConfig, head: KindsHead | None, dtype_policy: str) -> Any:
    from unet_core import models
    from unet_core.models.kinds import with_kinds

    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype_policy)
    try:
        model = models.build(config.replace(encoder_weights="none"))
        model.load_weights(weights)
        if head is not None:
            model = with_kinds(model, head.layers, head.kinds, head.weights)
    except (ValueError, OSError, KeyError) as error:
        raise WeightsError(
            f"{weights.name} does not fit its configuration ({first_line(error)}): export it again."
        ) from None
    finally:
        keras.config.set_dtype_policy(previous)
    return model
