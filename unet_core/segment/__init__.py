"""From photos to masks: decode an upload, run a model, draw the result. Imports neither TensorFlow nor Keras.

Calling the package, `unet_core.segment(photo)`, calls `unet_core.train.use_model.segment`.
"""

from unet_core.images import render
from unet_core.images.decode import FORMATS, ImageError, decode_image
from unet_core.images.probabilities import class_probabilities
from unet_core.machine import available_cores, cpu_label, detect_gpu
from unet_core.segment.engine import ENGINE_CHOICES, EngineChoice, OnnxEngine, get_engine
from unet_core.segment.inference import InferenceMode, segment_bytes
from unet_core.segment.keras_engine import KerasEngine
from unet_core.segment.network import Network
from unet_core.segment.segmentation import Failure, Segmentation
from unet_core.segment.segmenter import Segmenter

__all__ = [
    "ENGINE_CHOICES",
    "FORMATS",
    "EngineChoice",
    "Failure",
    "ImageError",
    "InferenceMode",
    "KerasEngine",
    "Network",
    "OnnxEngine",
    "Segmentation",
    "Segmenter",
    "available_cores",
    "class_probabilities",
    "cpu_label",
    "decode_image",
    "detect_gpu",
    "get_engine",
    "render",
    "segment_bytes",
]
