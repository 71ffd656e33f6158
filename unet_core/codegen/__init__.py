"""Keras source for any configuration: functional, subclassed, and one line with this library.

The first two are whole programs that need Keras alone. Built, they have exactly the traced shapes, layer names and
parameters.
"""

from __future__ import annotations

from unet_core import keras_source as source
from unet_core.codegen.functional import Functional
from unet_core.codegen.subclassed import Subclassed
from unet_core.config import PRESETS, UNetConfig

__all__ = ["functional_source", "one_line", "subclassed_source"]


def functional_source(config: UNetConfig) -> str:
    """Return a program that builds the network with Keras' functional API, level by level in loops."""
    return Functional(config).program()


def subclassed_source(config: UNetConfig) -> str:
    """Return a program that builds the network as a subclass of `keras.Model` whose tensors all have names."""
    return Subclassed(config).program()


def one_line(config: UNetConfig) -> str:
    """Return the imports and the one line that build the network with this library."""
    preset, changes = min(
        ((name, _changes(config, preset.config)) for name, preset in PRESETS.items()), key=lambda found: len(found[1])
    )
    own = _changes(config, UNetConfig())
    if not changes:
        made, imports = f'preset_config("{preset}")', "preset_config"
    elif len(changes) < len(own):
        made, imports = source.call(f'preset_config("{preset}").replace', **changes), "preset_config"
    else:
        made, imports = source.call("UNetConfig", **own), "UNetConfig"
    if "preprocessing" in (own if imports == "UNetConfig" else changes):
        imports = f"Preprocessing, {imports}" if imports == "UNetConfig" else "Preprocessing, preset_config"
    return f"from unet_core.config import {imports}\nfrom unet_core.models import build\n\nmodel = build({made})\n"


def _changes(config: UNetConfig, base: UNetConfig) -> dict[str, str]:
    """Return the fields in which `config` differs from `base`, as source."""
    changes = {}
    for field in UNetConfig.model_fields:
        value = getattr(config, field)
        if value == getattr(base, field):
            continue
        if field == "preprocessing":
            changes[field] = (
                f"Preprocessing(resize={source.literal(value.resize)}, scale={source.literal(value.scale)})"
            )
        else:
            changes[field] = source.literal(value) if isinstance(value, str) else repr(value)
    return changes
