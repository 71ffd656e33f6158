"""How often a network is right at each confidence. NumPy only.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017. Pixels are put into bins of
equal width by the probability of their predicted class (the confidence). The expected calibration error is the mean
over all pixels of |accuracy of the bin − mean confidence of the bin|.
"""

from __future__ import annotations

import numpy as np

from unet_core.results.files import Calibration

BINS = 15


class Reliability:
    """Counts pixels by confidence, photo by photo."""

    def __init__(self, bins: int = BINS) -> None:
        self._pixels = np.zeros(bins, np.int64)
        self._confidence = np.zeros(bins)
        self._right = np.zeros(bins, np.int64)

    def add(self, truth: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> None:
        """Count pixels: true and predicted class ids and the predicted class's probability, all of the same shape."""
        bins = len(self._pixels)
        # (low, high], as in the paper; the most probable class never has a confidence of exactly 0
        index = np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1).ravel()
        self._pixels += np.bincount(index, minlength=bins)
        self._confidence += np.bincount(index, confidence.ravel().astype(np.float64), bins)
        self._right += np.bincount(index[(truth == predicted).ravel()], minlength=bins)

    def result(self) -> Calibration:
        """Return the bins, the expected calibration error and mean confidence minus accuracy."""
        count = np.maximum(self._pixels, 1)
        confidence, accuracy = self._confidence / count, self._right / count
        total = max(1, int(self._pixels.sum()))
        empty = self._pixels == 0
        return Calibration(
            pixels=tuple(self._pixels.tolist()),
            confidence=_listed(confidence, empty),
            accuracy=_listed(accuracy, empty),
            error=round(float(np.abs(accuracy - confidence) @ self._pixels / total), 6),
            overconfidence=round(float((self._confidence.sum() - self._right.sum()) / total), 6),
        )


def _listed(values: np.ndarray, empty: np.ndarray) -> tuple[float | None, ...]:
    return tuple(None if missing else round(float(value), 6) for value, missing in zip(values, empty))
