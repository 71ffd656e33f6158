"""A shipped model's prediction for a photo with known ground truth, for the pitfalls that show one."""

from __future__ import annotations

import numpy as np
from PIL import Image

from unet_core.classes import CLASSES
from unet_core.data.pitfalls import Prediction, stand_in
from unet_core.images.preprocess import network_input
from unet_core.segment.engine import get_engine
from unet_core.settings import Settings, get_settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, load_manifest


def shipped_prediction(photo: np.ndarray, mask: np.ndarray, settings: Settings | None = None) -> Prediction:
    """Return a shipped model's logits for the photo, or a stand-in if no model has these classes.

    Args:
        photo: (H, W, 3) uint8.
        mask: (H, W) uint8, class ids 0 pet, 1 background, 2 border.
        settings: where the shipped models are.
    """
    settings = settings or get_settings()
    try:
        manifest = load_manifest(settings)
        names = [manifest.default, *manifest.models]
        name = next(name for name in names if _fits(manifest.models[name]))
        entry = manifest.models[name]
        engine = get_engine(entry, "onnx", settings)
        pixels, box = network_input(photo, entry.config, engine.output_size)
        logits = engine.predict(np.ascontiguousarray(pixels[None], np.float32))[0]
    except (WeightsError, StopIteration):
        return stand_in(mask)
    logits = logits[box.top : box.top + box.height, box.left : box.left + box.width]
    ids = np.asarray(Image.fromarray(mask).resize((box.width, box.height), Image.Resampling.NEAREST))
    return Prediction(logits, ids, f"Measured with the model {name}.")


def _fits(entry: ModelEntry) -> bool:
    return entry.config.classes == len(CLASSES) and entry.config.head_activation == "none" and "onnx" in entry.files
