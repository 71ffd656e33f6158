"""Results that are computed once per configuration and shared by all visitors; every value is frozen."""

from __future__ import annotations

from functools import lru_cache

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.doctor import Diagnosis, diagnose
from unet_core.architecture.table import block_keys
from unet_core.architecture.trace import Trace, trace, works_at
from unet_core.explain.diagram import Diagram, diagram

KEPT = 64


@lru_cache(maxsize=KEPT)
def traced(config: UNetConfig) -> Trace:
    """Return the trace of a configuration at its own size."""
    return trace(config)


@lru_cache(maxsize=KEPT)
def block_of(found: Trace, selected: str) -> str:
    """Return the block that is selected by its key or contains the selected layer, "" without one."""
    chosen = {key: block for block, key in block_keys(found).items()}
    return chosen.get(selected) or next((layer.block for layer in found.layers if layer.name == selected), "")


@lru_cache(maxsize=KEPT)
def diagnosed(config: UNetConfig) -> Diagnosis:
    """Return the shape doctor's diagnosis at the configuration's own size."""
    return diagnose(config)


@lru_cache(maxsize=KEPT)
def drawn(found: Trace) -> Diagram:
    """Return the full U diagram of a trace."""
    return diagram(found)


@lru_cache(maxsize=KEPT)
def small(found: Trace, like: Trace | None = None) -> Diagram:
    """Return the compact diagram of a trace, to the same scale as `like`."""
    return diagram(found, detail="compact", like=like)


@lru_cache(maxsize=KEPT)
def sides_that_work(config: UNetConfig, around: int, reach: int = 8) -> tuple[tuple[int, bool], ...]:
    """Return the sides near `around`, and whether a square input of each works."""
    first = max(1, around - reach)
    return tuple((side, works_at(config, side)) for side in range(first, first + 2 * reach + 1))
