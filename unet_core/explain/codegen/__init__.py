"""Keras source for any configuration: functional, subclassed, and with this library.

The first two are complete programs that need only Keras. Their models have exactly the traced shapes, layer names and
parameters.
"""

from __future__ import annotations

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import PRESETS
from unet_core.explain.codegen.functional import Functional
from unet_core.explain.codegen.layers import call, literal
from unet_core.explain.codegen.program import Program, broken_line
from unet_core.explain.codegen.subclassed import Subclassed

__all__ = ["functional_source", "library_source", "subclassed_source"]


def functional_source(config: UNetConfig) -> str:
    """Return a program that builds the network with Keras' functional API, level by level in loops."""
    return Functional(config).program()


def subclassed_source(config: UNetConfig) -> str:
    """Return a program that builds the network as a subclass of `keras.Model`, with a name for every tensor."""
    return Subclassed(config).program()


def library_source(config: UNetConfig) -> str:
    """Return a module that builds the network with this library."""
    preset, changes = min(
        ((name, _changes(config, preset.config)) for name, preset in PRESETS.items()), key=lambda found: len(found[1])
    )
    own = _changes(config, UNetConfig())
    made = f'unet.preset("{preset}")'
    if not changes:
        lines = [f"return unet.build({made})"]
    elif len(changes) < len(own):
        lines = [f"config = {made}", f"config = {call('config.replace', **changes)}", "return unet.build(config)"]
    else:
        lines = [f"config = {call('unet.UNetConfig', **own)}", "return unet.build(config)"]
    model = "\n".join(broken_line(f"    {line}") for line in lines)
    return _LIBRARY.format(signature=Program(config).signature, model=model)


_LIBRARY = '''\
"""U-Net: {signature}, built by U-Net Studio.

Needs the library unet_core: run this in U-Net Studio's folder, or "pip install -e ." there.
"""

import unet_core as unet


def build_unet():
    """Return the U-Net as a Keras model."""
{model}


if __name__ == "__main__":
    build_unet().summary()
'''


def _changes(config: UNetConfig, base: UNetConfig) -> dict[str, str]:
    """Return the fields in which `config` differs from `base`, as source."""
    changes = {}
    for field in UNetConfig.model_fields:
        value = getattr(config, field)
        if value == getattr(base, field):
            continue
        if field == "preprocessing":
            given = {name: value for name, value in dict(value).items() if value is not None}
            words = {name: literal(given) if isinstance(given, str) else repr(given) for name, given in given.items()}
            changes[field] = call("unet.Preprocessing", **words)
        else:
            changes[field] = literal(value) if isinstance(value, str) else repr(value)
    return changes
