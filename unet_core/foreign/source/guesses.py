"""What a name means that a text uses without saying: a missing import, constant or argument."""

from __future__ import annotations

import ast
from typing import Any

from unet_core.foreign.layer_rules import ALIASES, SIGNATURES
from unet_core.foreign.source.values import Reference

SIDE = 256  # pixels, where a text leaves the input's size open
INPUT_NAMES = (
    "inputs",
    "input",
    "x",
    "input_tensor",
    "img",
    "image",
    "input_image",
    "input_layer",
    "img_input",
    "tensor",
)

_MODULES = {
    "tf": "tensorflow", "tensorflow": "tensorflow", "keras": "keras", "layers": "keras.layers", "L": "keras.layers",
    "tfl": "keras.layers", "models": "keras.models", "K": "keras.backend", "backend": "keras.backend",
    "np": "numpy", "numpy": "numpy", "math": "math", "ops": "keras.ops", "pix2pix": "pix2pix",
}  # fmt: skip
_MERGES = ("concatenate", "add", "subtract", "multiply", "average", "maximum", "minimum")


def reference(name: str) -> Reference | None:
    """Return what a name of Keras stands for that was not imported, None if it is no such name."""
    if name in _MODULES:
        return Reference(_MODULES[name])
    if name in SIGNATURES or name in ALIASES or name in _MERGES or name in ("Input", "Lambda", "Layer"):
        return Reference(f"keras.layers.{name}")
    if name in ("Model", "Sequential"):
        return Reference(f"keras.{name}")
    return None


def constant(name: str, tree: ast.AST) -> Any:
    """Return a plausible value for a name that has none, by what it is called; None if it says nothing."""
    lower = name.lower()

    def has(*words: str) -> bool:
        return any(word in lower for word in words)

    if has("shape") or lower in ("input_dims", "input_size"):
        return (SIDE, SIDE, 3)
    if has("channel") and not has("out", "filter"):
        return 3
    if has("size", "dim", "resolution") and has("im", "photo", "input", "patch", "tile"):
        return (SIDE, SIDE) if _is_a_tuple(name, tree) else SIDE
    if has("height", "width", "rows", "cols") or lower in ("h", "w", "img_h", "img_w", "size"):
        return SIDE
    if has("class", "label", "n_out", "out_ch", "output_ch"):
        return 3
    if has("filter", "neurons", "features", "n_feat", "base", "start_f"):
        return [64, 128, 256, 512] if _is_a_tuple(name, tree) else 64
    if has("dropout", "rate"):
        return 0.1
    if has("depth", "levels", "n_blocks", "num_blocks", "n_layers", "num_layers"):
        return 4
    if has("kernel"):
        return 3
    if has("stride"):
        return 1
    if has("pool"):
        return 2
    return {"activation": "relu", "padding": "same"}.get(lower)


def _is_a_tuple(name: str, tree: ast.AST) -> bool:
    """Return whether a text uses a name as a sequence: adds it to one, iterates over it, or takes an item."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = (node.left, node.right)
            if any(_is(side, name) for side in sides) and any(
                isinstance(side, (ast.Tuple, ast.List)) for side in sides
            ):
                return True
        elif (isinstance(node, (ast.For, ast.comprehension)) and _iterates(node.iter, name)) or (
            isinstance(node, (ast.Subscript, ast.Starred)) and _is(node.value, name)
        ):
            return True
    return False


def _iterates(node: ast.expr, name: str) -> bool:
    if isinstance(node, ast.Call):
        return any(_iterates(argument, name) for argument in node.args)
    return _is(node, name)


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
