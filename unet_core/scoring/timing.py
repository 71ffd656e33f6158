"""How long a network takes for one photo."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from unet_core.architecture.config import UNetConfig


@dataclass(frozen=True)
class Latency:
    """Median and 90th percentile of one network run on one photo, in milliseconds."""

    median: float
    percentile90: float
    runs: int


def measure_latency(engine: Any, config: UNetConfig, runs: int = 100, warm_up: int = 10) -> Latency:
    """Time `engine` on one photo's input, the network alone."""
    batch = np.zeros((1, *config.input_shape), np.float32)
    for _ in range(warm_up):
        engine.predict(batch)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        engine.predict(batch)
        seconds.append(time.perf_counter() - start)
    median, percentile90 = np.percentile(seconds, [50, 90])
    return Latency(1000 * float(median), 1000 * float(percentile90), runs)
