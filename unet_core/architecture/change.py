"""Changing one field of a configuration, and the fields that must change with it to keep it valid."""

from __future__ import annotations

from typing import Any, NamedTuple

from unet_core.architecture.config import MAX_FILTERS, UNetConfig
from unet_core.architecture.encoders import ENCODERS
from unet_core.architecture.query import Difference, differences_between
from unet_core.errors import ConfigError


class Change(NamedTuple):
    """A changed configuration, and the other fields that had to change with it."""

    config: UNetConfig
    also: tuple[Difference, ...] = ()


def change(config: UNetConfig, base: UNetConfig | None = None, **wanted: Any) -> Change:
    """Return `config` with the wanted fields and those they require: a pretrained encoder, say, requires same padding.

    Fields that the change leaves without effect, such as the momentum of a normalization that is gone, return to their
    values in `base`, if it is given.

    Raises:
        ConfigError: a wanted value is invalid whatever the other fields are.
    """
    try:
        changed = config.replace(**wanted)
    except ConfigError as error:
        try:
            changed = config.replace(**{**_forced(config, wanted), **wanted})
        except ConfigError:
            raise error from None
    if base is not None:
        changed = _without_leftovers(changed, base, wanted)
    return Change(changed, tuple(found for found in differences_between(config, changed) if found.field not in wanted))


def without_effect(config: UNetConfig) -> frozenset[str]:
    """Return the fields whose value changes nothing in this network."""
    idle = set()
    trains_statistics = not (config.encoder == "none" or config.encoder_frozen or config.encoder_batchnorm_frozen)
    if config.normalization == "none":
        idle.add("normalization_position")
    if config.normalization != "batch" and not trains_statistics:
        idle.add("batch_momentum")
    if not config.up_convolution:
        idle |= {"up_kernel", "up_activation"}
    if config.filters is not None:
        idle.add("base_filters")
    if config.encoder == "none":
        idle |= {"encoder_width", "encoder_frozen", "encoder_batchnorm_frozen"}
    else:
        idle |= {"encoder_convolutions", "pooling"}
        if config.encoder_frozen:
            idle.add("encoder_batchnorm_frozen")
    return frozenset(idle)


def _without_leftovers(config: UNetConfig, base: UNetConfig, wanted: dict[str, Any]) -> UNetConfig:
    """Return the configuration with the fields that have no effect as in `base`, where they may have that value."""
    for field in without_effect(config) - wanted.keys():
        try:
            config = config.replace(**{field: getattr(base, field)})
        except ConfigError:
            continue
    return config


def parse_filters(text: str) -> dict[str, Any]:
    """Read "64" as filters that double at every level, and "24, 32, 48" as one number per level.

    Raises:
        ConfigError: the text is neither.
    """
    parts = [part for part in text.replace(",", " ").split() if part]
    if not parts or not all(part.isascii() and part.isdecimal() and len(part) < 9 for part in parts):
        raise ConfigError(f"filters: write one number, or one per level, separated by commas. Received: {text[:60]!r}")
    numbers = tuple(map(int, parts))
    return {"base_filters": numbers[0], "filters": None} if len(numbers) == 1 else {"filters": numbers}


def _forced(config: UNetConfig, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the values of other fields that the wanted ones require."""

    def get(field: str) -> Any:
        return wanted.get(field, getattr(config, field))

    forced: dict[str, Any] = {}
    if get("upsampling") == "transposed":
        forced["up_convolution"] = True
    if get("classes") == 1 and get("head_activation") == "softmax":
        forced["head_activation"] = "sigmoid" if "classes" in wanted else "none"
    encoder = get("encoder")
    if encoder == "none":
        forced.update(head="conv", encoder_weights="none", encoder_width=1.0, encoder_frozen=False)
    else:
        forced.update(padding="same", depth=min(get("depth"), 5))
        if len(ENCODERS[encoder].widths) == 1:
            forced.update(encoder_width=ENCODERS[encoder].widths[0])
        if encoder == "efficientnet_b0":  # it normalizes RGB
            forced.update(channels=3)
        if get("encoder_weights") != "none":
            scale = ENCODERS[encoder].scale
            forced.update(channels=3, preprocessing=config.preprocessing.with_scale(scale))
    measured = config.preprocessing.mean
    if measured is not None and forced.get("channels", get("channels")) != len(measured):
        forced.setdefault("preprocessing", config.preprocessing.with_scale(config.preprocessing.scale))
    depth = wanted.get("depth", forced.get("depth", config.depth))
    if config.filters is not None:
        forced["filters"] = _resized(config.filters, depth - (encoder != "none"))
    return forced


def _resized(filters: tuple[int, ...], levels: int) -> tuple[int, ...]:
    """Drop the deepest levels, or add levels by doubling."""
    kept = list(filters[: max(levels, 1)])
    while len(kept) < levels:
        kept.append(min(2 * kept[-1], MAX_FILTERS))
    return tuple(kept)
