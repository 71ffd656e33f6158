"""The ranges of widgets for configuration fields, the same on every page: the configuration's bounds.

A few are narrower, because a field has no bound, excludes it, or allows values far beyond what is useful. The widget's
help then states the configuration's own bound.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from unet_core.architecture.config import UNetConfig
from unet_core.data.augmentation import AugmentationConfig
from unet_core.strict import field_bounds, owner_of
from unet_core.train.config import EmaConfig, TrainConfig

End = float | None  # None stands for the configuration's bound

NARROWER: dict[type[BaseModel], dict[str, tuple[End, End]]] = {
    UNetConfig: {
        "batch_momentum": (0.01, 0.999),
        "spatial_dropout": (None, 0.95),
        "decoder_dropout": (None, 0.95),
    },
    AugmentationConfig: {
        "zoom": (0.25, 4),
        "stretch": (None, 2),
        "shear": (None, 45),
        "translation": (None, 0.5),
        "noise": (None, 0.3),
        "paste_background": (None, 255),
    },
    EmaConfig: {"momentum": (None, 0.9999)},
    TrainConfig: {
        "limit": (None, 1_000_000),
        "validation_fraction": (0.01, 0.9),
        "learning_rate": (1e-7, None),
        "warmup_fraction": (None, 0.9),
        "plateau_factor": (0.01, 0.99),
        "plateau_patience": (None, 1000),
        "momentum": (None, 0.999),
        "gradient_clip": (1e-3, 1000),
        "label_smoothing": (None, 0.9),
        "background_class": (None, 255),
        "early_stopping_patience": (None, 100_000),
        "time_limit_minutes": (0.1, 100_000),
        "disk_limit_mb": (1, 1e6),
        "test_limit": (None, 1_000_000),
    },
}


class Range(NamedTuple):
    """The smallest and the largest value of a widget."""

    low: float
    high: float


def offered(config: type[BaseModel], path: str) -> Range:
    """Return the range of widgets for a numeric field, given by its dotted name.

    Raises:
        ValueError: a bound is neither in the configuration nor in `NARROWER`.
    """
    low, high = _narrower(config, path)
    bounds = field_bounds(config, path)
    one = 1 if _is_whole(config, path) else None  # distance from an excluded bound to the next value
    if low is None and bounds.low is not None:
        low = bounds.low if not bounds.above else one and bounds.low + one
    if high is None and bounds.high is not None:
        high = bounds.high if not bounds.below else one and bounds.high - one
    if low is None or high is None:
        raise ValueError(f"{path}: has an open end; give it one in NARROWER")
    return Range(low, high)


def explained(config: type[BaseModel], path: str, help: str | None = None) -> str | None:
    """Return a widget's help, with the configuration's bound where the widget's range is narrower."""
    narrower = _narrower(config, path)
    bounds = field_bounds(config, path)
    ends = zip(narrower, (bounds.low, bounds.high), (bounds.above, bounds.below), strict=True)
    stops_before = [limit for end, limit, is_open in ends if end is not None and limit is not None and not is_open]
    if not stops_before:
        return help
    further = f"A configuration allows up to {stops_before[-1]:g}."
    return f"{help}. {further}" if help else further


def _narrower(config: type[BaseModel], path: str) -> tuple[End, End]:
    owner, name = owner_of(config, path)
    return NARROWER.get(owner, {}).get(name, (None, None))


def _is_whole(config: type[BaseModel], path: str) -> bool:
    owner, name = owner_of(config, path)
    return owner.model_fields[name].annotation is int
