"""Results that are computed once per configuration and shared by all visitors; every value is frozen."""

from __future__ import annotations

from functools import lru_cache

from unet_core.architecture.config import MAX_SIDE, UNetConfig
from unet_core.architecture.doctor import Diagnosis, Verdict, diagnose, verdict_at
from unet_core.architecture.table import block_keys
from unet_core.architecture.trace import Trace
from unet_core.explain.diagram import Diagram, diagram

KEPT = 64


@lru_cache(maxsize=KEPT)
def block_of(found: Trace, selected: str) -> str:
    """Return the block that is selected by its key or contains the selected layer, "" without one."""
    chosen = {key: block for block, key in block_keys(found).items()}
    return chosen.get(selected) or next((layer.block for layer in found.layers if layer.name == selected), "")


@lru_cache(maxsize=KEPT)
def chosen(found: Trace, asked: str) -> str:
    """Return the layer or block to show: the asked one if the network has it, else where it breaks or its first."""
    keys = block_keys(found)
    known = {layer.name for layer in found.layers} | set(keys.values())
    if asked in known or (found.problem is not None and asked == found.problem.layer):
        return asked
    if found.problem is not None:
        return found.problem.layer
    return next(key for block, key in keys.items() if block != "input")


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
def sides_around(config: UNetConfig, around: int, reach: int = 8) -> tuple[tuple[int, Verdict], ...]:
    """Return the sides near `around` and the doctor's verdict on a square of each: height and width are independent."""
    first, last = max(1, around - reach), min(MAX_SIDE, around + reach)
    return tuple((side, verdict_at(config, (side, side))) for side in range(first, last + 1))
