"""A layer as Keras source: the expression that creates it, for explanations and programs."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

from unet_core.architecture.layer_specs import InitializerSpec, LayerSpec

_WITH_FILTERS = ("Conv2D", "SeparableConv2D", "Conv2DTranspose")


def literal(text: str) -> str:
    """Return a Python string literal in double quotes, safe for any text."""
    return json.dumps(text, ensure_ascii=False)


def call(function: str, *positional: object, **named: object) -> str:
    """Return `function(…)`."""
    parts = [*map(str, positional), *(f"{key}={value}" for key, value in named.items())]
    return f"{function}({', '.join(parts)})"


def layer_source(spec: LayerSpec, *, filters: str = "", groups: str = "") -> str:
    """Return the expression that creates a layer, for example `layers.MaxPooling2D(2, name="encoder1_pool")`.

    `filters` and `groups` replace the layer's own numbers, if it has them, for the body of a loop. A name with braces
    becomes an f-string.
    """
    positional, named = [_value(value) for value in spec.positional], {k: _value(v) for k, v in spec.named.items()}
    if filters and spec.kind in _WITH_FILTERS:
        positional[0] = filters
    if groups and "groups" in named:
        named["groups"] = groups
    module = "keras" if spec.kind == "Input" else "layers"
    name = f"{'f' if '{' in spec.name else ''}{literal(spec.name)}"
    return call(f"{module}.{spec.kind}", *positional, **named, name=name)


def _value(value: Any) -> str:
    match value:
        case str():
            return literal(value)
        case InitializerSpec(kind, named):
            return call(f"keras.initializers.{kind}", **{key: _value(argument) for key, argument in named.items()})
        case Fraction():
            return f"{value.numerator} / {value.denominator}"
    return repr(value)
