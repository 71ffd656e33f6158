"""How long a network takes per photo."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from unet_core.architecture.config import UNetConfig
from unet_core.segment.network import Network


@dataclass(frozen=True)
class Latency:
    """Median and 90th percentile of the network's time for one photo, in milliseconds."""

    median: float
    percentile90: float
    runs: int


def measure_latency(network: Network, config: UNetConfig, runs: int = 100, warm_up: int = 10) -> Latency:
    """Time the network alone on one photo's input."""
    batch = np.zeros((1, *config.input_shape), np.float32)
    for _ in range(warm_up):
        network.predict(batch)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        network.predict(batch)
        seconds.append(time.perf_counter() - start)
    median, percentile90 = np.percentile(seconds, [50, 90])
    return Latency(1000 * float(median), 1000 * float(percentile90), runs)
