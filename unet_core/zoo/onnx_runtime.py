"""The import of ONNX Runtime, which takes a while and can fail: it is a compiled library."""

from __future__ import annotations

from types import ModuleType

from unet_core.zoo.manifest import WeightsError


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime.

    Raises:
        WeightsError: it is not installed, or does not run on this machine.
    """
    try:
        import onnxruntime
    except ImportError:
        raise WeightsError(
            "ONNX Runtime cannot be imported on this server: install it with pip install onnxruntime, or choose the "
            "engine TensorFlow."
        ) from None
    return onnxruntime
