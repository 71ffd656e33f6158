"""A network's output as probabilities. NumPy only."""

from __future__ import annotations

import numpy as np


def class_probabilities(output: np.ndarray, head_activation: str = "none") -> np.ndarray:
    """Turn a network's output (N, h, w, classes) into probabilities that sum to 1, float32.

    Logits go through a softmax, or a sigmoid for a one-class head, unless the head has an activation. A one-class head
    gives (N, h, w, 2): its class and the rest. Several sigmoids are divided by their sum.
    """
    values = output.astype(np.float32)  # a copy
    if values.shape[-1] == 1:
        positive = values if head_activation == "sigmoid" else _sigmoid(values)
        return np.concatenate([positive, 1 - positive], axis=-1)
    if head_activation == "none":
        values -= over_classes(np.maximum, values)  # the largest exponent is 0: no overflow
        np.exp(values, out=values)
    elif head_activation == "sigmoid":
        values = np.maximum(values, np.finfo(np.float32).tiny)
    values /= over_classes(np.add, values)
    return values


def over_classes(operation: np.ufunc, values: np.ndarray) -> np.ndarray:
    """Reduce the last axis and keep it; with few classes several times faster than NumPy's own reduction."""
    found = values[..., :1].copy()
    for index in range(1, values.shape[-1]):
        operation(found, values[..., index : index + 1], out=found)
    return found


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * logits))  # equal to 1 / (1 + exp(−x)), and cannot overflow
